"""A gateway at work writes no number and no text into its log, and brings no erased one back."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
import structlog

from gateway.config import Log
from gateway.lifecycle import EventKind
from gateway.logs import setup_logging
from gateway.model import Account
from gateway.smpp import vocabulary as v
from gateway.store.erasures import Erasures
from gateway.store.inbound import add_number
from gateway.store.keys import create_key
from gateway.store.postgres import Database

Start = Callable[..., Awaitable[Any]]
NUMBER = "447400900123"
REFUSED = "447400900455"
PHONE = "447400900789"
NATIONAL = "0740090012"
TEXT = "Grandmother's recipe for plums"
SAID = "Please call my sister"
LATE_S = 4.0


@pytest.fixture
def script() -> str:
    return f"""
[[rule]]
suffix = "455"
refuse = [{{ status = 0x0B }}]
[[rule]]
suffix = "123"
receipts = [{{ state = "DELIVRD", delay = {LATE_S} }}]
"""


async def until(check: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(20):
        while not await check():
            await asyncio.sleep(0.05)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the gateway logs, at every level."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    setup_logging(Log(format="json", level="debug"), stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_no_line_of_the_log_has_a_number_or_a_text_at_any_level(
    log: io.StringIO, start: Start, shop: Account, carrier: Any, database: Database
) -> None:
    running = await start()
    customer = await running.connect(v.BIND_TRANSCEIVER)
    await add_number(database, shop.id, "80800")
    for number in (NUMBER, REFUSED, NATIONAL, "not a number"):
        customer.submit(TEXT, to=number)
        await customer.submitted()
    customer.send(b"\0\0\0\x20\0\0\0\4\0\0\0\0\0\0\0\x63" + NUMBER.encode() + b"\0\0\0\0")
    await carrier.receive()
    carrier.send(PHONE, "80800", SAID)
    carrier.send(PHONE, "90900", SAID)  # nobody's number
    await customer.receive_delivery()
    key = (await create_key(database, shop.id)).plaintext
    url = f"http://127.0.0.1:{running.gateway.port}/v1/messages"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for body in (
            {"to": NUMBER, "text": TEXT, "from": "Shop"},
            {"to": NATIONAL, "text": TEXT},
            {"to": NUMBER, "text": TEXT, "callback_url": f"http://127.0.0.1:9/?to={NUMBER}"},
            {"to": NUMBER, "text": TEXT, "tex": SAID},
        ):
            async with session.post(url, json=body) as answer:
                await answer.read()
        async with session.get(f"{url}?to={NUMBER}") as answer:
            assert NUMBER in await answer.text()

    async def both_came() -> bool:
        return bool(await database.pool.fetchval("SELECT count(*) = 2 FROM inbound_messages"))

    await until(both_came)
    await running.stop()

    said = log.getvalue()
    assert "bound" in said
    for secret in (NUMBER, REFUSED, PHONE, NATIONAL, TEXT, SAID, TEXT.encode().hex()):
        assert secret not in said


async def test_a_receipt_after_the_erasure_does_not_bring_the_number_back(
    start: Start, shop: Account, database: Database, put_event: Callable[..., Awaitable[None]]
) -> None:
    running = await start()
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit(TEXT, to=NUMBER)
    message_id = int((await customer.submitted())[1])

    async def was_taken() -> Any:
        return await database.pool.fetchval("SELECT true FROM events WHERE kind = 1")

    await until(was_taken)
    # As if the time for receipts were over: what the gateway remembers is still there.
    await put_event(shop, message_id, EventKind.NO_RECEIPT)
    erasures = Erasures(database)
    erasure_id = await erasures.request(
        NUMBER, None, reason="asked for", author="test", withdraw=False, now=time.time()
    )

    async def is_finished() -> bool:
        return bool((await erasures.list_erasures(erasure_id=erasure_id))[0].finished_at)

    await until(is_finished)
    receipt = await customer.receive_delivery()
    assert receipt.source_addr == "erased"
    assert NUMBER.encode() not in receipt.short_message
    assert await database.pool.fetchval("SELECT recipient FROM messages") == "erased"


async def test_a_message_that_waits_is_withdrawn_when_that_is_asked_for(
    start: Start, settings: dict[str, Any], shop: Account, database: Database
) -> None:
    settings["carrier"][0]["port"] = 9  # nobody listens: it waits
    running = await start()
    customer = await running.connect(v.BIND_TRANSMITTER)
    customer.submit(TEXT, to=NUMBER)
    await customer.submitted()
    erasures = Erasures(database)
    erasure_id = await erasures.request(
        NUMBER, None, reason="asked for", author="test", withdraw=True, now=time.time()
    )

    async def is_finished() -> bool:
        return bool((await erasures.list_erasures(erasure_id=erasure_id))[0].finished_at)

    await until(is_finished)
    row = await database.pool.fetchrow("SELECT recipient, body FROM messages")
    assert row is not None
    assert tuple(row) == ("erased", None)
    assert await database.pool.fetchval("SELECT kind FROM events") == EventKind.CANCELED
    assert await database.pool.fetchval("SELECT count(*) FROM deliveries") == 0
