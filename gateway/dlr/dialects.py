"""How carriers differ in their receipts, as data.

`parse.py` reads every known shape of a receipt by itself; a dialect says only what a receipt
can't: the clock that its dates are in, whose words mean what, which form its ids have. A carrier
names one of `DIALECTS` and its own settings are put over it with `msgspec.structs.replace`.
"""

from __future__ import annotations

import msgspec

from gateway.dlr.ids import IdForm, IdRule
from gateway.lifecycle import Status


class ErrorMeaning(msgspec.Struct, frozen=True, gc=False):
    """What one carrier means by an error code of a receipt."""

    detail: str
    permanent: bool | None = None
    """Whether trying again is useless; None when the carrier does not say."""


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One carrier's way of writing receipts."""

    name: str
    utc_offset_minutes: int = 0
    """What the carrier's clock is ahead of UTC; its dates carry no zone."""
    text_pattern: bool = False
    """Whether a `deliver_sm` with nothing but a receipt's text is one. Only for carriers that
    mark receipts in no other way: anyone can send a text that looks like a receipt."""
    statuses: dict[str, Status] = {}
    """What a word in `stat` means here, before what it means to everyone; keys in capitals.
    A state that comes as a TLV is looked up by its word too."""
    errors: dict[str, ErrorMeaning] = {}
    """Codes of `err`, and of `network_error_code` as `Receipt.network_error` writes them."""
    network_error_ascii: bool = True
    """Whether three digits in the network_error_code TLV are text (`034`). Read as the
    specification has it they would be a network type above 0x2F, and none exists."""
    ids: IdRule = IdRule()

    def __post_init__(self) -> None:
        for word in self.statuses:
            if word != word.upper():
                raise ValueError(f"dialect {self.name}: status word {word!r} is not in capitals")

    def explain(self, error: str, network_error: str = "") -> ErrorMeaning | None:
        """Return what this carrier means by a receipt's codes, None when it never said."""
        return self.errors.get(error) or self.errors.get(network_error)


DEFAULT = Dialect(name="default")

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        DEFAULT,
        # Ids: the same number in two notations, or with zeros in front on one side.
        Dialect(name="hex-response", ids=IdRule(IdForm.HEX, IdForm.DECIMAL)),
        Dialect(name="hex-receipt", ids=IdRule(IdForm.DECIMAL, IdForm.HEX)),
        Dialect(name="zero-padded", ids=IdRule(strip_zeros=True)),
        # Receipts without a mark in esm_class and without TLVs.
        Dialect(name="unmarked", text_pattern=True),
        # Carriers without handset receipts, whose last word is that they took the message.
        Dialect(name="accepted-is-delivered", statuses={"ACCEPTD": Status.DELIVERED}),
    )
}
