"""Message classes and waiting messages, in each form of data_coding."""

from __future__ import annotations

import pytest

from gateway.model import Encoding
from gateway.text.coding import ClassForm, adapt_coding, class_coding

GSM7, UCS2, BINARY, LATIN1 = Encoding.GSM7, Encoding.UCS2, Encoding.BINARY, Encoding.LATIN1
GENERAL, CLASS = ClassForm.GENERAL, ClassForm.CLASS


@pytest.mark.parametrize(
    ("encoding", "form", "base"),
    [
        (GSM7, GENERAL, 0x10),
        (LATIN1, GENERAL, 0x10),
        (BINARY, GENERAL, 0x14),
        (UCS2, GENERAL, 0x18),
        (GSM7, CLASS, 0xF0),
        (LATIN1, CLASS, 0xF0),
        (BINARY, CLASS, 0xF4),
        (UCS2, CLASS, 0x18),  # the group has no UCS-2
    ],
)
def test_a_message_class_has_its_data_coding_in_either_group(
    encoding: Encoding, form: ClassForm, base: int
) -> None:
    assert [class_coding(encoding, c, form) for c in range(4)] == [*range(base, base + 4)]


@pytest.mark.parametrize(
    ("data_coding", "encoding", "form", "adapted"),
    [
        # a class keeps its number, whatever the text became and however the carrier is told
        (0x10, GSM7, GENERAL, 0x10),
        (0x10, GSM7, CLASS, 0xF0),
        (0x10, UCS2, CLASS, 0x18),
        (0x12, LATIN1, GENERAL, 0x12),
        (0x1B, GSM7, GENERAL, 0x13),
        (0xF1, GSM7, GENERAL, 0x11),
        (0xF1, UCS2, GENERAL, 0x19),
        (0xF5, BINARY, GENERAL, 0x15),
        (0x16, BINARY, CLASS, 0xF6),
        # a waiting message keeps its indication
        (0xC8, GSM7, GENERAL, 0xC8),
        (0xC8, UCS2, GENERAL, 0xE8),
        (0xD9, UCS2, CLASS, 0xE9),
        (0xE8, GSM7, GENERAL, 0xD8),
        (0xE8, UCS2, GENERAL, 0xE8),
        # everything else is the client's business
        (0x03, BINARY, GENERAL, 0x03),
        (0x04, BINARY, CLASS, 0x04),
        (0x51, GSM7, CLASS, 0x51),
        (0x80, GSM7, GENERAL, 0x80),
    ],
)
def test_what_a_client_said_is_said_again_in_the_carriers_form(
    data_coding: int, encoding: Encoding, form: ClassForm, adapted: int
) -> None:
    assert adapt_coding(data_coding, encoding, form) == adapted
