"""Nobody is kept who takes more than the price leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import CarrierId, Micros
from gateway.routing.margins import Floor, Removed, keep_affordable

A, B, C = (CarrierId(n) for n in (1, 2, 3))
COSTS = {A: Micros(4_000), B: Micros(8_000)}


@pytest.mark.parametrize(
    ("price", "floor", "kept"),
    [
        (7_500, Floor(), (A, C)),
        (8_000, Floor(), (A, B, C)),
        (3_999, Floor(), (C,)),
        (7_500, Floor(unknown_refused=True), (A,)),
        (8_000, Floor(margin_min_micros=Micros(1)), (A, C)),
        (7_500, Floor(margin_min_micros=Micros(-500)), (A, B, C)),
    ],
)
def test_a_carrier_stays_that_leaves_enough(
    price: int, floor: Floor, kept: tuple[CarrierId, ...]
) -> None:
    affordable = keep_affordable((A, B, C), Micros(price), COSTS.get, floor)
    assert affordable.carriers == kept
    assert {r.carrier for r in affordable.removed} == {A, B, C} - set(kept)


def test_who_is_removed_is_told_with_its_cost() -> None:
    affordable = keep_affordable((B, C), Micros(1), COSTS.get, Floor(unknown_refused=True))
    assert affordable.carriers == ()
    assert affordable.removed == (Removed(B, Micros(8_000)), Removed(C, None))


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 50)), max_size=6),
    st.integers(0, 50),
    st.integers(-10, 10),
    st.booleans(),
)
def test_no_known_cost_ever_passes_the_floor(
    costs: list[int | None], price: int, margin: int, unknown_refused: bool
) -> None:
    carriers = [CarrierId(n) for n in range(len(costs))]
    known = {
        c: None if cost is None else Micros(cost) for c, cost in zip(carriers, costs, strict=True)
    }
    floor = Floor(margin_min_micros=Micros(margin), unknown_refused=unknown_refused)
    affordable = keep_affordable(carriers, Micros(price), known.get, floor)
    for carrier in affordable.carriers:
        cost = known[carrier]
        assert not unknown_refused if cost is None else price - cost >= margin
    for removed in affordable.removed:
        cost = removed.cost_micros
        assert unknown_refused if cost is None else price - cost < margin
    order = [c for c in carriers if c in affordable.carriers]
    assert list(affordable.carriers) == order
    assert len(affordable.carriers) + len(affordable.removed) == len(carriers)
