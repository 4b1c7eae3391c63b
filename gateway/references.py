"""What is remembered of submissions until their receipts come, bounded.

What a receipt changes is `receipts.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.lifecycle import Status
from gateway.model import AccountId, CarrierId, MessageId
from gateway.outcomes import Party

Key = tuple[CarrierId, str]
"""A carrier and its id of one segment, normalised."""


class Reference:
    """What is remembered of a submitted segment until its receipt comes."""

    __slots__ = ("account_id", "index", "message_id", "party", "rest", "states", "submitted_at")

    def __init__(
        self,
        message_id: MessageId,
        account_id: AccountId,
        index: int,
        states: list[Status],
        party: Party | None,
        submitted_at: float,
        rest: tuple[int, ...] = (),
    ) -> None:
        self.message_id = message_id
        self.account_id = account_id
        self.index = index
        self.states = states
        """The message's, one a segment: the same list for all of its references."""
        self.party = party
        """Who is to be told; None when nobody asked to be."""
        self.submitted_at = submitted_at
        """Wall clock."""
        self.rest = rest
        """The other segments of a message that went in one PDU: its receipt is about all."""


class References:
    """Recent submissions by carrier and id, bounded.

    Two generations: when the young one has grown to half of the bound the old one is dropped
    whole, so that no entry carries the cost of its own ageing. What is forgotten here is still
    in the store: half of the bound has to outlast what is not committed, that is what fits into
    the windows of both directions.
    """

    def __init__(self, size_max: int) -> None:
        self._half = max(1, size_max // 2)
        self._young: dict[Key, Reference] = {}
        self._old: dict[Key, Reference] = {}
        self._long: dict[MessageId, list[Status]] = {}
        self._long_old: dict[MessageId, list[Status]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, key: Key) -> bool:
        return key in self._young or key in self._old

    def put(self, key: Key, reference: Reference) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
            self._long_old, self._long = self._long, {}
        self._young[key] = reference
        if len(reference.states) > 1:
            self._long[reference.message_id] = reference.states

    def find(self, key: Key) -> Reference | None:
        """Return what a receipt is about; it is young again, as what the receipt changes is known
        here alone until it is committed."""
        reference = self._young.get(key)
        if reference is None:
            reference = self._old.pop(key, None)
            if reference is not None:
                self.put(key, reference)
        return reference

    def find_states(self, message_id: MessageId) -> list[Status] | None:
        """Return the states of a long message of which any reference is remembered."""
        return self._long.get(message_id) or self._long_old.get(message_id)

    def forget_carrier(self, carrier_id: CarrierId) -> None:
        """Let go of a carrier's submissions: another node changes what becomes of them."""
        for generation in (self._young, self._old):
            for key in [key for key in generation if key[0] == carrier_id]:
                message_id = generation.pop(key).message_id
                self._long.pop(message_id, None)
                self._long_old.pop(message_id, None)

    def forget(self, message_ids: Collection[MessageId]) -> None:
        """Let go of messages; a receipt for one of them is looked up in the store. What is known
        of them must be committed. Looks at everything there is: some milliseconds."""
        for generation in (self._young, self._old):
            for key in [k for k, r in generation.items() if r.message_id in message_ids]:
                del generation[key]
        for states in (self._long, self._long_old):
            for message_id in message_ids:
                states.pop(message_id, None)
