"""Webhooks against real HTTP servers: good ones, slow ones, broken ones and hostile ones."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import structlog
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.config import Webhooks
from gateway.errors import StoreUnavailable
from gateway.hooks import connect
from gateway.hooks.sign import HEADER, Verdict, judge_signature
from gateway.hooks.targets import find_address_fault
from gateway.hooks.webhooks import WebhookSender
from gateway.metrics import Metrics
from gateway.model import AccountId
from gateway.views import OutboxEvent

SECRET = "whsec"
SETTINGS = Webhooks(
    timeout_s=1.0,
    batch_events_max=100,
    connections_per_account=2,
    retry_first_s=0.05,
    retry_max_s=0.2,
    give_up_after_s=60,
    allow_private=True,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MemoryOutbox:
    """The outbox's promise, kept in a dict; `away` makes it the database's absence."""

    def __init__(self) -> None:
        self.waiting: dict[int, OutboxEvent] = {}
        self.due_at: dict[int, float] = {}
        self.dead: dict[int, str] = {}
        self.errors: list[tuple[int, str]] = []
        self.delivered: list[int] = []
        self.away = False
        self.changed = asyncio.Event()

    def add(self, url: str, count: int = 1, account: int = 1, *, single: bool = False) -> None:
        for _ in range(count):
            number = len(self.waiting) + len(self.delivered) + len(self.dead)
            self.waiting[number] = OutboxEvent(
                id=number,
                account_id=AccountId(account),
                url=url,
                secret=SECRET,
                single=single,
                body=b'{"n":%d}' % number,
                created_at=time.time(),
                attempts=0,
            )
            self.due_at[number] = 0.0

    async def claim_due(self, now: float, limit: int, lease_s: float) -> list[OutboxEvent]:
        self._answer()
        due = sorted(number for number in self.waiting if self.due_at[number] <= now)[:limit]
        for number in due:
            self.due_at[number] = now + lease_s
        return [self.waiting[number] for number in due]

    async def record_delivered(self, ids: Sequence[int]) -> None:
        self._answer()
        for number in ids:
            if self.waiting.pop(number, None) is not None:
                self.delivered.append(number)

    async def record_failed(self, failures: Sequence[tuple[int, float | None, str]]) -> None:
        self._answer()
        for number, at, error in failures:
            self.errors.append((number, error))
            if at is None:
                self.dead[number] = error
                self.waiting.pop(number, None)
            else:
                self.due_at[number] = at

    async def bring_forward(self, now: float, seconds: float) -> int:
        self._answer()
        put_off = [number for number in self.waiting if self.due_at[number] > now]
        for number in put_off:
            self.due_at[number] = max(now, self.due_at[number] - seconds)
        return len(put_off)

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("the database is away")
        self.changed.set()

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def wait_until_empty(self) -> None:
        await self.wait_for(lambda: not self.waiting)


class Endpoint:
    """A customer's server, which remembers what came and how much of it at once."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[list[int]] = []
        self.requests: list[tuple[web.Request, bytes]] = []
        self.at_once = 0
        self.at_once_max = 0
        self.answer: Handler = self.accept

    @property
    def events(self) -> list[int]:
        return [number for call in self.calls for number in call]

    async def accept(self, request: web.Request) -> web.StreamResponse:
        return web.Response()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            body = await request.read()
            self.requests.append((request, body))
            self.calls.append([event["n"] for event in json.loads(body)["events"]])
            return await self.answer(request)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """Serve on a free port until left."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    yield site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    await runner.cleanup()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = Endpoint()
    async with serving(made.handle) as port:
        made.url = f"http://127.0.0.1:{port}/hook"
        yield made


@pytest.fixture
async def outbox() -> MemoryOutbox:
    return MemoryOutbox()


@asynccontextmanager
async def sending(
    outbox: MemoryOutbox, settings: Webhooks = SETTINGS, **options: Any
) -> AsyncIterator[WebhookSender]:
    metrics = options.pop("metrics", None) or Metrics()
    sender = WebhookSender(
        outbox, settings, metrics.webhooks, poll_s=0.05, gather_s=0.01, **options
    )
    running = asyncio.create_task(sender.run())
    yield sender
    await sender.stop(5)
    await running


def changed(**keys: Any) -> Webhooks:
    return Webhooks(**{name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__} | keys)


async def test_events_arrive_in_one_signed_call(outbox: MemoryOutbox, endpoint: Endpoint) -> None:
    outbox.add(endpoint.url, 3)
    async with sending(outbox):
        await outbox.wait_until_empty()

    [(request, body)] = endpoint.requests
    assert json.loads(body) == {"events": [{"n": 0}, {"n": 1}, {"n": 2}]}
    assert request.method == "POST"
    assert request.content_type == "application/json"
    genuine = judge_signature(SECRET, request.headers[HEADER], body, time.time())
    assert genuine is Verdict.GENUINE
    assert outbox.delivered == [0, 1, 2]


async def test_while_a_secret_is_rotated_a_call_carries_both_signatures(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    outbox.add(endpoint.url)
    outbox.waiting[0] = msgspec.structs.replace(outbox.waiting[0], old_secret="old")
    async with sending(outbox):
        await outbox.wait_until_empty()
    [(request, body)] = endpoint.requests
    for secret in (SECRET, "old"):
        verdict = judge_signature(secret, request.headers[HEADER], body, time.time())
        assert verdict is Verdict.GENUINE


async def test_a_wake_delivers_without_waiting_for_the_next_poll(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    sender = WebhookSender(outbox, SETTINGS, Metrics().webhooks, poll_s=3600, gather_s=0)
    running = asyncio.create_task(sender.run())
    await outbox.wait_for(lambda: True)
    outbox.add(endpoint.url)
    sender.wake()
    await outbox.wait_until_empty()
    await sender.stop(5)
    await running


async def test_many_events_come_in_full_batches_and_in_order(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    outbox.add(endpoint.url, 250)
    async with sending(outbox):
        await outbox.wait_until_empty()
    assert [len(call) for call in endpoint.calls] == [100, 100, 50]
    assert endpoint.events == list(range(250))
    assert endpoint.at_once_max == 1


async def test_a_messages_own_address_gets_a_call_an_event(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    outbox.add(endpoint.url, 5, single=True)
    async with sending(outbox):
        await outbox.wait_until_empty()
    assert endpoint.calls == [[0], [1], [2], [3], [4]]


async def test_an_account_has_only_so_many_calls_at_once(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    async def linger(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return web.Response()

    endpoint.answer = linger
    for number in range(20):
        outbox.add(f"{endpoint.url}/{number}", single=True)
    async with sending(outbox):
        await outbox.wait_until_empty()
    assert endpoint.at_once_max == 2
    assert sorted(endpoint.events) == list(range(20))


async def test_an_endpoint_that_fails_gets_everything_again_in_order(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    answers = iter([500, 503, 302, 408, 200])

    async def hiccup(request: web.Request) -> web.StreamResponse:
        return web.Response(status=next(answers, 200), text="not now")

    endpoint.answer = hiccup
    metrics = Metrics()
    outbox.add(endpoint.url, 2)
    async with sending(outbox, metrics=metrics):
        await outbox.wait_for(lambda: bool(outbox.errors))
        outbox.add(endpoint.url, 2)
        await outbox.wait_until_empty()

    assert outbox.delivered == [0, 1, 2, 3]
    assert [call[:2] for call in endpoint.calls[:5]] == [[0, 1]] * 5
    assert outbox.errors[0] == (0, "HTTP 500: not now")
    text = metrics.render().decode()
    assert 'gateway_webhook_events_total{outcome="delivered"} 4.0' in text
    assert "gateway_webhook_call_seconds_count" in text


@pytest.mark.parametrize("status", [400, 401, 404, 410])
async def test_a_refusal_ends_the_event_with_its_reason(
    outbox: MemoryOutbox, endpoint: Endpoint, status: int
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="gone\nfor good\x00" + "!" * 5000)

    endpoint.answer = refuse
    outbox.add(endpoint.url)
    async with sending(outbox):
        await outbox.wait_until_empty()
    assert len(endpoint.calls) == 1
    assert outbox.dead[0].startswith(f"HTTP {status}: gone for good�!!!")
    assert len(outbox.dead[0]) < 250


async def test_a_customer_that_says_when_is_not_called_earlier(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    async def later(request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "30"})

    endpoint.answer = later
    outbox.add(endpoint.url)
    async with sending(outbox):
        await outbox.wait_for(lambda: bool(outbox.errors))
    assert 28 < outbox.due_at[0] - time.time() <= 30
    assert len(endpoint.calls) == 1


async def test_an_event_is_given_up_after_its_time(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500)

    endpoint.answer = fail
    outbox.add(endpoint.url)
    async with sending(outbox, changed(give_up_after_s=0.3)):
        await outbox.wait_until_empty()
    assert outbox.dead == {0: "HTTP 500"}
    assert len(endpoint.calls) >= 3


async def test_a_customer_that_never_answers_slows_nobody_else(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(hang) as hung_port:
        for number in range(30):
            hung = f"http://127.0.0.1:{hung_port}/{number}"
            outbox.add(hung, account=1, single=True)
        outbox.add(endpoint.url, 500, account=2)
        async with sending(outbox, changed(timeout_s=120.0)) as sender:
            began = time.monotonic()
            await outbox.wait_for(lambda: len(outbox.delivered) == 500)
            assert time.monotonic() - began < 60
            assert sender.held >= 2
            await sender.stop(0)
    assert len(outbox.waiting) == 30


async def test_thousands_of_events_for_a_stalling_customer_hold_up_no_other(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    hanging = 0

    async def hang(request: web.Request) -> web.StreamResponse:
        nonlocal hanging
        hanging += 1
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(hang) as hung_port:
        # Its own endpoint, and as many addresses of single messages.
        outbox.add(f"http://127.0.0.1:{hung_port}/all", 3_000, account=1)
        for number in range(3_000):
            outbox.add(f"http://127.0.0.1:{hung_port}/{number}", account=1, single=True)
        for account in range(2, 12):
            outbox.add(endpoint.url, 200, account=account)
        async with sending(outbox, changed(timeout_s=120.0), held_max=2_000) as sender:
            began = time.monotonic()
            await outbox.wait_for(lambda: len(outbox.delivered) == 2_000)
            assert time.monotonic() - began < 60
            assert hanging <= SETTINGS.connections_per_account
            await sender.stop(0)
    assert len(outbox.waiting) == 6_000
    assert not outbox.dead


async def test_no_answer_in_time_is_a_failure_to_repeat(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.05)

    endpoint.answer = drip
    outbox.add(endpoint.url)
    async with sending(outbox, changed(timeout_s=0.3)):
        await outbox.wait_for(lambda: bool(outbox.errors))
    assert outbox.errors[0] == (0, "no answer within 0.3 s")


async def test_an_endless_answer_is_not_read_to_its_end(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
            written += 65536

    endpoint.answer = flood
    outbox.add(endpoint.url)
    async with sending(outbox, changed(timeout_s=10.0)):
        await outbox.wait_until_empty()
    assert outbox.delivered == [0]
    assert written < 50_000_000


@pytest.mark.parametrize(
    "spoken",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
        b"\xff" * 99999,
    ],
    ids=["hangs up", "not HTTP", "cut short", "garbage"],
)
async def test_a_broken_server_is_a_failure_to_repeat(outbox: MemoryOutbox, spoken: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(spoken)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outbox.add(f"http://127.0.0.1:{port}/")
    async with sending(outbox):
        await outbox.wait_for(lambda: bool(outbox.errors))
    server.close()
    await server.wait_closed()
    assert 0 in outbox.waiting


async def test_nobody_listening_is_a_failure_to_repeat(outbox: MemoryOutbox) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        outbox.add(f"http://127.0.0.1:{reserved.getsockname()[1]}/")
        async with sending(outbox):
            await outbox.wait_for(lambda: bool(outbox.errors))
    assert "ClientConnectorError" in outbox.errors[0][1]


async def test_an_address_that_trips_the_client_stops_nobody(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    outbox.add("https://" + "a" * 300 + ".example/", account=1)
    outbox.add("https://xn--a.example/", account=2)
    outbox.add("https://..example/", account=3)
    outbox.add(endpoint.url, account=4)
    async with sending(outbox, resolver=LyingNames("127.0.0.2")):
        await outbox.wait_for(lambda: outbox.delivered == [3] and len(outbox.errors) >= 3)


# ── Into our own network ────────────────────────────────────────────────────────────────────


class LyingNames(AbstractResolver):
    """A name server of the customer's: every name is this machine."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        version = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        return [
            ResolveResult(
                hostname=host,
                host=self.address,
                port=port,
                family=version,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
async def test_a_name_that_leads_to_us_is_not_called(
    outbox: MemoryOutbox, endpoint: Endpoint, address: str
) -> None:
    outbox.add(endpoint.url.replace("127.0.0.1", "hooks.example"))
    names = LyingNames(address)
    async with sending(outbox, changed(allow_private=False), resolver=names):
        await outbox.wait_for(lambda: bool(outbox.errors))
    assert names.asked
    assert outbox.errors[0][1] == connect.LEADS_NOWHERE
    assert endpoint.requests == []


async def test_a_name_that_leads_elsewhere_the_second_time_is_checked_where_it_leads(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    class Rebinding(LyingNames):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            found = await super().resolve(host, port, family)
            self.address = "127.0.0.1"
            return found

    outbox.add(endpoint.url.replace("127.0.0.1", "hooks.example"))
    names = Rebinding("198.18.0.1")  # nobody's, and refused too
    async with sending(outbox, changed(allow_private=False), resolver=names):
        await outbox.wait_for(lambda: len(outbox.errors) >= 2)
    assert {error for _, error in outbox.errors} == {connect.LEADS_NOWHERE}
    assert endpoint.requests == []


class Names:
    """What the system's look-ups answer, name by name and time by time; the last answer stays."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def look_up(
        self, host: str, port: int, **_: object
    ) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]]:
        self.asked.append(host)
        answers = self._answers[host.partition(".")[0]]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in addresses
        ]


PUBLIC = "127.0.0.2"
"""Stands for an address of the internet, so that nothing leaves this machine."""


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Names]:
    """Have names looked up the usual way, through the system's function, and one address public."""

    def answer(**answers: list[list[str]]) -> Names:
        names = Names(**answers)
        monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
        monkeypatch.setattr(connect, "_NAMES_CACHED_S", 0)
        return names

    monkeypatch.setattr(
        connect,
        "find_address_fault",
        lambda address: "" if address == PUBLIC else find_address_fault(address),
    )
    return answer


@asynccontextmanager
async def both_places(public: Handler, ours: Handler) -> AsyncIterator[int]:
    """Serve on one port at the public address and at ours, each in its own way."""
    async with serving(ours) as port:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", public)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, PUBLIC, port).start()
        yield port
        await runner.cleanup()


async def take(request: web.Request) -> web.StreamResponse:
    """Take a call, and the connection with it, so that the next one looks its name up anew."""
    return web.Response(headers={"Connection": "close"})


async def test_a_name_that_changes_between_two_calls_is_called_at_its_public_address_alone(
    outbox: MemoryOutbox, internet: Callable[..., Names]
) -> None:
    ours = Endpoint()
    names = internet(hooks=[[PUBLIC], ["127.0.0.1"]])
    async with both_places(take, ours.handle) as port:
        outbox.add(f"http://hooks.example:{port}/")
        async with sending(outbox, changed(allow_private=False)) as sender:
            await outbox.wait_for(lambda: outbox.delivered == [0])
            outbox.add(f"http://hooks.example:{port}/")
            sender.wake()
            await outbox.wait_for(lambda: bool(outbox.errors))
    assert outbox.errors[0][1] == connect.LEADS_NOWHERE
    assert len(names.asked) >= 2
    assert ours.requests == []


@pytest.mark.parametrize("addresses", [["127.0.0.1", PUBLIC], [PUBLIC, "127.0.0.1"]])
async def test_of_a_names_several_addresses_ours_is_never_fallen_back_to(
    outbox: MemoryOutbox, internet: Callable[..., Names], addresses: list[str]
) -> None:
    ours = Endpoint()
    internet(hooks=[addresses])
    async with serving(ours.handle) as port:  # nobody listens at the public address
        outbox.add(f"http://hooks.example:{port}/")
        async with sending(outbox, changed(allow_private=False)):
            await outbox.wait_for(lambda: len(outbox.errors) >= 2)
    assert not [error for _, error in outbox.errors if "127.0.0.1" in error]
    assert ours.requests == []


async def test_a_customer_does_not_learn_which_names_of_ours_there_are(
    outbox: MemoryOutbox,
) -> None:
    class OursAlone(LyingNames):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            if host.startswith("absent"):
                raise OSError("Name or service not known")
            return await super().resolve(host, port, family)

    outbox.add("http://database.internal.example:5432/", account=1)
    outbox.add("http://absent.internal.example:5432/", account=2)
    settings, names = changed(allow_private=False), OursAlone("10.1.2.3")
    with structlog.testing.capture_logs() as logged:
        async with sending(outbox, settings, resolver=names):
            await outbox.wait_for(lambda: {number for number, _ in outbox.errors} == {0, 1})
    assert {error for _, error in outbox.errors} == {connect.LEADS_NOWHERE}
    assert "10.1.2.3 is not a public address (private)" in str(logged)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_from_outside_to_us_is_not_followed(
    outbox: MemoryOutbox, internet: Callable[..., Names], status: int
) -> None:
    ours = Endpoint()
    internet(hooks=[[PUBLIC]], inside=[["127.0.0.1"]])

    async def lure(request: web.Request) -> web.StreamResponse:
        to = f"http://{'inside.example' if status == 307 else '127.0.0.1'}:{request.url.port}/"
        return web.Response(status=status, headers={"Location": to, "Refresh": f"0; url={to}"})

    async with both_places(lure, ours.handle) as port:
        outbox.add(f"http://hooks.example:{port}/")
        async with sending(outbox, changed(allow_private=False)):
            await outbox.wait_for(lambda: bool(outbox.errors) or bool(outbox.dead))
    assert outbox.delivered == []
    assert ours.requests == []


async def test_an_address_that_the_environment_calls_a_proxy_is_not_asked(
    outbox: MemoryOutbox, internet: Callable[..., Names], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Endpoint()
    internet(hooks=[[PUBLIC]])
    async with both_places(take, ours.handle) as port:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        outbox.add(f"http://hooks.example:{port}/")
        async with sending(outbox, changed(allow_private=False)):
            await outbox.wait_for(lambda: outbox.delivered == [0])
    assert ours.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_our_own_number_is_refused_at_once(
    outbox: MemoryOutbox, endpoint: Endpoint, host: str
) -> None:
    outbox.add(endpoint.url.replace("127.0.0.1", host))
    async with sending(outbox, changed(allow_private=False)):
        await outbox.wait_until_empty()
    assert "not a public address (loopback)" in outbox.dead[0]
    assert endpoint.requests == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1"])
async def test_our_own_number_in_an_odd_notation_is_not_called(
    outbox: MemoryOutbox, endpoint: Endpoint, host: str
) -> None:
    outbox.add(endpoint.url.replace("127.0.0.1", host))
    async with sending(outbox, changed(allow_private=False)):
        await outbox.wait_for(lambda: bool(outbox.errors))
    assert endpoint.requests == []


async def test_a_redirect_is_not_followed(outbox: MemoryOutbox, endpoint: Endpoint) -> None:
    async def lure(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(location=endpoint.url + "/secret")

    endpoint.answer = lure
    outbox.add(endpoint.url)
    async with sending(outbox):
        await outbox.wait_for(lambda: bool(outbox.errors))
    assert {request.path for request, _ in endpoint.requests} == {"/hook"}


# ── The database, and stopping ──────────────────────────────────────────────────────────────


async def test_an_absent_database_is_waited_for(outbox: MemoryOutbox, endpoint: Endpoint) -> None:
    arrived = asyncio.Event()

    async def lose_database(request: web.Request) -> web.StreamResponse:
        outbox.away = True
        arrived.set()
        return web.Response()

    endpoint.answer = lose_database
    outbox.add(endpoint.url, 3)
    async with sending(outbox):
        await arrived.wait()
        await asyncio.sleep(0.2)  # long enough for several attempts to record
        assert outbox.delivered == []
        outbox.away = False
        await outbox.wait_until_empty()
        assert outbox.delivered == [0, 1, 2]
    assert endpoint.calls == [[0, 1, 2]]


async def test_at_a_stop_a_call_under_way_ends_and_is_recorded(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def linger(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await go_on.wait()
        return web.Response()

    endpoint.answer = linger
    outbox.add(endpoint.url, 150)
    async with sending(outbox) as sender:
        await arrived.wait()
        stopping = asyncio.create_task(sender.stop(10))
        await asyncio.sleep(0)
        go_on.set()
        await stopping

    assert outbox.delivered == list(range(100))
    # The rest is due at once for whoever comes next, not after its lease.
    assert all(outbox.due_at[number] <= time.time() for number in range(100, 150))
    assert len(endpoint.calls) == 1


async def test_a_stop_does_not_wait_for_ever_for_a_customer(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    arrived = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    endpoint.answer = hang
    outbox.add(endpoint.url)
    async with sending(outbox, changed(timeout_s=60.0)) as sender:
        await arrived.wait()
        began = time.monotonic()
        await sender.stop(0.1)
        assert time.monotonic() - began < 30
    assert outbox.errors == [(0, "the gateway stopped during the call")]
    assert outbox.due_at[0] < time.time() + 1


async def test_a_canceled_sender_records_what_it_knows(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    arrived = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    endpoint.answer = hang
    outbox.add(endpoint.url)
    sender = WebhookSender(outbox, SETTINGS, Metrics().webhooks)
    running = asyncio.create_task(sender.run())
    await arrived.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert outbox.errors == [(0, "the gateway stopped during the call")]


async def test_a_sender_that_never_ran_stops_at_once(outbox: MemoryOutbox) -> None:
    await WebhookSender(outbox, SETTINGS, Metrics().webhooks).stop(10)


async def test_an_event_does_not_wait_for_an_hour_that_a_clock_was_ahead(
    outbox: MemoryOutbox, endpoint: Endpoint
) -> None:
    ahead_s = 3_600.0
    set_back: list[float] = []

    async def fail(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500)

    endpoint.answer = fail
    outbox.add(endpoint.url)
    async with sending(
        outbox,
        clock=lambda: time.time() + ahead_s,
        take_set_back=lambda: set_back.pop() if set_back else 0.0,
    ):
        await outbox.wait_for(lambda: bool(outbox.errors))
        assert outbox.due_at[0] > time.time() + 3_000
        endpoint.answer = endpoint.accept
        set_back.append(ahead_s)
        ahead_s = 0.0
        await outbox.wait_until_empty()
