"""A carrier's message ids, brought to one form so that response and receipt agree.

Many carriers write the same id in two ways: hexadecimal in `submit_sm_resp` and decimal in the
receipt (or the reverse), with zeros in front on one side, in another case. A rule says how each
side writes; both sides are normalised, and what is compared and stored is the normal form.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from gateway.record import Record, replace

ID_CHARACTERS_MAX = 255
"""Longer is no id (SMPP: 64). An id becomes a key in an index, which has its limits."""

PADDED_CHARACTERS_MAX = 20
"""How wide a number that carriers pad with zeros is at most: 64 bits have twenty digits."""

_PADDING = " \t\r\n\0"


class IdForm(enum.StrEnum):
    """How a carrier writes its ids on one side."""

    STRING = "string"
    HEX = "hex"
    DECIMAL = "decimal"


def normalise_id(raw: str, form: IdForm = IdForm.STRING, strip_zeros: bool = False) -> str:
    """Return the normal form of an id; never raises.

    Hexadecimal and decimal become decimal without zeros in front. A string keeps its zeros,
    unless told otherwise, and loses its case; so does an id that is not the number that `form`
    promises (a UUID from a carrier of decimals stays comparable with itself). What is too long
    for an id is cut: no receipt will match it, but that the message was taken can be stored.
    """
    trimmed = raw.strip(_PADDING)[:ID_CHARACTERS_MAX]
    if form is IdForm.DECIMAL and trimmed.isascii() and trimmed.isdigit():
        return trimmed.lstrip("0") or "0"
    # int() would also take a sign, underscores and other scripts' digits.
    if form is IdForm.HEX and trimmed.isascii() and trimmed.isalnum():
        with suppress(ValueError):
            return str(int(trimmed, 16))
    folded = trimmed.casefold()
    if strip_zeros and folded:
        return folded.lstrip("0") or "0"
    return folded


class IdRule(Record):
    """How one carrier writes ids in its responses and in its receipts."""

    __slots__ = ("receipt", "response", "strip_zeros")

    def __init__(
        self,
        response: IdForm = IdForm.STRING,
        receipt: IdForm = IdForm.STRING,
        strip_zeros: bool = False,
    ) -> None:
        self.response: Final = response
        self.receipt: Final = receipt
        self.strip_zeros: Final = strip_zeros
        """Whether zeros in front of a string are padding."""

    def normalise_response(self, raw: str) -> str:
        return normalise_id(raw, self.response, self.strip_zeros)

    def normalise_receipt(self, raw: str) -> str:
        return normalise_id(raw, self.receipt, self.strip_zeros)

    def agrees(self, response: str, receipt: str) -> bool:
        """Whether a response's id and a receipt's are the same one."""
        return self.normalise_response(response) == self.normalise_receipt(receipt) != ""

    def restore_response(self, normal: str) -> str:
        """Return an id as the carrier may have written it in its response, but for its case and
        its zeros in front."""
        if self.response is IdForm.HEX and normal.isascii() and normal.isdigit():
            return format(int(normal), "x")
        return normal


class FormerRule(Record):
    """A rule that held from `since` to before `until` (wall clock)."""

    __slots__ = ("rule", "since", "until")

    def __init__(self, rule: IdRule, since: float, until: float) -> None:
        self.rule: Final = rule
        self.since: Final = since
        self.until: Final = until


def spell_formerly(raw: str, rule: IdRule, former: IdRule) -> tuple[str, ...]:
    """Return each form in which `former` may have stored the id of a submission that `rule` finds
    for the id of a receipt.

    There are several where one rule takes for padding what the other kept.
    """
    normal = rule.normalise_receipt(raw)
    number = rule.response is not IdForm.STRING and normal.isascii() and normal.isdigit()
    shortest = format(int(normal), "x") if number and rule.response is IdForm.HEX else normal
    widest = PADDED_CHARACTERS_MAX if number or rule.strip_zeros else 0
    widths = range(len(shortest), max(len(shortest), widest) + 1)
    written = (shortest.rjust(width, "0") for width in widths)
    forms = (former.normalise_response(w) for w in written if rule.normalise_response(w) == normal)
    return tuple(dict.fromkeys(forms))


# Kannel's `msg-id-type` (unset there is the default rule here) and Jasmin's `dlr_msgid`, for
# whoever moves a carrier's settings over.
RULE_OF_MSG_ID_TYPE = {
    0: IdRule(IdForm.DECIMAL, IdForm.DECIMAL),
    1: IdRule(IdForm.HEX, IdForm.DECIMAL),
    2: IdRule(IdForm.DECIMAL, IdForm.HEX),
    3: IdRule(IdForm.HEX, IdForm.HEX),
}
RULE_OF_DLR_MSGID = {
    0: IdRule(),
    1: IdRule(IdForm.HEX, IdForm.DECIMAL),
    2: IdRule(IdForm.DECIMAL, IdForm.HEX),
}


class Proposal(Record):
    """The rule under which `matched` of `observed` pairs agree."""

    __slots__ = ("matched", "observed", "rule", "unexplained")

    def __init__(
        self,
        rule: IdRule,
        matched: int,
        observed: int,
        unexplained: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.rule: Final = rule
        self.matched: Final = matched
        self.observed: Final = observed
        self.unexplained: Final = unexplained
        """The other pairs."""


# From the plainest to the least plain: a rule that changes less is the better explanation.
_CANDIDATES = (
    IdRule(),
    IdRule(strip_zeros=True),
    IdRule(IdForm.HEX, IdForm.DECIMAL),
    IdRule(IdForm.DECIMAL, IdForm.HEX),
    IdRule(IdForm.HEX, IdForm.HEX),
)


def propose_rule(pairs: Iterable[tuple[str, str]]) -> Proposal | None:
    """Return the rule that explains most of the observed (response id, receipt id) pairs.

    Of equals the plainest; None when no rule explains any pair.
    """
    observed = list(pairs)
    best: Proposal | None = None
    for rule in _CANDIDATES:
        matched = sum(rule.agrees(response, receipt) for response, receipt in observed)
        if matched > (best.matched if best else 0):
            best = Proposal(rule, matched, len(observed))
    if best is None:
        return None
    unexplained = tuple(pair for pair in observed if not best.rule.agrees(*pair))
    return replace(best, unexplained=unexplained)
