"""The short form of `make chaos`: real processes killed and cut off under load."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from bench.chaos.__main__ import Run, run_whole

KILLS = 3
SEED = 25


async def test_a_few_kills_under_load_break_no_promise() -> None:
    folder = Path(tempfile.mkdtemp(prefix="gwc"))  # a socket's path may not be long
    run = Run(folder, kills=KILLS, rate_per_s=60.0, seed=SEED, quick=True)
    try:
        promises = await run_whole(run)
    finally:
        run.world.abandon()
        shutil.rmtree(folder, ignore_errors=True)
    assert [promise for promise in promises if not promise.kept] == []
    assert len(run.journal.accepted) > 0
    assert run.kills == KILLS


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_draws_the_same_faults_again(seed: int, tmp_path: Path) -> None:
    drawn = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        run = Run(folder, kills=1, rate_per_s=1.0, seed=seed)
        try:
            drawn.append([run.draw()[0] for _ in range(100)])
        finally:
            run.world.abandon()
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 10
