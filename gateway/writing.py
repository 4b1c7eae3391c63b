"""How one carrier wants submissions written.

Not here: who writes them (`outgoing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.record import Record, replace
from gateway.smpp.passing import ALL_PASS, TlvRule
from gateway.smpp.shapes import SubmitTemplate
from gateway.text.coding import ClassForm
from gateway.text.sender import SenderForm
from gateway.text.style import PLAIN, LongForm, TextStyle


class Writing(Record):
    """How one carrier wants a submission written."""

    __slots__ = (
        "class_form",
        "data_codings",
        "former",
        "other_codings",
        "send_validity",
        "sender_form",
        "source_npi",
        "source_ton",
        "style",
        "template",
        "tlvs",
    )

    def __init__(
        self,
        *,
        template: SubmitTemplate,
        style: TextStyle = PLAIN,
        source_ton: int = -1,
        source_npi: int = -1,
        sender_form: SenderForm = SenderForm.LATIN1,
        data_codings: tuple[int, int, int, int] = (0, 8, 4, 0),
        class_form: ClassForm = ClassForm.GENERAL,
        other_codings: Mapping[int, int] | None = None,
        send_validity: bool = True,
        tlvs: TlvRule = ALL_PASS,
        former: TextStyle | None = None,
    ) -> None:
        self.template: Final = template
        self.style: Final = style
        self.source_ton: Final = source_ton
        """-1: from the sender's form."""
        self.source_npi: Final = source_npi
        self.sender_form: Final = sender_form
        self.data_codings: Final = data_codings
        """By Encoding."""
        self.class_form: Final = class_form
        self.other_codings: Final[Mapping[int, int]] = other_codings or {}
        """What it wants instead of a data_coding, whoever chose that."""
        self.send_validity: Final = send_validity
        self.tlvs: Final = tlvs
        self.former: Final = former
        """How texts were written before: for what was counted so and does not fit `style`."""

    def after(self, before: Writing) -> Writing:
        """Return this one as it takes the place of another."""
        former = before.former if before.style == self.style else before.style
        whole = self.style.long is LongForm.PAYLOAD
        if former is None or (former.long is LongForm.PAYLOAD) is not whole:
            return self  # what leaves whole has to be cut whole
        return replace(self, former=former)
