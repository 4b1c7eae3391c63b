"""How one carrier wants submissions written.

Not here: who writes them (`outgoing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.smpp.passing import TlvRule
from gateway.smpp.shapes import SubmitTemplate
from gateway.text.coding import ClassForm
from gateway.text.sender import SenderForm
from gateway.text.style import PLAIN, LongForm, TextStyle


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """How one carrier wants a submission written."""

    template: SubmitTemplate
    style: TextStyle = PLAIN
    source_ton: int = -1
    """-1: from the sender's form."""
    source_npi: int = -1
    sender_form: SenderForm = SenderForm.LATIN1
    data_codings: tuple[int, int, int, int] = (0, 8, 4, 0)
    """By Encoding."""
    class_form: ClassForm = ClassForm.GENERAL
    other_codings: Mapping[int, int] = {}
    """What it wants instead of a data_coding, whoever chose that."""
    send_validity: bool = True
    tlvs: TlvRule = TlvRule()
    former: TextStyle | None = None
    """How texts were written before: for what was counted so and does not fit `style`."""

    def after(self, before: Writing) -> Writing:
        """Return this one as it takes the place of another."""
        former = before.former if before.style == self.style else before.style
        whole = self.style.long is LongForm.PAYLOAD
        if former is None or (former.long is LongForm.PAYLOAD) is not whole:
            return self  # what leaves whole has to be cut whole
        return msgspec.structs.replace(self, former=former)
