"""One node at a time has the carriers, whatever becomes of nodes and of their database."""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial

import pytest

from gateway.errors import NotTheOwner
from gateway.lease import MARGIN_S, TTL_S
from gateway.owner import LOCK_KEY, Owner, is_owned
from gateway.processes import is_gone, name_process
from gateway.store.postgres import Database, connect_single


def owner_of(database_url: str) -> Owner:
    return Owner(partial(connect_single, database_url, "owner"))


async def test_a_second_one_is_kept_out_and_takes_what_is_given_up_at_once(
    database_url: str, database: Database
) -> None:
    first, second = owner_of(database_url), owner_of(database_url)
    await first.take()
    assert first.lease.allows(time.monotonic())
    assert await is_owned(database)
    with pytest.raises(NotTheOwner, match="another gateway runs"):
        await second.take(timeout_s=0.2)
    await first.release()
    assert not first.lease.allows(time.monotonic())
    await second.take(timeout_s=0.2)
    now = time.monotonic()
    assert not second.lease.allows(now), "the last owner's second is not over"
    assert second.lease.allows(now + MARGIN_S)
    await second.release()
    assert not await is_owned(database)


async def test_one_that_is_cut_off_has_stopped_before_another_begins(database_url: str) -> None:
    first, second = owner_of(database_url), owner_of(database_url)
    await first.take()
    assert first._connection is not None
    first._connection.terminate()  # it says nothing more, and its session is over
    began = time.monotonic()
    await second.take(timeout_s=TTL_S + 2)
    taken = time.monotonic()
    assert first.lease.until <= taken - MARGIN_S + 0.05
    assert second.lease.allows(taken)
    assert taken - began < 5
    with pytest.raises(NotTheOwner, match="has taken over"):
        await first._renew()
    await second.release()
    await first.release()


async def test_a_lease_that_ran_out_goes_on_when_nobody_has_taken_it(
    database_url: str, database: Database
) -> None:
    owner = owner_of(database_url)
    await owner.take()
    async with database.acquire() as connection:
        await connection.execute("UPDATE leases SET expires_at = now() - interval '1 minute'")
    owner.lease.lost()
    await owner._renew()
    assert owner.lease.allows(time.monotonic() + 1)
    await owner.release()


async def test_a_process_that_is_gone_is_not_waited_for(
    database_url: str, database: Database
) -> None:
    first, second = owner_of(database_url), owner_of(database_url)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    first._process = name_process(child.pid)
    assert not is_gone(first._process)
    await first.take()
    child.kill()
    await child.wait()
    assert is_gone(first._process)
    assert first._connection is not None
    first._connection.terminate()
    await second.take(timeout_s=1.0)
    await second.release()


async def test_a_gateway_of_before_there_were_leases_keeps_others_out(database_url: str) -> None:
    older = await connect_single(database_url, "owner")
    assert await older.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY)
    owner = owner_of(database_url)
    with pytest.raises(NotTheOwner):
        await owner.take(timeout_s=0.2)
    await older.close()
    await owner.take()
    newer = await connect_single(database_url, "owner")
    assert not await newer.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY)
    await newer.close()
    await owner.release()


async def test_renewals_go_on_over_a_lost_connection(database_url: str) -> None:
    owner = owner_of(database_url)
    await owner.take()
    watching = asyncio.create_task(owner.watch())
    first = owner._connection
    assert first is not None
    first.terminate()
    until = owner.lease.until
    async with asyncio.timeout(5):
        while owner.lease.until <= until or owner._connection in (None, first):
            await asyncio.sleep(0.05)
    watching.cancel()
    await owner.release()


def test_a_process_that_can_not_be_seen_may_live() -> None:
    assert not is_gone("")
    assert not is_gone("another-boot pid:[1] 1 1")
    assert not is_gone(name_process())
    assert is_gone(name_process().rpartition(" ")[0] + " 1"), "the number was given out again"
