"""All connections of a run: sends what is due, counts what is answered, until nothing is left.

A connection that breaks is opened again. Its request goes again where messages carry a
`client_ref`, because the gateway then knows a message that it has already taken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from bench.generator.answers import RETRIED, RETRY_AFTER_S, Verdict
from bench.generator.backlog import Backlog, Request, Wait
from bench.generator.figures import Figures
from bench.generator.http import Connection, Response

RECONNECT_S: Final = 0.1
TICK_S: Final = 0.001
"""The least that is slept. Less would be a busy loop on a core that the gateway needs; what leaves
late by it counts as latency."""


class NoProgress(Exception):
    """Nothing was answered for as long as the run is willing to wait."""


class Dialect(Protocol):
    """How one kind of server is asked, and what its answers mean."""

    def write_request(self, numbers: Sequence[int]) -> bytes:
        """Write one whole HTTP request for the messages with these numbers."""

    def judge(self, status: int, body: bytes, numbers: Sequence[int]) -> Verdict:
        """Return what an answer says of each message of its request."""


class Driver:
    """Connections to one address, kept open from run to run. Used in one event loop."""

    def __init__(self, host: str, port: int, dialect: Dialect, *, repeatable: bool) -> None:
        """`repeatable`: what went down with a connection may be sent again."""
        self._host = host
        self._port = port
        self._dialect = dialect
        self._repeatable = repeatable
        self._loop = asyncio.get_running_loop()
        # Not the loop's own clock: uvloop's stands still between turns and counts milliseconds.
        self._now = time.perf_counter
        self._backlog: Backlog | None = None
        self._figures = Figures()
        self._idle: list[Connection] = []
        self._under_way: dict[Connection, Request] = {}
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_s = 0.0
        self._finished = asyncio.Event()
        self._progressed_s = self._now()

    async def open(self, connections: int) -> None:
        """Open so many connections; raises OSError when that can't be done."""
        while len(self._idle) < connections:
            self._idle.append(await self._connect())

    async def run(
        self,
        backlog: Backlog,
        figures: Figures,
        give_up_s: float,
        on_progress: Callable[[Figures], None] | None = None,
    ) -> None:
        """Send everything of `backlog` and count it in `figures`.

        Raises NoProgress when nothing was answered for `give_up_s`.
        """
        self._backlog, self._figures = backlog, figures
        self._finished.clear()
        self._progressed_s = self._now()
        self._pump()
        await self._wait(give_up_s, on_progress)
        self._backlog = None

    async def _wait(self, give_up_s: float, on_progress: Callable[[Figures], None] | None) -> None:
        while not self._finished.is_set():
            try:
                async with asyncio.timeout(0.1):
                    await self._finished.wait()
            except TimeoutError:
                if self._now() - self._progressed_s > give_up_s:
                    raise NoProgress(f"nothing was answered for {give_up_s:g} s") from None
            if on_progress is not None:
                on_progress(self._figures)

    def close(self) -> None:
        """Close every connection."""
        self._finished.set()
        self._backlog = None
        if self._timer is not None:
            self._timer.cancel()
        for task in self._reconnecting:
            task.cancel()
        for connection in (*self._idle, *self._under_way):
            connection.close()

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    def _pump(self) -> None:
        """Give every idle connection what is due."""
        while self._backlog is not None and self._idle:
            request = self._backlog.take(self._now())
            if isinstance(request, Request):
                connection = self._idle.pop()
                self._under_way[connection] = request
                self._figures.requests += 1
                connection.send(self._dialect.write_request(request.numbers))
            elif isinstance(request, Wait):
                self._wake_at(request.until_s)
                return
            else:
                if not self._under_way:
                    self._finished.set()
                return

    def _wake_at(self, when_s: float) -> None:
        if self._timer is not None:
            if self._wakes_s <= when_s:
                return
            self._timer.cancel()
        # Waiting for a rate's next request is no lack of progress.
        self._progressed_s = max(self._progressed_s, when_s)
        self._wakes_s = when_s
        self._timer = self._loop.call_later(max(TICK_S, when_s - self._now()), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._pump()

    # ── answers ──────────────────────────────────────────────────────────────────────────────

    def _take_response(self, connection: Connection, response: Response) -> None:
        request = self._under_way.pop(connection, None)
        if request is None or self._backlog is None:
            return  # an answer to nothing: the next one is not trusted either
        now = self._now()
        self._progressed_s = max(self._progressed_s, now)
        figures = self._figures
        figures.statuses[response.status] += 1
        verdict = self._dialect.judge(response.status, response.body, request.numbers)
        figures.accepted += verdict.accepted
        figures.segments += verdict.segments
        if verdict.rejected:
            figures.rejected.update(verdict.rejected)
        if verdict.again:
            figures.retried[str(response.status)] += len(verdict.again)
            self._backlog.put_back(request, verdict.again)
            if response.status in RETRIED or response.retry_after_s is not None:
                self._backlog.pause(now + (response.retry_after_s or RETRY_AFTER_S))
        else:
            figures.latencies_s.append(now - request.intended_s)
        if connection.open:
            self._idle.append(connection)
        self._pump()

    def _take_loss(self, connection: Connection) -> None:
        request = self._under_way.pop(connection, None)
        if connection in self._idle:
            self._idle.remove(connection)
        if request is not None:
            if self._repeatable and self._backlog is not None:
                self._figures.retried["lost"] += len(request.numbers)
                self._backlog.put_back(request, request.numbers)
            else:
                self._figures.lost += len(request.numbers)
        if self._backlog is not None:
            task = self._loop.create_task(self._reconnect())
            self._reconnecting.add(task)
            task.add_done_callback(self._reconnecting.discard)

    # ── connections ──────────────────────────────────────────────────────────────────────────

    async def _connect(self) -> Connection:
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._take_response, self._take_loss), self._host, self._port
        )
        return connection

    async def _reconnect(self) -> None:
        while True:
            try:
                connection = await self._connect()
            except OSError:
                await asyncio.sleep(RECONNECT_S)
                continue
            self._idle.append(connection)
            self._pump()
            return
