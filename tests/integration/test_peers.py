"""Kannel's and Jasmin's calls against a whole gateway: over sockets, to a simulated carrier, and
back to endpoints that expect their callbacks.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bench.simulator.script import parse_script
from bench.smsc import Smsc
from gateway.app import Gateway
from gateway.config_file import build_config
from gateway.model import Account
from gateway.scopes import SCOPES
from gateway.store import accounts, keys
from gateway.store.postgres import Database

TIMEOUT_S = 20.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
SCRIPT = """
[[rule]]
suffix = "1"
receipts = [{ state = "UNDELIV", err = "021" }]
[[rule]]
suffix = "3"
refuse = [{ status = 0x0B, share = 1.0 }]
"""
GOOD, UNDELIVERED, REFUSED = "447400000000", "447400000001", "447400000003"


class Endpoint:
    """A customer's server, which remembers each call."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        """Method, path, and the query or the form."""
        self.answers: list[tuple[int, str]] = []
        """What the next calls are answered with; then 200 ACK/Jasmin."""
        self._changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        form = await request.post() if request.method == "POST" else {}
        values = {**request.query, **{name: str(value) for name, value in form.items()}}
        self.calls.append((request.method, request.path, values))
        self._changed.set()
        status, text = self.answers.pop(0) if self.answers else (200, "ACK/Jasmin")
        return web.Response(status=status, text=text)

    async def wait_for(self, count: int) -> list[tuple[str, str, dict[str, str]]]:
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.calls) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.calls


class World:
    """A gateway that runs in this loop, and a customer of it."""

    def __init__(self, gateway: Gateway, key: str, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.key = key
        self._http = http

    async def call(
        self, path: str, method: str = "GET", *, basic: bool = False, **options: Any
    ) -> tuple[int, str, dict[str, str]]:
        """Return status, body and headers."""
        headers = options.pop("headers", {})
        if basic:
            token = base64.b64encode(f"shop:{self.key}".encode()).decode()
            headers = {**headers, "Authorization": f"Basic {token}"}
        url = f"http://127.0.0.1:{self.gateway.port}{path}"
        async with self._http.request(method, url, headers=headers, **options) as answer:
            return answer.status, await answer.text(), dict(answer.headers)

    async def kannel(self, **parameters: Any) -> tuple[int, str]:
        given = {"username": "shop", "password": self.key, "text": "Hello", **parameters}
        status, body, _ = await self.call("/cgi-bin/sendsms", params=given)
        return status, body

    async def jasmin(self, path: str = "/send", **parameters: Any) -> tuple[int, str]:
        given = {"username": "shop", "password": self.key, **parameters}
        status, body, _ = await self.call(path, params=given)
        return status, body

    async def message(self, message_id: str) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        _, body, _ = await self.call(f"/v1/messages/{message_id}", headers=headers)
        return json.loads(body)

    async def messages(self, count: int) -> list[Any]:
        """Return all messages, newest first, once there are so many."""
        headers = {"Authorization": f"Bearer {self.key}"}
        _, body, _ = await self.call("/v1/messages", headers=headers)
        found: list[Any] = json.loads(body)["messages"]
        assert len(found) == count
        return found


Start = Callable[..., Awaitable[World]]


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = Endpoint()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def start(
    database: Database,
    database_url: str,
    make_account: Callable[..., Awaitable[Account]],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Start]:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    smsc = Smsc(parse_script(SCRIPT))
    await smsc.start()
    account = await make_account("shop")
    key = (await keys.create_key(database, account.id)).plaintext
    running: list[tuple[Gateway, asyncio.Task[None]]] = []
    async with aiohttp.ClientSession() as http:

        async def start(**sections: Any) -> World:
            settings: dict[str, Any] = {
                "node": {"database_url": database_url},
                "http": {"port": 0},
                "webhooks": {"allow_private": True, "retry_first_s": 0.1},
                "dispatch": {"stop_timeout_s": 2.0},
                "carrier": [
                    {
                        "name": "north",
                        "host": "127.0.0.1",
                        "port": smsc.port,
                        "system_id": "gw",
                        "password": "secret",
                        "reconnect_first_s": 0.1,
                    }
                ],
                "route": [{"carriers": ["north"]}],
                "price": [{"price": "0.01"}],
            }
            for name, keys in sections.items():
                settings[name] = settings.get(name, {}) | keys
            gateway = Gateway(build_config(settings))
            ready = asyncio.Event()
            task = asyncio.create_task(gateway.run(ready.set))
            running.append((gateway, task))
            await asyncio.wait_for(ready.wait(), TIMEOUT_S)
            async with asyncio.timeout(TIMEOUT_S):
                while not any(line.bound for line in gateway.parts.lines.values()):
                    await asyncio.sleep(0.01)
            await database.pool.execute(
                "UPDATE accounts SET default_sender = 'Shop' WHERE id = $1", account.id
            )
            return World(gateway, key, http)

        yield start
        for gateway, task in running:
            gateway.stop()
            await asyncio.wait_for(task, TIMEOUT_S * 3)
    await smsc.stop()


# ── Kannel ──────────────────────────────────────────────────────────────────────────────────


async def test_kannels_call_is_taken_and_its_callbacks_are_made(
    start: Start, endpoint: Endpoint
) -> None:
    world = await start()
    pattern = f"{endpoint.url}/dlr?type=%d&id=%I&smsc=%i&to=%p&from=%P&ref=7&a=%A"
    answer = await world.kannel(to=GOOD, **{"dlr-mask": "31", "dlr-url": pattern})
    assert answer == (202, "0: Accepted for delivery")
    calls = await endpoint.wait_for(2)
    ((message),) = await world.messages(1)
    assert sorted(values["type"] for _, _, values in calls) == ["1", "8"]
    for method, path, values in calls:
        assert (method, path, values["ref"]) == ("GET", "/dlr", "7")
        assert (values["id"], values["smsc"]) == (message["id"], "north")
        assert (values["to"], values["from"]) == (GOOD, "Shop")
    texts = {values["type"]: values["a"] for _, _, values in calls}
    assert texts["8"] == "ACK/"
    assert "stat:DELIVRD" in texts["1"]


@pytest.mark.parametrize(
    ("to", "mask", "types"),
    [
        (UNDELIVERED, "3", {"2"}),
        (UNDELIVERED, "27", {"8", "2"}),
        (REFUSED, "19", {"16"}),
        (GOOD, "1", {"1"}),
    ],
)
async def test_a_mask_says_what_is_told(
    start: Start, endpoint: Endpoint, to: str, mask: str, types: set[str]
) -> None:
    world = await start()
    url = f"{endpoint.url}/?t=%d"
    # What is not asked for would come before this one's end is told.
    await world.kannel(to=to, **{"dlr-mask": mask, "dlr-url": url})
    calls = await endpoint.wait_for(len(types))
    assert {values["t"] for _, _, values in calls} == types


async def test_a_kannel_callback_that_fails_is_made_again(start: Start, endpoint: Endpoint) -> None:
    world = await start()
    endpoint.answers = [(500, ""), (302, ""), (200, "anything")]
    await world.kannel(to=GOOD, **{"dlr-mask": "1", "dlr-url": f"{endpoint.url}/x"})
    assert len(await endpoint.wait_for(3)) == 3


async def test_private_addresses_are_refused_to_callbacks_too(
    start: Start, endpoint: Endpoint, database: Database
) -> None:
    world = await start(webhooks={"allow_private": False})
    await world.kannel(to=GOOD, **{"dlr-mask": "1", "dlr-url": f"{endpoint.url}/x"})
    await world.jasmin(to=GOOD, content="x", **{"dlr-url": f"{endpoint.url}/x", "dlr-level": "2"})
    async with asyncio.timeout(TIMEOUT_S):
        while await database.pool.fetchval("SELECT count(*) FROM outbox WHERE dead") < 2:
            await asyncio.sleep(0.05)
    errors = await database.pool.fetch("SELECT error FROM outbox")
    assert all("not a public address" in row["error"] for row in errors)
    assert endpoint.calls == []


async def test_kannels_forms_of_a_post(start: Start) -> None:
    world = await start()
    form = {"user": "shop", "pass": world.key, "to": f"{GOOD} {UNDELIVERED}", "text": "grün"}
    status, body, _ = await world.call("/cgi-bin/sendsms", "POST", data=form)
    assert (status, body) == (202, "0: Accepted for delivery")
    headers = {
        "X-Kannel-Username": "shop",
        "X-Kannel-Password": world.key,
        "X-Kannel-To": GOOD,
        "X-Kannel-Coding": "1",
        "X-Kannel-UDH": "0605040B8423F0",
        "Content-Type": "application/octet-stream",
    }
    status, body, _ = await world.call(
        "/cgi-bin/sendsms", "POST", data=b"\x01\x02", headers=headers
    )
    assert (status, body) == (202, "0: Accepted for delivery")
    binary, *texts = await world.messages(3)
    assert (binary["data"], binary["udh"], binary["encoding"]) == (
        "0102",
        "0605040b8423f0",
        "binary",
    )
    assert [text["text"] for text in texts] == ["grün", "grün"]


async def test_what_kannel_refuses_is_refused_in_its_words(start: Start) -> None:
    world = await start()
    assert await world.kannel(to=GOOD, password="wrong") == (
        403,
        "Authorization failed for sendsms",
    )
    assert await world.kannel(to=GOOD, username="bank") == (403, "Authorization failed for sendsms")
    assert await world.kannel() == (400, "Missing receiver number, rejected")
    status, body = await world.kannel(to="123 456")
    assert (status, body[:30]) == (400, "Number(s) has/have been denied")
    status, body = await world.kannel(to=f"{GOOD} 123")
    assert (status, body) == (202, "0: Accepted for delivery Denied receivers are: 123")
    assert await world.kannel(to=GOOD, deferred="10") == (202, "3: Queued for later delivery")
    status, body, _ = await world.call("/cgi-bin/sendsms", "DELETE")
    assert status == 405


# ── Jasmin ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_jasmins_call_is_taken_and_its_callbacks_are_made(
    start: Start, endpoint: Endpoint, method: str
) -> None:
    world = await start()
    status, body = await world.jasmin(
        to=GOOD,
        content="Hello",
        **{"dlr-url": f"{endpoint.url}/dlr", "dlr-level": "3", "dlr-method": method},
    )
    assert status == 200
    assert body.startswith('Success "')
    message_id = body.split('"')[1]
    assert (await world.message(message_id))["text"] == "Hello"
    calls = await endpoint.wait_for(2)
    assert {call[:2] for call in calls} == {(method, "/dlr")}
    by_level = {values["level"]: values for _, _, values in calls}
    assert by_level["1"] == {
        "id": message_id,
        "level": "1",
        "connector": "north",
        "message_status": "ESME_ROK",
    }
    receipt = by_level["2"]
    assert (receipt["id"], receipt["message_status"], receipt["dlvrd"]) == (
        message_id,
        "DELIVRD",
        "001",
    )


async def test_jasmins_callback_is_made_until_it_is_acknowledged(
    start: Start, endpoint: Endpoint, database: Database
) -> None:
    world = await start()
    endpoint.answers = [(200, "OK"), (400, "ACK/Jasmin"), (200, " ACK/Jasmin\n")]
    dlr = {"dlr-url": f"{endpoint.url}/dlr", "dlr-level": "1"}
    await world.jasmin(to=REFUSED, content="x", **dlr)
    calls = await endpoint.wait_for(3)
    assert {values["message_status"] for _, _, values in calls} == {"ESME_RINVDSTADR"}
    endpoint.answers = [(404, "ACK/Jasmin")]
    await world.jasmin(to=GOOD, content="x", **dlr)
    await endpoint.wait_for(4)
    async with asyncio.timeout(TIMEOUT_S):
        while not await database.pool.fetchval("SELECT count(*) FROM outbox WHERE dead"):
            await asyncio.sleep(0.05)
    assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_jasmins_errors_have_its_words_and_statuses(start: Start) -> None:
    world = await start()
    assert await world.jasmin(to=GOOD) == (400, 'Error "content or hex-content not present."')
    assert await world.jasmin(to=GOOD, content="x", password="wrong") == (
        403,
        'Error "Authentication failure for username:shop"',
    )
    status, body, _ = await world.call("/send")
    assert (status, body[:14]) == (400, 'Error "Mandato')
    status, body = await world.jasmin(to="123", content="x")
    assert (status, body[:7]) == (400, 'Error "')


async def test_jasmins_rate_balance_and_ping(start: Start) -> None:
    world = await start()
    assert await world.jasmin("/balance") == (200, '{"balance":100,"sms_count":"ND"}')
    status, body = await world.jasmin("/rate", to=GOOD, content="x" * 200)
    assert (status, body) == (200, '{"unit_rate":0.01,"submit_sm_count":2}')
    assert (await world.jasmin("/rate", to="123", content="x"))[0] == 400
    assert (await world.jasmin("/balance", password="x"))[0] == 403
    assert (await world.call("/ping"))[:2] == (200, "Jasmin/PONG")


async def test_jasmins_rest_calls(start: Start, endpoint: Endpoint) -> None:
    world = await start()
    status, body, _ = await world.call(
        "/secure/send", "POST", basic=True, json={"to": int(GOOD), "from": "Shop", "content": "Hi"}
    )
    assert status == 200
    assert json.loads(body)["data"].startswith('Success "')
    batch = {
        "globals": {"from": "Shop"},
        "batch_config": {
            "callback_url": f"{endpoint.url}/ok",
            "errback_url": f"{endpoint.url}/no",
        },
        "messages": [{"to": [GOOD, UNDELIVERED], "content": "many"}, {"to": "123", "content": "x"}],
    }
    status, body, _ = await world.call("/secure/sendbatch", "POST", basic=True, json=batch)
    data = json.loads(body)["data"]
    assert (status, data["messageCount"]) == (200, 3)
    calls = await endpoint.wait_for(3)
    assert {values["batchId"] for _, _, values in calls} == {data["batchId"]}
    assert sorted((path, values["status"], values["to"]) for _, path, values in calls) == [
        ("/no", "0", "123"),
        ("/ok", "1", GOOD),
        ("/ok", "1", UNDELIVERED),
    ]
    assert len(await world.messages(3)) == 3
    status, body, _ = await world.call("/secure/balance", basic=True)
    assert (status, json.loads(body)) == (200, {"data": {"balance": 99.97, "sms_count": "ND"}})
    status, body, _ = await world.call(f"/secure/rate?to={GOOD}", basic=True)
    assert (status, json.loads(body)["data"]["submit_sm_count"]) == (200, 1)
    status, body, headers = await world.call("/secure/balance")
    assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="gateway"')
    status, body, _ = await world.call("/secure/send", "POST", basic=True, data=b"{")
    assert (status, json.loads(body)) == (412, {"message": 'Error "Cannot parse JSON data"'})


async def test_without_credit_each_says_so(start: Start, database: Database) -> None:
    world = await start()
    await database.pool.execute("UPDATE balances SET available_micros = 0")
    status, body = await world.kannel(to=GOOD)
    assert (status, body.endswith(", rejected")) == (402, True)
    status, body = await world.jasmin(to=GOOD, content="x")
    assert (status, body[:27]) == (403, 'Error "Cannot charge submit')


async def test_peers_that_are_switched_off_are_not_there(start: Start) -> None:
    world = await start(http={"peers": ["jasmin"]})
    assert (await world.kannel(to=GOOD))[0] == 404
    assert (await world.jasmin("/balance"))[0] == 200


@pytest.mark.parametrize("held", sorted(SCOPES))
async def test_their_calls_refuse_a_key_without_the_scope(
    start: Start, database: Database, held: str
) -> None:
    world = await start()
    [shop] = await accounts.list_accounts(database)
    key = await keys.create_key(database, shop.account.id, scopes=SCOPES[held])
    world.key = key.plaintext
    to_send = {"to": GOOD, "from": "Shop", "content": "Hello"}
    statuses = {
        "send": [
            (await world.kannel(to=GOOD, **{"from": "Shop"}))[0],
            (await world.jasmin("/send", **to_send))[0],
            (await world.call("/secure/send", "POST", basic=True, json=to_send))[0],
            (
                await world.call(
                    "/secure/sendbatch", "POST", basic=True, json={"messages": [to_send]}
                )
            )[0],
        ],
        "read": [
            (await world.jasmin("/rate", **to_send))[0],
            (await world.jasmin("/balance"))[0],
            (await world.call("/secure/rate", "GET", basic=True, params=to_send))[0],
            (await world.call("/secure/balance", basic=True))[0],
        ],
    }
    for scope, found in statuses.items():
        assert all((status == 403) == (scope != held) for status in found), (scope, found)
