"""The forms in which a text can travel, which of them it takes, and where it may be cut.

A form is an encoding with the room that it leaves in a segment: 140 octets of payload, any user
data header included (3GPP TS 23.040 §9.2.3.24.1). That is 160 septets, 70 UTF-16 units or 140
octets alone; 153, 67 and 134 beside an 8-bit reference; 152, 66 and 133 beside a 16-bit one. A
header that names national tables takes three octets more for each, and a length octet when it is
the only one there: 155 septets with one table, 149 and 148 a part; 152, 146 and 145 with two.

Not here: the headers and the octets of a PDU (`segment.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

from gateway.model import Encoding
from gateway.record import Record
from gateway.text.alphabet import GSM7
from gateway.text.errors import NotEncodable, NotInAlphabet, TooManySegments
from gateway.text.national import Language, alphabet_of, shifts_of
from gateway.text.style import DefaultAlphabet, LongForm, TextStyle
from gateway.text.tables import ESCAPE
from gateway.text.udh import shift_elements

PAYLOAD_OCTETS_MAX = 140
SEGMENTS_MAX = 255  # a message's total is one octet

# Looked up for every text; through the enumeration it costs as much as a dictionary.
_UCS2, _BINARY = Encoding.UCS2, Encoding.BINARY


class Form(Record):
    """How a text is encoded and how much of it a segment holds.

    `single`, `parted` and `parted_wide` are octets as `try_encode` writes them, after any header:
    alone, beside an 8-bit and beside a 16-bit reference.
    """

    __slots__ = (
        "as_is",
        "elements",
        "encoding",
        "parted",
        "parted_wide",
        "rewrite",
        "single",
        "splits_pair",
        "try_encode",
        "unit_octets",
    )

    def __init__(
        self,
        encoding: Encoding,
        unit_octets: int,
        single: int,
        parted: int,
        parted_wide: int,
        try_encode: Callable[[str], bytes | None],
        splits_pair: Callable[[bytes, int], bool],
        elements: bytes = b"",
        rewrite: Callable[[bytes], bytes] | None = None,
        as_is: bool = True,
    ) -> None:
        self.encoding: Final = encoding
        self.unit_octets: Final = unit_octets
        self.single: Final = single
        self.parted: Final = parted
        self.parted_wide: Final = parted_wide
        self.try_encode: Final = try_encode
        """Return the octets that are counted and cut, None when the text is not in the alphabet."""
        self.splits_pair: Final = splits_pair
        """Whether a border at this offset would cut one character in two."""
        self.elements: Final = elements
        """Header elements that every segment needs to be read."""
        self.rewrite: Final = rewrite
        """Turns a segment's octets into those that the carrier wants; None: they are the same."""
        self.as_is: Final = as_is
        """Neither elements nor rewriting."""

    def write(self, octets: bytes) -> bytes:
        """Return what was counted and cut in the octets that the carrier wants."""
        return octets if self.rewrite is None else self.rewrite(octets)


def choose_form(text: str, encoding: Encoding | None, style: TextStyle) -> tuple[Form, bytes]:
    """Return the form that `text` takes, and its octets.

    With an encoding that one, GSM7 meaning the carrier's default alphabet; without one, the
    default alphabet where it can carry the text. National tables are used only where they make a
    text fit that needs UCS-2 otherwise, or where they save a segment.

    Raises NotInAlphabet (when GSM7 is asked for) and NotEncodable.
    """
    assert encoding is not _BINARY, "text is never binary content"
    if encoding is not _UCS2:
        form = _DEFAULT_FORMS[style.alphabet]
        octets = form.try_encode(text)
        if octets is not None and (len(octets) <= form.single or not style.national):
            return form, octets
        national = _choose_national(text, octets, style) if style.national else None
        if national is not None:
            return national
        if octets is not None:
            return form, octets
        if encoding is not None:
            raise _not_in_alphabet(text, style)
    try:
        return UCS2_FORM, text.encode("utf-16-be")
    except UnicodeEncodeError as error:
        raise NotEncodable(text[error.start], error.start) from None


def write_in_default(text: str, alphabet: DefaultAlphabet) -> tuple[Encoding, bytes]:
    """Return `text` in a carrier's default alphabet, however long; raises NotInAlphabet.

    For a segment that a client cut by itself: what stands in national tables, too, is written
    where the carrier's alphabet can say it.
    """
    if alphabet is DefaultAlphabet.GSM7:
        return Encoding.GSM7, GSM7.encode(text)
    try:
        octets = text.encode(alphabet.value)
    except UnicodeEncodeError as error:
        raise NotInAlphabet(text[error.start], error.start, alphabet.value) from None
    return Encoding.LATIN1 if alphabet is DefaultAlphabet.LATIN1 else Encoding.GSM7, octets


def count_segments(octets: bytes, form: Form, wide: bool) -> int:
    """Return how many segments the octets take; raises TooManySegments."""
    return 1 if len(octets) <= form.single else len(find_borders(octets, form, wide))


def find_borders(octets: bytes, form: Form, wide: bool) -> list[int]:
    """Return the offset after each part of a text that is too long for one segment.

    Raises TooManySegments.
    """
    room = form.parted_wide if wide else form.parted
    borders = []
    border, end = 0, len(octets)
    while end - border > room:
        border += room
        if form.splits_pair(octets, border):
            border -= form.unit_octets
        borders.append(border)
    borders.append(end)
    if len(borders) > SEGMENTS_MAX:
        raise TooManySegments(len(borders), SEGMENTS_MAX)
    return borders


def stretch_borders(octets: bytes, form: Form, wide: bool, count: int) -> list[int]:
    """Return the borders of exactly `count` parts, where fewer would do.

    Full parts as long as there is a character for each later one. A text of `count` segments
    in any other form has as many characters.
    """
    room = form.parted_wide if wide else form.parted
    unit = form.unit_octets
    borders = []
    border, end = 0, len(octets)
    for later in range(count - 1, 0, -1):
        spare = end - border - later * 2 * unit  # no character is more than two units
        start = border
        border += max(min(room, spare), unit)
        if form.splits_pair(octets, border):
            border += -unit if border - unit > start else unit
        borders.append(border)
    assert border < end, "fewer characters than parts"
    borders.append(end)
    return borders


# ── where a character must not be cut ────────────────────────────────────────────────────────


def _splits_escape(octets: bytes, border: int) -> bool:
    # An escape is never the second septet of a pair, so this one begins a pair.
    return octets[border - 1] == ESCAPE


def _splits_surrogates(octets: bytes, border: int) -> bool:
    return 0xD8 <= octets[border - 2] <= 0xDB  # a high surrogate just before the border


def _splits_nothing(octets: bytes, border: int) -> bool:
    return False


# ── the forms ────────────────────────────────────────────────────────────────────────────────

# What Latin-1 and ASCII have beside printable characters and the ends of lines.
_CONTROLS = bytes({*range(0x20), *range(0x7F, 0xA0)} - set(b"\t\n\f\r"))


def _try_latin1(text: str) -> bytes | None:
    try:
        octets = text.encode("latin-1")
    except UnicodeEncodeError:
        return None
    return octets if len(octets.translate(None, _CONTROLS)) == len(octets) else None


def _try_ascii(text: str) -> bytes | None:
    return GSM7.try_encode(text) if text.isascii() else None


def _rewrite_utf8(septets: bytes) -> bytes:
    return GSM7.decode(septets).encode()


def _septets_beside(header_octets: int) -> int:
    return (PAYLOAD_OCTETS_MAX - header_octets) * 8 // 7


def _septet_form(
    try_encode: Callable[[str], bytes | None],
    *,
    elements: bytes = b"",
    rewrite: Callable[[bytes], bytes] | None = None,
) -> Form:
    """Return a form whose segments hold septets on the air, whatever they are on the wire."""
    others = len(elements)
    return Form(
        encoding=Encoding.GSM7,
        unit_octets=1,
        single=_septets_beside(1 + others if others else 0),
        parted=_septets_beside(1 + 5 + others),
        parted_wide=_septets_beside(1 + 6 + others),
        try_encode=try_encode,
        splits_pair=_splits_escape,
        elements=elements,
        rewrite=rewrite,
        as_is=not elements and rewrite is None,
    )


GSM7_FORM = _septet_form(GSM7.try_encode)

UCS2_FORM = Form(
    encoding=Encoding.UCS2,
    unit_octets=2,
    single=140,
    parted=134,
    parted_wide=132,
    try_encode=lambda text: text.encode("utf-16-be"),
    splits_pair=_splits_surrogates,
)

_DEFAULT_FORMS = {
    DefaultAlphabet.GSM7: GSM7_FORM,
    DefaultAlphabet.LATIN1: Form(
        encoding=Encoding.LATIN1,
        unit_octets=1,
        single=140,
        parted=134,
        parted_wide=133,
        try_encode=_try_latin1,
        splits_pair=_splits_nothing,
    ),
    # On the air both are septets, so they are counted and cut as septets.
    DefaultAlphabet.ASCII: _septet_form(_try_ascii, rewrite=_rewrite_utf8),
    DefaultAlphabet.UTF8: _septet_form(GSM7.try_encode, rewrite=_rewrite_utf8),
}


@functools.cache
def _national_forms(languages: tuple[Language, ...]) -> tuple[Form, ...]:
    return tuple(
        _septet_form(alphabet_of(shifts).try_encode, elements=shift_elements(shifts))
        for shifts in shifts_of(languages)
    )


def _choose_national(text: str, plain: bytes | None, style: TextStyle) -> tuple[Form, bytes] | None:
    """Return the form with national tables that takes the fewest segments, if it pays.

    Of those that take as many, the one that asks the least of a handset. `plain` is the text in
    the default alphabet, which has to be beaten, or None.
    """
    if plain is not None and len(plain) == len(text):
        return None  # without pairs nothing gets shorter
    wide = style.wide_reference
    fewest = SEGMENTS_MAX + 1 if plain is None else count_segments(plain, GSM7_FORM, wide)
    if style.long is not LongForm.UDH:
        # A part of a long message would need its own header, beside what numbers it already.
        fewest = min(fewest, 2)
    chosen = None
    for form in _national_forms(style.national):
        octets = form.try_encode(text)
        if octets is None:
            continue
        try:
            segments = count_segments(octets, form, wide)
        except TooManySegments:
            continue
        if segments < fewest:
            chosen, fewest = (form, octets), segments
        if fewest == 1:
            break
    return chosen


def _not_in_alphabet(text: str, style: TextStyle) -> NotInAlphabet:
    form = _DEFAULT_FORMS[style.alphabet]
    position = next(i for i, c in enumerate(text) if form.try_encode(c) is None)
    name = "GSM 7-bit" if form.encoding is Encoding.GSM7 else style.alphabet.value
    return NotInAlphabet(text[position], position, name)
