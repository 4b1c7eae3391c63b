"""What an operator sees of customers who bind: every figure moved by real sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.model import Account
from gateway.smpp import vocabulary as v
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import save_smpp_account
from gateway.upstream import depth, mailbox

MakeAccount = Callable[..., Awaitable[Account]]
Start = Callable[..., Awaitable[Any]]


@pytest.fixture(autouse=True)
def measure_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "MEASURE_S", 0.05)
    monkeypatch.setattr(depth, "REST", 0.0)


async def wait_for(running: Any, value: float, name: str, **labels: str) -> None:
    """Wait until a figure is there: gauges of the store follow it, counters the loop."""
    async with asyncio.timeout(20):
        while running.metric(f"gateway_upstream_{name}", **labels) != value:
            await asyncio.sleep(0.02)


async def test_sessions_are_counted_by_mode_and_customers_once_however_many_they_have(
    running: Any, database: Database, make_account: MakeAccount
) -> None:
    other = await make_account("other")
    await save_smpp_account(database, other.id, system_id="other", password="secret")
    stranger = await running.connect()
    first = await running.connect(v.BIND_TRANSMITTER)
    await running.connect(v.BIND_RECEIVER)
    await running.connect(v.BIND_RECEIVER)
    assert running.metric("gateway_upstream_accounts_bound") == 1
    assert running.metric("gateway_upstream_binds", mode="receiver") == 2
    assert running.metric("gateway_upstream_connections") == 4
    async with asyncio.timeout(20):  # until the new account's terms are known
        while (await stranger.bind(system_id="other")).status:
            await asyncio.sleep(0.2)
    assert running.metric("gateway_upstream_accounts_bound") == 2
    await first.unbind()
    assert running.metric("gateway_upstream_binds", mode="transmitter") == 0
    assert running.metric("gateway_upstream_accounts_bound") == 2
    await wait_for(running, 3, "connections")


async def test_what_waits_for_somebody_who_is_away_is_told_apart(
    running: Any, database: Database
) -> None:
    transmitter = await running.connect(v.BIND_TRANSMITTER)
    for _ in range(3):
        transmitter.submit()
        assert (await transmitter.submitted())[0] == v.ESME_ROK
    await wait_for(running, 3, "deliveries_waiting", receivers="none")
    assert running.metric("gateway_upstream_deliveries_waiting", receivers="bound") == 0
    assert running.metric("gateway_upstream_delivery_oldest_age_seconds", receivers="none") > 0
    assert running.metric("gateway_upstream_deliveries_sent_total") == 0
    receiver = await running.connect(v.BIND_RECEIVER)
    frames = [await receiver.receive(v.DELIVER_SM) for _ in range(3)]  # not answered yet
    await wait_for(running, 3, "deliveries_waiting", receivers="bound")
    assert running.metric("gateway_upstream_deliveries_waiting", receivers="none") == 0
    assert running.metric("gateway_upstream_delivery_oldest_age_seconds", receivers="bound") > 0
    assert running.metric("gateway_upstream_delivery_oldest_age_seconds", receivers="none") == 0
    assert running.metric("gateway_upstream_deliveries_held") == 3
    assert running.metric("gateway_upstream_deliveries_sent_total") == 3
    for frame in frames:
        receiver.answer(frame)
    await wait_for(running, 0, "deliveries_waiting", receivers="bound")
    await wait_for(running, 3, "delivery_answers_total", status="ESME_ROK")
    assert running.metric("gateway_upstream_deliveries_total", outcome="delivered") == 3
    assert running.metric("gateway_upstream_deliveries_held") == 0


async def test_answers_to_deliveries_count_by_status_and_every_attempt_as_sent(
    running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "REFUSED_FIRST_S", 0.1)
    monkeypatch.setattr(mailbox, "PAUSE_FIRST_S", 0.05)
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit()
    await customer.submitted()
    await customer.receive_delivery(v.ESME_RMSGQFUL)
    await customer.receive_delivery(0x0453)  # of a vendor, without a name
    await customer.receive_delivery()
    await wait_for(running, 1, "delivery_answers_total", status="ESME_ROK")
    assert running.metric("gateway_upstream_delivery_answers_total", status="ESME_RMSGQFUL") == 1
    vendors = running.metric("gateway_upstream_delivery_answers_total", status="0x00000453")
    assert vendors == 1
    assert running.metric("gateway_upstream_deliveries_total", outcome="refused") == 2
    assert running.metric("gateway_upstream_deliveries_sent_total") == 3


async def test_refused_binds_and_connections_turned_away_are_counted_apart(start: Start) -> None:
    running = await start(smpp={"connections_max": 1})
    stranger = await running.connect()
    assert (await stranger.bind(password="wrong")).status == v.ESME_RINVPASWD
    late = await running.connect()
    await late.receive_end()
    assert running.metric("gateway_upstream_connections_refused_total", reason="full") == 1
    assert running.metric("gateway_upstream_binds_refused_total", reason="credentials") == 1
    assert running.metric("gateway_upstream_connections") == 1


async def test_submissions_count_by_what_they_were_answered(running: Any) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit()
    customer.submit(to="12")
    assert sorted([(await customer.submitted())[0], (await customer.submitted())[0]]) == [
        v.ESME_ROK,
        v.ESME_RINVDSTADR,
    ]
    for status in ("ESME_ROK", "ESME_RINVDSTADR"):
        assert running.metric("gateway_upstream_submissions_total", status=status) == 1
