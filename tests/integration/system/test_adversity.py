"""What a database that dies and a carrier that misbehaves do to messages: nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import aiohttp
import pytest

MESSAGES = 3_000


async def send(world: Any, http: aiohttp.ClientSession, number: int) -> int:
    """Submit one message until it is accepted; return how often it was put off."""
    put_off = 0
    while True:
        message = {"to": f"4474{number:08d}", "text": f"#{number}", "client_ref": f"r{number}"}
        async with http.post(f"{world.url}/v1/messages", json=message) as answer:
            if answer.status == 202:
                return put_off
            assert answer.status == 503, await answer.text()
            assert float(answer.headers["Retry-After"]) > 0
            assert (await answer.json())["code"] == "store_unavailable"
        put_off += 1
        await asyncio.sleep(0.1)


async def send_all(world: Any, http: aiohttp.ClientSession) -> int:
    gate = asyncio.Semaphore(32)

    async def one(number: int) -> int:
        async with gate:
            return await send(world, http, number)

    return sum(await asyncio.gather(*(one(number) for number in range(MESSAGES))))


async def until_delivered(world: Any, http: aiohttp.ClientSession, count: int) -> dict[str, Any]:
    async with asyncio.timeout(120):
        while True:
            stats: dict[str, Any] = await world.carrier()
            if stats["distinct"] >= count:
                open_ = [
                    (await (await http.get(f"{world.url}/v1/messages?limit=1&status={s}")).json())
                    for s in ("accepted", "sending", "submitted")
                ]
                if not any(page["messages"] for page in open_):
                    return stats
            await asyncio.sleep(0.2)


async def check_money(world: Any) -> None:
    verdict = json.loads(await world.run("audit", "--json"))
    assert verdict["agrees"] is True, verdict


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
async def test_postgresql_that_dies_is_started_again_and_nothing_accepted_is_lost(
    world: Any, how: signal.Signals
) -> None:
    await world.start_smsc('identity = "tag"\n[[rule]]\nlatency = 0.002\n')
    await world.start_gateway()
    await world.make_account()
    async with aiohttp.ClientSession(headers=world.headers) as http:
        sending = asyncio.create_task(send_all(world, http))
        async with asyncio.timeout(60):
            while (await world.carrier())["distinct"] < MESSAGES // 4:
                await asyncio.sleep(0.02)
        pid_file = next(world.folder.glob("data/*/postmaster.pid"))
        killed = int(pid_file.read_text().splitlines()[0])
        os.kill(killed, how)
        await asyncio.wait_for(sending, 120)
        stats = await until_delivered(world, http, MESSAGES)
        assert int(pid_file.read_text().splitlines()[0]) != killed
        assert stats["distinct"] == MESSAGES
        # A database that dies breaks no bind, so nothing had to be sent again.
        assert stats["duplicates"] == 0
        await check_money(world)


async def test_a_carrier_that_drops_garbles_and_throttles_delays_messages_and_loses_none(
    world: Any,
) -> None:
    await world.start_smsc(
        'identity = "tag"\n'
        "[server]\nrate_per_s = 2000\n"
        "[connection]\ndrop_every = 701\ngarbage_every = 1103\n"
        "[[rule]]\nlatency = 0.002\nearly_share = 0.1\nduplicate_share = 0.1\n"
    )
    await world.start_gateway()
    await world.make_account()
    async with aiohttp.ClientSession(headers=world.headers) as http:
        assert await asyncio.wait_for(send_all(world, http), 120) == 0
        stats = await until_delivered(world, http, MESSAGES)
        assert stats["distinct"] == MESSAGES
        metrics = await (await http.get(f"{world.url}/metrics")).text()
        losses = [line for line in metrics.splitlines() if "bind_losses_total{" in line]
        assert losses, metrics
        await check_money(world)


async def test_a_carrier_that_is_away_only_makes_messages_wait(world: Any) -> None:
    await world.start_smsc()
    await world.start_gateway()
    await world.make_account()
    assert world.smsc is not None
    world.smsc.kill()
    await world.smsc.wait()
    async with aiohttp.ClientSession(headers=world.headers) as http:
        for number in range(20):
            await send(world, http, number)
        page = await (await http.get(f"{world.url}/v1/messages?status=accepted")).json()
        assert len(page["messages"]) == 20
        await world.start_smsc('identity = "tag"\n')
        await until_delivered(world, http, 20)
        await check_money(world)
