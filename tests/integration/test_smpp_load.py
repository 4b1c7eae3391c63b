"""The SMPP load against the simulated carrier, which answers as a server of customers does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from bench.generator.backlog import Backlog
from bench.generator.driver import NoProgress
from bench.generator.figures import Figures
from bench.generator.smpp import Login, SmppLoad
from bench.simulator.script import parse_script
from bench.smsc import Smsc


@pytest.fixture
async def smsc() -> AsyncIterator[Smsc]:
    server = Smsc(parse_script('identity = "tag"'))
    await server.start()
    yield server
    await server.stop()


def load_on(smsc: Smsc, *, binds: int = 1, window: int = 10, receipts: bool = True) -> SmppLoad:
    login = Login(port=smsc.port, system_id="bench", password="bench")
    return SmppLoad(login, binds=binds, window=window, receipts=receipts)


async def run(
    load: SmppLoad,
    messages: int,
    *,
    first: int = 1,
    rate: float | None = None,
    give_up_s: float = 5.0,
) -> Figures:
    figures = Figures()
    await load.run(Backlog(messages, 1, time.perf_counter(), rate, first), figures, give_up_s)
    return figures


async def test_every_message_is_sent_once_within_the_window_and_its_receipt_taken(
    smsc: Smsc,
) -> None:
    load = load_on(smsc, window=7)
    await load.bind()
    first = await run(load, 100)
    second = await run(load, 50, first=101)
    while load.receipts_taken < 150:
        await asyncio.sleep(0.01)
    await load.close()
    stats = smsc.stats()
    assert (first.accepted, second.accepted) == (100, 50)
    assert len(first.latencies_s) == 100
    assert (stats["distinct"], stats["duplicates"]) == (150, 0)
    assert stats["in_flight_max"] <= 7
    assert stats["receipts"]["acknowledged"] == 150
    assert load.receipt_s == pytest.approx(time.monotonic(), abs=5)


async def test_without_receipts_none_are_asked_for(smsc: Smsc) -> None:
    load = load_on(smsc, receipts=False)
    await load.bind()
    await run(load, 20)
    await load.close()
    assert smsc.stats()["receipts"]["made"] == 0


async def test_binds_share_the_load(smsc: Smsc) -> None:
    load = load_on(smsc, binds=2, window=5)
    await load.bind()
    await run(load, 100)
    await load.close()
    assert [bind["submit_sm"] > 0 for bind in smsc.stats()["bind"]] == [True, True]


async def test_a_rate_is_kept(smsc: Smsc) -> None:
    load = load_on(smsc)
    await load.bind()
    started = time.perf_counter()
    figures = await run(load, 50, rate=200)
    await load.close()
    assert figures.accepted == 50
    assert time.perf_counter() - started >= 49 / 200


async def test_what_is_throttled_is_sent_again() -> None:
    server = Smsc(parse_script('identity = "tag"\n[server]\nrate_per_s = 200\nburst = 5'))
    await server.start()
    load = load_on(server)
    await load.bind()
    figures = await run(load, 40)
    await load.close()
    await server.stop()
    assert figures.accepted == 40 and figures.retried["0x58"] > 0


async def test_a_refusal_is_counted_by_its_status() -> None:
    server = Smsc(parse_script("[[rule]]\nrefuse = [{status = 11}]"))
    await server.start()
    load = load_on(server)
    await load.bind()
    figures = await run(load, 3)
    await load.close()
    await server.stop()
    assert figures.rejected == {"0xb": 3}


async def test_a_bind_that_breaks_loses_what_was_under_way_and_the_run_ends(smsc: Smsc) -> None:
    load = load_on(smsc)
    await load.bind()
    running = asyncio.create_task(run(load, 10_000_000, give_up_s=1.0))
    while not smsc.stats()["submit_sm"]:
        await asyncio.sleep(0.01)
    await smsc.stop()
    with pytest.raises(NoProgress):
        await running
    await load.close()
