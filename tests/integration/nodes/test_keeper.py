"""Nodes claim numbers and share leases, whatever becomes of them and of their database."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from gateway.errors import NotTheOwner
from gateway.lease import MARGIN_S, TTL_S
from gateway.nodes.keeper import Keeper
from gateway.processes import is_gone, name_process
from gateway.store.leases import LOCK_KEY, is_served, take_leases
from gateway.store.postgres import Database, connect_single

CARRIERS = ["carrier:1", "carrier:2", "carrier:3"]


class Node:
    """A keeper that wants carriers, and what it was told of them."""

    def __init__(self, database_url: str, database: Database) -> None:
        self.keeper = Keeper(partial(connect_single, database_url, "nodes"))
        self.began_at: dict[str, float] = {}
        self.lost: list[str] = []
        self.let_go_at = 0.0
        self.letting_go = asyncio.Event()
        self.letting_go.set()
        self._database = database
        self.keeper.want("carriers", CARRIERS, gained=self._gained, lost=self._lost)

    async def _gained(self, name: str, begins_at: float) -> None:
        self.began_at[name] = begins_at

    async def _lost(self, name: str) -> None:
        await self.letting_go.wait()
        self.lost.append(name)
        self.let_go_at = time.monotonic()

    @property
    def owned(self) -> list[str]:
        return [name for name in CARRIERS if self.keeper.owns(name)]

    def cut_off(self) -> None:
        """Say nothing more, as one whose machine is gone."""
        assert self.keeper._claim._connection is not None
        self.keeper._claim._connection.terminate()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            await self.keeper.begin(tasks, self._database)
            beats = tasks.create_task(self.keeper.run())
            yield
            beats.cancel()
            await self.keeper.stop()
        await self.keeper.leave()


async def until(done: Callable[[], object], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():
            await asyncio.sleep(0.02)


async def test_a_node_alone_has_everything_at_once_and_leaves_nothing_behind(
    database_url: str, database: Database
) -> None:
    node = Node(database_url, database)
    await node.keeper.claim()
    assert await is_served(database)
    assert node.keeper.node == 0
    async with node.running():
        assert node.owned == CARRIERS
        assert max(node.began_at.values()) <= time.monotonic(), "nobody has ever sent"
    assert node.owned == []
    assert not await is_served(database)
    successor = Node(database_url, database)
    await successor.keeper.claim()
    assert (successor.keeper.node, successor.keeper.epoch) == (0, 2)
    async with successor.running():
        now = time.monotonic()
        assert successor.owned == CARRIERS
        assert min(successor.began_at.values()) > now, "the last owner's second is not over"
        assert max(successor.began_at.values()) <= now + MARGIN_S


async def test_a_start_and_the_beats_beside_it_take_turns(
    database_url: str, database: Database
) -> None:
    node = Node(database_url, database)
    await node.keeper.claim()
    async with asyncio.TaskGroup() as tasks:
        keeper = node.keeper
        await asyncio.gather(keeper._beat(), keeper.begin(tasks, database), keeper._beat())
        assert node.owned == CARRIERS
        await keeper.stop()
    await node.keeper.leave()


async def test_what_a_beat_takes_while_the_node_is_told_to_stop_is_not_begun(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, stopping = asyncio.Event(), asyncio.Event()

    async def take(*arguments: Any) -> dict[str, float]:
        found = await take_leases(*arguments)
        taken.set()
        await stopping.wait()
        return found

    monkeypatch.setattr("gateway.nodes.keeper.store.take_leases", take)
    node = Node(database_url, database)
    await node.keeper.claim()
    async with asyncio.TaskGroup() as tasks:
        beginning = tasks.create_task(node.keeper.begin(tasks, database))
        await taken.wait()
        stop = tasks.create_task(node.keeper.stop())
        await asyncio.sleep(0)
        stopping.set()
        await stop
        begun = dict(node.began_at)
        await beginning
    await asyncio.sleep(0.05)
    assert node.began_at == begun, "nothing begins after a stop"
    await node.keeper.leave()


async def test_a_second_node_gets_its_share_one_at_a_time_and_only_after_it_was_let_go(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.nodes.keeper.SETTLE_S", 0.1)
    first, second = Node(database_url, database), Node(database_url, database)
    await first.keeper.claim()
    await second.keeper.claim()
    assert second.keeper.node == 1
    async with first.running():
        first.letting_go.clear()
        async with second.running():
            await until(lambda: len(first.owned) == 2)
            await asyncio.sleep(0.3)
            assert (len(first.owned), second.owned) == (2, []), "it was not let go yet"
            first.letting_go.set()
            await until(lambda: first.lost and [*second.began_at] == first.lost)
            (name,) = first.lost
            assert second.began_at[name] > first.let_go_at + MARGIN_S - 0.05
        await until(lambda: first.owned == CARRIERS)


async def test_one_that_is_cut_off_has_stopped_before_another_begins(
    database_url: str, database: Database
) -> None:
    first, second = Node(database_url, database), Node(database_url, database)
    await first.keeper.claim()
    async with asyncio.TaskGroup() as tasks:
        await first.keeper.begin(tasks, database)
    first.cut_off()
    began = time.monotonic()
    await second.keeper.claim()
    async with second.running():
        await until(lambda: sorted(second.began_at) == second.owned == CARRIERS)
        assert first.keeper.lease.until <= min(second.began_at.values()) - MARGIN_S + 0.05
        assert time.monotonic() - began < TTL_S + 1.5
        assert second.keeper.taken_over == 1
        with pytest.raises(NotTheOwner, match="has taken over"):
            await first.keeper.run()
    await first.keeper.leave()


async def test_a_claim_that_ran_out_goes_on_when_nobody_has_ended_it(
    database_url: str, database: Database
) -> None:
    node = Node(database_url, database)
    await node.keeper.claim()
    async with node.running():
        async with database.acquire() as connection:
            await connection.execute(
                "UPDATE node_leases SET expires_at = now() - interval '1 minute'"
            )
        node.keeper.lease.lost()
        assert node.owned == []
        await until(lambda: node.owned == CARRIERS)


async def test_a_process_that_is_gone_is_not_waited_for(
    database_url: str, database: Database
) -> None:
    first, second = Node(database_url, database), Node(database_url, database)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    first.keeper._claim._process = name_process(child.pid)
    assert not is_gone(first.keeper._claim._process)
    await first.keeper.claim()
    async with asyncio.TaskGroup() as tasks:
        await first.keeper.begin(tasks, database)
    child.kill()
    await child.wait()
    assert is_gone(first.keeper._claim._process)
    first.cut_off()
    await second.keeper.claim()
    assert (second.keeper.node, second.keeper.epoch) == (0, 2)
    async with second.running():
        assert second.owned == CARRIERS


async def test_what_an_ended_node_had_running_is_never_written(
    database_url: str, database: Database
) -> None:
    first, second = Node(database_url, database), Node(database_url, database)
    await first.keeper.claim()
    async with database.acquire() as connection:
        await connection.execute("INSERT INTO writers VALUES ('intake-0', 7)")
        await connection.execute(
            "UPDATE node_leases SET expires_at = now() - interval '1 minute', ready = true"
        )
        await connection.execute(
            "INSERT INTO leases (name, node, epoch) VALUES ('carrier:1', 0, 1)"
        )
    async with asyncio.TaskGroup() as tasks:
        await second.keeper.claim()
        await second.keeper.begin(tasks, database)
        async with database.acquire() as connection:
            assert await connection.fetchval("SELECT seq FROM writers") == 9
    await second.keeper.leave()
    first.cut_off()
    await first.keeper.leave()


async def test_a_gateway_of_before_there_were_leases_keeps_others_out(
    database_url: str, database: Database
) -> None:
    older = await connect_single(database_url, "owner")
    assert await older.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY)
    node = Node(database_url, database)
    with pytest.raises(NotTheOwner, match="older"):
        await node.keeper.claim(timeout_s=0.2)
    await older.close()
    await node.keeper.claim()
    newer = await connect_single(database_url, "owner")
    assert not await newer.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY)
    await newer.close()
    await node.keeper.leave()


async def test_renewals_go_on_over_a_lost_connection_and_what_was_missed_is_looked_for(
    database_url: str, database: Database
) -> None:
    node = Node(database_url, database)
    await node.keeper.claim()
    heard: list[str] = []
    node.keeper.hear("gateway_test", heard.append)
    async with node.running():
        assert heard == [""]
        first = node.keeper._claim._connection
        node.cut_off()
        until_then = node.keeper.lease.until
        await until(lambda: node.keeper.lease.until > until_then)
        assert node.keeper._claim._connection not in (None, first)
        assert heard == ["", ""]
        async with database.acquire() as connection:
            await connection.execute("NOTIFY gateway_test, 'seven'")
        await until(lambda: heard[-1] == "seven")
        assert node.owned == CARRIERS


async def test_what_one_node_alone_wants_is_its_own_until_it_wants_it_no_more(
    database_url: str, database: Database
) -> None:
    first, second = Node(database_url, database), Node(database_url, database)
    await first.keeper.claim()
    await second.keeper.claim()
    name = "desk:7"
    async with first.running(), second.running():
        first.keeper.want("desks", [name], shared=False)
        await until(lambda: first.keeper.owns(name))
        second.keeper.want("desks", [name], shared=False)
        await asyncio.sleep(0.3)
        assert first.keeper.owns(name)
        assert not second.keeper.owns(name)
        first.keeper.want("desks", [], shared=False)
        await until(lambda: second.keeper.owns(name))
        assert not first.keeper.owns(name)


def test_a_process_that_can_not_be_seen_may_live() -> None:
    assert not is_gone("")
    assert not is_gone("another-boot pid:[1] 1 1")
    assert not is_gone(name_process())
    assert is_gone(name_process().rpartition(" ")[0] + " 1"), "the number was given out again"
