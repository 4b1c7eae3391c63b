"""When a node may send."""

from __future__ import annotations

from gateway.lease import ALWAYS, MARGIN_S, TTL_S, Lease, begin_sending_at


def test_nothing_leaves_before_a_number_is_claimed_or_after_it_is_lost() -> None:
    lease = Lease()
    assert not lease.allows(0.0)
    lease.renewed(10.0)
    assert lease.allows(10.1)
    lease.lost()
    assert not lease.allows(10.2)


def test_it_is_measured_from_before_it_was_asked_for_and_ends_a_margin_early() -> None:
    lease = Lease()
    lease.renewed(10.0)
    assert lease.allows(10.0 + TTL_S - MARGIN_S - 0.001)
    assert not lease.allows(10.0 + TTL_S - MARGIN_S)


def test_renewals_only_lengthen_it_in_whatever_order_they_are_answered() -> None:
    lease = Lease()
    lease.renewed(12.0)
    lease.renewed(11.0)
    assert lease.allows(12.0 + TTL_S - MARGIN_S - 0.001)


def test_who_takes_a_carrier_waits_until_the_last_owners_second_is_over() -> None:
    assert begin_sending_at(10.0, quiet_s=0.25) == 10.75
    assert begin_sending_at(10.0, quiet_s=0.0) == 10.0 + MARGIN_S
    assert begin_sending_at(10.0, quiet_s=60.0) == 10.0


def test_who_shares_with_nobody_may_always_send() -> None:
    assert ALWAYS.allows(0.0)
    assert ALWAYS.allows(1e12)
