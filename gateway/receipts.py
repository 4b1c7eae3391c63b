"""Which submission a delivery receipt is about, and what it changes.

A receipt may come before its `submit_sm_resp`, long after it, twice, or for nothing that we ever
sent. Matching goes by carrier and id: first in memory, then in the store; what is found in
neither is parked there and applied the moment its submission turns up.

Not here: reading receipts off the wire (`dlr/parse.py`), what states may follow (`settling.py`).
"""

from __future__ import annotations

from collections.abc import Callable, KeysView, Mapping, Sequence
from typing import Protocol

from gateway.arrived import ArrivedReceipt, Found
from gateway.lifecycle import EventKind, Status
from gateway.model import AccountId, CarrierId, MessageId
from gateway.notices import build_notice
from gateway.outcomes import Acknowledge, Event, Notice, ParkedReceipt, Party
from gateway.peers.callbacks import NO_TRAIL, Trail, Turn, build_peer_notice, is_peers
from gateway.references import Key, Reference, References
from gateway.settling import aggregate, settle_segment
from gateway.smpp.passing import REPORTED, pack_tlvs, pick_tlvs, unpack_tlvs
from gateway.smpp.shapes import NO_TLVS

SendUp = Callable[[AccountId, MessageId, Party, Status, str, float, Mapping[int, bytes]], None]
"""Has an SMPP customer told of a message's new status, its error and the time of it, and of the
TLVs that came with it."""

PARKED_KEYS_MAX = 100_000
"""Ids whose parked receipts are held in memory, some 50 MB. Past it the oldest wait in the store
alone, as do those that were given up: a carrier that floods us with strangers' receipts must not
cost more."""
PARKED_EACH_MAX = 50
"""Receipts of one id held in memory, more than a message has segments that share one: a carrier
that repeats a stranger's receipt for ever must not cost more either."""


class Sink(Protocol):
    """Where decisions are written: the outcome writer in the gateway, a list in a test."""

    def record(self, event: Event) -> None: ...

    def notify(self, notice: Notice) -> None: ...

    def park(self, receipt: ParkedReceipt) -> None: ...

    def unpark(self, receipt: ParkedReceipt) -> None: ...

    def after_commit(self, acknowledge: Acknowledge) -> None: ...


class ReceiptBook:
    """Matches receipts with submissions, in whichever order they come."""

    def __init__(
        self,
        sink: Sink,
        *,
        references_max: int,
        parked_max: int = PARKED_KEYS_MAX,
        key_of: Callable[[ParkedReceipt], Key] = lambda parked: (
            parked.carrier_id,
            parked.carrier_message_id,
        ),
        wants_notice: Callable[[AccountId], bool],
        on_applied: Callable[[CarrierId, Status, float], None] = lambda carrier, status, s: None,
        on_unmatched: Callable[[CarrierId], None] = lambda carrier: None,
        on_duplicate: Callable[[CarrierId], None] = lambda carrier: None,
        send_up: SendUp = lambda account, message, party, status, error, at, tlvs: None,
        carrier_name: Callable[[CarrierId], str] = str,
        on_ended: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """`key_of` gives a parked receipt's id the form that its carrier's rule wants now;
        `on_ended` gets each event that brings a segment into a final state."""
        self._sink = sink
        self._key_of = key_of
        self._on_ended = on_ended
        self._send_up = send_up
        self._carrier_name = carrier_name
        self.references = References(references_max)
        self._parked_max = parked_max
        self._wants_notice = wants_notice
        self._on_applied = on_applied
        self._on_unmatched = on_unmatched
        self._on_duplicate = on_duplicate
        self._waiting: dict[Key, list[ArrivedReceipt]] = {}
        """Not found in memory; still to be looked up in the store."""
        self._parked: dict[Key, list[ParkedReceipt]] = {}
        """Not found in the store either; kept there until the submission turns up."""

    @property
    def parked(self) -> int:
        """Ids that receipts came for and no submission has."""
        return len(self._parked)

    def party_of(
        self, account_id: AccountId, callback_url: str, registered_delivery: int = 0
    ) -> bool:
        """Say whether anybody wants to hear of a message."""
        return bool(callback_url or registered_delivery) or self._wants_notice(account_id)

    def tell(
        self,
        account_id: AccountId,
        message_id: MessageId,
        party: Party,
        status: Status,
        error: str,
        at: float,
        trail: Trail = NO_TRAIL,
        tlvs: Mapping[int, bytes] = NO_TLVS,
    ) -> None:
        """Tell the customer of a message's new status, in each way that it asked for."""
        if is_peers(party.callback_url):
            call = build_peer_notice(account_id, message_id, party, status, error, at, trail)
            if call is not None:
                self._sink.notify(call)
        elif status.final and self.party_of(account_id, party.callback_url):
            self._sink.notify(build_notice(account_id, message_id, party, status, error, at))
        if party.registered_delivery:
            self._send_up(account_id, message_id, party, status, error, at, tlvs)

    def submitted(self, key: Key, reference: Reference) -> None:
        """Remember a submission that the carrier has just taken; apply what came before it."""
        self.references.put(key, reference)
        early = self._waiting.pop(key, None)
        if early:
            for receipt in early:
                self._apply(reference, receipt)
        if key in self._parked:
            self._apply_parked(key, reference)

    def arrived(self, receipt: ArrivedReceipt) -> None:
        """Apply a receipt, or keep it to be looked up."""
        reference = self.references.find(receipt.key)
        if reference is not None:
            self._apply(reference, receipt)
        else:
            self._waiting.setdefault(receipt.key, []).append(receipt)

    def wanted(self) -> KeysView[Key]:
        """Return what is to be looked up in the store, the longest waiting first."""
        return self._waiting.keys()

    def looked_up(self, keys: Sequence[Key], found: dict[Key, Found]) -> None:
        """Apply what the store knew of `keys`, and park the rest."""
        for key in keys:
            waiting = self._waiting.pop(key, None)
            if waiting is None:
                continue  # its submission turned up meanwhile
            known = found.get(key)
            if known is None:
                self._park(key, waiting)
                continue
            reference = self._remember(key, known)
            for receipt in waiting:
                self._apply(reference, receipt)
            if key in self._parked:
                self._apply_parked(key, reference)

    def share_states(self, message_id: MessageId, taken: Mapping[Key, Reference]) -> list[Status]:
        """Return a message's states as later receipts find them; `taken` is what the store knows
        of its segments, one at least, all with one list of states.

        That list is remembered where memory has forgotten a long message: a receipt for one part,
        looked up before what is recorded now is committed, must not miss what became of the others.
        """
        for key in taken:
            known = self.references.find(key)
            if known is not None and known.message_id == message_id:
                return known.states
        states = self.references.find_states(message_id)
        if states is not None:
            return states
        states = next(iter(taken.values())).states
        if len(states) > 1:
            for key, reference in taken.items():
                self.references.put(key, reference)
        return states

    def restore_parked(self, parked: Sequence[ParkedReceipt]) -> None:
        """Take what the store holds of parked receipts, at a start."""
        for receipt in parked:
            self._keep_parked(self._key_of(receipt), receipt)

    def forget_carrier(self, carrier_id: CarrierId) -> None:
        """Forget a carrier's submissions and receipts; what is in the store stays there."""
        self.references.forget_carrier(carrier_id)
        for receipts in (self._waiting, self._parked):
            for key in [key for key in receipts if key[0] == carrier_id]:
                del receipts[key]

    def name_parked_anew(self) -> None:
        """Bring the ids of parked receipts to the form that a carrier's changed rule gives them."""
        parked, self._parked = self._parked, {}
        for receipts in parked.values():
            self.restore_parked(receipts)

    def try_again(self, parked: Sequence[ParkedReceipt], now: float) -> None:
        """Look once more for what receipts in the store are about, as if they came at `now` (wall
        clock). Each is applied and leaves the store, or stays there as it is."""
        for kept in parked:
            key = self._key_of(kept)
            if all(receipt.parked != kept for receipt in self._waiting.get(key, ())):
                self.arrived(_build_arrived(key, kept, now))

    def raw_ids(self, key: Key) -> set[str]:
        """Return how a carrier wrote an id that is to be looked up."""
        return {receipt.raw_id for receipt in self._waiting.get(key, ())}

    def oldest_wanted(self, keys: Sequence[Key], now: float) -> float:
        """Return since when the oldest of what is to be looked up has been here, `now` at most;
        the clock may have been ahead when it came."""
        tried = (receipt.parked for key in keys for receipt in self._waiting.get(key, ()))
        return min([now, *(parked.received_at for parked in tried if parked)])

    def forget_parked(self, before: float) -> list[CarrierId]:
        """Drop from memory what was parked before `before`; the store keeps it, given up.

        Returns whose receipts these were, one entry a receipt.
        """
        given_up: list[CarrierId] = []
        for key in [k for k, r in self._parked.items() if r[-1].received_at < before]:
            given_up += [key[0]] * len(self._parked.pop(key))
        return given_up

    def _park(self, key: Key, receipts: list[ArrivedReceipt]) -> None:
        for receipt in receipts:
            if receipt.parked is not None:
                continue  # it is in the store and stays there
            self._on_unmatched(key[0])
            parked = ParkedReceipt(
                *key,
                receipt.received_at,
                receipt.status,
                receipt.code,
                receipt.error,
                receipt.raw_id,
                receipt.recipient,
                pack_tlvs(pick_tlvs(receipt.tlvs, REPORTED)) if receipt.tlvs else b"",
            )
            self._keep_parked(key, parked)
            self._sink.park(parked)
            self._acknowledge(receipt)

    def _keep_parked(self, key: Key, parked: ParkedReceipt) -> None:
        kept = self._parked.setdefault(key, [])
        kept.append(parked)
        if len(kept) > PARKED_EACH_MAX:
            del kept[0]
        if len(self._parked) > self._parked_max:
            del self._parked[next(iter(self._parked))]

    def _apply_parked(self, key: Key, reference: Reference) -> None:
        for parked in self._parked.pop(key):
            self._apply(reference, _build_arrived(key, parked, parked.received_at))

    def _unpark(self, key: Key, parked: ParkedReceipt) -> None:
        self._sink.unpark(parked)
        others = [other for other in self._parked.get(key, ()) if other != parked]
        if others:
            self._parked[key] = others
        else:
            self._parked.pop(key, None)

    def _acknowledge(self, receipt: ArrivedReceipt) -> None:
        if receipt.acknowledge is not None:
            self._sink.after_commit(receipt.acknowledge)

    def _remember(self, key: Key, found: Found) -> Reference:
        # Other parts of the same text may be in memory: all of them share one list.
        states = self.references.find_states(found.message_id) or found.states
        party = found.party
        wanted = self.party_of(found.account_id, party.callback_url, party.registered_delivery)
        reference = Reference(
            found.message_id,
            found.account_id,
            found.index,
            states,
            party if wanted else None,
            found.submitted_at,
            found.rest,
        )
        self.references.put(key, reference)
        return reference

    def _apply(self, reference: Reference, receipt: ArrivedReceipt) -> None:
        self._acknowledge(receipt)
        if receipt.parked is not None:
            self._unpark(receipt.key, receipt.parked)
        states = reference.states
        message_before = states[0] if len(states) == 1 else aggregate(states)
        settled = self._settle(reference, reference.index, receipt)
        for index in reference.rest:
            settled = self._settle(reference, index, receipt) or settled
        carrier_id = receipt.key[0]
        if not settled:
            self._on_duplicate(carrier_id)
            return
        self._on_applied(carrier_id, receipt.status, receipt.received_at - reference.submitted_at)
        party = reference.party
        if party is None:
            return
        message_after = states[0] if len(states) == 1 else aggregate(states)
        ended = message_after.final and message_after != message_before
        on_its_way = not message_after.final and not receipt.status.final
        if ended or on_its_way:
            self.tell(
                reference.account_id,
                reference.message_id,
                party,
                message_after,
                receipt.error,
                receipt.received_at,
                self._trail(reference, receipt, ended)
                if is_peers(party.callback_url)
                else NO_TRAIL,
                receipt.tlvs,
            )

    def _trail(self, reference: Reference, receipt: ArrivedReceipt, ended: bool) -> Trail:
        carrier_id, carrier_message_id = receipt.key
        return Trail(
            Turn.ENDED_THERE if ended else Turn.ON_ITS_WAY,
            self._carrier_name(carrier_id),
            carrier_message_id,
            reference.submitted_at,
        )

    def _settle(self, reference: Reference, index: int, receipt: ArrivedReceipt) -> bool:
        """Record what a receipt says of one segment; return whether that is anything new."""
        states = reference.states
        before = states[index]
        after = settle_segment(before, receipt.status)
        if after is before and (before.final or receipt.status is not Status.SUBMITTED):
            return False
        carrier_id, carrier_message_id = receipt.key
        states[index] = after
        event = Event(
            reference.message_id,
            reference.account_id,
            receipt.received_at,
            EventKind.RECEIPT,
            index + 1,
            after,
            after if len(states) == 1 else aggregate(states),
            False,
            carrier_id,
            carrier_message_id,
            receipt.code,
            receipt.error or None,
        )
        self._sink.record(event)
        if after.final:
            self._on_ended(event)
        return True


def _build_arrived(key: Key, parked: ParkedReceipt, at: float) -> ArrivedReceipt:
    return ArrivedReceipt(
        key,
        parked.segment_status,
        parked.code,
        parked.error,
        at,
        None,
        parked.raw_id,
        parked.recipient,
        unpack_tlvs(parked.tlvs) if parked.tlvs else NO_TLVS,
        parked,
    )
