"""A carrier's rule for ids that is corrected while messages flow."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.lifecycle import Status

Operators = Callable[..., Awaitable[list[Any]]]
Settings = Callable[..., str]

IDS = '[ids]\nfirst = 7054\nresponse = "hex"\nreceipt = "decimal"\n'
PARKED = "SELECT count(*) FROM parked_receipts"
AT_ONCE, LATER = IDS, IDS + "[[rule]]\ndelay = 3.0\n"


async def test_what_came_before_a_correction_and_after_it_is_delivered(
    node: Any, operators: Operators, settings: Settings
) -> None:
    async def parked() -> int:
        return int(await node.database.pool.fetchval(PARKED))

    async def four_are_parked() -> bool:
        return await parked() == 4

    [alpha] = await operators(AT_ONCE)
    wrong = settings({"alpha": alpha}, [["alpha"]])
    (node.folder / "gateway.toml").write_text(wrong)
    await node.start(wrong)
    for number in range(4):
        await node.post(f"44740012345{number}")
    await node.until(four_are_parked)
    alpha.follow(LATER)
    for number in range(4, 6):
        await node.post(f"44740012345{number}")
    await node.until(lambda: alpha.stats["submit_sm"] == 6)

    told = json.loads((await node.run("carrier", "id-rule", "alpha", "--json")).stdout)
    assert told["proposed"]["explained"] >= 4
    said = await node.apply(settings({"alpha": alpha}, [["alpha"]], alpha=told["toml"]))
    assert said["so"]
    tried = json.loads((await node.run("receipts", "rematch", "--json")).stdout)
    # On a slow machine some of the later ones have come before the correction, too.
    assert tried["asked"] == tried["matched"] >= 4
    assert tried["stale_rules"] == []
    alpha.follow(AT_ONCE)
    await node.post("447400123456")
    assert await node.until_final() == {Status.DELIVERED: 7}
    assert await parked() == 0
