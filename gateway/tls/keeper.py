"""Makes contexts again when their files are other ones, while the node runs.

What can't be used is refused as a whole: the former certificate stays in use, which is said once a
change and seen in how long it lasts. Sessions that stand go on as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from gateway.config import ListenTls
from gateway.errors import ConfigError
from gateway.logs import get_logger
from gateway.metrics import TlsMetrics
from gateway.tls.contexts import TlsContext, build_listening
from gateway.tls.files import AnyTls, files_of

LOOK_S = 10.0
"""How late a renewed file is noticed by itself; SIGHUP and `gateway apply` have it read at once."""

log = get_logger("tls")


class Source(msgspec.Struct, frozen=True):
    """One table of TLS settings, and who goes by it."""

    table: str
    settings: AnyTls
    build: Callable[[], TlsContext]
    """Reads the files; raises ConfigError. Called in a thread."""
    use: Callable[[TlsContext], bool]
    """Takes what was built; says whether it is another one."""


class ListeningTls:
    """What one port listens with."""

    def __init__(self, settings: ListenTls, table: str, *protocols: str) -> None:
        """Raises ConfigError, naming the setting."""
        self._settings = settings
        self._table = table
        self._protocols = protocols
        self._built = self._build()

    @property
    def context(self) -> ssl.SSLContext:
        return self._built.context

    def source(self) -> Source:
        return Source(self._table, self._settings, self._build, self._use)

    def _build(self) -> TlsContext:
        return build_listening(self._settings, self._table, self._protocols)

    def _use(self, built: TlsContext) -> bool:
        is_other = built.fingerprint != self._built.fingerprint
        self._built = built
        return is_other


class TlsKeeper:
    """Looks at every source's files from time to time; `run` lasts as long as the node."""

    def __init__(
        self,
        sources: Callable[[], Iterable[Source]],
        metrics: TlsMetrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now` is the time of day (wall)."""
        self._sources = sources
        self._metrics = metrics
        self._now = now
        self._seen: dict[str, object] = {}
        self._ends: dict[str, Mapping[str, float]] = {}
        self._woken = asyncio.Event()

    def look_soon(self) -> None:
        """Have every file read, whether it seems to have changed or not."""
        self._seen.clear()
        self._woken.set()

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            self._woken.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()

    async def look(self) -> None:
        """Take what has changed since the last look."""
        sources = list(self._sources())
        for source in sources:
            seen = await asyncio.to_thread(_look_at, source.settings)
            if self._seen.get(source.table) != seen:
                self._seen[source.table] = seen
                await self._renew(source)
        tables = {source.table for source in sources}
        self._seen = {table: seen for table, seen in self._seen.items() if table in tables}
        self._ends = {table: ends for table, ends in self._ends.items() if table in tables}
        self._tell()

    async def _renew(self, source: Source) -> None:
        try:
            built = await asyncio.to_thread(source.build)
        except ConfigError as error:
            self._metrics.refused()
            log.error("certificate_refused", setting=error.key, reason=error.detail)
            return
        self._ends[source.table] = built.ends
        if source.use(built):
            self._metrics.renewed()
            log.info("certificate_renewed", setting=source.table)

    def _tell(self) -> None:
        ends = {key: end for each in self._ends.values() for key, end in each.items()}
        self._metrics.watch_ends(ends, self._now)


def _look_at(settings: AnyTls) -> object:
    """Return what is another value when a file was written or put in another's place."""
    return tuple((path, _stamp_of(path)) for path in files_of(settings).values())


def _stamp_of(path: str) -> tuple[int, ...]:
    try:
        found = Path(path).stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
