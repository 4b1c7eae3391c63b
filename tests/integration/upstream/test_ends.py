"""Every message ends with a receipt, also one that never left or that nobody reported of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway import housekeeping
from gateway.smpp import vocabulary as v
from gateway.store.postgres import Database

Start = Callable[..., Awaitable[Any]]


@pytest.fixture
def script() -> str:
    """The carrier takes everything and reports of nothing."""
    return "[[rule]]\nmissing_share = 1.0\n"


async def states(database: Database) -> list[int]:
    return [row["status"] for row in await database.pool.fetch("SELECT status FROM message_states")]


async def test_what_waits_past_its_validity_ends_with_a_receipt(
    start: Start, settings: dict[str, Any], database: Database
) -> None:
    settings["carrier"][0]["port"] = 1  # where nobody is
    running = await start()
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit(validity_period="000000000001000R")
    _, message_id = await customer.submitted()
    receipt = await customer.receive_delivery()
    assert receipt.short_message.startswith(b"id:" + message_id.encode())
    assert b" dlvrd:000 " in receipt.short_message and b" stat:EXPIRED " in receipt.short_message
    assert receipt.tlvs[v.TAG_MESSAGE_STATE] == b"\3"
    assert await states(database) == [12]


async def test_what_no_receipt_comes_for_ends_as_unknown_with_one_of_ours(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "SWEEP_S", 0.2)
    running = await start(messages={"receipt_timeout_s": 1})
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit()
    _, message_id = await customer.submitted()
    receipt = await customer.receive_delivery()
    assert receipt.short_message.startswith(b"id:" + message_id.encode())
    assert b" stat:UNKNOWN " in receipt.short_message
    assert receipt.tlvs[v.TAG_MESSAGE_STATE] == b"\7"
    assert await states(database) == [16]
