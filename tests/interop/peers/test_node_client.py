"""One of our binds by itself against npm's `smpp`: what the HTTP API does not ask for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from gateway.smpp import vocabulary as v
from gateway.smpp.client import CarrierBind
from gateway.smpp.pdu import encode_submission
from gateway.smpp.settings import BindSettings, Pace
from gateway.smpp.shapes import DeliverSm, SubmitTemplate
from gateway.text.segment import split
from gateway.text.style import TextStyle

PEER = "node smpp 0.5"
ROLE = "SMSC for our binds"
TO = "447700900123"
TEMPLATE = SubmitTemplate()


def feature(name: str) -> pytest.MarkDecorator:
    return pytest.mark.interop(PEER, ROLE, name)


class Listener:
    """Hears of one bind."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.answers: asyncio.Queue[tuple[object, int, str]] = asyncio.Queue()
        self.arrivals: asyncio.Queue[tuple[int, DeliverSm]] = asyncio.Queue()
        self.losses: asyncio.Queue[Sequence[object]] = asyncio.Queue()

    def bound(self, bind: CarrierBind) -> None:
        self.ready.set()

    def lost(self, bind: CarrierBind, reason: str, in_flight: Sequence[object]) -> None:
        self.losses.put_nowait(in_flight)

    def room(self, bind: CarrierBind) -> None: ...

    def responded(
        self, bind: CarrierBind, context: object, status: int, message_id: str, latency_s: float
    ) -> None:
        self.answers.put_nowait((context, status, message_id))

    def delivered(self, bind: CarrierBind, token: int, pdu: DeliverSm) -> None:
        self.arrivals.put_nowait((token, pdu))


@pytest.fixture(scope="module")
def smsc(start_node: Callable[..., Any]) -> Any:
    peer = start_node("listen")
    peer.port = peer.expect("listening")["port"]
    return peer


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def bind(smsc: Any, listener: Listener) -> AsyncIterator[CarrierBind]:
    smsc.forget()
    settings = BindSettings(
        host="127.0.0.1", port=smsc.port, system_id="me", window_size=100, pace=Pace(first_s=0.05)
    )
    bind = CarrierBind("node/1", 1, settings, listener, random=lambda: 0.5)
    running = asyncio.create_task(bind.run())
    async with asyncio.timeout(20):
        await listener.ready.wait()
    yield bind
    await bind.stop(1.0)
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def expect(smsc: Any, event: str, **fields: Any) -> dict[str, Any]:
    """Wait for an event of the peer without stopping our own loop."""
    found: dict[str, Any] = await asyncio.to_thread(smsc.expect, event, **fields)
    return found


@feature("flash message: GSM-7 and UCS-2 of class 0")
@pytest.mark.parametrize(("data_coding", "octets"), [(0x10, b"Alarm"), (0x18, b"\0A\0!")])
async def test_a_flash_message_keeps_its_class(
    smsc: Any, bind: CarrierBind, listener: Listener, data_coding: int, octets: bytes
) -> None:
    bind.submit(
        encode_submission(TEMPLATE, 5, 0, "Shop", TO, octets, data_coding=data_coding), "flash"
    )
    submission = await expect(smsc, "submit_sm")
    assert submission["data_coding"] == data_coding
    assert submission["short_message"]["message"] in ("Alarm", "A!")
    assert (await listener.answers.get())[:2] == ("flash", 0)


@feature("long message by SAR parameters")
async def test_sar_parameters_are_read_as_numbers(
    smsc: Any, bind: CarrierBind, listener: Listener
) -> None:
    for part in (1, 2):
        tlvs = {
            v.TAG_SAR_MSG_REF_NUM: b"\x12\x34",
            v.TAG_SAR_TOTAL_SEGMENTS: b"\x02",
            v.TAG_SAR_SEGMENT_SEQNUM: bytes((part,)),
        }
        bind.submit(encode_submission(TEMPLATE, 5, 0, "Shop", TO, b"part", tlvs=tlvs), part)
        submission = await expect(smsc, "submit_sm")
        numbers = ("sar_msg_ref_num", "sar_total_segments", "sar_segment_seqnum")
        assert [submission[name] for name in numbers] == [0x1234, 2, part]
        assert not submission["esm_class"] & v.ESM_CLASS_UDHI


@feature("long message in message_payload")
async def test_a_long_content_travels_as_message_payload(
    smsc: Any, bind: CarrierBind, listener: Listener
) -> None:
    bind.submit(encode_submission(TEMPLATE, 5, 0, "Shop", TO, b"x" * 1_000), "long")
    submission = await expect(smsc, "submit_sm")
    assert submission["message_payload"]["message"] == "x" * 1_000
    assert (await listener.answers.get())[:2] == ("long", 0)


@feature("packed 7-bit in a segment with a header")
async def test_packed_septets_arrive_as_they_were_packed(
    smsc: Any, bind: CarrierBind, listener: Listener
) -> None:
    packed = split("y" * 200, None, 7, TextStyle(packed=True)).payloads[0]
    body = encode_submission(
        TEMPLATE, 5, 0, "Shop", TO, packed, esm_class=v.ESM_CLASS_UDHI, data_coding=4
    )
    bind.submit(body, "packed")
    message = (await expect(smsc, "submit_sm"))["short_message"]
    assert message["udh"] == [{"hex": "0003070201"}]
    assert bytes.fromhex(message["message"]["hex"]) == packed[6:]
    assert len(packed) == 140


@feature("vendor's TLVs both ways")
async def test_tlvs_that_nobody_knows_pass_through(
    smsc: Any, bind: CarrierBind, listener: Listener
) -> None:
    bind.submit(encode_submission(TEMPLATE, 5, 0, "Shop", TO, b"x", tlvs={0x1401: b"abc"}), "tlv")
    assert (await expect(smsc, "submit_sm"))[str(0x1401)] == {"hex": b"abc".hex()}
    # node writes no TLV that it has no name for, so its octets are spelled out.
    body = bytes.fromhex("00" * 17) + bytes.fromhex("1403000378797a")
    header = f"{16 + len(body):08x}{v.DELIVER_SM:08x}{0:08x}{99:08x}"
    smsc.tell("raw", session="me", hex=header + body.hex())
    token, pdu = await listener.arrivals.get()
    assert pdu.tlvs == {0x1403: b"xyz"}
    bind.acknowledge(token)
    assert (await expect(smsc, "response", command="deliver_sm_resp"))["sequence_number"] == 99


@feature("vendor's status passes through")
async def test_a_status_that_nobody_knows_passes_through(
    smsc: Any, bind: CarrierBind, listener: Listener
) -> None:
    smsc.tell("plan", to=TO, statuses=[0x0000_0477])
    bind.submit(encode_submission(TEMPLATE, 5, 0, "Shop", TO, b"x"), "vendor")
    assert await listener.answers.get() == ("vendor", 0x477, "")


@feature("window of 100: 2,000 messages in order, each answered once")
async def test_a_full_window_keeps_its_order(
    smsc: Any, bind: CarrierBind, listener: Listener
) -> None:
    waiting = list(range(2_000))
    answered: list[object] = []
    ids: set[str] = set()
    while len(answered) < 2_000:
        while waiting and bind.room:
            number = waiting.pop(0)
            bind.submit(encode_submission(TEMPLATE, 5, 0, "Shop", TO, b"%d" % number), number)
        context, status, message_id = await listener.answers.get()
        assert status == 0
        answered.append(context)
        ids.add(message_id)
    assert answered == list(range(2_000))
    assert len(ids) == 2_000
    came = [await expect(smsc, "submit_sm") for _ in range(2_000)]
    assert [int(each["short_message"]["message"]) for each in came] == list(range(2_000))


@feature("unbind, answered before the connection closes")
async def test_a_stop_unbinds_once_the_window_is_empty(
    smsc: Any, bind: CarrierBind, listener: Listener
) -> None:
    bind.submit(encode_submission(TEMPLATE, 5, 0, "Shop", TO, b"x"), "last")
    await bind.stop(5.0)
    await expect(smsc, "unbind", session="me")
    await expect(smsc, "closed", session="me")
    assert (await listener.answers.get())[:2] == ("last", 0)
    assert await listener.losses.get() == ()


@feature("submission that is never answered comes back with the loss of its bind")
async def test_an_unanswered_submission_comes_back(
    smsc: Any, bind: CarrierBind, listener: Listener
) -> None:
    smsc.tell("plan", to=TO, statuses=[-1])
    bind.submit(encode_submission(TEMPLATE, 5, 0, "Shop", TO, b"x"), "unanswered")
    await expect(smsc, "submit_sm")
    smsc.tell("destroy", session="me")
    assert await listener.losses.get() == ("unanswered",)
