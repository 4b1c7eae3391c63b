"""The data_coding of a content beyond its encoding's own: message classes and waiting messages.

3GPP TS 23.038 §4. What each value says of a character set is read where messages come in
(`gateway/inbound/content.py`, `gateway/upstream/content.py`).
"""

from __future__ import annotations

import enum

from gateway.model import Encoding

MESSAGE_CLASS_MAX = 3
"""0 is shown at once and kept nowhere ("flash"), 1 is for the handset, 2 for the SIM card, 3 for
what is connected to it."""


class ClassForm(enum.StrEnum):
    """In which of two groups of values a carrier wants to be told a message class."""

    GENERAL = "general"
    """0x10 to 0x1B, class and character set beside each other."""
    CLASS = "class"
    """0xF0 to 0xF7; there is no UCS-2 among them, which stays in the general group."""


_CLASS_BASES = {
    ClassForm.GENERAL: {
        Encoding.GSM7: 0x10,
        Encoding.LATIN1: 0x10,
        Encoding.BINARY: 0x14,
        Encoding.UCS2: 0x18,
    },
    ClassForm.CLASS: {
        Encoding.GSM7: 0xF0,
        Encoding.LATIN1: 0xF0,
        Encoding.BINARY: 0xF4,
        Encoding.UCS2: 0x18,
    },
}


def class_coding(
    encoding: Encoding, message_class: int, form: ClassForm = ClassForm.GENERAL
) -> int:
    """Return the data_coding of a content with a message class."""
    assert 0 <= message_class <= MESSAGE_CLASS_MAX
    return _CLASS_BASES[form][encoding] | message_class


def adapt_coding(data_coding: int, encoding: Encoding, form: ClassForm) -> int:
    """Return a client's data_coding as it has to be for the encoding that its text took here.

    A message class is told in the carrier's form, the indication of a waiting message stays what
    it is; every other value says nothing besides the encoding and is passed on.
    """
    group = data_coding >> 4
    if group in (0x1, 0xF):
        return class_coding(encoding, data_coding & 0x03, form)
    if encoding is Encoding.UCS2 and group in (0xC, 0xD):
        return 0xE0 | data_coding & 0x0F
    if encoding is not Encoding.UCS2 and group == 0xE:
        return 0xD0 | data_coding & 0x0F
    return data_coding
