"""The states and events that there are."""

from __future__ import annotations

from gateway.lifecycle import SEGMENT_AFTER, STATUSES, EventKind, Status

# What a segment can be: SENDING is a message's state, made of segments that differ.
SEGMENT_STATES = tuple(status for status in Status if status is not Status.SENDING)


def test_every_event_but_a_receipt_and_a_refund_leaves_one_known_segment_state() -> None:
    assert set(SEGMENT_AFTER) == set(EventKind) - {EventKind.RECEIPT, EventKind.REFUND}
    assert set(SEGMENT_AFTER.values()) <= set(SEGMENT_STATES)


def test_names_on_the_wire_are_lower_case_and_lead_back() -> None:
    for status in Status:
        assert status.wire == status.name.lower()
        assert STATUSES[status.wire] is status
    assert len({kind.wire for kind in EventKind}) == len(EventKind)
