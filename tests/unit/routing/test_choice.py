"""Who comes first: in turn, by cost, by sender; always the same for the same."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.model import CarrierId, Micros
from gateway.routing.choice import (
    ROTA_TURNS_MAX,
    Choose,
    Ring,
    Rota,
    build_rota,
    order_by_cost,
    order_by_sender,
)

A, B, C = (CarrierId(n) for n in (1, 2, 3))


def turns(rota: Rota, count: int) -> list[tuple[CarrierId, ...]]:
    taken = []
    for _ in range(count):
        taken.append(rota.present())
        rota.advance()
    return taken


def test_carriers_in_turn_are_followed_by_the_others_in_their_order() -> None:
    rota = build_rota(Choose.ROUND_ROBIN, (A, B, C), ())
    assert rota is not None
    assert turns(rota, 4) == [(A, B, C), (B, A, C), (C, A, B), (A, B, C)]


def test_weights_are_kept_exactly_and_spread() -> None:
    rota = build_rota(Choose.WEIGHTS, (A, B, C), (5, 1, 1))
    assert rota is not None
    assert [order[0] for order in turns(rota, 7)] == [A, A, B, A, C, A, A]
    assert rota.share(A) == pytest.approx(5 / 7)


def test_a_carrier_of_no_weight_only_takes_over() -> None:
    rota = Rota((A, B), (0, 3))
    assert turns(rota, 3) == [(B, A)] * 3
    assert rota.share(A) == 0


def test_looking_takes_no_turn() -> None:
    rota = Rota((A, B), (1, 1))
    assert rota.present() == rota.present() == (A, B)


def test_weights_with_a_common_divisor_are_as_good_as_small_ones() -> None:
    assert turns(Rota((A, B), (700, 300)), 10) == turns(Rota((A, B), (7, 3)), 10)
    assert turns(Rota((A, B), (10**9, 10**9)), 2) == [(A, B), (B, A)]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(any))
def test_every_cycle_has_each_carrier_as_often_as_its_weight_says(weights: list[int]) -> None:
    carriers = [CarrierId(n) for n in range(1, len(weights) + 1)]
    total = sum(weights)
    firsts = [order[0] for order in turns(Rota(carriers, weights), 2 * total)]
    counted = Counter(firsts)
    assert [counted[carrier] for carrier in carriers] == [2 * weight for weight in weights]
    for carrier, weight in zip(carriers, weights, strict=True):
        for end in range(1, 2 * total):  # never more than a turn ahead or behind its share
            assert abs(firsts[:end].count(carrier) - end * weight / total) <= len(weights)


@pytest.mark.parametrize(
    ("choose", "weights", "detail"),
    [
        (Choose.WEIGHTS, (), "2 carriers need as many weights, in their order"),
        (Choose.WEIGHTS, (1, 2, 3), "2 carriers need as many weights, in their order"),
        (Choose.WEIGHTS, (0, 0), "weights are 0 or more, and not all of them 0"),
        (Choose.WEIGHTS, (-1, 2), "weights are 0 or more, and not all of them 0"),
        (
            Choose.WEIGHTS,
            (1, ROTA_TURNS_MAX),
            "these add up to 1001 turns; 1000 at most (use rounder ones)",
        ),
        (Choose.ORDER, (1, 1), 'goes with choose = "weights" alone'),
        (Choose.ROUND_ROBIN, (1, 1), 'goes with choose = "weights" alone'),
    ],
)
def test_weights_that_cannot_be_used_are_named(
    choose: Choose, weights: tuple[int, ...], detail: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_rota(choose, (A, B), weights, "route[1]")
    assert (caught.value.key, caught.value.detail) == ("route[1].weights", detail)


@pytest.mark.parametrize("choose", [Choose.ORDER, Choose.LEAST_COST, Choose.STICKY_SENDER])
def test_who_does_not_take_turns_has_no_rota(choose: Choose) -> None:
    assert build_rota(choose, (A, B), ()) is None


def test_the_cheapest_comes_first_and_unknown_costs_last() -> None:
    costs = {A: None, B: Micros(300), C: Micros(200)}
    assert order_by_cost((A, B, C), costs.get) == (C, B, A)
    assert order_by_cost((B, A, C), {B: Micros(1), C: Micros(1)}.get) == (B, C, A)
    assert order_by_cost((A, B), lambda carrier: None) == (A, B)


def test_a_sender_stays_with_its_carrier_and_senders_are_spread() -> None:
    senders = [f"Shop {n}" for n in range(300)]
    orders = {s: order_by_sender((A, B, C), ("a", "b", "c"), s) for s in senders}
    assert orders == {s: order_by_sender((A, B, C), ("a", "b", "c"), s) for s in senders}
    assert all(set(order) == {A, B, C} for order in orders.values())
    assert min(Counter(order[0] for order in orders.values()).values()) > 60


def test_a_carrier_taken_out_moves_only_its_own_senders() -> None:
    for number in range(100):
        sender = f"Shop {number}"
        before = order_by_sender((A, B, C), ("a", "b", "c"), sender)
        after = order_by_sender((A, C), ("a", "c"), sender)
        assert after == tuple(carrier for carrier in before if carrier != B)


def test_the_order_of_the_settings_does_not_matter_to_a_sender() -> None:
    assert order_by_sender((A, B), ("a", "b"), "Shop") == order_by_sender(
        (B, A), ("b", "a"), "Shop"
    )


def test_a_key_keeps_its_choice_and_keys_are_spread() -> None:
    pool = [f"1202555010{n}" for n in range(5)]
    keys = [f"1212555{n:04}" for n in range(1_000)]
    ring, same = Ring(pool), Ring(pool[::-1])
    picked = {key: ring.pick(key) for key in keys}
    assert picked == {key: same.pick(key) for key in keys}
    assert min(Counter(picked.values()).values()) > 100
    assert len(set(picked.values())) == 5


def test_a_choice_taken_out_moves_only_its_own_keys() -> None:
    pool = [f"1202555010{n}" for n in range(5)]
    ring, less = Ring(pool), Ring(pool[1:])
    keys = [f"1212555{n:04}" for n in range(500)]
    assert all(ring.pick(k) == less.pick(k) for k in keys if ring.pick(k) != pool[0])


def test_a_pool_has_a_bound() -> None:
    with pytest.raises(ConfigError, match="at most 1,000 members"):
        Ring([str(n) for n in range(1_001)])
