"""Every call of the API with what its description allows, and with what it does not.

The requests are drawn from the gateway's own OpenAPI, the same ones in every run. Whatever is
asked: no answer is a fault of ours, each has a status and a form that its call describes, and the
money agrees afterwards.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import jsonschema
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from yarl import URL

from gateway.api.document import operations
from gateway.model import Account
from gateway.scopes import ADMIN, ALL
from gateway.store.audit import audit
from gateway.store.keys import create_key
from gateway.store.postgres import Database

CASES = 60
"""Requests a call; all of them take some twenty seconds on a busy machine."""

HOSTILE = (
    *("", " ", "0", "-1", "1e999", "NaN", "null", "true", "\0", "\u202e", "\ud7ff", "😀" * 70),
    *("'; DROP TABLE messages; --", "../../etc/passwd", "{{7*7}}", "%00", "9" * 40, "x" * 5_000),
    *("+4917012345678", "4917012345678", "447400900001", "2026-01-31T08:00:00Z", "9999-12-31"),
    *("2026-13-45T99:99:99Z", "0001-01-01T00:00:00+23:59", "2026-01-31", "ff" * 70, "050003010201"),
    *("http://127.0.0.1/", "http://169.254.169.254/latest", "https://example.com/hook", "gsm7"),
    *("ucs2", "binary", "otp", "marketing", "AAAAAAAAAAAAAAAA", "382745719976497152"),
)

FOUND = {"name": "shop"}
"""By the name of a parameter, what is there to be found: tried as often as all else."""


class Drawn(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes | None


def draw_values(schema: Any, document: dict[str, Any], depth: int = 4) -> st.SearchStrategy[Any]:
    """Return what a schema allows, roughly: texts are hostile rather than well-formed."""
    if "$ref" in schema:
        target = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return draw_values(target, document, depth)
    if "allOf" in schema:
        (only,) = schema["allOf"]
        return draw_values(only, document, depth)
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return st.one_of([draw_values(each, document, depth) for each in schema[word]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type", "string")
    if isinstance(kinds, list):
        return st.one_of([draw_values({**schema, "type": kind}, document, depth) for kind in kinds])
    match kinds:
        case "integer":
            return st.one_of(st.integers(-2, 20), st.integers(-(2**70), 2**70))
        case "number":
            return st.floats(allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            items = draw_values(schema.get("items", {}), document, depth - 1)
            return st.lists(items, max_size=3 if depth > 0 else 0)
        case "object":
            return _draw_object(schema, document, depth)
        case _:
            return st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))


def _draw_object(schema: Any, document: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    required = schema.get("required", ())
    fields = {
        name: draw_values(field, document, depth - 1)
        for name, field in schema.get("properties", {}).items()
    }
    return st.fixed_dictionaries(
        {name: field for name, field in fields.items() if name in required},
        optional={name: field for name, field in fields.items() if name not in required},
    )


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def _octets(value: Any) -> bytes:
    return json.dumps(value).encode()


def _change_one(example: dict[str, Any], drawn: dict[str, Any]) -> dict[str, Any]:
    """Return an example with one field as it was drawn: what is wrong in many is refused early."""
    return {**example, **dict(list(drawn.items())[-1:])}


def draw_requests(path: str, operation: dict[str, Any], document: dict[str, Any]) -> list[Drawn]:
    """Return CASES requests of one call, always the same."""
    parameters = operation.get("parameters", ())
    words = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))

    def given_as(place: str) -> dict[str, st.SearchStrategy[str]]:
        return {
            each["name"]: draw_values(each["schema"], document).map(str)
            | words
            | (st.just(FOUND[each["name"]]) if each["name"] in FOUND else st.nothing())
            for each in parameters
            if each["in"] == place
        }

    body: st.SearchStrategy[bytes | None] = st.none()
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        allowed = draw_values(schema, document)
        examples = st.sampled_from(schema["examples"])
        nearly = st.builds(_change_one, examples, allowed)
        values = st.one_of(examples, nearly, nearly, allowed, anything)
        body = st.one_of(values.map(_octets), st.binary(max_size=60))
    visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=260)
    in_header = {name: visible for name in given_as("header")}
    drawn: list[Drawn] = []

    @settings(
        max_examples=CASES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.fixed_dictionaries(given_as("path")),
        st.fixed_dictionaries({}, optional=given_as("query")),
        st.fixed_dictionaries({}, optional=in_header),
        body,
    )
    def draw(
        in_path: dict[str, str], query: dict[str, str], headers: dict[str, str], octets: Any
    ) -> None:
        filled = path
        for name, value in in_path.items():
            # Dots alone are steps between folders, which clients take themselves.
            filled = filled.replace(f"{{{name}}}", quote(value.strip(".") or "0", safe=""))
        asked = urlencode({name: value.encode("utf-8", "replace") for name, value in query.items()})
        drawn.append(Drawn(filled + ("?" + asked if asked else ""), headers, octets))

    draw()
    return drawn


def check_answer(
    operation: dict[str, Any], document: dict[str, Any], status: int, kind: str, body: bytes
) -> None:
    """Raise unless the call describes such an answer."""
    described = operation["responses"].get(str(status))
    assert described is not None, f"{status} is not described: {body[:300]!r}"
    content = {name.partition(";")[0]: each for name, each in described["content"].items()}
    assert kind in content, f"{kind} is not described for {status}"
    schema = {**content[kind]["schema"], "components": document["components"]}
    if kind == "application/jsonl":
        for line in body.splitlines():
            jsonschema.Draft202012Validator(schema).validate(json.loads(line))
    elif "json" in kind:
        jsonschema.Draft202012Validator(schema).validate(json.loads(body))


async def test_whatever_is_asked_is_answered_as_described(
    start: Callable[..., Awaitable[Any]], database: Database, shop: Account
) -> None:
    running = await start()
    base = f"http://127.0.0.1:{running.gateway.port}"
    key = await create_key(database, shop.id, scopes=ALL | ADMIN)
    usual = {"Authorization": f"Bearer {key.plaintext}", "Content-Type": "application/json"}
    statuses: dict[str, Counter[int]] = {}
    async with aiohttp.ClientSession(headers=usual) as session:
        async with session.get(base + "/openapi.json") as answer:
            document = await answer.json()
        for path, method, operation in operations(document):
            if path == "/readyz":
                continue  # its answer hangs on the carrier, not on what is asked
            seen = statuses.setdefault(operation["operationId"], Counter())
            for drawn in draw_requests(path, operation, document):
                async with session.request(
                    method.upper(),
                    URL(base + drawn.path, encoded=True),
                    headers=drawn.headers,
                    data=drawn.body,
                ) as answer:
                    body = await answer.read()
                    try:
                        assert answer.status < 500, body
                        check_answer(operation, document, answer.status, answer.content_type, body)
                    except (AssertionError, jsonschema.ValidationError) as error:
                        raise AssertionError(f"{method} {drawn}: {error}") from None
                    seen[answer.status] += 1
    # The requests were not all turned away at the door.
    unknown_ids = {"fetchMessage", "cancelMessage", "fetchErasure"}
    for name in set(statuses) - unknown_ids - {"submitBatch"}:
        assert statuses[name][200] + statuses[name][202] > 0, (name, statuses[name])
    assert (await audit(database, time.time())).agrees
