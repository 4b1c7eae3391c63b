"""Nothing that was accepted is lost when the gateway is killed, and the money still adds up."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import aiohttp

MESSAGES = 20_000
BATCH = 250
SENDERS = 4
FINISH_TIMEOUT_S = 180.0


class Sender:
    """Submits numbered messages, each until it knows that it was accepted."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._batches = list(range(0, MESSAGES, BATCH))
        self.accepted: dict[int, str] = {}

    async def run(self) -> None:
        async with (
            aiohttp.ClientSession(headers=self._world.headers) as http,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(SENDERS):
                group.create_task(self._send(http))

    async def _send(self, http: aiohttp.ClientSession) -> None:
        while self._batches:
            first = self._batches.pop(0)
            numbers = range(first, first + BATCH)
            messages = [
                {"to": f"4474{n:08d}", "text": f"Message #{n}", "client_ref": f"ref-{n}"}
                for n in numbers
            ]
            while not await self._post(http, numbers, messages):
                await asyncio.sleep(0.2)

    async def _post(self, http: aiohttp.ClientSession, numbers: range, messages: Any) -> bool:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with http.post(
                f"{self._world.url}/v1/messages/batch", json={"messages": messages}
            ) as answer:
                if answer.status == 202:
                    results = (await answer.json())["results"]
                    for number, result in zip(numbers, results, strict=True):
                        self.accepted[number] = result["id"]
                    return True
                assert answer.status == 503, await answer.text()
        return False


async def until_all_delivered(world: Any) -> dict[str, Any]:
    async with (
        asyncio.timeout(FINISH_TIMEOUT_S),
        aiohttp.ClientSession(headers=world.headers) as http,
    ):
        while True:
            stats: dict[str, Any] = await world.carrier()
            if stats["distinct"] >= MESSAGES:
                open_ = [
                    (await (await http.get(f"{world.url}/v1/messages?limit=1&status={s}")).json())[
                        "messages"
                    ]
                    for s in ("accepted", "sending", "submitted")
                ]
                if not any(open_):
                    return stats
            await asyncio.sleep(0.3)


async def test_a_kill_in_the_middle_loses_nothing_and_doubles_at_most_a_window(
    world: Any,
) -> None:
    await world.start_smsc('identity = "tag"\n[[rule]]\nlatency = 0.005\ndelay = 0.05\n')
    await world.start_gateway()
    await world.make_account()
    sender = Sender(world)
    sending = asyncio.create_task(sender.run())
    async with asyncio.timeout(60):
        while (await world.carrier())["distinct"] < MESSAGES // 4:
            await asyncio.sleep(0.02)
    await world.kill_gateway()
    killed_at = await world.carrier()
    assert killed_at["distinct"] < MESSAGES, "the kill came too late to show anything"

    await world.start_gateway()
    await asyncio.wait_for(sending, FINISH_TIMEOUT_S)
    assert len(set(sender.accepted.values())) == MESSAGES
    stats = await until_all_delivered(world)
    assert stats["distinct"] == MESSAGES
    assert stats["duplicates"] <= 100  # the window
    async with aiohttp.ClientSession(headers=world.headers) as http:
        balance = await (await http.get(f"{world.url}/v1/balance")).json()
    assert balance["posted"] == "150"  # 20,000 x 0.0075: nobody pays for a duplicate
    assert balance["reserved"] == "0"
    verdict = json.loads(await world.run("audit", "--json"))
    assert verdict["agrees"] is True, verdict
    assert await world.stop_gateway() == 0
