"""What is made of what other nodes say of themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.model import AccountId, CarrierId, Lane
from gateway.nodes.sight import Sight
from gateway.store.settings import FullQueue, NodeInfo, NodeReport
from gateway.views import CarrierView

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SHOP = AccountId(7)


def view(name: str, state: str) -> CarrierView:
    return CarrierView(
        name=name,
        binds=1,
        bound=int(state == "up"),
        window_size=10,
        in_flight=0,
        waiting=0,
        rate_per_s=0.0,
        state=state,
    )


def node(number: int, **said: Any) -> NodeInfo:
    return NodeInfo(node=number, started_at=NOON, version=1, report=NodeReport(**said))


def test_an_accounts_binds_at_all_other_nodes_count() -> None:
    sight = Sight()
    assert sight.binds_of(SHOP) == 0
    sight.see([node(1, binds={SHOP: 2}), node(2, binds={SHOP: 1, 8: 5}), node(3)])
    assert sight.binds_of(SHOP) == 3
    sight.see([])
    assert sight.binds_of(SHOP) == 0


def test_a_carrier_is_shown_as_its_node_sees_it() -> None:
    sight = Sight()
    here = [view("alpha", "up"), view("beta", "elsewhere"), view("gamma", "elsewhere")]
    assert sight.carriers(here) == here
    sight.see([node(1, carriers=[view("beta", "up"), view("alpha", "down")])])
    assert [each.state for each in sight.carriers(here)] == ["up", "up", "elsewhere"]


def test_a_queue_that_is_full_elsewhere_is_known_here() -> None:
    sight = Sight()
    assert sight.full_queues() == {}
    sight.see([node(1, full=[FullQueue(2, Lane.MARKETING, 4.5)]), node(2)])
    assert sight.full_queues() == {(CarrierId(2), Lane.MARKETING): 4.5}


def test_whoever_joins_hears_of_each_claim_apart() -> None:
    sight = Sight()
    heard: list[set[str]] = []
    sight.join(lambda reports: heard.append(set(reports)))
    sight.see([node(1), node(2)])
    again = NodeInfo(node=1, started_at=NOON.replace(hour=13), version=1, report=NodeReport())
    sight.see([again])
    assert len(heard[0]) == 2
    assert not heard[0] & heard[1]
