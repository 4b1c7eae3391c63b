"""Gives the price of a segment back when it ends in a way that is not to be paid for.

Which ways these are: `credit/refunds.py`. That it happens once, however often a segment's end is
told, and how much it is: `store/money.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.credit.refunds import RefundRules
from gateway.lifecycle import EventKind
from gateway.outcomes import Event
from gateway.record import replace


class Refunds:
    def __init__(self, rules: RefundRules, refund: Callable[[Event], None]) -> None:
        self.rules = rules
        self._refund = refund

    def ended(self, event: Event) -> None:
        """Refund the segment that has got a final state by `event`, if that is due."""
        carrier_id = event.carrier_id
        if carrier_id is None:
            return
        reason = self.rules.reason(
            event.account_id, carrier_id, event.segment_status, event.error or ""
        )
        if reason:
            self._refund(
                replace(
                    event, kind=EventKind.REFUND, carrier_message_id=None, code=None, error=reason
                )
            )
