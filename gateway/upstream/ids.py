"""Message ids as an account wants them written: in decimal, or in hexadecimal."""

from __future__ import annotations

import enum

from gateway.model import MessageId

ID_MAX = 2**63 - 1


class IdForm(enum.StrEnum):
    """How ids are written in answers and receipts, and read in queries."""

    DECIMAL = "decimal"
    HEX = "hex"


def format_id(message_id: MessageId, form: IdForm) -> str:
    """Write an id; hexadecimal in small letters, without zeros in front."""
    return str(message_id) if form is IdForm.DECIMAL else f"{message_id:x}"


def parse_id(raw: str, form: IdForm) -> MessageId | None:
    """Read an id back, with zeros in front and in either case; None for what can't be one."""
    digits = raw.strip()
    if not (digits.isascii() and digits.isalnum()):
        return None  # int() would also take signs, underscores and other scripts' digits
    try:
        number = int(digits, 10 if form is IdForm.DECIMAL else 16)
    except ValueError:
        return None
    return MessageId(number) if 0 < number <= ID_MAX else None
