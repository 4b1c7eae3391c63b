"""What operators are shown of personal data: what was erased and what was written out, for whom.

Not here: what is told of messages (`views.py`), what of them is counted (`reports.py`).
"""

from __future__ import annotations

import msgspec


class ErasureView(msgspec.Struct, frozen=True, kw_only=True):
    """That a number was erased, or is being erased: who asked for it, when, and why."""

    id: str
    account: str
    """Whose messages; empty: every account's."""
    number_hash: str
    """HMAC-SHA-256 of the number's digits, in hex."""
    reason: str
    author: str
    cancel: bool
    """Whether what had not left was to be withdrawn."""
    requested_at: str
    looked_at: str
    """When it was last gone through; empty: it has not begun."""
    finished_at: str
    """Empty as long as something waits to be erased."""
    messages_waiting: int
    """Messages that were found and are not erased yet."""
    erased: dict[str, int]
    """How many rows of what."""


class ErasureStatus(ErasureView, frozen=True, kw_only=True):
    """An erasure, and what it waits for."""

    waiting_for: list[str]
    """The first of the messages that have to end before."""


class ErasureList(msgspec.Struct, frozen=True, kw_only=True):
    """Erasures, newest first."""

    erasures: list[ErasureView]


class ExportView(msgspec.Struct, frozen=True, kw_only=True):
    """That everything about a number was written out: for whom, when, and why."""

    id: str
    account: str
    """Whose messages; empty: every account's."""
    number_hash: str
    """HMAC-SHA-256 of the number's digits, in hex."""
    reason: str
    author: str
    begun_at: str
    ended_at: str
    """Empty: it was not written to its end, or is being written."""
    rows: int


class ExportList(msgspec.Struct, frozen=True, kw_only=True):
    """Exports, newest first."""

    exports: list[ExportView]
