"""A running gateway goes by what is imported, and writes down what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

import gateway.operators
from gateway.app import Gateway
from gateway.config_file import build_config
from gateway.model import Account
from gateway.routing.operator_files import Ported
from gateway.routing.operators import Operator
from gateway.store import keys
from gateway.store.operators import import_ported, import_prefixes
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]
NOWHERE = {"host": "127.0.0.1", "port": 1, "system_id": "us"}
TELEKOM = Operator("262", "01", "Telekom", "DE")


class Live:
    """A gateway that runs in this loop, and a client with a key."""

    def __init__(
        self, database: Database, gateway: Gateway, running: asyncio.Task[None], key: str
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._running = running
        self._headers = {"Authorization": f"Bearer {key}"}

    async def stop(self) -> None:
        """Stop in order; harmless when it is over."""
        self._gateway.stop()
        await asyncio.wait_for(asyncio.shield(self._running), 30)

    async def send(self, to: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._gateway.port}/v1/messages"
        async with aiohttp.ClientSession(headers=self._headers) as session:
            async with session.post(url, json={"to": to, "from": "Shop", "text": "Hi"}) as answer:
                body: dict[str, Any] = await answer.json()
        return body

    async def routed(self, to: str) -> list[str]:
        """Send a message and return the names of its carriers in order."""
        sent = await self.send(to)
        names: list[str] = await self._database.pool.fetchval(
            "SELECT array_agg(c.name ORDER BY r.place) FROM messages m,"
            " unnest(m.routes) WITH ORDINALITY AS r(id, place) JOIN carriers c USING (id)"
            " WHERE m.id = $1",
            int(sent["id"]),
        )
        return names

    async def eventually(self, to: str, carriers: list[str]) -> None:
        async with asyncio.timeout(10):
            while await self.routed(to) != carriers:
                await asyncio.sleep(0.05)


@pytest.fixture
async def live(
    database_url: str,
    database: Database,
    make_account: MakeAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Live]:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(gateway.operators, "WATCH_S", 0.05)
    shop = await make_account("shop")
    key = await keys.create_key(database, shop.id)
    config = build_config(
        {
            "node": {"database_url": database_url},
            "http": {"port": 0},
            "carrier": [{"name": name, **NOWHERE} for name in ("alpha", "beta")],
            "route": [
                {"carriers": ["alpha"]},
                {"carriers": ["beta", "alpha"], "operators": ["262-01"]},
            ],
        }
    )
    running = Gateway(config)
    ready = asyncio.Event()
    task = asyncio.create_task(running.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    live = Live(database, running, task, key.plaintext)
    try:
        yield live
    finally:
        waiting.cancel()
        await live.stop()


async def test_imported_operators_route_messages_without_a_restart(
    live: Live, database: Database
) -> None:
    assert await live.routed("+491713920010") == ["alpha"]
    await import_prefixes(database, {"49171": TELEKOM})
    await live.eventually("+491713920010", ["beta", "alpha"])
    await import_ported(database, [Ported("491713920010", "26202")], replace=False)
    await live.eventually("+491713920010", ["alpha"])
    assert await live.routed("+491713920011") == ["beta", "alpha"]


async def test_refused_numbers_are_written_down_at_the_latest_when_the_gateway_stops(
    live: Live, database: Database
) -> None:
    for to, code in (("+442071838750", "number_fixed_line"), ("12", "number_too_short")):
        assert (await live.send(to))["code"] == code
    await live.stop()
    rows = await database.pool.fetch("SELECT country, reason, count FROM ineligible ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        ("GB", "number_fixed_line", 1),
        ("US", "number_too_short", 1),
    ]
