"""Addresses: what mail servers take everywhere, and nothing that could carry more than one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.email_address import BadAddress, Mailbox, parse_address, parse_mailbox


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("anna@example.com", "anna@example.com"),
        ("Anna.B+sms@Mail.Example.COM", "Anna.B+sms@mail.example.com"),
        ("o'neil_1=x@example.co", "o'neil_1=x@example.co"),
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    ],
)
def test_an_address_is_written_as_dns_knows_it(text: str, address: str) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "anna", "anna@", "@example.com", "anna@localhost", "anna@example..com"),
        *("anna@-a.example", "anna@a-.example", "anna@[192.0.2.1]", "anna@192.0.2.1"),
        *("an na@example.com", "anna@exa mple.com", " anna@example.com", "anna@example.com "),
        *("a..b@example.com", ".a@example.com", "a.@example.com", '"a b"@example.com'),
        *("anna@example.com\n", "anna@example.com\r\nBcc: x@example.com", "anna\n@example.com"),
        *("a@b@example.com", "anna@example.com,bob@example.com", "<anna@example.com>"),
        *("änna@example.com", "a" * 65 + "@example.com", "a@" + "b" * 250 + ".com"),
        "anna@" + "b" * 64 + ".example",
        "anna@" + ".".join(["b" * 60] * 5) + ".example",
        "anna@xn--\u200b.example",
    ],
)
def test_what_is_no_address_is_told_why(text: str) -> None:
    fault = parse_address(text)
    assert isinstance(fault, BadAddress)
    assert fault.detail.startswith("has ")


@given(st.text(max_size=300))
def test_whatever_is_taken_has_no_room_for_anything_else(text: str) -> None:
    address = parse_address(text)
    if isinstance(address, str):
        assert address.isascii()
        assert address.count("@") == 1
        assert not set(address) & set('\r\n\t ,;<>()[]\\"')
        assert len(address) <= 254


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("a@shop.example", Mailbox("a@shop.example")),
        ("<a@shop.example>", Mailbox("a@shop.example")),
        ("The Shop <a@shop.example>", Mailbox("a@shop.example", "The Shop")),
        ('"Shop, Inc." <a@shop.example>', Mailbox("a@shop.example", "Shop, Inc.")),
        (" Bücher < a@shop.example > ", Mailbox("a@shop.example", "Bücher")),
    ],
)
def test_a_mailbox_may_have_a_name(text: str, mailbox: Mailbox) -> None:
    assert parse_mailbox(text) == mailbox
    assert mailbox.domain == "shop.example"


@pytest.mark.parametrize(
    "text",
    [
        *("", "Shop", "Shop <>", "Shop <a@b>", "Shop <a@shop.example> x", "<<a@shop.example>>"),
        *("Sh\nop <a@shop.example>", "x" * 101 + " <a@shop.example>"),
    ],
)
def test_what_is_no_mailbox_is_told_why(text: str) -> None:
    assert isinstance(parse_mailbox(text), BadAddress)
