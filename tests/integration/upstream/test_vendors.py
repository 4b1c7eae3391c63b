"""What vendors alone define: their TLVs, through the gateway in both directions, and statuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from bench.simulator.mailbox import Delivery
from gateway.model import Account
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import SmeAddress, Value
from gateway.smpp.pdu import encode, encode_short_message
from gateway.smpp.shapes import DeliverSm, Pdu
from gateway.store.inbound import add_number
from gateway.store.keys import create_key
from gateway.store.postgres import Database

Start = Callable[..., Awaitable[Any]]

VENDORS = {0x1400: b"1101234567890", 0x1401: b"1107160000000000001\0", 0x3FFF: b"\0\xff"}
KNOWN = {0x0005: b"\3", v.TAG_USER_MESSAGE_REFERENCE: b"\0\7", 0x0202: b"\x88sub"}
OURS = {v.TAG_MORE_MESSAGES_TO_SEND: b"\1"}
LONG = "a long text " * 20
NO_RECEIPT = "447400123459"


@pytest.fixture
def script() -> str:
    """Numbers that end in 9 get no receipt by themselves; those in 8 are refused."""
    return """
[ids]
first = 500
[[rule]]
suffix = "9"
missing_share = 1.0
[[rule]]
suffix = "8"
refuse = [{ status = 0x04A1 }]
"""


def send_up(carrier: Any, deliver: DeliverSm) -> None:
    simulated = carrier.smsc.carrier
    body = encode_short_message(deliver)
    simulated.mailbox("gw").put(Delivery(v.DELIVER_SM, body, simulated.tally.mobile, 0))
    simulated.flush()


async def test_a_customers_tlvs_go_out_with_every_segment_and_its_reference_comes_back(
    running: Any, carrier: Any
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit(LONG, tlvs=VENDORS | KNOWN | OURS)
    assert (await customer.submitted())[0] == 0
    for _ in range(2):
        assert dict((await carrier.receive()).tlvs) == VENDORS | KNOWN
    receipt = await customer.receive_delivery()
    assert receipt.tlvs[v.TAG_USER_MESSAGE_REFERENCE] == b"\0\7"
    assert not receipt.tlvs.keys() & VENDORS.keys()


async def test_tlvs_go_with_data_sm_and_to_each_address_of_a_submit_multi(
    running: Any, carrier: Any
) -> None:
    customer = await running.connect(v.BIND_TRANSMITTER)
    text = ((v.TAG_MESSAGE_PAYLOAD, b"Hello"),)
    vendors = tuple(VENDORS.items())
    data_sm: dict[str, Value] = {"source_addr": "Shop", "destination_addr": "447400123456"}
    customer.send(encode(Pdu(v.DATA_SM, 901, 0, data_sm, text + vendors)))
    assert dict((await carrier.receive()).tlvs) == VENDORS
    many = tuple(SmeAddress(1, 1, f"44740012345{digit}") for digit in range(2))
    submit_multi: dict[str, Value] = {"source_addr": "Shop", "dest_addresses": many}
    customer.send(encode(Pdu(v.SUBMIT_MULTI, 902, 0, submit_multi, text + vendors)))
    for _ in range(2):
        assert dict((await carrier.receive()).tlvs) == VENDORS


async def test_they_outlive_a_restart_before_they_leave(
    start: Start, carrier: Any, settings: dict[str, Any]
) -> None:
    away = settings["carrier"][0] | {"port": 1}
    there, settings["carrier"] = settings["carrier"], [away]
    running = await start()
    customer = await running.connect(v.BIND_TRANSMITTER)
    customer.submit("Hello", tlvs=VENDORS | KNOWN)
    assert (await customer.submitted())[0] == 0
    await running.leave()
    await running.stop()
    settings["carrier"] = there
    again = await start()
    assert dict((await carrier.receive()).tlvs) == VENDORS | KNOWN
    receiver = await again.connect(v.BIND_RECEIVER)
    receipt = await receiver.receive_delivery()
    assert receipt.tlvs[v.TAG_USER_MESSAGE_REFERENCE] == b"\0\7"


async def test_more_tlvs_than_are_kept_are_refused(running: Any) -> None:
    customer = await running.connect(v.BIND_TRANSMITTER)
    customer.submit("Hello", tlvs={0x1401: bytes(2_000)})
    assert await customer.submitted() == (v.ESME_RINVPARLEN, "")
    customer.submit("Hello", tlvs=VENDORS)
    assert (await customer.submitted())[0] == 0


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [("drop", {}), (["0x1401", "dest_addr_subunit"], {0x1401: VENDORS[0x1401], 0x0005: b"\3"})],
)
async def test_a_carrier_may_have_them_left_out(
    start: Start, carrier: Any, settings: dict[str, Any], chosen: Any, expected: dict[int, bytes]
) -> None:
    settings["carrier"][0]["tlvs"] = chosen
    running = await start()
    customer = await running.connect(v.BIND_TRANSMITTER)
    customer.submit("Hello", tlvs=VENDORS | KNOWN)
    assert dict((await carrier.receive()).tlvs) == expected


async def test_a_contracts_tlvs_go_with_each_submission_over_http_and_smpp(
    start: Start,
    carrier: Any,
    settings: dict[str, Any],
    database: Database,
    shop: Account,
) -> None:
    settings["carrier"][0]["constant_tlvs"] = {"0x1400": "1101234567890", "0x1402": "0x00ff"}
    running = await start()
    constant = {0x1400: b"1101234567890", 0x1402: b"\0\xff"}
    customer = await running.connect(v.BIND_TRANSMITTER)
    customer.submit(LONG)
    for _ in range(2):
        assert dict((await carrier.receive()).tlvs) == constant
    key = (await create_key(database, shop.id)).plaintext
    asked = {
        "to": "+447400123456",
        "from": "Shop",
        "text": "Your code is 1234",
        "tlvs": {"0x1401": "1107160000000000001", "0x1400": "0x41", "dest_addr_subunit": "1"},
    }
    url = f"http://127.0.0.1:{running.gateway.port}/v1/messages"
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.post(url, json=asked) as answer:
            assert answer.status == 202
            message_id = (await answer.json())["id"]
        assert dict((await carrier.receive()).tlvs) == constant | {
            0x1400: b"A",
            0x1401: b"1107160000000000001",
            0x0005: b"\1",
        }
        async with http.get(f"{url}/{message_id}") as answer:
            view = await answer.json()
        assert view["tlvs"] == {
            "0x1401": b"1107160000000000001".hex(),
            "0x1400": "41",
            "0x0005": "01",
        }
        refused = asked | {"tlvs": {"0x1401": "0x1"}}
        async with http.post(url, json=refused) as answer:
            problem = await answer.json()
        assert (answer.status, problem["code"], problem["field"]) == (
            422, "tlv_not_usable", "tlvs.0x1401",
        )  # fmt: skip


async def test_a_vendors_tlvs_in_a_receipt_reach_the_customer_also_when_it_came_too_early(
    running: Any, carrier: Any, database: Database
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    error = {v.TAG_NETWORK_ERROR_CODE: b"\3\0\x08"}
    ours = {v.TAG_MESSAGE_STATE: b"\2", v.TAG_RECEIPTED_MESSAGE_ID: b"501\0"}
    early = DeliverSm(
        esm_class=v.ESM_CLASS_RECEIPT,
        short_message=b"id:501 stat:DELIVRD err:000 text:",
        tlvs=ours | error | VENDORS,
    )
    customer.submit(to=NO_RECEIPT)  # so that the carrier has somebody to send to
    assert (await customer.submitted())[0] == 0
    await carrier.receive()
    send_up(carrier, early)
    async with asyncio.timeout(20):
        while not await database.pool.fetchval("SELECT count(*) FROM parked_receipts"):
            await asyncio.sleep(0.02)
    customer.submit(to=NO_RECEIPT)
    _, message_id = await customer.submitted()
    receipt = await customer.receive_delivery()
    assert dict(receipt.tlvs) == error | VENDORS | {
        v.TAG_MESSAGE_STATE: b"\2",
        v.TAG_RECEIPTED_MESSAGE_ID: message_id.encode() + b"\0",
    }


async def test_a_vendors_tlvs_in_a_phones_message_reach_its_owner(
    start: Start, carrier: Any, database: Database, shop: Account
) -> None:
    await add_number(database, shop.id, "447400999999")
    running = await start()
    customer = await running.connect(v.BIND_TRANSCEIVER)
    text = DeliverSm(
        source_addr="447400123456",
        destination_addr="447400999999",
        short_message=b"Hello",
        tlvs=VENDORS | {v.TAG_USER_MESSAGE_REFERENCE: b"\1\2"},
    )
    send_up(carrier, text)
    delivery = await customer.receive_delivery()
    assert delivery.short_message == b"Hello"
    assert dict(delivery.tlvs) == VENDORS | {v.TAG_USER_MESSAGE_REFERENCE: b"\1\2"}


async def test_a_vendors_status_is_shown_in_the_messages_events(
    start: Start, settings: dict[str, Any], database: Database, shop: Account
) -> None:
    settings["carrier"][0]["statuses"] = {"0x04A1": "permanent"}
    running = await start()
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit(to="447400123458")
    _, message_id = await customer.submitted()
    receipt = await customer.receive_delivery()
    assert b"stat:REJECTD" in receipt.short_message
    key = await create_key(database, shop.id)
    url = f"http://127.0.0.1:{running.gateway.port}/v1/messages/{message_id}"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key.plaintext}"}) as http,
        http.get(url) as answer,
    ):
        view = await answer.json()
    assert [(e["kind"], e["command_status"]) for e in view["events"]] == [
        ("refused", "0x000004a1"),
    ]
