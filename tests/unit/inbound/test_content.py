"""What octets say, in every alphabet that phones and carriers write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inbound.content import (
    BINARY,
    Content,
    Run,
    coding_of,
    decode,
    read_content,
)
from gateway.text.alphabet import encode_gsm7
from gateway.text.style import DefaultAlphabet
from gateway.text.udh import Shifts

GSM7 = DefaultAlphabet.GSM7
LATIN1 = DefaultAlphabet.LATIN1


@pytest.mark.parametrize(
    ("data_coding", "coding"),
    [
        (0x00, "gsm7"),
        (0x01, "ascii"),
        (0x02, "binary"),
        (0x03, "latin-1"),
        (0x04, "binary"),
        (0x05, "binary"),
        (0x06, "iso-8859-5"),
        (0x07, "iso-8859-8"),
        (0x08, "ucs2"),
        (0x09, "binary"),
        (0x0A, "iso-2022-jp"),
        (0x0B, "binary"),
        (0x0D, "binary"),
        (0x0E, "euc-kr"),
        (0x0F, "binary"),
        (0x10, "gsm7"),  # flash
        (0x14, "binary"),
        (0x18, "ucs2"),  # flash
        (0x1C, "gsm7"),  # reserved
        (0x20, "binary"),  # compressed
        (0x40, "gsm7"),  # to be deleted once it was read
        (0x48, "ucs2"),
        (0x60, "binary"),  # compressed
        (0x80, "gsm7"),  # reserved
        (0xBF, "gsm7"),
        (0xC0, "gsm7"),  # indications
        (0xC8, "gsm7"),
        (0xD1, "gsm7"),
        (0xE0, "ucs2"),
        (0xE9, "ucs2"),
        (0xF0, "gsm7"),  # classes
        (0xF1, "gsm7"),
        (0xF4, "binary"),
        (0xF5, "binary"),
        (0xFB, "gsm7"),
        (0xFF, "binary"),
    ],
)
def test_a_data_coding_names_an_alphabet(data_coding: int, coding: str) -> None:
    assert coding_of(data_coding, GSM7) == coding


@pytest.mark.parametrize("alphabet", DefaultAlphabet)
@pytest.mark.parametrize("data_coding", [0x00, 0x11, 0x40, 0xC0, 0xD0, 0xF0, 0xF2])
def test_the_default_alphabet_is_the_carriers(alphabet: DefaultAlphabet, data_coding: int) -> None:
    assert coding_of(data_coding, alphabet) == alphabet.value


@pytest.mark.parametrize("data_coding", [0x01, 0x03, 0x08, 0x18, 0xE0])
def test_what_is_named_is_not_the_carriers_to_say(data_coding: int) -> None:
    assert len({coding_of(data_coding, alphabet) for alphabet in DefaultAlphabet}) == 1


@pytest.mark.parametrize(
    ("octets", "coding", "text"),
    [
        (b"\x00\x11\x1b\x65", "gsm7", "@_€"),
        (b"\x09", "gsm7", "Ç"),
        ("£ù".encode("latin-1"), "latin-1", "£ù"),
        (b"STOP", "ascii", "STOP"),
        ("naïve €".encode(), "utf-8", "naïve €"),
        ("Grüße 🙂".encode("utf-16-be"), "ucs2", "Grüße 🙂"),
        (b"\xfe\xff\x00A", "ucs2", "A"),
        (b"\xff\xfeA\x00", "ucs2", "A"),
        ("Привет".encode("iso-8859-5"), "iso-8859-5", "Привет"),
        ("שלום".encode("iso-8859-8"), "iso-8859-8", "שלום"),
        ("こんにちは".encode("iso-2022-jp"), "iso-2022-jp", "こんにちは"),
        ("안녕".encode("euc-kr"), "euc-kr", "안녕"),
        (b"", "gsm7", ""),
        (b"", "ucs2", ""),
        (b"done\0", "ascii", "done"),  # a C string, by mistake
        (b"\0d\0\0", "ucs2", "d"),
    ],
)
def test_a_text_is_read_whole(octets: bytes, coding: str, text: str) -> None:
    assert decode(octets, coding) == (text, True)


@pytest.mark.parametrize(
    ("octets", "coding", "text"),
    [
        (b"caf\xe9", "ascii", "caf\N{REPLACEMENT CHARACTER}"),
        (b"caf\xe9", "utf-8", "caf\N{REPLACEMENT CHARACTER}"),
        (b"caf\xe9", "gsm7", "caf\N{REPLACEMENT CHARACTER}"),
        (b"\0A\0", "ucs2", "A\N{REPLACEMENT CHARACTER}"),  # an octet is missing
        (b"\xd8\x3d\0A", "ucs2", "\N{REPLACEMENT CHARACTER}A"),  # half of a pair
        (b"a\0b", "latin-1", "a\N{REPLACEMENT CHARACTER}b"),
        (b"\0a\0\0\0b", "ucs2", "a\N{REPLACEMENT CHARACTER}b"),
    ],
)
def test_a_text_with_octets_that_say_nothing_is_marked(
    octets: bytes, coding: str, text: str
) -> None:
    assert decode(octets, coding) == (text, False)


@given(st.binary(max_size=300), st.integers(0, 255), st.sampled_from(DefaultAlphabet))
def test_any_octets_have_a_reading_that_any_store_takes(
    octets: bytes, data_coding: int, alphabet: DefaultAlphabet
) -> None:
    content = read_content([Run(data_coding, octets)], alphabet)
    assert "\0" not in content.text
    content.text.encode()  # no lone surrogates
    assert not (content.encoding == BINARY and (content.exact or content.text))


@given(st.text(st.characters(exclude_characters="\0\ufeff\ufffe", exclude_categories=["Cs"])))
def test_ucs2_comes_back_as_it_was_written(text: str) -> None:
    assert decode(text.encode("utf-16-be"), "ucs2") == (text, True)


def test_a_character_over_the_border_of_two_runs_is_one_of_them_joined() -> None:
    octets = "A🙂".encode("utf-16-be")
    whole = read_content([Run(0x08, octets)], GSM7)
    cut = read_content([Run(0x08, octets[:4]), Run(0x08, octets[4:])], GSM7)
    assert whole == Content("A🙂", "ucs2", True)
    assert not cut.exact


def test_runs_of_different_codings_are_each_read_by_their_own() -> None:
    runs = [Run(0x00, encode_gsm7("10€ ")), Run(0x08, "für 🙂".encode("utf-16-be"))]
    assert read_content(runs, GSM7) == Content("10€ für 🙂", "gsm7", True)
    runs = [Run(0x00, b"vCard "), Run(0x04, b"\xde\xad")]
    assert read_content(runs, GSM7) == Content("vCard ", "binary", False)


@pytest.mark.parametrize(
    ("octets", "shifts", "text"),
    [
        (b"\x1b\x53\x07\x1b\x65", Shifts(single=1), "Şì€"),
        (b"\x07\x1c\x1b\x65", Shifts(locking=1), "ıŞ€"),
        (b"d\x1b\x69as", Shifts(single=2), "días"),
        (b"\x7b\x1b\x12", Shifts(single=3, locking=3), "ãΦ"),
    ],
)
def test_a_text_in_a_national_table_is_read_by_it(octets: bytes, shifts: Shifts, text: str) -> None:
    assert read_content([Run(0x00, octets, shifts)], GSM7) == Content(text, "gsm7", True)


def test_a_text_in_a_national_table_that_we_lack_is_marked() -> None:
    hindi = Shifts(single=6)
    assert read_content([Run(0x00, b"abc", hindi)], GSM7) == Content("abc", "gsm7", False)
    spanish_has_none = Shifts(locking=2)
    assert not read_content([Run(0x00, b"abc", spanish_has_none)], GSM7).exact
    assert read_content([Run(0x08, b"\0a", hindi)], GSM7) == Content("a", "ucs2", True)
    assert read_content([Run(0x00, b"\xe9", hindi)], LATIN1) == Content("é", "latin-1", True)


def test_a_carriers_latin_1_is_read_as_such() -> None:
    run = Run(0x00, "Où ça?".encode("latin-1"))
    assert read_content([run], LATIN1) == Content("Où ça?", "latin-1", True)
    assert not read_content([run], GSM7).exact
