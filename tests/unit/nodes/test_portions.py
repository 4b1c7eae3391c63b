"""How nodes divide an account's ceiling."""

from __future__ import annotations

import random

import pytest

from gateway.nodes.portions import Part, choose_share, share_out


@pytest.mark.parametrize(
    ("needs", "shares"),
    [
        ({0: 1.0}, {0: 1.0}),
        ({0: 1.0, 1: 1.0}, {0: 0.5, 1: 0.5}),
        ({0: 1.0, 1: 0.25}, {0: 0.75, 1: 0.25}),
        ({0: 0.25, 1: 0.25}, {0: 0.5, 1: 0.5}),
        ({0: 1.0, 1: 0.0}, {0: 1.0, 1: 0.0}),
        ({0: 1.0, 1: 1.0, 2: 0.2}, {0: 0.4, 1: 0.4, 2: 0.2}),
    ],
)
def test_who_needs_less_leaves_the_rest_to_others(
    needs: dict[int, float], shares: dict[int, float]
) -> None:
    assert share_out(needs) == pytest.approx(shares)


def test_a_node_alone_has_all_of_it() -> None:
    assert choose_share(3, {3: Part(0.0, 0.0)}) == 1.0
    assert choose_share(3, {3: Part(0.5, 1.0)}) == 1.0


def test_who_has_too_much_comes_down_before_another_goes_up() -> None:
    before = {0: Part(1.0, 1.0), 1: Part(0.0, 1.0)}
    assert choose_share(1, before) == pytest.approx(0.0, abs=1e-6)
    assert choose_share(0, before) == 0.5
    after = {0: Part(0.5, 1.0), 1: Part(0.0, 1.0)}
    assert choose_share(1, after) == pytest.approx(0.5)


def test_without_need_nothing_moves() -> None:
    parts = {0: Part(1.0, 0.0), 1: Part(0.0, 0.0)}
    assert (choose_share(0, parts), choose_share(1, parts)) == (1.0, 0.0)


def test_nodes_that_come_go_and_want_never_have_more_than_one_together_and_settle() -> None:
    chance = random.Random(7)
    for _ in range(200):
        parts: dict[int, Part] = {}
        for _ in range(60):
            node = chance.randrange(4)
            if node in parts and chance.random() < 0.1:
                del parts[node]  # its claim has ended
                continue
            need = chance.choice((0.0, 0.125, 0.5, 1.0))
            parts[node] = Part(parts[node].share if node in parts else 0.0, need)
            parts[node] = Part(choose_share(node, parts), need)
            assert sum(part.share for part in parts.values()) <= 1.0
        if any(part.need for part in parts.values()):
            for _ in range(2):
                for node in parts:
                    parts[node] = Part(choose_share(node, parts), parts[node].need)
            assert sum(part.share for part in parts.values()) == pytest.approx(1.0)
