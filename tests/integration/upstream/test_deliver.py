"""Receipts and messages from phones go up: to whom, in what order, and until when."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.model import Account
from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import decode_deliver_sm, encode_deliver_sm_resp
from gateway.store.inbound import add_number
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import save_smpp_account
from gateway.upstream import mailbox

Start = Callable[..., Awaitable[Any]]

ENDS = """
[[rule]]
suffix = "1"
receipts = [{ state = "UNDELIV", err = "027" }]
[[rule]]
suffix = "2"
receipts = [{ state = "DELIVRD", intermediate = true, delay = 0.2 }]
[[rule]]
suffix = "3"
refuse = [{ status = 0x0B }]
"""
"""What becomes of a message, by the last digit of its number; others are delivered."""


async def count_deliveries(database: Database) -> int:
    async with database.acquire() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM deliveries"))


async def wait_until_gone(database: Database) -> None:
    """Wait until what was answered is forgotten in the store."""
    async with asyncio.timeout(20):
        while await count_deliveries(database):
            await asyncio.sleep(0.02)


async def wait_until_stored(database: Database, count: int) -> None:
    async with asyncio.timeout(20):
        while await count_deliveries(database) < count:
            await asyncio.sleep(0.02)


async def submit(customer: Any, count: int, **fields: Any) -> list[str]:
    """Submit `count` messages one after another; return their ids."""
    ids = []
    for number in range(count):
        customer.submit(f"text {number}", **fields)
        status, message_id = await customer.submitted()
        assert status == 0
        ids.append(message_id)
    return ids


def id_of(receipt: Any) -> str:
    octets: bytes = receipt.tlvs[v.TAG_RECEIPTED_MESSAGE_ID]
    return octets.rstrip(b"\0").decode()


async def test_receipts_wait_in_the_store_in_order_until_a_receiver_binds(
    running: Any, database: Database
) -> None:
    transmitter = await running.connect(v.BIND_TRANSMITTER)
    ids = await submit(transmitter, 12)
    await wait_until_stored(database, 12)
    receiver = await running.connect(v.BIND_RECEIVER)
    assert [id_of(await receiver.receive_delivery()) for _ in ids] == ids
    await wait_until_gone(database)


async def test_receipts_outlive_the_gateway(start: Start, database: Database) -> None:
    running = await start()
    transmitter = await running.connect(v.BIND_TRANSMITTER)
    ids = await submit(transmitter, 3)
    await wait_until_stored(database, 3)
    await running.kill()
    running = await start()
    receiver = await running.connect(v.BIND_RECEIVER)
    assert [id_of(await receiver.receive_delivery()) for _ in ids] == ids
    await wait_until_gone(database)


async def test_what_was_not_answered_goes_up_again_through_another_bind(
    running: Any, database: Database
) -> None:
    first = await running.connect(v.BIND_TRANSCEIVER)
    ids = await submit(first, 3)
    for _ in ids:
        await first.receive(v.DELIVER_SM)  # and never answers
    second = await running.connect(v.BIND_RECEIVER)
    await second.receive_silence()
    await first.close()
    assert [id_of(await second.receive_delivery()) for _ in ids] == ids
    await wait_until_gone(database)
    assert running.metric("gateway_upstream_deliveries_total", outcome="lost") == 3


async def test_receivers_take_turns_and_transmitters_get_nothing(running: Any) -> None:
    transmitter = await running.connect(v.BIND_TRANSMITTER)
    receivers = [await running.connect(v.BIND_RECEIVER) for _ in range(3)]
    got: Counter[int] = Counter()

    async def listen(number: int) -> None:
        while True:
            await receivers[number].receive_delivery()
            got[number] += 1

    listening = [asyncio.create_task(listen(number)) for number in range(3)]
    await submit(transmitter, 30)
    async with asyncio.timeout(20):
        while got.total() < 30:
            await asyncio.sleep(0.01)
    for task in listening:
        task.cancel()
    assert min(got.values()) >= 8
    await transmitter.receive_silence()


async def test_no_more_goes_up_than_the_window_has_room_for(
    start: Start, database: Database, shop: Account
) -> None:
    await save_smpp_account(database, shop.id, window_size=2)
    running = await start()
    customer = await running.connect(v.BIND_TRANSCEIVER)
    await submit(customer, 5)
    under_way = [await customer.receive(v.DELIVER_SM) for _ in range(2)]
    await wait_until_stored(database, 5)
    await customer.receive_silence()
    for frame in under_way:
        customer.send(encode_deliver_sm_resp(frame.sequence))
    for _ in range(3):
        await customer.receive_delivery()
    await wait_until_gone(database)


async def test_a_refused_receipt_is_tried_again_and_others_go_on(
    running: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "REFUSED_FIRST_S", 0.3)
    monkeypatch.setattr(mailbox, "PAUSE_FIRST_S", 0.05)
    customer = await running.connect(v.BIND_TRANSCEIVER)
    [refused] = await submit(customer, 1)
    assert id_of(await customer.receive_delivery(v.ESME_RX_T_APPN)) == refused
    [other] = await submit(customer, 1)
    assert id_of(await customer.receive_delivery()) == other
    started = time.monotonic()
    assert id_of(await customer.receive_delivery(v.ESME_RX_T_APPN)) == refused
    assert id_of(await customer.receive_delivery()) == refused
    assert time.monotonic() - started > 0.4  # 0.3 s after the first, 0.6 s after the second
    await wait_until_gone(database)
    assert running.metric("gateway_upstream_deliveries_total", outcome="refused") == 2


async def test_a_receiver_that_does_not_answer_keeps_its_bind_and_gets_it_again(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "REFUSED_FIRST_S", 0.1)
    monkeypatch.setattr(mailbox, "PAUSE_FIRST_S", 0.05)
    running = await start(smpp={"response_timeout_s": 0.5})
    customer = await running.connect(v.BIND_TRANSCEIVER)
    [message_id] = await submit(customer, 1)
    late = await customer.receive(v.DELIVER_SM)
    again = await customer.receive(v.DELIVER_SM)
    assert id_of(decode_deliver_sm(again.body)) == message_id
    customer.send(encode_deliver_sm_resp(late.sequence))  # answers nothing by now
    customer.send(encode_deliver_sm_resp(again.sequence))
    await wait_until_gone(database)
    await submit(customer, 1)
    assert running.metric("gateway_upstream_deliveries_total", outcome="overdue") == 1


async def test_a_backlog_larger_than_memory_goes_up_whole_and_in_order(
    running: Any, database: Database, shop: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "HELD_MAX", 20)
    customer = await running.connect(v.BIND_TRANSMITTER)
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO deliveries SELECT $1, n, n, $2, $3 FROM generate_series(1, 700) n",
            shop.id,
            b"\0\1\0014474\0\5\0Shop\0\4\0\0\0\0\0\0\0\0\0",
            time.time(),
        )
    receiver = await running.connect(v.BIND_RECEIVER)
    sequences = []
    for _ in range(700):
        frame = await receiver.receive(v.DELIVER_SM)
        sequences.append(frame.sequence)
        receiver.send(encode_deliver_sm_resp(frame.sequence))
    assert len(set(sequences)) == 700
    await wait_until_gone(database)
    await submit(customer, 1)
    await receiver.receive_delivery()


DELIVERED, UNDELIVERED, REJECTED = ["DELIVRD"], ["UNDELIV"], ["REJECTD"]


@pytest.mark.parametrize("script", [ENDS])
@pytest.mark.parametrize(
    ("registered_delivery", "expected"),
    [
        (0x00, [[], [], [], []]),
        (0x01, [DELIVERED, UNDELIVERED, DELIVERED, REJECTED]),
        (0x02, [[], UNDELIVERED, [], REJECTED]),
        (0x03, [DELIVERED, [], DELIVERED, []]),
        (0x11, [DELIVERED, UNDELIVERED, ["ENROUTE", "DELIVRD"], REJECTED]),
    ],
)
async def test_only_what_was_asked_for_goes_up(
    running: Any, database: Database, registered_delivery: int, expected: list[list[str]]
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    for digit, words in enumerate(expected):
        customer.submit(to=f"44740012345{digit}", registered_delivery=registered_delivery)
        assert (await customer.submitted())[0] == 0
        for word in words:
            receipt = await customer.receive_delivery()
            assert f" stat:{word} ".encode() in receipt.short_message
            assert receipt.esm_class == (0x20 if word == "ENROUTE" else 0x04)
        async with asyncio.timeout(20):
            while not await ended(database):
                await asyncio.sleep(0.02)
    await customer.receive_silence()


async def ended(database: Database) -> bool:
    """Say whether everything that was accepted has come to its end."""
    async with database.acquire() as connection:
        return not await connection.fetchval(
            "SELECT count(*) FROM message_states WHERE status < 10"
        )


# ── messages from phones ─────────────────────────────────────────────────────────────────────


async def test_a_phones_message_goes_up_to_the_numbers_owner(
    start: Start, carrier: Any, database: Database, shop: Account
) -> None:
    await add_number(database, shop.id, "447400999999")
    running = await start()
    customer = await running.connect(v.BIND_TRANSCEIVER)
    for text in ("Hi there €", "Привет", "x" * 300):
        carrier.send("447400123456", "447400999999", text)
    short, cyrillic = [await customer.receive_delivery() for _ in range(2)]
    assert (short.source_addr, short.destination_addr) == ("447400123456", "447400999999")
    assert (short.esm_class, short.data_coding) == (0, 0)
    assert short.short_message == b"Hi there \x1be"
    assert (cyrillic.data_coding, cyrillic.short_message.decode("utf-16-be")) == (8, "Привет")
    parts = [await customer.receive_delivery() for _ in range(2)]
    assert [part.esm_class for part in parts] == [v.ESM_CLASS_UDHI] * 2
    assert [part.short_message[4:6] for part in parts] == [b"\x02\x01", b"\x02\x02"]
    assert b"".join(part.short_message[6:] for part in parts) == b"x" * 300
    await wait_until_gone(database)


async def test_a_phones_message_waits_for_a_receiver_too(
    start: Start, carrier: Any, database: Database, shop: Account
) -> None:
    await add_number(database, shop.id, "447400999999")
    running = await start()
    carrier.send("447400123456", "447400999999", "kept")
    await wait_until_stored(database, 1)
    await running.kill()
    running = await start()
    customer = await running.connect(v.BIND_RECEIVER)
    assert (await customer.receive_delivery()).short_message == b"kept"


async def test_nobodys_message_goes_up_to_nobody(
    running: Any, carrier: Any, database: Database
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    carrier.send("447400123456", "447400999999", "lost")
    async with asyncio.timeout(20):
        async with database.acquire() as connection:
            while not await connection.fetchval("SELECT count(*) FROM inbound_messages"):
                await asyncio.sleep(0.02)
    await customer.receive_silence()
    assert await count_deliveries(database) == 0
