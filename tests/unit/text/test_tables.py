"""The tables against the specification's shape and against implementations we did not write."""

from __future__ import annotations

from aiosmpplib import codec as aiosmpplib_codec
from smpplib import gsm as smpplib_gsm

from gateway.text.tables import ESCAPE, GSM_DEFAULT, GSM_EXTENSION


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
