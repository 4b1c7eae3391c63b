"""Which line of a list decides: operator before prefix, then lane, date and volume."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credit.costs import NO_COSTS, Costs
from gateway.credit.rates import AMOUNT_MICROS_MAX, Rate, RateTable
from gateway.errors import ConfigError
from gateway.model import CarrierId, Lane, Micros

GERMAN = "4915112345678"
FRENCH = "33612345678"
JANUARY, MARCH = 1_767_225_600, 1_772_323_200


def rate(micros: int | None, **named: object) -> Rate:
    return Rate(micros=None if micros is None else Micros(micros), **named)  # type: ignore[arg-type]


def found(
    table: RateTable,
    e164: str = GERMAN,
    operator: str = "",
    lane: Lane | None = Lane.OTP,
    at_s: int = MARCH,
    segments: int = 0,
) -> int | None:
    line = table.find(e164, operator, lane, at_s, lambda: segments)
    return None if line is None else line.micros


def test_the_longest_prefix_decides_and_the_empty_one_takes_the_rest() -> None:
    table = RateTable([rate(1), rate(2, prefix="49"), rate(3, prefix="49151")])
    assert found(table) == 3
    assert found(table, "4917012345678") == 2
    assert found(table, FRENCH) == 1


def test_nothing_is_found_where_no_line_holds() -> None:
    assert found(RateTable([]), FRENCH) is None
    assert found(RateTable([rate(1, prefix="49")]), FRENCH) is None


def test_an_operator_goes_before_every_prefix() -> None:
    table = RateTable([rate(1, prefix="4915112345678"), rate(2, operator="26202")])
    assert found(table, operator="26202") == 2
    assert found(table, operator="26201") == 1
    assert found(table, operator="") == 1


def test_a_lane_of_its_own_goes_before_all_lanes_of_the_same_prefix_only() -> None:
    table = RateTable(
        [rate(1, prefix="49"), rate(9, prefix="49", lane=Lane.OTP), rate(2, prefix="49151")]
    )
    assert found(table, "4917012345678", lane=Lane.OTP) == 9
    assert found(table, "4917012345678", lane=Lane.MARKETING) == 1
    assert found(table, lane=Lane.OTP) == 2


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [(JANUARY - 1, 1), (JANUARY, 2), (MARCH - 1, 2), (MARCH, 3), (MARCH + 10**9, 3)],
)
def test_the_line_that_began_last_decides(at_s: int, expected: int) -> None:
    lines = [rate(3, since_s=MARCH), rate(1), rate(2, since_s=JANUARY)]
    assert found(RateTable(lines), at_s=at_s) == expected


def test_before_a_prefix_has_a_line_that_holds_the_shorter_one_decides() -> None:
    table = RateTable([rate(1, prefix="49"), rate(2, prefix="49151", since_s=MARCH)])
    assert found(table, at_s=MARCH - 1) == 1
    assert found(table, at_s=MARCH) == 2


@pytest.mark.parametrize(
    ("segments", "expected"),
    [(0, 5), (9_999, 5), (10_000, 4), (99_999, 4), (100_000, 3), (10**12, 3)],
)
def test_the_highest_tier_that_is_reached_decides(segments: int, expected: int) -> None:
    tiers = [rate(3, segments_from=100_000), rate(5), rate(4, segments_from=10_000)]
    assert found(RateTable(tiers), segments=segments) == expected


def test_the_volume_is_asked_for_once_and_only_among_tiers() -> None:
    asked: list[int] = []

    def volume() -> int:
        asked.append(1)
        return 0

    table = RateTable(
        [
            rate(1),
            rate(2, prefix="49", segments_from=10),
            rate(3, prefix="49", segments_from=20),
            rate(4, prefix="49"),
        ]
    )
    assert table.tiered
    table.find(FRENCH, "", None, MARCH, volume)
    assert asked == []
    table.find(GERMAN, "", None, MARCH, volume)
    assert asked == [1]


def test_a_line_may_say_that_nothing_is_sold() -> None:
    line = RateTable([rate(1), rate(None, prefix="49")]).find(GERMAN, "", None, MARCH)
    assert line is not None
    assert line.micros is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([rate(1, prefix="049")], "not the beginning of a number"),
        ([rate(1, prefix="+49")], "not the beginning of a number"),
        ([rate(1, prefix="4" * 16)], "not the beginning of a number"),
        ([rate(1, prefix="٤٩")], "not the beginning of a number"),
        ([rate(1, operator="2620")], "no operator"),
        ([rate(1, operator="2620123")], "no operator"),
        ([rate(1, operator="26201", prefix="49")], "not for both"),
        ([rate(-1)], "out of range"),
        ([rate(AMOUNT_MICROS_MAX + 1)], "out of range"),
        ([rate(1, segments_from=-1), rate(2)], "begins at 0"),
        ([rate(1, where="a"), rate(2, where="b")], "says again"),
        ([rate(1, lane=Lane.OTP), rate(1, lane=Lane.OTP)], "says again"),
        ([rate(1, segments_from=10)], "no line beside it from the first"),
        ([rate(1), rate(2, segments_from=10, since_s=MARCH)], "no line beside it from the first"),
        ([rate(1), rate(2, segments_from=10, lane=Lane.OTP)], "no line beside it from the first"),
    ],
)
def test_a_line_that_can_not_hold_is_refused(lines: list[Rate], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RateTable(lines)


_LINES = st.builds(
    lambda micros, place, lane, since_s, segments_from: Rate(
        micros=Micros(micros),
        prefix=place if len(place) < 5 else "",
        operator=place if len(place) == 5 else "",
        lane=lane,
        since_s=since_s,
        segments_from=segments_from,
    ),
    st.integers(0, 10**6),
    st.sampled_from(["", "4", "49", "491", "26201", "26202"]),
    st.sampled_from([None, *Lane]),
    st.sampled_from([0, 10, 20]),
    st.sampled_from([0, 100, 200]),
)


def _key(line: Rate) -> tuple[object, ...]:
    return line.prefix, line.operator, line.lane, line.since_s, line.segments_from


@given(
    st.lists(_LINES, unique_by=_key, max_size=30),
    st.sampled_from(["49151", "49", "4", "33"]),
    st.sampled_from(["", "26201", "26299"]),
    st.sampled_from([None, *Lane]),
    st.integers(0, 30),
    st.integers(0, 300),
)
def test_any_list_decides_as_a_plain_reading_of_the_rules(
    lines: list[Rate], e164: str, operator: str, lane: Lane | None, at_s: int, segments: int
) -> None:
    bases = {_key(line)[:4] for line in lines if not line.segments_from}
    lines = [line for line in lines if _key(line)[:4] in bases]
    table = RateTable(lines)
    holding = [
        line
        for line in lines
        if (line.operator == operator if line.operator else e164.startswith(line.prefix))
        and line.lane in (None, lane)
        and line.since_s <= at_s
        and line.segments_from <= segments
    ]
    best: Callable[[Rate], tuple[object, ...]] = lambda line: (  # noqa: E731
        line.operator != "",
        len(line.prefix),
        line.lane is not None,
        line.since_s,
        line.segments_from,
    )
    expected = max(holding, key=best, default=None)
    assert table.find(e164, operator, lane, at_s, lambda: segments) is expected


def test_costs_are_each_carriers_own() -> None:
    alpha, beta, gamma = CarrierId(1), CarrierId(2), CarrierId(3)
    costs = Costs(
        {
            alpha: RateTable([rate(10), rate(7, prefix="49"), rate(5, operator="26202")]),
            beta: RateTable([rate(6, prefix="49", since_s=MARCH)]),
        }
    )
    assert costs.cost(alpha, GERMAN, "", MARCH) == 7
    assert costs.cost(alpha, GERMAN, "26202", MARCH) == 5
    assert costs.cost(alpha, FRENCH, "", MARCH) == 10
    assert costs.cost(beta, GERMAN, "", MARCH) == 6
    assert costs.cost(beta, GERMAN, "", MARCH - 1) is None
    assert costs.cost(beta, FRENCH, "", MARCH) is None
    assert costs.cost(gamma, GERMAN, "", MARCH) is None
    assert costs
    assert not NO_COSTS
