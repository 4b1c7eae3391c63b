"""What receipts say of a carrier, one at a time, on literal times."""

from __future__ import annotations

import pytest

from gateway.routing.deliveries import DeliveryBreaker, DeliveryLimits
from gateway.routing.health import USABLE, Away, Breaker, BreakerLimits, BreakerState, Cause

LIMITS = DeliveryLimits(
    share=0.5,
    receipts_min=100,
    window_s=600.0,
    past_s=86_400.0,
    open_first_s=300.0,
    open_max_s=400.0,
    trials=10,
)


def note(breaker: DeliveryBreaker, delivered: int, failed: int, now: float) -> None:
    """Note so many receipts of what went out just before; failures last."""
    for good in [True] * delivered + [False] * failed:
        breaker.note(good, now - 1.0, now)


def with_a_past(delivered: int = 900, failed: int = 100) -> DeliveryBreaker:
    """A breaker that has seen an hour of such receipts; nothing of it is recent at 4000."""
    breaker = DeliveryBreaker(LIMITS)
    note(breaker, delivered, failed, 400.0)
    return breaker


def opened(at: float) -> DeliveryBreaker:
    breaker = with_a_past()
    note(breaker, 0, 100, at)
    assert breaker.state(at) is BreakerState.OPEN
    return breaker


@pytest.mark.parametrize(
    ("delivered", "failed", "state"),
    [
        (90, 10, "closed"),  # as ever
        (50, 50, "closed"),  # worse, and still more than half of 90 %
        (44, 56, "open"),
        (0, 100, "open"),
        (0, 99, "closed"),  # too few to tell
    ],
)
def test_a_carrier_is_compared_with_its_own_past(delivered: int, failed: int, state: str) -> None:
    breaker = with_a_past()
    note(breaker, delivered, failed, 4_000.0)
    assert breaker.state(4_000.0).value == state


def test_a_carrier_that_never_delivered_much_is_not_avoided_for_it() -> None:
    breaker = with_a_past(200, 800)
    note(breaker, 15, 85, 4_000.0)
    assert breaker.state(4_000.0) is BreakerState.CLOSED


def test_without_a_past_there_is_nothing_to_compare_with() -> None:
    breaker = DeliveryBreaker(LIMITS)
    note(breaker, 0, 10_000, 100.0)
    assert breaker.state(100.0) is BreakerState.CLOSED
    short = DeliveryBreaker(LIMITS)
    note(short, 99, 0, 400.0)
    note(short, 0, 1_000, 4_000.0)
    assert short.state(4_000.0) is BreakerState.CLOSED


def test_what_lies_further_back_than_the_window_is_not_recent() -> None:
    breaker = with_a_past()
    note(breaker, 0, 60, 4_000.0)
    note(breaker, 0, 60, 4_700.0)
    assert breaker.state(4_700.0) is BreakerState.CLOSED
    note(breaker, 0, 60, 4_900.0)
    assert breaker.state(4_900.0) is BreakerState.OPEN


def test_the_past_forgets_by_halves() -> None:
    week = 7 * 86_400.0
    breaker = with_a_past(25_600, 0)
    note(breaker, 20, 80, week)
    assert breaker.state(week) is BreakerState.OPEN, "1 % of the past is left, and is enough"
    older = with_a_past(25_600, 0)
    note(older, 20, 80, 2 * week)
    assert older.state(2 * week) is BreakerState.CLOSED, "too little of it is left"


def test_it_is_tried_again_after_a_pause_with_a_bounded_number() -> None:
    breaker = opened(4_000.0)
    assert breaker.availability(4_000.0) == Away(4_300.0)
    for _ in range(2 * LIMITS.trials):
        assert breaker.availability(4_300.0) is USABLE
        breaker.sent(4_300.0)
    assert breaker.availability(4_301.0) == Away(4_900.0)
    assert breaker.availability(4_900.0) is USABLE, "their receipts never came: others are sent"


def test_receipts_of_trials_decide() -> None:
    good, bad = opened(4_000.0), opened(4_000.0)
    for breaker, delivered in ((good, True), (bad, False)):
        assert breaker.state(4_300.0) is BreakerState.HALF_OPEN
        for _ in range(LIMITS.trials):
            breaker.note(delivered, 4_301.0, 4_310.0)
    assert good.state(4_310.0) is BreakerState.CLOSED
    assert bad.availability(4_310.0) == Away(4_710.0), "twice as long, up to the longest"


def test_late_receipts_of_what_left_before_decide_nothing() -> None:
    breaker = opened(4_000.0)
    assert breaker.state(4_300.0) is BreakerState.HALF_OPEN
    for _ in range(LIMITS.trials):
        breaker.note(True, 4_299.0, 4_310.0)
    assert breaker.state(4_310.0) is BreakerState.HALF_OPEN


def test_what_was_bad_before_it_recovered_does_not_open_it_again() -> None:
    breaker = opened(4_000.0)
    for _ in range(LIMITS.trials):
        breaker.note(True, breaker.state(4_300.0) and 4_301.0, 4_310.0)
    assert breaker.state(4_310.0) is BreakerState.CLOSED
    note(breaker, 0, 50, 4_311.0)
    assert breaker.state(4_311.0) is BreakerState.CLOSED


# ── together with what answers say ───────────────────────────────────────────────────────────


def test_the_worse_of_both_is_what_a_carrier_is() -> None:
    breaker = Breaker(BreakerLimits(outcomes_min=1), with_a_past())
    told: list[tuple[BreakerState, Cause]] = []
    breaker.listen(lambda state, cause: told.append((state, cause)))
    assert breaker.deliveries is not None
    note(breaker.deliveries, 0, 100, 4_000.0)
    assert breaker.condition(4_000.0) == (BreakerState.OPEN, Cause.UNDELIVERED)
    assert breaker.availability(4_000.0) == Away(4_300.0)
    assert told == [(BreakerState.OPEN, Cause.UNDELIVERED)]
    breaker.failed(4_300.0)
    assert breaker.condition(4_300.0) == (BreakerState.OPEN, Cause.FAILED)
    breaker.sent(4_306.0)
    assert breaker.condition(4_306.0)[0] is BreakerState.HALF_OPEN


def test_receipts_are_judged_from_the_moment_that_it_is_asked_for() -> None:
    breaker = Breaker()
    breaker.use(Breaker(BreakerLimits(), with_a_past()))
    told: list[Cause] = []
    breaker.listen(lambda state, cause: told.append(cause))
    known = breaker.deliveries
    assert known is not None
    stricter = DeliveryLimits(share=0.9, receipts_min=100)
    breaker.use(Breaker(BreakerLimits(), DeliveryBreaker(stricter)))
    assert breaker.deliveries is known, "what is known stays"
    note(known, 70, 30, 4_000.0)
    assert told == [Cause.UNDELIVERED]
    breaker.use(Breaker())
    assert breaker.condition(4_000.0)[0] is BreakerState.CLOSED
