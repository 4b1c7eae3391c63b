"""What Schemathesis draws from the OpenAPI finds no fault: no 5xx, no answer that is not described.

`ops/install-schemathesis` installs it. Where it is missing the test is skipped with that reason;
under CI it fails.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Account
from gateway.scopes import ADMIN, ALL
from gateway.store.keys import create_key
from gateway.store.postgres import Database

ROOT = Path(__file__).parents[3]
COMMAND = ROOT / ".peers" / "schemathesis" / "bin" / "schemathesis"
TIMEOUT_S = 180.0
UNSAID = "positive_data_acceptance"
"""What the document can't say, such as which cursors there are, is refused with a reason."""


@pytest.fixture
def schemathesis() -> Path:
    if not COMMAND.exists():
        reason = "schemathesis is not installed: run ops/install-schemathesis"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return COMMAND


async def test_what_is_drawn_from_the_document_is_answered_as_it_says(
    schemathesis: Path,
    start: Callable[..., Awaitable[Any]],
    database: Database,
    shop: Account,
    tmp_path: Path,
) -> None:
    # It also asks without a key, and with wrong ones.
    running = await start(http={"login_failures_per_min": 1_000_000})
    key = (await create_key(database, shop.id, scopes=ALL | ADMIN)).plaintext
    words = (
        *("run", f"http://127.0.0.1:{running.gateway.port}/openapi.json"),
        *("--header", f"Authorization: Bearer {key}", "--exclude-checks", UNSAID),
        *("--exclude-operation-id", "readReadiness"),  # its answer hangs on the carrier
        *("--phases", "examples,coverage", "--generation-deterministic", "--no-color"),
        # What is wrong on purpose; what is right is `test_api_fuzz.py`'s.
        *("--mode", "negative", "--warnings", "off"),
    )
    process = await asyncio.create_subprocess_exec(
        schemathesis,
        *words,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()
    assert b" generated" in said
