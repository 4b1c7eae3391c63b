"""Settings that are applied while messages flow: nothing is lost, doubled, or sent too fast."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.lifecycle import Status
from gateway.store.carriers import list_carriers
from gateway.store.settings import NodeInfo, apply_settings, list_nodes, list_versions

Operators = Callable[..., Awaitable[list[Any]]]
Settings = Callable[..., str]

QUICK = "[[rule]]\nlatency = 0.005\n"


async def test_carriers_come_change_and_go_under_load(
    node: Any, operators: Operators, settings: Settings
) -> None:
    alpha, beta = await operators(QUICK, QUICK)
    await node.start(settings({"alpha": alpha}, [["alpha"]], alpha="rate_per_s = 200"))
    node.note_leaving()
    load = node.load()
    await load.reach(100)

    said = await node.apply(
        settings({"alpha": alpha, "beta": beta}, [["alpha", "beta"]], alpha="rate_per_s = 200")
    )
    assert [change["where"] for change in said["changes"]] == [
        *("carrier beta", "route for all else"),
    ]
    assert said["so"] and said["version"] == 2
    await load.reach(100)

    said = await node.apply(
        settings({"alpha": alpha, "beta": beta}, [["alpha", "beta"]], alpha="rate_per_s = 40")
    )
    slower_since = asyncio.get_running_loop().time()
    assert said["so"] and said["version"] == 3
    await load.reach(200)
    await asyncio.sleep(1.0)

    said = await node.apply(settings({"beta": beta}, [["beta"]], beta="window_size = 50"))
    assert said["so"] and said["version"] == 4
    left_alpha = len(alpha.came)
    await load.reach(200)
    accepted = await load.stop()

    assert await node.until_final() == {Status.DELIVERED: len(accepted)}
    assert Counter(alpha.recipients + beta.recipients) == Counter(accepted)
    assert len(alpha.came) == left_alpha, "nothing leaves for a carrier that is taken out"
    assert alpha.stats["binds"] | {"lost": 0, "open": 0} == alpha.stats["binds"]
    assert node.busiest_second("alpha") <= 201
    assert 30 <= node.busiest_second("alpha", slower_since) <= 41
    await node.check_money()


async def test_sessions_are_exchanged_one_after_another(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    binds = "[[carrier.binds]]\ncount = 3"
    await node.start(settings({"alpha": alpha}, [["alpha"]], alpha=binds))
    await node.until(lambda: alpha.stats["binds"]["open"] == 3)
    load = node.load()
    await load.reach(50)
    watching = asyncio.create_task(_fewest_open(alpha))
    said = await node.apply(
        settings({"alpha": alpha}, [["alpha"]], alpha=f'password = "new"\n{binds}')
    )
    fewest = await _stop(watching)
    assert [change["new"] for change in said["changes"]] == ["•••"]
    await load.reach(50)
    accepted = await load.stop()
    assert await node.until_final() == {Status.DELIVERED: len(accepted)}
    assert Counter(alpha.recipients) == Counter(accepted)
    assert fewest == 2
    assert alpha.stats["binds"]["unbound"] == 3 and alpha.stats["binds"]["lost"] == 0
    assert alpha.stats["binds"]["open"] == 3


async def _fewest_open(operator: Any) -> int:
    fewest = 100
    try:
        while True:
            fewest = min(fewest, operator.stats["binds"]["open"])
            await asyncio.sleep(0.001)
    except asyncio.CancelledError:
        return fewest


async def _stop(watching: asyncio.Task[int]) -> int:
    watching.cancel()
    return await watching


ACCOUNT = '[[account]]\nsystem_id = "us"\npassword = "right"\n'


async def test_settings_that_a_carrier_refuses_cost_one_session(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK + ACCOUNT)
    binds = "[[carrier.binds]]\ncount = 2"
    right = settings({"alpha": alpha}, [["alpha"]], alpha=f'password = "right"\n{binds}')
    wrong = settings({"alpha": alpha}, [["alpha"]], alpha=f'password = "wrong"\n{binds}')
    await node.start(right)
    await node.until(lambda: alpha.stats["binds"]["open"] == 2)
    said = await node.apply(wrong, "--wait", "1", expect=1)
    assert said["nodes"][0]["version"] == 2 and not said["so"]
    assert said["nodes"][0]["under_way"] == [
        "alpha: 0 of 2 sessions are as they are to be, alpha/1 is not bound"
    ]
    await node.post("447400123456")
    assert await node.until_final() == {Status.DELIVERED: 1}
    said = await node.apply(right)
    assert said["so"]
    await node.until(lambda: alpha.stats["binds"]["open"] == 2)
    assert node.gateway.parts.condition.carriers()[0].state == "up"


async def test_more_and_fewer_sessions(node: Any, operators: Operators, settings: Settings) -> None:
    (alpha,) = await operators(QUICK)
    await node.start(settings({"alpha": alpha}, [["alpha"]]))
    for count in (3, 1):
        binds = f"window_size = {count * 7}\n[[carrier.binds]]\ncount = {count}"
        assert (await node.apply(settings({"alpha": alpha}, [["alpha"]], alpha=binds)))["so"]
        await node.until(lambda count=count: alpha.stats["binds"]["open"] == count)
        view = node.gateway.parts.condition.carriers()[0]
        assert (view.binds, view.window_size) == (count, count * count * 7)
    assert alpha.stats["binds"]["bound"] == 3, "those that were right stayed"


async def test_texts_change_their_form_between_two_answers(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    await node.start(settings({"alpha": alpha}, [["alpha"]], alpha='long = "udh"'))
    text = "long " * 60
    load = node.load(text=text)
    await load.reach(60)
    for long in ("payload", "sar", "udh"):
        keys = f'long = "{long}"\nlost = "hold"\nwindow_size = 50'
        assert (await node.apply(settings({"alpha": alpha}, [["alpha"]], alpha=keys)))["so"]
        await load.reach(60)
    accepted = await load.stop()
    assert await node.until_final() == {Status.DELIVERED: len(accepted)}
    parts = Counter(alpha.recipients)
    assert set(parts) == set(accepted)
    assert set(parts.values()) == {1, 2}, "whole, or in both of its parts"
    await node.check_money()


async def test_what_waits_for_a_carrier_that_goes_takes_the_new_routes(
    node: Any, operators: Operators, settings: Settings
) -> None:
    alpha, beta = await operators(QUICK, QUICK)
    await node.start(settings({"alpha": alpha}, [["alpha"]], alpha="rate_per_s = 1"))
    recipients = [f"4474005550{number:02d}" for number in range(20)]
    for to in recipients:
        await node.post(to)
    assert (await node.apply(settings({"beta": beta}, [["beta"]])))["so"]
    assert await node.until_final() == {Status.DELIVERED: 20}
    assert sorted(alpha.recipients + beta.recipients) == recipients
    assert len(beta.came) >= 15
    # The carrier comes back under its name, and is another one.
    both = settings({"alpha": alpha, "beta": beta}, [["alpha"]], alpha="rate_per_s = 100")
    assert (await node.apply(both))["so"]
    await node.post("447400666000")
    await node.until(lambda: "447400666000" in alpha.recipients)


async def test_routes_prices_and_limits_hold_for_the_next_message(
    node: Any, operators: Operators, settings: Settings
) -> None:
    alpha, beta = await operators(QUICK, QUICK)
    both = {"alpha": alpha, "beta": beta}
    await node.start(settings(both, [["alpha"]]))
    await node.post("447400123456")
    prices = '[[price]]\nprice = "0.5"\n[messages]\nvalidity_max_s = 60\nvalidity_s = 60\n'
    said = await node.apply(settings(both, [["beta"]], prices))
    assert said["so"]
    message_id = await node.post("447400123457")
    await node.until_final()
    assert (alpha.recipients, beta.recipients) == (["447400123456"], ["447400123457"])
    async with node.database.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT price_micros, expires_at FROM messages WHERE id = $1", int(message_id)
        )
        since = await connection.fetchval("SELECT extract(epoch FROM now())")
    assert row["price_micros"] == 500_000
    assert row["expires_at"] < float(since) + 61


async def test_what_another_release_has_applied_is_left_to_its_own_nodes(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    text = settings({"alpha": alpha}, [["alpha"]])
    await node.start(text)
    tree = tomllib.loads(text) | {"messages": {"of_the_next_release": 1}}
    async with node.database.acquire() as connection:
        await connection.execute(
            "INSERT INTO settings VALUES (2, now(), 'me', 'a test', $1, NULL, '9.9.9/9999')",
            json.dumps(tree),
        )
    watch = node.gateway.parts.watch
    await node.until(lambda: watch._passed_over == 2)
    assert (await node.info()).version == 1
    assert [each.refused for each in await list_versions(node.database)] == ["", ""]
    tree["messages"] = {"validity_s": 600}
    await apply_settings(node.database, tree, base=2, author="me", source="a test")

    async def has_the_third() -> bool:
        info: NodeInfo = await node.info()
        return info.version == 3

    await node.until(has_the_third)


# ── what is refused ──────────────────────────────────────────────────────────────────────────


async def test_accounts_are_not_left_without_a_route_unless_told(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    await node.start(settings({"alpha": alpha}, [["alpha"]]))
    await node.run("account", "create", "bank")
    only_bank = settings({"alpha": alpha}, []) + '\n[[route]]\ncarriers = ["alpha"]\n'
    only_bank += 'accounts = ["bank"]\n'
    file = node.folder / "gateway.toml"
    file.write_text(only_bank)
    refused = await node.run("apply", file, "--yes", expect=2)
    assert "account shop would have no route at all" in refused.output
    assert "--leave-without-route" in refused.output
    assert (await node.run("config", "versions", "--json")).stdout.count("version") == 1
    said = await node.apply(only_bank, "--leave-without-route")
    assert said["so"] and [loss["account"] for loss in said["losses"]] == ["shop"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[route]]\ncarriers = ['nobody']", "no carrier 'nobody'"),
        ("[[route]]\ncarriers = ['alpha']\naccounts = ['x']", "there is no account 'x'"),
        ("[nodee]", "unknown key"),
    ],
)
async def test_a_file_that_can_not_be_used_changes_nothing(
    node: Any, operators: Operators, settings: Settings, text: str, sentence: str
) -> None:
    (alpha,) = await operators(QUICK)
    good = settings({"alpha": alpha}, [["alpha"]])
    await node.start(good)
    file = node.folder / "gateway.toml"
    file.write_text(f"{good}\n{text}\n")
    refused = await node.run("apply", file, "--yes", expect=2)
    assert sentence in refused.output


async def test_what_the_node_can_not_use_it_refuses_and_goes_on(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    good = settings({"alpha": alpha}, [["alpha"]])
    await node.start(good)
    secret = settings({"alpha": alpha}, [["alpha"]], alpha='password = "env:NOT_HERE"')
    said = await node.apply(secret, expect=1)
    assert said["refused"] == "carrier.alpha.password: the environment has no NOT_HERE"
    await node.post("447400123456")
    assert await node.until_final() == {Status.DELIVERED: 1}
    said = await node.apply(settings({"alpha": alpha}, [["alpha"]], alpha="rate_per_s = 9"))
    assert said["so"] and said["version"] == 3
    assert [change["key"] for change in said["changes"]] == ["rate_per_s"], "against what runs"


async def test_nothing_happens_without_a_difference_a_word_or_a_terminal(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    text = settings({"alpha": alpha}, [["alpha"]])
    await node.start(text)
    file = node.folder / "gateway.toml"
    file.write_text(text)
    assert "Nothing is different" in (await node.run("apply", file)).output
    file.write_text(text.replace("port = 0", "port = 8099").replace("[[route]]", "[[route]]"))
    dry = await node.run("apply", file, "--dry-run")
    assert "~ http port: 0 → 8099 (at the next start)" in dry.output
    assert "nobody is there to ask" in (await node.run("apply", file, expect=2)).output
    assert (await node.info()).version == 1


async def test_settings_that_wait_for_a_start_are_named(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    text = settings({"alpha": alpha}, [["alpha"]])
    await node.start(text)
    said = await node.apply(text.replace("port = 0", "port = 8099"))
    assert said["so"]
    assert said["nodes"][0]["at_start"] == ["http.port"]
    assert node.gateway.port != 8099


# ── starts, and what a node hears ────────────────────────────────────────────────────────────


async def test_the_file_wins_at_a_start_and_without_one_what_was_applied_holds(
    node: Any, operators: Operators, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    alpha, beta = await operators(QUICK, QUICK)
    first = settings({"alpha": alpha}, [["alpha"]])
    await node.start(first)
    applied = settings({"alpha": alpha, "beta": beta}, [["beta"]])
    await node.apply(applied)
    await node.stop()

    await node.start(None)
    assert [line.name for line in node.gateway.parts.lines.values()] == ["alpha", "beta"]
    assert (await node.info()).version == 2
    await node.stop()
    assert await list_nodes(node.database) == []

    await node.start(first)
    assert [line.name for line in node.gateway.parts.lines.values()] == ["alpha"]
    assert (await node.info()).version == 3
    assert "settings_file_wins" in capfd.readouterr().out
    table = (await node.run("config", "versions")).stdout
    assert "start /etc/gateway.toml" in table and "node 0" in table
    await node.stop()

    await node.start(first)
    assert (await node.info()).version == 3, "the same file is the same version"


async def test_a_node_hears_of_settings_though_its_connection_broke(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    await node.start(settings({"alpha": alpha}, [["alpha"]]))
    async with node.database.acquire() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'gateway settings'"
        )
    changed = settings({"alpha": alpha}, [["alpha"]], alpha="rate_per_s = 9")
    assert (await node.apply(changed))["so"]


async def test_a_node_with_settings_of_its_own_follows_no_others(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    text = settings({"alpha": alpha}, [["alpha"]])
    await node.start(text, live=False)
    said = await node.apply(settings({}, []))
    assert said["nodes"][0]["follows"] is False
    await node.post("447400123456")
    assert await node.until_final() == {Status.DELIVERED: 1}
    assert [each.name for each in await list_carriers(node.database)] == ["alpha"]


async def test_without_a_gateway_settings_wait_for_a_start_without_a_file(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    file = node.folder / "gateway.toml"
    file.write_text(settings({"alpha": alpha}, [["alpha"]]))
    said = await node.run("apply", file, "--yes")
    assert "version 1 is stored; no gateway runs on this database" in said.output
    await node.start(None)
    await node.post("447400123456")
    assert await node.until_final() == {Status.DELIVERED: 1}


async def test_files_that_settings_name_are_read_anew_on_demand(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    secret = node.folder / "secret"
    secret.write_text("one\n")
    text = settings({"alpha": alpha}, [["alpha"]], alpha=f'password = "file:{secret}"')
    await node.start(text)
    await node.until(lambda: alpha.stats["binds"]["bound"] == 1)
    secret.write_text("two\n")
    assert (await node.apply(text))["version"] == 0
    said = await node.apply(text, "--again")
    assert said["so"] and said["changes"] == []
    assert alpha.stats["binds"] | {"bound": 2, "unbound": 1} == alpha.stats["binds"]


async def test_what_waits_in_one_alphabet_is_not_lost_to_another(
    node: Any, operators: Operators, settings: Settings
) -> None:
    (alpha,) = await operators(QUICK)
    await node.start(settings({"alpha": alpha}, [["alpha"]], alpha="rate_per_s = 1"))
    for number in range(6):
        await node.post(f"44740055500{number}", text="x" * 150)
    said = await node.apply(settings({"alpha": alpha}, [["alpha"]], alpha='alphabet = "latin-1"'))
    assert said["so"]
    assert await node.until_final() == {Status.DELIVERED: 6}
    assert len(alpha.came) == 6
