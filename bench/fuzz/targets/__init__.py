"""All targets by name."""

from __future__ import annotations

from bench.fuzz.target import Target
from bench.fuzz.targets import messages, pdus, receipts, sessions, texts

TARGETS: dict[str, Target] = {
    target.name: target
    for room in (pdus, texts, receipts, messages, sessions)
    for target in room.TARGETS
}
