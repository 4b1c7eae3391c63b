"""How one carrier wants text written: a value of its settings that intake and sending share.

Pure. Both sides must go by the same value: what is counted (and paid for) by it is cut by it.
"""

from __future__ import annotations

import enum
from typing import Final

from gateway.record import Record, replace
from gateway.text.national import Language


class DefaultAlphabet(enum.StrEnum):
    """What data_coding 0, "the SMSC's default alphabet", means to a peer; but for GSM7 the name of
    a codec."""

    GSM7 = "gsm7"
    """GSM 03.38, one septet an octet: what nearly all carriers mean."""
    LATIN1 = "latin-1"
    """ISO 8859-1, counted in octets: 140 and 134 a segment, as the carriers write that bill it so.
    One that turns it into GSM 7-bit would take up to 160; then this counts too many segments and
    never too few."""
    ASCII = "ascii"
    """ASCII, which the SMSC turns into GSM 7-bit: counted in septets, so brackets are two."""
    UTF8 = "utf-8"
    """UTF-8, which the SMSC turns into GSM 7-bit: counted in septets. What GSM 7-bit can't carry
    goes as UCS-2, like everywhere else."""


class LongForm(enum.StrEnum):
    """How the parts of a long message are known to belong together."""

    UDH = "udh"
    """A user data header in each part: understood everywhere."""
    SAR = "sar"
    """The TLVs sar_msg_ref_num, sar_total_segments and sar_segment_seqnum; the SMSC makes the
    header of them, so there is no less room in a part."""
    PAYLOAD = "payload"
    """One PDU with the TLV message_payload; the SMSC cuts it, and bills the segments."""


class TextStyle(Record):
    """One carrier's way of writing text."""

    __slots__ = ("alphabet", "long", "national", "packed", "smart", "wide_reference")

    def __init__(
        self,
        *,
        alphabet: DefaultAlphabet = DefaultAlphabet.GSM7,
        national: tuple[Language, ...] = (),
        packed: bool = False,
        long: LongForm = LongForm.UDH,
        wide_reference: bool = False,
        smart: bool = False,
    ) -> None:
        self.alphabet: Final = alphabet
        self.national: Final = national
        """Languages whose shift tables may be used, the preferred one first. Only with GSM7."""
        self.packed: Final = packed
        """GSM 7-bit in packed septets. Only with GSM7."""
        self.long: Final = long
        self.wide_reference: Final = wide_reference
        """Parts are numbered with 16 bits instead of 8. With SAR or message_payload: whether the
        SMSC's own headers take the room that this does."""
        self.smart: Final = smart
        """Whether typographic characters are replaced unless a request says otherwise
        (`smart.py`)."""
        assert self.alphabet is DefaultAlphabet.GSM7 or not (self.national or self.packed)


PLAIN = TextStyle()
"""GSM 7-bit, unpacked, 8-bit references: what a carrier is taken for that says nothing else."""


def narrow(style: TextStyle) -> TextStyle:
    """Return the style with 8-bit references, which leave the most room in a part."""
    if not style.wide_reference:
        return style
    return replace(style, wide_reference=False)
