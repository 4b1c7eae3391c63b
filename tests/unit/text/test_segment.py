"""Counting and cutting: exact at every border, and always in agreement with each other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Encoding
from gateway.text.alphabet import decode_gsm7, encode_gsm7, unpack_septets
from gateway.text.errors import (
    AlreadyConcatenated,
    HeaderTooLong,
    MalformedUdh,
    NotEncodable,
    NotInAlphabet,
    TooManySegments,
)
from gateway.text.segment import (
    Measured,
    measure,
    measure_binary,
    measure_segment,
    pack_segment,
    split,
    split_binary,
)
from gateway.text.udh import Concatenation, Element, concatenation, header_size, parse_udh

GSM7, UCS2, BINARY = Encoding.GSM7, Encoding.UCS2, Encoding.BINARY
EMOJI = "😀"
PORT = bytes.fromhex("060504 0b84 23f0")  # both ports, 7 octets

gsm_texts = st.text(st.sampled_from("aZ0 @_é\n€{}[]~|^\\"), max_size=700)
any_texts = st.text(
    st.one_of(
        st.sampled_from("aé€{"),
        st.sampled_from("шم中😀👍🏽"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=400,
)
texts = st.one_of(gsm_texts, any_texts)
# Text that is nearly all pairs, put off the borders by what stands before: where cutting is hard.
paired_texts = st.builds(
    lambda before, pair, pairs: "x" * before + pair * pairs,
    st.integers(0, 160),
    st.sampled_from(["€", EMOJI, "€a", EMOJI + "a"]),
    st.integers(0, 400),
)


def body_of(payload: bytes, parts: int) -> bytes:
    return payload[header_size(payload) :] if parts > 1 else payload


def text_of(payload: bytes, parts: int, encoding: Encoding) -> str:
    body = body_of(payload, parts)
    return decode_gsm7(body) if encoding is GSM7 else body.decode("utf-16-be")


@pytest.mark.parametrize(
    ("text", "encoding", "segments", "units"),
    [
        ("", GSM7, 1, 0),
        ("a" * 160, GSM7, 1, 160),
        ("a" * 161, GSM7, 2, 161),
        ("a" * 306, GSM7, 2, 306),
        ("a" * 307, GSM7, 3, 307),
        ("a" * 159 + "€", GSM7, 2, 161),
        ("a" * 158 + "€", GSM7, 1, 160),
        ("€" * 80, GSM7, 1, 160),
        ("€" * 81, GSM7, 2, 162),
        # 152 septets a segment, because 153 would split each pair at the border
        ("€" * 152, GSM7, 2, 304),
        ("€" * 153, GSM7, 3, 306),
        ("a" + "€" * 152, GSM7, 2, 305),
        ("a" * 152 + "€" + "b" * 151, GSM7, 2, 305),
        ("a" * 152 + "€" + "b" * 152, GSM7, 3, 306),
        ("ш" * 70, UCS2, 1, 70),
        ("ш" * 71, UCS2, 2, 71),
        ("ш" * 134, UCS2, 2, 134),
        ("ш" * 135, UCS2, 3, 135),
        (EMOJI * 35, UCS2, 1, 70),
        (EMOJI * 36, UCS2, 2, 72),
        # 66 units a segment, because 67 would split each pair at the border
        (EMOJI * 66, UCS2, 2, 132),
        (EMOJI * 67, UCS2, 3, 134),
        ("a" + EMOJI * 66, UCS2, 2, 133),
        # the first and the last pair that there is, at a border
        ("a" * 66 + "\U00010000" + "b" * 66, UCS2, 3, 134),
        ("a" * 66 + "\U0010ffff" + "b" * 66, UCS2, 3, 134),
        # neighbours of the surrogates are no halves
        ("a" * 66 + "\ud7ff" + "b" * 67, UCS2, 2, 134),
        ("a" * 66 + "\ue000" + "b" * 67, UCS2, 2, 134),
        ("a" * 66 + EMOJI + "b" * 65, UCS2, 2, 133),
        ("a" * 66 + EMOJI + "b" * 66, UCS2, 3, 134),
        # an extension character is one unit here: twice only in GSM
        ("€" * 69 + "ш", UCS2, 1, 70),
        ("a`b", UCS2, 1, 3),
    ],
)
def test_a_text_is_measured_exactly(
    text: str, encoding: Encoding, segments: int, units: int
) -> None:
    assert measure(text) == Measured(encoding, segments, units)
    assert len(split(text, encoding, 7)) == segments


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 304, 2),
        ("a" * 305, 3),
        ("€" * 152, 2),
        ("€" * 153, 3),
        ("ш" * 70, 1),
        ("ш" * 132, 2),
        ("ш" * 133, 3),
        (EMOJI * 66, 2),
        (EMOJI * 67, 3),
    ],
)
def test_a_wide_reference_leaves_152_septets_or_66_units(text: str, segments: int) -> None:
    measured = measure(text, wide_reference=True)
    assert measured.segments == segments
    assert len(split(text, measured.encoding, 7, wide_reference=True)) == segments


def test_an_encoding_that_is_asked_for_is_taken() -> None:
    assert measure("a" * 71, UCS2) == Measured(UCS2, 2, 71)
    assert measure("a" * 71, GSM7) == Measured(GSM7, 1, 71)
    assert split("Hi", UCS2, 0) == [b"\0H\0i"]
    assert split("Hi", None, 0) == [b"Hi"]


def test_gsm_that_is_asked_for_is_refused_where_it_cannot_carry_the_text() -> None:
    for refused in (lambda: measure("aш", GSM7), lambda: split("aш", GSM7, 0)):
        with pytest.raises(NotInAlphabet) as caught:
            refused()
        assert (caught.value.character, caught.value.position) == ("ш", 1)


@pytest.mark.parametrize("encoding", [None, UCS2])
@pytest.mark.parametrize("half", ["\ud83d", "\ude00", "\ude00\ud83d"])
def test_half_a_surrogate_pair_is_refused_with_its_position(
    encoding: Encoding | None, half: str
) -> None:
    with pytest.raises(NotEncodable) as caught:
        measure("ab" + half, encoding)
    assert caught.value.position == 2
    with pytest.raises(NotEncodable):
        split("ab" + half, encoding, 0)


def test_the_octets_of_a_long_text_are_these() -> None:
    assert split("a" * 153 + "€" * 4, GSM7, 0x2A) == [
        bytes.fromhex("0500032a0201") + b"a" * 153,
        bytes.fromhex("0500032a0202") + b"\x1b\x65" * 4,
    ]
    assert split("ш" * 65 + EMOJI * 3, UCS2, 0x1234, wide_reference=True) == [
        bytes.fromhex("06080412340201") + b"\x04\x48" * 65,
        bytes.fromhex("06080412340202") + b"\xd8\x3d\xde\x00" * 3,
    ]


def test_a_reference_wraps_at_its_width() -> None:
    assert split("a" * 161, GSM7, 0x1FF)[0][3] == 0xFF
    assert split("a" * 161, GSM7, 0x1FFFE, wide_reference=True)[0][3:5] == b"\xff\xfe"


@pytest.mark.parametrize(
    ("character", "encoding", "room", "wide"),
    [("a", GSM7, 153, False), ("a", GSM7, 152, True), ("ш", UCS2, 67, False)],
)
def test_255_segments_are_possible_and_256_are_refused(
    character: str, encoding: Encoding, room: int, wide: bool
) -> None:
    longest = character * (255 * room)
    assert measure(longest, wide_reference=wide).segments == 255
    assert concatenation(split(longest, encoding, 1, wide)[-1]) == Concatenation(1, 255, 255, wide)
    for refused in (
        lambda: measure(longest + character, wide_reference=wide),
        lambda: split(longest + character, encoding, 1, wide),
    ):
        with pytest.raises(TooManySegments, match="256 segments") as caught:
            refused()
        assert caught.value.segments == 256


@given(st.one_of(texts, paired_texts), st.integers(0, 0x1FFFF), st.booleans())
@settings(max_examples=300)
def test_what_is_measured_is_what_is_cut(text: str, reference: int, wide: bool) -> None:
    measured = measure(text, wide_reference=wide)
    parts = split(text, measured.encoding, reference, wide)
    assert len(parts) == measured.segments
    assert split(text, None, reference, wide) == parts

    # nothing is lost, and every segment is whole characters by itself
    assert "".join(text_of(p, len(parts), measured.encoding) for p in parts) == text

    bodies = [body_of(part, len(parts)) for part in parts]
    width = 1 if measured.encoding is GSM7 else 2
    assert sum(map(len, bodies)) == measured.units * width
    if len(parts) > 1:
        room = {(GSM7, False): 153, (GSM7, True): 152, (UCS2, False): 67, (UCS2, True): 66}
        size = room[measured.encoding, wide] * width
        # no segment is fuller than it may be, or emptier than a pair at its border explains
        assert all(size - width <= len(body) <= size for body in bodies[:-1])
        assert 0 < len(bodies[-1]) <= size
        for sequence, part in enumerate(parts, start=1):
            mask = 0xFFFF if wide else 0xFF
            expected = Concatenation(reference & mask, len(parts), sequence, wide)
            assert concatenation(part) == expected


@given(st.one_of(texts, paired_texts))
def test_gsm_is_chosen_exactly_when_it_can_carry_the_text(text: str) -> None:
    try:
        septets = encode_gsm7(text)
    except NotInAlphabet:
        assert measure(text).encoding is UCS2
        assert measure(text) == measure(text, UCS2)
    else:
        assert measure(text).encoding is GSM7
        assert measure(text) == measure(text, GSM7)
        assert measure(text).units == len(septets)


@given(gsm_texts, st.booleans())
def test_packed_segments_hold_at_most_140_octets_and_the_same_text(text: str, wide: bool) -> None:
    parts = split(text, GSM7, 1, wide)
    has_header = len(parts) > 1
    restored = ""
    for part in parts:
        packed = pack_segment(part, has_header)
        assert len(packed) <= 140
        header = header_size(part) if has_header else 0
        assert packed[:header] == part[:header]
        fill = -header * 8 % 7
        restored += decode_gsm7(unpack_septets(packed[header:], len(part) - header, fill))
    assert restored == text


def test_a_full_segment_packed_is_exactly_140_octets() -> None:
    assert len(pack_segment(b"a" * 160, has_header=False)) == 140
    for wide in (False, True):
        assert len(pack_segment(split("a" * 200, GSM7, 1, wide)[0], has_header=True)) == 140


@pytest.mark.parametrize(
    ("octets", "udh", "wide", "segments"),
    [
        (0, b"", False, 1),
        (140, b"", False, 1),
        (141, b"", False, 2),
        (268, b"", False, 2),
        (269, b"", False, 3),
        (266, b"", True, 2),
        (267, b"", True, 3),
        (133, PORT, False, 1),
        (134, PORT, False, 2),
        (256, PORT, False, 2),  # 140 - 7 - 5 = 128 each
        (257, PORT, False, 3),
        (254, PORT, True, 2),  # 140 - 7 - 6 = 127 each
        (255, PORT, True, 3),
        (0, PORT, False, 1),
    ],
)
def test_binary_content_is_measured_with_its_header(
    octets: int, udh: bytes, wide: bool, segments: int
) -> None:
    data = bytes(i % 256 for i in range(octets))
    assert measure_binary(data, udh, wide) == Measured(BINARY, segments, octets)
    assert len(split_binary(data, udh, 1, wide)) == segments


def test_binary_content_that_fits_goes_as_it_is() -> None:
    assert split_binary(b"\x01\x02", PORT, 9) == [PORT + b"\x01\x02"]
    assert split_binary(b"\x01\x02", b"", 9) == [b"\x01\x02"]
    own = bytes.fromhex("0500032a0201")
    assert split_binary(b"a" * 134, own, 9) == [own + b"a" * 134]


def test_a_client_s_own_elements_are_in_every_part_behind_the_number() -> None:
    assert split_binary(b"x" * 134, PORT, 0x2A) == [
        bytes.fromhex("0b" + "00032a0201" + "05040b8423f0") + b"x" * 128,
        bytes.fromhex("0b" + "00032a0202" + "05040b8423f0") + b"x" * 6,
    ]


@given(
    st.binary(max_size=2000),
    st.lists(st.tuples(st.integers(0x20, 0x7F), st.binary(max_size=9)), max_size=4),
    st.integers(0, 0xFFFF),
    st.booleans(),
)
def test_binary_parts_are_full_and_make_the_content_again(
    data: bytes, elements: list[tuple[int, bytes]], reference: int, wide: bool
) -> None:
    own = b"".join(bytes((iei, len(value))) + value for iei, value in elements)
    udh = bytes((len(own),)) + own if own else b""
    parts = split_binary(data, udh, reference, wide)
    assert len(parts) == measure_binary(data, udh, wide).segments
    assert all(len(part) == 140 for part in parts[:-1])
    assert len(parts[-1]) <= 140
    if len(parts) == 1:
        assert parts == [udh + data]
        return
    assert b"".join(part[header_size(part) :] for part in parts) == data
    for sequence, part in enumerate(parts, start=1):
        numbered, *others = parse_udh(part)
        assert others == [Element(iei, value) for iei, value in elements]
        assert len(numbered.data) == (4 if wide else 3)
        found = concatenation(part)
        assert found is not None
        assert (found.total, found.sequence, found.wide) == (len(parts), sequence, wide)


@pytest.mark.parametrize("udh", ["05", "0500032a02", "0500032a020100", "0300042a02"])
def test_a_header_of_the_client_that_does_not_add_up_is_refused(udh: str) -> None:
    with pytest.raises(MalformedUdh):
        measure_binary(b"x", bytes.fromhex(udh))
    with pytest.raises(MalformedUdh):
        split_binary(b"x", bytes.fromhex(udh), 0)


def test_content_that_the_client_numbered_itself_is_never_numbered_again() -> None:
    own = bytes.fromhex("0500032a0201")
    with pytest.raises(AlreadyConcatenated):
        measure_binary(b"a" * 135, own)
    with pytest.raises(AlreadyConcatenated):
        split_binary(b"a" * 135, own, 0)


@pytest.mark.parametrize(("size", "wide"), [(135, False), (134, True), (150, False)])
def test_a_header_without_room_for_content_is_refused(size: int, wide: bool) -> None:
    udh = bytes((size - 1, 0x70, size - 3)) + b"\x00" * (size - 3)
    with pytest.raises(HeaderTooLong):
        measure_binary(b"x" * 100, udh, wide)
    with pytest.raises(HeaderTooLong):
        split_binary(b"x" * 100, udh, 0, wide)


def test_binary_content_has_255_parts_at_most() -> None:
    assert measure_binary(bytes(255 * 134)).segments == 255
    with pytest.raises(TooManySegments, match="256 segments"):
        measure_binary(bytes(255 * 134 + 1))


@pytest.mark.parametrize(
    ("encoding", "udh", "room_octets"),
    [
        (GSM7, b"", 160),
        (UCS2, b"", 140),
        (GSM7, bytes.fromhex("0500032a0201"), 153),
        (UCS2, bytes.fromhex("0500032a0201"), 134),
        (GSM7, bytes.fromhex("0608042a2a0201"), 152),
    ],
)
def test_a_segment_that_the_client_cut_stays_whole_or_is_refused(
    encoding: Encoding, udh: bytes, room_octets: int
) -> None:
    units = room_octets // 2 if encoding is UCS2 else room_octets
    assert measure_segment(bytes(room_octets), udh, encoding) == Measured(encoding, 1, units)
    with pytest.raises(TooManySegments, match="1 are possible"):
        measure_segment(bytes(room_octets + 1), udh, encoding)


def test_a_segment_whose_header_does_not_add_up_is_refused() -> None:
    with pytest.raises(MalformedUdh):
        measure_segment(b"x", bytes.fromhex("0500032a02"), GSM7)
