"""What `gateway nodes` shows, from what the database says of nodes and leases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.cli.nodes import NodesView, build_view
from gateway.lease import TTL_S
from gateway.model import CarrierId
from gateway.nodes.leases import Board, LeaseRow, NodeRow
from gateway.store.settings import NodeInfo, NodeReport

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ALPHA, BETA = CarrierId(1), CarrierId(2)
KNOWN = {ALPHA: "alpha", BETA: "beta"}


def row(node: int, **changes: Any) -> NodeRow:
    given: dict[str, Any] = {"claimed": True, "ready": True, "left_s": 3.2, "age_s": 60.0}
    return NodeRow(node=node, epoch=5, place=f"gw:{node}", **given | changes)


def info(node: int, *, age_s: float = 59.0, **report: Any) -> NodeInfo:
    started_at = NOW - timedelta(seconds=age_s)
    return NodeInfo(node=node, started_at=started_at, version=7, report=NodeReport(**report))


def lease(name: str, node: int | None = None, epoch: int | None = 5) -> LeaseRow:
    return LeaseRow(name=name, node=node, epoch=None if node is None else epoch)


def view(
    rows: Sequence[NodeRow],
    leases: Sequence[LeaseRow] = (),
    infos: Sequence[NodeInfo] = (),
    configured: Sequence[str] | None = ("alpha", "beta"),
) -> NodesView:
    board = Board({each.node: each for each in rows}, {each.name: each for each in leases})
    return build_view(board, KNOWN, configured, infos, NOW)


def test_a_node_is_shown_with_what_it_has() -> None:
    leases = [lease("carrier:2", 1), lease("carrier:1", 1), lease("duty:books", 1)]
    (shown,) = view([row(1)], leases, [info(1, pages="127.0.0.1:8090")]).nodes
    assert (shown.node, shown.state, shown.process, shown.settings) == (1, "ready", "gw:1", 7)
    assert (shown.carriers, shown.duties) == (["alpha", "beta"], ["books"])
    assert (shown.since, shown.pages) == (NOW - timedelta(seconds=60), "127.0.0.1:8090")
    assert shown.heard_s == pytest.approx(TTL_S - 3.2)


@pytest.mark.parametrize(
    ("changes", "infos", "state"),
    [
        ({"ready": False, "left_s": 25.0, "age_s": 5.0}, [], "starting"),
        ({"ready": False}, [info(1)], "stopping"),
        ({"ready": False}, [info(1, age_s=61.0)], "starting"),  # a former claim's word
        ({"left_s": -0.1}, [info(1)], "silent"),
    ],
)
def test_states_tell_apart_who_comes_goes_and_is_not_heard(
    changes: dict[str, Any], infos: list[NodeInfo], state: str
) -> None:
    (shown,) = view([row(1, **changes)], infos=infos).nodes
    assert shown.state == state
    if changes.get("age_s") == 5.0:
        assert shown.heard_s == 5.0


def test_who_has_given_up_its_number_is_not_shown() -> None:
    assert view([row(0, claimed=False)], [lease("carrier:1", 0)]).nodes == []


@pytest.mark.parametrize(
    "leases",
    [
        [],
        [lease("carrier:2")],
        [lease("carrier:2", 1, epoch=4)],  # of an epoch that has ended
        [lease("carrier:2", 3)],  # of a node that nobody knows any more
    ],
)
def test_carriers_of_nobody_are_named(leases: list[LeaseRow]) -> None:
    shown = view([row(1)], [lease("carrier:1", 1), *leases])
    assert shown.carriers_of_nobody == ["beta"]


def test_a_carrier_that_was_taken_out_of_the_settings_is_missed_by_nobody() -> None:
    leases = [lease("carrier:1", 1), lease("carrier:2"), lease("duty:emails")]
    shown = view([row(1)], leases, configured=["alpha"])
    assert (shown.carriers_of_nobody, shown.duties_of_nobody) == ([], ["emails"])


def test_without_applied_settings_every_carrier_that_was_had_counts() -> None:
    leases = [lease("carrier:1", 1), lease("carrier:2")]
    assert view([row(1)], leases, configured=None).carriers_of_nobody == ["beta"]
