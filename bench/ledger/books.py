"""What customers know: what they were told of each message and each top-up, added up.

It knows nothing of how the gateway keeps its own books.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from gateway.credit.prices import parse_micros


@dataclass(frozen=True, slots=True)
class Told:
    """One message as its acceptance was answered."""

    account: str
    price_micros: int
    segments: int
    country: str
    tag: str


@dataclass(slots=True)
class Sums:
    """What one account, or one part of its messages, comes to."""

    messages: int = 0
    segments: int = 0
    priced: int = 0

    def add(self, told: Told) -> None:
        self.messages += 1
        self.segments += told.segments
        self.priced += told.price_micros


@dataclass(slots=True)
class Books:
    accepted: dict[str, Told] = field(default_factory=dict)
    """By message id, so that an answer that comes again counts once."""
    deposited: Counter[str] = field(default_factory=Counter)
    """Micro-units by account."""
    refused: Counter[str] = field(default_factory=Counter)
    """By code."""
    happened: Counter[str] = field(default_factory=Counter)
    contradictions: list[str] = field(default_factory=list)
    """Answers that say something else than an earlier one."""
    _awaited: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    def accept(self, message_id: str, told: Told) -> None:
        """Note an acceptance; a repeated one has to say the same."""
        earlier = self.accepted.setdefault(message_id, told)
        if earlier != told:
            self.contradictions.append(f"{message_id}: first {earlier}, then {told}")
        self._look()

    async def reached(self, count: int) -> None:
        """Return when so many messages have been accepted or refused."""
        self._awaited = count
        self._reached.clear()
        self._look()
        await self._reached.wait()

    def _look(self) -> None:
        if len(self.accepted) + self.refused.total() >= self._awaited:
            self._reached.set()

    def refuse(self, code: str) -> None:
        """Note a refusal."""
        self.refused[code] += 1
        self._look()

    def deposit(self, account: str, micros: int) -> None:
        self.deposited[account] += micros

    def by_account(self) -> dict[str, Sums]:
        sums: dict[str, Sums] = {}
        for told in self.accepted.values():
            sums.setdefault(told.account, Sums()).add(told)
        return sums

    def by(self, account: str, dimension: str) -> dict[str, Sums]:
        """Return one account's sums by country or tag."""
        sums: dict[str, Sums] = {}
        for told in self.accepted.values():
            if told.account == account:
                sums.setdefault(getattr(told, dimension), Sums()).add(told)
        return sums


def told_of(account: str, country: str, tag: str, answer: dict[str, object]) -> Told:
    """Read an acceptance as the API answers it."""
    segments = answer["segments"]
    assert isinstance(segments, int)
    return Told(account, parse_micros(answer["price"]), segments, country, tag)
