"""Every micro-unit of a reservation closes exactly once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credit.ledger import (
    NOTHING,
    Fate,
    Move,
    Reservation,
    apply_event,
    apply_refund,
    reserve,
    settle,
)
from gateway.lifecycle import EventKind
from gateway.model import Micros

POSTING = {EventKind.SUBMITTED}
VOIDING = {
    EventKind.REFUSED,
    EventKind.EXPIRED,
    EventKind.CANCELED,
    EventKind.UNROUTABLE,
    EventKind.HELD,
}
REFUNDING = {EventKind.REFUND}
IDLE = {EventKind.LEAVING, EventKind.RETRY, EventKind.RECEIPT, EventKind.NO_RECEIPT}


def test_every_kind_of_event_is_accounted_for() -> None:
    assert POSTING | VOIDING | REFUNDING | IDLE == set(EventKind)


def test_a_reservation_holds_the_whole_price_open() -> None:
    reservation = reserve(Micros(22_500), 3)
    assert reservation.price_micros == reservation.reserved_micros == 22_500
    assert (reservation.posted_micros, reservation.voided_micros) == (0, 0)
    assert not reservation.closed


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("fate", Fate)
def test_an_event_moves_money_out_of_one_state_only(kind: EventKind, fate: Fate) -> None:
    before = _with_fate(fate)
    after, move = apply_event(before, 1, kind)
    if fate is Fate.OPEN and kind in POSTING:
        assert after.fates == (Fate.POSTED,)
        assert move == Move(posted_micros=Micros(7_500))
    elif fate is Fate.OPEN and kind in VOIDING:
        assert after.fates == (Fate.VOIDED,)
        assert move == Move(voided_micros=Micros(7_500))
    elif fate is Fate.POSTED and kind in REFUNDING:
        assert after.fates == (Fate.REFUNDED,)
        assert move == Move(refunded_micros=Micros(7_500))
    else:
        assert (after, move) == (before, NOTHING)


def _with_fate(fate: Fate) -> Reservation:
    reservation = reserve(Micros(7_500), 1)
    if fate is Fate.VOIDED:
        reservation, _ = apply_event(reservation, 1, EventKind.EXPIRED)
    if fate in (Fate.POSTED, Fate.REFUNDED):
        reservation, _ = apply_event(reservation, 1, EventKind.SUBMITTED)
    if fate is Fate.REFUNDED:
        reservation, _ = apply_refund(reservation, 1)
    assert reservation.fates == (fate,)
    return reservation


@pytest.mark.parametrize("fate", Fate)
def test_only_a_posted_segment_is_refunded_and_only_once(fate: Fate) -> None:
    before = _with_fate(fate)
    after, move = apply_refund(before, 1)
    if fate is Fate.POSTED:
        assert after.fates == (Fate.REFUNDED,)
        assert move == Move(refunded_micros=Micros(7_500))
        assert after.posted_micros == 7_500, "what was posted stays posted"
    else:
        assert (after, move) == (before, NOTHING)


def test_segments_close_each_for_itself() -> None:
    settled = settle(
        Micros(30_000),
        4,
        [
            (1, EventKind.SUBMITTED),
            (2, EventKind.RETRY),
            (3, EventKind.REFUSED),
            (2, EventKind.SUBMITTED),
            (1, EventKind.RECEIPT),
            (4, EventKind.EXPIRED),
        ],
    )
    assert (settled.posted_micros, settled.voided_micros) == (15_000, 15_000)
    assert settled.reserved_micros == 0
    assert settled.closed


def test_the_first_close_counts_when_a_response_comes_too_late() -> None:
    voided = settle(Micros(5), 1, [(1, EventKind.HELD), (1, EventKind.SUBMITTED)])
    assert (voided.posted_micros, voided.voided_micros) == (0, 5)
    posted = settle(Micros(5), 1, [(1, EventKind.SUBMITTED), (1, EventKind.REFUSED)])
    assert (posted.posted_micros, posted.voided_micros) == (5, 0)


def test_a_free_message_moves_nothing_and_closes() -> None:
    reservation = reserve(Micros(0), 2)
    for segment in (1, 2):
        reservation, move = apply_event(reservation, segment, EventKind.SUBMITTED)
        assert move == NOTHING
    assert reservation.closed


@pytest.mark.parametrize(("price", "segments"), [(10, 3), (-3, 3), (3, 0), (1, 2)])
def test_a_price_that_is_not_whole_segments_is_our_own_bug(price: int, segments: int) -> None:
    with pytest.raises(AssertionError):
        reserve(Micros(price), segments)


@pytest.mark.parametrize("segment", [0, 4, -1])
def test_a_segment_that_is_not_there_is_our_own_bug(segment: int) -> None:
    with pytest.raises(AssertionError):
        apply_event(reserve(Micros(3), 3), segment, EventKind.SUBMITTED)


@given(
    st.integers(0, 10**9),
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from([*EventKind, None])), max_size=60),
)
def test_whatever_happens_every_micro_unit_closes_at_most_once(
    each: int, segments: int, events: list[tuple[int, EventKind | None]]
) -> None:
    """None is a refund."""
    reservation = reserve(Micros(each * segments), segments)
    posted = voided = refunded = 0
    for index, kind in events:
        segment = index % segments + 1
        if kind is None:
            reservation, move = apply_refund(reservation, segment)
        else:
            reservation, move = apply_event(reservation, segment, kind)
        posted += move.posted_micros
        voided += move.voided_micros
        refunded += move.refunded_micros
        assert reservation.price_micros == each * segments
        assert reservation.posted_micros == posted
        assert reservation.voided_micros == voided
        assert reservation.refunded_micros == refunded <= posted
        assert reservation.reserved_micros == each * segments - posted - voided >= 0
    assert reservation.closed == (Fate.OPEN not in reservation.fates)
    if reservation.closed:
        assert posted + voided == each * segments
