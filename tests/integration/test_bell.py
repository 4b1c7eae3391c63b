import asyncio

from gateway.bell import Bell


async def test_it_wakes_who_waits() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    bell.ring()
    bell.ring()
    await asyncio.wait_for(waiting, 1)


async def test_who_comes_after_it_rang_does_not_wait() -> None:
    bell = Bell()
    bell.ring()
    await asyncio.wait_for(bell.wait(), 1)


async def test_once_silenced_it_is_waited_for_again() -> None:
    bell = Bell()
    bell.ring()
    bell.silence()
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    bell.ring()
    await asyncio.wait_for(waiting, 1)
