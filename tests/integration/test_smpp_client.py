"""Binds to carriers over real sockets, against a carrier that does what the test tells it.

Every scenario runs on asyncio's own loop and on uvloop. Nothing waits for things to settle: the
carrier waits for PDUs, the listener for its calls. Short timers are part of the scenario.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, cast
from unittest.mock import patch

import pytest
import structlog
import uvloop

from gateway.smpp import vocabulary as v
from gateway.smpp.client import BindState, CarrierBind
from gateway.smpp.errors import IllegalSend, InvalidField, WindowFull
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    decode,
    decode_submit_sm,
    encode,
    encode_deliver_sm,
    encode_header,
    encode_submission,
    encode_submit_sm_resp,
)
from gateway.smpp.settings import BindMode, BindSettings, Pace
from gateway.smpp.shapes import DeliverSm, Frame, Pdu, SubmitTemplate
from gateway.smpp.timers import Timings

TIMEOUT_S = 10.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
BODY = encode_submission(SubmitTemplate(), 5, 0, "Brand", "447700900123", b"Hello")
RECEIPT = DeliverSm(source_addr="447700900123", esm_class=4, short_message=b"id:1 stat:DELIVRD")
AT_ONCE = Pace(first_s=0.0, max_s=0.0, slow_first_s=0.0, slow_max_s=0.0)
NOT_SOON = Pace(first_s=3600.0, max_s=3600.0)

# A certificate for "smsc.test" that signs itself, made for this file and of no other use.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgesqeQF6pv1xA2CiP
iSKBmB1aXbTc0YDiNovsbOew9G2hRANCAASfOpt6UDdvJNT/jR6lhlTH5ku5G64b
bIIInKC3EODDuIu2Xp2zd/OwXXl4ExSlrDDExMBJ9DL2V/G8Wudj70EC
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBkjCCATigAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlzbXNjLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CXNtc2MudGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJ86m3pQN28k1P+N
HqWGVMfmS7kbrhtsggicoLcQ4MO4i7ZenbN387BdeXgTFKWsMMTEwEn0MvZX8bxa
52PvQQKjeTB3MA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgKEMB0GA1Ud
DgQWBBRoY7pgz4Bm7GE6zkqD1GFEbCb/ETAfBgNVHSMEGDAWgBRoY7pgz4Bm7GE6
zkqD1GFEbCb/ETAUBgNVHREEDTALgglzbXNjLnRlc3QwCgYIKoZIzj0EAwIDSAAw
RQIgERwOsrXUJZf219XeWThhuE6VJhrPhMI8VB9JvPQVjvgCIQCnZa6X+TmTmWZZ
L7YRr5mZ1LtaW7kHQYRHwrsUH4V4Ag==
-----END CERTIFICATE-----
"""

Scenario = Callable[[], Coroutine[Any, Any, None]]


def on_both_loops(scenario: Scenario) -> Callable[[Callable[[], asyncio.AbstractEventLoop]], None]:
    """Make a test of a scenario, once a loop, that can't hang."""

    def run(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        async def within_time() -> None:
            async with asyncio.timeout(TIMEOUT_S):
                await scenario()

        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(within_time())

    run.__name__ = scenario.__name__
    run.__doc__ = scenario.__doc__
    loops = pytest.mark.parametrize(
        "make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
    )
    test: Callable[[Callable[[], asyncio.AbstractEventLoop]], None] = loops(run)
    return test


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what a bind tells nobody of."""
    while not holds():  # there is no event to wait on, that is the point
        await asyncio.sleep(0.001)


# ── the carrier ──────────────────────────────────────────────────────────────────────────────


class Peer:
    """The carrier's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._framer = Framer()
        self._frames: list[Frame] = []

    async def receive_any(self) -> Frame:
        """Return the next PDU."""
        while not self._frames:
            data = await self.reader.read(65_536)
            assert data, "the connection ended where a PDU was awaited"
            self._frames += self._framer.receive(data)
            assert self._framer.failure is None
        return self._frames.pop(0)

    async def receive(self, command_id: int) -> Frame:
        """Return the next PDU, which must be this one."""
        frame = await self.receive_any()
        assert v.command_name(frame.command_id) == v.command_name(command_id)
        return frame

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def accept_bind(self, command_id: int = v.BIND_TRANSCEIVER) -> Pdu:
        frame = await self.receive(command_id)
        answer = Pdu(command_id | v.RESPONSE, frame.sequence, 0, {"system_id": "smsc"})
        self.send(encode(answer))
        return decode(frame)

    async def receive_submits(self, count: int) -> list[int]:
        return [(await self.receive(v.SUBMIT_SM)).sequence for _ in range(count)]

    def answer(self, sequence: int, message_id: str = "id") -> None:
        self.send(encode_submit_sm_resp(sequence, 0, message_id))

    def stop_reading(self) -> None:
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    def read_again(self) -> None:
        cast(asyncio.Transport, self.writer.transport).resume_reading()

    def cut(self) -> None:
        """End the connection without a word."""
        self.writer.transport.abort()

    async def receive_end(self) -> bytes:
        """Wait until the other side has closed; return what it still said."""
        rest = b""
        with contextlib.suppress(ConnectionError):
            while data := await self.reader.read(65_536):
                rest += data
        self.writer.close()
        return rest


class Carrier:
    """Listens, and hands over each connection that comes in."""

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._all: list[Peer] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(
            self._take, "127.0.0.1", self.port, ssl=tls, limit=1 << 22
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self._all.append(peer)
        self._peers.put_nowait(peer)

    async def accept(self) -> Peer:
        return await self._peers.get()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for peer in self._all:
            peer.cut()


# ── the listener ─────────────────────────────────────────────────────────────────────────────


class Recorder:
    """Keeps what a bind tells, by kind, and lets a test wait for it."""

    def __init__(self) -> None:
        self._told: dict[str, asyncio.Queue[Any]] = {
            kind: asyncio.Queue() for kind in ("bound", "lost", "room", "responded", "delivered")
        }
        self.raises: Exception | None = None

    async def next(self, kind: str) -> Any:
        return await self._told[kind].get()

    def untold(self, kind: str) -> bool:
        return self._told[kind].empty()

    def _tell(self, kind: str, what: object) -> None:
        self._told[kind].put_nowait(what)
        if self.raises is not None:
            raise self.raises

    def bound(self, bind: CarrierBind) -> None:
        self._tell("bound", bind.name)

    def lost(self, bind: CarrierBind, reason: str, in_flight: Sequence[object]) -> None:
        self._tell("lost", (reason, list(in_flight)))

    def room(self, bind: CarrierBind) -> None:
        self._tell("room", bind.room)

    def responded(
        self, bind: CarrierBind, context: object, status: int, message_id: str, latency_s: float
    ) -> None:
        self._tell("responded", (context, status, message_id, latency_s))

    def delivered(self, bind: CarrierBind, token: int, pdu: DeliverSm) -> None:
        self._tell("delivered", (token, pdu))


class Stage:
    """A carrier, a bind to it that runs, and who hears of it."""

    def __init__(self, carrier: Carrier, listener: Recorder, bind: CarrierBind) -> None:
        self.carrier = carrier
        self.listener = listener
        self.bind = bind
        self.running = asyncio.create_task(bind.run())

    async def bound(self) -> Peer:
        """Take the next connection and its bind; return when the bind has heard so."""
        peer = await self.carrier.accept()
        await peer.accept_bind(self.bind.settings.mode.command_id)
        await self.listener.next("bound")
        return peer

    def submit(self, *contexts: object) -> None:
        for context in contexts:
            self.bind.submit(BODY, context)


def make_bind(port: int, listener: Recorder, name: str = "alpha#1", **settings: Any) -> CarrierBind:
    tls = settings.pop("tls", None)
    fields: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "system_id": "us",
        "password": "secret",
        "pace": AT_ONCE,
    }
    return CarrierBind(
        name,
        7,
        BindSettings(**(fields | settings)),
        listener,
        random=lambda: 1.0,
        tls=tls,
    )


@contextlib.asynccontextmanager
async def stage(
    *, listening: bool = True, server_tls: ssl.SSLContext | None = None, **settings: Any
) -> AsyncIterator[Stage]:
    carrier = Carrier()
    await carrier.listen(server_tls)
    if not listening:
        await carrier.close()
    listener = Recorder()
    bind = make_bind(carrier.port, listener, **settings)
    here = Stage(carrier, listener, bind)
    try:
        yield here
    finally:
        await carrier.close()
        await bind.stop(0.0)
        with contextlib.suppress(asyncio.CancelledError):
            await here.running


# ── the good way ─────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_a_bind_submits_hears_its_answers_and_acknowledges_receipts() -> None:
    async with stage(system_type="VMA", address_range="^44") as here:
        peer = await here.carrier.accept()
        asked = await peer.accept_bind()
        assert asked.text("system_id") == "us"
        assert asked.text("password") == "secret"
        assert asked.text("system_type") == "VMA"
        assert asked.text("address_range") == "^44"
        assert await here.listener.next("bound") == "alpha#1"
        bind = here.bind
        assert (bind.bound, bind.can_submit, bind.room, bind.binds) == (True, True, 10, 1)
        assert bind.state is BindState.BOUND

        here.submit("message 1")
        assert (bind.room, bind.in_flight) == (9, 1)
        frame = await peer.receive(v.SUBMIT_SM)
        assert decode_submit_sm(frame.body).short_message == b"Hello"
        peer.answer(frame.sequence, "0123456789")
        context, status, message_id, latency_s = await here.listener.next("responded")
        assert (context, status, message_id) == ("message 1", 0, "0123456789")
        assert 0 <= latency_s < TIMEOUT_S
        assert await here.listener.next("room") == 10

        peer.send(encode_deliver_sm(99, RECEIPT))
        token, pdu = await here.listener.next("delivered")
        assert pdu == RECEIPT
        bind.acknowledge(token)
        assert (await peer.receive(v.DELIVER_SM_RESP)).sequence == 99


@on_both_loops
async def test_a_refusal_is_told_with_its_status() -> None:
    async with stage() as here:
        peer = await here.bound()
        here.submit("a")
        (sequence,) = await peer.receive_submits(1)
        peer.send(encode_submit_sm_resp(sequence, 0x412))
        context, status, message_id, _ = await here.listener.next("responded")
        assert (context, status, message_id) == ("a", 0x412, "")


@on_both_loops
async def test_pdus_that_arrive_in_pieces_are_put_together() -> None:
    async with stage() as here:
        peer = await here.carrier.accept()
        bind = await peer.receive(v.BIND_TRANSCEIVER)
        answer = encode(Pdu(v.BIND_TRANSCEIVER_RESP, bind.sequence, 0, {"system_id": "smsc"}))
        for octet in answer + encode_deliver_sm(5, RECEIPT):
            peer.send(bytes((octet,)))
            await asyncio.sleep(0)
        await here.listener.next("bound")
        assert (await here.listener.next("delivered"))[1] == RECEIPT


@on_both_loops
async def test_a_receiver_hears_but_does_not_submit() -> None:
    async with stage(mode=BindMode.RECEIVER) as here:
        peer = await here.bound()
        assert (here.bind.bound, here.bind.can_submit, here.bind.room) == (True, False, 0)
        with pytest.raises(IllegalSend):
            here.submit("a")
        peer.send(encode_deliver_sm(5, RECEIPT))
        assert (await here.listener.next("delivered"))[1] == RECEIPT


@on_both_loops
async def test_a_full_window_has_room_again_after_an_answer() -> None:
    async with stage(window_size=2) as here:
        peer = await here.bound()
        here.submit("a", "b")
        assert here.bind.room == 0
        with pytest.raises(WindowFull):
            here.submit("c")
        first, _ = await peer.receive_submits(2)
        peer.answer(first)
        assert await here.listener.next("room") == 1
        here.submit("c")
        await peer.receive_submits(1)


@on_both_loops
async def test_two_binds_of_one_carrier_know_nothing_of_each_other() -> None:
    async with stage(mode=BindMode.TRANSMITTER) as here:
        sender = await here.bound()
        listener = Recorder()
        second = make_bind(
            here.carrier.port,
            listener,
            "alpha#2",
            mode=BindMode.RECEIVER,
            timings=Timings(unbind_s=0.05),
        )
        other = Stage(here.carrier, listener, second)
        receiver = await other.bound()
        here.submit("a")
        (sequence,) = await sender.receive_submits(1)
        receiver.send(b"garbage that is no PDU at all")
        assert await listener.next("lost") == ("garbage", [])
        sender.answer(sequence)
        assert (await here.listener.next("responded"))[0] == "a"
        await other.bound()
        assert (here.bind.losts, here.bind.garbage, second.garbage) == (0, 0, 1)
        await second.stop(0.0)
        await other.running


@on_both_loops
async def test_a_bind_speaks_tls_and_checks_the_name() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
        pem.write(CERTIFICATE)
        pem.flush()
        server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_tls.load_cert_chain(pem.name)
        client_tls = ssl.create_default_context(cafile=pem.name)
    async with stage(server_tls=server_tls, tls=client_tls, tls_server_name="smsc.test") as here:
        peer = await here.bound()
        here.submit("a")
        peer.answer((await peer.receive_submits(1))[0])
        assert (await here.listener.next("responded"))[0] == "a"
        listener = Recorder()
        wrong = make_bind(here.carrier.port, listener, tls=client_tls, pace=NOT_SOON)
        running = asyncio.create_task(wrong.run())
        await until(lambda: wrong.state is BindState.WAITING)
        assert (wrong.failures, wrong.binds) == (1, 0)
        await wrong.stop(0.0)
        await running


# ── carriers in trouble ──────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_garbage_ends_the_session_is_counted_and_the_bind_comes_back() -> None:
    async with stage() as here:
        peer = await here.bound()
        here.submit("a", "b")
        first, _ = await peer.receive_submits(2)
        peer.send(encode_submit_sm_resp(first, 0, "id") + b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert (await here.listener.next("responded"))[0] == "a"
        assert await here.listener.next("lost") == ("garbage", ["b"])
        nack = Framer().receive(await peer.receive_end())[0]
        assert (nack.command_id, nack.status) == (v.GENERIC_NACK, v.ESME_RINVCMDLEN)
        await here.bound()
        assert (here.bind.garbage, here.bind.losts, here.bind.binds) == (1, 1, 2)


@on_both_loops
async def test_garbage_before_the_bind_s_answer_is_only_counted() -> None:
    async with stage() as here:
        peer = await here.carrier.accept()
        peer.send(b"220 smsc.example ESMTP ready\r\n")
        await peer.receive_end()
        await here.bound()
        assert (here.bind.garbage, here.bind.failures, here.bind.losts) == (1, 1, 0)
        assert here.listener.untold("lost")


@on_both_loops
async def test_a_connection_cut_within_the_window_hands_back_what_was_in_flight_in_order() -> None:
    async with stage() as here:
        peer = await here.bound()
        here.submit("a", "b", "c", "d", "e")
        sequences = await peer.receive_submits(5)
        peer.answer(sequences[1])
        peer.answer(sequences[3])
        assert (await here.listener.next("responded"))[0] == "b"
        assert (await here.listener.next("responded"))[0] == "d"
        peer.cut()
        assert await here.listener.next("lost") == ("connection_lost", ["a", "c", "e"])
        assert (here.bind.bound, here.bind.room, here.bind.in_flight) == (False, 0, 0)
        again = await here.bound()
        here.submit("a", "c", "e")
        for sequence in await again.receive_submits(3):
            again.answer(sequence)
        told = [(await here.listener.next("responded"))[0] for _ in range(3)]
        assert told == ["a", "c", "e"]


@on_both_loops
async def test_a_carrier_that_falls_silent_is_left_and_bound_again() -> None:
    timings = Timings(enquire_link_s=0.05, response_s=0.05)
    async with stage(timings=timings) as here:
        peer = await here.bound()
        await peer.receive(v.ENQUIRE_LINK)
        assert (await here.listener.next("lost"))[0] == "peer_silent"
        await peer.receive(v.UNBIND)
        await peer.receive_end()
        await here.bound()


@on_both_loops
async def test_a_quiet_carrier_that_answers_is_kept() -> None:
    timings = Timings(enquire_link_s=0.02, response_s=5.0)
    async with stage(timings=timings) as here:
        peer = await here.bound()
        for _ in range(3):
            enquiry = await peer.receive(v.ENQUIRE_LINK)
            peer.send(encode_header(v.ENQUIRE_LINK_RESP, enquiry.sequence))
        peer.send(encode_header(v.ENQUIRE_LINK, 77))
        while (answer := await peer.receive_any()).command_id == v.ENQUIRE_LINK:
            pass
        assert (answer.command_id, answer.sequence) == (v.ENQUIRE_LINK_RESP, 77)
        assert here.listener.untold("lost")


@on_both_loops
async def test_an_answer_within_the_grace_is_told_and_the_session_goes_on() -> None:
    timings = Timings(response_s=0.05, late_grace_s=30.0)
    async with stage(timings=timings) as here:
        peer = await here.bound()
        here.submit("late")
        (sequence,) = await peer.receive_submits(1)
        await until(lambda: not here.bind.room)
        assert (here.bind.bound, here.bind.can_submit) == (True, False)
        peer.answer(sequence, "late id")
        context, status, message_id, latency_s = await here.listener.next("responded")
        assert (context, status, message_id) == ("late", 0, "late id")
        assert latency_s >= 0.0499  # differences of times are not exact
        assert await here.listener.next("room") == 10
        assert here.listener.untold("lost")
        assert here.bind.tally.overdue == 1


@on_both_loops
async def test_a_submission_that_is_never_answered_ends_the_session_and_comes_back_once() -> None:
    timings = Timings(response_s=0.05, late_grace_s=0.02)
    async with stage(timings=timings) as here:
        peer = await here.bound()
        here.submit("lost")
        (sequence,) = await peer.receive_submits(1)
        assert await here.listener.next("lost") == ("response_overdue", ["lost"])
        peer.answer(sequence)
        await here.bound()
        assert here.listener.untold("responded")


@on_both_loops
async def test_a_carrier_that_does_not_answer_the_bind_is_tried_again() -> None:
    async with stage(timings=Timings(session_init_s=0.3)) as here:
        peer = await here.carrier.accept()
        await peer.receive(v.BIND_TRANSCEIVER)
        await peer.receive_end()
        await here.bound()
        assert here.bind.failures == 1
        assert here.listener.untold("lost")


@on_both_loops
async def test_bad_credentials_are_tried_again_at_the_slow_pace_only() -> None:
    pace = Pace(first_s=0.0, max_s=0.0, slow_first_s=0.1, slow_max_s=0.1)
    async with stage(pace=pace) as here:
        peer = await here.carrier.accept()
        bind = await peer.receive(v.BIND_TRANSCEIVER)
        refused_at = asyncio.get_running_loop().time()
        peer.send(encode_header(v.BIND_TRANSCEIVER_RESP, bind.sequence, v.ESME_RINVPASWD))
        await peer.receive_end()
        await here.bound()
        assert asyncio.get_running_loop().time() - refused_at >= 0.1
        assert (here.bind.refusals, here.bind.binds, here.bind.losts) == (1, 1, 0)
        assert here.listener.untold("lost")


@on_both_loops
async def test_a_carrier_that_is_away_is_tried_until_it_is_there() -> None:
    pace = Pace(first_s=0.01, max_s=0.01)
    async with stage(listening=False, pace=pace) as here:
        await until(lambda: here.bind.failures >= 2)
        with pytest.raises(IllegalSend):
            here.submit("a")
        await here.carrier.listen()
        await here.bound()


@on_both_loops
async def test_a_host_that_can_t_be_one_is_a_failure_to_connect_like_any_other() -> None:
    bind = make_bind(1, Recorder(), pace=NOT_SOON, host="x" * 64 + ".example")
    running = asyncio.create_task(bind.run())
    await until(lambda: bind.state is BindState.WAITING)
    assert bind.failures == 1
    await bind.stop(TIMEOUT_S)
    await running


@on_both_loops
async def test_a_carrier_s_unbind_is_answered_and_the_bind_comes_back() -> None:
    async with stage() as here:
        peer = await here.bound()
        here.submit("a")
        await peer.receive_submits(1)
        peer.send(encode_header(v.UNBIND, 5))
        assert (await peer.receive(v.UNBIND_RESP)).sequence == 5
        assert await here.listener.next("lost") == ("peer_unbound", ["a"])
        await peer.receive_end()
        await here.bound()


@on_both_loops
async def test_a_carrier_that_does_not_read_leaves_no_room_until_it_does() -> None:
    content = encode_submission(SubmitTemplate(), 5, 0, "Brand", "447700900123", bytes(30_000))
    async with stage(window_size=10_000) as here:
        peer = await here.bound()
        peer.stop_reading()
        submitted = 0
        while here.bind.room:
            here.bind.submit(content, submitted)
            submitted += 1
            await asyncio.sleep(0)
        assert here.bind.can_submit
        peer.read_again()
        sequences = await peer.receive_submits(submitted)
        assert await here.listener.next("room") == 10_000 - submitted
        for sequence in sequences:
            peer.answer(sequence)
        for context in range(submitted):
            assert (await here.listener.next("responded"))[0] == context


@on_both_loops
async def test_a_carrier_that_never_reads_is_cut_off_before_memory_fills() -> None:
    content = encode_submission(SubmitTemplate(), 5, 0, "Brand", "447700900123", bytes(30_000))
    async with stage(window_size=10_000) as here:
        peer = await here.bound()
        peer.stop_reading()
        submitted = 0
        while here.bind.bound:  # a caller that does not look at `room`
            here.bind.submit(content, submitted)
            submitted += 1
            await asyncio.sleep(0)
        assert await here.listener.next("lost") == ("abandoned", list(range(submitted)))


@on_both_loops
async def test_a_carrier_that_neither_reads_nor_speaks_is_cut_off_and_bound_again() -> None:
    content = encode_submission(SubmitTemplate(), 5, 0, "Brand", "447700900123", bytes(30_000))
    timings = Timings(enquire_link_s=0.05, response_s=0.05)
    async with stage(window_size=10_000, timings=timings) as here:
        peer = await here.bound()
        peer.stop_reading()
        while here.bind.room:
            here.bind.submit(content, "lost")
            await asyncio.sleep(0)
        with patch("gateway.smpp.link.LINGER_S", 0.05):
            assert (await here.listener.next("lost"))[0] in ("peer_silent", "response_overdue")
            await here.bound()


# ── our own side in trouble ──────────────────────────────────────────────────────────────────


@on_both_loops
async def test_a_listener_that_raises_takes_nothing_down() -> None:
    with structlog.testing.capture_logs() as lines:
        await hear_with_a_listener_that_raises()
    failed = [line["event_kind"] for line in lines if line["event"] == "listener_failed"]
    assert failed[:4] == ["Responded", "Responded", "room", "Delivered"]
    assert "SessionClosed" in failed


async def hear_with_a_listener_that_raises() -> None:
    async with stage() as here:
        peer = await here.bound()
        here.listener.raises = RuntimeError("a bug of ours")
        here.submit("a", "b")
        for sequence in await peer.receive_submits(2):
            peer.answer(sequence)
        assert (await here.listener.next("responded"))[0] == "a"
        assert (await here.listener.next("responded"))[0] == "b"
        peer.send(encode_deliver_sm(5, RECEIPT))
        refused = await peer.receive(v.DELIVER_SM_RESP)
        assert (refused.sequence, refused.status) == (5, v.ESME_RX_T_APPN)
        peer.cut()
        await here.listener.next("lost")
        await here.bound()


@on_both_loops
async def test_an_acknowledgement_does_not_reach_a_later_session() -> None:
    async with stage() as here:
        peer = await here.bound()
        peer.send(encode_deliver_sm(5, RECEIPT))
        old, _ = await here.listener.next("delivered")
        peer.cut()
        await here.listener.next("lost")
        again = await here.bound()
        again.send(encode_deliver_sm(5, RECEIPT))
        new, _ = await here.listener.next("delivered")
        here.bind.acknowledge(old, v.ESME_RX_T_APPN)
        here.bind.acknowledge(new)
        answer = await again.receive(v.DELIVER_SM_RESP)
        assert (answer.sequence, answer.status) == (5, 0)


@on_both_loops
async def test_a_session_at_fault_is_unbound_and_replaced() -> None:
    async with stage() as here:
        peer = await here.bound()
        here.submit("a")
        (sequence,) = await peer.receive_submits(1)
        here.bind.rebind()
        here.bind.rebind()
        unbind = await peer.receive(v.UNBIND)
        peer.answer(sequence)
        assert (await here.listener.next("responded"))[0] == "a"
        peer.send(encode_header(v.UNBIND_RESP, unbind.sequence))
        assert await here.listener.next("lost") == ("unbound", [])
        await peer.receive_end()
        await here.bound()
        here.bind.rebind()


def test_settings_that_fit_no_bind_are_refused_before_any_connection() -> None:
    with pytest.raises(InvalidField) as refused:
        make_bind(2775, Recorder(), system_id="a system id of more than fifteen")
    assert refused.value.field == "system_id"


# ── the end ──────────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_stopping_waits_for_answers_both_ways_then_unbinds() -> None:
    async with stage() as here:
        peer = await here.bound()
        here.submit("a")
        (sequence,) = await peer.receive_submits(1)
        peer.send(encode_deliver_sm(5, RECEIPT))
        token, _ = await here.listener.next("delivered")
        stopping = asyncio.create_task(here.bind.stop(TIMEOUT_S))
        await asyncio.sleep(0)
        assert (here.bind.room, here.bind.can_submit) == (0, False)
        with pytest.raises(IllegalSend):
            here.submit("b")
        peer.answer(sequence)
        assert (await here.listener.next("responded"))[0] == "a"
        here.bind.acknowledge(token)
        await peer.receive(v.DELIVER_SM_RESP)
        unbind = await peer.receive(v.UNBIND)
        assert not stopping.done()
        peer.send(encode_header(v.UNBIND_RESP, unbind.sequence))
        await stopping
        await here.running
        assert await here.listener.next("lost") == ("unbound", [])
        assert here.bind.state is BindState.STOPPED
        assert here.listener.untold("room")


@on_both_loops
async def test_stopping_after_an_earlier_loss_still_waits_for_answers() -> None:
    async with stage() as here:
        (await here.bound()).cut()
        await here.listener.next("lost")
        peer = await here.bound()
        here.submit("a")
        (sequence,) = await peer.receive_submits(1)
        stopping = asyncio.create_task(here.bind.stop(TIMEOUT_S))
        peer.send(encode_header(v.ENQUIRE_LINK, 1))
        await peer.receive(v.ENQUIRE_LINK_RESP)  # and no unbind before it
        peer.answer(sequence)
        unbind = await peer.receive(v.UNBIND)
        peer.send(encode_header(v.UNBIND_RESP, unbind.sequence))
        assert await here.listener.next("lost") == ("unbound", [])
        await stopping


@on_both_loops
async def test_stopping_gives_up_at_its_deadline_and_hands_back_the_rest() -> None:
    async with stage(timings=Timings(unbind_s=0.05)) as here:
        peer = await here.bound()
        here.submit("a")
        await peer.receive_submits(1)
        stopping = asyncio.create_task(here.bind.stop(0.05))
        await peer.receive(v.UNBIND)
        assert await here.listener.next("lost") == ("unbind_unanswered", ["a"])
        await peer.receive_end()
        await stopping


@on_both_loops
async def test_stopping_ends_the_wait_for_the_next_attempt() -> None:
    async with stage(listening=False, pace=NOT_SOON) as here:
        await until(lambda: here.bind.state is BindState.WAITING)
        await here.bind.stop(TIMEOUT_S)
        await here.running


@on_both_loops
async def test_stopping_ends_the_wait_for_a_connection() -> None:
    tls = ssl.create_default_context()
    async with stage(tls=tls, connect_timeout_s=3600.0) as here:
        await here.carrier.accept()  # which never begins to speak TLS
        await here.bind.stop(TIMEOUT_S)
        assert here.bind.failures == 0


@on_both_loops
async def test_stopping_does_not_wait_for_a_bind_s_answer() -> None:
    async with stage() as here:
        peer = await here.carrier.accept()
        await peer.receive(v.BIND_TRANSCEIVER)
        await here.bind.stop(TIMEOUT_S)
        await peer.receive_end()


@on_both_loops
async def test_stopping_twice_or_before_running_is_harmless() -> None:
    idle = make_bind(1, Recorder())
    await idle.stop(TIMEOUT_S)
    assert idle.state is BindState.IDLE
    async with stage() as here:
        peer = await here.bound()
        first = asyncio.create_task(here.bind.stop(TIMEOUT_S))
        second = asyncio.create_task(here.bind.stop(TIMEOUT_S))
        unbind = await peer.receive(v.UNBIND)
        peer.send(encode_header(v.UNBIND_RESP, unbind.sequence))
        await asyncio.gather(first, second)


@on_both_loops
async def test_stopping_again_and_again_while_waiting_is_harmless() -> None:
    async with stage(listening=False, pace=NOT_SOON) as here:
        await until(lambda: here.bind.state is BindState.WAITING)
        stops = []
        for _ in range(5):  # each in a turn of the loop of its own
            stops.append(asyncio.create_task(here.bind.stop(TIMEOUT_S)))
            await asyncio.sleep(0)
        await asyncio.gather(*stops, here.running)


@on_both_loops
async def test_stopping_at_any_moment_of_a_bind_s_beginning_ends_it_at_once() -> None:
    carrier = Carrier()
    await carrier.listen()
    for turns in range(40):
        bind = make_bind(carrier.port, Recorder())
        running = asyncio.create_task(bind.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        await bind.stop(TIMEOUT_S)
        await running
    await carrier.close()


@on_both_loops
async def test_a_bind_that_is_cancelled_hands_back_what_was_in_flight() -> None:
    async with stage() as here:
        peer = await here.bound()
        here.submit("a")
        await peer.receive_submits(1)
        here.running.cancel()
        assert await here.listener.next("lost") == ("abandoned", ["a"])
        await peer.receive_end()
        with pytest.raises(asyncio.CancelledError):
            await here.running
        assert here.bind.state is BindState.STOPPED
