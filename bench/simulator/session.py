"""One connection to the simulated carrier, and the bind on it.

What is decided lives in `intake.py` and `mailbox.py`; this file carries it out. Everything that is
written during one turn of the loop leaves in one write (`Carrier.flush`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Final, cast

from bench.simulator.carrier import Carrier
from bench.simulator.fate import Fate, Trouble
from bench.simulator.mailbox import Delivery, Mailbox
from bench.simulator.receipt import write_receipt
from bench.simulator.submit import Submit, Unreadable, read_submit
from bench.simulator.tally import BindFigures
from bench.stream import HEADER, HEADER_SIZE, Stream
from gateway.smpp import vocabulary as v
from gateway.smpp.errors import MalformedPdu
from gateway.smpp.pdu import decode, encode
from gateway.smpp.shapes import Frame, Pdu

GARBAGE: Final = b"\x00\x00\x00\x04HTTP/1.1 400 Bad Request\r\n\r\n\xff\xff\xff\xff"
"""Begins with a command_length that no PDU can have."""

UNBIND_PATIENCE_S: Final = 5.0
"""How long an unbind of ours waits for its response before the connection is closed."""

_SEQUENCE_MAX: Final = 0x7FFFFFFF
_ACKNOWLEDGEMENTS: Final = frozenset({v.DELIVER_SM_RESP, v.DATA_SM_RESP, v.GENERIC_NACK})
_TRY_AGAIN: Final = frozenset({v.ESME_RTHROTTLED, v.ESME_RMSGQFUL, v.ESME_RX_T_APPN})
_BINDS: Final = {
    v.BIND_TRANSMITTER: "transmitter",
    v.BIND_RECEIVER: "receiver",
    v.BIND_TRANSCEIVER: "transceiver",
}


class Session(asyncio.Protocol):
    """One connection. `number` is unique in its carrier."""

    def __init__(self, carrier: Carrier, number: int) -> None:
        self.number = number
        self.receives_only = False
        self.room = 0
        self.figures: BindFigures | None = None
        self._carrier = carrier
        self._stream = Stream()
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._ended = False
        self._mailbox: Mailbox | None = None
        self._home: Mailbox | None = None
        self._transmits = False
        self._unbinding = False
        self._unbound = False
        self._sequence = 0
        self._unacknowledged: dict[int, Delivery] = {}
        self._written: list[bytes] = []
        self._answers_written = 0
        self._handlers: dict[int, Callable[[Frame], None]] = {
            v.ENQUIRE_LINK: self._take_enquire_link,
            v.BIND_TRANSMITTER: self._take_bind,
            v.BIND_RECEIVER: self._take_bind,
            v.BIND_TRANSCEIVER: self._take_bind,
            v.UNBIND: self._take_unbind,
            v.UNBIND_RESP: self._take_unbind_resp,
        }

    # ── the connection ───────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio.Transport by class, only by what they do.
        self._transport = cast(asyncio.Transport, transport)
        self._carrier.lines[self.number] = self
        if self._carrier.script.connection.quick_ack:
            self._socket = transport.get_extra_info("socket")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ended = True
        self._carrier.lines.pop(self.number, None)
        if self.figures is not None:
            self._carrier.tally.note_closed(self.figures, unbound=self._unbound)
        self._leave_mailbox()
        self._carrier.flush()

    def data_received(self, data: bytes) -> None:
        if self._socket is not None:
            # The kernel forgets it by itself, so it is said again at every read.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        carrier = self._carrier
        tally, now = carrier.tally, carrier.now()
        submissions = 0
        for command_id, status, sequence, octets in self._stream.cut(data):
            if self._ended:
                break
            try:
                if command_id == v.SUBMIT_SM:
                    submissions += 1
                    self._take_submit(sequence, octets, now)
                elif command_id in _ACKNOWLEDGEMENTS:
                    self._take_acknowledgement(sequence, status, now)
                else:
                    self._take_other(Frame(command_id, sequence, octets))
            except (MalformedPdu, Unreadable) as error:
                tally.malformed_pdus += 1
                self._refuse(command_id, sequence, error.status)
        if self._mailbox is not None:
            self._mailbox.send_waiting()
        if submissions:
            tally.rate.note(now, submissions)
            tally.submitted_s = now
        if self._stream.broken_at is not None and not self._ended:
            tally.malformed_pdus += 1
            self.write(_write_header(v.GENERIC_NACK, self._stream.broken_at, v.ESME_RINVCMDLEN))
            carrier.flush()
            self._close()
        self._slow_down(len(data))
        carrier.flush()

    def write(self, octets: bytes) -> None:
        """Keep octets for the end of this turn."""
        if not self._written:
            self._carrier.unflushed.append(self)
        self._written.append(octets)

    def flush(self) -> None:
        """Write what this turn kept."""
        if self._transport is not None and self._written:
            self._transport.write(b"".join(self._written))
        self._written.clear()
        if self._answers_written and self.figures is not None:
            self.figures.note_answered(self._answers_written)
            self._answers_written = 0

    def cut(self) -> None:
        """End the connection at once, as a broken line does."""
        self._leave_mailbox()
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    def _slow_down(self, received_bytes: int) -> None:
        per_s = self._carrier.script.connection.read_bytes_per_s
        transport = self._transport
        if not per_s or transport is None or transport.is_closing():
            return
        transport.pause_reading()
        self._carrier.call_later(received_bytes / per_s, self._read_on)

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # ── binding and leaving ──────────────────────────────────────────────────────────────────

    def _take_bind(self, frame: Frame) -> None:
        asked = decode(frame)
        delay_s = self._carrier.script.connection.bind_delay_s
        if delay_s:
            self._carrier.call_later(delay_s, lambda: self._answer_bind(frame, asked))
        else:
            self._answer_bind(frame, asked)

    def _answer_bind(self, frame: Frame, asked: Pdu) -> None:
        if self._transport is None:
            return
        carrier = self._carrier
        system_id = asked.text("system_id")
        response = frame.command_id | v.RESPONSE
        status = v.ESME_RALYBND
        if self.figures is None:
            status = carrier.door.judge(
                system_id, asked.text("password"), carrier.count_binds(system_id)
            )
        if status:
            carrier.tally.binds_refused[status] += 1
            self.write(_write_header(response, frame.sequence, status))
            return
        fields = {"system_id": carrier.script.server.system_id}
        version = ((v.TAG_SC_INTERFACE_VERSION, bytes((v.INTERFACE_VERSION_34,))),)
        self.write(encode(Pdu(response, frame.sequence, 0, fields, version)))
        self._open(system_id, frame.command_id)

    def _open(self, system_id: str, command_id: int) -> None:
        carrier = self._carrier
        self.figures = BindFigures(self.number, system_id, _BINDS[command_id])
        carrier.tally.note_bound(self.figures)
        self._transmits = command_id != v.BIND_RECEIVER
        self.receives_only = command_id == v.BIND_RECEIVER
        self._mailbox = self._home = carrier.mailbox(system_id)
        if command_id != v.BIND_TRANSMITTER:
            self.room = carrier.script.server.receipt_window
            self._mailbox.join(self)
        connection = carrier.script.connection
        if connection.unbind_after_s:
            carrier.call_later(connection.unbind_after_s, self.unbind)
        if connection.enquire_link_s:
            carrier.call_later(connection.enquire_link_s, self._send_enquire_link)

    def unbind(self) -> None:
        """Ask the client to leave; the connection closes at its response, or soon after."""
        if self._transport is None or self._unbinding:
            return
        self._unbinding = True
        self._leave_mailbox()
        self.write(_write_header(v.UNBIND, self._next_sequence()))
        self._carrier.call_later(UNBIND_PATIENCE_S, self._close)

    def _take_unbind(self, frame: Frame) -> None:
        self._unbound = True
        self.write(_write_header(v.UNBIND_RESP, frame.sequence))
        self._carrier.flush()
        self._close()

    def _take_unbind_resp(self, frame: Frame) -> None:
        self._unbound = self._unbinding
        self._close()

    def _close(self) -> None:
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def _leave_mailbox(self) -> None:
        if self._mailbox is not None:
            self.room = 0
            self._mailbox.leave(self, self._unacknowledged.values())
            self._unacknowledged = {}
            self._mailbox = None

    def _send_enquire_link(self) -> None:
        if self._transport is not None:
            self.write(_write_header(v.ENQUIRE_LINK, self._next_sequence()))
            again_s = self._carrier.script.connection.enquire_link_s
            self._carrier.call_later(again_s, self._send_enquire_link)

    def _take_enquire_link(self, frame: Frame) -> None:
        if self._carrier.script.connection.answer_enquire_link:
            self.write(_write_header(v.ENQUIRE_LINK_RESP, frame.sequence))

    # ── submissions ──────────────────────────────────────────────────────────────────────────

    def _take_submit(self, sequence: int, octets: bytes, now: float) -> None:
        figures = self.figures
        if figures is None or self._mailbox is None or not self._transmits:
            self._refuse(v.SUBMIT_SM, sequence, v.ESME_RINVBNDSTS)
            return
        submit = read_submit(octets)
        figures.note_submitted()
        fate = self._carrier.intake.judge(submit, figures.in_flight, now)
        message_id = ""
        deliveries: list[Delivery] = []
        if fate.taken:
            message_id, in_receipt = self._carrier.next_ids()
            if fate.reports:
                deliveries = self._write_receipts(submit, in_receipt, fate)
        answer = b""
        if fate.trouble is None:
            answer = _write_answer(sequence, fate.status, message_id)
        if fate.latency_s:
            answering = partial(self._answer, fate, answer, deliveries)
            self._carrier.call_later(fate.latency_s, answering)
        else:
            self._answer(fate, answer, deliveries)

    def _write_receipts(self, submit: Submit, message_id: str, fate: Fate) -> list[Delivery]:
        carrier, tally = self._carrier, self._carrier.tally
        submitted_s = carrier.wall_clock() + fate.latency_s
        deliveries = []
        for report in fate.reports:
            command_id, body = write_receipt(submit, message_id, report, fate.rule, submitted_s)
            tally.receipts.made += 1
            tally.states[report.state] += 1
            if report.variant:
                tally.variants[report.variant] += 1
            deliveries.append(Delivery(command_id, body, tally.receipts, self.number))
        return deliveries

    def _answer(self, fate: Fate, answer: bytes, deliveries: list[Delivery]) -> None:
        assert self._home is not None
        carrier, mailbox = self._carrier, self._home
        if fate.early:
            for delivery in deliveries:
                mailbox.put(delivery)
        if fate.trouble is not None:
            carrier.tally.troubles[fate.trouble.value] += 1
            self._make(fate.trouble)
        elif self._transport is None:
            carrier.tally.answers_lost += 1
        else:
            carrier.tally.statuses[fate.status] += 1
            self._answers_written += 1
            self.write(answer)
        if fate.early:
            return
        for report, delivery in zip(fate.reports, deliveries, strict=True):
            if report.delay_s:
                carrier.deliver_later(report.delay_s, mailbox, delivery)
            else:
                mailbox.put(delivery)

    def _make(self, trouble: Trouble) -> None:
        match trouble:
            case Trouble.SILENCE:
                pass
            case Trouble.DROP:
                self.flush()
                self.cut()
            case Trouble.GARBAGE:
                self.write(GARBAGE)

    # ── deliveries ───────────────────────────────────────────────────────────────────────────

    def send_delivery(self, delivery: Delivery) -> None:
        """Send a receipt or a phone's message; it stays ours until it is acknowledged."""
        assert self.figures is not None
        sequence = self._next_sequence()
        self._unacknowledged[sequence] = delivery
        self.room -= 1
        self.figures.delivered += 1
        delivery.counts.sent += 1
        size = HEADER_SIZE + len(delivery.body)
        self.write(HEADER.pack(size, delivery.command_id, 0, sequence) + delivery.body)

    def _take_acknowledgement(self, sequence: int, status: int, now: float) -> None:
        delivery = self._unacknowledged.pop(sequence, None)
        if delivery is None or self._mailbox is None:
            return
        self.room += 1
        if not status:
            delivery.counts.acknowledged += 1
            self._carrier.tally.acknowledged_s = now
            if self.figures is not None:
                self.figures.acknowledged += 1
        elif status in _TRY_AGAIN:
            delivery.counts.redelivered += 1
            pause_s = self._carrier.script.server.redeliver_s
            self._carrier.deliver_later(pause_s, self._mailbox, delivery)
        else:
            delivery.counts.refused += 1

    # ── the rest ─────────────────────────────────────────────────────────────────────────────

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % _SEQUENCE_MAX + 1
        return self._sequence

    def _refuse(self, command_id: int, sequence: int, status: int) -> None:
        if command_id & v.RESPONSE:
            return  # what can't be read of an answer is not answered
        self.write(_write_header(command_id | v.RESPONSE, sequence, status))

    def _take_other(self, frame: Frame) -> None:
        handler = self._handlers.get(frame.command_id)
        if handler is not None:
            handler(frame)
        elif not frame.command_id & v.RESPONSE:
            # What this carrier does not do (SMPP 3.4 §4.3).
            self.write(_write_header(v.GENERIC_NACK, frame.sequence, v.ESME_RINVCMDID))


def _write_header(command_id: int, sequence: int, status: int = 0) -> bytes:
    return HEADER.pack(HEADER_SIZE, command_id, status, sequence)


def _write_answer(sequence: int, status: int, message_id: str) -> bytes:
    """Write a submit_sm_resp; a refusal has no body (SMPP 3.4 §4.4.2)."""
    if status:
        return _write_header(v.SUBMIT_SM_RESP, sequence, status)
    size = HEADER_SIZE + len(message_id) + 1
    return HEADER.pack(size, v.SUBMIT_SM_RESP, 0, sequence) + message_id.encode() + b"\0"
