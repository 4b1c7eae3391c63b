"""`python -m bench.soak` for seconds: every message that it sends is counted at its end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

TIMEOUT_S = 120.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))


async def test_a_short_soak_loses_nothing_and_draws_its_figure(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.soak", "--minutes", "0.05", "--rate", "40"),
        *("--json", str(tmp_path / "soak.json"), "--svg", str(tmp_path / "soak.svg")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 0, out.decode()
    document = json.loads((tmp_path / "soak.json").read_text())
    assert document["states"] == {"delivered": 120}
    assert document["memory_mb"][0][1] > 20
    assert "<polyline" in (tmp_path / "soak.svg").read_text()
