"""Three nodes under load on one port, one of them killed: `make nodes` in short."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.nodes import WINDOW, measure


async def test_what_a_killed_node_had_accepted_reaches_its_carriers_by_others() -> None:
    # PostgreSQL's socket has a short path only in a short folder.
    with tempfile.TemporaryDirectory(prefix="gwn") as folder:
        outcome = await measure(Path(folder), 3, 1, 60.0, steady_s=0.5)
    (kill,) = outcome.kills
    assert outcome.accepted
    assert (outcome.lost, outcome.exit_status) == (0, 0)
    assert kill.repeats <= WINDOW * kill.carriers
