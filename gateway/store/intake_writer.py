"""Group commit: every message that arrives while one transaction is under way goes into the next.

One statement a batch takes idempotency keys, reserves credit and inserts the messages, or does
nothing at all. Only when it reports that some account can't pay for all of its messages does a
slower transaction look at them one by one.

Not here: deciding what a request becomes (`gateway/intake.py`).
"""

from __future__ import annotations

import asyncio
import enum
import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import asyncpg

from gateway.errors import NotTheOwner, StoreUnavailable
from gateway.fallback.terms import EmailFallback
from gateway.latch import Latch
from gateway.message import Message
from gateway.model import CarrierId, Lane, MessageId
from gateway.record import Record
from gateway.store.arrivals import with_arrivals
from gateway.store.commit_line import CommitLine, Connection, Lost
from gateway.store.fallback_statements import fallback_columns
from gateway.store.intake_statements import (
    FIRST_OF_KEYS,
    LOCK_BALANCES,
    WITH_KEYS,
    WITH_KEYS_AND_FALLBACKS,
    WITHOUT_KEYS,
    WITHOUT_KEYS_AND_FALLBACKS,
    message_columns,
)
from gateway.throttle.drain import Drain

BATCH_MESSAGES_MAX = 5_000
"""About 2 MB of parameters and 50 ms of PostgreSQL's time: longer makes others wait for no gain."""
OVERDRAFT = "GW001"
OTP_KEPT_SHARE = 0.1
"""What may wait beyond the bound, one-time passwords alone: others' flood refuses none of them."""
SPEED_MEMORY_S = 1.0
"""Of how fast commits go: with many waiting each is a tenth of a second."""


class Entry(Record):
    """One message on its way into the store."""

    __slots__ = ("fallback", "key", "message", "request_hash")

    def __init__(
        self,
        message: Message,
        key: str = "",
        request_hash: bytes = b"",
        fallback: EmailFallback | None = None,
    ) -> None:
        self.message: Final = message
        self.key: Final = key
        """Its idempotency key with its kind in front ("k:…" or "r:…"); "" when it has none."""
        self.request_hash: Final = request_hash
        self.fallback: Final = fallback


class Fate(enum.Enum):
    STORED = "stored"
    NO_CREDIT = "no_credit"
    CONFLICT = "conflict"
    """The key is taken by a message that was asked for in other words."""


class Replayed(Record):
    """The key's first message, which stands for this one."""

    __slots__ = ("id",)

    def __init__(self, id: MessageId) -> None:
        self.id: Final = id


EntryFate = Fate | Replayed

Settle = Callable[[Sequence[EntryFate], Exception | None], None]
"""Told the fate of each entry, in their order; or, with no fates, what kept them from one. Must
not raise: others of its batch are told after it."""


class _Waiting:
    """One caller's entries, and how it is told of them."""

    __slots__ = ("entries", "settle")

    def __init__(self, entries: Sequence[Entry], settle: Settle) -> None:
        self.entries = entries
        self.settle = settle


class IntakeWriter:
    """The one door through which messages enter the store.

    `on_stored` is called with each committed batch, before anyone is answered, so that dispatch
    has a message before its sender knows that it was taken.
    """

    def __init__(
        self,
        line: CommitLine,
        on_stored: Callable[[list[Message]], None],
        *,
        waiting_max: int,
        timeout_s: float,
        on_batch: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self._line = line
        self._on_stored = on_stored
        self._on_batch = on_batch
        self._waiting_max = waiting_max
        self._timeout_s = timeout_s
        self._waiting: list[_Waiting] = []
        self._count = 0
        self._speed = Drain(SPEED_MEMORY_S)
        self._latch = Latch()
        self._doubtful: list[Entry] = []
        self._away = False
        self._stopping = False
        self._under_way: asyncio.Future[None] | None = None
        self.foreign: set[CarrierId] = set()
        """Carriers that are other nodes': these are told of their messages by the same commit."""

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way into the store."""
        return not self._waiting and (self._under_way is None or self._under_way.done())

    @property
    def available(self) -> bool:
        return not self._away

    @property
    def waiting(self) -> int:
        """Messages that wait for their commit."""
        return self._count

    def commit(self, entries: Sequence[Entry]) -> asyncio.Future[list[EntryFate]]:
        """Queue entries for the next transaction; the future tells each one's fate.

        Entries of one call are committed together. Raises StoreUnavailable when the database is
        away or too many wait already.
        """
        future: asyncio.Future[list[EntryFate]] = asyncio.get_running_loop().create_future()
        self.commit_soon(entries, functools.partial(_resolve, future))
        return future

    def commit_soon(self, entries: Sequence[Entry], settle: Settle) -> None:
        """As `commit`; `settle` is called instead, right after the transaction."""
        if self._away or self._stopping:
            raise StoreUnavailable("the database is away", retry_after_s=2.0)
        if self._count + len(entries) > self._waiting_max and not self._has_kept_room(entries):
            raise StoreUnavailable(
                "too many messages wait for their commit",
                retry_after_s=self._speed.wait_s(self._count),
            )
        self._waiting.append(_Waiting(entries, settle))
        self._count += len(entries)
        self._latch.set()

    def _has_kept_room(self, entries: Sequence[Entry]) -> bool:
        """Say whether these fit where only one-time passwords may wait."""
        count_max = int(self._waiting_max * (1 + OTP_KEPT_SHARE))
        return self._count + len(entries) <= count_max and all(
            entry.message.lane is Lane.OTP for entry in entries
        )

    async def run(self) -> None:
        """Commit batch after batch until `stop`; everything queued by then is still committed."""
        while True:
            if not self._waiting:
                if self._stopping:
                    return
                self._latch.reset()
                await self._latch.wait()
                continue
            under_way = self._under_way = asyncio.get_running_loop().create_future()
            try:
                await self._commit_or_come_back(self._next_batch())
            finally:
                under_way.set_result(None)

    async def _commit_or_come_back(self, batch: list[_Waiting]) -> None:
        try:
            await self._commit(batch)
        except StoreUnavailable as error:
            self._away = True
            self._fail(batch, error)
            self._fail(self._drain(), error)
            await self._come_back()
        except NotTheOwner:
            self._fail(batch, StoreUnavailable("another gateway has taken over"))
            raise
        except Exception as error:
            if _is_without_partition(error):
                error = StoreUnavailable("there is no partition for this day yet")
            self._fail(batch, error)
        except BaseException:
            self._fail(batch, StoreUnavailable("the gateway is stopping"))
            raise

    async def settle(self) -> None:
        """Return once it is known of every transaction that has begun whether it is in."""
        if self._under_way is not None:
            await asyncio.shield(self._under_way)

    def stop(self) -> None:
        self._stopping = True
        self._latch.set()

    def _next_batch(self) -> list[_Waiting]:
        size = 0
        for index, waiting in enumerate(self._waiting):
            size += len(waiting.entries)
            if size > BATCH_MESSAGES_MAX and index > 0:
                batch, self._waiting = self._waiting[:index], self._waiting[index:]
                break
        else:
            batch, self._waiting = self._waiting, []
        self._count -= sum(len(w.entries) for w in batch)
        return batch

    def _drain(self) -> list[_Waiting]:
        batch, self._waiting, self._count = self._waiting, [], 0
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        entries = [entry for waiting in batch for entry in waiting.entries]
        started = asyncio.get_running_loop().time()
        try:
            fates = await self._store(entries, self._timeout_s)
        except StoreUnavailable:
            self._doubtful = entries
            raise
        seconds = asyncio.get_running_loop().time() - started
        self._speed.passed(len(entries), seconds)
        self._on_batch(len(entries), seconds)
        stored = [e.message for e, f in zip(entries, fates, strict=True) if f is Fate.STORED]
        if stored:
            self._on_stored(stored)
        start = 0
        for waiting in batch:
            end = start + len(waiting.entries)
            waiting.settle(fates[start:end], None)
            start = end

    async def _store(self, entries: list[Entry], timeout_s: float) -> list[EntryFate]:
        try:
            known = await self._line.commit(
                lambda c, seq: _insert(c, self.name, seq, entries, self.foreign), timeout_s
            )
        except asyncpg.PostgresError as error:
            if getattr(error, "sqlstate", "") != OVERDRAFT:
                raise
            outcome = await self._line.commit(
                lambda c, seq: _insert_what_can_be_paid(c, self.name, seq, entries, self.foreign),
                timeout_s,
            )
            if isinstance(outcome, Lost):
                return await self._read_fates(entries, timeout_s)
            return outcome
        if isinstance(known, Lost):
            return await self._read_fates(entries, timeout_s)
        if not known:
            return [Fate.STORED] * len(entries)
        return await self._line.read(lambda c: _resolve_known(c, entries, set(known)), timeout_s)

    @property
    def name(self) -> str:
        return self._line.name

    async def _read_fates(self, entries: list[Entry], timeout_s: float | None) -> list[EntryFate]:
        """Learn from the rows what became of a batch whose answer was lost."""
        return await self._line.read(lambda c: _fates_from_rows(c, entries), timeout_s)

    async def _come_back(self) -> None:
        """Wait for the database; then dispatch what of the doubtful batch is in after all."""
        if self._line.in_doubt:
            await self._line.settle(None)
        fates = await self._read_fates(self._doubtful, None)
        self._on_stored(
            [e.message for e, f in zip(self._doubtful, fates, strict=True) if f is Fate.STORED]
        )
        self._doubtful = []
        self._away = False

    @staticmethod
    def _fail(batch: list[_Waiting], error: Exception) -> None:
        for waiting in batch:
            waiting.settle((), error)


def _is_without_partition(error: Exception) -> bool:
    """Say whether a message's id is of a day that has no partition: the clock was just set ahead
    by days, and whoever watches it makes one within seconds."""
    return isinstance(error, asyncpg.CheckViolationError) and error.constraint_name is None


def _resolve(
    future: asyncio.Future[list[EntryFate]], fates: Sequence[EntryFate], error: Exception | None
) -> None:
    if future.done():  # nobody waits any more
        return
    if error is None:
        future.set_result(list(fates))
    else:
        future.set_exception(error)


async def _insert(
    connection: Connection[asyncpg.Record],
    name: str,
    seq: int,
    entries: Sequence[Entry],
    foreign: Collection[CarrierId],
) -> list[int]:
    """Store the entries whose keys are new; return the ids of those whose keys are known."""
    keyed = [entry for entry in entries if entry.key]
    columns = message_columns([entry.message for entry in entries])
    fallbacks = [entry.fallback for entry in entries if entry.fallback is not None]
    values: list[Any] = [name, seq, *columns]
    if keyed:
        statement = WITH_KEYS_AND_FALLBACKS if fallbacks else WITH_KEYS
        values += [*_key_columns(keyed), [entry.request_hash for entry in keyed]]
    else:
        statement = WITHOUT_KEYS_AND_FALLBACKS if fallbacks else WITHOUT_KEYS
    if fallbacks:
        values += fallback_columns(fallbacks)
    if foreign and any(entry.message.routes[0] in foreign for entry in entries):
        statement = with_arrivals(statement, len(values))
        values.append(list(foreign))
    row = await connection.fetchrow(statement, *values)
    if not keyed:
        return []
    assert row is not None
    known: list[int] = row["known"]
    return known


async def _insert_what_can_be_paid(
    connection: Connection[asyncpg.Record],
    name: str,
    seq: int,
    entries: list[Entry],
    foreign: Collection[CarrierId],
) -> list[EntryFate]:
    """Store, in order, each account's messages as long as its credit lasts."""
    async with connection.transaction():
        first = await _first_of_keys(connection, entries)
        accounts = sorted({entry.message.account_id for entry in entries})
        rows = await connection.fetch(LOCK_BALANCES, accounts)
        spendable = {row["account_id"]: row["spendable"] for row in rows}
        fates: dict[int, EntryFate] = {}
        taken: list[Entry] = []
        keys_seen: dict[tuple[int, str], Entry] = {}
        for entry in entries:
            message = entry.message
            earlier = keys_seen.get((message.account_id, entry.key)) if entry.key else None
            if message.id in first:
                fates[message.id] = _fate_of_known(entry, *first[message.id])
            elif earlier is not None:
                fates[message.id] = _fate_of_known(entry, earlier.message.id, earlier.request_hash)
            elif spendable.get(message.account_id, 0) >= message.price_micros:
                spendable[message.account_id] -= message.price_micros
                taken.append(entry)
                fates[message.id] = Fate.STORED
                if entry.key:
                    keys_seen[message.account_id, entry.key] = entry
            else:
                fates[message.id] = Fate.NO_CREDIT
        known = await _insert(connection, name, seq, taken, foreign)
        if known:  # another node took one of the keys meanwhile
            late = await _first_of_keys(connection, [e for e in taken if e.message.id in known])
            for entry in taken:
                if entry.message.id in late:
                    fates[entry.message.id] = _fate_of_known(entry, *late[entry.message.id])
    return [fates[entry.message.id] for entry in entries]


async def _resolve_known(
    connection: Connection[asyncpg.Record], entries: list[Entry], known: set[int]
) -> list[EntryFate]:
    first = await _first_of_keys(connection, [e for e in entries if e.message.id in known])
    return [
        _fate_of_known(entry, *first[entry.message.id])
        if entry.message.id in first
        else (Fate.CONFLICT if entry.message.id in known else Fate.STORED)
        for entry in entries
    ]


async def _fates_from_rows(
    connection: Connection[asyncpg.Record], entries: list[Entry]
) -> list[EntryFate]:
    rows = await connection.fetch(
        "SELECT m.id FROM unnest($1::int[], $2::bigint[]) AS k(account_id, id)"
        " JOIN messages m USING (account_id, id)",
        [entry.message.account_id for entry in entries],
        [entry.message.id for entry in entries],
    )
    stored = {row["id"] for row in rows}
    first = await _first_of_keys(connection, entries)
    fates: list[EntryFate] = []
    for entry in entries:
        if entry.message.id in stored:
            fates.append(Fate.STORED)
        elif entry.message.id in first:
            fates.append(_fate_of_known(entry, *first[entry.message.id]))
        else:
            fates.append(Fate.NO_CREDIT)
    return fates


async def _first_of_keys(
    connection: Connection[asyncpg.Record], entries: Sequence[Entry]
) -> dict[int, tuple[int, bytes]]:
    """Return, by the id asked for, the message that holds each key and its request's hash."""
    keyed = [entry for entry in entries if entry.key]
    if not keyed:
        return {}
    rows = await connection.fetch(FIRST_OF_KEYS, *_key_columns(keyed))
    return {row["asked"]: (row["first"], row["request_hash"]) for row in rows}


def _fate_of_known(entry: Entry, first: int, request_hash: bytes) -> EntryFate:
    if request_hash != entry.request_hash:
        return Fate.CONFLICT
    return Replayed(MessageId(first))


def _key_columns(keyed: Sequence[Entry]) -> tuple[list[Any], ...]:
    return (
        [entry.message.account_id for entry in keyed],
        [entry.key for entry in keyed],
        [entry.message.id for entry in keyed],
    )
