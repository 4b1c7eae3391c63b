"""`python -m bench.growth` with few messages: what it fills in is what the gateway leaves."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

TIMEOUT_S = 180.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))


async def test_every_figure_is_measured_on_a_store_that_was_filled(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.growth", "flat", "backlog", "--json", str(tmp_path / "growth.json")),
        *("--held", "3000", "--waiting", "3000", "--messages", "200", "--rounds", "1"),
        *("--seconds", "4"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    # 1: a busy machine may miss what is asked of times.
    assert process.returncode in (0, 1), out.decode()
    document = json.loads((tmp_path / "growth.json").read_text())
    figures = {each["what"]: each["value"] for each in document["figures"]}
    assert len(figures) > 25, out.decode()
    assert figures["CPU of a single message beside 3,000"] > 0
    assert 0 < figures["a page by a rare status, median"] < 1_000
    assert 0 < figures["a page by recipient, of a day that is over, median"] < 1_000
    whole = "retention of a day of 3,000: its disk is free after"
    assert (
        0 < figures["retention of a day of 3,000: gone for everybody after"] <= figures[whole] + 1
    )
    assert 0 < figures["longest of 200 commits a second while a day of 3,000 is dropped"] < 5_000
    assert figures["they leave at"] > 0, "what was filled in is what the gateway sends"
    assert 20 < figures["memory while they leave"] < 250
