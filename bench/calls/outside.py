"""The carrier and the customers, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

from bench.calls.tap import Tap
from bench.generator.backlog import Backlog
from bench.generator.driver import Driver
from bench.generator.figures import Figures
from bench.generator.messages import Messages, Wanted
from bench.generator.smpp import Login, SmppLoad
from bench.simulator.script import parse_script
from bench.smsc import Smsc

T = TypeVar("T")
Mode = Literal["single", "batch", "smpp"]

BURST: Final = 200
"""Messages that come at once, single or over SMPP; each burst is waited for to its last receipt."""
BATCH: Final = 1_000
GIVE_UP_S: Final = 60.0
POLL_S: Final = 0.002


class Outside:
    """Everything beyond the gateway's sockets. Use it as a context manager; calls come from outside
    its thread."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="outside", daemon=True)
        self._smsc = Smsc(parse_script('identity = "tag"'))
        self._tap = Tap(database_url, folder)
        self._first = 1
        self._smpp: SmppLoad | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def carrier_port(self) -> int:
        return self._smsc.port

    @property
    def database_url(self) -> str:
        """The database through the tap."""
        return self._tap.url

    def count_statements(self) -> dict[str, int]:
        """Return the statements so far, by the name of the connection."""
        return dict(self._tap.statements)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread, and wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def run_aside(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread; the loop that calls goes on meanwhile."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    # ── in the thread ────────────────────────────────────────────────────────────────────────

    async def send(self, mode: Mode, messages: int, port: int, key: str, login: Login) -> int:
        """Send messages burst by burst; return how many were accepted.

        Over HTTP to `port` with `key`, over SMPP with `login`.
        """
        per_burst = BATCH if mode == "batch" else BURST
        accepted = 0
        driver = None
        if mode == "smpp":
            self._smpp = SmppLoad(login, binds=1, window=BURST, receipts=False)
            await self._smpp.bind()
        else:
            wanted = Wanted(host=f"127.0.0.1:{port}", key=key, mode=mode)
            driver = Driver("127.0.0.1", port, Messages(wanted), repeatable=False)
            await driver.open(1 if mode == "batch" else BURST)
        try:
            for _ in range(messages // per_burst):
                accepted += await self._burst(driver, per_burst, BATCH if mode == "batch" else 1)
        finally:
            if driver is not None:
                driver.close()
            if self._smpp is not None:
                await self._smpp.close()
                self._smpp = None
        return accepted

    async def _burst(self, driver: Driver | None, messages: int, per_request: int) -> int:
        figures, receipts = Figures(), self._smsc.carrier.tally.receipts
        backlog = Backlog(messages, per_request, time.perf_counter(), first=self._first)
        self._first += messages
        awaited = receipts.acknowledged + messages
        if driver is not None:
            await driver.run(backlog, figures, GIVE_UP_S)
        else:
            assert self._smpp is not None
            await self._smpp.run(backlog, figures, GIVE_UP_S)
        async with asyncio.timeout(GIVE_UP_S):
            # The simulator tells nobody of an acknowledgement.
            while receipts.acknowledged < awaited:  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
        return figures.accepted

    async def _start(self) -> None:
        await self._smsc.start()
        await self._tap.start()

    async def _stop(self) -> None:
        await self._smsc.stop()
        await self._tap.stop()
