"""Carriers that fall silent, slow down, or stop delivering: avoided where there is another."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gateway.lifecycle import Status

Operators = Callable[..., Awaitable[list[Any]]]
Settings = Callable[..., str]

QUICK = "[[rule]]\nlatency = 0.005\n"
SLOW = "[[rule]]\nlatency = 1.0\n"
SILENT = '[[rule]]\nsilence_share = 1.0\nunanswered = "lost"\n'
DEAD = '[[rule]]\nlatency = 0.005\nreceipts = [{ state = "UNDELIV", share = 1.0 }]\n'


def health_of(node: Any, name: str = "alpha") -> tuple[str, str]:
    views = {view.name: view for view in node.gateway.parts.condition.carriers()}
    return views[name].health, views[name].health_reason


def changes(node: Any, state: str, reason: str) -> float:
    labels = {"carrier": "alpha", "state": state, "reason": reason}
    families = text_string_to_metric_families(node.gateway.metrics.render().decode())
    samples = (sample for family in families for sample in family.samples)
    name = "gateway_carrier_health_changes_total"
    return sum(each.value for each in samples if (each.name, each.labels) == (name, labels))


async def test_a_carrier_that_stops_delivering_is_avoided_and_tried_again(
    node: Any, operators: Operators, settings: Settings
) -> None:
    alpha, beta = await operators(QUICK, QUICK)
    keys = (
        "[carrier.health]\nreceipts_share = 0.5\nreceipts_min = 30\nreceipts_window_s = 1.0\n"
        "receipts_pause_s = 1.0\nreceipts_trials = 5"
    )
    both = {"alpha": alpha, "beta": beta}
    await node.start(settings(both, [["alpha", "beta"]], alpha=keys))
    load = node.load()
    await load.reach(60)
    await node.until(lambda: len(alpha.came) >= 60)
    assert beta.came == []
    await load.reach(200)  # a second and more: what was so far is the past
    alpha.follow('identity = "content"\n' + DEAD)
    await node.until(lambda: health_of(node) == ("open", "undelivered"))
    came = len(alpha.came)
    rows = json.loads((await node.run("carrier", "list", "--json")).stdout)
    assert "alpha" in [row["name"] for row in rows]
    await node.until(lambda: len(beta.came) >= 50)
    assert len(alpha.came) - came < 100, "trials, at most"
    alpha.follow('identity = "content"\n' + QUICK)
    await node.until(lambda: health_of(node) == ("closed", ""))
    came = len(alpha.came)
    await node.until(lambda: len(alpha.came) > came + 20)
    accepted = await load.stop()
    ended = await node.until_final()
    assert set(ended) == {Status.DELIVERED, Status.UNDELIVERED}
    assert sum(ended.values()) == len(accepted)
    assert Counter(alpha.recipients + beta.recipients) == Counter(accepted)
    assert changes(node, "open", "undelivered") >= 1
    assert changes(node, "closed", "recovered") == 1


async def test_a_carrier_that_falls_silent_loses_what_waits_and_keeps_what_is_in_flight(
    node: Any, operators: Operators, settings: Settings
) -> None:
    alpha, beta = await operators(SILENT, QUICK)
    keys = "response_timeout_s = 4.0\n[carrier.health]\nsilent_s = 1.0\npause_first_s = 60.0"
    both = {"alpha": alpha, "beta": beta}
    await node.start(settings(both, [["alpha", "beta"]], alpha=keys))
    recipients = [f"4474005550{number:02d}" for number in range(40)]
    for to in recipients:
        await node.post(to)
    await node.until(lambda: len(beta.came) == 30)
    assert health_of(node) == ("open", "silent")
    assert len(alpha.came) == 10, "a window"
    assert Counter(alpha.recipients + beta.recipients) == Counter(recipients)
    # Given up by their session's timer, those of the window take the other way as well.
    assert await node.until_final() == {Status.DELIVERED: 40}
    assert sorted(beta.recipients) == recipients
    await node.check_money()


async def test_a_slow_carrier_is_avoided_where_there_is_another_and_only_there(
    node: Any, operators: Operators, settings: Settings
) -> None:
    alpha, beta = await operators(SLOW, QUICK)
    keys = (
        "window_size = 50\n[carrier.health]\nslow_s = 0.3\noutcomes_min = 5\npause_first_s = 60.0"
    )
    both = {"alpha": alpha, "beta": beta}
    own = '\n[[route]]\ncarriers = ["alpha"]\nprefixes = ["4475"]\n'
    await node.start(settings(both, [["alpha", "beta"]], alpha=keys) + own)
    for number in range(10):
        await node.post(f"44740055501{number}")
    await node.until(lambda: health_of(node) == ("open", "slow"))
    await node.post("447400666000")
    await node.post("447500666000")
    assert await node.until_final() == {Status.DELIVERED: 12}
    assert beta.recipients == ["447400666000"]
    assert "447500666000" in alpha.recipients
