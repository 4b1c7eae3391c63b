"""Group commit of everything that happens after acceptance, in the order in which it happened.

Events, the money they move, the notices and deliveries they cause, receipts set aside and
messages received go into one statement a batch. Whatever waits for durability (a carrier's
`deliver_sm`, the memory of a message that is done) is told after the commit and not before.

Not here: what is to be written (`gateway/dispatch.py`, `gateway/receipts.py`,
`gateway/inbound/`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import asyncpg

from gateway.inbound.handover import Handover
from gateway.inbound.parts import InboundPart
from gateway.latch import Latch
from gateway.model import AccountId
from gateway.outcomes import Acknowledge, Delivery, Event, Move, Notice, ParkedReceipt
from gateway.store.arrivals import TELL_ARRIVED, add_moves
from gateway.store.columns import Column, read_rows, write_rows
from gateway.store.commit_line import CommitLine, Connection
from gateway.store.fallback_statements import add_due
from gateway.store.inbound import add_inbound
from gateway.store.money import TELL_REFUNDED, add_money
from gateway.store.unmatched import add_parked

BATCH_EVENTS_MAX = 5_000
MOVES_MAX = 5_000
"""In one statement, a tenth of a second of PostgreSQL's: a carrier that goes down may have all that
wait for it go on elsewhere at once."""
DELIVERIES_CHANNEL = "gateway_deliveries"
"""Tells nodes whose deliveries another one has stored, and the first id of each."""
DeliveryKey = tuple[AccountId, int]


class Lookups(Protocol):
    """Receipts whose submission is not in memory: they are looked up before the next batch."""

    def wanted(self) -> bool: ...

    async def look_up(self, connection: Connection[asyncpg.Record]) -> None:
        """Find them in the store and record what follows; may be called again if it raises."""
        ...


class Deliveries(Protocol):
    """Hears which deliveries to customers' receivers are in the store, and which are gone."""

    def stored(self, deliveries: Sequence[Delivery]) -> None: ...

    def forgotten(self, keys: Sequence[DeliveryKey]) -> None: ...

    def tell_others(self, deliveries: Sequence[Delivery]) -> list[str]:
        """Return what is notified to other nodes with the commit of these."""
        ...


class _Batch:
    """What goes into one transaction."""

    __slots__ = (
        "acknowledge",
        "delivered",
        "deliveries",
        "events",
        "handovers",
        "kept",
        "moves",
        "notices",
        "parked",
        "refunds",
        "unparked",
    )

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refunds: list[Event] = []
        self.notices: list[Notice] = []
        self.deliveries: list[Delivery] = []
        self.delivered: list[DeliveryKey] = []
        self.parked: list[ParkedReceipt] = []
        self.unparked: list[ParkedReceipt] = []
        self.kept: list[InboundPart] = []
        self.handovers: list[Handover] = []
        self.moves: list[Move] = []
        self.acknowledge: list[Acknowledge] = []

    @property
    def empty(self) -> bool:
        return not (
            self.events
            or self.refunds
            or self.deliveries
            or self.delivered
            or self.parked
            or self.unparked
            or self.kept
            or self.handovers
            or self.moves
            or self.acknowledge
        )

    @property
    def all_notices(self) -> list[Notice]:
        return self.notices + [notice for h in self.handovers for notice in h.notices]

    @property
    def all_deliveries(self) -> list[Delivery]:
        return self.deliveries + [delivery for h in self.handovers for delivery in h.deliveries]

    def split(self) -> list[_Batch]:
        """Return batches of one row each, in order; acknowledgements stay with this one."""
        parts: list[_Batch] = []
        for name in (
            *("events", "refunds", "notices", "deliveries", "delivered"),
            *("unparked", "parked", "kept", "handovers", "moves"),
        ):
            for row in getattr(self, name):
                part = _Batch()
                getattr(part, name).append(row)
                parts.append(part)
        return parts


class OutcomeWriter:
    """Takes rows without waiting, writes them behind; never gives up on any of them."""

    def __init__(
        self,
        line: CommitLine,
        on_written: Callable[[Sequence[Event], bool], None],
        *,
        waiting_max: int,
        on_batch: Callable[[int, float], None] = lambda size, seconds: None,
        on_refused: Callable[[str, Exception], None] = lambda rows, error: None,
        on_refunded: Callable[[AccountId, int], None] = lambda account, micros: None,
        on_moved: Callable[[Sequence[Move]], None] = lambda moves: None,
    ) -> None:
        """`on_written` gets each committed batch's events, and whether it held notices.

        `on_refunded` gets what was given back to an account, one call a segment; `on_moved` the
        messages that go on with other carriers.
        """
        self._on_moved = on_moved
        self._on_refunded = on_refunded
        self._on_refused = on_refused
        self._line = line
        self._on_written = on_written
        self._on_batch = on_batch
        self._waiting_max = waiting_max
        self._batch = _Batch()
        self._writing: _Batch | None = None
        self._latch = Latch()
        self._stopping = False
        self._lookups: Lookups | None = None
        self._deliveries: Deliveries | None = None
        self.refused = 0

    @property
    def full(self) -> bool:
        """Whether senders have to wait until the store has caught up."""
        return len(self._batch.events) >= self._waiting_max

    @property
    def away(self) -> bool:
        return self._line.away

    @property
    def waiting(self) -> int:
        return len(self._batch.events)

    def join(self, lookups: Lookups, deliveries: Deliveries | None = None) -> None:
        self._lookups = lookups
        self._deliveries = deliveries

    def record(self, event: Event) -> None:
        self._batch.events.append(event)
        self._latch.set()

    def refund(self, event: Event) -> None:
        """Give a segment's price back, unless that was done before; of the event's money nothing
        is read, as the store knows the price."""
        self._batch.refunds.append(event)
        self._latch.set()

    def notify(self, notice: Notice) -> None:
        """Write an outbox row; goes with the event recorded beside it."""
        self._batch.notices.append(notice)

    def deliver(self, delivery: Delivery) -> None:
        """Keep a delivery for its account's receivers."""
        self._batch.deliveries.append(delivery)
        self._latch.set()

    def delivered(self, key: DeliveryKey) -> None:
        """Forget a delivery that was answered."""
        self._batch.delivered.append(key)
        self._latch.set()

    def park(self, receipt: ParkedReceipt) -> None:
        self._batch.parked.append(receipt)
        self._latch.set()

    def unpark(self, receipt: ParkedReceipt) -> None:
        if receipt in self._batch.parked:
            # Parked and matched within one batch: it need not reach the store.
            self._batch.parked.remove(receipt)
        self._batch.unparked.append(receipt)
        self._latch.set()

    def unparks(self, receipt: ParkedReceipt) -> bool:
        """Whether a receipt leaves the store with what is recorded and not committed yet."""
        return receipt in self._batch.unparked

    def keep(self, part: InboundPart) -> None:
        """Keep a part of a message that is not whole yet."""
        self._batch.kept.append(part)
        self._latch.set()

    def hand_over(self, handover: Handover) -> None:
        """Write a message from a phone, and with it what its owner is told of it."""
        self._batch.handovers.append(handover)
        self._latch.set()

    def move(self, move: Move) -> None:
        """Have a message go on with another carrier, whose node is told."""
        self._batch.moves.append(move)
        self._latch.set()

    def after_commit(self, acknowledge: Acknowledge) -> None:
        """Call back once everything recorded so far is committed."""
        self._batch.acknowledge.append(acknowledge)
        self._latch.set()

    def wake(self) -> None:
        """Look whether there is something to look up."""
        self._latch.set()

    async def flush(self) -> None:
        """Return once everything recorded so far is committed."""
        done = asyncio.get_running_loop().create_future()

        def settle(committed: bool) -> None:
            if not done.done():
                done.set_result(committed)

        self.after_commit(settle)
        await done

    def stop(self) -> None:
        self._stopping = True
        self._latch.set()

    async def run(self) -> None:
        """Write batch after batch until `stop`; everything recorded by then is still written."""
        loop = asyncio.get_running_loop()
        while True:
            self._latch.reset()
            if self._lookups is not None and self._lookups.wanted():
                await self._line.read(self._lookups.look_up, None)
            if self._batch.empty:
                if self._stopping:
                    return
                await self._latch.wait()
                continue
            batch, self._batch = self._batch, _Batch()
            started, moves = loop.time(), batch.moves
            await self._write(batch)
            self._on_batch(len(batch.events), loop.time() - started)
            self._on_written(batch.events, bool(batch.all_notices))
            if moves:
                self._on_moved(moves)
            if self._deliveries is not None:
                if batch.delivered:
                    self._deliveries.forgotten(batch.delivered)
                if deliveries := batch.all_deliveries:
                    self._deliveries.stored(deliveries)
            for acknowledge in batch.acknowledge:
                acknowledge(True)

    async def _write(self, batch: _Batch) -> None:
        """Commit the batch; if the store refuses it for what it holds, its parts one by one.

        A row that can't be stored (its partition was dropped while its receipt was on the way)
        must not hold up the others for ever.
        """
        if len(batch.moves) > MOVES_MAX:
            more, batch.moves = batch.moves[MOVES_MAX:], batch.moves[:MOVES_MAX]
            await self._write(batch)
            rest = _Batch()
            rest.moves = more
            await self._write(rest)
            return
        try:
            await self._commit(batch)
        except asyncpg.PostgresError as error:
            parts = batch.split()
            if len(parts) == 1:
                self.refused += 1
                self._on_refused(repr(batch.events or batch.refunds), error)
                return
            for part in parts:
                await self._write(part)

    async def _commit(self, batch: _Batch) -> None:
        told: list[str] = []
        if self._deliveries is not None and (deliveries := batch.all_deliveries):
            told = self._deliveries.tell_others(deliveries)
        query, values = _statement(batch, told)

        async def run(connection: Connection[asyncpg.Record], seq: int) -> None:
            if not batch.refunds:
                await connection.execute(query, self._line.name, seq, *values)
                return
            row = await connection.fetchrow(query, self._line.name, seq, *values)
            assert row is not None
            refunded.extend(zip(row["refunded_accounts"], row["refunded_micros"], strict=True))

        refunded: list[tuple[AccountId, int]] = []
        await self._line.commit(run, None)
        for account_id, micros in refunded:
            self._on_refunded(account_id, micros)


_EVENT = (
    Column("message_id", "bigint", varies=True),
    Column("account_id", "int"),
    Column("at", "float8", varies=True),
    Column("kind", "smallint", varies=True),
    Column("segment", "smallint"),
    Column("segment_status", "smallint", varies=True),
    Column("status", "smallint", varies=True),
    Column("closes", "boolean", varies=True),
    Column("carrier_id", "smallint"),
    Column("carrier_message_id", "text", varies=True),
    Column("code", "int", varies=True),
    Column("error", "text", varies=True),
    Column("posted_micros", "bigint", varies=True),
    Column("voided_micros", "bigint"),
    Column("cost_micros", "bigint"),
)
"""In the order of `_event_columns`."""
_EVENTS_FIRST = 3
"""Events come first of all that a batch holds, behind the writer and the batch's number."""
_EVENTS = f"""INSERT INTO events ({", ".join(column.name for column in _EVENT)})
    {read_rows(_EVENT, first=_EVENTS_FIRST)}"""
_OUTBOX = """INSERT INTO outbox (account_id, message_id, url, body, created_at, next_at)
    SELECT n.*, 0
    FROM unnest({}::int[], {}::bigint[], {}::text[], {}::text[], {}::float8[])
        AS n(account_id, message_id, url, body, created_at)"""
_DELIVERIES = """INSERT INTO deliveries SELECT * FROM unnest(
    {}::int[], {}::bigint[], {}::bigint[], {}::bytea[], {}::float8[])"""
_DELIVERED = """DELETE FROM deliveries d
    USING unnest({}::int[], {}::bigint[]) AS k(account_id, id)
    WHERE d.account_id = k.account_id AND d.id = k.id"""

_TELL_OTHERS = """,
    (SELECT count(pg_notify('gateway_deliveries', told)) FROM unnest({}::text[]) AS told)"""


def _statement(batch: _Batch, told: Sequence[str] = ()) -> tuple[str, list[Any]]:
    """Return one statement for just what the batch holds, and its arrays; `told` is notified."""
    parts: list[str] = []
    values: list[Any] = []

    def add(template: str, *columns: Sequence[Any], name: str = "") -> None:
        first = len(values) + 3  # $1 and $2 are the writer and its batch's number
        numbers = (f"${number}" for number in range(first, first + len(columns)))
        parts.append(f"{name or f'part_{len(parts)}'} AS ({template.format(*numbers)})")
        values.extend(columns)

    if batch.events:
        add(_EVENTS, *write_rows(_EVENT, _event_columns(batch.events)))
    add_money(add, batch.events, batch.refunds)
    add_due(add, batch.events)
    if notices := batch.all_notices:
        add(
            _OUTBOX,
            [n.account_id for n in notices],
            [n.message_id for n in notices],
            [n.url for n in notices],
            [n.body for n in notices],
            [n.created_at for n in notices],
        )
    if deliveries := batch.all_deliveries:
        add(
            _DELIVERIES,
            [d.account_id for d in deliveries],
            [d.id for d in deliveries],
            [d.message_id for d in deliveries],
            [d.body for d in deliveries],
            [d.created_at for d in deliveries],
        )
    if batch.delivered:
        add(_DELIVERED, [a for a, _ in batch.delivered], [i for _, i in batch.delivered])
    add_parked(add, batch.parked, batch.unparked)
    add_inbound(add, batch.kept, batch.handovers)
    add_moves(add, batch.moves)
    with_parts = f"WITH {', '.join(parts)} " if parts else ""
    returned = TELL_REFUNDED if batch.refunds else ""
    if batch.moves:
        returned += TELL_ARRIVED
    if told:
        returned += _TELL_OTHERS.format(f"${len(values) + 3}")
        values.append(told)
    return f"{with_parts}SELECT advance_writer($1, $2){returned}", values


def _event_columns(events: Sequence[Event]) -> tuple[list[Any], ...]:
    return (
        [e.message_id for e in events],
        [e.account_id for e in events],
        [e.at for e in events],
        [e.kind for e in events],
        [e.segment for e in events],
        [e.segment_status for e in events],
        [e.status for e in events],
        [e.closes for e in events],
        [e.carrier_id for e in events],
        [e.carrier_message_id for e in events],
        [e.code for e in events],
        [e.error for e in events],
        [e.posted_micros for e in events],
        [e.voided_micros for e in events],
        [e.cost_micros for e in events],
    )
