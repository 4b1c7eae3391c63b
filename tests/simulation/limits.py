"""The gateway's settings in a simulated world: everything sooner than in the real one."""

from __future__ import annotations

from gateway.retry import RetryLimits
from gateway.throttle.adaptive import AdaptiveLimits

SEGMENT_MICROS = 70
SEGMENTS_MAX = 3

LIMITS = RetryLimits(attempts_max=5, first_s=0.5, max_s=4.0)
RECOVERY = AdaptiveLimits(recover_share=0.1, floor_share=0.2)
