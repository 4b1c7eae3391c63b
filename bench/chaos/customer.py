"""A customer in this process: submits at a steady rate until told to stop, and hears webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import aiohttp
from aiohttp import web

BATCH = 20
TRY_TIMEOUT_S = 15.0


class Customer:
    """Each message is submitted until its acceptance is known, under one client_ref."""

    def __init__(self) -> None:
        self.url = ""
        self.key = ""
        self.webhook_port = 0
        self.accepted: dict[int, str] = {}
        """Ids by number."""
        self.put_off = 0
        """Batches that were answered 429 or 503."""
        self.unanswered = 0
        self.told: dict[str, str] = {}
        """Final statuses by id, as webhooks told them."""
        self.calls = 0
        self._next = 0
        self._stopping = False
        self._runner: web.AppRunner | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def listen(self) -> None:
        """Take webhooks from now on."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/", self._hear)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        server: Any = site._server
        self.webhook_port = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def stop(self) -> None:
        """Begin no further message; `run` ends when those begun are accepted."""
        self._stopping = True

    async def run(self, rate_per_s: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            while not self._stopping:
                group.create_task(self._submit(http, range(self._next, self._next + BATCH)))
                self._next += BATCH
                due += BATCH / rate_per_s
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def _submit(self, http: aiohttp.ClientSession, numbers: range) -> None:
        body = {
            "messages": [
                {"to": f"4474{n:08d}", "text": f"#{n} of a bad day", "client_ref": f"ref-{n}"}
                for n in numbers
            ]
        }
        # It comes to an end when the gateway is back; the run has a time limit of its own.
        while not await self._try(http, numbers, body):  # noqa: ASYNC110
            await asyncio.sleep(0.5)

    async def _try(self, http: aiohttp.ClientSession, numbers: range, body: Any) -> bool:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with http.post(
                f"{self.url}/v1/messages/batch",
                json=body,
                headers=self.headers,
                timeout=aiohttp.ClientTimeout(TRY_TIMEOUT_S),
            ) as answer:
                if answer.status != 202:
                    self.put_off += 1
                    return False
                for number, result in zip(numbers, (await answer.json())["results"], strict=True):
                    self.accepted[number] = result["id"]
                return True
        self.unanswered += 1
        return False

    async def _hear(self, request: web.Request) -> web.Response:
        self.calls += 1
        said = json.loads(await request.read())
        events = said if isinstance(said, list) else said.get("events", [said])
        for event in events:
            self.told[event["message_id"]] = event["status"]
        return web.Response()
