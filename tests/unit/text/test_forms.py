"""Which form a text takes on a carrier, how much a segment of it holds, where it may be cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Encoding
from gateway.text.errors import NotEncodable, NotInAlphabet
from gateway.text.forms import (
    Form,
    choose_form,
    count_segments,
    find_borders,
    stretch_borders,
    write_in_default,
)
from gateway.text.national import Language
from gateway.text.style import PLAIN, DefaultAlphabet, LongForm, TextStyle

GSM7, UCS2, LATIN1 = Encoding.GSM7, Encoding.UCS2, Encoding.LATIN1
TURKISH = TextStyle(national=(Language.TURKISH,))
PORTUGUESE = TextStyle(national=(Language.PORTUGUESE,))
ALL = TextStyle(national=tuple(Language))
TURKISH_SAR = TextStyle(national=(Language.TURKISH,), long=LongForm.SAR)
LATIN1_STYLE = TextStyle(alphabet=DefaultAlphabet.LATIN1)
ASCII_STYLE = TextStyle(alphabet=DefaultAlphabet.ASCII)
UTF8_STYLE = TextStyle(alphabet=DefaultAlphabet.UTF8)

SINGLE_TURKISH, LOCKING_TURKISH = "240101", "250101"
BOTH_PORTUGUESE = "240103250103"


def chosen(text: str, style: TextStyle) -> tuple[Encoding, str, int]:
    form, octets = choose_form(text, None, style)
    segments = count_segments(octets, form, style.wide_reference)
    return form.encoding, form.elements.hex(), segments


def rooms(form: Form) -> tuple[int, int, int]:
    return form.single, form.parted, form.parted_wide


@pytest.mark.parametrize(
    ("text", "style", "expected"),
    [
        ("a", PLAIN, (160, 153, 152)),
        ("ш", PLAIN, (140, 134, 132)),
        ("á", LATIN1_STYLE, (140, 134, 133)),
        ("a", ASCII_STYLE, (160, 153, 152)),
        ("è", UTF8_STYLE, (160, 153, 152)),
        ("ş", TURKISH, (155, 149, 148)),
        ("ş" * 100, TURKISH, (155, 149, 148)),  # locking
        ("ã" * 100 + "Φ", PORTUGUESE, (152, 146, 145)),  # both
    ],
)
def test_a_segment_holds_what_the_headers_leave(
    text: str, style: TextStyle, expected: tuple[int, int, int]
) -> None:
    assert rooms(choose_form(text, None, style)[0]) == expected


@pytest.mark.parametrize(
    ("text", "style", "expected"),
    [
        # what the default alphabet can carry needs no tables
        ("Hello €", TURKISH, (GSM7, "", 1)),
        ("ñ" * 160, ALL, (GSM7, "", 1)),
        # what no table has needs UCS-2, and so does everything where no language is named
        ("şш", TURKISH, (UCS2, "", 1)),
        ("ş", PLAIN, (UCS2, "", 1)),
        ("á", TURKISH, (UCS2, "", 1)),
        # a single shift table before a locking one, when both take as many segments
        ("ışık", TURKISH, (GSM7, SINGLE_TURKISH, 1)),
        ("ş" * 77, TURKISH, (GSM7, SINGLE_TURKISH, 1)),
        ("ş" * 78, TURKISH, (GSM7, LOCKING_TURKISH, 1)),
        ("ş" * 155, TURKISH, (GSM7, LOCKING_TURKISH, 1)),
        ("ş" * 156, TURKISH, (GSM7, LOCKING_TURKISH, 2)),
        # 74 pairs a part by single shift (149 septets), all of 298 by locking shift
        ("ş" * 148, TextStyle(national=(Language.SPANISH,)), (UCS2, "", 3)),
        ("ã" * 60 + "Φ", PORTUGUESE, (GSM7, "240103", 1)),
        ("ã" * 100 + "Φ", PORTUGUESE, (GSM7, BOTH_PORTUGUESE, 1)),
        # languages in their order
        ("í", ALL, (GSM7, "240102", 1)),
        ("í", TextStyle(national=(Language.PORTUGUESE, Language.SPANISH)), (GSM7, "240103", 1)),
        ("ç", ALL, (GSM7, "240101", 1)),
        # what fits the default alphabet may take fewer segments with a locking table
        ("€" * 100, TURKISH, (GSM7, LOCKING_TURKISH, 1)),
        ("€" * 80, TURKISH, (GSM7, "", 1)),
        ("[" * 100, TURKISH, (GSM7, "", 2)),
        ("|" * 100 + "~\\^€", PORTUGUESE, (GSM7, "250103", 1)),
        # a part of a long message has no header of its own where SAR or the SMSC numbers it
        ("ş" * 155, TURKISH_SAR, (GSM7, LOCKING_TURKISH, 1)),
        ("ş" * 156, TURKISH_SAR, (UCS2, "", 3)),
        ("€" * 100, TURKISH_SAR, (GSM7, LOCKING_TURKISH, 1)),
        ("€" * 156, TURKISH_SAR, (GSM7, "", 3)),
        # default alphabets that are not GSM
        ("áç", LATIN1_STYLE, (LATIN1, "", 1)),
        ("{}~", LATIN1_STYLE, (LATIN1, "", 1)),
        ("€", LATIN1_STYLE, (UCS2, "", 1)),
        ("a\x85", LATIN1_STYLE, (UCS2, "", 1)),
        ("a\x00", LATIN1_STYLE, (UCS2, "", 1)),
        ("x" * 140, LATIN1_STYLE, (LATIN1, "", 1)),
        ("x" * 141, LATIN1_STYLE, (LATIN1, "", 2)),
        ("x" * 269, LATIN1_STYLE, (LATIN1, "", 3)),
        ("x" * 160, ASCII_STYLE, (GSM7, "", 1)),
        ("[" * 81, ASCII_STYLE, (GSM7, "", 2)),
        ("é", ASCII_STYLE, (UCS2, "", 1)),
        ("`", ASCII_STYLE, (UCS2, "", 1)),
        ("é€", UTF8_STYLE, (GSM7, "", 1)),
        ("ш", UTF8_STYLE, (UCS2, "", 1)),
    ],
)
def test_a_text_takes_the_form_with_the_fewest_segments_that_asks_least_of_a_handset(
    text: str, style: TextStyle, expected: tuple[Encoding, str, int]
) -> None:
    assert chosen(text, style) == expected


def test_an_encoding_that_is_asked_for_is_taken() -> None:
    assert choose_form("ş", UCS2, TURKISH)[0].encoding is UCS2
    assert choose_form("a", UCS2, LATIN1_STYLE)[0].encoding is UCS2
    # the carrier's own 7 bits, national tables included
    assert choose_form("ş", GSM7, TURKISH)[0].elements.hex() == SINGLE_TURKISH
    assert choose_form("á", GSM7, LATIN1_STYLE)[0].encoding is LATIN1


@pytest.mark.parametrize(
    ("text", "style", "character", "position", "says"),
    [
        ("aş", PLAIN, "ş", 1, "GSM 7-bit"),
        ("aш", TURKISH, "ш", 1, "GSM 7-bit"),
        ("á€", LATIN1_STYLE, "€", 1, "latin-1"),
        ("aé", ASCII_STYLE, "é", 1, "GSM 7-bit"),
    ],
)
def test_a_default_alphabet_that_was_asked_for_is_refused_with_the_character(
    text: str, style: TextStyle, character: str, position: int, says: str
) -> None:
    with pytest.raises(NotInAlphabet, match=says) as caught:
        choose_form(text, GSM7, style)
    assert (caught.value.character, caught.value.position) == (character, position)


def test_half_a_surrogate_pair_has_no_form_anywhere() -> None:
    for style in (PLAIN, TURKISH, LATIN1_STYLE, ASCII_STYLE, UTF8_STYLE):
        with pytest.raises(NotEncodable):
            choose_form("a\ud83d", None, style)


texts = st.text(st.sampled_from("aZ {€[şığİçáíúãõΦшé`"), max_size=600)
styles = st.builds(
    TextStyle,
    national=st.lists(st.sampled_from(Language), unique=True, max_size=3).map(tuple),
    long=st.sampled_from(LongForm),
    wide_reference=st.booleans(),
)


@given(texts, styles)
def test_national_tables_never_cost_a_segment(text: str, style: TextStyle) -> None:
    without = TextStyle(long=style.long, wide_reference=style.wide_reference)
    encoding, elements, segments = chosen(text, style)
    plain_encoding, _, plain_segments = chosen(text, without)
    assert segments <= plain_segments
    if elements:
        assert encoding is GSM7
        assert plain_encoding is UCS2 or segments < plain_segments
        assert segments == 1 or style.long is LongForm.UDH
    else:
        assert (encoding, segments) == (plain_encoding, plain_segments)


@given(texts, styles, st.integers(1, 6))
def test_a_text_can_be_cut_into_more_parts_than_it_needs(
    text: str, style: TextStyle, more: int
) -> None:
    form, octets = choose_form(text, None, style)
    wide = style.wide_reference
    count = count_segments(octets, form, wide) + more
    if len(text) < count:
        return
    borders = stretch_borders(octets, form, wide, count)
    pieces = [octets[a:b] for a, b in zip([0, *borders], borders, strict=False)]
    assert len(pieces) == count
    assert b"".join(pieces) == octets
    assert all(0 < len(piece) <= (form.parted_wide if wide else form.parted) for piece in pieces)
    for border in borders[:-1]:
        assert not form.splits_pair(octets, border)


@given(texts, styles)
def test_borders_split_no_pair_and_waste_no_room(text: str, style: TextStyle) -> None:
    form, octets = choose_form(text, None, style)
    wide = style.wide_reference
    room = form.parted_wide if wide else form.parted
    borders = find_borders(octets, form, wide)
    start = 0
    for border in borders[:-1]:
        assert not form.splits_pair(octets, border)
        assert room - form.unit_octets <= border - start <= room
        start = border
    assert len(octets) - start <= room


@pytest.mark.parametrize(
    ("text", "alphabet", "encoding", "octets"),
    [
        ("é€", DefaultAlphabet.UTF8, GSM7, "é€".encode()),
        ("ş", DefaultAlphabet.UTF8, GSM7, "ş".encode()),
        ("a[", DefaultAlphabet.ASCII, GSM7, b"a["),
        ("é@", DefaultAlphabet.LATIN1, LATIN1, b"\xe9@"),
        ("é€", DefaultAlphabet.GSM7, GSM7, b"\x05\x1b\x65"),
    ],
)
def test_a_text_is_written_in_a_default_alphabet(
    text: str, alphabet: DefaultAlphabet, encoding: Encoding, octets: bytes
) -> None:
    assert write_in_default(text, alphabet) == (encoding, octets)


@pytest.mark.parametrize(
    ("text", "alphabet"),
    [
        ("aé", DefaultAlphabet.ASCII),
        ("aΔ", DefaultAlphabet.LATIN1),
        ("aш", DefaultAlphabet.GSM7),
    ],
)
def test_a_text_that_a_default_alphabet_lacks_is_refused(
    text: str, alphabet: DefaultAlphabet
) -> None:
    with pytest.raises(NotInAlphabet) as caught:
        write_in_default(text, alphabet)
    assert caught.value.position == 1
