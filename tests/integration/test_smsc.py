"""The simulated carrier over real sockets, against a client of a few lines and against smpplib."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import smpplib.client
import smpplib.consts

from bench.simulator.script import parse_script
from bench.simulator.session import GARBAGE
from bench.smsc import Smsc
from gateway.smpp import vocabulary as v
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    decode,
    decode_deliver_sm,
    decode_message_resp,
    encode,
    encode_deliver_sm_resp,
    encode_header,
    encode_submit_sm,
)
from gateway.smpp.shapes import DeliverSm, Frame, Pdu, SubmitSm

TIMEOUT_S = 60.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
ROOT = Path(__file__).parents[2]

# A certificate for "carrier.test" that signs itself, made for this file and of no other use.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTz6cZV2YywZltjR5
q4uE28EA0iIDoU6ZltRMrcl51x6hRANCAARMJ+6bCStXHuQttz8XqAo7KDX+wREB
C1AEB7bLmimdK3tv46nCV4uQbkErtgqOpfnL1e7pA1N7Hrinz4+SKWZM
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBnjCCAUSgAwIBAgIUF8VMc/uNl6Ew6EDiejYpBUompEwwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMY2Fycmllci50ZXN0MCAXDTI2MTEyMTIzNTk1OVoYDzIxMjYx
MDI4MjM1OTU5WjAXMRUwEwYDVQQDDAxjYXJyaWVyLnRlc3QwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAARMJ+6bCStXHuQttz8XqAo7KDX+wREBC1AEB7bLmimdK3tv
46nCV4uQbkErtgqOpfnL1e7pA1N7Hrinz4+SKWZMo2wwajAdBgNVHQ4EFgQUlMFh
MtwGZbzP149spgUmWU+LX4QwHwYDVR0jBBgwFoAUlMFhMtwGZbzP149spgUmWU+L
X4QwDwYDVR0TAQH/BAUwAwEB/zAXBgNVHREEEDAOggxjYXJyaWVyLnRlc3QwCgYI
KoZIzj0EAwIDSAAwRQIhAO1oXNa8Zq4naOOHwyQGrTMXz4kTRUx6NIzGxlh3vyrN
AiAd9CEA3Bj1uFJlhHsUOjzL+nmECH/hH7yoYNIYEUGPSg==
-----END CERTIFICATE-----
"""


class Esme:
    """The client's side of one connection, one PDU at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reads: list[bytes] = []
        self._reader = reader
        self._writer = writer
        self._framer = Framer()
        self._inbox: list[Frame] = []
        self._sequence = 0

    def send(self, octets: bytes) -> None:
        self._writer.write(octets)

    def request(self, command_id: int, **fields: int | str | bytes) -> int:
        self._sequence += 1
        self.send(encode(Pdu(command_id, self._sequence, 0, fields)))
        return self._sequence

    async def bind(
        self,
        command_id: int = v.BIND_TRANSCEIVER,
        system_id: str = "gw",
        password: str = "secret",  # noqa: S107 - of a simulated carrier
    ) -> Frame:
        self.request(command_id, system_id=system_id, password=password, interface_version=0x34)
        return await self.receive(command_id | v.RESPONSE)

    def submit(self, text: str = "Hello", to: str = "447911000001", **fields: int | bytes) -> int:
        self._sequence += 1
        values = {"registered_delivery": 1, "short_message": text.encode()} | fields
        submit = SubmitSm(source_addr="Shop", destination_addr=to, **values)  # type: ignore[arg-type]
        self.send(encode_submit_sm(self._sequence, submit))
        return self._sequence

    async def receive(self, *command_ids: int) -> Frame:
        """Return the next PDU of one of the commands; without any, the next PDU of all."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                for index, frame in enumerate(self._inbox):
                    if not command_ids or frame.command_id in command_ids:
                        return self._inbox.pop(index)
                await self.read()

    async def receive_receipt(self) -> DeliverSm:
        """Return the next deliver_sm, acknowledged."""
        frame = await self.receive(v.DELIVER_SM)
        self.send(encode_deliver_sm_resp(frame.sequence))
        return decode_deliver_sm(frame.body)

    async def receive_silence(self) -> None:
        """Check that nothing comes: the answer to an enquire_link is the next thing."""
        sequence = self.request(v.ENQUIRE_LINK)
        frame = await self.receive()
        assert (frame.command_id, frame.sequence) == (v.ENQUIRE_LINK_RESP, sequence)

    async def receive_end(self) -> None:
        """Wait until the other side has closed."""
        async with asyncio.timeout(TIMEOUT_S):
            try:
                while await self._reader.read(65_536):
                    pass
            except ConnectionError:
                pass

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            pass  # cut by the other side, which some tests ask for

    async def read(self) -> None:
        data = await self._reader.read(65_536)
        if not data:
            raise ConnectionError("closed by the simulator")
        self.reads.append(data)
        self._inbox += self._framer.receive(data)


Start = Callable[[str], Awaitable[Smsc]]
Connect = Callable[[Smsc], Awaitable[Esme]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    started: list[Smsc] = []

    async def start_one(script: str) -> Smsc:
        smsc = Smsc(parse_script(script))
        await smsc.start()
        started.append(smsc)
        return smsc

    yield start_one
    for smsc in started:
        await smsc.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    opened: list[Esme] = []

    async def connect_one(smsc: Smsc) -> Esme:
        esme = Esme(*await asyncio.open_connection("127.0.0.1", smsc.port))
        opened.append(esme)
        return esme

    yield connect_one
    for esme in opened:
        await esme.close()


@pytest.fixture
def bound(start: Start, connect: Connect) -> Callable[..., Awaitable[tuple[Smsc, Esme]]]:
    """Start a simulator and bind to it."""

    async def start_and_bind(script: str = "") -> tuple[Smsc, Esme]:
        smsc = await start(script)
        esme = await connect(smsc)
        assert (await esme.bind()).status == 0
        return smsc, esme

    return start_and_bind


Bound = Callable[..., Awaitable[tuple[Smsc, Esme]]]


async def settle(condition: Callable[[], bool]) -> None:
    """Wait until the simulator has come to `condition`."""
    async with asyncio.timeout(TIMEOUT_S):
        # Counts have no event to wait on.
        while not condition():
            await asyncio.sleep(0.001)


# ── binds ────────────────────────────────────────────────────────────────────────────────────


async def test_a_bind_is_answered_with_name_and_version(start: Start, connect: Connect) -> None:
    esme = await connect(await start("[server]\nsystem_id = 'operator'"))
    answer = decode(await esme.bind())
    assert answer.text("system_id") == "operator"
    assert answer.tlv(v.TAG_SC_INTERFACE_VERSION) == b"\x34"


async def test_bad_credentials_are_refused_and_the_line_stays(
    start: Start, connect: Connect
) -> None:
    smsc = await start("[[account]]\nsystem_id = 'gw'\npassword = 'secret'")
    esme = await connect(smsc)
    assert (await esme.bind(password="wrong")).status == v.ESME_RINVPASWD
    assert (await esme.bind(system_id="other")).status == v.ESME_RINVSYSID
    assert (await esme.bind()).status == v.ESME_ROK
    assert (await esme.bind()).status == v.ESME_RALYBND
    assert smsc.stats()["binds"]["refused"] == {"0x5": 1, "0xe": 1, "0xf": 1}


async def test_nothing_but_enquire_link_is_served_before_a_bind(
    start: Start, connect: Connect
) -> None:
    esme = await connect(await start(""))
    esme.submit()
    assert (await esme.receive(v.SUBMIT_SM_RESP)).status == v.ESME_RINVBNDSTS
    await esme.receive_silence()


async def test_a_receiver_may_not_submit(start: Start, connect: Connect) -> None:
    esme = await connect(await start(""))
    await esme.bind(v.BIND_RECEIVER)
    esme.submit()
    assert (await esme.receive(v.SUBMIT_SM_RESP)).status == v.ESME_RINVBNDSTS


async def test_a_bind_can_be_answered_late(bound: Bound) -> None:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    await bound("[connection]\nbind_delay_s = 0.05")
    assert loop.time() - started_s >= 0.05


async def test_an_unbind_is_answered_and_the_line_closed(bound: Bound) -> None:
    smsc, esme = await bound()
    esme.request(v.UNBIND)
    await esme.receive(v.UNBIND_RESP)
    await esme.receive_end()
    await settle(lambda: smsc.stats()["binds"]["unbound"] == 1)


async def test_the_carrier_can_unbind(bound: Bound) -> None:
    smsc, esme = await bound("[connection]\nunbind_after_s = 0.02")
    asked = await esme.receive(v.UNBIND)
    esme.submit()
    assert (await esme.receive(v.SUBMIT_SM_RESP)).status == v.ESME_RINVBNDSTS
    esme.send(encode_header(v.UNBIND_RESP, asked.sequence))
    await esme.receive_end()
    await settle(lambda: smsc.stats()["binds"]["unbound"] == 1)


async def test_the_carrier_can_ask_whether_the_line_lives(bound: Bound) -> None:
    _, esme = await bound("[connection]\nenquire_link_s = 0.01")
    first = await esme.receive(v.ENQUIRE_LINK)
    second = await esme.receive(v.ENQUIRE_LINK)
    assert second.sequence > first.sequence


async def test_the_carrier_can_ignore_enquire_link(bound: Bound) -> None:
    _, esme = await bound("[connection]\nanswer_enquire_link = false")
    esme.request(v.ENQUIRE_LINK)
    esme.submit()
    assert (await esme.receive()).command_id == v.SUBMIT_SM_RESP


async def test_unknown_commands_and_damaged_bodies_are_refused_and_the_bind_goes_on(
    bound: Bound,
) -> None:
    smsc, esme = await bound()
    esme.send(encode_header(0x0999, 7))
    nack = await esme.receive(v.GENERIC_NACK)
    assert (nack.sequence, nack.status) == (7, v.ESME_RINVCMDID)
    esme.send(encode_header(v.SUBMIT_SM, 8, 0, 3) + b"abc")
    assert (await esme.receive(v.SUBMIT_SM_RESP)).status == v.ESME_RINVCMDLEN
    esme.submit()
    assert (await esme.receive(v.SUBMIT_SM_RESP)).status == v.ESME_ROK
    assert smsc.stats()["malformed_pdus"] == 1


async def test_a_broken_stream_is_refused_and_closed(bound: Bound) -> None:
    smsc, esme = await bound()
    esme.send(b"\x00\x00\x00\x03" * 8)
    assert (await esme.receive(v.GENERIC_NACK)).status == v.ESME_RINVCMDLEN
    await esme.receive_end()
    assert smsc.stats()["malformed_pdus"] == 1


# ── answers ──────────────────────────────────────────────────────────────────────────────────


async def test_a_message_gets_its_id_and_then_its_receipt(bound: Bound) -> None:
    smsc, esme = await bound("[ids]\nfirst = 500\nresponse = 'hex'\nreceipt_width = 10")
    sequence = esme.submit("Hello world")
    answer = await esme.receive(v.SUBMIT_SM_RESP)
    assert answer.sequence == sequence
    assert decode_message_resp(answer.octets).message_id == "1f4"
    receipt = await esme.receive_receipt()
    assert receipt.esm_class == v.ESM_CLASS_RECEIPT
    assert receipt.short_message.startswith(b"id:0000000500 sub:001 dlvrd:001 submit date:")
    assert receipt.short_message.endswith(b"stat:DELIVRD err:000 text:Hello world")
    await settle(lambda: smsc.stats()["receipts"]["acknowledged"] == 1)


async def test_answers_wait_for_their_latency(bound: Bound) -> None:
    _, esme = await bound("[[rule]]\nprefix = '44'\nlatency = 0.05")
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    slow, fast = esme.submit(to="447911000001"), esme.submit(to="337911000001")
    answers = [(await esme.receive(v.SUBMIT_SM_RESP)).sequence for _ in range(2)]
    assert answers == [fast, slow]
    assert loop.time() - started_s >= 0.05


async def test_refusals_carry_any_status_and_no_body(bound: Bound) -> None:
    smsc, esme = await bound("[[rule]]\nsuffix = '7'\nrefuse = [{ status = 0x04A1 }]")
    esme.submit(to="447911000007")
    answer = await esme.receive(v.SUBMIT_SM_RESP)
    assert (answer.status, answer.body) == (0x04A1, b"")
    stats = smsc.stats()
    assert (stats["statuses"], stats["distinct"]) == ({"0x4a1": 1}, 0)


async def test_beyond_its_rate_the_carrier_throttles(bound: Bound) -> None:
    smsc, esme = await bound("[server]\nrate_per_s = 0.1\nburst = 3")
    for number in range(5):
        esme.submit(f"#{number}")
    statuses = [(await esme.receive(v.SUBMIT_SM_RESP)).status for _ in range(5)]
    assert statuses == [0, 0, 0, v.ESME_RTHROTTLED, v.ESME_RTHROTTLED]
    assert smsc.stats()["rate_max_per_s"] == 5


async def test_beyond_its_window_the_carrier_refuses(bound: Bound) -> None:
    smsc, esme = await bound("[server]\nwindow_max = 2\n[[rule]]\nlatency = 0.05")
    for number in range(3):
        esme.submit(f"#{number}")
    refused = await esme.receive(v.SUBMIT_SM_RESP)
    assert (refused.sequence, refused.status) == (4, v.ESME_RMSGQFUL)
    assert [(await esme.receive(v.SUBMIT_SM_RESP)).status for _ in range(2)] == [0, 0]
    esme.submit("#4")
    assert (await esme.receive(v.SUBMIT_SM_RESP)).status == 0
    assert smsc.stats()["in_flight_max"] == 3


async def test_silence_is_no_answer_but_a_receipt(bound: Bound) -> None:
    smsc, esme = await bound("[[rule]]\nsilence_share = 1")
    esme.submit()
    assert (await esme.receive()).command_id == v.DELIVER_SM
    stats = smsc.stats()
    assert (stats["unanswered"], stats["distinct"]) == ({"silence": 1}, 1)


async def test_silence_can_mean_that_the_message_is_lost(bound: Bound) -> None:
    smsc, esme = await bound("[[rule]]\nsilence_share = 1\nunanswered = 'lost'")
    esme.submit()
    await esme.receive_silence()
    assert smsc.stats()["distinct"] == 0


async def test_every_nth_submission_cuts_the_line(bound: Bound, connect: Connect) -> None:
    smsc, esme = await bound("[connection]\ndrop_every = 3")
    for number in range(3):
        esme.submit(f"#{number}", registered_delivery=0)
    await esme.receive_end()
    await settle(lambda: smsc.stats()["binds"]["lost"] == 1)
    again = await connect(smsc)
    await again.bind()
    again.submit("#2", registered_delivery=0)
    assert (await again.receive(v.SUBMIT_SM_RESP)).status == 0
    stats = smsc.stats()
    assert (stats["distinct"], stats["duplicates"]) == (3, 1)


async def test_garbage_comes_instead_of_an_answer(bound: Bound) -> None:
    _, esme = await bound("[connection]\ngarbage_every = 1")
    esme.submit(registered_delivery=0)
    await esme.read()
    assert esme.reads[-1] == GARBAGE


async def test_a_slow_reader_takes_its_time(bound: Bound) -> None:
    smsc, esme = await bound("[connection]\nread_bytes_per_s = 2000")
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    for _ in range(2):
        esme.submit("x" * 100)
        await esme.receive(v.SUBMIT_SM_RESP)
    assert loop.time() - started_s >= 0.05
    assert smsc.stats()["submit_sm"] == 2


# ── receipts ─────────────────────────────────────────────────────────────────────────────────


async def test_no_receipt_comes_that_was_not_asked_for(bound: Bound) -> None:
    smsc, esme = await bound()
    esme.submit(registered_delivery=0)
    await esme.receive(v.SUBMIT_SM_RESP)
    await esme.receive_silence()
    assert smsc.stats()["receipts"]["made"] == 0


async def test_early_receipts_come_before_the_answer_in_one_read(bound: Bound) -> None:
    _, esme = await bound("[[rule]]\nearly_share = 1")
    esme.submit()
    reads_before = len(esme.reads)
    first, second = await esme.receive(), await esme.receive()
    assert (first.command_id, second.command_id) == (v.DELIVER_SM, v.SUBMIT_SM_RESP)
    assert len(esme.reads) == reads_before + 1


async def test_receipts_come_after_their_delay_in_the_order_of_their_times(bound: Bound) -> None:
    _, esme = await bound("[[rule]]\nsuffix = '1'\ndelay = 0.06\n[[rule]]\ndelay = 0.02")
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    esme.submit(to="447911000001")
    esme.submit(to="447911000002")
    sources = [(await esme.receive_receipt()).source_addr for _ in range(2)]
    assert sources == ["447911000002", "447911000001"]
    assert loop.time() - started_s >= 0.06


async def test_an_intermediate_notification_comes_before_the_final_receipt(bound: Bound) -> None:
    _, esme = await bound(
        "[[rule]]\ndelay = 0.02\nreceipts = [{ state = 'EXPIRED', intermediate = true }]"
    )
    esme.submit(registered_delivery=0x11)
    first, second = await esme.receive_receipt(), await esme.receive_receipt()
    assert (first.esm_class, second.esm_class) == (0x20, 0x04)
    assert b"stat:ENROUTE" in first.short_message
    assert b"stat:EXPIRED" in second.short_message


async def test_receipts_may_come_twice_or_not_at_all(bound: Bound) -> None:
    smsc, esme = await bound(
        "[[rule]]\nsuffix = '1'\nduplicate_share = 1\n[[rule]]\nmissing_share = 1"
    )
    esme.submit(to="447911000001")
    await esme.receive(v.SUBMIT_SM_RESP)
    assert await esme.receive_receipt() == await esme.receive_receipt()
    esme.submit(to="447911000002")
    await esme.receive(v.SUBMIT_SM_RESP)
    await esme.receive_silence()
    assert smsc.stats()["receipts"]["made"] == 2


async def test_a_malformed_receipt_is_sent_and_counted(bound: Bound) -> None:
    smsc, esme = await bound("[[rule]]\nmalformed_share = 1\nmalformed = ['no_stat_key']")
    esme.submit()
    receipt = await esme.receive_receipt()
    assert b" DELIVRD err:000" in receipt.short_message
    assert b"stat:" not in receipt.short_message
    assert smsc.stats()["malformed_receipts"] == {"no_stat_key": 1}


async def test_receipts_may_come_as_data_sm(bound: Bound) -> None:
    smsc, esme = await bound("[[rule]]\ncarriage = 'data_sm'\nform = 'tlv'")
    esme.submit()
    frame = await esme.receive(v.DATA_SM)
    assert decode(frame).tlv(v.TAG_MESSAGE_STATE) == b"\x02"
    esme.send(encode(Pdu(v.DATA_SM_RESP, frame.sequence)))
    await settle(lambda: smsc.stats()["receipts"]["acknowledged"] == 1)


@pytest.mark.parametrize(
    ("policy", "mode", "winner"),
    [
        ("same", v.BIND_TRANSCEIVER, 0),
        ("other", v.BIND_TRANSCEIVER, 1),
        ("receiver", v.BIND_RECEIVER, 1),
    ],
)
async def test_receipts_go_to_the_bind_that_the_script_names(
    start: Start, connect: Connect, policy: str, mode: int, winner: int
) -> None:
    smsc = await start(f"[server]\nreceipts_to = '{policy}'")
    esmes = [await connect(smsc), await connect(smsc)]
    await esmes[0].bind()
    await esmes[1].bind(mode)
    esmes[0].submit()
    await esmes[0].receive(v.SUBMIT_SM_RESP)
    await esmes[winner].receive(v.DELIVER_SM)
    await esmes[1 - winner].receive_silence()


async def test_receipts_never_go_to_another_system_id(start: Start, connect: Connect) -> None:
    smsc = await start("[server]\nreceipts_to = 'other'")
    ours, theirs = await connect(smsc), await connect(smsc)
    await ours.bind()
    await theirs.bind(system_id="rival")
    ours.submit()
    await ours.receive(v.DELIVER_SM)
    await theirs.receive_silence()


async def test_receipts_wait_for_a_bind_that_can_receive(start: Start, connect: Connect) -> None:
    smsc = await start("")
    transmitter = await connect(smsc)
    await transmitter.bind(v.BIND_TRANSMITTER)
    for number in range(3):
        transmitter.submit(f"#{number}", to=f"44791100000{number}")
        await transmitter.receive(v.SUBMIT_SM_RESP)
    await transmitter.receive_silence()
    assert smsc.stats()["waiting"] == 3
    receiver = await connect(smsc)
    await receiver.bind(v.BIND_RECEIVER)
    sources = [(await receiver.receive_receipt()).source_addr for _ in range(3)]
    assert sources == ["447911000000", "447911000001", "447911000002"]


async def test_what_was_not_acknowledged_is_sent_again_after_a_rebind(
    bound: Bound, connect: Connect
) -> None:
    smsc, esme = await bound()
    esme.submit("#1", to="447911000001")
    esme.submit("#2", to="447911000002")
    await esme.receive_receipt()
    await esme.receive(v.DELIVER_SM)
    await settle(lambda: smsc.stats()["receipts"]["acknowledged"] == 1)
    await esme.close()
    await settle(lambda: smsc.stats()["waiting"] == 1)
    again = await connect(smsc)
    await again.bind()
    assert (await again.receive_receipt()).source_addr == "447911000002"
    await again.receive_silence()
    assert smsc.stats()["receipts"]["redelivered"] == 1


async def test_a_receipt_that_is_refused_for_now_comes_again(bound: Bound) -> None:
    smsc, esme = await bound("[server]\nredeliver_s = 0.01")
    esme.submit()
    frame = await esme.receive(v.DELIVER_SM)
    esme.send(encode_header(v.DELIVER_SM_RESP, frame.sequence, v.ESME_RX_T_APPN))
    again = await esme.receive(v.DELIVER_SM)
    assert again.body == frame.body
    esme.send(encode_header(v.DELIVER_SM_RESP, again.sequence, v.ESME_RSYSERR))
    await settle(lambda: smsc.stats()["receipts"]["refused"] == 1)


async def test_a_client_that_acknowledges_nothing_is_sent_no_more_than_a_window(
    bound: Bound,
) -> None:
    smsc, esme = await bound("[server]\nreceipt_window = 2")
    for number in range(4):
        esme.submit(f"#{number}")
    held = [await esme.receive(v.DELIVER_SM) for _ in range(2)]
    await settle(lambda: smsc.stats()["waiting"] == 2)
    assert smsc.stats()["receipts"]["sent"] == 2
    esme.send(encode_deliver_sm_resp(held[0].sequence))
    await esme.receive(v.DELIVER_SM)
    assert smsc.stats()["waiting"] == 1


async def test_answers_and_receipts_outlive_a_client_that_was_killed(
    bound: Bound, connect: Connect
) -> None:
    smsc, esme = await bound("[[rule]]\nlatency = 1.0\ndelay = 0.02")
    esme.submit()
    await settle(lambda: smsc.stats()["submit_sm"] == 1)
    await esme.close()
    await settle(lambda: smsc.stats()["answers_lost"] == 1)
    again = await connect(smsc)
    await again.bind()
    assert b"stat:DELIVRD" in (await again.receive_receipt()).short_message


async def test_two_carriers_of_one_seed_do_the_same(start: Start, connect: Connect) -> None:
    script = """
        seed = 11
        [[rule]]
        refuse = [{ status = 8, share = 0.3 }]
        receipts = [{ share = 0.5 }, { state = "UNDELIV", share = 0.5 }]
        """

    async def run() -> list[tuple[int, bytes]]:
        esme = await connect(await start(script))
        await esme.bind()
        seen = []
        for number in range(40):
            esme.submit(f"#{number}")
            status = (await esme.receive(v.SUBMIT_SM_RESP)).status
            state = b""
            if not status:
                text = (await esme.receive_receipt()).short_message
                state = text[text.index(b"stat:") :][:12]
            seen.append((status, state))
        return seen

    first, second = await run(), await run()
    assert first == second
    assert len(set(first)) == 3


# ── messages from phones ─────────────────────────────────────────────────────────────────────


async def test_phones_send_by_the_script(bound: Bound) -> None:
    smsc, esme = await bound(
        """
        [[account]]
        system_id = "gw"
        password = "secret"
        [[mobile]]
        source = "447911000001"
        destination = "80800"
        text = "Order {n}"
        rate_per_s = 200
        count = 3
        """
    )
    texts = [(await esme.receive_receipt()).short_message for _ in range(3)]
    assert texts == [b"Order 1", b"Order 2", b"Order 3"]
    await settle(lambda: smsc.stats()["mobile_originated"]["acknowledged"] == 3)


async def test_a_long_text_from_a_phone_may_come_last_part_first(bound: Bound) -> None:
    smsc, esme = await bound()
    parts = smsc.carrier.send_mobile("447911000001", "80800", "a" * 200, backwards=True)
    smsc.carrier.flush()
    bodies = [(await esme.receive_receipt()).short_message for _ in range(parts)]
    assert [body[5] for body in bodies] == [2, 1]


# ── the process ──────────────────────────────────────────────────────────────────────────────


async def test_a_carrier_goes_on_after_a_pause(bound: Bound, connect: Connect) -> None:
    smsc, esme = await bound("[[rule]]\ndelay = 0.02")
    esme.submit()
    await esme.receive(v.SUBMIT_SM_RESP)
    port = smsc.port
    await smsc.stop()
    await esme.receive_end()
    await smsc.start()
    assert smsc.port == port
    again = await connect(smsc)
    await again.bind()
    await again.receive_receipt()
    assert smsc.stats()["distinct"] == 1


async def test_the_process_takes_commands_and_leaves_its_counts(tmp_path: Path) -> None:
    script = tmp_path / "carrier.toml"
    script.write_text("identity = 'tag'")
    counts = tmp_path / "counts.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.smsc", "--script", str(script), "--stats-file", str(counts)),
        *("--port", "0", "--port", "0", "--control-port", "0"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            ready = json.loads(await process.stdout.readline())
        first, second = ready["ports"]
        esme = Esme(*await asyncio.open_connection("127.0.0.1", first))
        await esme.bind()
        esme.submit("one #1")
        await esme.receive_receipt()
        reader, writer = await asyncio.open_connection("127.0.0.1", ready["control_port"])

        async def order(**command: Any) -> Any:
            writer.write(json.dumps(command).encode() + b"\n")
            async with asyncio.timeout(TIMEOUT_S):
                return json.loads(await reader.readline())

        mobile = {"source": "447911000001", "destination": "80800", "text": "HELP"}
        assert await order(do="mobile", port=first, **mobile) == {"parts": 1}
        assert (await esme.receive_receipt()).short_message == b"HELP"
        assert "unknown field" in (await order(do="mobile", colour="red", **mobile))["error"]
        assert "listens on port 1" in (await order(do="drop", port=1))["error"]
        assert "sed" in (await order(do="script", toml="sed = 1"))["error"]
        toml = "[[rule]]\nrefuse = [{ status = 8 }]"
        assert await order(do="script", port=first, toml=toml) == {"done": True}
        await esme.receive(v.SUBMIT_SM_RESP)
        esme.submit("two #2")
        assert (await esme.receive(v.SUBMIT_SM_RESP)).status == 8
        stats = await order(do="stats")
        assert [each["port"] for each in stats["carriers"]] == [first, second]
        assert stats["carriers"][0]["submit_sm"] == 2
        assert await order(do="unbind", port=first) == {"done": True}
        await esme.receive(v.UNBIND)
        assert await order(do="drop", port=first) == {"done": True}
        await esme.receive_end()
        await esme.close()
        writer.close()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    left = json.loads(counts.read_text())["carriers"]
    assert [each["distinct"] for each in left] == [1, 0]
    assert left[0]["statuses"] == {"0x0": 1, "0x8": 1}


async def test_a_script_that_is_wrong_ends_the_process_with_its_key(tmp_path: Path) -> None:
    script = tmp_path / "carrier.toml"
    script.write_text("[[rule]]\nlatncy = 1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.smsc", "--script", str(script)),
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with asyncio.timeout(TIMEOUT_S):
        _, said = await process.communicate()
    assert process.returncode == 2
    assert said.startswith(b"rule[0].latncy: unknown key; did you mean 'latency'?")


async def test_the_process_ends_when_it_is_told_to_and_speaks_tls(tmp_path: Path) -> None:
    pem = tmp_path / "carrier.pem"
    pem.write_text(CERTIFICATE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.smsc", "--port", "0", "--control-port", "0"),
        *("--tls-cert", str(pem)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            ready = json.loads(await process.stdout.readline())
        tls = ssl.create_default_context(cafile=str(pem))
        connection = await asyncio.open_connection(
            "127.0.0.1", ready["ports"][0], ssl=tls, server_hostname="carrier.test"
        )
        esme = Esme(*connection)
        assert (await esme.bind()).status == 0
        esme.submit()
        await esme.receive_receipt()
        await esme.close()
        _, writer = await asyncio.open_connection("127.0.0.1", ready["control_port"])
        writer.write(b'{"do": "stop"}\n')
        async with asyncio.timeout(TIMEOUT_S):
            assert await process.wait() == 0
        writer.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_port_that_is_taken_ends_the_process(start: Start) -> None:
    smsc = await start("")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.smsc", "--port", str(smsc.port)),
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with asyncio.timeout(TIMEOUT_S):
        _, said = await process.communicate()
    assert process.returncode == 1
    assert said.startswith(b"can't listen: ")


async def test_the_self_test_measures_what_it_sends() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.smsc", "--self-test", "--messages", "500"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with asyncio.timeout(TIMEOUT_S):
        said, _ = await process.communicate()
    measured = json.loads(said)
    assert (measured["messages"], measured["receipts"], measured["distinct"]) == (500, 500, 500)
    assert measured["messages_per_s"] > 0


# ── an independent client ────────────────────────────────────────────────────────────────────


async def test_smpplib_binds_submits_and_gets_its_receipt(start: Start) -> None:
    smsc = await start("[[account]]\nsystem_id = 'gw'\npassword = 'secret'\n[ids]\nfirst = 77")
    seen = await asyncio.to_thread(_run_smpplib, smsc.port)
    assert seen["message_id"] == b"77"
    assert seen["receipt"].startswith(b"id:77 sub:001 dlvrd:001 submit date:")
    assert seen["receipted_message_id"] == b"77"
    assert seen["message_state"] == smpplib.consts.SMPP_MESSAGE_STATE_DELIVERED
    await settle(lambda: smsc.stats()["binds"]["unbound"] == 1)
    assert smsc.stats()["receipts"]["acknowledged"] == 1


def _run_smpplib(port: int) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    done = threading.Event()

    def note_sent(pdu: Any) -> None:
        seen["message_id"] = pdu.message_id

    def note_received(pdu: Any) -> int:
        seen["receipt"] = pdu.short_message
        seen["receipted_message_id"] = pdu.receipted_message_id
        seen["message_state"] = pdu.message_state
        done.set()
        return 0

    client = smpplib.client.Client(
        "127.0.0.1", port, timeout=TIMEOUT_S, allow_unknown_opt_params=True
    )
    client.set_message_sent_handler(note_sent)
    client.set_message_received_handler(note_received)
    client.connect()
    client.bind_transceiver(system_id="gw", password="secret")
    client.send_message(
        source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
        source_addr="Shop",
        dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
        destination_addr="447911000001",
        short_message=b"Hello from another hand",
        registered_delivery=True,
    )
    while not done.is_set():
        client.read_once()
    client.unbind()
    client.disconnect()
    return seen
