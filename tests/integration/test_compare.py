"""`make compare` with few messages: what it keeps, and that it can be stopped at any moment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from bench.peers.processes import CannotRun, find_program

TIMEOUT_S = 120.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))


@pytest.fixture
def kannel() -> None:
    try:
        find_program("bearerbox")
    except CannotRun as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{error}: run ops/install-peers")
        pytest.skip(f"{error}: run ops/install-peers")


async def start(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.compare", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


def descendants(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


@pytest.mark.usefixtures("kannel")
async def test_ours_and_kannel_are_measured_alike_and_kept(tmp_path: Path) -> None:
    process = await start(
        *("--systems", "ours-smpp-receipts,kannel-memory"),
        *("--rounds", "1", "--messages", "300", "--half-s", "0.5"),
        *("--out", str(tmp_path / "side-by-side")),
    )
    out, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 0, out.decode()
    assert "Kannel, memory" in out.decode()
    document = json.loads((tmp_path / "side-by-side.json").read_text())
    assert [each["system"] for each in document["measured"]] == [
        "ours-smpp-receipts",
        "kannel-memory",
    ]
    for figures in document["measured"]:
        assert figures["accepted"] == 300
        assert (figures["lost"], figures["duplicated"], figures["receipts_lost"]) == (0, 0, 0)
        assert figures["receipts_kept"] == 300, "what the system itself says"
        assert figures["end_to_end_per_s"] > 0 and figures["memory_peak_mb"]["gateway"] > 1
        assert figures["half"]["accept_ms"]["p99"] > 0
    page = (tmp_path / "side-by-side.md").read_text()
    assert "| this gateway, SMPP, receipts up |" in page.replace("  ", "")


@pytest.mark.usefixtures("kannel")
@pytest.mark.parametrize("system", ["ours-single", "kannel-memory"])
async def test_an_interrupt_leaves_nothing_running(system: str) -> None:
    process = await start("--systems", system, "--messages", "10000000")
    while len(descendants(process)) < 3:  # the carrier and what is measured
        assert process.returncode is None
        await asyncio.sleep(0.05)
    started = descendants(process)
    process.send_signal(signal.SIGINT)
    out, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 130, out.decode()
    assert [each for each in started if each.is_running()] == []
