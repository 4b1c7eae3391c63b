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
    unpack_septets,
)
from gateway.text.errors import MalformedUdh, NotInAlphabet, TextError
from gateway.text.reassembly import Complete, Duplicate, Part, Partial, Reassembler, Waiting
from gateway.text.segment import (
    PAYLOAD_OCTETS_MAX,
    SEGMENTS_MAX,
    measure,
    measure_binary,
    measure_segment,
    pack_segment,
    split,
    split_binary,
)
from gateway.text.udh import Element, concatenation, header_size, parse_udh

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
    """A text is cut into as many segments as were counted, each fits, each reads by itself, and
    together they are the text; or it is a TextError."""
    source = Source(case)
    encoding = source.pick((None, Encoding.GSM7, Encoding.UCS2))
    wide, reference, repeats = source.flag(), source.number(2), source.number() % 40 + 1
    text = _read_text(source.rest()) * repeats
    try:
        measured = measure(text, encoding, wide)
    except TextError:
        _refuses(lambda: split(text, encoding, reference, wide))
        return
    parts = split(text, encoding, reference, wide)
    assert len(parts) == measured.segments <= SEGMENTS_MAX
    headed = len(parts) > 1
    contents = [
        _open_part(part, i, len(parts), wide) if headed else part for i, part in _numbered(parts)
    ]
    if measured.encoding is Encoding.GSM7:
        assert b"".join(contents) == GSM7.encode(text)
        assert "".join(map(decode_gsm7, contents)) == text
        assert all(len(pack_segment(part, headed)) <= PAYLOAD_OCTETS_MAX for part in parts)
        assert measured.units == sum(map(len, contents))
    else:
        assert "".join(content.decode("utf-16-be") for content in contents) == text
        assert all(len(part) <= PAYLOAD_OCTETS_MAX for part in parts)
        assert measured.units * 2 == sum(map(len, contents))


def check_binary(case: bytes) -> None:
    """Binary content behind any header is cut into as many segments as were counted, each with
    the client's elements and within its size, and together they are the content; or it is a
    TextError."""
    source = Source(case)
    wide, reference, repeats = source.flag(), source.number(2), source.number() % 40 + 1
    udh = source.some(40)
    data = source.rest() * repeats
    _check_own_segment(data, udh)
    try:
        measured = measure_binary(data, udh, wide)
    except TextError:
        _refuses(lambda: split_binary(data, udh, reference, wide))
        return
    parts = split_binary(data, udh, reference, wide)
    assert len(parts) == measured.segments <= SEGMENTS_MAX
    assert measured.units == len(data)
    assert all(len(part) <= PAYLOAD_OCTETS_MAX for part in parts)
    if len(parts) == 1:
        assert parts == [udh + data]
        return
    assert b"".join(_open_part(part, i, len(parts), wide) for i, part in _numbered(parts)) == data
    own = parse_udh(udh) if udh else ()
    assert all(parse_udh(part)[1:] == own for part in parts)


def _check_own_segment(data: bytes, udh: bytes) -> None:
    for encoding in Encoding:
        try:
            measured = measure_segment(data, udh, encoding)
        except TextError:
            continue
        assert measured.segments == 1
        septets = encoding is Encoding.GSM7 and not data.strip(bytes(range(128)))
        sent = udh + (pack_septets(data, fill_bits(len(udh))) if septets else data)
        assert len(sent) <= PAYLOAD_OCTETS_MAX or (encoding is Encoding.GSM7 and not septets)


def _numbered(parts: list[bytes]) -> enumerate[bytes]:
    return enumerate(parts, start=1)


def _open_part(part: bytes, sequence: int, total: int, wide: bool) -> bytes:
    """Return a part's content after looking at what its header says."""
    number = concatenation(part)
    assert number is not None
    assert (number.sequence, number.total, number.wide) == (sequence, total, wide)
    return part[header_size(part) :]


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
    "你好".encode(),
    "😀".encode(),
    b"\xed\xa0\x80",
    b"\x1b\x65",
    b"\x1b\x1b",
    b"\x05\x00\x03\x07\x02\x01",
    b"\x06\x08\x04\x07\x07\x02\x01",
    b"\x06\x05\x04\x0b\x84\x23\xf0",
)

TARGETS = (
    Target("alphabet", check_alphabet, _TEXT_WORDS, (b"Price: 5 \x1be {ok}", "10 € {ok}".encode())),
    Target("packing", check_packing, (), (b"\x01\x08hellohello",)),
    Target("udh", check_udh, _TEXT_WORDS, (b"\x05\x00\x03\x07\x02\x01hi", b"\x03\x24\x01\x01hi")),
    Target("segments", check_segments, _TEXT_WORDS, (b"\0\0\0\x07\x10hello", b"\0\1\0\x07\x20{}")),
    Target(
        "binary", check_binary, _TEXT_WORDS, (b"\0\0\x07\x20\x07\x06\x05\x04\x0b\x84\x23\xf0data",)
    ),
    Target("reassembly", check_reassembly, (), (b"\0\0\1\2\1\1a\0\0\1\2\2\1b",)),
)
