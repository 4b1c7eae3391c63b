"""Wrong keys by address and minute."""

from __future__ import annotations

import pytest

from gateway.api.logins import (
    ADDRESSES_MAX,
    LINES_MAX,
    FailedLogins,
    LoginRefusal,
    News,
    network_of,
)


def test_an_address_waits_for_the_next_minute_after_its_failures() -> None:
    failed = FailedLogins(3)
    for now in (61.0, 62.0, 63.0):
        assert failed.wait_s("10.0.0.1", now) == 0
        failed.count("10.0.0.1", now)
    assert failed.wait_s("10.0.0.1", 70.0) == 50.0
    assert failed.wait_s("10.0.0.1", 119.5) == 0.5
    assert failed.wait_s("10.0.0.1", 120.0) == 0


def test_addresses_are_counted_apart() -> None:
    failed = FailedLogins(1)
    failed.count("10.0.0.1", 0.0)
    assert failed.wait_s("10.0.0.1", 0.0) > 0
    assert failed.wait_s("10.0.0.2", 0.0) == 0


def test_addresses_beyond_the_bound_share_one_count() -> None:
    failed = FailedLogins(2)
    for number in range(ADDRESSES_MAX):
        failed.count(f"a{number}", 0.0)
    failed.count("b1", 0.0)
    assert failed.wait_s("b2", 0.0) == 0
    failed.count("b2", 0.0)
    assert failed.wait_s("b3", 0.0) > 0
    assert failed.wait_s("a1", 0.0) == 0
    assert failed.wait_s("b3", 60.0) == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:1::1", "20010db800000001"),
        ("2001:db8:0:1:ffff::9", "20010db800000001"),
        ("fe80::1%eth0", "fe80000000000000"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_an_ipv6_customer_is_its_whole_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_refusal_is_news_once_a_minute_for_each_address_and_reason() -> None:
    news = News()
    assert news.is_news(LoginRefusal.KEY, "10.0.0.1", 1.0)
    assert not news.is_news(LoginRefusal.KEY, "10.0.0.1", 59.0)
    assert news.is_news(LoginRefusal.SLOWED, "10.0.0.1", 59.0)
    assert news.is_news(LoginRefusal.KEY, "10.0.0.2", 59.0)
    assert news.is_news(LoginRefusal.KEY, "10.0.0.1", 60.0)


def test_a_flood_of_addresses_fills_no_log() -> None:
    news = News()
    told = [news.is_news(LoginRefusal.KEY, f"a{number}", 1.0) for number in range(2 * LINES_MAX)]
    assert sum(told) == LINES_MAX
    assert news.is_news(LoginRefusal.KEY, "b", 60.0)
