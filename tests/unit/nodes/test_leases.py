"""Who takes what, from what the database says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.ids import NODE_MAX
from gateway.nodes.leases import (
    Board,
    Changes,
    Ended,
    LeaseRow,
    NodeRow,
    Shares,
    Wanted,
    choose_changes,
    choose_number,
    find_ended,
    share_out,
)

CARRIERS = [f"carrier:{number}" for number in range(1, 7)]


def node(number: int, *, epoch: int = 1, left_s: float = 3.0, **fields: object) -> NodeRow:
    given: dict[str, object] = {"claimed": True, "ready": True, "process": f"p{number}", **fields}
    return NodeRow(node=number, epoch=epoch, left_s=left_s, **given)  # type: ignore[arg-type]


def board(nodes: list[NodeRow], owners: Mapping[str, int | None]) -> Board:
    return Board(
        {each.node: each for each in nodes},
        {
            name: LeaseRow(name=name, node=owner, epoch=None if owner is None else 1)
            for name, owner in owners.items()
        },
    )


def nobody_gone(process: str) -> bool:
    return False


def step(nodes: list[NodeRow], owners: dict[str, int | None], names: list[str]) -> bool:
    """Let every node act once on the same board; say whether anything changed."""
    seen = board(nodes, owners)
    changed = False
    for each in nodes:
        shares = share_out(seen, each.node, [names], settled=True)
        for name in shares.take:
            assert owners[name] is None, "two nodes took one lease"
            owners[name] = each.node
        for name in shares.give_up:
            owners[name] = None
        changed = changed or shares != Shares([], [])
    return changed


def test_the_lowest_free_number_is_claimed() -> None:
    assert choose_number([], nobody_gone) == Ended(0, 0, gone=False)
    assert choose_number([node(0), node(1)], nobody_gone) == Ended(2, 0, gone=False)
    assert choose_number([node(0, claimed=False, epoch=7)], nobody_gone) == Ended(0, 7, gone=False)


def test_a_number_is_free_once_its_time_is_over_or_its_process_is_gone() -> None:
    expired = [node(0, left_s=-0.1, epoch=4)]
    assert choose_number(expired, nobody_gone) == Ended(0, 4, gone=False)
    assert choose_number([node(0, epoch=4)], lambda process: process == "p0") == Ended(0, 4, True)


def test_numbers_run_out() -> None:
    with pytest.raises(ValueError, match="1024"):
        choose_number([node(number) for number in range(NODE_MAX + 1)], nobody_gone)


def test_only_what_is_over_is_ended_and_never_oneself() -> None:
    seen = board([node(0, left_s=-1), node(1, left_s=-1), node(2), node(3, claimed=False)], {})
    assert find_ended(seen, 0, nobody_gone) == [Ended(1, 1, gone=False)]
    assert find_ended(seen, 0, lambda process: process == "p2") == [
        Ended(1, 1, gone=False),
        Ended(2, 1, gone=True),
    ]


def test_who_was_cut_off_itself_ends_only_what_is_known_to_be_gone() -> None:
    seen = board([node(0, left_s=-1), node(1, left_s=-1), node(2)], {})
    assert find_ended(seen, 0, nobody_gone, lenient=True) == []
    ended = find_ended(seen, 0, lambda process: process == "p2", lenient=True)
    assert ended == [Ended(2, 1, gone=True)]


def test_a_lease_of_an_epoch_that_has_ended_is_nobodys() -> None:
    seen = board([node(0, epoch=2)], {"carrier:1": 0})
    assert seen.owner_of(seen.leases["carrier:1"]) is None


def test_one_node_takes_everything() -> None:
    owners: dict[str, int | None] = dict.fromkeys(CARRIERS)
    assert share_out(board([node(0)], owners), 0, [CARRIERS], settled=False).take == CARRIERS


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_free_carriers_are_shared_out_at_once_and_none_twice(count: int) -> None:
    nodes = [node(number) for number in range(count)]
    owners: dict[str, int | None] = dict.fromkeys(CARRIERS)
    step(nodes, owners, CARRIERS)
    held = [list(owners.values()).count(number) for number in range(count)]
    assert sum(held) == len(CARRIERS)
    assert max(held) - min(held) <= 1


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_carriers_move_to_nodes_that_join_until_none_has_two_more_and_then_stay(count: int) -> None:
    nodes = [node(number) for number in range(count)]
    owners: dict[str, int | None] = dict.fromkeys(CARRIERS, 0)
    steps = 0
    while step(nodes, owners, CARRIERS):
        steps += 1
        assert list(owners.values()).count(None) <= 1, "one at a time"
        assert steps < 50
    held = [list(owners.values()).count(number) for number in range(count)]
    assert max(held) - min(held) <= 1


def test_nothing_moves_before_the_nodes_have_settled() -> None:
    seen = board([node(0), node(1)], dict.fromkeys(CARRIERS, 0))
    assert share_out(seen, 0, [CARRIERS], settled=False) == Shares([], [])
    assert share_out(seen, 0, [CARRIERS], settled=True).give_up == [CARRIERS[-1]]


def test_a_node_that_starts_or_stops_or_has_expired_gets_nothing() -> None:
    for other in (node(1, ready=False), node(1, left_s=-0.5), node(1, claimed=False)):
        seen = board([node(0), other], dict.fromkeys(CARRIERS))
        assert share_out(seen, 0, [CARRIERS], settled=True).take == CARRIERS
        assert share_out(seen, 1, [CARRIERS], settled=True) == Shares([], [])


def test_what_the_next_in_turn_leaves_lying_is_taken_by_anybody() -> None:
    owners: dict[str, int | None] = {"carrier:1": 0, "carrier:2": None}
    nodes = [node(0), node(1)]
    assert share_out(board(nodes, owners), 0, [list(owners)], settled=True).take == []
    shares = share_out(board(nodes, owners), 0, [list(owners)], settled=True, overdue={"carrier:2"})
    assert shares.take == ["carrier:2"]


def test_groups_begin_with_different_nodes() -> None:
    names = ["carrier:1", "duty:a", "duty:b"]
    seen = board([node(0), node(1)], dict.fromkeys(names))
    groups = [["carrier:1"], ["duty:a"], ["duty:b"]]
    assert share_out(seen, 0, groups, settled=True).take == ["carrier:1", "duty:b"]
    assert share_out(seen, 1, groups, settled=True).take == ["duty:a"]


def test_what_was_taken_without_an_answer_is_taken_again() -> None:
    seen = board([node(0), node(1)], {"carrier:1": 0, "carrier:2": 0, "carrier:3": 1, "other": 0})
    wanted = {"carriers": Wanted(["carrier:1", "carrier:2", "carrier:3"], True)}
    changes = choose_changes(seen, 0, wanted, {"carrier:1"}, settled=True)
    assert changes == Changes({"carrier:2": "carriers"}, [])


def test_what_is_wanted_no_more_is_given_up_and_what_nobody_shares_is_only_for_who_wants_it() -> (
    None
):
    seen = board([node(0), node(1)], {"carrier:1": 0, "mine": None, "taken": 1})
    wanted = {"own": Wanted(["mine", "taken"], False)}
    changes = choose_changes(seen, 0, wanted, {"carrier:1"}, settled=True)
    assert changes == Changes({"mine": "own"}, ["carrier:1"])
