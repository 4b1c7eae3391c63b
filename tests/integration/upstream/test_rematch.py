"""A carrier whose ids were read by a wrong rule: found out, corrected, and nothing of it lost."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bench.simulator.mailbox import Delivery
from gateway.model import Account
from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import encode_short_message
from gateway.smpp.shapes import DeliverSm
from gateway.store.postgres import Database

Start = Callable[..., Awaitable[Any]]
Run = Callable[..., Awaitable[Any]]

COUNT = 8
CORRECTED = {"ids": {"response": "hex", "receipt": "decimal"}}

SETTINGS = """
[node]
database_url = "{url}"
[[carrier]]
name = "alpha"
host = "127.0.0.1"
system_id = "gw"
{ids}
"""


@pytest.fixture
def script() -> str:
    """Ids in padded hexadecimal in the response, in decimal in the receipt; numbers that end in
    9 get no receipt."""
    return """
[ids]
first = 7054
response = "hex_upper"
response_width = 8
receipt = "decimal"
[[rule]]
suffix = "9"
missing_share = 1.0
"""


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    """Run a command with the settings of the carrier, and return the JSON that it wrote."""

    async def run(*words: str, ids: str = "") -> Any:
        file = tmp_path / "gateway.toml"
        file.write_text(SETTINGS.format(url=database_url, ids=ids))
        # In a process of its own: the gateway in this one writes its log lines where this would.
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "gateway", "--config", str(file), *words, "--json"],
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return run


def number(index: int) -> str:
    return f"4474001234{index:02d}"


async def submit(customer: Any, count: int) -> list[str]:
    ids = []
    for index in range(count):
        customer.submit(f"text {index}", to=number(index))
        status, message_id = await customer.submitted()
        assert status == 0
        ids.append(message_id)
    return ids


async def wait_for(database: Database, query: str, wanted: int) -> None:
    async with asyncio.timeout(20):
        while await database.pool.fetchval(query) != wanted:
            await asyncio.sleep(0.02)


async def states(database: Database) -> dict[str, int]:
    rows = await database.pool.fetch("SELECT id, status FROM message_states")
    return {str(row["id"]): row["status"] for row in rows}


async def restart(start: Start, running: Any, settings: dict[str, Any], **changes: Any) -> Any:
    await running.leave()
    await running.stop()
    settings["carrier"] = [settings["carrier"][0] | changes]
    return await start()


PARKED = "SELECT count(*) FROM parked_receipts"


async def test_receipts_that_matched_nothing_are_applied_once_the_rule_is_corrected(
    start: Start, run: Run, settings: dict[str, Any], database: Database, shop: Account
) -> None:
    await database.pool.execute("UPDATE accounts SET webhook_url = 'http://127.0.0.1:9/'")
    running = await start()
    ids = await submit(await running.connect(v.BIND_TRANSMITTER), COUNT)
    await wait_for(database, PARKED, COUNT)
    # Half of them have been waiting for longer than anything is waited for.
    await database.pool.execute("UPDATE parked_receipts SET given_up = true WHERE id % 2 = 0")
    await wait_for(database, "SELECT count(*) FROM events WHERE kind = 1", COUNT)
    assert set((await states(database)).values()) == {3}

    listed = await run("receipts", "unmatched", "--carrier", "alpha", "--limit", "5")
    assert listed["counts"] == [{"carrier": "alpha", "parked": COUNT // 2, "unmatched": COUNT // 2}]
    assert [r["id"] for r in listed["receipts"]] == [str(7054 + n) for n in (7, 6, 5, 4, 3)]
    assert {r["recipient"] for r in listed["receipts"]} == {number(n) for n in (7, 6, 5, 4, 3)}

    told = await run("carrier", "id-rule", "alpha")
    assert told["present"] == {
        "response": "string", "receipt": "string", "strip_zeros": False, "explained": 0,
    }  # fmt: skip
    assert told["proposed"] == {
        "response": "hex", "receipt": "decimal", "strip_zeros": False, "explained": COUNT,
    }  # fmt: skip
    assert told["unexplained"] == []

    # Under the wrong rule there is nothing to be found.
    tried = await run("receipts", "rematch", "--carrier", "alpha", ids=told["toml"])
    assert tried == {
        "asked": COUNT, "matched": 0, "untried": 0, "gateway_runs": True, "stale_rules": ["alpha"],
    }  # fmt: skip

    running = await restart(start, running, settings, **CORRECTED)
    receiver = await running.connect(v.BIND_RECEIVER)
    tried = await run("receipts", "rematch", ids=told["toml"])
    assert tried == {
        "asked": COUNT, "matched": COUNT, "untried": 0, "gateway_runs": True, "stale_rules": [],
    }  # fmt: skip
    receipts = [await receiver.receive_delivery() for _ in ids]
    assert {r.tlvs[v.TAG_RECEIPTED_MESSAGE_ID].rstrip(b"\0").decode() for r in receipts} == set(ids)
    assert all(b"stat:DELIVRD" in receipt.short_message for receipt in receipts)
    assert await states(database) == dict.fromkeys(ids, 10)
    assert await database.pool.fetchval(PARKED) == 0
    told_of = "SELECT count(*) FROM outbox WHERE body LIKE '%message.delivered%'"
    assert await database.pool.fetchval(told_of) == COUNT

    again = await run("receipts", "rematch", ids=told["toml"])
    assert (again["asked"], again["matched"]) == (0, 0)
    await receiver.receive_silence()
    receipts_applied = await database.pool.fetchval("SELECT count(*) FROM events WHERE kind = 4")
    assert receipts_applied == COUNT


async def test_a_receipt_that_comes_after_the_correction_finds_what_left_before_it(
    start: Start, carrier: Any, settings: dict[str, Any], database: Database, shop: Account
) -> None:
    running = await start()
    transmitter = await running.connect(v.BIND_TRANSMITTER)
    transmitter.submit(to=number(9))
    _, message_id = await transmitter.submitted()
    await wait_for(database, "SELECT count(*) FROM events WHERE kind = 1", 1)
    running = await restart(start, running, settings, **CORRECTED)
    text = b"id:7054 sub:001 dlvrd:001 stat:UNDELIV err:027 text:"
    late = DeliverSm(esm_class=v.ESM_CLASS_RECEIPT, short_message=text)
    simulated = carrier.smsc.carrier
    body = encode_short_message(late)
    simulated.mailbox("gw").put(Delivery(v.DELIVER_SM, body, simulated.tally.mobile, 0))
    simulated.flush()
    receiver = await running.connect(v.BIND_RECEIVER)
    receipt = await receiver.receive_delivery()
    assert receipt.short_message.startswith(b"id:" + message_id.encode())
    assert b"stat:UNDELIV" in receipt.short_message
    assert await states(database) == {message_id: 11}


async def test_receipts_wait_for_the_next_start_when_no_gateway_runs(
    start: Start, run: Run, settings: dict[str, Any], database: Database, shop: Account
) -> None:
    running = await start()
    ids = await submit(await running.connect(v.BIND_TRANSMITTER), 2)
    await wait_for(database, PARKED, 2)
    await running.leave()
    await running.stop()
    tried = await run("receipts", "rematch")
    assert (tried["untried"], tried["gateway_runs"]) == (2, False)
    await restart(start, running, settings, **CORRECTED)
    await wait_for(database, PARKED, 0)
    assert await states(database) == dict.fromkeys(ids, 10)
