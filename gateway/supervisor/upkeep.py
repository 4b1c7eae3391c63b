"""Which of several node processes run, and what becomes of one that ends.

    waiting ──► starting ──► serving        a seat has one process at a time
       ▲            │           │
       └── ended ───┴───────────┘           and waits longer, the more often it failed in a row

A seat that was asked to stop is killed when it takes too long. While all are to stop, none is
started. A round asks one seat after the other to stop, each once all others serve.

Not here: processes and signals (`run.py`).
"""

from __future__ import annotations

import enum
import math
from typing import Final, NamedTuple, assert_never

STOPPED: Final = 0
FAILED: Final = 1
MISCONFIGURED: Final = 2
"""Exit statuses, of nodes and of who looks after them."""
TERMINATED: Final = -15
"""How a process ends that was asked to before it could listen to that."""

PAUSE_FIRST_S: Final = 0.25
PAUSE_MAX_S: Final = 15.0
STEADY_S: Final = 60.0
"""A node that served for so long has no failures behind it."""
STARTS_MAX: Final = 5
"""Failures in a row of one seat, before all have served once, that end everything."""
HURRY_S: Final = 5.0
"""What a second signal leaves: nodes give themselves three seconds."""


class Action(enum.Enum):
    START = "start"
    ASK = "ask"
    """To stop: in order at the first time, at once at the second."""
    KILL = "kill"


class Order(NamedTuple):
    action: Action
    seat: int


class _State(enum.Enum):
    WAITING = "waiting"
    STARTING = "starting"
    SERVING = "serving"


class _Seat:
    """One of the nodes. Times are monotonic seconds."""

    __slots__ = ("asked", "failures", "has_served", "kill_at", "since", "start_at", "state")

    def __init__(self, now: float) -> None:
        self.state = _State.WAITING
        self.since = now
        """When it began to start or to serve."""
        self.start_at = now
        self.failures = 0
        """In a row."""
        self.has_served = False
        self.asked = 0
        """How often its process was asked to stop."""
        self.kill_at = math.inf

    @property
    def runs(self) -> bool:
        return self.state is not _State.WAITING


class Upkeep:
    """Hears what happens; `step` says what to do about it now, `wake_at` when to ask again."""

    def __init__(self, count: int, now: float, *, stop_timeout_s: float) -> None:
        self._seats = [_Seat(now) for _ in range(count)]
        self._stop_timeout_s = stop_timeout_s
        self._asked = 0
        """How often all were asked to stop."""
        self._round: list[int] = []
        """Who is still to be restarted."""
        self._verdict = STOPPED

    @property
    def status(self) -> int | None:
        """The exit status, once all have ended and none is to start again."""
        if not self._asked or any(seat.runs for seat in self._seats):
            return None
        return self._verdict

    @property
    def stopping(self) -> bool:
        return self._asked > 0

    @property
    def has_served(self) -> bool:
        """Whether every seat has served at some time."""
        return all(seat.has_served for seat in self._seats)

    @property
    def wake_at(self) -> float:
        """When `step` has something to do if nothing happens before; inf: never."""
        return min(self._due_at(seat) for seat in self._seats)

    def ready(self, index: int, now: float) -> None:
        """Hear that a node serves."""
        seat = self._seats[index]
        seat.state, seat.since, seat.has_served = _State.SERVING, now, True

    def ended(self, index: int, status: int, now: float) -> float:
        """Hear that a node's process has ended, below 0 by a signal; return the pause before the
        next one, inf when there is none."""
        seat = self._seats[index]
        state, asked, served_s = seat.state, seat.asked, now - seat.since
        seat.state, seat.asked, seat.kill_at = _State.WAITING, 0, math.inf
        in_order = status == STOPPED or (
            status == TERMINATED and state is _State.STARTING and asked
        )
        if self._asked:
            if not in_order:
                self._verdict = self._verdict or FAILED
            return math.inf
        if in_order and (asked or state is _State.SERVING):
            seat.failures, pause_s = 0, 0.0
        else:
            steady = state is _State.SERVING and served_s >= STEADY_S
            seat.failures = 1 if steady else seat.failures + 1
            pause_s = min(PAUSE_FIRST_S * 2 ** (seat.failures - 1), PAUSE_MAX_S)
        if not self.has_served:
            self._judge_start(status, seat.failures)
        seat.start_at = now + pause_s
        return math.inf if self._asked else pause_s

    def stop(self) -> None:
        """Have all end: in order at the first time, at once at the second."""
        self._asked = min(self._asked + 1, 2)
        if self._asked == 2:
            self._verdict = self._verdict or FAILED

    def begin_round(self) -> None:
        """Restart all, one after the other."""
        self._round = list(range(len(self._seats)))

    def step(self, now: float) -> list[Order]:
        """Return what is to be done now, which then counts as done."""
        orders: list[Order] = []
        if self._round and self._all_serve():
            self._ask(self._round.pop(0), now, orders)
        for index, seat in enumerate(self._seats):
            match seat.state:
                case _State.WAITING:
                    if not self._asked and seat.start_at <= now:
                        seat.state, seat.since = _State.STARTING, now
                        orders.append(Order(Action.START, index))
                case _State.STARTING | _State.SERVING:
                    while seat.asked < self._asked:
                        self._ask(index, now, orders)
                    if seat.kill_at <= now:
                        seat.kill_at = math.inf
                        orders.append(Order(Action.KILL, index))
                case _:
                    assert_never(seat.state)
        return orders

    def _judge_start(self, status: int, failures: int) -> None:
        """Give up where a start shows that there is no sense in trying on."""
        if status == MISCONFIGURED:
            self._verdict = MISCONFIGURED
        elif failures >= STARTS_MAX:
            self._verdict = FAILED
        else:
            return
        self._asked = max(self._asked, 1)

    def _ask(self, index: int, now: float, orders: list[Order]) -> None:
        seat = self._seats[index]
        seat.asked += 1
        seat.kill_at = now + (self._stop_timeout_s if seat.asked == 1 else HURRY_S)
        orders.append(Order(Action.ASK, index))

    def _all_serve(self) -> bool:
        return all(each.state is _State.SERVING and not each.asked for each in self._seats)

    def _due_at(self, seat: _Seat) -> float:
        if seat.runs:
            return -math.inf if seat.asked < self._asked else seat.kill_at
        return math.inf if self._asked else seat.start_at
