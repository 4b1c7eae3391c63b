"""How many segments a content takes on one carrier, and the octets of each PDU.

`measure*` and `split*` go by the same form (`forms.py`) and cut with the same code, so that what
was counted (and paid for) is what is sent. The references that number parts are the caller's,
the TLVs around a PDU `gateway/outgoing.py`'s; a ceiling below 255 segments is `intake`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.model import Encoding
from gateway.record import Record, replace
from gateway.text.alphabet import pack_message
from gateway.text.errors import (
    AlreadyConcatenated,
    HeaderTooLong,
    MalformedUdh,
    NotInAlphabet,
    PayloadTooLong,
    TooManySegments,
)
from gateway.text.forms import (
    PAYLOAD_OCTETS_MAX,
    SEGMENTS_MAX,
    Form,
    choose_form,
    find_borders,
    stretch_borders,
    write_in_default,
)
from gateway.text.national import alphabet_of
from gateway.text.style import PLAIN, DefaultAlphabet, LongForm, TextStyle, narrow
from gateway.text.udh import (
    IEI_CONCATENATION_8,
    IEI_CONCATENATION_16,
    concatenation,
    header_size,
    parse_udh,
    shifts,
)

MESSAGE_PAYLOAD_OCTETS_MAX = 0xFFFF  # a TLV's length has two octets

# Looked up for every long text; through the enumeration it costs more than a cut.
_UDH, _SAR, _PAYLOAD = LongForm.UDH, LongForm.SAR, LongForm.PAYLOAD


class Measured(Record):
    """How a content will travel. `units` are septets (GSM7), UTF-16 units, or octets."""

    __slots__ = ("encoding", "segments", "units")

    def __init__(self, encoding: Encoding, segments: int, units: int) -> None:
        self.encoding: Final = encoding
        self.segments: Final = segments
        self.units: Final = units


class Cut(Record):
    """A content as one carrier's PDUs.

    With a header each payload begins with one, and UDHI goes into `esm_class`. `long` is what
    ties more than one segment together: with SAR every payload is a part to be numbered by TLVs,
    with PAYLOAD the only one holds all segments. A content of one segment always says UDH.
    """

    __slots__ = ("encoding", "has_header", "long", "payloads")

    def __init__(
        self,
        encoding: Encoding,
        payloads: Sequence[bytes],
        has_header: bool = False,
        long: LongForm = LongForm.UDH,
    ) -> None:
        self.encoding: Final = encoding
        self.payloads: Final = payloads
        self.has_header: Final = has_header
        self.long: Final = long


def measure(text: str, encoding: Encoding | None = None, style: TextStyle = PLAIN) -> Measured:
    """Return the exact size of `text`; without an encoding, GSM7 where it can carry the text.

    GSM7 means the carrier's default alphabet, whatever that is. Raises NotInAlphabet (when GSM7
    is asked for), NotEncodable, TooManySegments and PayloadTooLong.
    """
    form, octets = choose_form(text, encoding, style)
    size = len(octets)
    if size <= form.single:
        return Measured(form.encoding, 1, size // form.unit_octets)
    segments = len(find_borders(octets, form, style.wide_reference))
    if style.long is _PAYLOAD:
        _check_payload(form.write(octets))
    return Measured(form.encoding, segments, size // form.unit_octets)


def split(
    text: str,
    encoding: Encoding | None,
    reference: int,
    style: TextStyle = PLAIN,
    segments: int = 0,
) -> Cut:
    """Return `text` as PDUs: as many parts as `measure` counted.

    GSM7 is unpacked, one octet a septet, unless the style says otherwise. Of `reference` the low
    8 or 16 bits are used. `segments` is what was counted by another carrier's style: where this
    one needs fewer the parts are made smaller; where it needs more they are numbered with 8 bits,
    and when that does not help either TooManySegments is raised.
    Raises what `measure` raises.
    """
    if segments > 1 and style.national and style.long is not _UDH:
        # Tables are for the one segment that they save; parts have no header to name them in.
        style = replace(style, national=())
    form, octets = choose_form(text, encoding, style)
    if len(octets) <= form.single and segments <= 1:
        if form.as_is and not style.packed:
            return Cut(form.encoding, [octets])
        return _alone(octets, form, style)
    wide = style.wide_reference
    borders = [len(octets)] if len(octets) <= form.single else find_borders(octets, form, wide)
    if segments and len(borders) > segments:
        if wide:
            return split(text, encoding, reference, narrow(style), segments)
        raise TooManySegments(len(borders), segments)
    if style.long is _PAYLOAD:
        octets = _check_payload(form.write(octets))
        return Cut(form.encoding, [_pack(b"", octets, form.encoding, style)], False, style.long)
    if len(borders) < segments:
        borders = stretch_borders(octets, form, wide, segments)
    bodies = _between(octets, borders)
    if form.rewrite is not None:
        bodies = [form.rewrite(body) for body in bodies]
    return _number(bodies, form.encoding, form.elements, reference, style)


def measure_binary(data: bytes, udh: bytes = b"", style: TextStyle = PLAIN) -> Measured:
    """Return the size of binary content that goes with the client's own header (or none).

    Raises MalformedUdh, HeaderTooLong, AlreadyConcatenated and TooManySegments.
    """
    borders = _binary_borders(data, udh, style.wide_reference)
    return Measured(Encoding.BINARY, len(borders), len(data))


def split_binary(
    data: bytes, udh: bytes, reference: int, style: TextStyle = PLAIN, segments: int = 0
) -> Cut:
    """Return binary content as PDUs, headers first: as many parts as `measure_binary` counted.

    What fits into one segment goes with `udh` as it is. Longer content repeats the client's
    elements in every segment, behind the one that numbers it (each part has to name its port),
    whatever the style says: where there is a header, nothing else may number a part. `segments`
    as for `split`. Raises what `measure_binary` raises.
    """
    borders = _binary_borders(data, udh, style.wide_reference)
    if segments and len(borders) > segments:
        if style.wide_reference:
            return split_binary(data, udh, reference, narrow(style), segments)
        raise TooManySegments(len(borders), segments)
    if len(borders) == 1 and segments <= 1:
        return Cut(Encoding.BINARY, [udh + data], bool(udh))
    if udh and style.long is not _UDH:
        style = replace(style, long=_UDH)
    if style.long is _PAYLOAD:
        return Cut(Encoding.BINARY, [data], False, style.long)
    if len(borders) < segments:
        borders = [len(data) * part // segments for part in range(1, segments + 1)]
    return _number(_between(data, borders), Encoding.BINARY, udh[1:], reference, style)


def measure_segment(
    data: bytes, udh: bytes, encoding: Encoding, style: TextStyle = PLAIN
) -> Measured:
    """Return the size of one segment that the client encoded and numbered itself; it stays whole.

    GSM7 is unpacked, and counted in septets even for a carrier that wants other octets: that is
    what the client counted. Raises MalformedUdh, TooManySegments for more than a segment holds,
    and NotInAlphabet.
    """
    if udh:
        _check_own_header(udh)
    room = PAYLOAD_OCTETS_MAX - len(udh)
    if encoding is Encoding.GSM7:
        room = room * 8 // 7
    if len(data) > room:
        raise TooManySegments(-(-len(data) // max(room, 1)), 1)
    write_segment(data, udh, encoding, style)
    return Measured(encoding, 1, len(data) // 2 if encoding is Encoding.UCS2 else len(data))


def write_segment(data: bytes, udh: bytes, encoding: Encoding, style: TextStyle = PLAIN) -> Cut:
    """Return a segment that the client cut, in the octets that this carrier wants.

    Raises NotInAlphabet when the carrier's alphabet has no place for a character, or when what has
    to be packed or rewritten are no septets.
    """
    as_it_came = style.alphabet is DefaultAlphabet.GSM7 and not style.packed
    if encoding is Encoding.GSM7 and not as_it_came:
        _check_septets(data)
    if encoding is Encoding.GSM7 and style.alphabet is not DefaultAlphabet.GSM7:
        text = alphabet_of(shifts(udh)).decode(data)
        encoding, data = write_in_default(text, style.alphabet)
    return Cut(encoding, [_pack(udh, data, encoding, style)], bool(udh))


def _alone(octets: bytes, form: Form, style: TextStyle) -> Cut:
    if form.elements:
        header = bytes((len(form.elements),)) + form.elements
        return Cut(form.encoding, [_pack(header, octets, form.encoding, style)], True)
    return Cut(form.encoding, [_pack(b"", form.write(octets), form.encoding, style)])


def _number(
    bodies: list[bytes], encoding: Encoding, elements: bytes, reference: int, style: TextStyle
) -> Cut:
    """Return the parts of a long message, each saying which it is (or to be said of, by TLVs)."""
    if style.long is _SAR:
        assert not elements, "a header beside SAR"
        payloads = [_pack(b"", body, encoding, style) for body in bodies]
        return Cut(encoding, payloads, False, _SAR)
    total = len(bodies)
    if style.wide_reference:
        element = bytes((IEI_CONCATENATION_16, 4, reference >> 8 & 0xFF, reference & 0xFF, total))
    else:
        element = bytes((IEI_CONCATENATION_8, 3, reference & 0xFF, total))
    head = bytes((len(element) + 1 + len(elements),)) + element
    payloads = []
    for sequence, body in enumerate(bodies, start=1):
        if style.packed:
            payloads.append(_pack(b"%b%c%b" % (head, sequence, elements), body, encoding, style))
        else:
            payloads.append(b"%b%c%b%b" % (head, sequence, elements, body))
    return Cut(encoding, payloads, True)


def _pack(header: bytes, body: bytes, encoding: Encoding, style: TextStyle) -> bytes:
    """Return a PDU's payload, septets packed if the carrier wants them so."""
    if style.packed and encoding is Encoding.GSM7:
        body = pack_message(body, len(header))
    return header + body


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
    borders = [*range(room, len(data), room), len(data)]
    if len(borders) > SEGMENTS_MAX:
        raise TooManySegments(len(borders), SEGMENTS_MAX)
    return borders


def _check_own_header(udh: bytes) -> None:
    parse_udh(udh)
    if header_size(udh) != len(udh):
        raise MalformedUdh(f"the header says {header_size(udh)} octets and has {len(udh)}")


def _check_septets(octets: bytes) -> None:
    if not octets.isascii():
        position = next(i for i, octet in enumerate(octets) if octet > 0x7F)
        raise NotInAlphabet(chr(octets[position]), position)


def _check_payload(octets: bytes) -> bytes:
    if len(octets) > MESSAGE_PAYLOAD_OCTETS_MAX:
        raise PayloadTooLong(len(octets), MESSAGE_PAYLOAD_OCTETS_MAX)
    return octets


def _between(octets: bytes, borders: list[int]) -> list[bytes]:
    pieces = []
    start = 0
    for border in borders:
        pieces.append(octets[start:border])
        start = border
    return pieces
