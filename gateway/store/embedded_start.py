"""Starting the gateway's own PostgreSQL where somebody may give up waiting for it.

A start that is broken off half way leaves a server that nobody stops. So it runs in a thread, which
neither a cancellation nor Ctrl-C reaches, and whoever gives up leaves the server again once it is
there.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.store.embedded import EmbeddedPostgres, start_embedded


async def join_embedded(data_dir: Path) -> EmbeddedPostgres:
    """Return the server whose cluster is in `data_dir`, as `start_embedded` does, cancelled or not
    at all."""
    starting = asyncio.ensure_future(asyncio.to_thread(start_embedded, data_dir))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        server = await starting
        await asyncio.to_thread(server.stop)
        raise


def join_embedded_blocking(data_dir: Path) -> EmbeddedPostgres:
    """Do the same without a loop; for a main thread that Ctrl-C interrupts."""
    with ThreadPoolExecutor(1, thread_name_prefix="postgres") as thread:
        starting = thread.submit(start_embedded, data_dir)
        try:
            return starting.result()
        except KeyboardInterrupt:
            starting.result().stop()
            raise
