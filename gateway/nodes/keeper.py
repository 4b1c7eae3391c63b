"""Keeps this node's claim of its number, and with it what the node alone may do.

Every beat renews the claim, looks at what the database says of all nodes, and begins what follows:
ending epochs that are over, taking what is free, giving up what others should have. Who wants
leases says so with `want`, a group of names at a time, and is told of each that is gained and of
each that is about to be lost: that one is another's only after `lost` has returned.

A lease is as good as the claim: one row is renewed a beat, however many there are.

Not here: who takes what (`leases.py`), the statements (`store/leases.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gateway.lease import BEAT_S, Lease, begin_sending_at
from gateway.logs import get_logger
from gateway.nodes.claim import GIVE_UP_TIMEOUT_S, TAKE_TIMEOUT_S, Claim, Hear
from gateway.nodes.leases import (
    GRACE_S,
    PATIENCE_S,
    SETTLE_S,
    Board,
    Ended,
    Wanted,
    choose_changes,
    find_ended,
)
from gateway.processes import is_gone
from gateway.store import leases as store
from gateway.store.postgres import Database, is_unavailable

if TYPE_CHECKING:
    from gateway.store.postgres import Connection

log = get_logger("nodes")

BEAT_TIMEOUT_S: Final = 1.0
"""A renewal that takes longer is asked for anew, on another connection."""
FIRST_SHARE_S: Final = 10.0
"""How long a start waits for what it takes at once; the rest comes while it serves."""
TOGETHER_S: Final = 0.02
"""What changes within so short a time is seen by one beat."""

Gained = Callable[[str, float], Awaitable[None]]
"""Told a lease's name and from when on (monotonic) something may be sent under it."""
Lost = Callable[[str], Awaitable[None]]
"""Told a lease's name; returns once nothing is done under it any more, and all of it committed."""


async def _nothing_to_begin(name: str, begins_at: float) -> None:
    pass


async def _nothing_to_end(name: str) -> None:
    pass


class _Group:
    """Leases of one kind, as somebody here wants them."""

    __slots__ = ("gained", "lost", "wanted")

    def __init__(self) -> None:
        self.wanted = Wanted([], True)
        self.gained: Gained = _nothing_to_begin
        self.lost: Lost = _nothing_to_end


class Keeper:
    """One node's place among the others. `claim`, then `begin`, `run` beside all else, `leave`."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._claim = Claim(connect)
        self._claim.hear(store.CHANNEL, lambda payload: self.wake())
        self._database: Database
        self._tasks: asyncio.TaskGroup
        self._groups: dict[str, _Group] = {}
        self._held: dict[str, str] = {}
        """By lease that this node has: its group."""
        self._ending: set[str] = set()
        """Of these, those that are about to be given up."""
        self._work: dict[str, asyncio.Task[None]] = {}
        self._free_since: dict[str, float] = {}
        self._usable: dict[str, bool] = {}
        self._told: dict[str, bool] = {}
        self._sharing: list[int] = []
        self._sharing_since = 0.0
        self._came_back_at = 0.0
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        """Of the claim's connection: a start does its first beats while `run` does them already."""
        self._ready = False
        self.taken_over = 0
        """Epochs of other nodes that this one has ended."""
        self.board = Board({}, {})
        self.on_took_over: Callable[[], None] = lambda: None
        self.on_seen: list[Callable[[Board], None]] = []
        """Called with what every beat has seen."""

    # ── what others ask ──────────────────────────────────────────────────────────────────────

    @property
    def away(self) -> bool:
        """Whether the database did not answer when it was last asked."""
        return self._claim.away

    @property
    def node(self) -> int:
        return self._claim.node

    @property
    def epoch(self) -> int:
        return self._claim.epoch

    @property
    def lease(self) -> Lease:
        """Until when anything may be done under what this node has."""
        return self._claim.lease

    def owns(self, name: str) -> bool:
        """Say whether this node alone may do now what the lease is for."""
        return self.holds(name) and self.valid

    def holds(self, name: str) -> bool:
        """Say whether a lease was taken and is not being given up, even while the database is away:
        nobody else can have it without this node's end."""
        return name in self._held and name not in self._ending

    @property
    def valid(self) -> bool:
        """Whether what this node has can't be another's by now."""
        return self.lease.allows(time.monotonic())

    @property
    def alone(self) -> bool:
        """Whether no other node was there at the last beat."""
        return not any(n.claimed and n.node != self.node for n in self.board.nodes.values())

    def want(
        self,
        group: str,
        names: Iterable[str],
        *,
        gained: Gained | None = None,
        lost: Lost | None = None,
        shared: bool = True,
    ) -> None:
        """Have these leases of a group, and no others.

        Those that are `shared` are wanted by all nodes alike, which share them out by count; of
        others each node says which ones it wants, and has them when nobody else does.
        """
        kept = self._groups.setdefault(group, _Group())
        kept.wanted = Wanted(sorted(names), shared)
        kept.gained = gained or kept.gained
        kept.lost = lost or kept.lost
        self.wake()

    def tell_usable(self, name: str, usable: bool) -> None:
        """Have the other nodes know whether what a lease is for can be used."""
        if self._usable.get(name, False) is not usable:
            self._usable[name] = usable
            self.wake()

    def hear(self, channel: str, hear: Hear) -> None:
        """Be told of a channel's notifications, from `begin` on."""
        self._claim.hear(channel, hear)

    def wake(self) -> None:
        """Look soon: something is wanted, or free."""
        self._woken.set()

    # ── coming ───────────────────────────────────────────────────────────────────────────────

    async def claim(self, timeout_s: float = TAKE_TIMEOUT_S) -> None:
        """Get a number; raises NotTheOwner when a gateway without nodes keeps all to itself."""
        await self._claim.take(timeout_s)

    async def begin(self, tasks: asyncio.TaskGroup, database: Database) -> None:
        """Take this node's first share; returns when that is gained, or takes too long."""
        self._tasks, self._database = tasks, database
        self._ready = True
        async with self._turn:
            await self._claim.listen()
        await self._beat()
        if self._work:
            await asyncio.wait(self._work.values(), timeout=FIRST_SHARE_S)

    async def run(self) -> None:
        """Beat until cancelled; raises NotTheOwner when another node has ended this one's claim."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._woken.wait()
                    await asyncio.sleep(TOGETHER_S)
            self._woken.clear()
            try:
                async with asyncio.timeout(BEAT_TIMEOUT_S):
                    await self._beat()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("claim_unsure", error=str(error) or type(error).__name__)
                self._claim.drop()

    # ── a beat ───────────────────────────────────────────────────────────────────────────────

    async def _beat(self) -> None:
        async with self._turn:
            await self._beat_now()

    async def _beat_now(self) -> None:
        connection = await self._claim.connected()
        now = time.monotonic()
        if not self.lease.allows(now):
            self._came_back_at = now
        await self._claim.renew(ready=self._ready)
        self.board = await store.fetch_board(connection)
        unknown = {n for group in self._groups.values() for n in group.wanted.names}
        unknown -= self.board.leases.keys()
        if unknown:
            await store.know_leases(connection, unknown)
            self.board = await store.fetch_board(connection)
        for see in self.on_seen:
            see(self.board)
        if self._ready:
            await self._act(connection, now)
        await self._tell(connection)

    async def _act(self, connection: Connection, now: float) -> None:
        """Begin what follows from what was seen."""
        lenient = now - self._came_back_at < GRACE_S
        for ended in find_ended(self.board, self.node, is_gone, lenient=lenient):
            self._do(f"end of node {ended.node}", self._end(ended))
        if self.board.sharing != self._sharing:
            self._sharing, self._sharing_since = self.board.sharing, now
            log.info("nodes_seen", node=self.node, nodes=self.board.sharing)
        self._note_free(now)
        changes = choose_changes(
            self.board,
            self.node,
            {key: group.wanted for key, group in self._groups.items()},
            self._held,
            settled=now - self._sharing_since >= SETTLE_S and not self._work,
            overdue={n for n, since in self._free_since.items() if now - since > PATIENCE_S},
        )
        if changes.take:
            await self._take(connection, changes.take)
        # What is ending already is what could not be given up before.
        for name in {*changes.give_up, *self._ending}:
            if name in self._held and name not in self._work:
                self._ending.add(name)
                self._do(name, self._give_up(name))

    def _note_free(self, now: float) -> None:
        leases = self.board.leases
        free = (name for name, lease in leases.items() if self.board.owner_of(lease) is None)
        self._free_since = {name: self._free_since.get(name, now) for name in free}

    async def _take(self, connection: Connection, wanted: Mapping[str, str]) -> None:
        taken = await store.take_leases(connection, wanted, self.node, self.epoch)
        now = time.monotonic()
        for name, quiet_s in taken.items():
            self._held[name] = wanted[name]
            self._told.pop(name, None)
            self._usable.pop(name, None)
            self._do(name, self._adopt(name, begin_sending_at(now, quiet_s)))

    async def _tell(self, connection: Connection) -> None:
        told = {
            name: usable
            for name, usable in self._usable.items()
            if name in self._held and self._told.get(name, False) is not usable
        }
        if told:
            await store.tell_usable(connection, told, self.node, self.epoch)
            self._told |= told

    # ── beside the beats ─────────────────────────────────────────────────────────────────────

    def _do(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Do this beside the beats, unless something is being done to the same already."""
        if name in self._work:
            work.close()
            return
        task = self._tasks.create_task(self._guard(name, work), name=f"lease {name}")
        self._work[name] = task

    async def _guard(self, name: str, work: Coroutine[None, None, None]) -> None:
        """What one lease meets must not end the others; a later beat begins it again."""
        try:
            await work
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("lease_not_changed", lease=name, error=str(error))
            await asyncio.sleep(BEAT_S)
        finally:
            self._work.pop(name, None)
            self.wake()

    async def _end(self, ended: Ended) -> None:
        async with self._database.acquire() as connection:
            if await store.end_node(connection, ended):
                self.taken_over += 1
                self.on_took_over()
                log.warning("node_ended", node=ended.node, gone=ended.gone)

    async def _adopt(self, name: str, begins_at: float) -> None:
        """Begin to use a lease, however often the database is away meanwhile: it is this node's."""
        group = self._groups[self._held[name]]
        while True:
            try:
                await group.gained(name, begins_at)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("lease_not_adopted", lease=name, error=str(error))
                await asyncio.sleep(BEAT_S)
            else:
                log.info("lease_gained", lease=name, node=self.node)
                return

    async def _give_up(self, name: str) -> None:
        await self._groups[self._held[name]].lost(name)
        async with self._database.acquire() as connection:
            await store.give_up_leases(connection, [name], self.node, self.epoch)
        del self._held[name]
        self._ending.discard(name)
        log.info("lease_given_up", lease=name, node=self.node)

    # ── going ────────────────────────────────────────────────────────────────────────────────

    async def stop(self) -> None:
        """Take and give up nothing more: this node is about to stop. What it has it keeps until
        `leave`."""
        self._ready = False
        async with self._turn:  # the beat under way may take something still
            pass
        work = list(self._work.values())
        for task in work:
            task.cancel()
        if work:
            await asyncio.wait(work, timeout=GIVE_UP_TIMEOUT_S)

    async def leave(self) -> None:
        """Give up everything at once; nothing of it may be in use any more."""
        await self._claim.give_up()
