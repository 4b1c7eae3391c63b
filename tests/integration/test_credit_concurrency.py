"""Many accounts, several writers at once, and money that never drifts nor passes its floor."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from gateway.errors import Rejected
from gateway.ids import IdGenerator
from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import Account, CarrierId, Encoding, Lane, Micros
from gateway.outcomes import Event
from gateway.store import accounts
from gateway.store.audit import audit
from gateway.store.commit_line import CommitLine
from gateway.store.intake_writer import Entry, Fate, IntakeWriter
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.postgres import Database, connect_single

MakeAccount = Callable[..., Awaitable[Account]]
NODES = 3
ROUNDS = 25


class Node:
    """A node's two writers, under names of their own."""

    def __init__(self, url: str, number: int) -> None:
        self.ids = IdGenerator(number)
        self._lines = [
            CommitLine(partial(connect_single, url, f"{name}-{number}"), f"{name}-{number}")
            for name in ("intake", "outcomes")
        ]
        self.intake = IntakeWriter(
            self._lines[0], lambda messages: None, waiting_max=10_000, timeout_s=30.0
        )
        self.outcomes = OutcomeWriter(
            self._lines[1], lambda events, notices: None, waiting_max=10_000
        )
        self._tasks = [
            asyncio.create_task(self.intake.run()),
            asyncio.create_task(self.outcomes.run()),
        ]

    async def end(self) -> None:
        self.intake.stop()
        self.outcomes.stop()
        await asyncio.gather(*self._tasks)
        for line in self._lines:
            await line.close()


def message(node: Node, account: Account, chance: random.Random) -> Message:
    now, segments = time.time(), chance.randint(1, 3)
    return Message(
        id=node.ids.next(now),
        account_id=account.id,
        accepted_at=now,
        sender="Shop",
        recipient="447400123456",
        country=chance.choice(("GB", "FR")),
        text="x",
        encoding=Encoding.GSM7,
        segments=segments,
        lane=Lane.OTP,
        price_micros=Micros(segments * chance.choice((0, 7, 33_333))),
        routes=(CarrierId(1),),
        tag=chance.choice(("", "a", "b")),
        expires_at=now + 60,
    )


def end_of(stored: Message, node: Node, others: list[Node], chance: random.Random) -> None:
    """Let each segment be taken, refused or refunded, told by whichever node."""
    each = stored.price_micros // stored.segments
    for index in range(stored.segments):
        last = index == stored.segments - 1
        base: dict[str, Any] = {
            "message_id": stored.id,
            "account_id": stored.account_id,
            "at": time.time(),
            "segment": index + 1,
            "carrier_id": CarrierId(1),
            "status": Status.SENDING,
        }
        if chance.random() < 0.3:
            ended = Event(
                **base,
                kind=EventKind.EXPIRED,
                segment_status=Status.EXPIRED,
                closes=last,
                voided_micros=each,
            )
            node.outcomes.record(ended)
            continue
        taken = Event(
            **base,
            kind=EventKind.SUBMITTED,
            segment_status=Status.SUBMITTED,
            closes=last,
            posted_micros=each,
        )
        node.outcomes.record(taken)
        if chance.random() < 0.5:
            refund = Event(
                **base,
                kind=EventKind.REFUND,
                segment_status=Status.UNDELIVERED,
                closes=False,
                error="not delivered",
            )
            for teller in chance.choices(others, k=chance.randint(1, 3)):
                teller.outcomes.refund(refund)


async def live(
    node: Node, nodes: list[Node], owners: list[Account], chance: random.Random
) -> tuple[int, int]:
    """Send and end messages; return how many were stored and how many could not be paid."""
    stored = refused = 0
    for _ in range(ROUNDS):
        sent = [message(node, chance.choice(owners), chance) for _ in range(chance.randint(1, 30))]
        fates = await node.intake.commit([Entry(each) for each in sent])
        for each, fate in zip(sent, fates, strict=True):
            if fate is Fate.STORED:
                stored += 1
                end_of(each, node, nodes, chance)
            else:
                assert fate is Fate.NO_CREDIT
                refused += 1
    return stored, refused


async def top_up(database: Database, owners: list[Account], chance: random.Random) -> None:
    for number in range(ROUNDS):
        owner = chance.choice(owners)
        amount = chance.choice((100_000, 1, -50_000))
        for _ in range(2):
            try:
                await accounts.deposit(
                    database, owner.id, amount, reason="x", author="x", key=str(number)
                )
            except Rejected:
                assert amount < 0


async def watch_floors(database: Database, seen: list[int]) -> None:
    while True:
        seen.append(
            await database.pool.fetchval(
                "SELECT count(*) FROM balances WHERE available_micros < floor_micros"
            )
        )
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", range(3))
async def test_nodes_that_spend_void_and_refund_at_once_keep_every_floor_and_micro_unit(
    database: Database, database_url: str, make_account: MakeAccount, seed: int
) -> None:
    chance = random.Random(seed)
    owners = [
        await make_account(f"a{number}", credit_micros=chance.choice((0, 500_000, 10**8)))
        for number in range(12)
    ]
    await accounts.update_account(database, owners[0].id, floor_micros=-700_000)
    nodes = [Node(database_url, number) for number in range(1, NODES + 1)]
    below: list[int] = []
    watching = asyncio.create_task(watch_floors(database, below))
    lives = [live(node, nodes, owners, random.Random(seed * 10 + 1)) for node in nodes]
    *lived, _ = await asyncio.gather(*lives, top_up(database, owners, chance))
    for node in nodes:
        await node.outcomes.flush()
        await node.end()
    watching.cancel()
    stored, refused = (sum(counts) for counts in zip(*lived, strict=True))
    assert stored > 200 and refused > 20
    assert sum(below) == 0 and len(below) > 10
    report = await audit(database, time.time())
    # What these messages say of themselves is not what is looked at here: only their money is.
    money: list[Any] = [f for f in report.findings if f.what != "status" and "closed" not in f.what]
    assert money == []
    assert sum(account.refunded_micros for account in report.accounts) > 0
    assert sum(account.reserved_micros for account in report.accounts) == 0
