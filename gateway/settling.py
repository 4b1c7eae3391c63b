"""What state a segment comes into by what is reported of it, and a message by its segments.

Not here: which states there are (`lifecycle.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.lifecycle import SEVERITY, Status


def settle_segment(current: Status, proposed: Status) -> Status:
    """Return the state of a segment that was `current` when `proposed` is reported.

    Final states stay, with two exceptions that real carriers need: what was given up as UNKNOWN
    takes a later receipt, and a receipt that overtook its `submit_sm_resp` is not taken back.
    """
    if current is Status.UNKNOWN and proposed.final:
        return proposed
    if current.final:
        return current
    if current is Status.SUBMITTED and not proposed.final:
        return current
    return proposed


def aggregate(segments: Iterable[Status]) -> Status:
    """Return the message's status from the states of all its segments.

    While any segment can still change, the message is not final; afterwards the worst one names
    it. A message that has nothing sent is ACCEPTED, one partly sent is SENDING.
    """
    states = set(segments)
    assert states, "a message has at least one segment"
    if Status.ACCEPTED in states:
        return Status.ACCEPTED if states == {Status.ACCEPTED} else Status.SENDING
    if Status.SUBMITTED in states:
        return Status.SUBMITTED
    for status in SEVERITY:
        if status in states:
            return status
    raise AssertionError(f"no status for segments {states}")
