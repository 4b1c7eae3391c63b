"""Which addresses may be called, and every known way to write a forbidden one."""

from __future__ import annotations

import pytest

from gateway.hooks.targets import find_address_fault, find_url_fault

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]

FORBIDDEN = [
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",  # a cloud's metadata
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # a cloud's own services at a public number
    "169.254.169.254",  # most clouds' metadata
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",  # a cloud's metadata
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",  # IPv4-compatible, deprecated
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",  # NAT64 of a local network
    "100::1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::1",  # 6to4 of 127.0.0.1
    "2002:a9fe:a9fe::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # a cloud's metadata
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address: str) -> None:
    assert find_address_fault(address) == ""


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert "not a public address" in find_address_fault(address)


@pytest.mark.parametrize(
    "word", ["", "example.com", "127.1", "0x7f000001", "2130706433", "1.2.3.4.5"]
)
def test_what_is_no_number_is_refused_where_only_numbers_come(word: str) -> None:
    assert "not an IP address" in find_address_fault(word)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hooks?id=7",
        "http://example.com:8080/",
        "https://user:secret@example.com/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://münchen.example/",
        "https://mylocalhost/",
    ],
)
def test_an_address_that_can_be_called_has_no_fault(url: str) -> None:
    assert find_url_fault(url, allow_private=False) == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://user@10.0.0.1:8443/x",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/latest/meta-data",
        "http://localhost:8080/",
        "http://LOCALHOST./",
        "http://db.localhost/",
    ],
)
def test_a_private_address_is_refused_unless_it_is_allowed(url: str) -> None:
    assert "not a public address" in find_url_fault(url, allow_private=False)
    assert find_url_fault(url, allow_private=True) == ""


@pytest.mark.parametrize("allow_private", [True, False])
@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hooks",
        "ftp://example.com/",
        "file:///etc/passwd",
        "unix:///run/docker.sock",
        "https://",
        "https:///path",
        "https://:443/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://[::1/",
        "https://exa mple.com/",
        "https://example.com/\r\nHost: x",
        "https://example.com/\x00",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_what_can_not_be_called_is_refused_always(url: str, allow_private: bool) -> None:
    assert find_url_fault(url, allow_private=allow_private) != ""
