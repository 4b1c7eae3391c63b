"""Whose request a trusted proxy passed on, whatever a client writes beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.proxies import HOPS_MAX, UNKNOWN, TrustedProxies
from gateway.scopes import read_networks

PROXY = "10.0.0.5"
CLIENT = "198.51.100.7"
OURS = read_networks(("10.0.0.0/24", "2001:db8:5::/64"))

XFF = TrustedProxies(OURS, "x-forwarded-for")
FORWARDED = TrustedProxies(OURS, "forwarded")


def by_xff(*lines: str) -> str:
    return XFF.find_client(PROXY, [(b"x-forwarded-for", line.encode("latin-1")) for line in lines])


def by_forwarded(*lines: str) -> str:
    return FORWARDED.find_client(PROXY, [(b"forwarded", line.encode("latin-1")) for line in lines])


def test_nobody_is_trusted_unless_named() -> None:
    assert not TrustedProxies((), "forwarded").trusts("127.0.0.1")
    assert XFF.trusts("10.0.0.9") and XFF.trusts("::ffff:10.0.0.9") and XFF.trusts("2001:db8:5::1")
    assert not any(XFF.trusts(other) for other in ("10.0.1.1", "", "unknown", "2001:db8:6::1"))


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ((), PROXY),
        ((CLIENT,), CLIENT),
        (("1.1.1.1, 198.51.100.7",), CLIENT),
        (("1.1.1.1", "198.51.100.7"), CLIENT),
        (("1.1.1.1,198.51.100.7 , 10.0.0.6,\t2001:db8:5::9",), CLIENT),
        (("198.51.100.7", "10.0.0.6"), CLIENT),
        (("198.51.100.7:50123",), CLIENT),
        (("[2001:db8:9::1]:443",), "2001:db8:9::1"),
        (("[2001:db8:9::1]",), "2001:db8:9::1"),
        (("2001:DB8:9:0::1",), "2001:db8:9::1"),
        (("::ffff:198.51.100.7",), CLIENT),
        (("::ffff:10.0.0.6",), "10.0.0.6"),
        (("10.0.0.8, 10.0.0.6",), "10.0.0.8"),  # the one that asked first is one of ours
        (("evil\", 198.51.100.7",), CLIENT),
        (("10.0.0.6,,198.51.100.7",), CLIENT),
    ],
)  # fmt: skip
def test_the_right_most_address_that_is_no_proxy_s_is_the_client_s(
    lines: tuple[str, ...], client: str
) -> None:
    assert by_xff(*lines) == client


@pytest.mark.parametrize(
    "told",
    [
        *("", " ", ",", "unknown", "_hidden", "localhost", "198.51.100", "198.51.100.007", "1"),
        *("198.51.100.7.", "198.51.100.7:", "198.51.100.7:port", "198.51.100.7 10.0.0.6"),
        *("0x7f000001", "2130706433", "fe80::1%eth0", "[::1", "::1]", "1.1.1.1\x00", "ﬀ::1"),
        *("198.51.100.7, unknown", "10.0.0.6,", "\xa0198.51.100.7", '"198.51.100.7"'),
    ],
)
def test_what_a_proxy_tells_that_is_no_address_is_nobodys(told: str) -> None:
    line = told.encode("utf-8").decode("latin-1")
    assert by_xff(line) == UNKNOWN


def test_an_unknown_client_is_in_no_network() -> None:
    assert not TrustedProxies(read_networks(("0.0.0.0/1", "128.0.0.0/1")), "forwarded").trusts(
        UNKNOWN
    )


def test_the_header_that_the_proxy_does_not_write_says_nothing() -> None:
    headers = [(b"forwarded", b"for=1.1.1.1"), (b"x-real-ip", b"2.2.2.2")]
    assert XFF.find_client(PROXY, headers) == PROXY
    assert XFF.find_client(PROXY, [*headers, (b"x-forwarded-for", CLIENT.encode())]) == CLIENT
    headers = [(b"x-forwarded-for", b"1.1.1.1"), (b"forwarded", f"for={CLIENT}".encode())]
    assert FORWARDED.find_client(PROXY, headers) == CLIENT


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (("for=198.51.100.7",), CLIENT),
        (("For=198.51.100.7;proto=https;by=10.0.0.5",), CLIENT),
        ((' proto=http ; FOR="198.51.100.7:4711" ',), CLIENT),
        (('for="[2001:db8:9::1]:4711"',), "2001:db8:9::1"),
        (('for="\\[2001:db8:9::1]"',), "2001:db8:9::1"),
        (('for=1.1.1.1, for=198.51.100.7;host="a,b;c"',), CLIENT),
        (("for=198.51.100.7, for=10.0.0.6", "for=10.0.0.7;by=10.0.0.5"), CLIENT),
        # What a client writes before what the proxy appends.
        (('for=9.9.9.9;x=", for=198.51.100.7',), CLIENT),
        (('for="9.9.9.9, for="[2001:db8:9::1]"',), "2001:db8:9::1"),
        (('for=9.9.9.9;x="\\, for=198.51.100.7;host="example.com"',), CLIENT),
        (('\\",,;;=="\', for=198.51.100.7',), CLIENT),
        # What a client may write where the proxy repeats it.
        (('for=198.51.100.7;host=",for=9.9.9.9"',), CLIENT),
        (('for=198.51.100.7;host="x,for=9.9.9.9;y=\\""',), CLIENT),
    ],
)
def test_forwarded_is_read_from_the_right_by_its_grammar(
    lines: tuple[str, ...], client: str
) -> None:
    assert by_forwarded(*lines) == client


@pytest.mark.parametrize(
    "line",
    [
        *("", "for", "for=", "proto=https", "for=unknown", "for=_hidden", 'for="_a,b"'),
        *("for=1.1.1.1;for=2.2.2.2", "for = 1.1.1.1", 'for="1.1.1.1', "for=[2001:db8::1]"),
        *("for=1.1.1.1,", 'for="1.1.1.1" x', "1.1.1.1", '"' + "," * 16_000),
    ],
)
def test_a_forwarded_that_names_no_address_is_nobodys(line: str) -> None:
    assert by_forwarded(line) == UNKNOWN


def test_proxies_behind_each_other_have_an_end() -> None:
    assert by_xff(", ".join([CLIENT, *["10.0.0.6"] * (HOPS_MAX - 1)])) == CLIENT
    assert by_xff(", ".join([CLIENT, *["10.0.0.6"] * HOPS_MAX])) == UNKNOWN


@given(st.lists(st.text(st.characters(codec="latin-1"), max_size=80), max_size=4))
def test_no_client_changes_what_the_proxy_says_of_it(lines: list[str]) -> None:
    told = [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]
    assert XFF.find_client(PROXY, [*told, (b"x-forwarded-for", CLIENT.encode())]) == CLIENT
    merged = ", ".join([*lines, CLIENT])
    assert by_xff(merged) == CLIENT
    assert by_forwarded(*lines, f"for={CLIENT}") == CLIENT
    assert by_forwarded(", ".join([*lines, f'for={CLIENT};host="h";proto=https'])) == CLIENT
