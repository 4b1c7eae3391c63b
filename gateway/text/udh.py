"""The user data header: its elements, what numbers a message's parts, which tables it names.

3GPP TS 23.040 §9.2.3.24. `udh` means the header with its length octet first; what follows the
header is left alone. Elements are known by number and passed through unread.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.text.errors import MalformedUdh

IEI_CONCATENATION_8 = 0x00
IEI_CONCATENATION_16 = 0x08
IEI_SINGLE_SHIFT = 0x24
IEI_LOCKING_SHIFT = 0x25


class Element(msgspec.Struct, frozen=True, gc=False):
    """One information element."""

    iei: int
    data: bytes


class Concatenation(msgspec.Struct, frozen=True, gc=False):
    """Which part of which message: `sequence` runs from 1 to `total`."""

    reference: int
    total: int
    sequence: int
    wide: bool = False
    """True for a 16-bit reference."""


class Shifts(msgspec.Struct, frozen=True, gc=False):
    """The national language tables that a header names, by language; 0 is the default table."""

    single: int = 0
    locking: int = 0


NO_SHIFTS = Shifts()


def header_size(udh: bytes) -> int:
    """Return the octets that the header takes, its length octet included.

    Raises MalformedUdh when there are fewer than that.
    """
    if not udh:
        raise MalformedUdh("an empty user data header has no length")
    size = udh[0] + 1
    if size > len(udh):
        raise MalformedUdh(f"the header says {size} octets and has {len(udh)}")
    return size


def parse_udh(udh: bytes) -> tuple[Element, ...]:
    """Return every element in order; raises MalformedUdh when one overruns the header."""
    size = header_size(udh)
    elements = []
    end = 1
    for element, after in _walk(udh, size):
        elements.append(element)
        end = after
    if end != size:
        raise MalformedUdh(f"the element at octet {end} overruns a header of {size} octets")
    return tuple(elements)


def concatenation(udh: bytes) -> Concatenation | None:
    """Return what numbers this part, wherever in the header it stands, or None.

    Never raises: what comes before a broken element still counts, and an element that numbers
    nothing (total or sequence 0, sequence past the total) is passed over. Of several the last
    one holds (3GPP TS 23.040 §9.2.3.24).
    """
    found = None
    for element, _ in _walk(udh, _size_there(udh)):
        found = _read_concatenation(element) or found
    return found


def shifts(udh: bytes) -> Shifts:
    """Return the tables that the header names (3GPP TS 23.040 §9.2.3.24.15 and .16).

    Never raises, as `concatenation`; of several the last one holds.
    """
    single = locking = 0
    for element, _ in _walk(udh, _size_there(udh)):
        if len(element.data) == 1:
            if element.iei == IEI_SINGLE_SHIFT:
                single = element.data[0]
            elif element.iei == IEI_LOCKING_SHIFT:
                locking = element.data[0]
    return Shifts(single, locking) if single or locking else NO_SHIFTS


def shift_elements(named: Shifts) -> bytes:
    """Return the elements that name these tables, without a header around them."""
    single = bytes((IEI_SINGLE_SHIFT, 1, named.single)) if named.single else b""
    locking = bytes((IEI_LOCKING_SHIFT, 1, named.locking)) if named.locking else b""
    return single + locking


def _size_there(udh: bytes) -> int:
    """Return the octets of a header that may say more than there are."""
    return min(udh[0] + 1, len(udh)) if udh else 0


def _walk(udh: bytes, size: int) -> Iterator[tuple[Element, int]]:
    """Yield each whole element with the offset after it; stop at the first that is not whole."""
    offset = 1
    while offset + 2 <= size:
        after = offset + 2 + udh[offset + 1]
        if after > size:
            return
        yield Element(udh[offset], udh[offset + 2 : after]), after
        offset = after


def _read_concatenation(element: Element) -> Concatenation | None:
    data = element.data
    match element.iei, len(data):
        case 0x00, 3:  # IEI_CONCATENATION_8
            reference, wide = data[0], False
        case 0x08, 4:  # IEI_CONCATENATION_16
            reference, wide = data[0] << 8 | data[1], True
        case _:
            return None
    total, sequence = data[-2:]
    if not 1 <= sequence <= total:
        return None
    return Concatenation(reference, total, sequence, wide)
