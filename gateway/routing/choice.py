"""In which order a route's carriers are tried for one message.

The first is chosen as the route says; the others follow in the order of the settings, as those who
take over. Nothing is random: the same messages in the same order take the same ways.

Not here: which of them is well now (`choose.py`, asked when a message leaves), who is too dear
(`margins.py`).
"""

from __future__ import annotations

import enum
import hashlib
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from gateway.errors import ConfigError
from gateway.model import CarrierId, Micros

ROTA_TURNS_MAX: Final = 1_000
"""Weights that have no common divisor add up to this at most: 0.1 % is as fine as it gets."""

RING_POINTS: Final = 64
"""Points of each choice: shares then differ by an eighth or so."""
RING_CHOICES_MAX: Final = 1_000
"""64,000 points, some 6 MB and a fifth of a second when settings are read."""

CostOf = Callable[[CarrierId], Micros | None]
"""Tells what a carrier takes for a segment of the message in question; None: nobody knows."""


class Choose(enum.StrEnum):
    """How the first carrier is chosen."""

    ORDER = "order"
    """As the route lists them."""
    WEIGHTS = "weights"
    """In turn, each as often as its weight says."""
    ROUND_ROBIN = "round_robin"
    """In turn, all alike."""
    LEAST_COST = "least_cost"
    """The cheapest for this number; the others follow by cost too."""
    STICKY_SENDER = "sticky_sender"
    """One sender always through the same."""


class Rota:
    """Whose turn it is, spread evenly: weights 2 and 1 make A B A, never A A B twice in a row.

    One object a route. `present` only looks, so that a quote takes nobody's turn.
    """

    __slots__ = ("_orders", "_turn")

    def __init__(self, carriers: Sequence[CarrierId], weights: Sequence[int]) -> None:
        """Raises ConfigError for weights that can't be used."""
        self._orders = [_led_by(carriers, first) for first in _spread(carriers, weights)]
        self._turn = 0

    def present(self) -> tuple[CarrierId, ...]:
        """Return the carriers in the order of this turn."""
        return self._orders[self._turn]

    def advance(self) -> None:
        """Note that a message took this turn."""
        self._turn = (self._turn + 1) % len(self._orders)

    def share(self, carrier: CarrierId) -> float:
        """Return how often a carrier comes first, 0 to 1."""
        return sum(order[0] == carrier for order in self._orders) / len(self._orders)


def build_rota(
    choose: Choose, carriers: Sequence[CarrierId], weights: Sequence[int], key: str = "route"
) -> Rota | None:
    """Return the rota of a route whose carriers take turns, else None; raises ConfigError."""
    if choose is Choose.WEIGHTS:
        if len(weights) != len(carriers):
            raise ConfigError(
                f"{key}.weights", f"{len(carriers)} carriers need as many weights, in their order"
            )
        try:
            return Rota(carriers, weights)
        except ConfigError as error:
            raise ConfigError(f"{key}.weights", error.detail) from None
    if weights:
        raise ConfigError(f"{key}.weights", 'goes with choose = "weights" alone')
    return Rota(carriers, [1] * len(carriers)) if choose is Choose.ROUND_ROBIN else None


def order_by_cost(carriers: Sequence[CarrierId], cost_of: CostOf) -> tuple[CarrierId, ...]:
    """Return the carriers from the cheapest on; among equals, and those without a known cost,
    which come last, in the order of the settings."""
    costs = {carrier: cost_of(carrier) for carrier in carriers}
    return tuple(sorted(carriers, key=lambda carrier: _dearness(costs[carrier])))


def order_by_sender(
    carriers: Sequence[CarrierId], names: Sequence[str], sender: str
) -> tuple[CarrierId, ...]:
    """Return the carriers in an order that is the sender's own; `names` are theirs.

    The greatest hash of both names comes first, so that a carrier that is added or taken out
    changes the way only of the senders that go to it or came from it.
    """
    weighed = sorted(zip(map(partial(_weigh, sender), names), carriers, strict=True), reverse=True)
    return tuple([carrier for _, carrier in weighed])


class Ring:
    """Gives every key one of some choices, and nearly always the same one when choices change.

    A consistent hash: choices stand at many points of a circle, and a key goes to the next point.
    About 2 µs a key, however many choices there are.
    """

    __slots__ = ("_owners", "_points")

    def __init__(self, choices: Sequence[str]) -> None:
        """Raises ConfigError for more than RING_CHOICES_MAX."""
        if len(choices) > RING_CHOICES_MAX:
            raise ConfigError("pool", f"a pool has at most {RING_CHOICES_MAX:,} members")
        points = sorted(
            (_weigh(choice, str(place)), choice)
            for choice in choices
            for place in range(RING_POINTS)
        )
        self._points = [point for point, _ in points]
        self._owners = [choice for _, choice in points]

    def pick(self, key: str) -> str:
        """Return the choice that belongs to the key."""
        place = bisect_left(self._points, _weigh(key, ""))
        return self._owners[place % len(self._owners)]


def _dearness(cost: Micros | None) -> tuple[bool, int]:
    return (True, 0) if cost is None else (False, cost)


def _weigh(key: str, choice: str) -> bytes:
    return hashlib.blake2b(f"{key}\0{choice}".encode(), digest_size=8).digest()


def _led_by(carriers: Sequence[CarrierId], first: CarrierId) -> tuple[CarrierId, ...]:
    return (first, *(carrier for carrier in carriers if carrier != first))


def _spread(carriers: Sequence[CarrierId], weights: Sequence[int]) -> list[CarrierId]:
    """Return who comes first turn by turn: smooth weighted round robin, one whole cycle."""
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ConfigError("weights", "weights are 0 or more, and not all of them 0")
    divisor = math.gcd(*weights)
    shares = [weight // divisor for weight in weights]
    turns = total // divisor
    if turns > ROTA_TURNS_MAX:
        raise ConfigError(
            "weights", f"these add up to {turns} turns; {ROTA_TURNS_MAX} at most (use rounder ones)"
        )
    credits = [0] * len(carriers)
    cycle = []
    for _ in range(turns):
        credits = [credit + share for credit, share in zip(credits, shares, strict=True)]
        # max() takes the first among equals: the order of the settings.
        place = max(range(len(credits)), key=credits.__getitem__)
        credits[place] -= turns
        cycle.append(carriers[place])
    return cycle
