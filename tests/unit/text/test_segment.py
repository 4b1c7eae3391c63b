"""Counting and cutting: exact at every border, and always in agreement with each other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Encoding
from gateway.record import replace
from gateway.text.alphabet import decode_gsm7, encode_gsm7, unpack_message
from gateway.text.errors import (
    AlreadyConcatenated,
    HeaderTooLong,
    MalformedUdh,
    NotEncodable,
    NotInAlphabet,
    PayloadTooLong,
    TooManySegments,
)
from gateway.text.national import Language, alphabet_of
from gateway.text.segment import (
    Cut,
    Measured,
    measure,
    measure_binary,
    measure_segment,
    split,
    split_binary,
    write_segment,
)
from gateway.text.style import PLAIN, DefaultAlphabet, LongForm, TextStyle, narrow
from gateway.text.udh import (
    Concatenation,
    Element,
    concatenation,
    header_size,
    parse_udh,
    shifts,
)

GSM7, UCS2, BINARY = Encoding.GSM7, Encoding.UCS2, Encoding.BINARY
EMOJI = "😀"
WIDE = TextStyle(wide_reference=True)
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


def styled(wide: bool) -> TextStyle:
    return WIDE if wide else PLAIN


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
    assert len(split(text, encoding, 7).payloads) == segments


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
    measured = measure(text, style=WIDE)
    assert measured.segments == segments
    assert len(split(text, measured.encoding, 7, WIDE).payloads) == segments


def test_an_encoding_that_is_asked_for_is_taken() -> None:
    assert measure("a" * 71, UCS2) == Measured(UCS2, 2, 71)
    assert measure("a" * 71, GSM7) == Measured(GSM7, 1, 71)
    assert split("Hi", UCS2, 0).payloads == [b"\0H\0i"]
    assert split("Hi", None, 0).payloads == [b"Hi"]


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
    assert split("a" * 153 + "€" * 4, GSM7, 0x2A).payloads == [
        bytes.fromhex("0500032a0201") + b"a" * 153,
        bytes.fromhex("0500032a0202") + b"\x1b\x65" * 4,
    ]
    assert split("ш" * 65 + EMOJI * 3, UCS2, 0x1234, WIDE).payloads == [
        bytes.fromhex("06080412340201") + b"\x04\x48" * 65,
        bytes.fromhex("06080412340202") + b"\xd8\x3d\xde\x00" * 3,
    ]


def test_a_reference_wraps_at_its_width() -> None:
    assert split("a" * 161, GSM7, 0x1FF).payloads[0][3] == 0xFF
    assert split("a" * 161, GSM7, 0x1FFFE, WIDE).payloads[0][3:5] == b"\xff\xfe"


@pytest.mark.parametrize(
    ("character", "encoding", "room", "wide"),
    [("a", GSM7, 153, False), ("a", GSM7, 152, True), ("ш", UCS2, 67, False)],
)
def test_255_segments_are_possible_and_256_are_refused(
    character: str, encoding: Encoding, room: int, wide: bool
) -> None:
    longest = character * (255 * room)
    assert measure(longest, style=styled(wide)).segments == 255
    last = split(longest, encoding, 1, styled(wide)).payloads[-1]
    assert concatenation(last) == Concatenation(1, 255, 255, wide)
    for refused in (
        lambda: measure(longest + character, style=styled(wide)),
        lambda: split(longest + character, encoding, 1, styled(wide)),
    ):
        with pytest.raises(TooManySegments, match="256 segments") as caught:
            refused()
        assert caught.value.segments == 256


@given(st.one_of(texts, paired_texts), st.integers(0, 0x1FFFF), st.booleans())
@settings(max_examples=300)
def test_what_is_measured_is_what_is_cut(text: str, reference: int, wide: bool) -> None:
    measured = measure(text, style=styled(wide))
    parts = split(text, measured.encoding, reference, styled(wide)).payloads
    assert len(parts) == measured.segments
    assert split(text, None, reference, styled(wide)).payloads == parts

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
    assert measure_binary(data, udh, styled(wide)) == Measured(BINARY, segments, octets)
    assert len(split_binary(data, udh, 1, styled(wide)).payloads) == segments


def test_binary_content_that_fits_goes_as_it_is() -> None:
    assert split_binary(b"\x01\x02", PORT, 9).payloads == [PORT + b"\x01\x02"]
    assert split_binary(b"\x01\x02", b"", 9).payloads == [b"\x01\x02"]
    own = bytes.fromhex("0500032a0201")
    assert split_binary(b"a" * 134, own, 9).payloads == [own + b"a" * 134]


def test_a_client_s_own_elements_are_in_every_part_behind_the_number() -> None:
    assert split_binary(b"x" * 134, PORT, 0x2A).payloads == [
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
    parts = split_binary(data, udh, reference, styled(wide)).payloads
    assert len(parts) == measure_binary(data, udh, styled(wide)).segments
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
        measure_binary(b"x" * 100, udh, styled(wide))
    with pytest.raises(HeaderTooLong):
        split_binary(b"x" * 100, udh, 0, styled(wide))


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


# ── carriers that want text in another style ─────────────────────────────────────────────────

TURKISH = TextStyle(national=(Language.TURKISH,))
SPANISH = TextStyle(national=(Language.SPANISH,))
PORTUGUESE = TextStyle(national=(Language.PORTUGUESE,))
PACKED = TextStyle(packed=True)
SAR = TextStyle(long=LongForm.SAR)
PAYLOAD = TextStyle(long=LongForm.PAYLOAD)
LATIN1 = TextStyle(alphabet=DefaultAlphabet.LATIN1)
ASCII = TextStyle(alphabet=DefaultAlphabet.ASCII)
UTF8 = TextStyle(alphabet=DefaultAlphabet.UTF8)

styles = st.builds(
    lambda alphabet, national, packed, long, wide: TextStyle(
        alphabet=alphabet,
        national=national if alphabet is DefaultAlphabet.GSM7 else (),
        packed=packed and alphabet is DefaultAlphabet.GSM7,
        long=long,
        wide_reference=wide,
    ),
    st.sampled_from(DefaultAlphabet),
    st.lists(st.sampled_from(Language), unique=True, max_size=3).map(tuple),
    st.booleans(),
    st.sampled_from(LongForm),
    st.booleans(),
)
styled_texts = st.one_of(
    st.text(st.sampled_from("aZ @{€[şığİçáíúãõΦéø"), max_size=700),
    st.text(st.sampled_from("aşш😀"), max_size=300),
    paired_texts,
)


@pytest.mark.parametrize(
    ("text", "style", "segments", "units"),
    [
        ("á" + "a" * 153, SPANISH, 1, 155),
        ("á" + "a" * 154, SPANISH, 2, 156),
        ("á" + "a" * 296, SPANISH, 2, 298),
        ("á" + "a" * 297, SPANISH, 3, 299),
        ("á" * 148, SPANISH, 2, 296),  # 74 pairs a part
        ("á" * 149, SPANISH, 3, 298),
        ("ğ" * 155, TURKISH, 1, 155),  # by the locking table
        ("ğ" * 298, TURKISH, 2, 298),
        ("ğ" * 299, TURKISH, 3, 299),
        ("ã" * 150 + "Φ", PORTUGUESE, 1, 152),
        ("ã" * 151 + "Φ", PORTUGUESE, 2, 153),
        ("ã" * 290 + "Φ", PORTUGUESE, 2, 292),
        ("ã" * 291 + "Φ", PORTUGUESE, 3, 293),
        ("a" * 160, SAR, 1, 160),
        ("a" * 306, SAR, 2, 306),
        ("a" * 307, PAYLOAD, 3, 307),
        ("ш" * 135, PAYLOAD, 3, 135),
        ("á" * 140, LATIN1, 1, 140),
        ("á" * 141, LATIN1, 2, 141),
        ("á" * 268, LATIN1, 2, 268),
        ("á" * 269, LATIN1, 3, 269),
        ("[" * 80, ASCII, 1, 160),
        ("[" * 81, UTF8, 2, 162),
        ("é" * 160, UTF8, 1, 160),
    ],
)
def test_a_text_is_measured_as_the_carrier_counts_it(
    text: str, style: TextStyle, segments: int, units: int
) -> None:
    measured = measure(text, style=style)
    assert (measured.segments, measured.units) == (segments, units)


@pytest.mark.parametrize(
    ("text", "room"), [("ğ" * 4 + "a" * 400, 148), ("ğ" * 400, 148), ("ã" * 400 + "Φ", 145)]
)
def test_tables_beside_a_wide_reference_leave_148_or_145_septets(text: str, room: int) -> None:
    style = TextStyle(national=tuple(Language), wide_reference=True)
    cut = split(text, None, 1, style)
    assert len(body_of(cut.payloads[0], 2)) == room


def test_the_octets_of_a_text_with_national_tables_are_these() -> None:
    assert split("ışık", None, 9, TURKISH) == Cut(
        GSM7, [bytes.fromhex("03 240101 1b69 1b73 1b69 6b")], has_header=True
    )
    assert split("ş" * 200, None, 0x2A, TURKISH) == Cut(
        GSM7,
        [
            bytes.fromhex("08 00032a0201 250101") + b"\x1d" * 149,
            bytes.fromhex("08 00032a0202 250101") + b"\x1d" * 51,
        ],
        has_header=True,
    )
    wide = TextStyle(national=(Language.PORTUGUESE,), wide_reference=True)
    assert split("ã" * 150 + "Φ€", None, 0x1234, wide) == Cut(
        GSM7,
        [
            bytes.fromhex("0c 080412340201 240103 250103") + b"\x7b" * 145,
            bytes.fromhex("0c 080412340202 240103 250103") + b"\x7b" * 5 + b"\x1b\x12\x18",
        ],
        has_header=True,
    )


def test_parts_numbered_by_tlvs_have_no_header() -> None:
    assert split("a" * 161, None, 7, SAR) == Cut(
        GSM7, [b"a" * 153, b"a" * 8], has_header=False, long=LongForm.SAR
    )
    assert split("a" * 160, None, 7, SAR) == Cut(GSM7, [b"a" * 160])
    assert split_binary(b"x" * 141, b"", 7, SAR) == Cut(
        BINARY, [b"x" * 134, b"x" * 7], has_header=False, long=LongForm.SAR
    )


def test_a_payload_holds_all_segments_in_one() -> None:
    assert split("a" * 1000, None, 7, PAYLOAD) == Cut(
        GSM7, [b"a" * 1000], has_header=False, long=LongForm.PAYLOAD
    )
    assert split("a" * 160, None, 7, PAYLOAD) == Cut(GSM7, [b"a" * 160])
    assert split_binary(b"x" * 141, b"", 7, PAYLOAD) == Cut(
        BINARY, [b"x" * 141], has_header=False, long=LongForm.PAYLOAD
    )


@pytest.mark.parametrize("style", [SAR, PAYLOAD])
def test_a_client_s_header_is_never_mixed_with_another_way_of_numbering(style: TextStyle) -> None:
    assert split_binary(b"x" * 134, PORT, 0x2A, style) == split_binary(b"x" * 134, PORT, 0x2A)
    assert split_binary(b"x", PORT, 0x2A, style) == Cut(BINARY, [PORT + b"x"], has_header=True)


def test_a_payload_has_as_many_octets_as_a_tlv_holds() -> None:
    style = TextStyle(alphabet=DefaultAlphabet.UTF8, long=LongForm.PAYLOAD)
    longest = "é" * 32_767  # two octets each
    assert measure(longest, style=style).segments == 215
    assert len(split(longest, None, 1, style).payloads[0]) == 65_534
    for refused in (measure, lambda text, **kwargs: split(text, None, 1, **kwargs)):
        with pytest.raises(PayloadTooLong, match="65536 octets"):
            refused(longest + "é", style=style)


@pytest.mark.parametrize(
    ("text", "style", "payload"),
    [
        ("é@$ß", LATIN1, b"\xe9@$\xdf"),
        ("a@$[", ASCII, b"a@$["),
        ("é€Δ", UTF8, "é€Δ".encode()),
        ("ш", UTF8, b"\x04\x48"),
    ],
)
def test_a_text_is_written_in_the_carrier_s_alphabet(
    text: str, style: TextStyle, payload: bytes
) -> None:
    assert split(text, None, 1, style).payloads == [payload]


def test_parts_in_the_carrier_s_alphabet_end_between_characters() -> None:
    cut = split("€" * 80 + "é", None, 0x2A, UTF8)
    assert cut.payloads == [
        bytes.fromhex("0500032a0201") + ("€" * 76).encode(),
        bytes.fromhex("0500032a0202") + ("€" * 4 + "é").encode(),
    ]
    assert split("á" * 141, None, 0x2A, LATIN1).payloads == [
        bytes.fromhex("0500032a0201") + b"\xe1" * 134,
        bytes.fromhex("0500032a0202") + b"\xe1" * 7,
    ]


@pytest.mark.parametrize(
    ("text", "style", "packed"),
    [
        ("hellohello", PACKED, "e8329bfd4697d9ec37"),
        # seven septets leave room for an eighth, which is a carriage return and not an "@"
        ("1234567", PACKED, "31d98c56b3dd1a"),
        ("12345678", PACKED, "31d98c56b3dd70"),
        # after a header of four octets, three bits up to the next septet
        ("ş", TextStyle(national=(Language.TURKISH,), packed=True), "03240101" + "d8cc1b"),
        # UCS-2 has no septets
        ("ш", PACKED, "0448"),
    ],
)
def test_septets_are_packed_for_carriers_that_want_it(
    text: str, style: TextStyle, packed: str
) -> None:
    assert split(text, None, 1, style).payloads[0].hex() == packed


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("a" * 160, PACKED),
        ("a" * 320, PACKED),
        ("a" * 320, TextStyle(packed=True, wide_reference=True)),
        ("ğ" * 155, TextStyle(packed=True, national=(Language.TURKISH,))),
        ("ğ" * 320, TextStyle(packed=True, national=(Language.TURKISH,))),
        ("ğ" * 320, TextStyle(packed=True, national=(Language.TURKISH,), wide_reference=True)),
        ("ã" * 150 + "Φ", TextStyle(packed=True, national=(Language.PORTUGUESE,))),
        ("ã" * 320 + "Φ", TextStyle(packed=True, national=(Language.PORTUGUESE,))),
        (
            "ã" * 320 + "Φ",
            TextStyle(packed=True, national=(Language.PORTUGUESE,), wide_reference=True),
        ),
    ],
)
def test_a_full_segment_packed_is_exactly_140_octets(text: str, style: TextStyle) -> None:
    assert len(split(text, None, 1, style).payloads[0]) == 140


def air_octets(payload: bytes, cut: Cut, style: TextStyle) -> int:
    """Return what a part takes on the air, where septets are always packed."""
    header = header_size(payload) if cut.has_header else 0
    body = payload[header:]
    if cut.encoding is not GSM7 or style.packed:
        return len(payload)
    if style.alphabet is not DefaultAlphabet.GSM7:
        body = encode_gsm7(body.decode())
    return -(-(header * 8 + -header * 8 % 7 + 7 * len(body)) // 8)


def header_of(payload: bytes, cut: Cut) -> bytes:
    return payload[: header_size(payload)] if cut.has_header else b""


def read_part(payload: bytes, cut: Cut, style: TextStyle) -> str:
    """Read one payload as an SMSC or a handset would."""
    header = header_of(payload, cut)
    body = payload[len(header) :]
    if cut.encoding is UCS2:
        return body.decode("utf-16-be")
    if style.alphabet is not DefaultAlphabet.GSM7:
        return body.decode(style.alphabet.value)
    septets = unpack_message(body, len(header)) if style.packed else body
    return alphabet_of(shifts(header)).decode(septets)


def readable(text: str, style: TextStyle) -> str:
    """Return a text without what can't be told from the filler of a packed part's last octet."""
    return text.replace("@", "a") if style.packed else text


def read_whole(cut: Cut, style: TextStyle) -> str:
    return "".join(read_part(payload, cut, style) for payload in cut.payloads)


@given(styled_texts, styles, st.integers(0, 0xFFFF))
@settings(max_examples=400)
def test_whatever_the_style_what_is_measured_is_cut_and_reads_as_it_was_written(
    text: str, style: TextStyle, reference: int
) -> None:
    text = readable(text, style)
    measured = measure(text, style=style)
    cut = split(text, None, reference, style)
    assert cut.encoding is measured.encoding
    whole = cut.long is LongForm.PAYLOAD
    assert len(cut.payloads) == (1 if whole else measured.segments)
    assert whole == (style.long is LongForm.PAYLOAD and measured.segments > 1)
    assert cut.long in (LongForm.UDH, style.long)
    assert not (cut.has_header and cut.long is not LongForm.UDH)

    # every part is whole characters by itself
    assert read_whole(cut, style) == text
    assert whole or all(air_octets(payload, cut, style) <= 140 for payload in cut.payloads)
    for number, payload in enumerate(cut.payloads, start=1):
        numbered = concatenation(header_of(payload, cut))
        if cut.long is LongForm.UDH and measured.segments > 1:
            mask = 0xFFFF if style.wide_reference else 0xFF
            assert numbered == Concatenation(
                reference & mask, len(cut.payloads), number, style.wide_reference
            )
        else:
            assert numbered is None


@given(styled_texts, styles, styles)
@settings(max_examples=400)
def test_a_text_counted_for_one_carrier_is_cut_so_for_another_or_refused(
    text: str, counted: TextStyle, style: TextStyle
) -> None:
    text = readable(text, style)
    segments = measure(text, style=counted).segments
    usable = narrow(style)
    if segments > 1 and style.long is not LongForm.UDH:
        usable = replace(usable, national=())
    needed = measure(text, style=usable).segments
    if needed > segments:
        with pytest.raises(TooManySegments) as caught:
            split(text, None, 1, style, segments)
        assert (caught.value.segments, caught.value.segments_max) == (needed, segments)
        return
    cut = split(text, None, 1, style, segments)
    assert read_whole(cut, style) == text
    if style.long is LongForm.PAYLOAD and segments > 1:
        assert len(cut.payloads) == 1
    else:
        assert len(cut.payloads) == segments
        assert all(air_octets(payload, cut, style) <= 140 for payload in cut.payloads)


@given(
    st.binary(min_size=1, max_size=2000), st.sampled_from([b"", PORT]), styles, st.integers(0, 3)
)
def test_binary_content_counted_for_one_carrier_is_cut_so_for_another(
    data: bytes, udh: bytes, style: TextStyle, more: int
) -> None:
    segments = measure_binary(data, udh, style).segments + more
    if len(data) < segments:
        return
    cut = split_binary(data, udh, 7, style, segments)
    sizes = [header_size(payload) if cut.has_header else 0 for payload in cut.payloads]
    bodies = [payload[size:] for payload, size in zip(cut.payloads, sizes, strict=True)]
    assert b"".join(bodies) == data
    if cut.long is not LongForm.PAYLOAD:
        assert len(bodies) == segments
        assert all(bodies)
        assert all(len(payload) <= 140 for payload in cut.payloads)


def test_binary_content_counted_smaller_than_a_carrier_needs_is_refused() -> None:
    with pytest.raises(TooManySegments, match="3 segments needed, 2 are possible"):
        split_binary(bytes(269), b"", 1, WIDE, segments=2)


@pytest.mark.parametrize("long", [LongForm.SAR, LongForm.PAYLOAD])
def test_parts_without_a_header_have_no_tables_to_be_read_with(long: LongForm) -> None:
    style = TextStyle(national=(Language.TURKISH,), long=long)
    assert split("ş" * 100, None, 1, style).encoding is GSM7
    assert split("ş" * 100, None, 1, style, segments=2).encoding is UCS2
    with pytest.raises(TooManySegments):
        split("ş" * 150, None, 1, style, segments=2)


def test_parts_that_are_counted_narrow_are_numbered_narrow() -> None:
    assert split("a" * 306, None, 0x122A, WIDE, 2) == split("a" * 306, None, 0x2A)
    assert split_binary(bytes(268), b"", 0x122A, WIDE, 2) == split_binary(bytes(268), b"", 0x2A)


NUMBERED = bytes.fromhex("0500032a0201")


@pytest.mark.parametrize(
    ("data", "udh", "encoding", "style", "payload", "as_encoding"),
    [
        (b"a\x00\x05", NUMBERED, GSM7, PLAIN, NUMBERED + b"a\x00\x05", GSM7),
        (b"hello", b"", GSM7, PACKED, bytes.fromhex("e8329bfd06"), GSM7),
        (b"a", NUMBERED, GSM7, PACKED, NUMBERED + b"\xc2", GSM7),
        (b"a\x00\x05", NUMBERED, GSM7, LATIN1, NUMBERED + b"a@\xe9", Encoding.LATIN1),
        (b"a\x00", NUMBERED, GSM7, ASCII, NUMBERED + b"a@", GSM7),
        (b"\x1b\x53", bytes.fromhex("03240101"), GSM7, UTF8, b"\x03\x24\x01\x01\xc5\x9e", GSM7),
        (b"\x04\x48", NUMBERED, UCS2, LATIN1, NUMBERED + b"\x04\x48", UCS2),
        (b"\xff", PORT, BINARY, PACKED, PORT + b"\xff", BINARY),
    ],
)
def test_a_segment_that_the_client_cut_is_written_as_the_carrier_reads_it(
    data: bytes,
    udh: bytes,
    encoding: Encoding,
    style: TextStyle,
    payload: bytes,
    as_encoding: Encoding,
) -> None:
    assert write_segment(data, udh, encoding, style) == Cut(
        as_encoding, [payload], has_header=bool(udh)
    )
    # its encoding stays what the client called it: other carriers write it in other octets
    assert measure_segment(data, udh, encoding, style).encoding is encoding


def test_a_segment_of_the_client_is_as_long_as_it_counted_whatever_its_octets_become() -> None:
    assert measure_segment(b"\x05" * 153, NUMBERED, GSM7, LATIN1).segments == 1
    assert len(write_segment(b"\x05" * 153, NUMBERED, GSM7, UTF8).payloads[0]) == 6 + 306


@pytest.mark.parametrize("style", [PACKED, UTF8, LATIN1])
def test_octets_that_are_no_septets_are_passed_on_or_refused_but_never_guessed(
    style: TextStyle,
) -> None:
    assert write_segment(b"a\xe9", NUMBERED, GSM7).payloads == [NUMBERED + b"a\xe9"]
    with pytest.raises(NotInAlphabet, match="at position 1"):
        write_segment(b"a\xe9", NUMBERED, GSM7, style)


def test_a_segment_of_the_client_that_the_carrier_can_t_write_is_refused() -> None:
    for refused in (measure_segment, write_segment):
        with pytest.raises(NotInAlphabet, match="latin-1"):
            refused(b"\x10", NUMBERED, GSM7, LATIN1)
