"""The world in which the deciding parts are tried: virtual time, seeded chance, nothing real.

    customers ─► intake ─► Store ◄── writer ◄── Dispatcher, ReceiptBook ◄──► Carrier
                   │         └──── feeder ────► ▲
                   └───────── announces ────────┘

A `World` has a clock, one source of chance and an agenda of processes. A process is a generator
that yields how many seconds pass before it goes on. What it does between two yields happens at
once; at every yield anything else may come in between, the death of the gateway included.

A process may also wait for a `Bell`: nobody looks again and again whether there is work.

- `Plan` says how bad this world is.
- `Store` is what is committed. `Carrier` is an operator: it takes, throttles, refuses, falls
  silent, drops binds, and repeats its receipts until they are acknowledged. Both outlive a crash.
- `Node` is the gateway: the real `Dispatcher` and `ReceiptBook` in a shell that does what
  `carriers.py`, `feeding.py` and the two writers do, with generators in the place of tasks. A
  crash takes it with all that it knows; another one starts from the store.

After a while the world calms down, so that everything has to come to its end. What must hold then
stands in `invariants.py`, what must hold all the time in `Node.check`.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from random import Random

from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.references import Key
from tests.simulation.carrier import Carrier
from tests.simulation.life import Bell, Life, Process
from tests.simulation.limits import SEGMENT_MICROS, SEGMENTS_MAX
from tests.simulation.node import Node
from tests.simulation.plan import Plan
from tests.simulation.store import Store

WALL = 1_800_000_000.0
"""The time of day when the clock says 0."""
PATIENCE_S = 250.0
"""The longest validity: enough for everything to leave that can, once it is calm."""
END_S = 400.0
"""No world lasts longer: what has not come to its end by then never will."""
CLOCK_SET_MAX_S = 100.0
"""How far the time of day is set from the true one, either way."""
CHECK_STEPS = 10
"""What must hold all the time is looked at after so many steps."""


class World:
    """The clock, chance, and everything that is on its way."""

    def __init__(
        self, seed: int, plan: Plan | None = None, crash_at_step: int | None = None
    ) -> None:
        self.chance = Random(seed)
        self.plan = plan or Plan.draw(self.chance)
        self.now = 0.0
        self.steps = 0
        self.crashes = 0
        self.seen: Counter[str] = Counter()
        """How often what happened, so that nobody takes an idle world for a good one."""
        self.in_doubt: set[tuple[MessageId, int]] = set()
        """Segments of which a crash left the store not knowing whether they were taken."""
        self.held: set[MessageId] = set()
        """Messages that were kept back to be replaced, which cost them their place."""
        self.drained: set[CarrierId] = set()
        """Carriers that are drained by hand, which outlives a crash."""
        self.ahead_s = 0.0
        """By how much the gateway's time of day is."""
        self.submitted: dict[tuple[MessageId, int], float] = {}
        """When segments were taken, in true time."""
        self.arrived: dict[tuple[Key, float], float] = {}
        """When receipts came in true time, by the time of day that they carry."""
        self.given_up: list[tuple[str, float]] = []
        """What waited too long for one, and by how much that was, in true time."""
        self._crash_at_step = crash_at_step
        self._agenda: list[tuple[float, int, Process, Life]] = []
        self._ticket = itertools.count()
        self._life = Life()
        self.store = Store()
        self.carriers = {
            CarrierId(number): Carrier(self, CarrierId(number))
            for number in range(1, self.plan.carriers + 1)
        }
        self.node = Node(self, list(self.carriers), Life())
        self.start(self._customers())
        self._begin_misfortunes()

    # ── time and chance ──────────────────────────────────────────────────────────────────────

    @property
    def wall(self) -> float:
        return WALL + self.now + self.ahead_s

    @property
    def calm(self) -> bool:
        return self.now >= self.plan.trouble_s

    def ring(self, bell: Bell) -> None:
        """Let those who wait for it go on."""
        waiting, bell.waiting = bell.waiting, []
        for process, life in waiting:
            self.start(process, life)

    def happens(self, share: float) -> bool:
        """Say whether something bad happens now."""
        return not self.calm and self.chance.random() < share

    def between(self, low: float, high: float) -> float:
        return self.chance.uniform(low, high)

    def start(self, process: Process, life: Life | None = None, after_s: float = 0.0) -> None:
        """Let a process begin; it lasts as long as the world, or the life that it belongs to."""
        entry = (self.now + after_s, next(self._ticket), process, life or self._life)
        heapq.heappush(self._agenda, entry)

    def run(self) -> World:
        """Let everything come to its end."""
        look_at = self.plan.trouble_s
        while self.now < END_S:
            self._step()
            if self.now >= look_at:
                look_at = self.now + 1.0
                if self.settled:
                    break
        return self

    def _step(self) -> None:
        self.now, _, process, life = heapq.heappop(self._agenda)
        if not life.alive:
            process.close()
            return
        pause = next(process, None)
        if isinstance(pause, Bell):
            pause.waiting.append((process, life))
        elif pause is not None:
            self.start(process, life, pause)
        self.steps += 1
        if self.node.life.alive:
            self.node.pump()
            if self.steps % CHECK_STEPS == 0:
                self.node.check()
        if self.steps == self._crash_at_step:
            self.crash()

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen."""
        return (
            self.node.life.alive
            and self.node.idle
            and self.store.closed >= self.store.messages.keys()
            and not any(carrier.reporting for carrier in self.carriers.values())
        )

    # ── who lives in it ──────────────────────────────────────────────────────────────────────

    def _customers(self) -> Process:
        for _ in range(self.plan.messages):
            yield self.chance.choice((0.0, 0.0, self.between(0.0, 1.5)))
            while not self.node.life.alive:
                yield 0.5
            self.node.ask(self._draw_message())

    def _draw_message(self) -> Message:
        chance, carriers = self.chance, list(self.carriers)
        segments = chance.choice((1, 1, 1, 2, SEGMENTS_MAX))
        send_at = self.wall + self.between(0, 15) if chance.random() < 0.2 else None
        return Message(
            id=self.node.ids.next(self.wall),
            account_id=AccountId(chance.randint(1, 2)),
            accepted_at=self.wall,
            sender="Shop",
            recipient=chance.choice(("447911123456", "353871234567")),
            country="GB",
            text="",
            encoding=Encoding.GSM7,
            segments=segments,
            lane=chance.choice(list(Lane)),
            price_micros=Micros(segments * SEGMENT_MICROS),
            routes=tuple(chance.sample(carriers, chance.randint(1, len(carriers)))),
            send_at=send_at,
            expires_at=(send_at or self.wall) + chance.choice((5.0, 30.0, PATIENCE_S)),
        )

    def _begin_misfortunes(self) -> None:
        plan = self.plan
        for per_s, strike in (
            (plan.crashes_per_s, self.crash),
            (plan.drops_per_s, lambda: self.carriers[self._some_carrier()].drop_one()),
            (plan.cancels_per_s, self._cancel),
            (plan.replacements_per_s, self._replace),
            (plan.drains_per_s, self._drain_or_resume),
            (plan.changes_per_s, self._change),
            (plan.clock_sets_per_s, self._set_clock),
        ):
            if per_s:
                self.start(self._misfortune(per_s, strike))
        self.start(self._mending())

    def _misfortune(self, per_s: float, strike: Callable[[], None]) -> Process:
        """Let something happen by the plan until it calms down."""
        while True:
            yield self.chance.expovariate(per_s)
            if self.calm:
                return
            strike()

    def _cancel(self) -> None:
        if self.store.messages and self.node.life.alive:
            self.start(self.node.cancel(self._some_message()), self.node.life)

    def _replace(self) -> None:
        if self.store.messages and self.node.life.alive:
            self.start(self.node.replace(self._some_message()), self.node.life)

    def _drain_or_resume(self) -> None:
        if self.node.life.alive:
            self.node.drain_or_resume(self._some_carrier())

    def _change(self) -> None:
        if self.node.life.alive:
            self.start(self.node.change(self._some_carrier()), self.node.life)

    def _set_clock(self) -> None:
        self.seen["clock set"] += 1
        moved_to = self.between(-CLOCK_SET_MAX_S, CLOCK_SET_MAX_S)
        self.ahead_s = self.chance.choice((0.0, moved_to))
        if self.node.life.alive:
            self.node.look_at_clock()  # what it can't see, it can't know when it starts again

    def _some_message(self) -> MessageId:
        return self.chance.choice(list(self.store.messages))

    def _some_carrier(self) -> CarrierId:
        return self.chance.choice(list(self.carriers))

    def _mending(self) -> Process:
        yield self.plan.trouble_s
        self._mend()

    def _mend(self) -> None:
        plan = self.plan
        self.ahead_s = 0.0
        for carrier_id in list(self.drained):
            if self.node.life.alive and carrier_id in self.node.dispatcher.carriers:
                self.node.drain_or_resume(carrier_id)
        self.drained.clear()
        if plan.dead:
            self.carriers[CarrierId(plan.dead)].die()
        if len(self.node.dispatcher.carriers) < len(self.carriers):
            self.crash()

    def crash(self) -> None:
        """Kill the gateway between two steps; another one starts from what the store holds."""
        if self.node.life.alive:
            self.crashes += 1
            self.in_doubt |= self.node.in_doubt()
            self.node.life.alive = False
            for carrier in self.carriers.values():
                carrier.forget_sessions()
            self.start(self._restart(), after_s=self.between(1.5, 4.0))

    def _restart(self) -> Process:
        configured = list(self.carriers)
        if len(configured) > 1 and self.happens(self.plan.removed):
            configured.remove(self.chance.choice(configured))
            self.seen["carrier removed"] += 1
        self.node = Node(self, configured, Life())
        yield from ()
