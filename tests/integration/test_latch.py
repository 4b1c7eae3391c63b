import asyncio

from gateway.latch import Latch


async def test_it_wakes_who_waits() -> None:
    latch = Latch()
    waiting = asyncio.create_task(latch.wait())
    await asyncio.sleep(0)
    latch.set()
    latch.set()
    await asyncio.wait_for(waiting, 1)


async def test_who_comes_after_it_was_set_does_not_wait() -> None:
    latch = Latch()
    latch.set()
    await asyncio.wait_for(latch.wait(), 1)


async def test_once_reset_it_is_waited_for_again() -> None:
    latch = Latch()
    latch.set()
    latch.reset()
    waiting = asyncio.create_task(latch.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    latch.set()
    await asyncio.wait_for(waiting, 1)
