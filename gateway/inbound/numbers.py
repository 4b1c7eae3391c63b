"""Whose number it is that a phone wrote to: long numbers and short codes, by carrier or for all.

Pure. Not here: where the numbers are kept and who changes them (`gateway/store/inbound.py`,
`gateway number`).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.model import AccountId, CarrierId

NOBODY = AccountId(0)
"""Stands for the owner of a number that nobody owns; accounts count from 1."""

ADDRESS_CHARS_MAX = 64
"""SMPP allows 20; what is longer is no number that anybody could own."""

_ABROAD = "00"
_ABROAD_DIGITS_MIN = 9
"""With fewer digits, zeros in front are a short code's own."""


class OwnedNumber(msgspec.Struct, frozen=True, gc=False):
    """One number and the account that gets what phones send to it."""

    number: str
    """As `plain_number` writes it."""
    account_id: AccountId
    carrier_id: CarrierId | None = None
    """None: through whichever carrier it comes."""
    keyword: str = ""
    """Empty: whatever the text says. Nothing else is looked at yet."""


class Owners:
    """All numbers that are owned, for look-ups."""

    def __init__(self, numbers: Iterable[OwnedNumber] = ()) -> None:
        self._owners = {
            (number.number, number.carrier_id): number.account_id
            for number in numbers
            if not number.keyword
        }

    def find(self, carrier_id: CarrierId, recipient: str) -> AccountId:
        """Return whose `recipient` is; NOBODY if nobody's.

        A carrier's own entry counts before the one for all carriers: a short code may be one
        account's at one operator and another's elsewhere.
        """
        own = self._owners.get((recipient, carrier_id))
        return self._owners.get((recipient, None), NOBODY) if own is None else own


def plain_number(address: str) -> str:
    """Return an address in the one form in which it is kept and compared: digits without + or 00.

    What is no number stays as it is. Carriers write the same number in each of these ways.
    """
    address = address.strip()[:ADDRESS_CHARS_MAX]
    digits = address.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return address
    if digits.startswith(_ABROAD) and len(digits) >= _ABROAD_DIGITS_MIN:
        return digits.removeprefix(_ABROAD)
    return digits
