"""A node takes the carriers over from one that ends by force, as real processes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.failover import WINDOW, measure


async def test_a_node_takes_over_from_one_that_is_killed_and_from_one_that_is_frozen() -> None:
    # PostgreSQL's socket has a short path only in a short folder.
    with tempfile.TemporaryDirectory(prefix="gwf") as folder:
        ends, accepted, lost = await measure(Path(folder), 2, 50.0, steady_s=0.5)
    assert [end.frozen for end in ends] == [False, True]
    assert accepted
    assert lost == 0
    assert max(end.repeats for end in ends) <= WINDOW
