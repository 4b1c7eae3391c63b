"""Character tables as data (3GPP TS 23.038 §6.2.1, Unicode 1:1).

A table of 128 is written as eight rows of sixteen, in code order. National language tables
(§6.2.1.2, annex A) are added here: a locking shift table replaces `GSM_DEFAULT`, a single shift
table replaces `GSM_EXTENSION`, and `gateway.text.alphabet.Alphabet` joins any two of them.
"""

from __future__ import annotations

from types import MappingProxyType

ESCAPE = 0x1B
"""The septet that says: look the next one up in the extension table. Never a character itself."""

# Easily mistaken: 0x09 is the capital C with cedilla (old mapping files have the small one), and
# the Greek capitals at 0x10-0x1A are only those that don't look like Latin ones.
GSM_DEFAULT = (
    "@£$¥èéùìòÇ\nØø\rÅå"  # 0x00
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"  # 0x10
    " !\"#¤%&'()*+,-./"  # 0x20
    "0123456789:;<=>?"  # 0x30
    "¡ABCDEFGHIJKLMNO"  # 0x40
    "PQRSTUVWXYZÄÖÑÜ§"  # 0x50
    "¿abcdefghijklmno"  # 0x60
    "pqrstuvwxyzäöñüà"  # 0x70
)

GSM_EXTENSION = MappingProxyType(
    {
        0x0A: "\f",
        0x14: "^",
        0x28: "{",
        0x29: "}",
        0x2F: "\\",
        0x3C: "[",
        0x3D: "~",
        0x3E: "]",
        0x40: "|",
        0x65: "€",
    }
)
