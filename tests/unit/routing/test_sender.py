"""The three kinds of sender and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.numbers import Ineligible, Reason
from gateway.routing.sender import (
    NAME_ALPHABET,
    NAME_CHARS_MAX,
    RAW_CHARS_MAX,
    Sender,
    SenderKind,
    parse_sender,
)


@pytest.mark.parametrize(
    ("raw", "address", "ton", "npi"),
    [
        ("ACME", "ACME", 5, 0),
        ("Acme Shop 1", "Acme Shop 1", 5, 0),
        ("  ACME ", "ACME", 5, 0),
        ("24/7", "24/7", 5, 0),
        ("Café Ñandú"[:9], "Café Ñand", 5, 0),
        ("A_B$C", "A_B$C", 5, 0),
        ("123", "123", 3, 0),
        ("12345678", "12345678", 3, 0),
        ("123 45", "12345", 3, 0),
        ("+447400123456", "447400123456", 1, 1),
        ("447400123456", "447400123456", 1, 1),
        ("00 44 7400 123456", "447400123456", 1, 1),
        ("+44 (0)7400 123456", "447400123456", 1, 1),
        ("447700900123", "447700900123", 1, 1),
    ],
)
def test_a_sender_is_told_by_its_form(raw: str, address: str, ton: int, npi: int) -> None:
    sender = parse_sender(raw)
    assert isinstance(sender, Sender)
    assert (sender.address, sender.ton, sender.npi) == (address, ton, npi)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", Reason.SENDER_EMPTY),
        ("   ", Reason.SENDER_EMPTY),
        ("12", Reason.SENDER_TOO_SHORT),
        ("123456789", Reason.IMPOSSIBLE_LENGTH),
        ("020 7183 8750", Reason.UNKNOWN_CALLING_CODE),
        ("+12", Reason.TOO_SHORT),
        ("+", Reason.EMPTY),
        ("+44ACME", Reason.LETTERS),
        ("Twelve Chars", Reason.SENDER_TOO_LONG),
        ("x" * (RAW_CHARS_MAX + 1), Reason.SENDER_TOO_LONG),
        ("me@home", Reason.SENDER_AT_SIGN),
        ("Prix €", Reason.SENDER_ALPHABET),
        ("[ACME]", Reason.SENDER_ALPHABET),
        ("АСМЕ", Reason.SENDER_ALPHABET),
        ("AC\nME", Reason.SENDER_ALPHABET),
        ("AC\x00ME", Reason.SENDER_ALPHABET),
        ("١٢٣٤٥", Reason.SENDER_ALPHABET),
    ],
)
def test_what_is_no_sender_is_refused_with_its_reason(raw: str, code: Reason) -> None:
    refused = parse_sender(raw)
    assert isinstance(refused, Ineligible)
    assert refused.code is code
    assert refused.detail


def test_a_name_in_a_look_alike_alphabet_is_refused_with_the_character_named() -> None:
    refused = parse_sender("АCME")  # its first letter is Cyrillic
    assert isinstance(refused, Ineligible)
    assert "U+0410" in refused.detail


def test_the_alphabet_is_the_gsm_default_one_without_what_an_address_cannot_hold() -> None:
    # 128 septets less @, LF, CR and ESC.
    assert len(NAME_ALPHABET) == 124


@settings(deadline=None)
@given(st.text(max_size=RAW_CHARS_MAX + 2))
def test_garbage_gives_only_a_sender_or_a_reason(raw: str) -> None:
    sender = parse_sender(raw)
    if isinstance(sender, Ineligible):
        assert sender.detail
        return
    assert parse_sender(sender.address) == sender or sender.kind is SenderKind.NUMBER
    if sender.kind is SenderKind.NAME:
        assert 1 <= len(sender.address) <= NAME_CHARS_MAX
        assert set(sender.address) <= NAME_ALPHABET
    else:
        assert sender.address.isascii() and sender.address.isdigit()
