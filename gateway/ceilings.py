"""What leaves more slowly than its carrier could take it: accounts and destinations with ceilings.

Two rules, and neither lets what is held stand in anybody's way. An account above its ceiling takes
no turns, in any of a carrier's lanes, until its time has come; the others go on as if it were not
there. A message to a destination above its ceiling steps aside, so that its account's other
messages go on, and comes back when it is its turn among all that wait for that destination: the
higher lane first, then the older message.

A heap and one timer for everything that is held (`next_timer`, `tick`): nothing sleeps, and
without ceilings the dispatcher asks one truth value a message.

Not here: the arithmetic (`throttle/pacer.py`), turns (`throttle/lanes.py`), ceilings for single
numbers, which refuse instead of holding (`throttle/recipients.py`).
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from gateway.jobs import Job
from gateway.message import Message
from gateway.model import AccountId, CarrierId, MessageId
from gateway.record import Record
from gateway.throttle.destinations import Destinations
from gateway.throttle.pacer import Pacer

if TYPE_CHECKING:
    from gateway.carrier_state import CarrierState

STEP_S: Final = 0.01
"""Between two looks at what is held and might leave: a carrier that is let go first may have no
room, and the next one gets its chance."""

NEED_STEP: Final = 0.125
"""What is needed of a ceiling is told in eighths of it, and forgotten by one of them a look."""

AWAY_STEP_S: Final = 0.5
"""The same while a carrier has no bind: what was let go can't leave, however often one looks."""


class Ceiling(Record):
    """Segments a second, and how many more any one second may see."""

    __slots__ = ("burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: int = 1) -> None:
        self.rate_per_s: Final = rate_per_s
        self.burst: Final = burst


class DestinationLine:
    """What waits for one of a carrier's destinations. Mutable, owned by its `CarrierState`."""

    __slots__ = ("_aside", "_let_go", "_let_go_at", "_ticket", "armed_at", "pacer")

    def __init__(self, ceiling: Ceiling, started_at: float | None = None) -> None:
        """`started_at` as in `Pacer`."""
        self.pacer = Pacer(ceiling.rate_per_s, ceiling.burst, started_at=started_at)
        self.armed_at = math.inf
        """When a timer will look at it."""
        self._aside: list[tuple[int, MessageId, int, Job]] = []
        self._ticket = itertools.count()
        self._let_go: set[Job] = set()
        """Messages that are in the queue again because their time has come."""
        self._let_go_at = -math.inf

    def __len__(self) -> int:
        return len(self._aside)

    def ready_at(self, job: Job, count: int, now: float) -> float:
        """Return when so many segments of a message may leave; later while others go first."""
        if self._aside and job not in self._let_go:
            return math.inf
        return self.pacer.ready_at(count, now)

    def put_aside(self, job: Job) -> None:
        message = job.message
        self._let_go.discard(job)
        heapq.heappush(self._aside, (message.lane, message.id, next(self._ticket), job))

    def let_go(self, carrier_id: CarrierId, now: float) -> list[Job]:
        """Return what may go back to its carrier's queue now, the first one first."""
        if any(self._still_goes(job, carrier_id) for job in self._let_go):
            return []  # the carrier is what holds these, and the rest behind them
        self._let_go.clear()
        self._let_go_at = now
        jobs: list[Job] = []
        spare = self.pacer.spare(now)
        while self._aside and len(jobs) < spare:
            job = heapq.heappop(self._aside)[3]
            if _waits(job, carrier_id):
                jobs.append(job)
                self._let_go.add(job)
        return jobs

    def sent(self, job: Job, count: int, now: float) -> None:
        self._let_go.discard(job)
        self.pacer.charge(count, now)

    def waiting(self) -> list[Job]:
        """Return what was put aside, in no order."""
        return [job for _, _, _, job in self._aside]

    def clear(self) -> None:
        self._aside.clear()
        self._let_go.clear()

    def _still_goes(self, job: Job, carrier_id: CarrierId) -> bool:
        """Whether what was let go is still about to leave; it may have been put off since."""
        return _waits(job, carrier_id) and job.not_before <= self._let_go_at


class CarrierDestinations:
    """One carrier's ceilings by prefix, operator and country, and what they hold back."""

    __slots__ = ("_ceilings", "_find", "lines")

    def __init__(
        self,
        prefixes: Mapping[str, Ceiling],
        countries: Mapping[str, Ceiling],
        operators: Mapping[str, Ceiling] | None = None,
        *,
        started_at: float | None = None,
    ) -> None:
        """A ceiling object that stands in several places is one ceiling for all of them."""
        lines: dict[int, DestinationLine] = {}

        def line_of(ceiling: Ceiling) -> DestinationLine:
            return lines.setdefault(id(ceiling), DestinationLine(ceiling, started_at))

        self._find = Destinations(
            {prefix: line_of(ceiling) for prefix, ceiling in prefixes.items()},
            {country: line_of(ceiling) for country, ceiling in countries.items()},
            {operator: line_of(ceiling) for operator, ceiling in (operators or {}).items()},
        )
        self.lines = list(lines.values())

    def __len__(self) -> int:
        return sum(map(len, self.lines))

    def line_of(self, message: Message) -> DestinationLine | None:
        return self._find.find(message.recipient, message.country, message.operator)

    def waiting(self) -> list[Job]:
        """Return what was put aside, in no order."""
        return [job for line in self.lines for job in line.waiting()]

    def clear(self) -> None:
        for line in self.lines:
            line.clear()


class _AccountCeiling:
    """One account's ceiling over all carriers, and the carriers whose queues hold it."""

    __slots__ = ("_need", "_sent", "armed_at", "holding", "pacer", "share", "terms")

    def __init__(self, terms: Ceiling, started_at: float | None, share: float) -> None:
        self.terms = terms
        self.share = share
        """This node's part of it; with nothing, nothing leaves."""
        self.pacer = Pacer(*self._own, started_at=started_at)
        self.holding: dict[CarrierId, None] = {}
        """In the order of their coming."""
        self.armed_at = math.inf
        self._sent = 0
        self._need = 0.0

    @property
    def _own(self) -> tuple[float, int]:
        """The rate and the burst of this node."""
        share = self.share or 1.0  # of 0 the pacer is not asked
        return self.terms.rate_per_s * share, max(1, math.floor(self.terms.burst * share))

    def change(self, terms: Ceiling, share: float, now: float) -> None:
        self.terms, self.share = terms, share
        self.pacer.change(*self._own, now)
        self.armed_at = math.inf

    def ready_at(self, count: int, now: float) -> float:
        return self.pacer.ready_at(count, now) if self.share else math.inf

    def charge(self, count: int, now: float) -> None:
        self._sent += count
        self.pacer.charge(count, now)

    def read_need(self, elapsed_s: float) -> float:
        """Return what fraction of the whole ceiling is needed here, by what was sent since the last
        call, and room for that to grow."""
        used = self._sent / max(self.terms.rate_per_s * elapsed_s, 1.0)
        self._sent = 0
        present = 1.0 if self.holding else min(1.0, math.ceil(2 * used / NEED_STEP) * NEED_STEP)
        self._need = max(present, self._need - NEED_STEP)
        return self._need


_Held = tuple[CarrierId, DestinationLine] | AccountId


class Ceilings:
    """Holds back what is above a ceiling, and lets it go in time."""

    def __init__(self, carriers: Mapping[CarrierId, CarrierState]) -> None:
        """`carriers` is the dispatcher's own dictionary: it may change."""
        self._carriers = carriers
        self._accounts: dict[AccountId, _AccountCeiling] = {}
        self.first_share = 1.0
        """What part of a ceiling this node has before it is told; 0.0 where there may be others."""
        self._needs_read_at = 0.0
        self._timers: list[tuple[float, int, _Held]] = []
        self._ticket = itertools.count()

    @property
    def of_accounts(self) -> Mapping[AccountId, Ceiling]:
        return {account_id: each.terms for account_id, each in self._accounts.items()}

    def set_accounts(
        self, ceilings: Mapping[AccountId, Ceiling], now: float, started_at: float | None = None
    ) -> list[CarrierId]:
        """Have these ceilings and no others; return the carriers that may send something new.

        What an account has sent counts on where it had a ceiling before.
        """
        for account_id, terms in ceilings.items():
            known = self._accounts.get(account_id)
            if known is None:
                self._accounts[account_id] = _AccountCeiling(terms, started_at, self.first_share)
            elif known.terms != terms:
                known.change(terms, known.share, now)
                self._arm_account(account_id, known, now)
        freed: list[CarrierId] = []
        for account_id in self._accounts.keys() - ceilings.keys():
            gone = self._accounts.pop(account_id)
            freed += [carrier_id for carrier_id in gone.holding if carrier_id in self._carriers]
            for carrier_id in gone.holding:
                self._release(carrier_id, account_id)
        return freed

    def shares(self) -> dict[AccountId, float]:
        """Return what part of each account's ceiling this node has."""
        return {account_id: each.share for account_id, each in self._accounts.items()}

    def set_share(self, account_id: AccountId, share: float, now: float) -> None:
        """Have another part of an account's ceiling."""
        account = self._accounts.get(account_id)
        if account is not None:
            account.change(account.terms, share, now)
            self._arm_account(account_id, account, now)

    def needs(self, now: float) -> dict[AccountId, float]:
        """Return what part of each account's ceiling has been needed here since the last call."""
        elapsed_s, self._needs_read_at = now - self._needs_read_at, now
        return {a: each.read_need(elapsed_s) for a, each in self._accounts.items()}

    def applies(self, carrier: CarrierState) -> bool:
        """Say whether any ceiling may hold what a carrier would send."""
        return bool(self._accounts) or carrier.destinations is not None

    def admits(self, job: Job, carrier: CarrierState, count: int, now: float) -> bool:
        """Say whether the head of a carrier's queue may leave; if not, it stands there no more.

        Nothing is counted: `sent` has to be told once it leaves.
        """
        message = job.message
        account = self._accounts.get(message.account_id) if self._accounts else None
        if account is not None and account.ready_at(count, now) > now:
            carrier.queue.hold(message.account_id)
            account.holding[carrier.id] = None
            self._arm_account(message.account_id, account, now)
            return False
        if carrier.destinations is not None:
            line = carrier.destinations.line_of(message)
            if line is not None and line.ready_at(job, count, now) > now:
                carrier.queue.pop()
                line.put_aside(job)
                self._arm_line(carrier.id, line, now)
                return False
        return True

    def sent(self, job: Job, carrier: CarrierState, count: int, now: float) -> None:
        """Count segments that leave."""
        account = self._accounts.get(job.message.account_id)
        if account is not None:
            account.charge(count, now)
        if carrier.destinations is not None:
            line = carrier.destinations.line_of(job.message)
            if line is not None:
                line.sent(job, count, now)

    def next_timer(self) -> float:
        """Return when `tick` has something to do; infinity when never."""
        return self._timers[0][0] if self._timers else math.inf

    def tick(self, now: float) -> list[CarrierId]:
        """Let go what may leave; return the carriers that have something new to send."""
        woken: list[CarrierId] = []
        while self._timers and self._timers[0][0] <= now:
            at, _, held = heapq.heappop(self._timers)
            if isinstance(held, tuple):
                woken += self._tick_line(*held, at, now)
            else:
                woken += self._tick_account(held, at, now)
        return woken

    def _tick_account(self, account_id: AccountId, at: float, now: float) -> list[CarrierId]:
        """Release the account at one carrier: the one with its most urgent message, or whose turn
        it is among equals. The others follow when that one leaves something over."""
        account = self._accounts.get(account_id)
        if account is None or account.armed_at != at:
            return []
        account.armed_at = math.inf
        if account.ready_at(1, now) > now:
            self._arm_account(account_id, account, now)
            return []
        urgencies = {
            carrier_id: lane
            for carrier_id in account.holding
            if carrier_id in self._carriers
            and (lane := self._carriers[carrier_id].queue.held_lane(account_id)) is not None
        }
        if not urgencies:
            for carrier_id in account.holding:
                self._release(carrier_id, account_id)
            account.holding.clear()
            return []
        chosen = min(urgencies, key=urgencies.__getitem__)
        del account.holding[chosen]
        self._release(chosen, account_id)
        self._arm_account(account_id, account, now)
        return [chosen]

    def _tick_line(
        self, carrier_id: CarrierId, line: DestinationLine, at: float, now: float
    ) -> list[CarrierId]:
        carrier = self._carriers.get(carrier_id)
        if carrier is None or line.armed_at != at:
            return []
        line.armed_at = math.inf
        jobs = line.let_go(carrier_id, now)
        for job in reversed(jobs):
            carrier.queue.push_front(job, job.message.lane, job.message.account_id)
        self._arm_line(carrier_id, line, now)
        return [carrier_id] if jobs else []

    def _arm_account(self, account_id: AccountId, account: _AccountCeiling, now: float) -> None:
        if account.holding and account.share and account.armed_at == math.inf:
            account.armed_at = max(account.ready_at(1, now), now + STEP_S)
            self._arm(account.armed_at, account_id)

    def _arm_line(self, carrier_id: CarrierId, line: DestinationLine, now: float) -> None:
        if line and line.armed_at == math.inf:
            step_s = STEP_S if self._carriers[carrier_id].bound else AWAY_STEP_S
            line.armed_at = max(line.pacer.ready_at(1, now), now + step_s)
            self._arm(line.armed_at, (carrier_id, line))

    def _arm(self, at: float, held: _Held) -> None:
        heapq.heappush(self._timers, (at, next(self._ticket), held))

    def _release(self, carrier_id: CarrierId, account_id: AccountId) -> None:
        carrier = self._carriers.get(carrier_id)
        if carrier is not None:
            carrier.queue.release(account_id)


def _waits(job: Job, carrier_id: CarrierId) -> bool:
    """Whether a job that was put aside still waits for this carrier."""
    return job.queued and not job.closed and job.carrier_id == carrier_id
