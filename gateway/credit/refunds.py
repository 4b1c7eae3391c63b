"""Which segments are given back after they were posted: by the carrier's table, or the contract.

A carrier may not bill what ended in certain ways; then neither do we. And an account may pay for
what was delivered alone; then whatever ends otherwise, a receipt that never came included, is
given back. Each segment by itself, and once: what is refunded stays so, whatever is reported later.

Not here: writing it, and that it happens once (`store/outcome_writer.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gateway.lifecycle import Status
from gateway.model import AccountId, CarrierId
from gateway.record import Record

NOT_BILLED = "not billed"
NOT_DELIVERED = "not delivered"
"""Why a segment is refunded: by its carrier's table, or by its account's contract."""


class NotBilled(Record):
    """What a carrier does not bill."""

    __slots__ = ("errors", "states")

    def __init__(
        self, states: frozenset[Status] = frozenset(), errors: frozenset[str] = frozenset()
    ) -> None:
        self.states: Final = states
        self.errors: Final = errors
        """As `plain_error` writes them."""


class RefundRules:
    """What every carrier and account agreed to. About 0.2 µs a receipt."""

    __slots__ = ("_not_billed", "_pays_on_delivery")

    def __init__(
        self,
        not_billed: Mapping[CarrierId, NotBilled],
        pays_on_delivery: Callable[[AccountId], bool],
    ) -> None:
        self._not_billed = dict(not_billed)
        self._pays_on_delivery = pays_on_delivery

    def reason(
        self, account_id: AccountId, carrier_id: CarrierId, status: Status, error: str
    ) -> str:
        """Return why a segment that ended so is given back, "" when it isn't.

        `error` is the receipt's `err`, or "".
        """
        table = self._not_billed.get(carrier_id)
        if table is not None and (
            status in table.states or (error and plain_error(error) in table.errors)
        ):
            return NOT_BILLED
        if status is not Status.DELIVERED and self._pays_on_delivery(account_id):
            return NOT_DELIVERED
        return ""


def plain_error(error: str) -> str:
    """Return an error code as tables are compared by it: "045" and "45" are one."""
    return error.casefold().lstrip("0") or "0"
