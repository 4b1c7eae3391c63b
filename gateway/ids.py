"""Message ids: 63 bits, time-ordered, unique over nodes without asking anyone.

    41 bits milliseconds since 2024-01-01 UTC │ 10 bits node │ 12 bits sequence

41 bits last 69 years; 4,096 ids a node and millisecond are four times more than one node can take.
"""

from __future__ import annotations

from gateway.model import MessageId

EPOCH_MS = 1_704_067_200_000
TIME_SHIFT = 22
NODE_SHIFT = 12
NODE_MAX = 1023
_SEQUENCE_MASK = 0xFFF


class IdGenerator:
    """Hands out ids that only grow, also when the clock goes back.

    `floor` is the greatest id known to the store, so that a restart after the clock went back
    repeats nothing.
    """

    def __init__(self, node: int, floor: int = 0) -> None:
        if not 0 <= node <= NODE_MAX:
            raise ValueError(f"node {node} is not in 0 … {NODE_MAX}")
        self._node_bits = node << NODE_SHIFT
        self._last_ms = floor >> TIME_SHIFT
        # One whole millisecond past the floor, whichever node made it.
        self._sequence = _SEQUENCE_MASK if floor else -1

    def next(self, now: float) -> MessageId:
        """Return a new id for wall-clock `now`, in seconds."""
        ms = int(now * 1000) - EPOCH_MS
        if ms > self._last_ms:
            self._last_ms = ms
            self._sequence = 0
        elif self._sequence < _SEQUENCE_MASK:
            self._sequence += 1
        else:
            # This millisecond is used up (or the clock went back): borrow from the next one.
            self._last_ms += 1
            self._sequence = 0
        return MessageId((self._last_ms << TIME_SHIFT) | self._node_bits | self._sequence)


def id_at(now: float) -> MessageId:
    """Return the smallest id that could be made at wall-clock `now`."""
    return MessageId(max(0, int(now * 1000) - EPOCH_MS) << TIME_SHIFT)


def accepted_at(message_id: int) -> float:
    """Return the wall-clock second, to the millisecond, in which the id was made."""
    return ((message_id >> TIME_SHIFT) + EPOCH_MS) / 1000
