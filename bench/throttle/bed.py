"""A gateway bound to a carrier in this process, and the load that is put on it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.bed import RunningGateway, start_gateway
from bench.settings import write_gateway
from bench.throttle.carrier import NotingCarrier

NUMBERS: Final = 1_000_000


class Customer:
    """One account and its connection."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str) -> None:
        self._http = http
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._number = 0

    async def submit(self, text: str, priority: str) -> None:
        """Submit one message and wait for its 202."""
        await self._post("/v1/messages", {**self._message(text), "priority": priority})

    async def submit_batch(self, texts: list[str], priority: str) -> None:
        """Submit a batch and wait for its 202."""
        messages = [{**self._message(text), "priority": priority} for text in texts]
        await self._post("/v1/messages/batch", {"messages": messages})

    def _message(self, text: str) -> dict[str, str]:
        self._number = (self._number + 1) % NUMBERS
        return {"to": f"+447400{self._number:06}", "from": "Shop", "text": text}

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        async with self._http.post(self._url + path, json=body, headers=self._headers) as answer:
            if answer.status != 202:
                raise RuntimeError(f"{path}: {answer.status} {await answer.text()}")


class Bed:
    """The running parts; made by `lay_bed`."""

    def __init__(
        self, carrier: NotingCarrier, gateway: RunningGateway, http: aiohttp.ClientSession
    ) -> None:
        self.carrier = carrier
        self.gateway = gateway
        self._http = http

    async def customer(self, name: str) -> Customer:
        key = await asyncio.to_thread(self.gateway.create_account, name)
        return Customer(self._http, self.gateway.url, key)


@asynccontextmanager
async def lay_bed(rate_per_s: float) -> AsyncIterator[Bed]:
    """Start everything in a temporary folder that is removed afterwards."""
    folder = _make_folder()
    carrier = NotingCarrier()
    await carrier.start()
    rate = f"rate_per_s = {rate_per_s}"
    settings = write_gateway(folder, carrier.port, window=100, carrier=rate)
    starting = start_gateway(folder, settings)
    try:
        gateway = await asyncio.to_thread(starting.__enter__)
        try:
            await carrier.wait_for_bind()
            async with aiohttp.ClientSession() as http:
                yield Bed(carrier, gateway, http)
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)
    finally:
        await carrier.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="gwt"))
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    return folder


async def sleep_until(at: float) -> None:
    """Sleep until a monotonic time."""
    await asyncio.sleep(max(0.0, at - time.monotonic()))
