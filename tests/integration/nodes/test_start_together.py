"""What every node does at its start, done by several at the same moment."""

from __future__ import annotations

import asyncio

from gateway.dlr.ids import IdForm, IdRule
from gateway.store.carriers import register_carriers
from gateway.store.id_rules import adopt_id_rules, fetch_id_rules
from gateway.store.postgres import Database

DECIMAL = IdRule(IdForm.DECIMAL, IdForm.DECIMAL, False)
HEX = IdRule(IdForm.HEX, IdForm.DECIMAL, False)


async def test_a_rule_for_ids_is_noted_once_by_nodes_that_start_together(
    database: Database,
) -> None:
    (carrier,) = await register_carriers(database, ["alpha"])
    for now, rule in ((1_000.0, DECIMAL), (2_000.0, HEX)):
        adopting = (adopt_id_rules(database, {carrier.id: rule}, now + late) for late in range(4))
        await asyncio.gather(*adopting)
    since = [since for since, _ in await fetch_id_rules(database, carrier.id)]
    assert since[0] == 0.0
    assert len(since) == 2
