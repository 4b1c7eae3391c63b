"""What a node knows of its clock over restarts, on a real PostgreSQL and this machine's clocks."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.clock import BELIEVED_S, Clock, load_clock
from gateway.passed import STRETCHES_MAX, PassedTime, Stretch
from gateway.store.postgres import Database
from gateway.store.stretches import StretchStore

HOUR_S = 3_600.0


@pytest.fixture
def store(database: Database) -> StretchStore:
    return StretchStore(database, 3)


def lived(seconds: float, ahead_s: float) -> tuple[float, list[Stretch]]:
    """Return what a life of so many seconds leaves that has just ended, its clock ahead."""
    return seconds, [Stretch(0.0, 0.0, time.time() + ahead_s - seconds)]


async def test_what_is_kept_comes_back_and_what_is_forgotten_goes(store: StretchStore) -> None:
    assert await store.load() == (0.0, [])
    stretches = [Stretch(float(n), n + 0.5, 10.0 * n) for n in range(STRETCHES_MAX)]
    await store.save(2_000.0, stretches[:-1])
    await store.save(2_060.0, stretches[1:])
    assert await store.load() == (2_060.0, stretches[1:])


async def test_a_node_goes_on_from_what_the_one_knew_that_ran_last(
    database: Database, store: StretchStore
) -> None:
    other = StretchStore(database, 4)
    await other.save(*lived(50.0, 0.0))
    seconds, stretches = lived(100.0, 0.0)
    await store.save(seconds, stretches)
    assert await other.load() == (seconds, stretches)
    later = [*stretches, Stretch(100.0, 100.0, 7.0)]
    await other.save(160.0, later)
    assert await store.load() == (160.0, later)


async def test_a_clock_that_was_never_set_says_the_time_of_day(store: StretchStore) -> None:
    await store.save(*lived(HOUR_S, 0.0))
    clock = await load_clock(store)
    assert clock.after(60.0) == pytest.approx(time.time(), abs=5.0)
    assert clock.believed() == pytest.approx(time.time(), abs=5.0)
    assert clock.age_s(time.time() - 100) == pytest.approx(100, abs=5.0)
    assert clock.take_set_back("someone") == pytest.approx(0.0, abs=5.0)


async def test_a_clock_found_ahead_at_a_start_ends_no_wait(store: StretchStore) -> None:
    await store.save(*lived(HOUR_S, -10 * HOUR_S))
    clock = await load_clock(store)
    before = time.time() - 10 * HOUR_S
    assert clock.after(60.0) == pytest.approx(before, abs=5.0)
    assert clock.believed() == pytest.approx(before, abs=5.0)
    assert clock.age_s(before - 60) == pytest.approx(60, abs=5.0)


async def test_who_asks_is_told_once_that_the_clock_was_set_back(store: StretchStore) -> None:
    await store.save(*lived(2 * BELIEVED_S, HOUR_S))
    clock = await load_clock(store)
    assert clock.take_set_back("webhooks") == pytest.approx(HOUR_S, abs=5.0)
    assert clock.take_set_back("webhooks") == 0.0
    assert clock.take_set_back("emails") == pytest.approx(HOUR_S, abs=5.0)


async def test_a_clock_that_was_set_is_kept_at_once_and_told(store: StretchStore) -> None:
    told = asyncio.Event()

    async def was_set() -> None:
        told.set()

    now = time.monotonic()
    clock = Clock(PassedTime(now, time.time(), 500.0, [Stretch(0.0, 0.0, time.time() + HOUR_S)]))
    watching = asyncio.create_task(clock.watch(store, was_set))
    try:
        async with asyncio.timeout(30):
            await told.wait()
    finally:
        watching.cancel()
    noted_s, stretches = await store.load()
    assert noted_s == pytest.approx(500.0, abs=30.0)
    assert len(stretches) == 2
