"""A carrier that is drained by hand while messages flow, and over restarts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.lifecycle import Status

Operators = Callable[..., Awaitable[list[Any]]]
Settings = Callable[..., str]

QUICK = "[[rule]]\nlatency = 0.005\n"
SLOW = "[[rule]]\nlatency = 0.5\n"


async def test_a_carrier_is_drained_under_load_and_nothing_is_lost(
    node: Any, operators: Operators, settings: Settings
) -> None:
    alpha, beta = await operators(SLOW, QUICK)
    both = {"alpha": alpha, "beta": beta}
    await node.start(settings(both, [["alpha", "beta"]], alpha="window_size = 20"))
    load = node.load()
    await load.reach(100)
    assert len(beta.came) == 0
    said = json.loads(
        (await node.run("carrier", "drain", "alpha", "--reason", "by night", "--json")).stdout
    )
    assert said["drained"] and said["heard"]
    came = len(alpha.came)
    await load.reach(100)
    accepted = await load.stop()
    assert await node.until_final() == {Status.DELIVERED: len(accepted)}
    assert Counter(alpha.recipients + beta.recipients) == Counter(accepted)
    assert len(alpha.came) == came, "nothing new left for it"
    assert len(beta.came) >= 100
    assert alpha.stats["binds"]["open"] == 1, "its session stands"

    await node.run("carrier", "resume", "alpha")
    await node.post("447400555000")
    await node.until(lambda: "447400555000" in alpha.recipients)
    await node.check_money()


async def test_a_drained_carrier_stays_so_over_a_restart_and_is_shown(
    node: Any, operators: Operators, settings: Settings
) -> None:
    alpha, beta = await operators(QUICK, QUICK)
    both = settings({"alpha": alpha, "beta": beta}, [["alpha"]])
    await node.start(both)
    file = node.folder / "gateway.toml"
    file.write_text(both)
    await node.run("carrier", "drain", "alpha", "--reason", "dispute")
    await node.post("447400123456")
    await node.stop()
    await node.start(both)
    await node.info()
    await node.until(lambda: alpha.stats["binds"]["open"] == 1)
    assert alpha.came == []

    rows = json.loads((await node.run("carrier", "list", "--json")).stdout)
    row = next(row for row in rows if row["name"] == "alpha")
    assert (row["state"], row["waiting"]) == ("up", 1)
    assert row["drained"].endswith(": dispute")
    view = node.gateway.parts.condition.carriers()[0]
    assert view.drained == row["drained"]
    assert b'gateway_carrier_drained{carrier="alpha"} 1.0' in node.gateway.metrics.render()

    await node.run("carrier", "resume", "alpha")
    assert await node.until_final() == {Status.DELIVERED: 1}


async def test_a_carrier_that_comes_while_it_is_drained_is_drained(
    node: Any, operators: Operators, settings: Settings
) -> None:
    alpha, beta = await operators(QUICK, QUICK)
    both = settings({"alpha": alpha, "beta": beta}, [["alpha", "beta"]])
    await node.start(both)
    await node.run("carrier", "drain", "alpha")
    await node.apply(settings({"beta": beta}, [["beta"]]))
    await node.apply(both)
    await node.post("447400123456")
    assert await node.until_final() == {Status.DELIVERED: 1}
    assert (len(alpha.came), len(beta.came)) == (0, 1)


async def test_nobody_drains_what_never_served(node: Any) -> None:
    refused = await node.run("carrier", "drain", "nobody", expect=1)
    assert "no carrier 'nobody' ever served here" in refused.output
    too_long = await node.run("carrier", "drain", "nobody", "--reason", "x" * 201, expect=1)
    assert "at most 200" in too_long.output
