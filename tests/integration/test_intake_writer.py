"""Messages enter the store together with their credit and their keys, or not at all."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from gateway.errors import StoreUnavailable
from gateway.ids import IdGenerator
from gateway.message import Message
from gateway.model import Account, AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.record import replace
from gateway.store.commit_line import CommitLine
from gateway.store.intake_writer import Entry, Fate, IntakeWriter, Replayed
from gateway.store.partitions import ensure_partitions
from gateway.store.postgres import Database, connect_single

PRICE = Micros(7_500)
ids = IdGenerator(5)


def message(account: Account, **changes: Any) -> Message:
    plain = Message(
        id=ids.next(time.time()),
        account_id=account.id,
        accepted_at=time.time(),
        sender="Shop",
        recipient="447400000001",
        country="GB",
        text="Hello €",
        encoding=Encoding.GSM7,
        segments=1,
        lane=Lane.TRANSACTIONAL,
        price_micros=PRICE,
        routes=(CarrierId(1), CarrierId(2)),
        expires_at=time.time() + 3600,
    )
    return replace(plain, **changes)


class Writing:
    """A writer that runs, and what it handed to dispatch."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.stored: list[Message] = []
        self.line = CommitLine(partial(connect_single, url, "intake"), "intake")
        self.writer = IntakeWriter(
            self.line,
            self.stored.extend,
            **{"waiting_max": 20_000, "timeout_s": 5.0} | settings,
        )
        self.task = asyncio.create_task(self.writer.run())

    async def put(self, *entries: Entry) -> list[Any]:
        return await self.writer.commit(entries)

    async def end(self) -> None:
        self.writer.stop()
        await self.task
        await self.line.close()


@pytest.fixture
async def writing(database_url: str) -> AsyncIterator[Writing]:
    writing = Writing(database_url)
    yield writing
    await writing.end()


@pytest.fixture
def available(database: Database) -> Callable[[Account], Any]:
    async def read(account: Account) -> int:
        micros: int = await database.pool.fetchval(
            "SELECT available_micros FROM balances WHERE account_id = $1", account.id
        )
        return micros

    return read


async def count(database: Database) -> int:
    found: int = await database.pool.fetchval("SELECT count(*) FROM messages")
    return found


async def test_a_message_is_stored_whole_and_its_price_reserved(
    writing: Writing, make_account: Any, database: Database, available: Any
) -> None:
    account = await make_account(credit_micros=1_000_000)
    sent = message(
        account,
        client_ref="r1",
        tag="t1",
        callback_url="https://example.com/x",
        data=b"\x00\x01",
        udh=b"\x06\x05\x04\x0b\x84\x23\xf0",
    )
    assert await writing.put(Entry(sent)) == [Fate.STORED]
    assert writing.stored == [sent]
    row = await database.pool.fetchrow("SELECT * FROM messages")
    assert row is not None
    assert row["id"] == sent.id and row["routes"] == [1, 2] and row["carrier_id"] == 1
    assert (row["body"], row["data"], row["udh"]) == (sent.text, sent.data, sent.udh)
    assert await available(account) == 1_000_000 - PRICE


async def test_what_arrives_during_a_commit_goes_into_the_next_together(
    writing: Writing, make_account: Any, database: Database
) -> None:
    account = await make_account()
    sizes: list[int] = []
    writing.writer._on_batch = lambda size, seconds: sizes.append(size)
    futures = [writing.writer.commit([Entry(message(account))]) for _ in range(500)]
    for fates in await asyncio.gather(*futures):
        assert fates == [Fate.STORED]
    assert await count(database) == 500
    assert len(sizes) <= 3


async def test_credit_is_spent_in_order_and_never_below_the_floor(
    writing: Writing, make_account: Any, database: Database, available: Any
) -> None:
    account = await make_account(credit_micros=3 * PRICE + 1)
    fates = await writing.put(*(Entry(message(account)) for _ in range(5)))
    assert fates == [Fate.STORED] * 3 + [Fate.NO_CREDIT] * 2
    assert await available(account) == 1
    assert await count(database) == 3


async def test_one_account_without_credit_does_not_hold_up_another(
    writing: Writing, make_account: Any
) -> None:
    rich, poor = await make_account("rich"), await make_account("poor", credit_micros=0)
    fates = await writing.put(
        Entry(message(poor)), Entry(message(rich)), Entry(message(poor, price_micros=Micros(0)))
    )
    assert fates == [Fate.NO_CREDIT, Fate.STORED, Fate.STORED]


async def test_a_key_gives_one_message_and_one_charge(
    writing: Writing, make_account: Any, database: Database, available: Any
) -> None:
    account = await make_account(credit_micros=1_000_000)
    first = message(account)
    assert await writing.put(Entry(first, "k:a", b"h")) == [Fate.STORED]
    again = await writing.put(
        Entry(message(account), "k:a", b"h"),
        Entry(message(account), "k:a", b"other"),
        Entry(message(account), "k:b", b"h"),
    )
    assert again == [Replayed(first.id), Fate.CONFLICT, Fate.STORED]
    assert await count(database) == 2
    assert await available(account) == 1_000_000 - 2 * PRICE


async def test_a_key_twice_in_one_commit_is_one_message(
    writing: Writing, make_account: Any, database: Database
) -> None:
    account = await make_account()
    first, second = message(account), message(account)
    fates = await writing.put(Entry(first, "r:x", b"h"), Entry(second, "r:x", b"h"))
    assert fates == [Fate.STORED, Replayed(first.id)]
    assert [m.id for m in writing.stored] == [first.id]
    assert await count(database) == 1


async def test_one_account_never_meets_the_key_of_another(
    writing: Writing, make_account: Any
) -> None:
    one, two = await make_account("one"), await make_account("two")
    assert await writing.put(Entry(message(one), "k:a", b"h")) == [Fate.STORED]
    assert await writing.put(Entry(message(two), "k:a", b"other")) == [Fate.STORED]


async def test_a_message_without_credit_leaves_its_key_free(
    writing: Writing, make_account: Any, database: Database
) -> None:
    account = await make_account(credit_micros=PRICE)
    fates = await writing.put(
        Entry(message(account), "k:a", b"h"),
        Entry(message(account), "k:b", b"h"),
        Entry(message(account), "k:a", b"h"),
    )
    assert fates[0] is Fate.STORED and fates[1] is Fate.NO_CREDIT
    assert isinstance(fates[2], Replayed)
    keys = await database.pool.fetch("SELECT key FROM idempotency")
    assert [row["key"] for row in keys] == ["k:a"]


async def test_an_unknown_account_has_no_credit(writing: Writing, make_account: Any) -> None:
    account = msgspec.structs.replace(await make_account(), id=AccountId(999))
    assert await writing.put(Entry(message(account))) == [Fate.NO_CREDIT]


async def test_two_writers_together_never_pass_the_floor(
    database_url: str, make_account: Any, available: Any, database: Database
) -> None:
    account = await make_account(credit_micros=100 * PRICE)
    lines = []
    for name in ("one", "two"):
        line = CommitLine(partial(connect_single, database_url, name), name)
        writer = IntakeWriter(line, lambda messages: None, waiting_max=1000, timeout_s=5.0)
        lines.append((line, writer, asyncio.create_task(writer.run())))
    rng = random.Random(7)
    fates: list[Any] = []
    for writer in itertools.islice(itertools.cycle([w for _, w, _ in lines]), 40):
        size = rng.randint(1, 12)
        fates.append(writer.commit([Entry(message(account)) for _ in range(size)]))
    flat = [fate for one in await asyncio.gather(*fates) for fate in one]
    assert flat.count(Fate.STORED) == 100
    assert await available(account) == 0
    assert await count(database) == 100
    for line, writer, task in lines:
        writer.stop()
        await task
        await line.close()


async def test_too_many_waiting_messages_are_refused_with_a_time(
    database_url: str, make_account: Any
) -> None:
    account = await make_account()
    writing = Writing(database_url, waiting_max=10)
    with pytest.raises(StoreUnavailable) as caught:
        writing.writer.commit([Entry(message(account)) for _ in range(11)])
    assert caught.value.retry_after_s > 0
    assert await writing.put(*(Entry(message(account)) for _ in range(10))) == [Fate.STORED] * 10
    await writing.end()


async def test_one_time_passwords_are_taken_while_others_are_refused(
    database_url: str, make_account: Any
) -> None:
    account = await make_account()
    writing = Writing(database_url, waiting_max=10)
    flood = writing.writer.commit([Entry(message(account)) for _ in range(10)])
    password = Entry(message(account, lane=Lane.OTP))
    taken = writing.writer.commit([password])
    with pytest.raises(StoreUnavailable):
        writing.writer.commit([Entry(message(account))])
    with pytest.raises(StoreUnavailable):
        writing.writer.commit([Entry(message(account, lane=Lane.OTP))])
    assert await flood == [Fate.STORED] * 10
    assert await taken == [Fate.STORED]
    await writing.end()


async def test_everything_queued_is_committed_before_a_stop_ends(
    database_url: str, make_account: Any, database: Database
) -> None:
    account = await make_account()
    writing = Writing(database_url)
    futures = [writing.writer.commit([Entry(message(account))]) for _ in range(50)]
    await writing.end()
    assert all(future.result() == [Fate.STORED] for future in futures)
    assert await count(database) == 50
    with pytest.raises(StoreUnavailable):
        writing.writer.commit([Entry(message(account))])


async def test_an_error_of_one_batch_is_told_and_the_next_batch_goes_on(
    writing: Writing, make_account: Any
) -> None:
    account = await make_account()
    past = MessageId(1)  # a day without a partition
    with pytest.raises(Exception, match="no partition"):
        await writing.put(Entry(message(account, id=past)))
    assert await writing.put(Entry(message(account))) == [Fate.STORED]


async def test_texts_of_every_kind_come_out_as_they_went_in(
    writing: Writing, make_account: Any, database: Database
) -> None:
    account = await make_account(credit_micros=10_000_000)
    texts = ['"', "\\", '","', "{a,b}", "NULL", "", " two  spaces ", "a\nb\tc", "😀é€", '\\"', "'"]
    sent = [message(account, text=text) for text in texts]
    await writing.put(*[Entry(m) for m in sent])
    rows = await database.pool.fetch("SELECT id, body FROM messages")
    assert {row["id"]: row["body"] for row in rows} == {m.id: m.text for m in sent}


async def test_a_day_that_has_no_partition_yet_is_a_matter_of_seconds(
    writing: Writing, make_account: Any, database: Database
) -> None:
    account, ahead = await make_account(), time.time() + 400 * 86_400
    later = Entry(message(account, id=IdGenerator(6).next(ahead)))
    with pytest.raises(StoreUnavailable):
        await writing.put(later)
    await ensure_partitions(database, ahead)
    assert await writing.put(later) == [Fate.STORED]
