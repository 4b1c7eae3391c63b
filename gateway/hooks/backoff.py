"""When a webhook is tried again, and when it is given up. Times are seconds since the epoch."""

from __future__ import annotations

import msgspec

from gateway.config import Webhooks

_DOUBLINGS_MAX = 32
"""Keeps 2**n a sensible number; `retry_max_s` has bound the delay long before."""


class GiveUp(msgspec.Struct, frozen=True):
    """The next attempt would come after `give_up_after_s`."""


def next_attempt(
    attempts: int,
    created_at: float,
    now: float,
    settings: Webhooks,
    jitter: float,
    wait_s: float = 0.0,
) -> float | GiveUp:
    """Return when to try again after `attempts` failures in a row (at least one).

    The delay doubles from `retry_first_s` to `retry_max_s`; `jitter` in [0, 1) takes up to half of
    it away, so that endpoints that failed together do not come back together. `wait_s` is what the
    customer asked for at least.
    """
    assert attempts >= 1
    assert 0.0 <= jitter < 1.0
    doublings = min(attempts - 1, _DOUBLINGS_MAX)
    delay_s = min(settings.retry_first_s * 2**doublings, settings.retry_max_s)
    at = now + max(delay_s * (1.0 - jitter / 2), wait_s)
    return at if at <= created_at + settings.give_up_after_s else GiveUp()
