"""Messages from phones, from the carrier's deliver_sm to their owners' rows.

Pure: told what came and when, writes to a plain sink. A part is kept before it is acknowledged,
and what makes a message whole is written together with what its owner is told of it, so that
neither a restart nor a repetition hands a message over twice, or not at all.

Not here: the clock and the start (`desk.py`), the rows (`gateway/store/inbound.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from gateway.ids import IdGenerator
from gateway.inbound.content import Run, read_content
from gateway.inbound.handover import Handover, build_event
from gateway.inbound.numbers import NOBODY
from gateway.inbound.parts import (
    Arrival,
    InboundPart,
    Numbering,
    inbound_parts,
    join_runs,
    join_tlvs,
    read_arrival,
    visible_header,
)
from gateway.model import AccountId, CarrierId
from gateway.outcomes import Acknowledge, Delivery, InboundMessage, Notice
from gateway.record import replace
from gateway.smpp.shapes import DeliverSm
from gateway.text.reassembly import Complete, Duplicate, Part, Partial, Reassembler, Waiting
from gateway.text.style import PLAIN, TextStyle

FindOwner = Callable[[CarrierId, str], AccountId]
"""Returns whose number it is, or NOBODY (`numbers.Owners.find`)."""

BuildDeliveries = Callable[[InboundMessage], Sequence[Delivery]]
"""Returns the deliver_sm that go up to the owner's receivers; what it returns is written with the
message, or not at all."""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """A carrier as it matters here."""

    name: str
    style: TextStyle = PLAIN
    """How it writes text; of that only the alphabet and the packing matter."""


class Sink(Protocol):
    """Where decisions are written: the outcome writer in the gateway, a list in a test."""

    def keep(self, part: InboundPart) -> None: ...

    def hand_over(self, handover: Handover) -> None: ...

    def after_commit(self, acknowledge: Acknowledge) -> None: ...


class InboundBook:
    """Puts messages together, reads them, and decides who gets them."""

    def __init__(
        self,
        sink: Sink,
        origins: Mapping[CarrierId, Origin],
        ids: IdGenerator,
        *,
        reassembly_s: float,
        find_owner: FindOwner,
        wants_notice: Callable[[AccountId], bool],
        build_deliveries: BuildDeliveries = lambda message: (),
        on_handed_over: Callable[[InboundMessage], None] = lambda message: None,
        on_repeated: Callable[[CarrierId], None] = lambda carrier: None,
    ) -> None:
        self._sink = sink
        self._origins = origins
        self._ids = ids
        self._reassembly_s = reassembly_s
        self._find_owner = find_owner
        self._wants_notice = wants_notice
        self._build_deliveries = build_deliveries
        self._on_handed_over = on_handed_over
        self._on_repeated = on_repeated
        self._reassemblers: dict[CarrierId, Reassembler] = {}
        self._waiting: dict[CarrierId, int] = {}

    def waiting(self, carrier_id: CarrierId) -> int:
        """Return how many of a carrier's parts wait for others."""
        return self._waiting.get(carrier_id, 0)

    def arrived(
        self,
        carrier_id: CarrierId,
        pdu: DeliverSm,
        acknowledge: Acknowledge,
        now: float,
        wall: float,
    ) -> None:
        """Take what a phone sent; `acknowledge` is called once it is committed."""
        arrival = read_arrival(pdu, packed=self._origin(carrier_id).style.packed)
        if arrival.numbering is None:
            message = self._read(carrier_id, arrival, [arrival.run], wall, wall)
            self._hand_over(message, (), wall)
        else:
            self._add(self._part(carrier_id, arrival, arrival.numbering, wall), now, wall)
        self._sink.after_commit(acknowledge)

    def expire(self, now: float, wall: float) -> None:
        """Hand over the sets whose time is over, as far as they came."""
        for carrier_id, reassembler in self._reassemblers.items():
            for partial in reassembler.expire(now):
                self._take_out(carrier_id, partial.parts, partial.missing, wall)

    def restore(
        self,
        waiting: Iterable[InboundPart],
        handed_over: Iterable[Sequence[InboundPart]],
        now: float,
        wall: float,
    ) -> None:
        """Take what the store holds, at a start: the parts that wait, in the order in which they
        came, and the sets that were handed over last, which a carrier may send again in part."""
        open_sets = set()
        since = float("-inf")
        for part in waiting:
            open_sets.add(_set_of(part))
            # How long it has waited is the wall clock's to say: nothing else outlives a process.
            since = max(since, now - max(0.0, wall - part.received_at))
            self._add(part, since, wall, kept=True)
        for parts in handed_over:
            # Where the reference was used again already, the new set must not be disturbed.
            if len(parts) == parts[0].total and _set_of(parts[0]) not in open_sets:
                for part in parts:
                    self._reassembler(part.carrier_id).add(part, now)

    def forget(self, carrier_id: CarrierId) -> None:
        """Forget what came from a carrier; what is in the store stays there."""
        self._reassemblers.pop(carrier_id, None)
        self._waiting.pop(carrier_id, None)

    def _add(self, part: InboundPart, now: float, wall: float, *, kept: bool = False) -> None:
        carrier_id = part.carrier_id
        outcome = self._reassembler(carrier_id).add(part, now)
        if isinstance(outcome, Duplicate):
            self._on_repeated(carrier_id)
            return
        if not kept:
            self._sink.keep(part)
        self._waiting[carrier_id] = self.waiting(carrier_id) + 1
        match outcome:
            case Complete(parts):
                self._take_out(carrier_id, parts, (), wall)
            case Waiting(displaced=Partial(parts, missing)):
                self._take_out(carrier_id, parts, missing, wall)

    def _take_out(
        self, carrier_id: CarrierId, parts: Sequence[Part], missing: tuple[int, ...], wall: float
    ) -> None:
        """Hand a set over, with all of its parts or without some."""
        kept = inbound_parts(parts)
        self._waiting[carrier_id] -= len(kept)
        first = kept[0]
        whole = Arrival(
            sender=first.source,
            recipient=first.destination,
            data_coding=first.data_coding,
            esm_class=first.esm_class,
            udh=first.udh,
            content=b"".join(part.content for part in kept),
            numbering=None,
            tlvs=join_tlvs(kept),
        )
        message = self._read(
            carrier_id, whole, join_runs(kept), min(part.received_at for part in kept), wall
        )
        message = replace(message, segments=first.total, missing=missing)
        self._hand_over(message, kept, wall)

    def _read(
        self,
        carrier_id: CarrierId,
        arrival: Arrival,
        runs: Sequence[Run],
        received_at: float,
        wall: float,
    ) -> InboundMessage:
        content = read_content(runs, self._origin(carrier_id).style.alphabet)
        return InboundMessage(
            id=self._ids.next(wall),
            carrier_id=carrier_id,
            received_at=received_at,
            sender=arrival.sender,
            recipient=arrival.recipient,
            data_coding=arrival.data_coding,
            esm_class=arrival.esm_class,
            content=arrival.content,
            body=content.text,
            encoding=content.encoding,
            exact=content.exact,
            udh=visible_header(arrival.udh),
            account_id=self._find_owner(carrier_id, arrival.recipient),
            tlvs=arrival.tlvs,
        )

    def _hand_over(
        self, message: InboundMessage, parts: tuple[InboundPart, ...], wall: float
    ) -> None:
        notices: tuple[Notice, ...] = ()
        deliveries: tuple[Delivery, ...] = ()
        if message.account_id != NOBODY:
            if self._wants_notice(message.account_id):
                notices = (build_event(message, self._origin(message.carrier_id).name, wall),)
            deliveries = tuple(self._build_deliveries(message))
        self._sink.hand_over(Handover(message, parts, notices, deliveries))
        self._on_handed_over(message)

    def _part(
        self, carrier_id: CarrierId, arrival: Arrival, numbering: Numbering, wall: float
    ) -> InboundPart:
        return InboundPart(
            source=arrival.sender,
            destination=arrival.recipient,
            reference=numbering.reference,
            total=numbering.total,
            sequence=numbering.sequence,
            content=arrival.content,
            data_coding=arrival.data_coding,
            id=self._ids.next(wall),
            carrier_id=carrier_id,
            received_at=wall,
            esm_class=arrival.esm_class,
            udh=arrival.udh,
            tlvs=arrival.tlvs,
        )

    def _reassembler(self, carrier_id: CarrierId) -> Reassembler:
        found = self._reassemblers.get(carrier_id)
        if found is None:
            found = self._reassemblers[carrier_id] = Reassembler(self._reassembly_s)
        return found

    def _origin(self, carrier_id: CarrierId) -> Origin:
        """Return the carrier; one that was taken out of the settings still has parts that wait."""
        return self._origins.get(carrier_id) or Origin(str(carrier_id))


def _set_of(part: InboundPart) -> tuple[CarrierId, str, str, int, int]:
    return part.carrier_id, part.source, part.destination, part.reference, part.total
