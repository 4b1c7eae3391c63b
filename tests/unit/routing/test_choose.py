"""Failover in order, waiting, and giving up."""

from __future__ import annotations

from gateway.model import CarrierId
from gateway.routing.choose import NoRoute, Use, Wait, choose_carrier
from gateway.routing.health import USABLE, Availability, Away, Breaker, BreakerLimits, Gone

ONE, TWO, THREE = (CarrierId(n) for n in (1, 2, 3))


class Always:
    """A carrier that is always the same."""

    def __init__(self, availability: Availability) -> None:
        self._availability = availability

    def availability(self, now: float) -> Availability:
        return self._availability


def test_the_first_usable_candidate_is_used() -> None:
    carriers = {ONE: Always(USABLE), TWO: Always(USABLE)}
    assert choose_carrier((TWO, ONE), carriers, 0.0) == Use(TWO)


def test_a_candidate_that_is_away_or_gone_is_passed_over() -> None:
    carriers = {ONE: Always(Away(9.0)), TWO: Always(Gone("drained")), THREE: Always(USABLE)}
    assert choose_carrier((ONE, TWO, THREE), carriers, 0.0) == Use(THREE)


def test_with_none_usable_it_waits_for_the_earliest_that_may_be() -> None:
    carriers = {ONE: Always(Away(9.0)), TWO: Always(Gone("drained")), THREE: Always(Away(7.0))}
    assert choose_carrier((ONE, TWO, THREE), carriers, 0.0) == Wait(7.0)


def test_it_never_waits_into_the_past() -> None:
    assert choose_carrier((ONE,), {ONE: Always(Away(3.0))}, 5.0) == Wait(5.0)


def test_with_all_gone_there_is_no_route_and_every_reason_is_told() -> None:
    found = choose_carrier((ONE, TWO), {ONE: Always(Gone("drained"))}, 0.0)
    assert found == NoRoute("carrier 1: drained; carrier 2 is not configured any more")


def test_without_candidates_there_is_no_route() -> None:
    assert choose_carrier((), {ONE: Always(USABLE)}, 0.0) == NoRoute(
        "no route leads to this number"
    )


def test_a_breaker_fails_over_and_comes_back() -> None:
    limits = BreakerLimits(outcomes_min=2, open_first_s=5.0, trials=1)
    first, second = Breaker(limits), Breaker(limits)
    carriers = {ONE: first, TWO: second}
    assert choose_carrier((ONE, TWO), carriers, 100.0) == Use(ONE)
    first.failed(100.0)
    first.failed(100.0)
    assert choose_carrier((ONE, TWO), carriers, 100.0) == Use(TWO)
    assert choose_carrier((ONE, TWO), carriers, 105.0) == Use(ONE)
