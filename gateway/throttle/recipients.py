"""How many messages one number may get of one account: a fence against loops and pumping.

A program that answers its own messages, or somebody who has one-time passwords sent to numbers
that earn by them, sends to the same numbers again and again. What is above a ceiling is refused,
with the time at which it would not be: a password that waits for an hour helps nobody.

In any minute and in any hour at most so many, exactly, for as long as the numbers fit in memory.
Nearly all numbers get one message and are of no further interest, so they are kept apart from
those that got several: a campaign of millions makes the former be forgotten sooner than after an
hour, and leaves the latter, which are few and the ones to watch, where they are. A restart forgets
all of them.

Not here: ceilings that let messages wait (`gateway/ceilings.py`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

import msgspec

from gateway.model import AccountId

MINUTE_S: Final = 60.0
HOUR_S: Final = 3_600.0

ONCE_MAX: Final = 100_000
"""Numbers with one message, in each of two generations: some 20 MB in all."""
SEVERAL_MAX: Final = 25_000
"""Numbers with several, in each of two generations: some 15 MB."""
TIMES_MAX: Final = 1_000_000
"""Of their messages altogether, in each: 8 MB."""

_NUMBERS: Final = 10**16
"""More than any number (E.164: 15 digits), so that accounts' numbers do not meet."""

V = TypeVar("V")


class PerRecipient(msgspec.Struct, frozen=True, gc=False):
    """Messages to one number; 0: no ceiling, -1: as is usual."""

    per_minute: int = 0
    per_hour: int = 0

    def __bool__(self) -> bool:
        return bool(self.per_minute or self.per_hour)

    def over(self, usual: PerRecipient) -> PerRecipient:
        """Return these ceilings with what is usual where they say nothing."""
        return PerRecipient(
            usual.per_minute if self.per_minute < 0 else self.per_minute,
            usual.per_hour if self.per_hour < 0 else self.per_hour,
        )


class Recipients:
    """Counts messages by account and number. `now` is seconds of one clock."""

    def __init__(
        self, usual: PerRecipient, on_forgotten: Callable[[int], None] = lambda count: None
    ) -> None:
        """`usual` holds for accounts without ceilings of their own. `on_forgotten` hears how many
        numbers were forgotten before their hour, because there were too many."""
        self._usual = usual
        self._named: Mapping[AccountId, PerRecipient] = {}
        self._own: dict[AccountId, PerRecipient] = {}
        self._on_forgotten = on_forgotten
        self._once: _Generations[float] = _Generations()
        self._several: _Generations[array[float]] = _Generations()
        self._times = 0
        """Entries in the present generation of `_several`."""
        self.active = bool(usual)
        """Whether anybody has a ceiling; nothing else needs to be asked where nobody has."""

    def use(self, usual: PerRecipient) -> None:
        """Have other usual ceilings; what was counted counts on."""
        self._usual = usual
        self.use_own(self._named)

    def use_own(self, named: Mapping[AccountId, PerRecipient]) -> None:
        """Have these accounts' own ceilings and no others; what was counted counts on."""
        self._named = named
        self._own = {account_id: own.over(self._usual) for account_id, own in named.items()}
        self.active = bool(self._usual) or any(self._own.values())

    def admit(self, account_id: AccountId, recipient: str, now: float) -> float:
        """Count a message and return 0.0; or count nothing, and return in how many seconds it would
        be let through. `recipient` is E.164 digits."""
        ceiling = self._own.get(account_id, self._usual)
        if not ceiling:
            return 0.0
        self._grow_old(now)
        key = _key(account_id, recipient)
        times = self._several.find(key)
        if times is None:
            return self._admit_new(key, ceiling, now)
        wait_s = max(
            _wait_s(times, ceiling.per_minute, MINUTE_S, now),
            _wait_s(times, ceiling.per_hour, HOUR_S, now),
        )
        if not wait_s:
            self._note(times, now)
        return wait_s

    def take_back(self, account_id: AccountId, recipient: str, at: float) -> None:
        """Uncount a message that was admitted at `at` and came to nothing."""
        key = _key(account_id, recipient)
        times = self._several.find(key)
        if times is not None:
            if at in times:
                times.remove(at)
        elif self._once.find(key) == at:
            self._once.remove(key)

    def _admit_new(self, key: int, ceiling: PerRecipient, now: float) -> float:
        """Admit a message to a number that got one or none."""
        before = self._once.find(key)
        if before is None or not now - HOUR_S < before <= now:
            self._once.put(key, now)
            if len(self._once) > ONCE_MAX:
                self._on_forgotten(self._once.turn(now))
            return 0.0
        times = array("d", (before,))
        wait_s = max(
            _wait_s(times, ceiling.per_minute, MINUTE_S, now),
            _wait_s(times, ceiling.per_hour, HOUR_S, now),
        )
        if not wait_s:
            self._once.remove(key)
            self._several.put(key, times)
            self._note(times, now)
        return wait_s

    def _note(self, times: array[float], now: float) -> None:
        """Add a message to those of a number, and drop what is older than an hour."""
        old = 0
        while old < len(times) and times[old] <= now - HOUR_S:
            old += 1
        del times[:old]
        times.append(now)
        self._times += 1
        if len(self._several) > SEVERAL_MAX or self._times > TIMES_MAX:
            self._on_forgotten(self._several.turn(now))
            self._times = 0

    def _grow_old(self, now: float) -> None:
        self._once.turn_when_old(now)
        if self._several.turn_when_old(now):
            self._times = 0


class _Generations(Generic[V]):
    """Two dictionaries: what was touched lately, and what was touched before that.

    A turn forgets the older one, which costs nothing by the entry. What is touched is remembered
    for an hour at least, unless there is too much of it.
    """

    __slots__ = ("_before", "_present", "_turned_at")

    def __init__(self) -> None:
        self._present: dict[int, V] = {}
        self._before: dict[int, V] = {}
        self._turned_at: float | None = None

    def __len__(self) -> int:
        """How many are in the present generation."""
        return len(self._present)

    def find(self, key: int) -> V | None:
        """Return what is known of a key, which moves it to the present generation."""
        found = self._present.get(key)
        if found is None:
            found = self._before.pop(key, None)
            if found is not None:
                self._present[key] = found
        return found

    def put(self, key: int, value: V) -> None:
        self._present[key] = value

    def remove(self, key: int) -> None:
        self._present.pop(key, None)

    def turn(self, now: float) -> int:
        """Begin a new generation, and return how many entries of the one before are forgotten."""
        forgotten = len(self._before)
        self._before, self._present = self._present, {}
        self._turned_at = now
        return forgotten

    def turn_when_old(self, now: float) -> bool:
        """Begin a new generation when this one is an hour old; so say."""
        if self._turned_at is None:
            self._turned_at = now
        if 0.0 <= now - self._turned_at < HOUR_S:
            return False
        self.turn(now)
        return True


def _wait_s(times: array[float], count_max: int, span_s: float, now: float) -> float:
    """Return in how many seconds a span has room for one more of at most so many."""
    if not count_max or len(times) < count_max:
        return 0.0
    free_at = times[-count_max] + span_s
    # A time to come is one of a clock that was set back since; it says nothing.
    return free_at - now if now < free_at <= now + span_s else 0.0


def _key(account_id: AccountId, recipient: str) -> int:
    return account_id * _NUMBERS + int(recipient)
