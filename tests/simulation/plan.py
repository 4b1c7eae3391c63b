"""How bad a simulated world is. Drawn from the seed, as everything else that happens in it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Plan:
    """Shares are of submissions, commits or restarts; what is named `per_s` is a rate."""

    trouble_s: float = 30.0
    """So long things go wrong; then it calms down, and everything has to come to its end."""
    messages: int = 40
    carriers: int = 2
    binds: int = 2
    window: int = 3
    held: int = 6
    """Messages a shelf has room for."""
    rate_per_s: float = 0.0
    burst: int = 1
    account_per_s: float = 0.0
    """The second account's ceiling."""
    ireland_per_s: float = 0.0
    """The first carrier's ceiling for some numbers."""
    hold: frozenset[int] = frozenset()
    """Carriers whose policy is at most once."""
    whole: frozenset[int] = frozenset()
    """Carriers that take a long message in one PDU."""
    crashes_per_s: float = 0.0
    drops_per_s: float = 0.0
    cancels_per_s: float = 0.0
    replacements_per_s: float = 0.0
    dead: int = 0
    """The carrier whose binds never come back when it calms down; 0: none."""
    drains_per_s: float = 0.0
    """How often a carrier is drained by hand, or resumed."""
    changes_per_s: float = 0.0
    """How often a carrier is taken out while the gateway runs, and put in again; or pauses."""
    removed: float = 0.0
    """Starts at which one of the carriers is not configured."""
    throttled: float = 0.0
    refused: float = 0.0
    """By one status or another: for now, for good, by this carrier, for the session's sake."""
    silent: float = 0.0
    receipts_s: float = 20.0
    """How late a receipt may be."""
    slow: float = 0.0
    """Statements, or their answers, that take seconds."""
    late_announcements: float = 0.0
    """Commits that take a while to become known, because their connection broke."""

    clock_sets_per_s: float = 0.0
    """How often somebody sets the gateway's time of day, ahead or back."""
    asked_again: float = 0.0
    """Look-ups at which an operator has asked for all parked receipts to be tried again."""

    @classmethod
    def draw(cls, chance: Random) -> Plan:
        """Draw a world in which about half of everything that can go wrong does."""

        def sometimes(most: float) -> float:
            return chance.choice((0.0, chance.uniform(0, most)))

        def some_carriers() -> frozenset[int]:
            return frozenset(c for c in range(1, carriers + 1) if chance.random() < 0.25)

        carriers = chance.randint(1, 3)
        return cls(
            messages=chance.randint(10, 60),
            carriers=carriers,
            binds=chance.randint(1, 2),
            window=chance.randint(1, 5),
            held=chance.choice((2, 5, 50)),
            rate_per_s=chance.choice((0.0, 4.0, 20.0)),
            burst=chance.choice((1, 3)),
            account_per_s=chance.choice((0.0, 0.0, 3.0)),
            ireland_per_s=chance.choice((0.0, 0.0, 2.0)),
            hold=some_carriers(),
            whole=some_carriers(),
            crashes_per_s=sometimes(0.2),
            drops_per_s=sometimes(0.4),
            cancels_per_s=sometimes(0.4),
            replacements_per_s=sometimes(0.4),
            dead=chance.choice((0, 0, chance.randint(1, carriers))),
            drains_per_s=sometimes(0.3),
            changes_per_s=sometimes(0.2),
            removed=sometimes(0.8),
            throttled=sometimes(0.3),
            refused=sometimes(0.3),
            silent=sometimes(0.1),
            slow=sometimes(0.2),
            late_announcements=sometimes(0.2),
            asked_again=sometimes(0.5),
            clock_sets_per_s=sometimes(0.2),
        )
