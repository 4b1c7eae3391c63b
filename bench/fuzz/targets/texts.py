"""Alphabets, user data headers, cutting into segments and putting back together."""

from __future__ import annotations

from collections import Counter

from bench.fuzz.source import Source
from bench.fuzz.target import Target
from gateway.model import Encoding
from gateway.text.alphabet import (
    GSM7,
    decode_gsm7,
    fill_bits,
    pack_septets,
    septet_count,
    unpack_message,
    unpack_septets,
)
from gateway.text.errors import MalformedUdh, NotInAlphabet, TextError
from gateway.text.forms import PAYLOAD_OCTETS_MAX, SEGMENTS_MAX
from gateway.text.national import Language, alphabet_of
from gateway.text.reassembly import Complete, Duplicate, Part, Partial, Reassembler, Waiting
from gateway.text.segment import (
    Cut,
    measure,
    measure_binary,
    measure_segment,
    split,
    split_binary,
    write_segment,
)
from gateway.text.style import DefaultAlphabet, LongForm, TextStyle
from gateway.text.udh import Element, concatenation, header_size, parse_udh, shifts

# ── alphabets ────────────────────────────────────────────────────────────────────────────────


def check_alphabet(case: bytes) -> None:
    """Any octets have a reading in the alphabet that reads the same when written again, and any
    text is written as septets that read as that text or is NotInAlphabet at its first stranger."""
    read = decode_gsm7(case)
    assert len(read) <= len(case)
    writable = read.replace("\ufffd", "")  # what octets above 0x7F read as
    assert decode_gsm7(GSM7.encode(writable)) == writable
    text = _read_text(case)
    septets = GSM7.try_encode(text)
    assert septet_count(text) == (None if septets is None else len(septets))
    if septets is None:
        _check_stranger(text)
    else:
        assert septets.isascii()
        assert decode_gsm7(septets) == text


def _check_stranger(text: str) -> None:
    try:
        GSM7.encode(text)
    except NotInAlphabet as error:
        assert text[error.position] == error.character
        assert GSM7.try_encode(text[: error.position]) is not None
        assert GSM7.try_encode(error.character) is None
    else:
        raise AssertionError("the two encoders differ")


def check_packing(case: bytes) -> None:
    """Septets come back from their packed form after any fill bits, and any octets unpack."""
    source = Source(case)
    fill, count = source.number() % 7, source.number()
    octets = source.rest()
    septets = bytes(octet & 0x7F for octet in octets)
    packed = pack_septets(septets, fill)
    assert len(packed) == ((len(septets) * 7 + fill + 7) // 8 if septets else 0)
    assert unpack_septets(packed, len(septets), fill) == septets
    loose = unpack_septets(octets, count, fill)
    assert len(loose) <= count
    assert loose.isascii()
    assert unpack_septets(octets, None, fill)[: len(loose)] == loose


def _read_text(octets: bytes) -> str:
    """Return octets as text in which every character can be, half surrogates too."""
    return octets.decode("utf-8", "surrogateescape")


# ── user data headers ────────────────────────────────────────────────────────────────────────


def check_udh(case: bytes) -> None:
    """Any octets are a header whose elements, written again, are the same octets, or MalformedUdh;
    what numbers a part is found in either, and is within its bounds."""
    number = concatenation(case)
    if number is not None:
        assert 1 <= number.sequence <= number.total <= 0xFF
        assert 0 <= number.reference <= (0xFFFF if number.wide else 0xFF)
    try:
        elements = parse_udh(case)
    except MalformedUdh:
        return
    size = header_size(case)
    written = b"".join(bytes((e.iei, len(e.data))) + e.data for e in elements)
    assert bytes((len(written),)) + written == case[:size]
    assert concatenation(case[:size] + b"text") == number
    assert (number is not None) == any(_numbers(element) for element in elements)


def _numbers(element: Element) -> bool:
    whole = (element.iei, len(element.data)) in ((0x00, 3), (0x08, 4))
    return whole and 1 <= element.data[-1] <= element.data[-2]


# ── segments ─────────────────────────────────────────────────────────────────────────────────


def check_segments(case: bytes) -> None:
    """A text is cut into as many segments as were counted, in any carrier's style, each fits, each
    reads by itself, and together they are the text; or it is a TextError."""
    source = Source(case)
    encoding = source.pick((None, Encoding.GSM7, Encoding.UCS2))
    style = _pick_style(source)
    more, reference, repeats = source.flag(), source.number(2), source.number() % 40 + 1
    text = _read_text(source.rest()) * repeats
    if style.packed:  # at the end of a part these can't be told from what fills its last octet
        text = text.replace("@", "").replace("\r", "")
    try:
        measured = measure(text, encoding, style)
    except TextError:
        _refuses(lambda: split(text, encoding, reference, style))
        return
    cut = split(text, encoding, reference, style)
    assert cut.encoding is measured.encoding
    assert measured.segments <= SEGMENTS_MAX
    if cut.long is LongForm.PAYLOAD:
        assert measured.segments > len(cut.payloads) == 1
    else:
        assert len(cut.payloads) == measured.segments
        assert all(_air_octets(part, cut, style) <= PAYLOAD_OCTETS_MAX for part in cut.payloads)
    _check_numbers(cut, style)
    assert "".join(_read_part(part, cut, style) for part in cut.payloads) == text
    if more and len(text) > measured.segments:
        _check_stretching(text, encoding, reference, style, measured.segments + 1)


def _check_stretching(
    text: str, encoding: Encoding | None, reference: int, style: TextStyle, segments: int
) -> None:
    """Cut a text into more segments than it needs, as another carrier's style has counted."""
    try:
        cut = split(text, encoding, reference, style, segments)
    except TextError:
        # National tables have no place in parts that TLVs number; UCS-2 may need more of them.
        assert style.national and style.long is not LongForm.UDH
        return
    assert len(cut.payloads) == (1 if cut.long is LongForm.PAYLOAD else segments)
    assert "".join(_read_part(part, cut, style) for part in cut.payloads) == text


def check_binary(case: bytes) -> None:
    """Binary content behind any header is cut into as many segments as were counted, each with
    the client's elements and within its size, and together they are the content; or it is a
    TextError."""
    source = Source(case)
    style = _pick_style(source)
    reference, repeats = source.number(2), source.number() % 40 + 1
    udh = source.some(40)
    data = source.rest() * repeats
    _check_own_segment(data, udh, style)
    try:
        measured = measure_binary(data, udh, style)
    except TextError:
        _refuses(lambda: split_binary(data, udh, reference, style))
        return
    cut = split_binary(data, udh, reference, style)
    assert measured.units == len(data)
    assert measured.segments <= SEGMENTS_MAX
    if measured.segments == 1:
        assert cut.payloads == [udh + data]
        return
    headers = [_header_of(part, cut) for part in cut.payloads]
    contents = [part[len(h) :] for part, h in zip(cut.payloads, headers, strict=True)]
    assert b"".join(contents) == data
    if cut.long is LongForm.PAYLOAD:
        assert len(cut.payloads) == 1
        return
    assert len(cut.payloads) == measured.segments
    assert all(len(part) <= PAYLOAD_OCTETS_MAX for part in cut.payloads)
    _check_numbers(cut, style)
    own = parse_udh(udh) if udh else ()
    assert all(parse_udh(h)[1:] == own for h in headers if h)


def _pick_style(source: Source) -> TextStyle:
    alphabet = source.pick(tuple(DefaultAlphabet))
    septets = alphabet is DefaultAlphabet.GSM7
    languages = tuple(language for language in Language if source.flag())
    packed = source.flag()
    return TextStyle(
        alphabet=alphabet,
        national=languages if septets else (),
        packed=packed and septets,
        long=source.pick(tuple(LongForm)),
        wide_reference=source.flag(),
    )


def _header_of(part: bytes, cut: Cut) -> bytes:
    return part[: header_size(part)] if cut.has_header else b""


def _read_part(part: bytes, cut: Cut, style: TextStyle) -> str:
    """Read a part as its carrier would."""
    header = _header_of(part, cut)
    body = part[len(header) :]
    if cut.encoding is Encoding.UCS2:
        return body.decode("utf-16-be")
    if style.alphabet is not DefaultAlphabet.GSM7:
        return body.decode(style.alphabet.value)
    septets = unpack_message(body, len(header)) if style.packed else body
    return alphabet_of(shifts(header)).decode(septets)


def _air_octets(part: bytes, cut: Cut, style: TextStyle) -> int:
    """Return what a part takes on the air, where septets are always packed."""
    if cut.encoding is not Encoding.GSM7 or style.packed:
        return len(part)
    header = _header_of(part, cut)
    body = part[len(header) :]
    if style.alphabet is not DefaultAlphabet.GSM7:
        body = GSM7.encode(body.decode())
    return len(header) + len(pack_septets(body, fill_bits(len(header))))


def _check_numbers(cut: Cut, style: TextStyle) -> None:
    """Look at what the parts' headers say of their number."""
    total = len(cut.payloads)
    for sequence, part in enumerate(cut.payloads, start=1):
        number = concatenation(_header_of(part, cut))
        if total > 1 and cut.long is LongForm.UDH:
            assert number is not None
            said = (number.sequence, number.total, number.wide)
            assert said == (sequence, total, style.wide_reference)
        else:
            assert number is None
    assert cut.has_header or total == 1 or cut.long is not LongForm.UDH


def _check_own_segment(data: bytes, udh: bytes, style: TextStyle) -> None:
    for encoding in (Encoding.GSM7, Encoding.UCS2, Encoding.BINARY):
        try:
            measured = measure_segment(data, udh, encoding)
        except TextError:
            continue
        assert measured.segments == 1
        _check_writing(data, udh, encoding, style)
        septets = encoding is Encoding.GSM7 and not data.strip(bytes(range(128)))
        sent = udh + (pack_septets(data, fill_bits(len(udh))) if septets else data)
        assert len(sent) <= PAYLOAD_OCTETS_MAX or (encoding is Encoding.GSM7 and not septets)


def _check_writing(data: bytes, udh: bytes, encoding: Encoding, style: TextStyle) -> None:
    """Write a client's own segment for a carrier: in one PDU behind its header, or a TextError."""
    try:
        cut = write_segment(data, udh, encoding, style)
    except TextError:
        assert encoding is Encoding.GSM7
        return
    [part] = cut.payloads
    assert part.startswith(udh)
    assert cut.has_header is bool(udh)


def _refuses(cut: object) -> None:
    assert callable(cut)
    try:
        cut()
    except TextError:
        return
    raise AssertionError("what can't be measured was cut")


# ── reassembly ───────────────────────────────────────────────────────────────────────────────

_SETS_MAX = 3


def check_reassembly(case: bytes) -> None:
    """Whatever parts come in whatever order, each is handed back exactly once or is a duplicate,
    no more sets wait than allowed, and none waits past its time."""
    source = Source(case)
    reassembler = Reassembler(life_s=10.0, sets_max=_SETS_MAX)
    balance: Counter[Part] = Counter()
    now = 0.0
    while source.left:
        now += source.number() % 4
        for partial in reassembler.expire(now):
            _take_partial(partial, balance)
        deadline = reassembler.next_deadline
        assert deadline is None or deadline > now
        part = _make_part(source)
        balance[part] += 1
        _take_outcome(reassembler.add(part, now), part, balance)
        assert len(reassembler) <= _SETS_MAX
    for partial in reassembler.expire(now + 10.0):
        _take_partial(partial, balance)
    assert len(reassembler) == 0
    assert not any(balance.values())


def _make_part(source: Source) -> Part:
    return Part(
        source=source.pick(("a", "b")),
        destination="c",
        reference=source.number() % 3,
        total=source.number() % 5,
        sequence=source.number() % 6,
        content=source.some(1),
    )


def _take_outcome(
    outcome: Complete | Waiting | Duplicate, part: Part, balance: Counter[Part]
) -> None:
    match outcome:
        case Complete(parts):
            balance.subtract(parts)
            numbers = [p.sequence for p in parts]
            assert numbers == [*range(1, part.total + 1)] or parts == (part,)
        case Waiting(missing, displaced):
            assert 0 < missing < part.total
            if displaced is not None:
                _take_partial(displaced, balance)
        case Duplicate():
            balance[part] -= 1


def _take_partial(partial: Partial, balance: Counter[Part]) -> None:
    balance.subtract(partial.parts)
    total = partial.parts[0].total
    came = [part.sequence for part in partial.parts]
    assert sorted([*came, *partial.missing]) == [*range(1, total + 1)]
    assert partial.missing


_TEXT_WORDS = (
    "€".encode(),
    b"{}[]",
    "Ωñ@".encode(),
    "ış".encode(),
    "áç".encode(),
    "你好".encode(),
    "😀".encode(),
    b"\xed\xa0\x80",
    b"\x1b\x65",
    b"\x1b\x1b",
    b"\x05\x00\x03\x07\x02\x01",
    b"\x06\x08\x04\x07\x07\x02\x01",
    b"\x06\x05\x04\x0b\x84\x23\xf0",
)

# An encoding, then the choices of `_pick_style`.
_PLAIN = bytes(8)
_WIDE = bytes(7) + b"\1"
_TURKISH = b"\0\0\1\0\0\0\0\0"

TARGETS = (
    Target("alphabet", check_alphabet, _TEXT_WORDS, (b"Price: 5 \x1be {ok}", "10 € {ok}".encode())),
    Target("packing", check_packing, (), (b"\x01\x08hellohello",)),
    Target("udh", check_udh, _TEXT_WORDS, (b"\x05\x00\x03\x07\x02\x01hi", b"\x03\x24\x01\x01hi")),
    Target(
        "segments",
        check_segments,
        _TEXT_WORDS,
        (
            _PLAIN + b"\0\0\x07\x10hello",
            _WIDE + b"\1\0\x07\x20{}",
            _TURKISH + b"\0\0\x07\x20" + "ış{".encode(),
        ),
    ),
    Target(
        "binary",
        check_binary,
        _TEXT_WORDS,
        (_PLAIN[1:] + b"\0\x07\x20\x07\x06\x05\x04\x0b\x84\x23\xf0data",),
    ),
    Target("reassembly", check_reassembly, (), (b"\0\0\1\2\1\1a\0\0\1\2\2\1b",)),
)
