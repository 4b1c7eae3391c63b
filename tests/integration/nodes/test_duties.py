"""Senders of which one node at a time has one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from gateway.nodes import duties
from gateway.nodes.bell import Bell
from gateway.nodes.duties import EMAILS, WEBHOOKS, SentByOne, repeat_while_owned
from gateway.nodes.keeper import Keeper
from gateway.store.postgres import Database

TIMEOUT_S = 20.0


class Noted:
    """A sender that notes what is done with it."""

    def __init__(self, said: list[str]) -> None:
        self._said = said
        self._ended = asyncio.Event()

    def wake(self) -> None:
        self._said.append("woken")

    async def run(self) -> None:
        self._said.append("runs")
        await self._ended.wait()
        self._said.append("has given back")

    async def stop(self, timeout_s: float) -> None:
        self._ended.set()


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "LOOK_S", 0.01)


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not so():
            await asyncio.sleep(0.005)


async def test_a_sender_begins_and_ends_with_its_duty() -> None:
    said: list[str] = []
    held: set[str] = set()
    sender = SentByOne(WEBHOOKS, lambda: Noted(said), held.__contains__)
    running = asyncio.create_task(sender.run())
    sender.wake()
    assert not (sender.sending or said)
    for _ in range(2):
        held.add(WEBHOOKS)
        await until(lambda: said[-1:] == ["runs"])
        sender.wake()
        held.clear()
        await until(lambda: not sender.sending)
    assert said == ["runs", "woken", "has given back"] * 2
    await sender.stop(1.0)
    await running


async def test_what_there_is_to_send_is_told_to_whoever_sends() -> None:
    rung: list[str] = []
    sender = SentByOne(WEBHOOKS, lambda: Noted([]), lambda name: False, rung.append)
    sender.wake()
    sender.wake_here()
    assert rung == [WEBHOOKS]


async def test_a_bell_rings_at_other_nodes_and_at_none_while_alone(
    database: Database,
    make_keeper: Callable[[], Awaitable[Keeper]],
    keeping: Callable[[Keeper], AbstractAsyncContextManager[None]],
) -> None:
    first, second = await make_keeper(), await make_keeper()
    rings, hears = Bell(database, first), Bell(database, second)
    heard: list[str] = []
    hears.join(WEBHOOKS, lambda: heard.append(WEBHOOKS))
    rings.ring(WEBHOOKS)  # nobody was seen yet
    run = asyncio.create_task(rings.run())
    async with keeping(first), keeping(second):
        await until(lambda: not first.alone)
        assert heard == []
        rings.ring(EMAILS)
        rings.ring(WEBHOOKS)
        await until(lambda: bool(heard))
    run.cancel()
    assert heard == [WEBHOOKS]


async def test_a_stop_ends_what_is_under_way_first() -> None:
    said: list[str] = []
    sender = SentByOne(WEBHOOKS, lambda: Noted(said))
    running = asyncio.create_task(sender.run())
    await until(lambda: bool(said))
    await sender.stop(1.0)
    assert said == ["runs", "has given back"]
    await running


async def test_a_sender_that_breaks_is_no_silent_end() -> None:
    class Broken(Noted):
        async def run(self) -> None:
            raise RuntimeError("broke")

    sender = SentByOne(WEBHOOKS, lambda: Broken([]))
    with pytest.raises(ExceptionGroup, match="unhandled"):
        await sender.run()


async def test_a_duty_is_done_at_once_when_its_lease_comes_and_never_without() -> None:
    done: list[str] = []
    held: set[str] = set()

    async def duty() -> None:
        assert held
        done.append("done")

    repeated = repeat_while_owned(held.__contains__, WEBHOOKS, "duty", 0.01, duty)
    running = asyncio.create_task(repeated)
    await asyncio.sleep(0.05)
    assert not done
    held.add(WEBHOOKS)
    await until(lambda: len(done) >= 2)
    held.clear()
    await until(lambda: not running.done())
    running.cancel()


async def test_a_duty_goes_when_nothing_is_sent_any_more() -> None:
    said: list[str] = []
    held = {WEBHOOKS}
    sender = SentByOne(WEBHOOKS, lambda: Noted(said), held.__contains__)
    running = asyncio.create_task(sender.run())
    await until(lambda: sender.sending)
    held.clear()
    async with asyncio.timeout(TIMEOUT_S):
        await sender.let_go()
    assert said == ["runs", "has given back"]
    await sender.stop(1.0)
    await running
