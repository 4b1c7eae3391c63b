"""Which route decides, and that the explanation tells the same story."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.model import AccountId, CarrierId, Encoding, Lane
from gateway.routing.conditions import CONDITIONS, Traits, conditions_of
from gateway.routing.hours import Hours, parse_hours
from gateway.routing.sender import Sender, SenderKind
from gateway.routing.table import Route, RouteTable
from gateway.routing.texts import TextClass, compile_pattern

ONE, TWO, THREE, FOUR = (CarrierId(n) for n in (1, 2, 3, 4))
SHOP, BANK = AccountId(10), AccountId(20)
A_NAME = Sender(SenderKind.NAME, "Shop")
MONDAY_NOON = 1_800_273_600.0  # 2027-01-18T12:00:00Z


def carriers(
    table: RouteTable, e164: str, country: str, account_id: AccountId
) -> tuple[CarrierId, ...]:
    """What both lookups of a plain table say; they never differ."""
    plain = table.find_plain(e164, country, account_id)
    full = table.find(traits(e164=e164, country=country, account_id=account_id))
    assert table.is_plain
    assert plain is full
    return plain.carriers if plain else ()


def traits(
    *,
    e164: str = "447400123456",
    country: str = "GB",
    operator: str = "",
    account_id: AccountId = SHOP,
    sender: Sender = A_NAME,
    text: str = "Hello",
    lane: Lane = Lane.TRANSACTIONAL,
    tag: str = "",
    at: float = MONDAY_NOON,
    size: tuple[Encoding, int] = (Encoding.GSM7, 1),
) -> Traits:
    return Traits(
        e164=e164,
        country=country,
        account_id=account_id,
        sender=sender,
        text=text,
        lane=lane,
        tag=tag,
        at=at,
        find_operator=lambda number: operator,
        measure=lambda: size,
    )


def decided_by(table: RouteTable, asked: Traits) -> str:
    route = table.find(asked)
    return route.name if route else ""


def test_the_longest_prefix_wins_then_the_country_then_the_default() -> None:
    table = RouteTable(
        [
            Route(carriers=(ONE,)),
            Route(carriers=(TWO,), countries=("GB",)),
            Route(carriers=(THREE,), prefixes=("44",)),
            Route(carriers=(FOUR, ONE), prefixes=("447400",)),
        ]
    )
    assert carriers(table, "447400123456", "GB", SHOP) == (FOUR, ONE)
    assert carriers(table, "447500123456", "GB", SHOP) == (THREE,)
    assert carriers(table, "39212345678", "GB", SHOP) == (TWO,)
    assert carriers(table, "33612345678", "FR", SHOP) == (ONE,)


def test_carriers_come_in_the_order_of_their_route() -> None:
    table = RouteTable([Route(carriers=(THREE, ONE, TWO))])
    assert carriers(table, "33612345678", "FR", SHOP) == (THREE, ONE, TWO)


def test_a_route_of_an_account_is_only_its_own_and_wins_over_everybodys() -> None:
    table = RouteTable(
        [
            Route(carriers=(ONE,), prefixes=("44",)),
            Route(carriers=(TWO,), prefixes=("44",), accounts=(BANK,)),
        ]
    )
    assert carriers(table, "447400123456", "GB", BANK) == (TWO,)
    assert carriers(table, "447400123456", "GB", SHOP) == (ONE,)


def test_a_longer_prefix_for_another_account_does_not_hide_a_shorter_one() -> None:
    table = RouteTable(
        [
            Route(carriers=(ONE,), prefixes=("44",)),
            Route(carriers=(TWO,), prefixes=("447400",), accounts=(BANK,)),
        ]
    )
    assert carriers(table, "447400123456", "GB", SHOP) == (ONE,)


def test_all_conditions_of_a_route_have_to_hold() -> None:
    table = RouteTable([Route(carriers=(ONE,), prefixes=("1",), countries=("CA",))])
    assert carriers(table, "12042345678", "CA", SHOP) == (ONE,)
    assert carriers(table, "12012345678", "US", SHOP) == ()
    assert carriers(table, "447400123456", "CA", SHOP) == ()


def test_a_number_without_a_country_takes_prefixes_and_the_default() -> None:
    table = RouteTable(
        [Route(carriers=(ONE,)), Route(carriers=(TWO,), prefixes=("882",))],
    )
    assert carriers(table, "8821688890000", "", SHOP) == (TWO,)
    assert carriers(table, "80012345678", "", SHOP) == (ONE,)


def test_no_route_gives_no_carrier() -> None:
    assert carriers(RouteTable([]), "447400123456", "GB", SHOP) == ()
    table = RouteTable([Route(carriers=(ONE,), prefixes=("33",))])
    assert carriers(table, "447400123456", "GB", SHOP) == ()
    assert carriers(table, "3", "", SHOP) == ()


@pytest.mark.parametrize(
    ("routes", "key"),
    [
        ([Route(carriers=())], "route[0].carriers"),
        ([Route(carriers=(ONE, ONE))], "route[0].carriers"),
        ([Route(carriers=(ONE,), prefixes=("+44",))], "route[0].prefixes"),
        ([Route(carriers=(ONE,), prefixes=("0044",))], "route[0].prefixes"),
        ([Route(carriers=(ONE,), prefixes=("",))], "route[0].prefixes"),
        ([Route(carriers=(ONE,), prefixes=("٤٤",))], "route[0].prefixes"),
        ([Route(carriers=(ONE,), prefixes=("4" * 16,))], "route[0].prefixes"),
        ([Route(carriers=(ONE,), countries=("gb",))], "route[0].countries"),
        ([Route(carriers=(ONE,), countries=("GBR",))], "route[0].countries"),
        ([Route(carriers=(ONE,)), Route(carriers=(TWO,))], "route[1]"),
        (
            [
                Route(carriers=(ONE,), prefixes=("44", "49")),
                Route(carriers=(TWO,), prefixes=("33", "44")),
            ],
            "route[1]",
        ),
    ],
)
def test_a_route_that_cannot_be_used_is_named(routes: list[Route], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RouteTable(routes)
    assert caught.value.key == key


def test_two_routes_that_decide_the_same_are_both_named() -> None:
    with pytest.raises(ConfigError, match=r"prefix 44, account 20 is decided by mobile already"):
        RouteTable(
            [
                Route(carriers=(ONE,), prefixes=("44",), accounts=(BANK,), name="mobile"),
                Route(carriers=(TWO,), prefixes=("44",), accounts=(SHOP, BANK)),
            ]
        )


def test_an_explanation_lists_every_route_from_the_most_specific_down() -> None:
    table = RouteTable(
        [
            Route(carriers=(ONE,), name="default"),
            Route(carriers=(TWO,), countries=("GB",), name="britain"),
            Route(carriers=(THREE,), prefixes=("4475",), name="other mobiles"),
            Route(carriers=(FOUR,), prefixes=("44",), accounts=(BANK,), name="bank"),
        ]
    )
    explanation = table.explain(traits())
    assert explanation.route is not None
    assert explanation.route.name == "britain"
    told = [(c.route, c.matched, c.why) for c in explanation.considered]
    assert told == [
        ("other mobiles", False, "the number begins with none of 4475"),
        ("bank", False, "the account is not named"),
        ("britain", True, "country GB is named"),
        ("default", True, "it takes everything; britain is more specific"),
    ]


def test_an_explanation_without_a_route_says_why_each_one_did_not_match() -> None:
    table = RouteTable([Route(carriers=(ONE,), countries=("GB", "IE"))])
    explanation = table.explain(traits(e164="8821688890000", country=""))
    assert explanation.route is None
    (considered,) = explanation.considered
    assert considered.route == "route[0]"
    assert considered.why == "country (none) is not among GB, IE"


# ── conditions beyond destination and account ─────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("condition", "met", "unmet"),
    [
        ({"operators": ("26201",)}, {"operator": "26201"}, {"operator": "26202"}),
        ({"operators": ("26201",)}, {"operator": "26201"}, {"operator": ""}),
        (
            {"senders": ("Shop",)},
            {},
            {"sender": Sender(SenderKind.NAME, "shop")},
        ),
        (
            {"sender_kinds": (SenderKind.SHORT_CODE,)},
            {"sender": Sender(SenderKind.SHORT_CODE, "40404")},
            {},
        ),
        ({"texts": (TextClass.URL,)}, {"text": "see www.shop.example"}, {"text": "see you"}),
        (
            {"pattern": compile_pattern("^Your"), "pattern_written": "^Your"},
            {"text": "Your order"},
            {"text": "our order"},
        ),
        ({"tags": ("spring", "fall")}, {"tag": "fall"}, {"tag": ""}),
        ({"lanes": (Lane.OTP,)}, {"lane": Lane.OTP}, {"lane": Lane.MARKETING}),
        (
            {"encodings": (Encoding.UCS2,)},
            {"size": (Encoding.UCS2, 1)},
            {"size": (Encoding.GSM7, 1)},
        ),
        ({"segments_min": 2}, {"size": (Encoding.GSM7, 2)}, {"size": (Encoding.GSM7, 1)}),
        ({"segments_max": 2}, {"size": (Encoding.GSM7, 2)}, {"size": (Encoding.GSM7, 3)}),
        (
            {"hours": parse_hours(["mon 08:00-18:00"], "Europe/London", "hours")},
            {},
            {"at": MONDAY_NOON + 86_400},
        ),
    ],
)
def test_each_condition_decides_and_is_told(
    condition: dict[str, Any], met: dict[str, Any], unmet: dict[str, Any]
) -> None:
    table = RouteTable(
        [Route(carriers=(ONE,), name="rest"), Route(carriers=(TWO,), name="special", **condition)]
    )
    assert not table.is_plain
    assert decided_by(table, traits(**met)) == "special"
    assert decided_by(table, traits(**unmet)) == "rest"
    special, rest = table.explain(traits(**met)).considered
    assert (special.route, special.matched, rest.matched) == ("special", True, True)
    assert rest.why == "it takes everything; special is more specific"
    special, rest = table.explain(traits(**unmet)).considered
    assert (special.matched, rest.matched) == (False, True)
    assert " not " in special.why


def test_the_rank_goes_before_everything() -> None:
    table = RouteTable(
        [
            Route(carriers=(ONE,), name="precise", prefixes=("447400",), accounts=(SHOP,)),
            Route(carriers=(TWO,), name="urgent", lanes=(Lane.OTP,), rank=1),
            Route(carriers=(THREE,), name="last", rank=-1),
        ]
    )
    assert decided_by(table, traits(lane=Lane.OTP)) == "urgent"
    assert decided_by(table, traits()) == "precise"
    assert decided_by(table, traits(e164="33612345678")) == "last"
    told = [(c.route, c.why) for c in table.explain(traits(lane=Lane.OTP)).considered]
    assert told[0] == ("urgent", "lane is otp")
    assert told[1][1].endswith("; urgent has a higher rank")


def test_the_order_of_specificity_is_the_documented_one() -> None:
    everything: list[tuple[str, dict[str, Any]]] = [
        ("operator", {"operators": ("23410",)}),
        ("country", {"countries": ("GB",)}),
        ("account", {"accounts": (SHOP,)}),
        ("sender", {"senders": ("Shop",)}),
        ("sender kind", {"sender_kinds": (SenderKind.NAME,)}),
        ("pattern", {"pattern": compile_pattern("."), "pattern_written": "."}),
        ("text", {"texts": (TextClass.OTP,)}),
        ("tag", {"tags": ("spring",)}),
        ("lane", {"lanes": (Lane.TRANSACTIONAL,)}),
        ("encoding", {"encodings": (Encoding.GSM7,)}),
        ("segments", {"segments_max": 1}),
        ("hours", {"hours": parse_hours(["mon"], "UTC", "hours")}),
    ]
    asked = traits(operator="23410", text="your code is 123456", tag="spring")
    names = [name for name, _ in everything]
    while everything:
        table = RouteTable(Route(carriers=(ONE,), name=n, **c) for n, c in reversed(everything))
        assert decided_by(table, asked) == everything.pop(0)[0]
    assert names[3:] == [condition.name for condition in CONDITIONS]


def test_what_costs_time_is_not_found_when_nobody_asks() -> None:
    def never(*_: object) -> Any:
        raise AssertionError("nobody asked for it")

    table = RouteTable(
        [
            Route(carriers=(ONE,)),
            Route(carriers=(TWO,), lanes=(Lane.OTP,), encodings=(Encoding.UCS2,)),
            Route(carriers=(THREE,), prefixes=("33",), operators=("20801",)),
        ]
    )
    asked = traits()
    asked._measure = never
    assert table.find(asked) is not None
    plain = RouteTable([Route(carriers=(ONE,), rank=1), Route(carriers=(TWO,))])
    asked._find_operator = never
    assert plain.find(asked) is not None


def test_a_size_is_measured_once() -> None:
    counted: list[int] = []

    def measure() -> tuple[Encoding, int]:
        counted.append(1)
        return Encoding.GSM7, 3

    table = RouteTable(
        [
            Route(carriers=(ONE,), segments_min=2, segments_max=2),
            Route(carriers=(TWO,), segments_min=3, segments_max=3),
            Route(carriers=(THREE,), encodings=(Encoding.UCS2,)),
        ]
    )
    asked = traits()
    asked._measure = measure
    assert table.find(asked) is not None
    assert counted == [1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"texts": (TextClass.URL,)}, {"texts": (TextClass.OTP,)}),
        (
            {"pattern": compile_pattern("a"), "pattern_written": "a"},
            {"pattern": compile_pattern("b"), "pattern_written": "b"},
        ),
        ({"lanes": (Lane.OTP,)}, {"lanes": (Lane.OTP, Lane.MARKETING)}),
        ({"segments_max": 3}, {"segments_min": 3}),
        ({"tags": ("a",), "texts": (TextClass.URL,)}, {"tags": ("a",), "texts": (TextClass.OTP,)}),
        (
            {"hours": parse_hours(["mon-fri"], "UTC", "hours")},
            {"hours": parse_hours(["fri-sat"], "UTC", "hours")},
        ),
        (
            {"hours": parse_hours(["mon"], "UTC", "hours")},
            {"hours": parse_hours(["fri"], "Europe/Berlin", "hours")},
        ),
    ],
)
def test_routes_that_one_message_may_both_meet_need_a_rank(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    routes = [
        Route(carriers=(ONE,), name="one", **first),
        Route(carriers=(TWO,), name="two", **second),
    ]
    with pytest.raises(
        ConfigError, match="one and two are equally specific for any number"
    ) as caught:
        RouteTable(routes)
    assert caught.value.key == "route[1]"
    assert caught.value.detail.endswith("give one of them a rank")
    RouteTable([routes[0], msgspec.structs.replace(routes[1], rank=1)])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"lanes": (Lane.OTP,)}, {"lanes": (Lane.MARKETING,)}),
        ({"segments_max": 2}, {"segments_min": 3}),
        ({"tags": ("a",), "texts": (TextClass.URL,)}, {"tags": ("b",), "texts": (TextClass.OTP,)}),
        ({"texts": (TextClass.URL,)}, {"texts": (TextClass.OTP,), "tags": ("a",)}),
        (
            {"hours": parse_hours(["mon-fri 08:00-18:00"], "UTC", "hours")},
            {"hours": parse_hours(["mon-fri 18:00-08:00"], "UTC", "hours")},
        ),
        ({"senders": ("Shop",)}, {"senders": ("shop",)}),
    ],
)
def test_routes_that_no_message_meets_both_stand_beside_each_other(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    RouteTable([Route(carriers=(ONE,), **first), Route(carriers=(TWO,), **second)])


def test_a_route_of_too_many_combinations_is_refused() -> None:
    many = tuple(f"{number}" for number in range(10_000, 10_300))
    with pytest.raises(ConfigError, match="50,000 combinations"):
        RouteTable([Route(carriers=(ONE,), prefixes=many, operators=many)])


def test_bounds_that_nothing_fits_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        RouteTable([Route(carriers=(ONE,), segments_min=3, segments_max=2)])
    assert caught.value.key == "route[0].segments_max"


# ── held against a table that is read rule by rule ────────────────────────────────────────────


def some(values: Sequence[Any], max_size: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), max_size=max_size, unique=True).map(tuple)


_patterns = {written: compile_pattern(written) for written in ("o", "^H")}
_hours = [parse_hours([window], "UTC", "hours") for window in ("mon-tue", "tue-wed", "12:00-13:00")]
_routes = st.builds(
    Route,
    carriers=st.just((ONE,)),
    rank=st.sampled_from([0, 0, 0, 1]),
    prefixes=some(["4", "44", "447", "4474", "1", "12"], 3),
    operators=some(["23410", "23415"]),
    countries=some(["GB", "US", "CA"]),
    accounts=some([SHOP, BANK]),
    senders=some(["Shop", "40404"], 1),
    sender_kinds=some(list(SenderKind), 1),
    texts=some([TextClass.URL, TextClass.OTP], 1),
    pattern_written=st.sampled_from(["", "", "", *_patterns]),
    tags=some(["a", "b"], 1),
    lanes=some(list(Lane)),
    encodings=some([Encoding.GSM7, Encoding.UCS2], 1),
    segments_min=st.sampled_from([0, 0, 0, 2]),
    segments_max=st.sampled_from([0, 0, 0, 3]),
    hours=st.sampled_from([None, None, None, *_hours]),
).map(lambda r: msgspec.structs.replace(r, pattern=_patterns.get(r.pattern_written)))
_asked = st.builds(
    traits,
    e164=st.sampled_from(["4474", "4475", "448", "1204", "33612"]),
    country=st.sampled_from(["GB", "US", "CA", ""]),
    operator=st.sampled_from(["23410", "23415", ""]),
    account_id=st.sampled_from([SHOP, BANK, AccountId(30)]),
    sender=st.sampled_from(
        [Sender(SenderKind.NAME, "Shop"), Sender(SenderKind.SHORT_CODE, "40404")]
    ),
    text=st.sampled_from(["Hello", "Go to www.shop.example", "code: 123456", "x"]),
    lane=st.sampled_from(list(Lane)),
    tag=st.sampled_from(["", "a", "b"]),
    at=st.sampled_from([MONDAY_NOON, MONDAY_NOON + 86_400, MONDAY_NOON + 7_200]),
    size=st.sampled_from([(Encoding.GSM7, 1), (Encoding.GSM7, 3), (Encoding.UCS2, 2)]),
)


def takes(route: Route, asked: Traits) -> bool:
    """Every condition read from the route as its documentation words it."""
    encoding, segments = asked.size
    return all(
        [
            not route.prefixes or asked.e164.startswith(route.prefixes),
            not route.operators or asked.operator in route.operators,
            not route.countries or asked.country in route.countries,
            not route.accounts or asked.account_id in route.accounts,
            not route.senders or asked.sender.address in route.senders,
            not route.sender_kinds or asked.sender.kind in route.sender_kinds,
            not route.pattern_written or re.search(route.pattern_written, asked.text),
            not route.texts
            or any({"url": "www", "otp": "code"}[each.value] in asked.text for each in route.texts),
            not route.tags or asked.tag in route.tags,
            not route.lanes or asked.lane in route.lanes,
            not route.encodings or encoding in route.encodings,
            segments >= route.segments_min,
            not route.segments_max or segments <= route.segments_max,
            route.hours is None or within(route.hours, asked.at),
        ]
    )


def within(hours: Hours, at: float) -> bool:
    minute = int(at - (MONDAY_NOON - 12 * 3_600)) // 60
    return any(first <= minute < after for first, after in hours.spans)


def standing(route: Route, asked: Traits) -> tuple[Any, ...]:
    """What of two routes that hold makes one decide."""
    fitting = [len(p) for p in route.prefixes if asked.e164.startswith(p)]
    return (
        route.rank,
        max(fitting, default=0),
        *map(bool, (route.operators, route.countries, route.accounts)),
        *map(bool, (route.senders, route.sender_kinds, route.pattern_written, route.texts)),
        *map(bool, (route.tags, route.lanes, route.encodings)),
        bool(route.segments_min or route.segments_max),
        route.hours is not None,
    )


def unambiguous(routes: Sequence[Route]) -> list[Route]:
    usable: list[Route] = []
    for route in routes:
        try:
            RouteTable([*usable, route])
        except ConfigError:
            continue  # may be decided by another one as well
        usable.append(route)
    return usable


@settings(deadline=None, max_examples=150)
@given(st.lists(_routes, max_size=10), st.lists(_asked, min_size=1, max_size=5))
def test_the_lookup_the_explanation_and_a_naive_judge_never_disagree(
    routes: list[Route], asked: list[Traits]
) -> None:
    usable = [msgspec.structs.replace(r, name=f"r{i}") for i, r in enumerate(unambiguous(routes))]
    table = RouteTable(usable)
    for each in asked:
        holding = sorted(
            (r for r in usable if takes(r, each)), key=lambda r: standing(r, each), reverse=True
        )
        expected = holding[0].name if holding else ""
        assert decided_by(table, each) == expected
        explanation = table.explain(each)
        assert (explanation.route.name if explanation.route else "") == expected
        assert {c.route for c in explanation.considered if c.matched} == {r.name for r in holding}
        if len(holding) > 1:
            assert standing(holding[0], each) > standing(holding[1], each), "nothing is left open"
        if table.is_plain:
            plain = table.find_plain(each.e164, each.country, each.account_id)
            assert (plain.name if plain else "") == expected


def test_the_recipients_own_clock_may_decide() -> None:
    by_day = parse_hours(["08:00-20:00"], "recipient", "hours")
    table = RouteTable(
        [Route(carriers=(ONE,), name="day", hours=by_day), Route(carriers=(TWO,), name="rest")]
    )
    at = MONDAY_NOON + 3_600  # eight o'clock in New York, five in Los Angeles
    in_new_york = traits(e164="12025550111", country="US", at=at)
    in_los_angeles = traits(e164="12135550111", country="US", at=at)
    on_a_satellite = traits(e164="881612345678", country="", at=at)
    assert decided_by(table, in_new_york) == "day"
    assert decided_by(table, in_los_angeles) == "rest"
    assert decided_by(table, on_a_satellite) == "rest"

    def reason(asked: Traits) -> str:
        return table.explain(asked).considered[0].why

    assert reason(in_new_york) == "time is in 08:00-20:00 where the recipient is"
    assert reason(in_los_angeles) == "time is not in 08:00-20:00 where the recipient is"
    assert reason(on_a_satellite) == "nobody knows the recipient's time zone"


def test_a_plain_table_is_one_that_asks_nothing_else() -> None:
    assert RouteTable([]).is_plain
    assert RouteTable([Route(carriers=(ONE,), rank=3)]).is_plain
    assert not RouteTable([Route(carriers=(ONE,)), Route(carriers=(TWO,), rank=1)]).is_plain
    assert not RouteTable([Route(carriers=(ONE,), tags=("a",))]).is_plain
    assert not RouteTable([Route(carriers=(ONE,), operators=("26201",))]).is_plain
    assert conditions_of(Route(carriers=(ONE,), prefixes=("44",))) == ()
