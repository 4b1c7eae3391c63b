"""Whose webhook is called next: order kept, nobody slowed by a slow one, memory bounded.

Events of one account for one address stand in a *line*. A line has at most one call under way, so
its events arrive in order; an account has a few, so its many addresses share them; and all
accounts take turns. Events wait here only under their lease in the outbox. What can't be called
soon goes back there with the time at which it is due again:

- a call failed: its events, and all that stand behind them, come back after the line's delay;
- the line is still waiting out that delay, or its account has its share of the memory: the event
  comes back when the line opens again, behind the others;
- a lease would end during the call: the line is let go, and comes back when its leases end.

A line that sent something back admits nothing until that is due again, and the outbox hands out
the lowest ids of those due, so nothing that came later overtakes it.

Pure: told `now` (epoch seconds), answers with values. Not here: the calls (`webhooks.py`).
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from gateway.config import Webhooks
from gateway.hooks.answers import Answer, Delivered, Refused, TryAgain
from gateway.hooks.backoff import GiveUp, next_attempt
from gateway.model import AccountId
from gateway.views import OutboxEvent

HELD_EVENTS_MAX = 10_000
"""Events in memory: about 1 KB each, so 10 MB. An account may hold as many as are still free: one
that is alone gets half, n get 1/(n + 1) each, and there is always room for one more."""

CALLS_MAX = 256
"""Calls under way, nearly all of them waiting for slow endpoints: sockets and buffers."""

LINES_MAX = 10_000
"""Lines remembered for their delay. Past it the longest unused one is forgotten, which costs an
early attempt: a message's own callback_url can make as many addresses as messages."""

POSTPONE_S = 0.5
"""How long events over an account's share stay in the outbox: what it holds takes as long."""

BEHIND = "waits behind an earlier event"
CROWDED = "waits for earlier events of its account"
STOPPED = "the gateway stopped before its call"

Failure = tuple[int, float | None, str]
"""An event's id, when it is due again (None: given up) and why: `Outbox.record_failed`'s."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request to make: events of one account for one address, in order."""

    account_id: AccountId
    url: str
    secret: str
    old_secret: str = ""
    single: bool
    events: tuple[OutboxEvent, ...]


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What to record after a call. `retried` and `dead` count this call's own events."""

    delivered: list[int] = []
    failures: list[Failure] = []
    retried: int = 0
    dead: int = 0


class _Held(msgspec.Struct):
    event: OutboxEvent
    leased_until: float


class _Line:
    __slots__ = ("calling", "failures", "held", "key", "opens_at")

    def __init__(self, key: tuple[AccountId, str, bool]) -> None:
        self.key = key
        self.held: deque[_Held] = deque()
        self.calling = False
        self.failures = 0
        """Failed calls in a row."""
        self.opens_at = 0.0
        """Until then nothing is admitted, because earlier events are in the outbox."""

    def close_until(self, at: float) -> None:
        # Never earlier than before: what was sent back until then must not be overtaken either.
        self.opens_at = max(self.opens_at, at)


class _Share:
    """One account's part of the calls and of the memory."""

    __slots__ = ("calls", "held", "ready", "waits_its_turn")

    def __init__(self) -> None:
        self.ready: deque[_Line] = deque()
        """Lines with events and no call."""
        self.calls = 0
        self.held = 0
        self.waits_its_turn = False


class Lineup:
    """The lines of all accounts."""

    def __init__(
        self,
        settings: Webhooks,
        *,
        held_max: int = HELD_EVENTS_MAX,
        calls_max: int = CALLS_MAX,
        age_s: Callable[[float, float], float] = lambda at, now: now - at,
    ) -> None:
        """`age_s` says how old an event is that happened `at`: a clock that is ahead gives up
        none."""
        self._settings = settings
        self._age_s = age_s
        self._held_max = held_max
        self._calls_max = calls_max
        self._lines: dict[tuple[AccountId, str, bool], _Line] = {}
        self._shares: dict[AccountId, _Share] = {}
        self._turns: deque[_Share] = deque()
        self._held: dict[int, _Held] = {}
        self._calls = 0

    @property
    def held(self) -> int:
        """Events in memory, those under way included."""
        return len(self._held)

    @property
    def room(self) -> int:
        return self._held_max - len(self._held)

    def admit(
        self, events: Iterable[OutboxEvent], now: float, leased_until: float
    ) -> list[Failure]:
        """Line events up; return those that have to go back."""
        sent_back: list[Failure] = []
        for event in sorted(events, key=lambda event: event.id):
            if event.id in self._held:
                self._held[event.id].leased_until = leased_until  # renewed while it stood here
                continue
            line = self._line_of(event)
            share = self._shares.setdefault(event.account_id, _Share())
            if line.opens_at > now:
                sent_back.append((event.id, line.opens_at, BEHIND))
            elif share.held >= self.room:
                line.close_until(now + POSTPONE_S)
                sent_back.append((event.id, line.opens_at, CROWDED))
            else:
                self._hold(_Held(event, leased_until), line, share)
        return sent_back

    def take_call(self, now: float) -> Call | None:
        """Return the next call to make now; None while there is none."""
        while self._turns and self._calls < self._calls_max:
            share = self._turns.popleft()
            share.waits_its_turn = False
            line = share.ready.popleft()
            call = self._start_call(line, share, now)
            self._queue(share)
            if call is not None:
                return call
        return None

    def settle(self, call: Call, answer: Answer, now: float, jitter: float) -> Settlement:
        """Say what to record after a call was answered; the line goes on or waits."""
        line = self._lines[call.account_id, call.url, call.single]
        share = self._shares[call.account_id]
        line.calling = False
        share.calls -= 1
        self._calls -= 1
        self._forget(share, call.events)
        match answer:
            case Delivered():
                line.failures = 0
                settlement = Settlement(delivered=[event.id for event in call.events])
            case Refused(error):
                failures: list[Failure] = [(event.id, None, error) for event in call.events]
                settlement = Settlement(failures=failures, dead=len(failures))
            case TryAgain():
                line.failures += 1
                settlement = self._send_line_back(line, share, call, answer, now, jitter)
        if line.held:
            share.ready.append(line)
        self._queue(share)
        self._drop_unused(line, share, now)
        return settlement

    def bring_forward(self, seconds: float) -> None:
        """Have everything end sooner that a clock has put off which was set back since."""
        for line in self._lines.values():
            line.opens_at -= seconds
        for held in self._held.values():
            held.leased_until -= seconds

    def give_back(self, now: float) -> list[Failure]:
        """Empty every line but for the calls under way, at a stop; return what goes back."""
        given: list[Failure] = []
        for line in [line for line in self._lines.values() if line.held]:
            events = [held.event for held in line.held]
            line.held.clear()
            self._forget(self._shares[line.key[0]], events)
            given += [(event.id, now, STOPPED) for event in events]
        for share in self._shares.values():
            share.ready.clear()
            share.waits_its_turn = False
        self._turns.clear()
        return given

    def _line_of(self, event: OutboxEvent) -> _Line:
        key = (event.account_id, event.url, event.single)
        line = self._lines.get(key)
        if line is None:
            if len(self._lines) >= LINES_MAX:
                self._drop_oldest_idle()
            line = self._lines[key] = _Line(key)
        return line

    def _hold(self, held: _Held, line: _Line, share: _Share) -> None:
        self._held[held.event.id] = held
        share.held += 1
        line.held.append(held)
        if len(line.held) == 1 and not line.calling:
            share.ready.append(line)
            self._queue(share)

    def _forget(self, share: _Share, events: Iterable[OutboxEvent]) -> None:
        for event in events:
            del self._held[event.id]
            share.held -= 1

    def _queue(self, share: _Share) -> None:
        """Give the account its turn when it has a line to call and may call one more."""
        free = share.calls < self._settings.connections_per_account
        if share.ready and free and not share.waits_its_turn:
            share.waits_its_turn = True
            self._turns.append(share)

    def _start_call(self, line: _Line, share: _Share, now: float) -> Call | None:
        account_id, url, single = line.key
        size_max = 1 if single else self._settings.batch_events_max
        first = line.held[0].event
        secrets = (first.secret, first.old_secret)
        signed_alike = itertools.takewhile(
            lambda held: (held.event.secret, held.event.old_secret) == secrets, line.held
        )
        batch = list(itertools.islice(signed_alike, size_max))
        if any(held.leased_until < now + self._settings.timeout_s for held in batch):
            self._let_go(line, share)
            return None
        for _ in batch:
            line.held.popleft()
        line.calling = True
        share.calls += 1
        self._calls += 1
        events = tuple(held.event for held in batch)
        return Call(
            account_id=account_id,
            url=url,
            secret=first.secret,
            old_secret=first.old_secret,
            single=single,
            events=events,
        )

    def _let_go(self, line: _Line, share: _Share) -> None:
        """Leave a whole line to its leases, and let nothing in before the last of them ends."""
        line.close_until(max(held.leased_until for held in line.held))
        self._forget(share, [held.event for held in line.held])
        line.held.clear()

    def _send_line_back(
        self, line: _Line, share: _Share, call: Call, answer: TryAgain, now: float, jitter: float
    ) -> Settlement:
        behind = [held.event for held in line.held]
        line.held.clear()
        self._forget(share, behind)
        failures: list[Failure] = []
        for events, error in ((call.events, answer.error), (behind, BEHIND)):
            for event in events:
                began_at = now - self._age_s(event.created_at, now)
                at = next_attempt(
                    line.failures, began_at, now, self._settings, jitter, answer.wait_s
                )
                if isinstance(at, GiveUp):
                    failures.append((event.id, None, answer.error))
                else:
                    line.close_until(at)
                    failures.append((event.id, at, error))
        dead = sum(at is None for _, at, _ in failures)
        retried = sum(at is not None for _, at, _ in failures[: len(call.events)])
        return Settlement(failures=failures, dead=dead, retried=retried)

    def _drop_unused(self, line: _Line, share: _Share, now: float) -> None:
        account_id = line.key[0]
        if not (line.held or line.calling or line.failures or line.opens_at > now):
            del self._lines[line.key]
        if share.held == 0 and share.calls == 0:
            del self._shares[account_id]

    def _drop_oldest_idle(self) -> None:
        # Lines that are not idle hold events, so at most `held_max` of them are passed over.
        for key, line in self._lines.items():
            if not line.held and not line.calling:
                del self._lines[key]
                return
