"""All targets by name."""

from __future__ import annotations

from bench.fuzz.target import Target
from bench.fuzz.targets import pdus, receipts, sessions, texts

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (*pdus.TARGETS, *texts.TARGETS, *receipts.TARGETS, *sessions.TARGETS)
}
