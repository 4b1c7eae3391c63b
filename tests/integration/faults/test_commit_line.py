"""A batch is in exactly once, whatever happens to the connection that carries it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import asyncpg
import pytest

from gateway.errors import NotTheOwner, StoreUnavailable
from gateway.store.commit_line import LOST, CommitLine
from gateway.store.postgres import Database, connect_single


def line_through(door: Any, name: str = "test") -> CommitLine:
    return CommitLine(partial(connect_single, door.url, name), name)


async def put(connection: asyncpg.Connection[asyncpg.Record], seq: int, word: str) -> str:
    await connection.execute(
        "WITH put AS (INSERT INTO words VALUES ($3)) SELECT advance_writer($1, $2)",
        "test",
        seq,
        word,
    )
    return word


@pytest.fixture
async def words(database: Database) -> Any:
    await database.pool.execute("CREATE TABLE words (word text)")

    async def read() -> list[str]:
        return [row["word"] for row in await database.pool.fetch("SELECT word FROM words")]

    return read


async def test_a_batch_is_committed_and_its_result_returned(door: Any, words: Any) -> None:
    line = line_through(door)
    assert await line.commit(partial(put, word="one"), 5.0) == "one"
    assert await line.commit(partial(put, word="two"), 5.0) == "two"
    assert await words() == ["one", "two"]
    await line.close()


async def test_a_batch_whose_answer_was_lost_is_not_repeated(door: Any, words: Any) -> None:
    line = line_through(door)
    await line.commit(partial(put, word="zero"), 5.0)  # prepares the statement
    door.swallow_answers = True
    committing = asyncio.create_task(line.commit(partial(put, word="one"), 10.0))
    await door.swallowed.wait()
    door.swallow_answers = False
    door.cut()
    assert await committing is LOST
    assert await words() == ["zero", "one"]
    assert await line.commit(partial(put, word="two"), 5.0) == "two"
    assert await words() == ["zero", "one", "two"]
    await line.close()


async def test_a_batch_whose_request_was_lost_is_sent_again(door: Any, words: Any) -> None:
    line = line_through(door)
    await line.open()
    door.cut()
    assert await line.commit(partial(put, word="one"), 10.0) == "one"
    assert await words() == ["one"]
    await line.close()


async def test_a_batch_given_up_is_told_apart_from_one_that_got_through(
    door: Any, words: Any
) -> None:
    line = line_through(door)
    await line.commit(partial(put, word="zero"), 5.0)  # prepares the statement
    door.swallow_answers = True
    committing = asyncio.create_task(line.commit(partial(put, word="one"), 0.5))
    await door.swallowed.wait()
    door.shut = True
    door.cut()
    with pytest.raises(StoreUnavailable):
        await committing
    assert line.in_doubt
    door.shut = door.swallow_answers = False
    assert await line.settle(10.0) is True
    assert await words() == ["zero", "one"]
    await line.close()


async def test_a_batch_that_never_arrived_can_not_arrive_after_it_was_settled(
    door: Any, words: Any, database: Database
) -> None:
    line = line_through(door)
    await line.commit(partial(put, word="one"), 5.0)
    started = asyncio.Event()

    async def slow(connection: asyncpg.Connection[asyncpg.Record], seq: int) -> None:
        started.set()
        await connection.execute("SELECT pg_sleep(0.6)")
        await put(connection, seq, "zombie")

    committing = asyncio.create_task(line.commit(slow, 0.2))
    await started.wait()
    door.shut = True
    door.cut()
    with pytest.raises(StoreUnavailable):
        await committing
    door.shut = False
    assert await line.settle(10.0) is False
    # The number of the batch that was given up is used up: a late attempt at it fails whole.
    async with database.acquire() as connection:
        with pytest.raises(asyncpg.PostgresError) as caught:
            await put(connection, 3, "zombie")  # type: ignore[arg-type]
    assert caught.value.sqlstate == "GW002"
    assert await line.commit(partial(put, word="two"), 5.0) == "two"
    assert await words() == ["one", "two"]
    await line.close()


async def test_an_error_of_the_statement_is_raised_and_leaves_no_doubt(
    door: Any, words: Any
) -> None:
    line = line_through(door)

    async def wrong(connection: asyncpg.Connection[asyncpg.Record], seq: int) -> None:
        await connection.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await line.commit(wrong, 5.0)
    assert not line.in_doubt
    assert await line.commit(partial(put, word="one"), 5.0) == "one"
    await line.close()


async def test_without_a_database_a_commit_gives_up_in_time_and_doubts_nothing(
    door: Any, words: Any
) -> None:
    line = line_through(door)
    door.shut = True
    with pytest.raises(StoreUnavailable):
        await line.commit(partial(put, word="one"), 0.3)
    assert not line.in_doubt
    assert line.away
    door.shut = False
    assert await line.commit(partial(put, word="one"), 5.0) == "one"
    assert not line.away
    await line.close()


async def test_a_second_process_ends_what_the_first_left_running(door: Any, words: Any) -> None:
    first = line_through(door)
    await first.commit(partial(put, word="one"), 5.0)
    second = line_through(door)
    await second.open()
    with pytest.raises(NotTheOwner):
        await first.commit(partial(put, word="zombie"), 5.0)
    assert await second.commit(partial(put, word="two"), 5.0) == "two"
    assert await words() == ["one", "two"]
    await first.close()
    await second.close()
