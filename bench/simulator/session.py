"""One connection to the simulated carrier, and the bind on it.

What is decided lives in `intake.py` and `mailbox.py`; this file carries it out. Everything that is
written during one turn of the loop leaves in one write (`Carrier.flush`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

from bench.simulator.carrier import Carrier
from bench.simulator.fate import Fate, Trouble
from bench.simulator.mailbox import Delivery, Mailbox
from bench.simulator.receipt import write_ids, write_receipt
from bench.simulator.tally import BindFigures
from gateway.smpp import vocabulary as v
from gateway.smpp.errors import MalformedPdu
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import decode, decode_submit_sm, encode, encode_header, encode_submit_sm_resp
from gateway.smpp.shapes import HEADER_SIZE, Frame, Pdu, ShortMessage

GARBAGE: Final = b"\x00\x00\x00\x04HTTP/1.1 400 Bad Request\r\n\r\n\xff\xff\xff\xff"
"""Begins with a command_length that no PDU can have."""

UNBIND_PATIENCE_S: Final = 5.0
"""How long an unbind of ours waits for its response before the connection is closed."""

_SEQUENCE_MAX: Final = 0x7FFFFFFF
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
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._mailbox: Mailbox | None = None
        self._transmits = False
        self._unbinding = False
        self._unbound = False
        self._sequence = 0
        self._unacknowledged: dict[int, Delivery] = {}
        self._written: list[bytes] = []
        self._answers_written = 0
        self._handlers: dict[int, Callable[[Frame], None]] = {
            v.SUBMIT_SM: self._take_submit,
            v.DELIVER_SM_RESP: self._take_acknowledgement,
            v.DATA_SM_RESP: self._take_acknowledgement,
            v.ENQUIRE_LINK: self._take_enquire_link,
            v.ENQUIRE_LINK_RESP: _ignore,
            v.BIND_TRANSMITTER: self._take_bind,
            v.BIND_RECEIVER: self._take_bind,
            v.BIND_TRANSCEIVER: self._take_bind,
            v.UNBIND: self._take_unbind,
            v.UNBIND_RESP: self._take_unbind_resp,
            v.GENERIC_NACK: self._take_acknowledgement,
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
        self._carrier.lines.pop(self.number, None)
        if self.figures is not None:
            self._carrier.tally.note_closed(self.figures, unbound=self._unbound)
        self._leave_mailbox()
        self._carrier.flush()

    def data_received(self, data: bytes) -> None:
        if self._socket is not None:
            # The kernel forgets it by itself, so it is said again at every read.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        frames = self._framer.receive(data)
        submissions = 0
        for frame in frames:
            if self._transport is None or self._transport.is_closing():
                break
            submissions += frame.command_id == v.SUBMIT_SM
            handler = self._handlers.get(frame.command_id)
            if handler is None:
                self._refuse_command(frame)
                continue
            try:
                handler(frame)
            except MalformedPdu as error:
                self._carrier.tally.malformed_pdus += 1
                self._refuse(frame, error.status)
        if submissions:
            now, tally = self._carrier.now(), self._carrier.tally
            tally.rate.note(now, submissions)
            tally.submitted_s = now
        failure = self._framer.failure
        if failure is not None and self._transport is not None:
            self._carrier.tally.malformed_pdus += 1
            self.write(encode_header(v.GENERIC_NACK, failure.sequence, failure.status))
            self._carrier.flush()
            self._transport.close()
        self._slow_down(len(data))
        self._carrier.flush()

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
            self.write(encode_header(response, frame.sequence, status))
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
        self._mailbox = carrier.mailbox(system_id)
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
        self.write(encode_header(v.UNBIND, self._next_sequence()))
        self._carrier.call_later(UNBIND_PATIENCE_S, self._close)

    def _take_unbind(self, frame: Frame) -> None:
        self._unbound = True
        self.write(encode_header(v.UNBIND_RESP, frame.sequence))
        self._carrier.flush()
        self._close()

    def _take_unbind_resp(self, frame: Frame) -> None:
        self._unbound = self._unbinding
        self._close()

    def _close(self) -> None:
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
            self.write(encode_header(v.ENQUIRE_LINK, self._next_sequence()))
            again_s = self._carrier.script.connection.enquire_link_s
            self._carrier.call_later(again_s, self._send_enquire_link)

    def _take_enquire_link(self, frame: Frame) -> None:
        if self._carrier.script.connection.answer_enquire_link:
            self.write(encode_header(v.ENQUIRE_LINK_RESP, frame.sequence))

    # ── submissions ──────────────────────────────────────────────────────────────────────────

    def _take_submit(self, frame: Frame) -> None:
        figures = self.figures
        if figures is None or self._mailbox is None or not self._transmits:
            self._refuse(frame, v.ESME_RINVBNDSTS)
            return
        submit = decode_submit_sm(frame.octets, HEADER_SIZE)
        figures.note_submitted()
        carrier = self._carrier
        fate = carrier.intake.judge(submit, figures.in_flight, carrier.now())
        receipts: list[tuple[float, Delivery]] = []
        message_id = ""
        if fate.taken:
            message_id, receipts = self._prepare(submit, fate)
        answer = b""
        if fate.trouble is None:
            answer = encode_submit_sm_resp(frame.sequence, fate.status, message_id)
        if fate.latency_s:
            carrier.call_later(fate.latency_s, lambda: self._answer(fate, answer, receipts))
        else:
            self._answer(fate, answer, receipts)

    def _prepare(
        self, submit: ShortMessage, fate: Fate
    ) -> tuple[str, list[tuple[float, Delivery]]]:
        """Give the message its id, and write its receipts."""
        carrier = self._carrier
        tally = carrier.tally
        in_response, in_receipt = write_ids(carrier.script.ids, carrier.next_id())
        receipts = []
        for report in fate.reports:
            command_id, body = write_receipt(
                submit, in_receipt, report, fate.rule, carrier.wall_clock() + fate.latency_s
            )
            tally.receipts.made += 1
            tally.states[report.state] += 1
            if report.variant:
                tally.variants[report.variant] += 1
            receipts.append(
                (report.delay_s, Delivery(command_id, body, tally.receipts, self.number))
            )
        return in_response, receipts

    def _answer(self, fate: Fate, answer: bytes, receipts: list[tuple[float, Delivery]]) -> None:
        assert self.figures is not None
        carrier = self._carrier
        mailbox = carrier.mailbox(self.figures.system_id)
        if fate.early:
            for _, delivery in receipts:
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
        for delay_s, delivery in receipts:
            if delay_s:
                carrier.deliver_later(delay_s, mailbox, delivery)
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
        self.write(
            encode_header(delivery.command_id, sequence, 0, len(delivery.body)) + delivery.body
        )

    def _take_acknowledgement(self, frame: Frame) -> None:
        delivery = self._unacknowledged.pop(frame.sequence, None)
        if delivery is None or self._mailbox is None:
            return
        self.room += 1
        if frame.status in _TRY_AGAIN:
            delivery.counts.redelivered += 1
            pause_s = self._carrier.script.server.redeliver_s
            self._carrier.deliver_later(pause_s, self._mailbox, delivery)
        elif frame.status:
            delivery.counts.refused += 1
        else:
            delivery.counts.acknowledged += 1
            self._carrier.tally.acknowledged_s = self._carrier.now()
            if self.figures is not None:
                self.figures.acknowledged += 1
        self._mailbox.send_waiting()

    # ── the rest ─────────────────────────────────────────────────────────────────────────────

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % _SEQUENCE_MAX + 1
        return self._sequence

    def _refuse(self, frame: Frame, status: int) -> None:
        if frame.command_id & v.RESPONSE:
            return  # what can't be read of an answer is not answered
        self.write(encode_header(frame.command_id | v.RESPONSE, frame.sequence, status))

    def _refuse_command(self, frame: Frame) -> None:
        """Answer what this carrier does not do (SMPP 3.4 §4.3)."""
        if not frame.command_id & v.RESPONSE:
            self.write(encode_header(v.GENERIC_NACK, frame.sequence, v.ESME_RINVCMDID))


def _ignore(frame: Frame) -> None:
    pass
