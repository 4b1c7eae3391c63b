"""The gateway's settings in a simulated world: everything sooner than in the real one."""

from __future__ import annotations

from gateway.credit.refunds import NotBilled, RefundRules
from gateway.lifecycle import Status
from gateway.model import AccountId, CarrierId
from gateway.retry import RetryLimits
from gateway.throttle.adaptive import AdaptiveLimits

SEGMENT_MICROS = 70
SEGMENTS_MAX = 3

LIMITS = RetryLimits(attempts_max=5, first_s=0.5, max_s=4.0)
RECOVERY = AdaptiveLimits(recover_share=0.1, floor_share=0.2)

PAYS_ON_DELIVERY = 1
"""An account."""
DOES_NOT_BILL_FAILURES = CarrierId(2)
REFUND_RULES = RefundRules(
    {DOES_NOT_BILL_FAILURES: NotBilled(frozenset({Status.UNDELIVERED}))},
    lambda account_id: account_id == PAYS_ON_DELIVERY,
)

LIMITED_ACCOUNT = AccountId(2)
LIMITED_CARRIER = CarrierId(1)
IRELAND = "353"
