"""National languages: which tables a header's numbers mean, and which are tried first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.text.alphabet import GSM7, Alphabet
from gateway.text.national import LANGUAGES, Language, alphabet_of, shifts_of
from gateway.text.udh import Shifts

TURKISH, SPANISH, PORTUGUESE = Language.TURKISH, Language.SPANISH, Language.PORTUGUESE


@pytest.mark.parametrize(
    ("shifts", "text", "octets"),
    [
        # single shift: the default alphabet, and the language's letters behind an escape
        (
            Shifts(single=1),
            "İstanbul'da ğüşiöç Iı",
            "1b49 7374616e62756c276461 20 1b67 7e 1b73 69 7c 1b63 20 49 1b69",
        ),
        (
            Shifts(single=2),
            "¿Qué día, Ángel? Ñandú",
            "60 5175 05 20 64 1b69 61 2c20 1b41 6e67656c 3f20 5d 616e64 1b75",
        ),
        (
            Shifts(single=3),
            "Não há pão às três",
            "4e 1b7b 6f 20 68 1b0f 20 70 1b7b 6f 20 7f 7320 7472 1b05 73",
        ),
        # locking shift: one septet a letter, and the default extension
        (Shifts(locking=1), "İstanbul €5 ığşçÇ", "40 7374616e62756c 20 04 35 20 07 0c 1d 60 09"),
        (Shifts(locking=3), "Coração [ú] 5€", "436f7261 09 7b 6f 20 1b3c 06 1b3e 20 35 18"),
        (Shifts(locking=3), "~`^\\|ªº∞", "60 7d 16 17 1a 12 24 15"),
        # both
        (Shifts(single=3, locking=3), "ã{Φ", "7b 1b28 1b12"),
        (Shifts(single=2, locking=1), "şá", "1d 1b61"),
        # the escape pair that both tables of a language share with the default
        (Shifts(single=1), "{€}", "1b28 1b65 1b29"),
    ],
)
def test_a_text_becomes_these_septets_and_back(shifts: Shifts, text: str, octets: str) -> None:
    alphabet = alphabet_of(shifts)
    assert alphabet.encode(text).hex() == octets.replace(" ", "")
    assert alphabet.decode(bytes.fromhex(octets)) == text


@pytest.mark.parametrize(
    ("shifts", "absent"),
    [
        (Shifts(locking=1), "èìÆæ¡¿"),
        (Shifts(locking=3), "èùìòøÅåΦΓΛΩΠΨΣΘΞÆæß¤¡ÄÖÑ¿äöñ"),
        (Shifts(single=1), "áêâ"),
        (Shifts(single=2), "ãşê"),
        (Shifts(single=3), "şğı"),
    ],
)
def test_what_a_table_replaced_is_not_there(shifts: Shifts, absent: str) -> None:
    for character in absent:
        assert alphabet_of(shifts).try_encode(character) is None


def test_no_tables_are_the_default_alphabet() -> None:
    assert alphabet_of(Shifts()) is GSM7


@pytest.mark.parametrize("number", [4, 14, 255])
def test_a_language_without_tables_here_is_read_with_the_default_ones(number: int) -> None:
    assert alphabet_of(Shifts(number, number)) is GSM7
    # the other table of the same header still counts
    assert alphabet_of(Shifts(single=1, locking=number)).decode(b"\x1b\x53") == "Ş"


def test_spanish_has_no_locking_table() -> None:
    assert alphabet_of(Shifts(locking=2)) is GSM7
    assert shifts_of([SPANISH]) == [Shifts(single=2)]


def test_single_shift_is_tried_before_locking_and_both_last() -> None:
    assert shifts_of([PORTUGUESE, SPANISH, TURKISH]) == [
        Shifts(single=3),
        Shifts(single=2),
        Shifts(single=1),
        Shifts(locking=3),
        Shifts(locking=1),
        Shifts(single=3, locking=3),
        Shifts(single=1, locking=1),
    ]


def test_alphabets_are_made_once() -> None:
    assert alphabet_of(Shifts(1, 1)) is alphabet_of(Shifts(1, 1))
    assert isinstance(alphabet_of(Shifts(1, 1)), Alphabet)


def test_languages_are_named_in_small_letters() -> None:
    assert LANGUAGES == {"turkish": TURKISH, "spanish": SPANISH, "portuguese": PORTUGUESE}


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=160))
def test_any_header_reads_any_octets(single: int, locking: int, octets: bytes) -> None:
    text = alphabet_of(Shifts(single, locking)).decode(octets)
    assert len(text) <= len(octets)
