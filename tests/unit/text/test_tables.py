"""The tables against the specification's shape and against implementations we did not write."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from aiosmpplib import codec as aiosmpplib_codec
from smpplib import gsm as smpplib_gsm

from gateway.text.tables import (
    ESCAPE,
    GSM_DEFAULT,
    GSM_EXTENSION,
    PORTUGUESE_LOCKING,
    PORTUGUESE_SINGLE,
    SPANISH_SINGLE,
    TURKISH_LOCKING,
    TURKISH_SINGLE,
)


def test_the_default_table_has_128_places_and_no_character_twice() -> None:
    assert len(GSM_DEFAULT) == 128
    assert len(set(GSM_DEFAULT)) == 128
    assert GSM_DEFAULT[ESCAPE] == chr(ESCAPE)


def test_places_that_are_often_wrong_are_right() -> None:
    assert GSM_DEFAULT[0x00] == "@"
    assert GSM_DEFAULT[0x09] == "\N{LATIN CAPITAL LETTER C WITH CEDILLA}"
    assert GSM_DEFAULT[0x24] == "\N{CURRENCY SIGN}"
    assert GSM_DEFAULT[0x40] == "\N{INVERTED EXCLAMATION MARK}"
    assert GSM_DEFAULT[0x5F] == "\N{SECTION SIGN}"
    assert GSM_DEFAULT[0x60] == "\N{INVERTED QUESTION MARK}"
    assert GSM_DEFAULT[0x7F] == "\N{LATIN SMALL LETTER A WITH GRAVE}"


def test_characters_that_users_expect_but_gsm_lacks_are_absent() -> None:
    everything = {*GSM_DEFAULT, *GSM_EXTENSION.values()}
    assert not everything & set("`áíóúç\t“”‘’\N{GREEK SMALL LETTER ALPHA}")


def test_the_default_table_agrees_with_aiosmpplib() -> None:
    theirs = aiosmpplib_codec.GSM_BASIC_DECODE_MAP
    ours = {septet: c for septet, c in enumerate(GSM_DEFAULT) if septet != ESCAPE}
    assert ours == theirs


def test_the_extension_table_agrees_with_aiosmpplib() -> None:
    assert dict(GSM_EXTENSION) == aiosmpplib_codec.GSM_EXTENDED_DECODE_MAP


def test_both_tables_agree_with_smpplib() -> None:
    # smpplib writes a backtick where it knows no character, the section sign's place among them.
    theirs = smpplib_gsm.GSM_CHARACTER_TABLE
    for septet, character in enumerate(GSM_DEFAULT):
        if character != "§":
            assert theirs[septet] == character
    for septet, character in GSM_EXTENSION.items():
        if character != "\f":
            assert theirs[0x80 + septet] == character


@pytest.mark.parametrize(
    ("locking", "changes"),
    [
        (
            TURKISH_LOCKING,
            {
                0x04: "€",
                0x07: "ı",
                0x0B: "Ğ",
                0x0C: "ğ",
                0x1C: "Ş",
                0x1D: "ş",
                0x40: "İ",
                0x60: "ç",
            },
        ),
        (
            PORTUGUESE_LOCKING,
            {
                **dict(zip((0x04, 0x06, 0x07, 0x08, 0x09), "êúíóç", strict=True)),
                **dict(zip((0x0B, 0x0C, 0x0E, 0x0F), "ÔôÁá", strict=True)),
                **dict(zip((0x12, 0x13, 0x14, 0x15, 0x16, 0x17), "ªÇÀ∞^\\", strict=True)),
                **dict(zip((0x18, 0x19, 0x1A, 0x1C, 0x1D, 0x1E), "€Ó|ÂâÊ", strict=True)),
                **dict(zip((0x24, 0x40, 0x5B, 0x5C, 0x5D, 0x60), "ºÍÃÕÚ~", strict=True)),
                **dict(zip((0x7B, 0x7C, 0x7D), "ãõ`", strict=True)),
            },
        ),
    ],
)
def test_a_locking_table_differs_from_the_default_in_these_places(
    locking: str, changes: dict[int, str]
) -> None:
    assert len(locking) == len(set(locking)) == 128
    pairs = enumerate(zip(GSM_DEFAULT, locking, strict=True))
    assert {septet: new for septet, (old, new) in pairs if old != new} == changes


@pytest.mark.parametrize(
    ("single", "added"),
    [
        (TURKISH_SINGLE, "ĞİŞçğış"),
        (SPANISH_SINGLE, "çÁÍÓÚáíóú"),
        (PORTUGUESE_SINGLE, "êçÔôÁáΦΓΩΠΨΣΘÊÀÍÓÚÃÕÂíóúãõâ"),
    ],
)
def test_a_single_shift_table_keeps_the_extension_and_adds_letters(
    single: Mapping[int, str], added: str
) -> None:
    assert GSM_EXTENSION.items() <= single.items()
    assert "".join(single[s] for s in sorted(single) if s not in GSM_EXTENSION) == added
    assert ESCAPE not in single


def test_letters_of_a_single_shift_table_stand_where_they_are_often_mistaken() -> None:
    assert TURKISH_SINGLE[0x67] == "\N{LATIN SMALL LETTER G WITH BREVE}"
    assert TURKISH_SINGLE[0x65] == "\N{EURO SIGN}"
    assert TURKISH_LOCKING[0x07] == "\N{LATIN SMALL LETTER DOTLESS I}"
    assert TURKISH_LOCKING[0x09] == "\N{LATIN CAPITAL LETTER C WITH CEDILLA}"
    assert PORTUGUESE_LOCKING[0x09] == "\N{LATIN SMALL LETTER C WITH CEDILLA}"
