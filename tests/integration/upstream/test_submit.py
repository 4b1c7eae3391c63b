"""Customers submit over SMPP: what is taken, what is refused, and what leaves for the carrier."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from gateway.lifecycle import Status
from gateway.model import Account, Lane
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import DistributionList, SmeAddress, UnsuccessfulSme, Value
from gateway.smpp.pdu import encode, encode_submit_sm
from gateway.smpp.shapes import Pdu, SubmitSm
from gateway.store import accounts
from gateway.store.audit import audit
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import save_smpp_account

Start = Callable[..., Awaitable[Any]]
UDH = bytes.fromhex("0500032a0201")
PORTS = bytes.fromhex("0605040b8423f0")
OTHER = "447400123457"
DEAF = """
[[rule]]
silence_share = 1.0
"""
"""A carrier that never answers."""


@asynccontextmanager
async def stalled_store(url: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Keep messages from being stored; what is yielded lets go."""
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("LOCK TABLE messages IN EXCLUSIVE MODE")
    over = False

    async def go_on() -> None:
        nonlocal over
        if not over:
            over = True
            await transaction.rollback()

    try:
        yield go_on
    finally:
        await go_on()
        await connection.close()


async def fetch_messages(database: Database) -> list[Any]:
    async with database.acquire() as connection:
        return list(await connection.fetch("SELECT * FROM messages ORDER BY id"))


async def test_a_submission_is_answered_and_its_receipt_comes_back(
    running: Any, carrier: Any, database: Database
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit(b"Hello \x1b(\x1be\x1b)")
    status, message_id = await customer.submitted()
    assert status == v.ESME_ROK
    receipt = await customer.receive_delivery()
    assert (receipt.source_addr, receipt.destination_addr) == ("447400123456", "Shop")
    assert receipt.esm_class == v.ESM_CLASS_RECEIPT
    assert receipt.short_message.startswith(f"id:{message_id} sub:001 dlvrd:001 ".encode())
    assert receipt.short_message.endswith(b" stat:DELIVRD err:000 text:")
    assert receipt.tlvs == {
        v.TAG_RECEIPTED_MESSAGE_ID: message_id.encode() + b"\0",
        v.TAG_MESSAGE_STATE: b"\x02",
    }
    assert running.metric("gateway_upstream_submissions_total", status="ESME_ROK") == 1
    await customer.receive_silence()
    assert running.metric("gateway_upstream_deliveries_total", outcome="delivered") == 1
    [row] = await fetch_messages(database)
    assert (str(row["id"]), row["body"]) == (message_id, "Hello {€}")


CONTENTS: list[tuple[dict[str, Any], list[tuple[int, int, bytes]]]] = [
    # what is submitted → (esm_class, data_coding, short_message) of what leaves
    ({"short_message": b"\x00 \x1be"}, [(0, 0, b"\x00 \x1be")]),
    ({"short_message": b"caf\xe9", "data_coding": 3}, [(0, 0, b"caf\x05")]),
    (
        {"short_message": b"\xe1", "data_coding": 3},  # á is not in the GSM alphabet
        [(0, 8, b"\x00\xe1")],
    ),
    ({"short_message": b"\x04\x1f", "data_coding": 8}, [(0, 8, b"\x04\x1f")]),
    ({"short_message": b"now", "data_coding": 0x10}, [(0, 0x10, b"now")]),
    ({"short_message": b"\x04\x1f", "data_coding": 0x18}, [(0, 0x18, b"\x04\x1f")]),
    ({"short_message": b"\x01\xff", "data_coding": 4}, [(0, 4, b"\x01\xff")]),
    (
        {"short_message": UDH + b"p" * 153, "esm_class": 0x43},
        [(0x40, 0, UDH + b"p" * 153)],
    ),
    (
        {"short_message": UDH + b"\x04\x1f" * 67, "esm_class": 0x40, "data_coding": 8},
        [(0x40, 8, UDH + b"\x04\x1f" * 67)],
    ),
    (
        {"short_message": PORTS + b"\x01\x02", "esm_class": 0x40, "data_coding": 0xF5},
        [(0x40, 0x15, PORTS + b"\x01\x02")],  # the same class in the carrier's form
    ),
    (
        {
            "short_message": b"part",
            "tlvs": {
                v.TAG_SAR_MSG_REF_NUM: b"\x01\x2a",
                v.TAG_SAR_TOTAL_SEGMENTS: b"\x02",
                v.TAG_SAR_SEGMENT_SEQNUM: b"\x01",
            },
        },
        [(0x40, 0, UDH + b"part")],
    ),
]


async def test_each_content_leaves_as_what_it_is_and_is_priced_a_segment(
    running: Any, carrier: Any, database: Database
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    for fields, expected in CONTENTS:
        octets, others = fields["short_message"], fields | {"registered_delivery": 0}
        del others["short_message"]
        customer.submit(octets, **others)
        assert (await customer.submitted())[0] == v.ESME_ROK, fields
        for esm_class, data_coding, octets in expected:
            left = await carrier.receive()
            assert (left.esm_class, left.data_coding) == (esm_class, data_coding), fields
            assert left.short_message == octets, fields
            assert not left.tlvs
    rows = await fetch_messages(database)
    assert [(row["segments"], row["price_micros"]) for row in rows] == [(1, 10_000)] * len(rows)


async def test_a_message_payload_is_one_message_of_as_many_segments_as_it_takes(
    running: Any, carrier: Any, database: Database
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit(b"", tlvs={v.TAG_MESSAGE_PAYLOAD: b"x" * 400})
    status, message_id = await customer.submitted()
    assert status == v.ESME_ROK
    parts = [await carrier.receive() for _ in range(3)]
    assert b"".join(part.short_message[6:] for part in parts) == b"x" * 400
    [row] = await fetch_messages(database)
    assert (row["segments"], row["price_micros"]) == (3, 30_000)
    receipt = await customer.receive_delivery()
    assert receipt.short_message.startswith(b"id:" + message_id.encode())


async def test_a_data_sm_is_a_submission_too(running: Any, carrier: Any) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    fields: dict[str, Value] = {
        "source_addr": "Shop",
        "destination_addr": OTHER,
        "registered_delivery": 1,
    }
    tlvs = ((v.TAG_MESSAGE_PAYLOAD, b"Hello"),)
    customer.send(encode(Pdu(v.DATA_SM, 77, 0, fields, tlvs)))
    frame = await customer.receive(v.DATA_SM_RESP)
    assert (frame.status, frame.sequence) == (0, 77)
    left = await carrier.receive()
    assert (left.destination_addr, left.short_message) == (OTHER, b"Hello")
    receipt = await customer.receive_delivery()
    assert receipt.short_message.startswith(b"id:" + frame.body.rstrip(b"\0"))


async def test_what_the_account_means_by_data_coding_0_is_read_so(
    start: Start, carrier: Any, database: Database, shop: Account
) -> None:
    await save_smpp_account(database, shop.id, alphabet="latin-1")
    running = await start()
    customer = await running.connect(v.BIND_TRANSMITTER)
    customer.submit(b"caf\xe9 @ [x]")
    assert (await customer.submitted())[0] == v.ESME_ROK
    assert (await carrier.receive()).short_message == b"caf\x05 \x00 \x1b<x\x1b>"


REFUSALS: list[tuple[dict[str, Any], int]] = [
    ({"to": "12"}, v.ESME_RINVDSTADR),
    ({"to": "letters"}, v.ESME_RINVDSTADR),
    ({"to": ""}, v.ESME_RINVDSTADR),
    ({"source_addr": "longer than 11 chars"}, v.ESME_RINVSRCADR),
    ({"source_addr": ""}, v.ESME_RINVSRCADR),
    ({"text": b""}, v.ESME_RINVMSGLEN),
    ({"text": b"x" * 254, "esm_class": 0x40}, v.ESME_RSUBMITFAIL),
    ({"text": UDH + b"p" * 154, "esm_class": 0x40}, v.ESME_RINVMSGLEN),
    ({"text": b"", "tlvs": {v.TAG_MESSAGE_PAYLOAD: b"x" * 2_000}}, v.ESME_RINVMSGLEN),
    ({"schedule_delivery_time": "tomorrow"}, v.ESME_RINVSCHED),
    ({"schedule_delivery_time": "010000000000000R"}, v.ESME_RINVSCHED),
    ({"validity_period": "200101000000000+"}, v.ESME_RINVEXPIRY),
    (
        {
            "schedule_delivery_time": "000000020000000R",
            "validity_period": "000000010000000R",
        },
        v.ESME_RINVEXPIRY,
    ),
]


async def test_what_can_not_be_sent_is_refused_by_status_and_costs_nothing(
    running: Any, database: Database, shop: Account
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    for fields, status in REFUSALS:
        customer.submit(**fields)
        assert (await customer.submitted())[0] == status, fields
    assert await fetch_messages(database) == []
    refused = sum(
        running.metric("gateway_upstream_submissions_total", status=v.status_name(status))
        for status in {status for _, status in REFUSALS}
    )
    assert refused == len(REFUSALS)
    assert running.metric("gateway_rejections_total", code="number_not_digits") == 1
    # The session is none the worse for it.
    customer.submit()
    assert (await customer.submitted())[0] == v.ESME_ROK


async def test_without_credit_a_submission_fails_and_the_money_stays_exact(
    running: Any, database: Database, shop: Account
) -> None:
    await accounts.deposit(database, shop.id, -99_980_000, reason="test", author="test")
    customer = await running.connect(v.BIND_TRANSCEIVER)
    for _ in range(3):
        customer.submit()
    statuses = [(await customer.submitted())[0] for _ in range(3)]
    assert statuses == [v.ESME_ROK, v.ESME_ROK, v.ESME_RSUBMITFAIL]
    assert running.metric("gateway_rejections_total", code="no_credit") == 1
    for _ in range(2):
        await customer.receive_delivery()
    assert (await audit(database, time.time())).agrees


async def test_times_and_priorities_are_kept(running: Any, database: Database) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    before = time.time()
    customer.submit(
        schedule_delivery_time="000001000000000R",
        validity_period="000002000000000R",
        priority_flag=3,
    )
    customer.submit(priority_flag=1, validity_period="000000010000000R")
    assert [(await customer.submitted())[0] for _ in range(2)] == [0, 0]
    scheduled, soon = await fetch_messages(database)
    assert scheduled["send_at"] == pytest.approx(before + 86_400, abs=5)
    assert scheduled["expires_at"] == pytest.approx(before + 2 * 86_400, abs=5)
    assert (scheduled["lane"], soon["lane"]) == (Lane.OTP, Lane.TRANSACTIONAL)
    assert soon["send_at"] is None
    assert soon["expires_at"] == pytest.approx(before + 3_600, abs=5)


async def test_nothing_is_answered_before_it_is_stored(
    running: Any, database: Database, database_url: str
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    async with stalled_store(database_url) as go_on:
        customer.submit()
        await customer.receive_silence()
        await go_on()
        assert (await customer.submitted())[0] == v.ESME_ROK
    assert len(await fetch_messages(database)) == 1


async def test_more_than_the_window_is_sent_away_for_later(
    start: Start, database: Database, database_url: str, shop: Account
) -> None:
    await save_smpp_account(database, shop.id, window_size=5)
    running = await start()
    customer = await running.connect(v.BIND_TRANSMITTER)
    async with stalled_store(database_url) as go_on:
        for _ in range(8):
            customer.submit()
        refused = [(await customer.submitted())[0] for _ in range(3)]
        assert refused == [v.ESME_RTHROTTLED] * 3
        await customer.receive_silence()
        await go_on()
        assert [(await customer.submitted())[0] for _ in range(5)] == [v.ESME_ROK] * 5
    customer.submit()
    assert (await customer.submitted())[0] == v.ESME_ROK


async def test_faster_than_the_rate_is_sent_away_over_all_binds(
    start: Start, database: Database, shop: Account
) -> None:
    await save_smpp_account(database, shop.id, rate_per_s=2.0)
    running = await start()
    binds = [await running.connect(v.BIND_TRANSMITTER) for _ in range(2)]
    statuses = []
    for customer in binds:
        for _ in range(3):
            customer.submit()
        statuses += [(await customer.submitted())[0] for _ in range(3)]
    assert set(statuses) == {v.ESME_ROK, v.ESME_RTHROTTLED}
    assert statuses.count(v.ESME_RTHROTTLED) in (3, 4)  # a slow machine may earn one more


async def test_a_full_queue_is_told_also_after_a_restart(
    start: Start, carrier: Any, database: Database, shop: Account
) -> None:
    await carrier.smsc.stop()  # nothing leaves
    await save_smpp_account(database, shop.id, queue_max=3)
    running = await start()
    customer = await running.connect(v.BIND_TRANSMITTER)
    for _ in range(5):
        customer.submit()
    assert sorted([(await customer.submitted())[0] for _ in range(5)]) == [0, 0, 0, 0x14, 0x14]
    await running.kill()

    running = await start()
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit()
    assert (await customer.submitted())[0] == v.ESME_RMSGQFUL
    await carrier.smsc.start()
    for _ in range(3):  # all of them have left when their receipts are here
        await customer.receive_delivery()
    customer.submit()
    assert (await customer.submitted())[0] == v.ESME_ROK


async def test_a_store_that_is_away_fails_submissions_until_it_is_back(
    start: Start, database: Database, database_url: str
) -> None:
    running = await start(http={"commit_timeout_s": 0.3})
    customer = await running.connect(v.BIND_TRANSCEIVER)
    async with stalled_store(database_url) as go_on:
        customer.submit()
        assert (await customer.submitted())[0] == v.ESME_RSYSERR
        customer.submit()
        assert (await customer.submitted())[0] == v.ESME_RSYSERR
        await go_on()
    status = v.ESME_RSYSERR
    async with asyncio.timeout(20):
        while status == v.ESME_RSYSERR:
            customer.submit("again")
            status, _ = await customer.submitted()
    assert status == v.ESME_ROK


async def test_a_store_that_is_behind_slows_customers_down(start: Start, database_url: str) -> None:
    running = await start(http={"intake_waiting_max": 2})
    customer = await running.connect(v.BIND_TRANSCEIVER)
    async with stalled_store(database_url) as go_on:
        customer.submit()  # under way
        await customer.receive_silence()
        body = SubmitSm(source_addr="Shop", destination_addr=OTHER, short_message=b"Hello")
        customer.send(b"".join(encode_submit_sm(100 + n, body) for n in range(3)))
        assert {(await customer.submitted())[0] for _ in range(3)} == {v.ESME_RMSGQFUL}
        await go_on()
        assert (await customer.submitted())[0] == v.ESME_ROK


async def test_two_submissions_with_one_number_are_two_messages_with_two_answers(
    running: Any, database: Database
) -> None:
    customer = await running.connect(v.BIND_TRANSMITTER)
    customer.submit("one", sequence=7)
    customer.submit("two", sequence=7)
    answers = [await customer.submitted() for _ in range(2)]
    assert {status for status, _ in answers} == {v.ESME_ROK}
    rows = await fetch_messages(database)
    assert [row["body"] for row in rows] == ["one", "two"]
    assert {message_id for _, message_id in answers} == {str(row["id"]) for row in rows}


async def test_what_was_submitted_before_a_goodbye_without_an_answer_is_not_taken(
    running: Any, database: Database
) -> None:
    customer = await running.connect(v.BIND_TRANSMITTER)
    submit = SubmitSm(source_addr="Shop", destination_addr=OTHER, short_message=b"Hello")
    customer.send(encode_submit_sm(5, submit) + encode(Pdu(v.UNBIND, 6)))
    await customer.receive(v.UNBIND_RESP)
    await customer.receive_end()
    assert await fetch_messages(database) == []


# ── submit_multi ─────────────────────────────────────────────────────────────────────────────


def multi(*numbers: str, **fields: Any) -> dict[str, Any]:
    addresses = tuple(SmeAddress(1, 1, number) for number in numbers)
    return {
        "dest_addresses": addresses,
        "source_addr": "Shop",
        "registered_delivery": 1,
        "short_message": b"Hello",
    } | fields


async def test_each_destination_of_a_submit_multi_is_a_message_with_a_receipt_of_one_id(
    running: Any, carrier: Any, database: Database
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    numbers = ["447400123456", "447400123457", "447400123458"]
    answer = await customer.ask(v.SUBMIT_MULTI, **multi(*numbers))
    assert (answer.status, answer.fields["unsuccess_smes"]) == (0, ())
    assert sorted([(await carrier.receive()).destination_addr for _ in numbers]) == numbers
    receipts = [await customer.receive_delivery() for _ in numbers]
    assert sorted(receipt.source_addr for receipt in receipts) == numbers
    message_id = answer.text("message_id").encode()
    assert {receipt.tlvs[v.TAG_RECEIPTED_MESSAGE_ID] for receipt in receipts} == {
        message_id + b"\0"
    }
    assert len(await fetch_messages(database)) == 3


async def test_a_submit_multi_takes_what_it_can_and_names_the_rest(
    running: Any, database: Database, shop: Account
) -> None:
    await accounts.deposit(database, shop.id, -99_980_000, reason="test", author="test")
    customer = await running.connect(v.BIND_TRANSCEIVER)
    answer = await customer.ask(
        v.SUBMIT_MULTI, **multi("12", "447400123456", "447400123457", "447400123458")
    )
    assert answer.status == v.ESME_ROK
    assert answer.fields["unsuccess_smes"] == (
        UnsuccessfulSme(1, 1, "12", v.ESME_RINVDSTADR),
        UnsuccessfulSme(1, 1, "447400123458", v.ESME_RSUBMITFAIL),
    )
    rows = await fetch_messages(database)
    assert answer.text("message_id") == str(rows[0]["id"])
    assert [row["group_id"] for row in rows] == [None, rows[0]["id"]]


async def test_a_submit_multi_of_which_nothing_can_be_sent_fails(
    running: Any, database: Database
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    answer = await customer.ask(v.SUBMIT_MULTI, **multi("12", "13"))
    assert (answer.status, len(answer.fields["unsuccess_smes"])) == (v.ESME_RSUBMITFAIL, 2)
    lists = multi() | {"dest_addresses": (DistributionList("staff"),)}
    assert (await customer.ask(v.SUBMIT_MULTI, **lists)).status == v.ESME_RINVDLNAME
    assert (await customer.ask(v.SUBMIT_MULTI, **multi())).status == v.ESME_RINVNUMDESTS
    assert await fetch_messages(database) == []


# ── what is asked of messages ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("script", [DEAF])
async def test_a_query_tells_where_a_message_stands(
    running: Any, carrier: Any, database: Database, shop: Account, put_message: Any, put_event: Any
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit()
    _, message_id = await customer.submitted()
    answer = await customer.ask(v.QUERY_SM, message_id=message_id, source_addr="Shop")
    assert (answer.status, answer.text("message_id")) == (0, message_id)
    assert (answer.number("message_state"), answer.text("final_date")) == (1, "")

    ended = await put_message(shop)
    await put_event(shop, ended, 1)
    at = 1_800_000_000.0
    await put_event(shop, ended, 4, status=Status.UNDELIVERED, error="027", at=at)
    answer = await customer.ask(v.QUERY_SM, message_id=str(ended))
    assert (answer.number("message_state"), answer.number("error_code")) == (5, 27)
    assert answer.text("final_date") == "270115080000000+"

    for unknown in ("1", "", "garbage"):
        assert (await customer.ask(v.QUERY_SM, message_id=unknown)).status == v.ESME_RINVMSGID


async def test_nobody_asks_about_anothers_messages(
    start: Start, database: Database, make_account: Any
) -> None:
    bank = await make_account("bank")
    await save_smpp_account(database, bank.id, system_id="bank", password="money")
    running = await start()
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit(schedule_delivery_time="000000010000000R")
    _, message_id = await customer.submitted()
    other = await running.connect(v.BIND_TRANSCEIVER, system_id="bank", password="money")
    for command_id, fields in (
        (v.QUERY_SM, {}),
        (v.CANCEL_SM, {}),
        (v.REPLACE_SM, {"short_message": b"mine now"}),
    ):
        answer = await other.ask(command_id, message_id=message_id, **fields)
        assert answer.status == v.ESME_RINVMSGID
    [row] = await fetch_messages(database)
    assert row["body"] == "Hello"


async def test_a_message_that_waits_is_canceled_and_its_receipt_says_so(
    running: Any, database: Database
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit(schedule_delivery_time="000000010000000R")
    _, message_id = await customer.submitted()
    assert (await customer.ask(v.CANCEL_SM, message_id=message_id)).status == v.ESME_ROK
    assert b" stat:DELETED " in (await customer.receive_delivery()).short_message
    again = await customer.ask(v.CANCEL_SM, message_id=message_id)
    assert again.status == v.ESME_RCANCELFAIL
    # Without an id it would mean every message to somebody: that is not done here.
    assert (await customer.ask(v.CANCEL_SM)).status == v.ESME_RINVMSGID
    assert (await audit(database, time.time())).agrees


async def test_what_has_left_is_neither_canceled_nor_replaced(running: Any) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit()
    _, message_id = await customer.submitted()
    await customer.receive_delivery()
    answer = await customer.ask(v.CANCEL_SM, message_id=message_id)
    assert answer.status == v.ESME_RCANCELFAIL
    answer = await customer.ask(v.REPLACE_SM, message_id=message_id, short_message=b"late")
    assert answer.status == v.ESME_RREPLACEFAIL


async def test_a_message_that_waits_is_replaced_and_paid_for_as_it_is_then(
    running: Any, carrier: Any, database: Database, shop: Account
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit(schedule_delivery_time="000000010000000R", registered_delivery=0)
    _, message_id = await customer.submitted()
    answer = await customer.ask(
        v.REPLACE_SM,
        message_id=message_id,
        short_message=b"y" * 200,
        schedule_delivery_time="000000000002000R",
        registered_delivery=1,
    )
    assert answer.status == v.ESME_ROK
    [row] = await fetch_messages(database)
    assert (row["body"], row["segments"], row["price_micros"]) == ("y" * 200, 2, 20_000)
    parts = [await carrier.receive() for _ in range(2)]
    assert b"".join(part.short_message[6:] for part in parts) == b"y" * 200
    receipt = await customer.receive_delivery()
    assert receipt.short_message.startswith(b"id:" + message_id.encode())
    assert (await audit(database, time.time())).agrees


async def test_a_replacement_that_cannot_be_leaves_the_message_as_it_was(
    running: Any, carrier: Any, database: Database, shop: Account
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit("as it was", schedule_delivery_time="000000000004000R")
    _, message_id = await customer.submitted()
    await accounts.deposit(database, shop.id, -99_980_000, reason="test", author="test")
    for octets, status in (
        (b"", v.ESME_RINVMSGLEN),
        (b"\xff", v.ESME_RSUBMITFAIL),
        (b"z" * 250, v.ESME_ROK),
        (b"z" * 161, v.ESME_ROK),
    ):
        answer = await customer.ask(v.REPLACE_SM, message_id=message_id, short_message=octets)
        assert answer.status == status, octets
    too_dear = await customer.ask(
        v.REPLACE_SM, message_id=message_id, short_message="щ".encode() * 120
    )
    assert too_dear.status == v.ESME_RSUBMITFAIL
    assert (await carrier.receive()).short_message[6:] == b"z" * 153
