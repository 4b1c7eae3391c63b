"""Senders' names on the wire, in each of the ways that carriers read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.sender import NAME_ALPHABET
from gateway.text.sender import SenderForm, write_sender

LATIN1, GSM7, ASCII = SenderForm.LATIN1, SenderForm.GSM7, SenderForm.ASCII


@pytest.mark.parametrize(
    ("name", "form", "octets"),
    [
        ("Shop 24", LATIN1, b"Shop 24"),
        ("Shop 24", GSM7, b"Shop 24"),
        ("Shop 24", ASCII, b"Shop 24"),
        ("491701234567", GSM7, b"491701234567"),
        ("Café", LATIN1, b"Caf\xe9"),
        ("Café", GSM7, b"Caf\x05"),
        ("Café", ASCII, b"Cafe"),
        ("Ñandú£", LATIN1, b"\xd1and\xfa\xa3"),
        ("España £", GSM7, b"Espa\x7da \x01"),
        ("España £", ASCII, b"Espana L"),
        # the two places of ASCII that are others in GSM, and the one that would end the address
        ("a_b$", GSM7, b"a\x11b\x02"),
        ("a_b$", ASCII, b"a_b$"),
        ("a@b", GSM7, b"a?b"),
        ("a@b", LATIN1, b"a@b"),
        ("a@b", ASCII, b"a@b"),
        # what a form has no octet for
        ("ΔELTA", LATIN1, b"DELTA"),
        ("ΔELTA", GSM7, b"\x10ELTA"),
        ("Straße Ærø", ASCII, b"Strase Aro"),
        ("Straße Ærø", GSM7, b"Stra\x1ee \x1cr\x0c"),
        ("ğüş", LATIN1, b"g\xfcs"),
        ("ğüş", GSM7, b"g\x7es"),
        ("[x]", GSM7, b"?x?"),
        ("шоп", ASCII, b"???"),
        ("a\x85", LATIN1, b"a?"),
        ("a\0\n", LATIN1, b"a??"),
    ],
)
def test_a_name_goes_on_the_wire_as_these_octets(
    name: str, form: SenderForm, octets: bytes
) -> None:
    assert write_sender(name, form).encode("latin-1") == octets


@pytest.mark.parametrize("form", SenderForm)
def test_every_name_that_is_taken_can_be_written(form: SenderForm) -> None:
    for character in NAME_ALPHABET:
        written = write_sender(character, form).encode("latin-1")
        assert len(written) == 1
        assert written != b"\0"
        if form is ASCII:
            assert 0x20 <= written[0] < 0x7F


@given(st.text(max_size=11), st.sampled_from(SenderForm))
def test_any_name_is_as_long_on_the_wire_and_ends_where_it_ends(
    name: str, form: SenderForm
) -> None:
    octets = write_sender(name, form).encode("latin-1")
    assert len(octets) == len(name)
    assert b"\0" not in octets
