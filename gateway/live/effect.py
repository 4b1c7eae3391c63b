"""When a changed setting takes effect: at once, or at the next start.

What is not named here takes effect at once.
"""

from __future__ import annotations

from typing import Final

AT_START: Final = (
    "node",
    "http",
    "smpp",
    "log",
    "webhooks",
    "email",
    "messages.reassembly_s",
    "dispatch.queue_messages_max",
    "dispatch.outcomes_waiting_max",
    "dispatch.references_max",
)
"""Keys, and tables with all their keys."""

AT_ONCE: Final = frozenset(
    {
        *("messages", "dispatch", "privacy"),
        *("carrier", "route", "sender", "margin"),
        *("plan", "price", "price_list", "cost", "cost_list"),
    }
)
"""Tables of which at least something takes effect at once. Whoever adds a table names it here, when
`Parts` passes it on to what goes by it or commands alone read it (`privacy`), or above."""


def waits_for_start(key: str) -> bool:
    """Say whether a change of this key waits for the next start."""
    return any(key == late or key.startswith(f"{late}.") for late in AT_START)
