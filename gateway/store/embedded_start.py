"""Starting the gateway's own PostgreSQL beside a running loop.

`start_embedded` blocks, so it runs in a thread; and a thread can't be cancelled. Who merely gave up
waiting for it would leave a server that nobody stops.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.store.embedded import EmbeddedPostgres, start_embedded


async def join_embedded(data_dir: Path) -> EmbeddedPostgres:
    """Return the server whose cluster is in `data_dir`, as `start_embedded` does.

    Cancelled meanwhile, it waits for the server all the same, and leaves it again.
    """
    starting = asyncio.ensure_future(asyncio.to_thread(start_embedded, data_dir))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        server = await starting
        await asyncio.to_thread(server.stop)
        raise
