"""Submitting over a real socket, all ways in: direct, the bypass, and the framework's own routes.

The gateway behind the API is a fake of its ports: what is tested is what HTTP makes of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import aiohttp
import multidict
import pytest

from gateway.api.app import build_api
from gateway.api.serve import HttpServer
from gateway.config import Http
from gateway.errors import Rejected, StoreUnavailable
from gateway.message import Accepted
from gateway.model import Account, AccountId, Encoding, MessageId, Micros, SendRequest

BODY_BYTES_MAX = 4_096
JSON = {"Content-Type": "application/json"}
GOOD = b'{"to": "+4917012345678", "from": "Shop", "text": "Hello", "client_ref": "r1"}'

Way = Literal["direct", "bypass", "framework"]
WAYS: tuple[Way, ...] = ("direct", "bypass", "framework")

SINGLE = "/v1/messages"
BATCH = "/v1/messages/batch"


class FakeGateway:
    """Takes what it is asked; a text says what goes wrong."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, SendRequest, str]] = []

    async def submit(
        self, account: Account, request: SendRequest, idempotency_key: str = ""
    ) -> Accepted:
        (outcome,) = self._decide(account, [request], idempotency_key)
        if isinstance(outcome, Rejected):
            raise outcome
        return outcome

    def submit_soon(
        self,
        account: Account,
        request: SendRequest,
        idempotency_key: str,
        done: Callable[[Accepted | Exception], None],
    ) -> None:
        (outcome,) = self._decide(account, [request], idempotency_key)
        asyncio.get_running_loop().call_soon(done, outcome)

    async def submit_batch(
        self, account: Account, requests: Sequence[SendRequest], idempotency_key: str = ""
    ) -> list[Accepted | Rejected]:
        return self._decide(account, requests, idempotency_key)

    def _decide(
        self, account: Account, requests: Sequence[SendRequest], key: str
    ) -> list[Accepted | Rejected]:
        outcomes: list[Accepted | Rejected] = []
        for request in requests:
            match request.text:
                case "no credit":
                    outcomes.append(Rejected("no_credit", "not enough", status=402))
                case "bad text":
                    outcomes.append(Rejected("text_empty", "empty", field="text"))
                case "busy":
                    outcomes.append(Rejected("queue_full", "full", status=503, retry_after_s=2.5))
                case "database away":
                    raise StoreUnavailable("secret host 10.9.8.7", retry_after_s=3.0)
                case "fault":
                    raise RuntimeError("secret inside")
                case _:
                    outcomes.append(self._take(account, request, key))
        return outcomes

    def _take(self, account: Account, request: SendRequest, key: str) -> Accepted:
        self.taken.append((account.name, request, key))
        return Accepted(
            id=MessageId(263546872340938752),
            status="accepted",
            recipient=request.to.lstrip("+"),
            segments=1,
            encoding=Encoding.GSM7,
            price_micros=Micros(7_500),
            currency=account.currency,
            client_ref=request.client_ref or "",
            replayed=key == "again",
        )

    # Reading and quoting are not this file's.
    async def quote(self, account: Account, requests: Sequence[SendRequest]) -> Any:
        raise AssertionError("not asked")

    async def cancel(self, account: Account, message_id: MessageId) -> Any:
        raise AssertionError("not asked")


class FakeKeys:
    """Remembers `good` and `slow`, has to look up `fresh`; every other key is wrong."""

    def __init__(self) -> None:
        self.looked_up = 0

    def recall(self, key: str) -> Account | None:
        match key:
            case "good":
                return Account(id=AccountId(1), name="shop", currency="EUR")
            case "slow":
                return Account(id=AccountId(2), name="slow", submit_per_s=2.0)
            case "off":
                return Account(id=AccountId(3), name="off", active=False)
        return None

    async def authenticate(self, key: str) -> Account | None:
        self.looked_up += 1
        if key == "away":
            raise StoreUnavailable("no database")
        return Account(id=AccountId(4), name="fresh") if key == "fresh" else None


class Harness:
    """One API behind one server, and what it reported."""

    def __init__(self, *, way: Way = "direct", config: Http | None = None) -> None:
        self.gateway = FakeGateway()
        self.keys = FakeKeys()
        self.requests: list[tuple[str, int]] = []
        self.requested = asyncio.Event()
        self.faults: list[tuple[str, BaseException]] = []
        absent: Any = None
        api = build_api(
            config or Http(body_bytes_max=BODY_BYTES_MAX, batch_messages_max=3),
            submissions=self.gateway,
            reading=absent,
            dead_events=absent,
            treasury=absent,
            personal=absent,
            keys=self.keys,
            condition=absent,
            metrics_text=absent,
            on_request=self._note_request,
            on_fault=lambda route, error: self.faults.append((route, error)),
            now=lambda: 1_000.0,
            bypass=way != "framework",
        )
        self.server = HttpServer(api, submit=api.submit if way == "direct" else None)
        self.client = aiohttp.ClientSession()

    def _note_request(self, route: str, status: int, seconds: float) -> None:
        assert seconds == 0, "by the clock that was passed in, which stands"
        self.requests.append((route, status))
        self.requested.set()

    async def start(self) -> Harness:
        await self.server.start("127.0.0.1", 0)
        return self

    async def stop(self) -> None:
        await self.client.close()
        await self.server.stop(5.0)

    async def post(
        self,
        path: str,
        body: Any,
        headers: Mapping[str, str] | None = None,
        key: str | None = "good",
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers but Date, and body."""
        auth = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with self.client.post(
            f"http://127.0.0.1:{self.server.port}{path}",
            data=body,
            headers={**JSON, **auth, **(headers or {})},
        ) as response:
            kept = {n.lower(): v for n, v in response.headers.items() if n.lower() != "date"}
            return response.status, kept, await response.read()

    async def refusal(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Post what is refused and return the problem, whose form is checked."""
        status, headers, body = await self.post(*args, **kwargs)
        problem: dict[str, Any] = json.loads(body)
        assert headers["content-type"] == "application/problem+json"
        assert problem["status"] == status
        assert {"type", "title", "detail", "code", "field"} <= problem.keys()
        return problem


class Case(NamedTuple):
    """What is sent, and what comes back."""

    path: str
    body: bytes
    status: int
    code: str = ""
    field: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    key: str | None = "good"


def texts(*texts: str) -> bytes:
    return json.dumps({"messages": [{"to": "+491", "text": text} for text in texts]}).encode()


CASES = {
    "a message": Case(SINGLE, GOOD, 202),
    "a charset": Case(
        SINGLE, GOOD, 202, headers={"Content-Type": "application/json; charset=UTF-8"}
    ),
    "an idempotency key": Case(SINGLE, GOOD, 202, headers={"Idempotency-Key": "k" * 255}),
    "a repeat": Case(SINGLE, GOOD, 202, headers={"Idempotency-Key": "again"}),
    "white space around": Case(SINGLE, b" \n" + GOOD + b"\r\n", 202),
    "emoji": Case(SINGLE, '{"to": "1", "text": "😀 €"}'.encode(), 202),
    "messages": Case(BATCH, texts("a", "b", "c"), 202),
    "defaults": Case(BATCH, b'{"defaults": {"text": "x"}, "to": ["+1", "+2"]}', 202),
    "a batch in parts": Case(BATCH, texts("a", "no credit", "bad text"), 202),
    "a batch repeated": Case(BATCH, texts("a", "b"), 202, headers={"Idempotency-Key": "again"}),
    # Who asks.
    "no key": Case(SINGLE, GOOD, 401, "unauthorized", key=None),
    "a wrong key": Case(SINGLE, GOOD, 401, "unauthorized", key="wrong"),
    "no bearer": Case(SINGLE, GOOD, 401, "unauthorized", headers={"Authorization": "good"}),
    "basic": Case(SINGLE, GOOD, 401, "unauthorized", headers={"Authorization": "Basic Z29vZA=="}),
    "a key not in ASCII": Case(SINGLE, GOOD, 401, "unauthorized", key="ä"),
    "a looked up key": Case(SINGLE, GOOD, 202, key="fresh"),
    "an inactive account": Case(SINGLE, GOOD, 403, "account_inactive", key="off"),
    "no store for keys": Case(SINGLE, GOOD, 503, "store_unavailable", key="away"),
    "no key comes first": Case(
        SINGLE, b"{", 401, "unauthorized", headers={"Content-Type": "text/plain"}, key=None
    ),
    # What it says it is.
    "a form": Case(
        SINGLE,
        b"to=1",
        415,
        "unsupported_media_type",
        "Content-Type",
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    "no type": Case(
        SINGLE, GOOD, 415, "unsupported_media_type", "Content-Type", {"Content-Type": ""}
    ),
    "latin-1": Case(
        SINGLE,
        GOOD,
        415,
        "unsupported_media_type",
        "Content-Type",
        {"Content-Type": "application/json; charset=latin-1"},
    ),
    "compressed": Case(
        SINGLE,
        GOOD,
        415,
        "unsupported_media_type",
        "Content-Encoding",
        {"Content-Encoding": "zstd"},
    ),
    "an empty idempotency key": Case(
        SINGLE, GOOD, 400, "invalid_idempotency_key", "Idempotency-Key", {"Idempotency-Key": ""}
    ),
    "a long idempotency key": Case(
        SINGLE,
        GOOD,
        400,
        "invalid_idempotency_key",
        "Idempotency-Key",
        {"Idempotency-Key": "k" * 256},
    ),
    "spaces in the idempotency key": Case(
        BATCH,
        texts("a"),
        400,
        "invalid_idempotency_key",
        "Idempotency-Key",
        {"Idempotency-Key": "a b"},
    ),
    # What is not JSON.
    "nothing": Case(SINGLE, b"", 400, "invalid_json"),
    "half": Case(SINGLE, GOOD[:20], 400, "invalid_json"),
    "trailing": Case(SINGLE, GOOD + b"x", 400, "invalid_json"),
    "not UTF-8": Case(SINGLE, b'{"to": "1", "text": "\xff"}', 400, "invalid_json"),
    "a raw NUL": Case(SINGLE, b'{"to": "\x00"}', 400, "invalid_json"),
    "half a surrogate pair": Case(SINGLE, b'{"to": "\\ud800"}', 400, "invalid_json"),
    "lists without end": Case(SINGLE, b"[" * 4_000, 422, "invalid_type"),
    "objects without end": Case(
        BATCH, b'{"messages":[' * 300, 422, "unknown_field", "messages[0].messages"
    ),
    "nothing in a batch": Case(BATCH, b"", 400, "invalid_json"),
    # What is not a message.
    "null": Case(SINGLE, b"null", 422, "invalid_type"),
    "a list": Case(SINGLE, b"[]", 422, "invalid_type"),
    "no recipient": Case(SINGLE, b'{"text": "x"}', 422, "missing_field", "to"),
    "a number as recipient": Case(SINGLE, b'{"to": 49170, "text": "x"}', 422, "invalid_type", "to"),
    "an unknown field": Case(SINGLE, b'{"to": "1", "txt": "x"}', 422, "unknown_field", "txt"),
    "our own name for from": Case(
        SINGLE, b'{"to": "1", "sender": "x"}', 422, "unknown_field", "sender"
    ),
    "an escaped NUL": Case(
        SINGLE, b'{"to": "1", "text": "\\u0000"}', 422, "invalid_character", "text"
    ),
    "a huge number": Case(
        SINGLE,
        b'{"to": "1", "validity_s": 1e999}',
        422,
        "out_of_range",
        "validity_s",
    ),
    # What is not a batch.
    "an empty object": Case(BATCH, b"{}", 422, "missing_field", "messages"),
    "no messages": Case(BATCH, b'{"messages": []}', 422, "empty_batch", "messages"),
    "both forms": Case(BATCH, b'{"messages": [{"to": "1"}], "to": ["1"]}', 422, "mixed_forms"),
    "recipients alone": Case(BATCH, b'{"to": ["1"]}', 422, "missing_field", "defaults"),
    "too many": Case(BATCH, texts("a", "b", "c", "d"), 413, "too_many_messages", "messages"),
    "a wrong item": Case(
        BATCH,
        b'{"messages": [{"to": "1"}, {"to": "1", "validity_s": "5"}]}',
        422,
        "invalid_type",
        "messages[1].validity_s",
    ),
    "an unknown field in defaults": Case(
        BATCH, b'{"defaults": {"too": "1"}, "to": ["1"]}', 422, "unknown_field", "defaults.too"
    ),
    # What the gateway can't do.
    "no credit": Case(SINGLE, b'{"to": "1", "text": "no credit"}', 402, "no_credit"),
    "refused": Case(SINGLE, b'{"to": "1", "text": "bad text"}', 422, "text_empty", "text"),
    "busy": Case(SINGLE, b'{"to": "1", "text": "busy"}', 503, "queue_full"),
    "store away": Case(SINGLE, b'{"to": "1", "text": "database away"}', 503, "store_unavailable"),
    "our fault": Case(SINGLE, b'{"to": "1", "text": "fault"}', 500, "internal_error"),
    "store away for a batch": Case(BATCH, texts("a", "database away"), 503, "store_unavailable"),
    "our fault in a batch": Case(BATCH, texts("fault"), 500, "internal_error"),
    "a batch without credit": Case(BATCH, texts("no credit", "no credit"), 402, "none_accepted"),
    "a batch of all kinds": Case(BATCH, texts("no credit", "bad text"), 422, "none_accepted"),
    "a busy batch": Case(BATCH, texts("busy", "busy"), 503, "none_accepted"),
    # Too much of it.
    "a long body": Case(SINGLE, b" " * (BODY_BYTES_MAX + 1), 413, "body_too_large"),
    "a very long body": Case(BATCH, b" " * 300_000, 413, "body_too_large"),
    "a body as long as may be": Case(SINGLE, GOOD + b" " * (BODY_BYTES_MAX - len(GOOD)), 202),
}


@pytest.fixture(params=WAYS)
async def api(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    harness = await Harness(way=request.param).start()
    yield harness
    await harness.stop()


async def test_every_input_has_its_answer(api: Harness) -> None:
    expected, got = {}, {}
    for name, case in CASES.items():
        status, headers, body = await api.post(case.path, case.body, case.headers, case.key)
        told = json.loads(body)
        problem = headers["content-type"] == "application/problem+json"
        expected[name] = (case.status, case.code, case.field, case.status >= 400)
        got[name] = (status, told.get("code", ""), told.get("field", ""), problem)
    assert got == expected
    assert api.requests == [(f"POST {case.path}", case.status) for case in CASES.values()]


async def test_all_ways_agree_in_status_headers_and_body() -> None:
    apis = [await Harness(way=way).start() for way in WAYS]
    try:
        answers: dict[str, list[Any]] = {}
        for api in apis:
            for name, case in CASES.items():
                answer = await api.post(case.path, case.body, case.headers, case.key)
                answers.setdefault(name, []).append(answer)
        for name, (first, *others) in answers.items():
            assert others == [first] * len(others), name
        first_api, *other_apis = apis
        for api in other_apis:
            assert api.gateway.taken == first_api.gateway.taken
            assert api.requests == first_api.requests
            assert [route for route, _ in api.faults] == [route for route, _ in first_api.faults]
    finally:
        for api in apis:
            await api.stop()


async def test_an_accepted_message_is_told_whole(api: Harness) -> None:
    status, headers, body = await api.post(SINGLE, GOOD, {"Idempotency-Key": "k1"})
    assert status == 202
    assert json.loads(body) == {
        "id": "263546872340938752",
        "status": "accepted",
        "to": "4917012345678",
        "segments": 1,
        "encoding": "gsm7",
        "price": "0.0075",
        "currency": "EUR",
        "client_ref": "r1",
    }
    assert headers == {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    request = SendRequest(to="+4917012345678", sender="Shop", text="Hello", client_ref="r1")
    assert api.gateway.taken == [("shop", request, "k1")]


async def test_a_repeat_says_that_it_is_one(api: Harness) -> None:
    first, first_headers, first_body = await api.post(SINGLE, GOOD)
    again, headers, body = await api.post(SINGLE, GOOD, {"Idempotency-Key": "again"})
    assert (first, first_body) == (again, body)
    assert "idempotency-replayed" not in first_headers
    assert headers["idempotency-replayed"] == "true"


async def test_waiting_answers_say_how_long(api: Harness) -> None:
    for text, seconds in (("busy", "3"), ("database away", "3")):
        body = json.dumps({"to": "1", "text": text}).encode()
        status, headers, told = await api.post(SINGLE, body)
        assert (status, headers["retry-after"]) == (503, seconds)
        assert json.loads(told)["retry_after_s"] == 3


async def test_a_fault_is_reported_to_us_and_hidden_from_the_client(api: Harness) -> None:
    _, _, body = await api.post(SINGLE, b'{"to": "1", "text": "fault"}')
    assert b"secret" not in body
    assert b"Traceback" not in body
    ((route, error),) = api.faults
    assert (route, str(error)) == ("POST /v1/messages", "secret inside")
    _, _, body = await api.post(SINGLE, b'{"to": "1", "text": "database away"}')
    assert b"secret" not in body


async def test_all_wrong_keys_are_answered_alike(api: Harness) -> None:
    answers = [
        await api.post(SINGLE, GOOD, key=None),
        await api.post(SINGLE, GOOD, key="wrong"),
        await api.post(SINGLE, GOOD, {"Authorization": "Basic x"}),
    ]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][1]["www-authenticate"] == 'Bearer realm="gateway"'


async def test_wrong_keys_from_one_address_are_slowed_and_good_ones_are_not() -> None:
    config = Http(login_failures_per_min=3)
    api = await Harness(config=config).start()
    try:
        assert (await api.post(SINGLE, GOOD, key="fresh"))[0] == 202
        for _ in range(3):
            assert (await api.post(SINGLE, GOOD, key="wrong"))[0] == 401
        asked = api.keys.looked_up
        problem = await api.refusal(SINGLE, GOOD, key="other")
        assert (problem["status"], problem["code"]) == (429, "too_many_failed_logins")
        assert problem["retry_after_s"] == 20, "the minute that runs ends at 1,020 s"
        assert api.keys.looked_up == asked, "the store isn't asked"
        # Neither a remembered key nor one that worked before waits for the neighbour's mistakes.
        assert (await api.post(SINGLE, GOOD, key="good"))[0] == 202
        assert (await api.post(SINGLE, GOOD, key="fresh"))[0] == 202
        # A request without any key asks nothing of the store and is no guess.
        assert (await api.post(SINGLE, GOOD, key=None))[0] == 401
    finally:
        await api.stop()


async def test_an_account_above_its_rate_is_told_when_to_come_back(api: Harness) -> None:
    for _ in range(2):
        assert (await api.post(SINGLE, GOOD, key="slow"))[0] == 202
    status, headers, body = await api.post(SINGLE, GOOD, key="slow")
    assert (status, headers["retry-after"]) == (429, "1")
    assert json.loads(body)["code"] == "rate_exceeded"
    assert (await api.refusal(BATCH, texts("a"), key="slow"))["status"] == 429
    assert (await api.post(SINGLE, GOOD, key="good"))[0] == 202


async def test_a_refused_request_costs_nothing_of_the_rate(api: Harness) -> None:
    for _ in range(5):
        assert (await api.refusal(SINGLE, b"{", key="slow"))["status"] == 400
    for _ in range(2):
        assert (await api.post(SINGLE, GOOD, key="slow"))[0] == 202


@pytest.mark.parametrize("header", ["Idempotency-Key", "Content-Type", "Authorization"])
async def test_a_header_that_counts_may_not_come_twice(api: Harness, header: str) -> None:
    value = {"Content-Type": "application/json", "Authorization": "Bearer good"}.get(header, "k")
    headers = multidict.CIMultiDict({**JSON, "Authorization": "Bearer good", header: value})
    headers.add(header, value)
    url = f"http://127.0.0.1:{api.server.port}{SINGLE}"
    async with api.client.post(url, data=GOOD, headers=headers) as response:
        problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (400, "duplicate_header")
        assert problem["field"] == header


async def test_a_chunked_body_is_taken(api: Harness) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in GOOD:
            yield bytes([byte])

    status, _, _ = await api.post(SINGLE, pieces())
    assert status == 202
    assert api.gateway.taken[0][1].text == "Hello"


async def test_a_chunked_body_without_end_is_refused_while_it_comes(api: Harness) -> None:
    """The announced length can't tell, so the bytes are counted as they arrive."""
    refused = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1_024
        await refused.wait()

    post = asyncio.create_task(api.post(SINGLE, pieces()))
    try:
        await asyncio.wait_for(api.requested.wait(), 5)
        assert api.requests == [("POST /v1/messages", 413)]
    finally:
        refused.set()
    status, _, body = await post
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


async def test_a_key_is_asked_for_before_a_byte_of_the_body_is_read(api: Harness) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 4000\r\nExpect: 100-continue\r\n\r\n"
    )
    assert b" 401 " in await reader.readline()
    writer.close()


async def test_an_announced_length_above_the_limit_is_refused_unread(api: Harness) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer good\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n"
    )
    assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_client_that_leaves_in_the_middle_submits_nothing(api: Harness) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer good\r\nContent-Length: 100\r\n\r\n" + GOOD
    )
    await writer.drain()
    writer.close()
    await asyncio.wait_for(api.requested.wait(), 5)
    assert api.requests == [("POST /v1/messages", 408)]
    assert api.gateway.taken == []
    assert api.faults == []


async def test_a_trailing_slash_is_the_same_route(api: Harness) -> None:
    assert (await api.post(SINGLE + "/", GOOD))[0] == 202
    assert api.requests == [("POST /v1/messages", 202)]
