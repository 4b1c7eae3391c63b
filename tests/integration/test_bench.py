"""`make bench` measures what it says, on a gateway of its own."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path


async def test_a_small_run_delivers_everything_and_says_what_it_cost(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench", "--messages", "500", "--json", str(result)),
        *("--profile", str(tmp_path / "hot.svg")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, out.decode() + err.decode()
    single, batch = json.loads(result.read_text())["results"]
    assert (single["mode"], batch["mode"]) == ("single", "batch")
    for figures in (single, batch):
        assert figures["final"] == {"delivered": 500}
        assert figures["received_per_s"] <= figures["submitted_per_s"]
        # The kernel counts in hundredths of a second, and 500 messages may take PostgreSQL less.
        assert figures["gateway_cpu_us"] + figures["database_cpu_us"] > 0
    assert "every message was delivered" in out.decode()
    for mode in ("single", "batch"):
        picture = (tmp_path / f"hot-{mode}.svg").read_text()
        # Some fifty samples: which of the many places they meet is chance.
        assert "<title>Runner.run (100.0%)" in picture
        assert re.search(r"<title>\S+ \(gateway/[\w/]+\.py:\d+\)", picture), picture
