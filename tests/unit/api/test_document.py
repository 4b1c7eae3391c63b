"""The OpenAPI document and the pages that show it: complete, in its own version, and offline."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from litestar import Litestar

from gateway.api.docs import build_pages
from gateway.api.document import complete_document, lower_to_30, operations
from gateway.api.gate import Gate
from gateway.api.openapi import openapi_config
from gateway.api.routes import build_routers
from gateway.api.shapes import BatchAnswer, ItemError, Submitted
from gateway.api.submit import SubmitCalls
from gateway.config import Http
from gateway.scopes import SCOPES

ROUTES = {
    ("/v1/messages", "post"),
    ("/v1/messages", "get"),
    ("/v1/messages/batch", "post"),
    ("/v1/messages/{id}", "get"),
    ("/v1/messages/{id}", "delete"),
    ("/v1/inbound", "get"),
    ("/v1/quote", "post"),
    ("/v1/balance", "get"),
    ("/v1/statement", "get"),
    ("/v1/reports/ineligible", "get"),
    ("/v1/admin/accounts/{name}/deposits", "get"),
    ("/v1/admin/accounts/{name}/deposits", "post"),
    ("/v1/admin/privacy/erasures", "get"),
    ("/v1/admin/privacy/erasures", "post"),
    ("/v1/admin/privacy/erasures/search", "post"),
    ("/v1/admin/privacy/erasures/{id}", "get"),
    ("/v1/admin/privacy/exports", "get"),
    ("/v1/admin/privacy/exports", "post"),
    ("/v1/admin/privacy/exports/search", "post"),
    ("/v1/carriers", "get"),
    ("/v1/webhooks/dead", "get"),
    ("/v1/webhooks/replay", "post"),
    ("/healthz", "get"),
    ("/readyz", "get"),
    ("/metrics", "get"),
}
OPEN_ROUTES = {"/healthz", "/readyz", "/metrics"}


@pytest.fixture(scope="module")
def framework() -> Litestar:
    absent: Any = None  # nothing is asked of the gateway while routes are described
    gate = Gate(absent, 30, lambda: 0.0)
    routers = build_routers(
        Http(),
        gate,
        SubmitCalls(absent, gate, 10_000),
        submissions=absent,
        reading=absent,
        dead_events=absent,
        treasury=absent,
        personal=absent,
        condition=absent,
        metrics_text=absent,
    )
    return Litestar(routers, openapi_config=openapi_config(), logging_config=None)


@pytest.fixture(scope="module")
def document(framework: Litestar) -> dict[str, Any]:
    return complete_document(framework.openapi_schema.to_schema())


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def test_every_route_is_listed(document: dict[str, Any], framework: Litestar) -> None:
    assert {(path, method) for path, method, _ in operations(document)} == ROUTES
    served = {route.path_format for route in framework.routes}
    assert served - {path for path, _ in ROUTES} <= {
        path for path in served if path.startswith("/schema")
    }


def test_the_document_is_openapi_31(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d", document["openapi"])
    assert document["info"]["title"]
    assert document["info"]["version"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for tree in (document, lower_to_30(document)):
        references = [node["$ref"] for node in walk(tree) if "$ref" in node]
        assert references
        for reference in references:
            node: Any = tree
            for step in reference.removeprefix("#/").split("/"):
                node = node[step]


def test_every_operation_can_be_called_and_says_what_comes_back(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for path, _, operation in operations(document):
        in_path = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        for parameter in operation.get("parameters", ()):
            assert parameter["schema"]
            assert parameter["description"]
            assert parameter["in"] != "path" or parameter["required"] is True
        assert any(status.startswith("2") for status in operation["responses"])
        for response in operation["responses"].values():
            assert response["description"]
            for header in response.get("headers", {}).values():
                assert header["schema"]


def test_every_account_route_asks_for_the_bearer_key(document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"].items()
    assert (scheme[1]["type"], scheme[1]["scheme"]) == ("http", "bearer")
    for path, _, operation in operations(document):
        if path in OPEN_ROUTES:
            assert "security" not in operation
        else:
            assert [list(requirement) for requirement in operation["security"]] == [[scheme[0]]]
            assert {"400", "401", "403", "429", "503"} <= operation["responses"].keys()


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]


def test_the_sender_is_named_from(document: dict[str, Any]) -> None:
    for name in ("SendRequest", "Content", "QuoteRequest", "MessageSummary", "MessageView"):
        properties = document["components"]["schemas"][name]["properties"]
        assert "from" in properties
        assert "sender" not in properties


def test_only_a_single_message_is_documented_with_its_parts_and_events(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]
    summary, view = schemas["MessageSummary"]["properties"], schemas["MessageView"]["properties"]
    assert view.keys() - summary.keys() == {"parts", "events", "fallback", "tlvs"}
    assert summary.items() <= view.items()
    assert {"parts", "events"} <= set(schemas["MessageView"]["required"])
    assert schemas["Page"]["properties"]["messages"]["items"] == {
        "$ref": "#/components/schemas/MessageSummary"
    }


def test_submits_document_the_idempotency_key(document: dict[str, Any]) -> None:
    for path in ("/v1/messages", "/v1/messages/batch"):
        submit = document["paths"][path]["post"]
        (parameter,) = submit["parameters"]
        assert (parameter["name"], parameter["in"]) == ("Idempotency-Key", "header")
        assert parameter["required"] is False
        assert parameter["schema"]["maxLength"] == 255
        assert "Idempotency-Replayed" in submit["responses"]["202"]["headers"]


def test_requests_have_examples_that_decode(document: dict[str, Any]) -> None:
    from gateway.api.decode import decode_batch, decode_quote, decode_single

    decoders = {
        "/v1/messages": decode_single,
        "/v1/messages/batch": decode_batch,
        "/v1/quote": decode_quote,
    }
    for path, decode in decoders.items():
        body = document["paths"][path]["post"]["requestBody"]
        assert body["required"] is True
        examples = body["content"]["application/json"]["schema"]["examples"]
        assert examples
        for example in examples:
            decode(msgspec.json.encode(example))


def test_strict_requests_say_that_they_are(document: dict[str, Any]) -> None:
    for name in ("SendRequest", "Content", "BatchRequest", "QuoteRequest"):
        assert document["components"]["schemas"][name]["additionalProperties"] is False


def test_a_batch_result_is_one_of_two(document: dict[str, Any]) -> None:
    assert BatchAnswer.__annotations__["results"] == "list[Submitted | ItemError]"
    results = document["components"]["schemas"]["BatchAnswer"]["properties"]["results"]
    names = {reference["$ref"].rpartition("/")[2] for reference in results["items"]["oneOf"]}
    assert names == {Submitted.__name__, ItemError.__name__}


def test_the_copy_for_the_pages_is_openapi_30(document: dict[str, Any]) -> None:
    lowered = lower_to_30(document)
    assert lowered["openapi"] == "3.0.3"
    for node in walk(lowered):
        assert not isinstance(node.get("type"), list)
        assert node.get("type") != "null"
        assert not isinstance(node.get("examples"), list)
        assert "const" not in node
        assert node.get("required") != []
    text = lowered["components"]["schemas"]["SendRequest"]["properties"]["text"]
    assert (text["type"], text["nullable"]) == ("string", True)
    assert document["openapi"].startswith("3.1"), "the document itself stays as it is"


def test_pages_name_nothing_outside_the_gateway(document: dict[str, Any]) -> None:
    pages = Litestar(build_pages(document, {}), openapi_config=None, logging_config=None)
    served = {route.path for route in pages.routes}
    assert {"/", "/docs", "/openapi.json", "/docs/openapi-3.0.json"} <= served
    from gateway.api import docs

    named = re.findall(r'(?:src|href|url)(?:=|: )"([^"]+)"', docs._PAGE + docs._START)
    assert len(named) == 5
    assert set(named) <= served
    assert "//" not in docs._PAGE + docs._START
    assert "validatorUrl: null" in docs._START
    assert "default-src 'none'" in docs._POLICY
    assert "http" not in docs._POLICY


def test_every_call_of_an_account_says_which_scope_its_key_needs(
    document: dict[str, Any],
) -> None:
    for path, method, operation in operations(document):
        if path in OPEN_ROUTES:
            assert "security" not in operation
            continue
        [requirement] = operation["security"]
        [scope] = requirement["key"]
        assert scope in SCOPES
        assert f"`{scope}`" in operation["description"]
        # Quoting shows prices and what could be spent; it changes nothing.
        changes = method != "get" and path != "/v1/quote"
        of_accounts = "send" if changes else "read"
        assert scope == ("admin" if "/admin/" in path else of_accounts), (method, path)


def test_in_30_the_words_alone_say_the_scope(document: dict[str, Any]) -> None:
    for path, _, operation in operations(lower_to_30(document)):
        if path not in OPEN_ROUTES:
            assert operation["security"] == [{"key": []}]
            assert "Needs a key with the scope" in operation["description"]
