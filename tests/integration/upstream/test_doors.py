"""Who gets in over HTTP, shown on a running gateway, on every way that requests take.

Keys' rotation, end, networks and scopes, wrong keys by address, and whose address counts behind a
proxy.
"""

from __future__ import annotations

import base64
import datetime
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import multidict
import pytest

from gateway.api.logins import LoginRefusal
from gateway.config import Log
from gateway.logs import setup_logging
from gateway.metrics import Metrics, UpstreamMetrics
from gateway.model import Account
from gateway.scopes import READ, SEND
from gateway.store import keyring
from gateway.store.keys import create_key, revoke_key, rotate_key
from gateway.store.postgres import Database
from gateway.upstream.admission import Reason

Start = Callable[..., Awaitable[Any]]

BEHIND_PROXY = {"trusted_proxies": ["127.0.0.1", "10.9.0.0/16"]}
CUSTOMER = "198.51.100.7"
STRANGER = "203.0.113.66"
MESSAGE = {"to": "+447400123456", "from": "Shop", "text": "Hello"}

WAYS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "direct": ("POST", "/v1/messages", {"json": MESSAGE}),
    "bypass": ("POST", "/v1/messages/batch", {"json": {"messages": [MESSAGE]}}),
    "framework": ("POST", "/v1/webhooks/replay", {"json": {"all": True}}),
    "peers": (
        "POST",
        "/secure/send",
        {"json": {"to": "447400123456", "from": "Shop", "content": "Hello"}},
    ),
}
"""One call with the scope `send` for each way that requests take."""


class Client:
    """Calls a gateway with one key, from wherever a proxy would say."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def ask(self, way: str, key: str, *headers: tuple[str, str]) -> int:
        method, path, request = WAYS[way]
        sent = multidict.CIMultiDict(headers)
        if way == "peers":
            basic = base64.b64encode(f"shop:{key}".encode()).decode()
            sent.add("Authorization", f"Basic {basic}")
        else:
            sent.add("Authorization", f"Bearer {key}")
        async with self._session.request(
            method, self._base + path, headers=sent, **request
        ) as answer:
            await answer.read()
            return answer.status


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Any], Client]]:
    async with aiohttp.ClientSession() as session:
        yield lambda running: Client(session, f"http://127.0.0.1:{running.gateway.port}")


@pytest.fixture(autouse=True)
def checked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a key may do is looked up for every request, so that nobody waits for FRESH_S."""
    monkeypatch.setattr(keyring, "FRESH_S", 0.0)


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    setup_logging(Log(format="json"), stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


async def test_a_key_lives_beside_the_one_that_takes_its_place_and_both_end_in_time(
    start: Start, connect: Callable[[Any], Client], database: Database, shop: Account
) -> None:
    client = connect(await start())
    now = datetime.datetime.now(datetime.UTC)
    in_a_day = now + datetime.timedelta(days=1)
    old = await create_key(database, shop.id, scopes=SEND)
    new = (await rotate_key(database, shop.id, old.prefix, old_until=in_a_day)).made
    for way in WAYS:
        assert {await client.ask(way, key.plaintext) for key in (old, new)} <= {200, 202}, way
    async with database.acquire() as connection:  # the day passes
        await connection.execute(
            "UPDATE api_keys SET expires_at = now() WHERE prefix = $1", old.prefix
        )
    for way in WAYS:
        assert await client.ask(way, old.plaintext) == 401, way
        assert await client.ask(way, new.plaintext) in (200, 202), way
    assert await revoke_key(database, shop.id, new.prefix)
    short = await create_key(database, shop.id, expires_at=now - datetime.timedelta(seconds=1))
    for way in WAYS:
        assert await client.ask(way, new.plaintext) == 401, way
        assert await client.ask(way, short.plaintext) == 401, way


async def test_a_key_without_the_scope_gets_in_by_no_way(
    start: Start, connect: Callable[[Any], Client], database: Database, shop: Account
) -> None:
    running = await start()
    client = connect(running)
    key = (await create_key(database, shop.id, scopes=READ)).plaintext
    assert {await client.ask(way, key) for way in WAYS} == {403}
    assert running.metric("gateway_http_logins_refused_total", reason="scope") == len(WAYS)


async def test_a_key_s_networks_are_its_client_s_and_not_the_proxy_s(
    start: Start, connect: Callable[[Any], Client], database: Database, shop: Account
) -> None:
    running = await start(http=BEHIND_PROXY)
    client = connect(running)
    key = (await create_key(database, shop.id, networks=["198.51.100.0/24"])).plaintext
    refused = {"peers": 401}
    for way in WAYS:
        for told in (
            [CUSTOMER],
            [f"{STRANGER}, {CUSTOMER}"],
            [STRANGER, CUSTOMER],
            [f"{CUSTOMER}, 10.9.3.1"],
        ):
            lines = [("X-Forwarded-For", line) for line in told]
            assert await client.ask(way, key, *lines) in (200, 202), (way, told)
        for told in (
            [],
            [STRANGER],
            [f"{CUSTOMER}, {STRANGER}"],
            [CUSTOMER, STRANGER],
            [f"{CUSTOMER}, "],
            [f"{CUSTOMER}, unknown"],
            [f'{CUSTOMER}, "'],
            [f"{CUSTOMER} {CUSTOMER}"],
        ):
            lines = [("X-Forwarded-For", line) for line in told]
            lines += [
                ("Forwarded", f"for={CUSTOMER}"),
                *((name, CUSTOMER) for name in ("X-Real-IP", "True-Client-IP", "Client-IP")),
            ]
            assert await client.ask(way, key, *lines) == refused.get(way, 403), (way, told)


async def test_who_is_no_proxy_of_ours_comes_from_where_it_comes_from(
    start: Start, connect: Callable[[Any], Client], database: Database, shop: Account
) -> None:
    client = connect(await start(http={"trusted_proxies": ["10.9.0.0/16"]}))
    theirs = (await create_key(database, shop.id, networks=["198.51.100.0/24"])).plaintext
    ours = (await create_key(database, shop.id, networks=["127.0.0.1"])).plaintext
    told = [("X-Forwarded-For", CUSTOMER), ("Forwarded", f"for={CUSTOMER}")]
    for way in WAYS:
        assert await client.ask(way, theirs, *told) in (401, 403), way
        assert await client.ask(way, ours, *told) in (200, 202), way


async def test_wrong_keys_slow_the_client_that_sends_them_and_nobody_else_behind_its_proxy(
    start: Start,
    connect: Callable[[Any], Client],
    database: Database,
    shop: Account,
    said: io.StringIO,
) -> None:
    running = await start(http=BEHIND_PROXY | {"login_failures_per_min": 3})
    client = connect(running)
    key = (await create_key(database, shop.id)).plaintext

    async def guess(address: str, *forged: str) -> int:
        lines = [("X-Forwarded-For", line) for line in (*forged, address)]
        return await client.ask("framework", "gw_aaaaaaaa_" + "x" * 43, *lines)

    # A minute may end in between: then the count begins anew, once.
    answers = [await guess(STRANGER, f"192.0.2.{number}") for number in range(8)]
    assert set(answers) == {401, 429}
    assert await client.ask("framework", key, ("X-Forwarded-For", CUSTOMER)) == 200
    assert await guess(CUSTOMER) == 401
    name = "gateway_http_logins_refused_total"
    assert running.metric(name, reason="key") == answers.count(401) + 1
    assert running.metric(name, reason="slowed") == answers.count(429)
    logged = [line for line in said.getvalue().splitlines() if '"login_refused"' in line]
    assert any(STRANGER in line and '"slowed"' in line for line in logged)
    assert any(CUSTOMER in line and '"key"' in line for line in logged)
    assert len(logged) <= 6, "one an address and reason, in at most two minutes"
    assert "192.0.2." not in said.getvalue()


def test_each_reason_to_keep_somebody_out_is_counted_from_the_start() -> None:
    assert set(Metrics.LOGIN_REFUSALS) == set(LoginRefusal)
    assert set(UpstreamMetrics.REFUSALS) == set(Reason) - {"hurried", "busy", "stopping"}
    said = Metrics().render().decode()
    assert 'gateway_http_logins_refused_total{reason="slowed"} 0.0' in said
    assert 'gateway_upstream_binds_refused_total{reason="credentials"} 0.0' in said
