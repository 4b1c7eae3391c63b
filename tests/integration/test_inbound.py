"""Messages from phones, from a simulated carrier through a gateway's process to its customer.

The gateway is killed where it hurts; the carrier sends again what it has no answer for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
import smpplib.client
from aiohttp import web

from bench.peers.processes import find_free_ports
from bench.simulator.mailbox import Delivery
from bench.simulator.phones import write_mobile
from bench.simulator.script import parse_script
from bench.smsc import Smsc
from gateway.hooks.sign import HEADER, Verdict, judge_signature
from gateway.model import Account
from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import encode_short_message
from gateway.smpp.shapes import DeliverSm
from gateway.store.accounts import create_account
from gateway.store.inbound import add_number
from gateway.store.keys import create_key
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import save_smpp_account

TIMEOUT_S = 60.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
LONG = "A long text, cut into parts by the phone that sent it. " * 6
LONG_UCS2 = "Ein langer Text mit Umlauten: äöü, und einem Gesicht 🙂. " * 4
PHONE = "+491511"
REASSEMBLY_S = 4.0

CONFIG = """
[http]
port = {http_port}
[messages]
reassembly_s = {reassembly_s}
[webhooks]
allow_private = true
retry_first_s = 0.2
retry_max_s = 0.5
{smpp}
[[carrier]]
name = "alpha"
host = "127.0.0.1"
port = {smsc_port}
system_id = "alpha"
reconnect_first_s = 0.1
reconnect_max_s = 0.3
{more}
"""


class Customer:
    """An endpoint that takes events and checks who they are from."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.secret = ""
        self.arrived = asyncio.Event()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/events", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/events"

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        verdict = judge_signature(self.secret, request.headers[HEADER], body, time.time())
        assert verdict is Verdict.GENUINE
        self.events += json.loads(body)["events"]
        self.arrived.set()
        return web.Response()

    @property
    def messages(self) -> dict[str, dict[str, Any]]:
        """What was received by its id: an event may come twice, a message may not."""
        return {event["message_id"]: event for event in self.events}

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.messages) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return list(self.messages.values())

    async def stop(self) -> None:
        await self._runner.cleanup()


class World:
    """One carrier and one customer in this process, and a gateway in its own."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.smsc = Smsc(parse_script(""))
        self.customer = Customer()
        self._database_url = database_url
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        (self.http_port,) = find_free_ports(1)

    async def start(
        self, *, reassembly_s: float = 600.0, more: str = "", smpp_port: int = 0
    ) -> None:
        """Start the gateway and return when its bind stands."""
        config = self._folder / "gateway.toml"
        config.write_text(
            CONFIG.format(
                http_port=self.http_port,
                smsc_port=self.smsc.port,
                reassembly_s=reassembly_s,
                more=more,
                smpp=f"[smpp]\nenabled = true\nport = {smpp_port}" if smpp_port else "",
            )
        )
        with (self._folder / "gateway.log").open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "--config", str(config), "serve"),
                stdout=out,
                stderr=out,
                env=os.environ | {"DATABASE_URL": self._database_url},
            )
        async with aiohttp.ClientSession() as http, asyncio.timeout(TIMEOUT_S):
            while True:
                assert self._process.returncode is None, self._log()
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """Stop in order."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
            assert await asyncio.wait_for(self._process.wait(), TIMEOUT_S) == 0, self._log()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def send(self, text: str, **options: Any) -> int:
        """Have a phone send a text; return the number of its parts."""
        source = options.pop("source", PHONE)
        sent = self.smsc.carrier.send_mobile(source, "40404", text, **options)
        self.smsc.carrier.flush()
        return sent

    def put(self, *bodies: bytes) -> None:
        """Have the carrier deliver just these bodies."""
        carrier = self.smsc.carrier
        mailbox = carrier.mailbox("alpha")
        for body in bodies:
            carrier.tally.mobile.made += 1
            mailbox.put(Delivery(v.DELIVER_SM, body, carrier.tally.mobile, 0))
        carrier.flush()

    async def acknowledged(self, count: int) -> None:
        """Return when the gateway has acknowledged this many deliveries altogether."""
        async with asyncio.timeout(TIMEOUT_S):
            while self.smsc.carrier.tally.mobile.acknowledged < count:
                await asyncio.sleep(0.01)

    async def fetch_metrics(self) -> str:
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as answer:
            return await answer.text()

    def _log(self) -> str:
        return (self._folder / "gateway.log").read_text()[-3000:]

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.kill()
        await self.customer.stop()
        await self.smsc.stop()


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    world = World(database_url, tmp_path)
    await world.smsc.start()
    await world.customer.start()
    yield world
    await world.close()


@pytest.fixture
async def shop(world: World, database: Database) -> Account:
    account = await create_account(database, "shop", webhook_url=world.customer.url)
    world.customer.secret = account.webhook_secret
    await add_number(database, account.id, "40404")
    return account


async def bodies(database: Database) -> list[str]:
    found = await database.pool.fetch("SELECT body FROM inbound_messages ORDER BY id")
    return [row["body"] for row in found]


def parts(text: str, bits: Literal[8, 16] = 8) -> list[bytes]:
    return write_mobile(PHONE, "40404", text, reference=77, reference_bits=bits)


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not await reached():
            await asyncio.sleep(0.05)


async def test_texts_of_every_form_reach_their_customer(
    world: World, shop: Account, database: Database
) -> None:
    await world.start()
    sent = [world.send("Ja, gerne"), world.send("Schön 🙂")]
    for bits in (8, 16):
        for text in (LONG, LONG_UCS2):
            for backwards in (False, True):
                sent.append(world.send(text, reference_bits=bits, backwards=backwards))
    sar = [
        encode_short_message(
            DeliverSm(
                source_addr=PHONE,
                destination_addr="40404",
                short_message=text,
                tlvs={
                    v.TAG_SAR_MSG_REF_NUM: b"\x01\x07",
                    v.TAG_SAR_TOTAL_SEGMENTS: b"\x02",
                    v.TAG_SAR_SEGMENT_SEQNUM: bytes((sequence,)),
                },
            )
        )
        for sequence, text in ((2, b" by SAR"), (1, b"Numbered"))
    ]
    payload = encode_short_message(
        DeliverSm(
            source_addr=PHONE,
            destination_addr="40404",
            tlvs={v.TAG_MESSAGE_PAYLOAD: b"x" * 1000},
        )
    )
    world.put(*sar, payload)
    await world.acknowledged(sum(sent) + 3)
    texts = ["Ja, gerne", "Schön 🙂", *[LONG, LONG, LONG_UCS2, LONG_UCS2] * 2]
    expected = sorted([*texts, "Numbered by SAR", "x" * 1000])
    events = await world.customer.wait_for(len(expected))
    assert sorted(event["text"] for event in events) == expected
    assert {(e["type"], e["from"], e["to"], e["carrier"], e["partial"]) for e in events} == {
        ("message.received", "491511", "40404", "alpha", False)
    }
    assert {e["segments"] for e in events if e["text"] == LONG} == {3}
    assert sorted(await bodies(database)) == expected

    key = await create_key(database, shop.id)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key.plaintext}"}) as http:
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            query = f"limit=5&to=40404{cursor and f'&cursor={cursor}'}"
            async with http.get(f"{world.url}/v1/inbound?{query}") as answer:
                page = await answer.json()
                assert answer.status == 200, page
            found += page["messages"]
            cursor = page["next_cursor"]
            if not cursor:
                break
    assert {m["id"]: m["text"] for m in found} == {e["message_id"]: e["text"] for e in events}
    await world.stop()


async def test_a_kill_between_two_parts_is_not_noticed(
    world: World, shop: Account, database: Database
) -> None:
    await world.start()
    first, second, third = parts(LONG)
    world.put(third, first)
    await world.acknowledged(2)
    await world.kill()
    await world.start()
    assert 'gateway_inbound_parts_waiting{carrier="alpha"} 2.0' in await world.fetch_metrics()
    world.put(first, second)  # the first again, as if its answer had been lost
    await world.acknowledged(4)
    (event,) = await world.customer.wait_for(1)
    assert (event["text"], event["segments"], event["partial"]) == (LONG, 3, False)
    await world.kill()
    await world.start()
    world.put(second, third)
    await world.acknowledged(6)
    world.send("the next one")
    events = await world.customer.wait_for(2)
    assert [e["text"] for e in events] == [LONG, "the next one"]
    assert await bodies(database) == [LONG, "the next one"]
    waiting = "SELECT count(*) FROM inbound_parts WHERE message_id IS NULL"
    assert await database.pool.fetchval(waiting) == 0


async def test_a_wait_that_ends_over_a_kill_gives_what_came(
    world: World, shop: Account, database: Database
) -> None:
    await world.start(reassembly_s=REASSEMBLY_S)
    first, _, third = parts(LONG)
    world.put(third, first)
    await world.acknowledged(2)
    await world.kill()
    await world.start(reassembly_s=REASSEMBLY_S)
    (event,) = await world.customer.wait_for(1)
    assert (event["partial"], event["missing"], event["segments"]) == (True, [2], 3)
    assert LONG.startswith(event["text"][:153]) and LONG.endswith(event["text"][153:])
    assert event["at"] - event["received_at"] >= REASSEMBLY_S
    metrics = await world.fetch_metrics()
    assert 'gateway_inbound_odd_total{carrier="alpha",oddity="partial"} 1.0' in metrics
    assert 'gateway_inbound_parts_waiting{carrier="alpha"} 0.0' in metrics
    assert len(await bodies(database)) == 1


async def test_a_number_belongs_to_somebody_as_soon_as_an_operator_says_so(
    world: World, shop: Account, database: Database
) -> None:
    await world.start(more='alphabet = "latin-1"')
    carrier = world.smsc.carrier
    carrier.send_mobile(PHONE, "50505", "to nobody")
    carrier.flush()
    await world.acknowledged(1)
    metrics = await world.fetch_metrics()
    assert 'gateway_inbound_messages_total{carrier="alpha"} 1.0' in metrics
    assert 'gateway_inbound_odd_total{carrier="alpha",oddity="unowned"} 1.0' in metrics
    await add_number(database, shop.id, "+50505", "alpha")

    body = encode_short_message(
        DeliverSm(
            source_addr=PHONE, destination_addr="50505", short_message="Où?".encode("latin-1")
        )
    )

    async def owned() -> bool:
        world.put(body)
        return bool(world.customer.messages)

    await until(owned)
    assert world.customer.events[0]["text"] == "Où?"
    unowned = await database.pool.fetch("SELECT body FROM inbound_messages WHERE account_id = 0")
    assert unowned[0]["body"] == "to nobody"
    await world.stop()


def fetch_by_smpp(port: int, count: int) -> list[tuple[bytes, int, bytes]]:
    """Bind as a customer does, by a library of other hands, and take `count` deliveries."""
    taken: list[tuple[bytes, int, bytes]] = []

    def take(pdu: Any) -> int:
        taken.append((pdu.source_addr, pdu.esm_class, pdu.short_message))
        return 0

    client = smpplib.client.Client(
        "127.0.0.1", port, timeout=TIMEOUT_S, allow_unknown_opt_params=True
    )
    client.set_message_received_handler(take)
    client.connect()
    client.bind_receiver(system_id="shop", password="secret")
    while len(taken) < count:
        client.read_once()
    client.unbind()
    client.disconnect()
    return taken


async def test_a_customer_that_binds_gets_what_came_while_it_was_away(
    world: World, database: Database
) -> None:
    account = await create_account(database, "shop")
    await add_number(database, account.id, "40404")
    await save_smpp_account(database, account.id, system_id="shop", password="secret")
    (port,) = find_free_ports(1)
    await world.start(smpp_port=port)
    sent = world.send("Ja") + world.send(LONG, reference_bits=16, backwards=True)
    await world.acknowledged(sent)
    await world.kill()
    await world.start(smpp_port=port)
    single, *others = await asyncio.to_thread(fetch_by_smpp, port, 1 + 3)
    assert single == (b"491511", 0, b"Ja")
    assert {esm_class for _, esm_class, _ in others} == {v.ESM_CLASS_UDHI}
    assert b"".join(octets[6:] for _, _, octets in others).decode() == LONG
    await world.stop()
    assert await database.pool.fetchval("SELECT count(*) FROM deliveries") == 0
    assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_kills_in_the_middle_of_many_long_texts_hand_each_over_once(
    world: World, shop: Account, database: Database
) -> None:
    count = 600
    await world.customer.stop()  # so that every event stays where it was written
    world.smsc.carrier.follow(parse_script("[server]\nreceipt_window = 20\n"))
    await world.start()
    texts = {f"{number:03d} {LONG}" for number in range(count)}
    sent = 0
    for number, text in enumerate(sorted(texts)):
        sent += world.send(text, source=f"+4915{number:05d}", backwards=bool(number % 2))
    tally = world.smsc.carrier.tally.mobile
    for share in (0.2, 0.5):
        await world.acknowledged(int(sent * share))
        await world.kill()
        assert tally.acknowledged < sent, "the kill came too late to show anything"
        await world.start()
    await world.acknowledged(sent)
    assert tally.redelivered > 0
    await world.stop()  # so that what was acknowledged is all that there is
    assert sorted(await bodies(database)) == sorted(texts)
    events = [json.loads(row["body"]) for row in await database.pool.fetch("SELECT * FROM outbox")]
    assert sorted(event["text"] for event in events) == sorted(texts)
    assert not any(event["partial"] for event in events)
    waiting = "SELECT count(*) FROM inbound_parts WHERE message_id IS NULL"
    assert await database.pool.fetchval(waiting) == 0
