"""An operator. It remembers everything that it did, for the invariants to look at."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.jobs import Submission
from gateway.lifecycle import Status
from gateway.model import CarrierId, MessageId
from tests.simulation.life import Bell, Process
from tests.simulation.limits import LIMITS

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.world import World

RESPONSE_TIMEOUT_S = 4.0
REPEAT_AFTER_S = 5.0
"""When a receipt is sent again that is not acknowledged."""


@dataclass(eq=False)
class Session:
    """One bind while it lasts."""

    node: Node
    carrier: Carrier
    open: bool = True
    window: list[Submission] = field(default_factory=list)
    """Unanswered, in the order in which they were submitted."""
    closed: Bell = field(default_factory=Bell)

    @property
    def room(self) -> int:
        return self.carrier.window - len(self.window) if self.open else 0


class Carrier:
    def __init__(self, world: World, carrier_id: CarrierId) -> None:
        self._world = world
        self.id = carrier_id
        self.window = world.plan.window
        self.hold = carrier_id in world.plan.hold
        self.whole = carrier_id in world.plan.whole
        self._sessions: list[Session] = []
        self.sent: list[tuple[float, MessageId, int]] = []
        """Every submission that the gateway made: when, and which segment."""
        self.sent_at: list[float] = []
        """The gateway's time of day then."""
        self.taken: dict[str, list[tuple[MessageId, int]]] = {}
        """By the carrier's id: the segment that it took, or all of those that came in one PDU."""
        self.final: dict[str, Status] = {}
        """What the receipt says, or will say, of those that get one."""
        self.acknowledged: set[str] = set()
        """Those whose final receipt the gateway has acknowledged."""
        self._put_off: dict[tuple[Node, MessageId, int], float] = {}
        self._unwanted: set[tuple[Node, MessageId]] = set()
        """What it asked for in its answers, for those who heard them."""
        self._dead = False
        self.losses = 0
        self.reporting = 0
        """Receipts that are not acknowledged yet."""

    # ── binds ────────────────────────────────────────────────────────────────────────────────

    def bind(self, node: Node) -> Process:
        """Hold one bind for a node: one session after another."""
        world = self._world
        while not self._dead and node.life.alive:
            yield world.between(0.1, 1.5 if world.calm else 9.0)
            if self._dead or not node.life.alive:
                return
            session = Session(node, self)
            self._sessions.append(session)
            node.bound(session)
            while session.open:
                yield session.closed

    def drop_one(self) -> None:
        if self._sessions:
            self._world.seen["bind dropped"] += 1
            self.close(self._world.chance.choice(self._sessions))

    def close(self, session: Session) -> None:
        """End a session; what is in its window is answered by nobody."""
        if session.open:
            session.open = False
            self._sessions.remove(session)
            self.losses += 1
            session.node.lost(session)
            self._world.ring(session.closed)

    def close_all(self) -> None:
        while self._sessions:
            self.close(self._sessions[0])

    def die(self) -> None:
        """End all sessions for ever, and with them what was still to be reported."""
        self._dead = True
        self.close_all()

    def forget_sessions(self) -> None:
        """Their other end is dead."""
        for session in self._sessions:
            session.open = False
            self._world.ring(session.closed)
        self._sessions.clear()

    # ── submissions ──────────────────────────────────────────────────────────────────────────

    def submit(self, session: Session, submission: Submission) -> None:
        """Take octets off the wire: from now on nobody can call them back."""
        assert len(session.window) < self.window, "more is in flight than the window allows"
        assert session.open
        node, message_id, index = session.node, submission.job.message.id, submission.index
        assert self._world.now >= self._put_off.get((node, message_id, index), 0.0), "too early"
        assert (node, message_id) not in self._unwanted, "offered what it does not take"
        session.window.append(submission)
        assert not submission.rest or self.whole
        assert not self.whole or len(submission.indexes) == submission.job.message.segments
        self.sent += [(self._world.now, message_id, each) for each in submission.indexes]
        self.sent_at += [self._world.wall] * len(submission.indexes)
        self._world.start(self._serve(session, submission))

    def _serve(self, session: Session, submission: Submission) -> Process:
        world, chance, plan = self._world, self._world.chance, self._world.plan
        status, name = 0, ""
        if world.happens(plan.throttled):
            status = chance.choice((0x58, 0x14))
        elif world.happens(plan.refused):
            status = chance.choice((0x08, 0x08, 0x66, 0x66, 0x0B, 0x04, 0x4FF))
        silent = world.happens(plan.silent)
        yield world.between(0.0, 0.2)
        if not status and not (silent and chance.random() < 0.5):
            name = f"{self.id}-{len(self.taken)}"
            message_id = submission.job.message.id
            self.taken[name] = [(message_id, index) for index in submission.indexes]
            self._begin_receipts(name)
        if silent:
            yield RESPONSE_TIMEOUT_S
            world.seen["silence"] += session.open
            self.close(session)
            return
        yield world.between(0.0, 0.3)
        if session.open:
            session.window.remove(submission)
            world.seen[f"status {status:#x}"] += 1
            self._remember(session.node, submission, status)
            session.node.responded(session, submission, status, name)

    def _remember(self, node: Node, submission: Submission, status: int) -> None:
        message_id = submission.job.message.id
        if status in (0x08, 0x4FF):
            put_off_to = self._world.now + LIMITS.first_s
            self._put_off[node, message_id, submission.index] = put_off_to
        elif status == 0x66:
            self._unwanted.add((node, message_id))

    # ── receipts ─────────────────────────────────────────────────────────────────────────────

    def _begin_receipts(self, name: str) -> None:
        """Have a taken segment reported: early, late, twice, out of order, or never."""
        world, chance = self._world, self._world.chance
        if chance.random() < 0.05:
            return
        final = chance.choice((Status.DELIVERED, Status.DELIVERED, Status.UNDELIVERED))
        self.final[name] = final
        receipts = [final] * chance.choice((1, 1, 1, 2))
        if chance.random() < 0.2:
            receipts.append(Status.SUBMITTED)  # on its way: not final
        for status in receipts:
            self.reporting += 1
            delay_s = chance.choice(
                (0.0, world.between(0.0, 0.5), world.between(0.5, world.plan.receipts_s))
            )
            world.start(self._report(name, status), after_s=delay_s)

    def _report(self, name: str, status: Status) -> Process:
        """Send a receipt, again and again until it is acknowledged."""
        acknowledged = False
        while not acknowledged and not self._dead:
            if self._sessions:
                acknowledged = yield from self._deliver(name, status)
            else:
                yield 0.5
        self.reporting -= 1
        if acknowledged and status.final:
            self.acknowledged.add(name)

    def _deliver(self, name: str, status: Status) -> Generator[float, None, bool]:
        """Send a receipt over some bind; return whether it was acknowledged there, in time."""
        session = self._world.chance.choice(self._sessions)
        answered = False

        def acknowledge(committed: bool) -> None:
            nonlocal answered
            answered = answered or (committed and session.open)

        session.node.delivered(self.id, name, status, acknowledge)
        give_up_at = self._world.now + REPEAT_AFTER_S
        while session.open and not answered and self._world.now < give_up_at:
            yield 0.5
        self._world.seen["receipt repeated"] += session.open and not answered
        return answered
