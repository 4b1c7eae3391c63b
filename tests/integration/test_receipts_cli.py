"""`gateway receipts …` and `gateway carrier id-rule` as operators and their scripts use them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import cli
from gateway.dlr.ids import FormerRule, IdForm, IdRule
from gateway.lifecycle import EventKind
from gateway.model import CarrierId
from gateway.store.id_pairs import fetch_id_pairs
from gateway.store.id_rules import adopt_id_rules, fetch_id_rules
from gateway.store.postgres import Database
from gateway.store.unmatched import AskedAgain, ask_again, count_left, fetch_taken

Run = Callable[..., Awaitable[Result]]

SETTINGS = """
[[carrier]]
name = "alpha"
host = "127.0.0.1"
system_id = "gw"
"""
HEX = IdRule(IdForm.HEX, IdForm.DECIMAL)


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command on this test's database, in a folder with settings of one carrier."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.toml").write_text(SETTINGS)

    async def run(*arguments: str, expect: int = 0) -> Result:
        # In a thread, because the command has a loop of its own.
        result = await asyncio.to_thread(CliRunner().invoke, cli, list(arguments))
        assert result.exit_code == expect, result.output
        return result

    return run


@pytest.fixture
async def carriers(database: Database) -> dict[str, CarrierId]:
    rows = await database.pool.fetch(
        "INSERT INTO carriers (name) VALUES ('alpha'), ('beta') RETURNING id, name"
    )
    return {row["name"]: CarrierId(row["id"]) for row in rows}


async def park(
    database: Database, carrier_id: int, raw: str, *, recipient: str = "", at: float = 0.0
) -> None:
    await database.pool.execute(
        "INSERT INTO parked_receipts (carrier_id, carrier_message_id, received_at, segment_status,"
        " code, error, raw_id, recipient) VALUES ($1, lower($2), $3, 11, 5, '027', $2, $4)",
        *(carrier_id, raw, at or time.time(), recipient),
    )


# ── gateway receipts ─────────────────────────────────────────────────────────────────────────


async def test_unmatched_receipts_are_listed_and_counted(
    run: Run, database: Database, carriers: dict[str, CarrierId]
) -> None:
    await park(database, carriers["alpha"], "0A1B", recipient="447400123456", at=1_790_000_000.0)
    await park(database, carriers["beta"], "77")
    await database.pool.execute("UPDATE parked_receipts SET given_up = true WHERE raw_id = '77'")
    result = await run("receipts", "unmatched")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["2026-09-21", "14:13:20Z", "alpha", "0A1B"] == rows[-1][:4]
    assert rows[-1][4:] == ["447400123456", "undelivered", "027", "parked"]
    assert rows[-2][-1] == "unmatched"
    assert "alpha: 1 parked, 0 unmatched" in result.stderr
    assert "beta: 0 parked, 1 unmatched" in result.stderr
    listed = json.loads((await run("receipts", "unmatched", "--carrier", "beta", "--json")).stdout)
    assert [r["id"] for r in listed["receipts"]] == ["77"]
    assert listed["counts"] == [{"carrier": "beta", "parked": 0, "unmatched": 1}]


async def test_an_unknown_carrier_is_named(run: Run, database: Database) -> None:
    result = await run("receipts", "unmatched", "--carrier", "gamma", expect=1)
    assert "no carrier 'gamma' was ever served" in result.stderr
    result = await run("carrier", "id-rule", "gamma", expect=1)
    assert "the settings have no carrier 'gamma'" in result.stderr


async def test_asking_without_a_gateway_says_that_nothing_was_tried(
    run: Run, database: Database, carriers: dict[str, CarrierId]
) -> None:
    await park(database, carriers["alpha"], "1")
    result = await run("receipts", "rematch")
    assert result.stdout == "0 of 1 receipts matched\n"
    assert "1 not tried yet; no gateway runs: its next start does" in result.stderr


async def test_what_was_asked_for_is_taken_step_by_step_and_once(
    database: Database, carriers: dict[str, CarrierId], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.unmatched.ASKED_ROWS_MAX", 2)
    monkeypatch.setattr("gateway.store.unmatched.TAKEN_MAX", 2)
    for number in range(5):
        await park(database, carriers["alpha"], str(number))
    await park(database, carriers["beta"], "other")
    asked = await ask_again(database, carriers["alpha"])
    assert (asked.count, await count_left(database, asked)) == (5, (5, 5))
    side = AskedAgain(database)
    taken = []
    while await side.take():
        async with database.acquire() as connection:
            found = await fetch_taken(connection, side.carriers)
        taken.append([receipt.raw_id for receipt in found])
        await side.settle()
    assert taken == [["0", "1"], ["2", "3"], ["4"]]
    assert await count_left(database, asked) == (0, 5)


async def test_what_a_killed_gateway_had_taken_is_taken_again(
    database: Database, carriers: dict[str, CarrierId]
) -> None:
    await park(database, carriers["alpha"], "1")
    await ask_again(database)
    assert await AskedAgain(database).take() == 1
    assert await AskedAgain(database).take() == 1


async def test_each_node_tries_what_came_for_its_own_carriers(
    database: Database, carriers: dict[str, CarrierId]
) -> None:
    await park(database, carriers["alpha"], "1")
    await park(database, carriers["beta"], "2")
    asked = await ask_again(database)
    first, second, third = [
        AskedAgain(database, owned.__contains__)
        for owned in ({carriers["alpha"]}, {carriers["beta"]}, {CarrierId(99)})
    ]
    assert [await each.take() for each in (first, second, third)] == [1, 1, 0]
    await first.settle()
    assert await count_left(database, asked) == (1, 2)
    await second.settle()
    assert await count_left(database, asked) == (0, 2)


# ── gateway carrier id-rule ──────────────────────────────────────────────────────────────────


async def test_a_rule_is_proposed_from_pairs_on_the_command_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("response,receipt\n1B90,7056\n\nabc,xyz\n")
    pairs = ("--pair", "1B8E", "7054", "--pair", "1b8f", "7055", "--csv", str(file))
    result = await run("carrier", "id-rule", "alpha", *pairs)
    lines = result.stdout.splitlines()
    proposed = 'ids = { response = "hex", receipt = "decimal" }'
    assert lines[0].endswith(
        'ids = { response = "string", receipt = "string" }: explains 0 of 4 pairs'
    )
    assert lines[1].endswith(f"{proposed}: explains 3 of 4 pairs")
    assert lines[-1] == proposed
    assert any(line.split() == ["abc", "xyz"] for line in lines)
    told = json.loads((await run("carrier", "id-rule", "alpha", *pairs, "--json")).stdout)
    assert told["unexplained"] == [{"response": "abc", "receipt": "xyz"}]
    assert (told["pairs"], told["proposed"]["explained"], told["toml"]) == (4, 3, proposed)


async def test_what_is_proposed_can_be_set(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(
        SETTINGS + 'ids = { response = "string", receipt = "string", strip_zeros = true }\n'
    )
    told = json.loads(
        (await run("carrier", "id-rule", "alpha", "--pair", "001g", "1G", "--json")).stdout
    )
    assert told["present"] == told["proposed"]
    assert told["toml"].endswith("strip_zeros = true }")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("1,2\n1,2,3\n", "line 2 has 3 columns"), (None, "can't read"), (b"\xff", "can't read")],
)
async def test_a_file_that_holds_no_pairs_is_refused(
    run: Run, tmp_path: Path, content: str | bytes | None, sentence: str
) -> None:
    file = tmp_path / "pairs.csv"
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    result = await run("carrier", "id-rule", "alpha", "--csv", str(file), expect=1)
    assert sentence in result.stderr


async def test_no_pairs_is_said_and_so_is_no_rule(
    run: Run, database: Database, carriers: dict[str, CarrierId]
) -> None:
    result = await run("carrier", "id-rule", "alpha")
    assert "No receipt of alpha waits" in result.stdout
    result = await run("carrier", "id-rule", "alpha", "--pair", "abc", "xyz")
    assert "none explains any of them" in result.stdout


async def test_pairs_are_made_by_number_and_time_where_nothing_is_ambiguous(
    database: Database,
    carriers: dict[str, CarrierId],
    make_account: Any,
    put_message: Any,
    put_event: Any,
) -> None:
    """Receipts after a submission to their number, with and without its prefix; left out: two
    submissions to one number, two receipts for one, and one that came too late."""
    alpha, now = carriers["alpha"], time.time()
    await adopt_id_rules(database, {alpha: IdRule(IdForm.HEX, IdForm.STRING)}, now - 1000)
    account = await make_account("shop")
    for number, stored, age in (
        ("447400000001", "7054", 60), ("447400000002", "7055", 60), ("447400000003", "7056", 60),
        ("447400000003", "7057", 50), ("447400000004", "7058", 60), ("447400000005", "7059", 999),
    ):  # fmt: skip
        at = now - age
        message_id = await put_message(account, at=at, recipient=number)
        columns = {"carrier_id": alpha, "carrier_message_id": stored, "at": at}
        await put_event(account, message_id, EventKind.SUBMITTED, **columns)
    for number, raw in (
        ("447400000001", "7054"), ("+44 7400 000002", "7055"), ("447400000003", "7056"),
        ("447400000004", "7058"), ("447400000004", "7099"), ("447400000005", "7059"),
        ("447400000009", "1"),
    ):  # fmt: skip
        await park(database, alpha, raw, recipient=number, at=now)
    assert await fetch_id_pairs(database, alpha) == [("1b8f", "7055"), ("1b8e", "7054")]


# ── which rule held when ─────────────────────────────────────────────────────────────────────


async def test_rules_are_noted_as_they_change(
    database: Database, carriers: dict[str, CarrierId]
) -> None:
    alpha, beta = carriers["alpha"], carriers["beta"]
    plain = IdRule()
    assert await adopt_id_rules(database, {alpha: plain, beta: HEX}, 10.0) == {alpha: (), beta: ()}
    assert await adopt_id_rules(database, {alpha: plain}, 20.0) == {alpha: ()}
    former = FormerRule(plain, 0.0, 30.0)
    assert await adopt_id_rules(database, {alpha: HEX, beta: HEX}, 30.0) == {
        alpha: (former,), beta: (),
    }  # fmt: skip
    # Receipts read in another way change nothing of what was stored.
    same_form = IdRule(IdForm.HEX, IdForm.HEX)
    assert (await adopt_id_rules(database, {alpha: same_form}, 40.0))[alpha] == (former,)
    assert await fetch_id_rules(database, alpha) == [(0.0, plain), (30.0, HEX), (40.0, same_form)]
    back = await adopt_id_rules(database, {alpha: plain}, 50.0)
    assert back[alpha] == (FormerRule(same_form, 40.0, 50.0), FormerRule(HEX, 30.0, 40.0))
