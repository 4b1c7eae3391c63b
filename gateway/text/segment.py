"""How many segments a content takes, and the octets of each.

`measure*` and `split*` cut with the same code, so that what was counted (and paid for) is what
is sent. The references that number parts are the caller's; a ceiling below 255 segments is
`intake`'s.

A segment holds 140 octets of payload, any user data header included (3GPP TS 23.040
§9.2.3.24.1): 160 septets, 70 UTF-16 units or 140 octets alone, 153 / 67 / 134 beside an 8-bit
reference, 152 / 66 / 133 beside a 16-bit one. A pair that means one character (escape and
septet, two surrogates) is never split, so a segment may hold one less than that.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.model import Encoding
from gateway.text.alphabet import GSM7, fill_bits, pack_septets
from gateway.text.errors import (
    AlreadyConcatenated,
    HeaderTooLong,
    MalformedUdh,
    NotEncodable,
    TooManySegments,
)
from gateway.text.tables import ESCAPE
from gateway.text.udh import (
    IEI_CONCATENATION_8,
    IEI_CONCATENATION_16,
    concatenation,
    header_size,
    parse_udh,
)

PAYLOAD_OCTETS_MAX = 140
SEGMENTS_MAX = 255  # a message's total is one octet


class Measured(msgspec.Struct, frozen=True, gc=False):
    """How a content will travel. `units` are septets (GSM7), UTF-16 units or octets of data."""

    encoding: Encoding
    segments: int
    units: int


class _Form(msgspec.Struct, frozen=True, gc=False):
    """How an encoding fills a segment, in octets of `short_message` after any header."""

    unit_octets: int
    single: int
    parted: int
    parted_wide: int
    splits_pair: Callable[[bytes, int], bool]
    """Whether a border at this offset would cut one character in two."""


def _splits_escape(octets: bytes, border: int) -> bool:
    # An escape is never the second septet of a pair, so this one begins a pair.
    return octets[border - 1] == ESCAPE


def _splits_surrogates(octets: bytes, border: int) -> bool:
    return 0xD8 <= octets[border - 2] <= 0xDB  # a high surrogate just before the border


_GSM7 = _Form(1, 160, 153, 152, _splits_escape)
_UCS2 = _Form(2, 140, 134, 132, _splits_surrogates)


def measure(text: str, encoding: Encoding | None = None, wide_reference: bool = False) -> Measured:
    """Return the exact size of `text`; without an encoding, GSM7 where it can carry the text.

    Raises NotInAlphabet (when GSM7 is asked for), NotEncodable and TooManySegments.
    """
    form, octets = _encode(text, encoding)
    size = len(octets)
    segments = 1 if size <= form.single else len(_borders(octets, form, wide_reference))
    if form is _GSM7:
        return Measured(Encoding.GSM7, segments, size)
    return Measured(Encoding.UCS2, segments, size // 2)


def split(
    text: str, encoding: Encoding | None, reference: int, wide_reference: bool = False
) -> list[bytes]:
    """Return each segment's payload as `short_message` wants it: as many as `measure` counted.

    GSM7 is unpacked, one octet a septet. More than one segment means that each begins with a
    header (and goes with UDHI in `esm_class`); of `reference` the low 8 or 16 bits are used.
    Raises what `measure` raises.
    """
    form, octets = _encode(text, encoding)
    if len(octets) <= form.single:
        return [octets]
    borders = _borders(octets, form, wide_reference)
    return _parts(octets, borders, reference, wide_reference)


def measure_binary(data: bytes, udh: bytes = b"", wide_reference: bool = False) -> Measured:
    """Return the size of binary content that goes with the client's own header (or none).

    Raises MalformedUdh, HeaderTooLong, AlreadyConcatenated and TooManySegments.
    """
    borders = _binary_borders(data, udh, wide_reference)
    return Measured(Encoding.BINARY, len(borders), len(data))


def split_binary(
    data: bytes, udh: bytes, reference: int, wide_reference: bool = False
) -> list[bytes]:
    """Return each segment's payload, header first: as many as `measure_binary` counted.

    What fits into one segment goes with `udh` as it is. Longer content repeats the client's
    elements in every segment, behind the one that numbers it (each part has to name its port).
    Raises what `measure_binary` raises.
    """
    borders = _binary_borders(data, udh, wide_reference)
    if len(borders) == 1:
        return [udh + data]
    return _parts(data, borders, reference, wide_reference, elements=udh[1:])


def measure_segment(data: bytes, udh: bytes, encoding: Encoding) -> Measured:
    """Return the size of one segment that the client encoded and numbered itself; it stays whole.

    GSM7 is unpacked. Raises MalformedUdh, and TooManySegments for more than a segment holds.
    """
    if udh:
        _check_own_header(udh)
    room = PAYLOAD_OCTETS_MAX - len(udh)
    if encoding is Encoding.GSM7:
        room = room * 8 // 7
    if len(data) > room:
        raise TooManySegments(-(-len(data) // max(room, 1)), 1)
    return Measured(encoding, 1, len(data) // 2 if encoding is Encoding.UCS2 else len(data))


def pack_segment(payload: bytes, has_header: bool) -> bytes:
    """Return a GSM7 payload of `split` in packed septets, for the few carriers that want that."""
    header_octets = payload[0] + 1 if has_header else 0
    header, septets = payload[:header_octets], payload[header_octets:]
    return header + pack_septets(septets, fill_bits(header_octets))


def _encode(text: str, encoding: Encoding | None) -> tuple[_Form, bytes]:
    assert encoding is not Encoding.BINARY, "text is never binary content"
    if encoding is Encoding.GSM7:
        return _GSM7, GSM7.encode(text)
    if encoding is None:
        septets = GSM7.try_encode(text)
        if septets is not None:
            return _GSM7, septets
    try:
        return _UCS2, text.encode("utf-16-be")
    except UnicodeEncodeError as error:
        raise NotEncodable(text[error.start], error.start) from None


def _borders(octets: bytes, form: _Form, wide: bool) -> list[int]:
    """Return the offset after each segment of a content that is too long for one."""
    room = form.parted_wide if wide else form.parted
    borders = []
    border, end = 0, len(octets)
    while end - border > room:
        border += room
        if form.splits_pair(octets, border):
            border -= form.unit_octets
        borders.append(border)
    borders.append(end)
    return _checked(borders)


def _binary_borders(data: bytes, udh: bytes, wide: bool) -> list[int]:
    if udh:
        _check_own_header(udh)
    if len(udh) + len(data) <= PAYLOAD_OCTETS_MAX:
        return [len(data)]
    if concatenation(udh) is not None:
        raise AlreadyConcatenated
    room = PAYLOAD_OCTETS_MAX - max(len(udh), 1) - (6 if wide else 5)
    if room < 1:
        raise HeaderTooLong(len(udh), PAYLOAD_OCTETS_MAX)
    return _checked([*range(room, len(data), room), len(data)])


def _check_own_header(udh: bytes) -> None:
    parse_udh(udh)
    if header_size(udh) != len(udh):
        raise MalformedUdh(f"the header says {header_size(udh)} octets and has {len(udh)}")


def _checked(borders: list[int]) -> list[int]:
    if len(borders) > SEGMENTS_MAX:
        raise TooManySegments(len(borders), SEGMENTS_MAX)
    return borders


def _parts(
    octets: bytes, borders: list[int], reference: int, wide: bool, elements: bytes = b""
) -> list[bytes]:
    """Return the pieces between `borders`, each behind a header that numbers it."""
    total = len(borders)
    if wide:
        element = bytes((IEI_CONCATENATION_16, 4, reference >> 8 & 0xFF, reference & 0xFF, total))
    else:
        element = bytes((IEI_CONCATENATION_8, 3, reference & 0xFF, total))
    head = bytes((len(element) + 1 + len(elements),)) + element
    parts = []
    start = 0
    for sequence, border in enumerate(borders, start=1):
        parts.append(b"%b%c%b%b" % (head, sequence, elements, octets[start:border]))
        start = border
    return parts
