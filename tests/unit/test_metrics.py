"""Metrics: their names, their bounds, and that the boards and alerts use only what exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import Distribution, Metrics
from gateway.model import Lane

ROOT = Path(__file__).parents[2]
RULES = ROOT / "ops/prometheus/gateway.rules.yml"
BOARD = ROOT / "ops/grafana/gateway.json"
RUNBOOK = ROOT / "ops/runbook.md"


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of a node on which everything has happened once."""
    made = Metrics()
    made.accepted(Lane.OTP, 2, 3)
    made.rejected("no_credit")
    made.answered("/v1/messages", 202, 0.004)
    made.credit_moved("EUR", reserved=75, posted=50, voided=25)
    made.balances_fell_low(1)
    made.tls.watch_ends({"http.tls.cert_file": 100.0}, lambda: 30.0)
    made.watch_low_balances(lambda: 1)
    for commits in (made.intake_commits, made.outcome_commits):
        commits.committed(500, 0.003)
        commits.failed()
    carrier = made.carrier("alpha")
    carrier.submitted("ESME_ROK", 3)
    carrier.received("delivered")
    carrier.receipts_parked()
    carrier.receipts_unmatched()
    carrier.receipts_duplicate()
    carrier.bind_lost("timeout")
    carrier.held_back("rate", 2.5)
    carrier.inbound.received(partial=True, unowned=True, unreadable=False)
    carrier.inbound.repeated()
    carrier.inbound.watch(lambda: 5)
    carrier.response_seconds.observe(0.03)
    carrier.receipt_seconds.observe(3.0)
    carrier.watch(
        binds=lambda: 2,
        bound=lambda: 1,
        window_size=lambda: 20,
        in_flight=lambda: 7,
        drained=lambda: 1,
        health=lambda: 2,
        owned=lambda: 1,
    )
    made.node.watch(number=lambda: 3, epoch=lambda: 7)
    made.node.took_over()
    carrier.watch_lane(Lane.OTP, waiting=lambda: 4, oldest_age_s=lambda: 1.5)
    carrier.health_changed("open", "slow")
    made.settings.applied()
    made.settings.refused()
    made.settings.watch(lambda: 3)
    made.webhooks.delivered(10)
    made.webhooks.failed(2)
    made.webhooks.dead(1)
    made.webhooks.call_seconds.observe(0.2)
    made.webhooks.watch(pending=lambda: 5, oldest_age_s=lambda: 60)
    for outcome in made.email.OUTCOMES:
        made.email.count(outcome)
    made.email.seconds.observe(0.3)
    made.email.watch(due=lambda: 3, oldest_age_s=lambda: 30)
    made.email.watch_server(lambda: 1)
    made.upstream.bind_refused("credentials")
    made.upstream.session_ended("peer_unbound")
    made.upstream.submitted("ESME_ROK", 3)
    made.upstream.submit_seconds.observe(0.01)
    made.upstream.delivered("delivered", 2)
    made.upstream.connection_refused("full")
    made.upstream.sent_up(3)
    made.upstream.delivery_answered("ESME_ROK")
    made.upstream.watch(
        connections=lambda: 3, accounts=lambda: 2, binds=lambda mode: len(mode), held=lambda: 4
    )
    for word in ("bound", "none"):
        made.upstream.watch_waiting(word, waiting=lambda: 9, oldest_age_s=lambda: 7.5)
    made.watch(
        database_up=lambda: 1, tasks=lambda: 9, intake_waiting=lambda: 3, outcomes_waiting=lambda: 2
    )
    return made


def samples_of(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value_of(metrics: Metrics, name: str, **labels: str) -> float:
    return samples_of(metrics)[name, tuple(sorted(labels.items()))]


def test_counts_are_told_as_counts(metrics: Metrics) -> None:
    assert value_of(metrics, "gateway_messages_accepted_total", lane="otp") == 2
    assert value_of(metrics, "gateway_segments_accepted_total", lane="otp") == 3
    assert value_of(metrics, "gateway_submissions_total", carrier="alpha", status="ESME_ROK") == 3
    assert value_of(metrics, "gateway_credit_micros_total", move="posted", currency="EUR") == 50


def test_a_lane_without_messages_is_zero_and_not_absent() -> None:
    assert value_of(Metrics(), "gateway_messages_accepted_total", lane="marketing") == 0


def test_gauges_are_read_when_asked(metrics: Metrics) -> None:
    waiting = [4.0]
    metrics.carrier("alpha").watch_lane(
        Lane.OTP, waiting=lambda: waiting[0], oldest_age_s=lambda: 0
    )
    waiting[0] = 11.0
    assert value_of(metrics, "gateway_queue_messages", carrier="alpha", lane="otp") == 11


def test_a_gauge_whose_owner_fails_is_nan_and_the_rest_is_shown(metrics: Metrics) -> None:
    def fail() -> float:
        raise RuntimeError("the pool is closed")

    metrics.webhooks.watch(pending=fail, oldest_age_s=lambda: 7)

    pending = value_of(metrics, "gateway_webhook_events_pending")
    assert pending != pending
    assert value_of(metrics, "gateway_webhook_oldest_age_seconds") == 7


def test_a_histogram_is_cumulative_and_its_bounds_are_inclusive() -> None:
    metrics = Metrics()
    for seconds in (0.05, 0.05, 0.051, 100.0):
        metrics.carrier("alpha").response_seconds.observe(seconds)

    def below(bound: str) -> float:
        return value_of(metrics, "gateway_response_seconds_bucket", carrier="alpha", le=bound)

    assert [below(bound) for bound in ("0.025", "0.05", "0.1", "60.0", "+Inf")] == [0, 2, 3, 3, 4]
    assert value_of(metrics, "gateway_response_seconds_count", carrier="alpha") == 4
    total = value_of(metrics, "gateway_response_seconds_sum", carrier="alpha")
    assert total == pytest.approx(100.151)


def test_a_distribution_counts_every_value_once() -> None:
    child = Distribution((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 9.0):
        child.observe(value)
    assert child.counts == [2, 2, 1]
    assert child.total == 13.5


def test_answers_are_counted_by_route_and_class_of_status() -> None:
    metrics = Metrics()
    for status in (202, 200, 404):
        metrics.answered("/v1/messages/{id}", status, 0.001)
    name, route = "gateway_http_request_seconds_count", "/v1/messages/{id}"
    assert value_of(metrics, name, route=route, status="2xx") == 2
    assert value_of(metrics, name, route=route, status="4xx") == 1


def test_a_carrier_that_invents_statuses_does_not_fill_the_memory() -> None:
    metrics = Metrics()
    for number in range(10_000):
        metrics.carrier("alpha").submitted(hex(number))
    statuses = [key for key in samples_of(metrics) if key[0] == "gateway_submissions_total"]
    assert len(statuses) == 65
    other = value_of(metrics, "gateway_submissions_total", carrier="alpha", status="other")
    assert other == 10_000 - 64


def test_the_same_carrier_is_the_same_object(metrics: Metrics) -> None:
    assert metrics.carrier("alpha") is metrics.carrier("alpha")
    assert metrics.carrier("alpha") is not metrics.carrier("beta")


def test_customers_binds_are_counted_by_mode(metrics: Metrics) -> None:
    assert value_of(metrics, "gateway_upstream_binds", mode="receiver") == len("receiver")
    assert value_of(metrics, "gateway_upstream_deliveries_total", outcome="delivered") == 2
    assert value_of(metrics, "gateway_upstream_deliveries_total", outcome="given_up") == 0


def test_connections_that_are_closed_unheard_are_no_refused_binds(metrics: Metrics) -> None:
    name = "gateway_upstream_connections_refused_total"
    assert {word: value_of(metrics, name, reason=word) for word in metrics.upstream.UNHEARD} == {
        "full": 1,
        "unbound": 0,
        "tls": 0,
    }
    assert value_of(metrics, "gateway_upstream_binds_refused_total", reason="credentials") == 1


def test_statuses_of_customers_answers_are_bounded(metrics: Metrics) -> None:
    for number in range(1_000):
        metrics.upstream.delivery_answered(f"0x{number:08X}")
    name = "gateway_upstream_delivery_answers_total"
    assert sum(family == name for family, _ in samples_of(metrics)) < 100
    assert value_of(metrics, name, status="other") > 900


def test_what_customers_are_refused_counts_with_all_other_refusals(metrics: Metrics) -> None:
    metrics.upstream.rejected("no_credit")
    assert value_of(metrics, "gateway_rejections_total", code="no_credit") == 2


def test_two_nodes_in_one_process_share_nothing(metrics: Metrics) -> None:
    assert value_of(Metrics(), "gateway_messages_accepted_total", lane="otp") == 0


def test_names_follow_the_rules(metrics: Metrics) -> None:
    families = list(text_string_to_metric_families(metrics.render().decode()))
    for family in families:
        assert family.name.startswith(("gateway_", "process_")), family.name
        assert family.documentation
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
    labels = {label for _, pairs in samples_of(metrics) for label, _ in pairs}
    assert labels <= {
        *("carrier", "compiled", "lane", "status", "state", "oddity", "reason", "code", "route"),
        *(
            "by",
            "writer",
            "move",
            "currency",
            "outcome",
            "mode",
            "receivers",
            "version",
            "python",
            "setting",
            "le",
        ),
    }


def expressions_in_board(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"expr", "query"} and isinstance(value, str):
                yield value
            yield from expressions_in_board(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions_in_board(value)


def test_boards_and_alerts_use_only_names_that_exist(metrics: Metrics) -> None:
    known = {name for name, _ in samples_of(metrics)}
    board = "\n".join(expressions_in_board(json.loads(BOARD.read_text())))
    for text in (RULES.read_text(), board):
        used = set(re.findall(r"\b(?:gateway|process)_[a-z_]+", text))
        assert len(used) > 10
        assert used - known == set()


def test_every_metric_is_on_the_board(metrics: Metrics) -> None:
    board = "\n".join(expressions_in_board(json.loads(BOARD.read_text())))
    names = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name, _ in samples_of(metrics)
        if name.startswith("gateway_")
    }
    assert [name for name in sorted(names) if name not in board] == []


def test_every_panel_of_the_board_has_an_id_and_a_place_of_its_own() -> None:
    panels = json.loads(BOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)


def test_every_alert_has_its_paragraph_in_the_runbook() -> None:
    headings = {
        re.sub(r"[^a-z0-9]", "", line.lower())
        for line in RUNBOOK.read_text().splitlines()
        if line.startswith("#")
    }
    anchors = re.findall(r"ops/runbook\.md#(\w+)", RULES.read_text())
    assert len(anchors) == len(re.findall(r"- alert:", RULES.read_text()))
    assert set(anchors) - headings == set()


def test_what_is_left_of_a_certificate_is_read_when_asked(metrics: Metrics) -> None:
    name = "gateway_certificate_left_seconds"
    assert value_of(metrics, name, setting="http.tls.cert_file") == 70
    metrics.tls.watch_ends({}, lambda: 30.0)
    assert not [key for key in samples_of(metrics) if key[0] == name]


def test_a_carrier_that_is_gone_has_no_gauges_and_keeps_its_counts(metrics: Metrics) -> None:
    for lane in Lane:
        metrics.carrier("alpha").watch_lane(lane, waiting=lambda: 1, oldest_age_s=lambda: 1)
    metrics.carrier("alpha").unwatch()
    left = {name for name, labels in samples_of(metrics) if ("carrier", "alpha") in labels}
    assert not left & {"gateway_binds", "gateway_carrier_drained", "gateway_queue_messages"}
    assert "gateway_submissions_total" in left
