"""Several nodes share carriers: each message leaves once, whichever node took it in."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import pytest

from gateway.errors import NotTheOwner
from gateway.model import CarrierId, Lane
from gateway.nodes.leases import Ended
from gateway.store.arrivals import fetch_arrivals, forget_arrivals
from gateway.store.leases import claim_node, give_up_node
from gateway.store.maintenance import Maintenance
from gateway.store.postgres import Database

NAMES = ("alpha", "beta", "gamma")


async def test_every_node_takes_messages_for_every_carrier_and_each_leaves_once(
    cluster: Any,
) -> None:
    for name in NAMES:
        await cluster.add_carrier(name)
    for _ in range(3):
        await cluster.start()
    await cluster.until_shared()
    assert [len(node.bound) for node in cluster.nodes] == [1, 1, 1]
    sent: dict[str, list[str]] = {name: [] for name in NAMES}
    for node, name in itertools.product(cluster.nodes, NAMES):
        numbers = cluster.numbers(name, 40)
        await node.post(numbers)
        sent[name] += numbers
    await cluster.until_final()
    for name, operator in cluster.operators.items():
        assert sorted(operator.recipients) == sent[name]
    assert await cluster.fetch("SELECT count(*) FROM message_states WHERE status = 10") == 360
    async with asyncio.timeout(10):
        while await cluster.fetch("SELECT count(*) FROM arrivals"):
            await asyncio.sleep(0.05)


async def test_a_message_for_another_nodes_carrier_leaves_at_once(cluster: Any) -> None:
    await cluster.add_carrier("alpha")
    await cluster.add_carrier("beta")
    for _ in range(2):
        await cluster.start()
    await cluster.until_shared()
    other = next(node for node in cluster.nodes if "alpha" not in node.served)
    alpha = cluster.operators["alpha"]
    waits = []
    for number in cluster.numbers("alpha", 10):
        before = len(alpha.came)
        await other.post([number])
        accepted = time.monotonic()
        await cluster.until(lambda before=before: len(alpha.came) > before)
        waits.append(time.monotonic() - accepted)
    assert sorted(waits)[5] < 0.1, waits


async def test_a_node_that_stops_hands_its_carriers_over_without_a_duplicate(cluster: Any) -> None:
    for name in NAMES:
        await cluster.add_carrier(name, rate_per_s=100)
    first, second = await cluster.start(), await cluster.start()
    await cluster.until_shared()
    sent = {name: cluster.numbers(name, 250) for name in NAMES}
    for name in NAMES:
        await second.post(sent[name])
    await cluster.until(lambda: all(len(o.came) > 20 for o in cluster.operators.values()))
    await first.stop()
    cluster.nodes.remove(first)
    await cluster.until_shared()
    await cluster.until_final()
    for name, operator in cluster.operators.items():
        assert sorted(operator.recipients) == sent[name], "lost or sent twice"
        assert cluster.busiest_second(name) <= 101
    assert await cluster.fetch("SELECT count(*) FROM message_states WHERE status = 10") == 750


async def test_receipts_that_reach_the_next_owner_are_matched_there(cluster: Any) -> None:
    alpha = await cluster.add_carrier("alpha", script="[[rule]]\ndelay = 2.0\n")
    first = await cluster.start()
    numbers = cluster.numbers("alpha", 50)
    await first.post(numbers)
    await cluster.until(lambda: len(alpha.came) == 50)
    second = await cluster.start()
    await first.stop()
    cluster.nodes.remove(first)
    assert await cluster.fetch("SELECT count(*) FROM message_states WHERE status = 10") < 50
    await cluster.until(lambda: second.bound == {"alpha"})
    await cluster.until_final()
    assert await cluster.fetch("SELECT count(*) FROM message_states WHERE status = 10") == 50
    assert await cluster.fetch("SELECT count(*) FROM parked_receipts") == 0
    assert sorted(alpha.recipients) == numbers


async def test_a_node_that_joins_gets_carriers_while_their_messages_leave(cluster: Any) -> None:
    for name in NAMES:
        await cluster.add_carrier(name, rate_per_s=100)
    first = await cluster.start()
    sent = {name: cluster.numbers(name, 300) for name in NAMES}
    for name in NAMES:
        await first.post(sent[name])
    await cluster.start()
    await cluster.until_shared()
    await cluster.until_final()
    for name, operator in cluster.operators.items():
        assert sorted(operator.recipients) == sent[name], "lost or sent twice"
        assert cluster.busiest_second(name) <= 101


async def test_messages_go_on_with_another_nodes_carrier_when_their_own_refuses_them(
    cluster: Any,
) -> None:
    await cluster.add_carrier(
        "alpha", "beta", script="[[rule]]\nrefuse = [{ status = 0x65, share = 1.0 }]\n"
    )
    await cluster.add_carrier("beta")
    first, _ = await cluster.start(), await cluster.start()
    await cluster.until_shared()
    numbers = cluster.numbers("alpha", 100)
    await first.post(numbers)
    await cluster.until_final()
    assert sorted(cluster.operators["beta"].recipients) == numbers
    assert await cluster.fetch("SELECT count(*) FROM message_states WHERE status = 10") == 100


async def test_messages_leave_a_carrier_that_is_down_for_one_of_another_node(cluster: Any) -> None:
    alpha = await cluster.add_carrier("alpha", "beta", rate_per_s=50)
    beta = await cluster.add_carrier("beta")
    first, _ = await cluster.start(), await cluster.start()
    await cluster.until_shared()
    numbers = cluster.numbers("alpha", 200)
    await first.post(numbers)
    await cluster.until(lambda: len(alpha.came) > 40)
    await alpha.smsc.stop()
    await cluster.until_final()
    both = {*alpha.recipients, *beta.recipients}
    assert both == set(numbers)
    assert len(alpha.came) + len(beta.came) - len(numbers) <= 20, "more than a window went twice"


async def test_a_node_that_is_cut_off_has_stopped_sending_before_another_begins(
    cluster: Any, door: Any
) -> None:
    alpha = await cluster.add_carrier("alpha", rate_per_s=50)
    lost = await cluster.start(url=door.url)
    await cluster.until(lambda: lost.bound == {"alpha"})
    other = await cluster.start()
    numbers = cluster.numbers("alpha", 250)
    await lost.post(numbers)
    await cluster.until(lambda: len(alpha.came) > 30)
    door.shut = True
    door.cut()
    cut_at = time.monotonic()
    await cluster.until(lambda: other.bound == {"alpha"})
    assert time.monotonic() - cut_at < 6
    before = len(alpha.came)
    await cluster.until(lambda: len(alpha.came) > before + 10)
    door.shut = False
    with pytest.raises(BaseExceptionGroup) as ended:
        await asyncio.wait_for(lost.task, 30)
    assert ended.value.subgroup(NotTheOwner) is not None
    cluster.nodes.remove(lost)
    await cluster.until_final()
    assert set(alpha.recipients) == set(numbers)
    assert cluster.busiest_second("alpha") <= 51
    assert alpha.repeats <= 20


async def test_a_node_whose_claim_has_ended_changes_no_mark_and_forgets_no_arrival(
    database: Database,
) -> None:
    maintenance = Maintenance(database)
    key, claim = (CarrierId(1), Lane.OTP), (0, 1)
    async with database.acquire() as connection:
        ended = Ended(0, 0, gone=False)
        assert await claim_node(connection, ended, "process", "place") == 1
        await connection.execute(
            "INSERT INTO arrivals (carrier_id, account_ids, message_ids) VALUES (1, '{1}', '{7}')"
        )
        await maintenance.save_queue_marks({key: 5}, claim)
        await give_up_node(connection, *claim)
    (arrival,) = (await fetch_arrivals(database, [CarrierId(1)])).ids
    await maintenance.save_queue_marks({key: 9}, claim)
    await forget_arrivals(database, [arrival], [], claim)
    assert await maintenance.load_queue_marks() == {key: 5}
    assert (await fetch_arrivals(database, [CarrierId(1)])).message_ids == [7]
    await forget_arrivals(database, [arrival], [], None)
    assert (await fetch_arrivals(database, [CarrierId(1)])).ids == []
