"""Which route decides, and that the explanation tells the same story."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.model import AccountId, CarrierId
from gateway.routing.table import Route, RouteTable

ONE, TWO, THREE, FOUR = (CarrierId(n) for n in (1, 2, 3, 4))
SHOP, BANK = AccountId(10), AccountId(20)


def test_the_longest_prefix_wins_then_the_country_then_the_default() -> None:
    table = RouteTable(
        [
            Route(carriers=(ONE,)),
            Route(carriers=(TWO,), countries=("GB",)),
            Route(carriers=(THREE,), prefixes=("44",)),
            Route(carriers=(FOUR, ONE), prefixes=("447400",)),
        ]
    )
    assert table.candidates("447400123456", "GB", SHOP) == (FOUR, ONE)
    assert table.candidates("447500123456", "GB", SHOP) == (THREE,)
    assert table.candidates("39212345678", "GB", SHOP) == (TWO,)
    assert table.candidates("33612345678", "FR", SHOP) == (ONE,)


def test_carriers_come_in_the_order_of_their_route() -> None:
    table = RouteTable([Route(carriers=(THREE, ONE, TWO))])
    assert table.candidates("33612345678", "FR", SHOP) == (THREE, ONE, TWO)


def test_a_route_of_an_account_is_only_its_own_and_wins_over_everybodys() -> None:
    table = RouteTable(
        [
            Route(carriers=(ONE,), prefixes=("44",)),
            Route(carriers=(TWO,), prefixes=("44",), accounts=(BANK,)),
        ]
    )
    assert table.candidates("447400123456", "GB", BANK) == (TWO,)
    assert table.candidates("447400123456", "GB", SHOP) == (ONE,)


def test_a_longer_prefix_for_another_account_does_not_hide_a_shorter_one() -> None:
    table = RouteTable(
        [
            Route(carriers=(ONE,), prefixes=("44",)),
            Route(carriers=(TWO,), prefixes=("447400",), accounts=(BANK,)),
        ]
    )
    assert table.candidates("447400123456", "GB", SHOP) == (ONE,)


def test_all_conditions_of_a_route_have_to_hold() -> None:
    table = RouteTable([Route(carriers=(ONE,), prefixes=("1",), countries=("CA",))])
    assert table.candidates("12042345678", "CA", SHOP) == (ONE,)
    assert table.candidates("12012345678", "US", SHOP) == ()
    assert table.candidates("447400123456", "CA", SHOP) == ()


def test_a_number_without_a_country_takes_prefixes_and_the_default() -> None:
    table = RouteTable(
        [Route(carriers=(ONE,)), Route(carriers=(TWO,), prefixes=("882",))],
    )
    assert table.candidates("8821688890000", "", SHOP) == (TWO,)
    assert table.candidates("80012345678", "", SHOP) == (ONE,)


def test_no_route_gives_no_carrier() -> None:
    assert RouteTable([]).candidates("447400123456", "GB", SHOP) == ()
    table = RouteTable([Route(carriers=(ONE,), prefixes=("33",))])
    assert table.candidates("447400123456", "GB", SHOP) == ()
    assert table.candidates("3", "", SHOP) == ()


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
    explanation = table.explain("447400123456", "GB", SHOP)
    assert explanation.carriers == (TWO,)
    assert explanation.chosen == "britain"
    told = [(c.route, c.matched, c.why) for c in explanation.considered]
    assert told == [
        ("other mobiles", False, "the number begins with none of 4475"),
        ("bank", False, "account 10 is not named"),
        ("britain", True, "country GB is named"),
        ("default", True, "it takes everything; britain is more specific"),
    ]


def test_an_explanation_without_a_route_says_why_each_one_did_not_match() -> None:
    table = RouteTable([Route(carriers=(ONE,), countries=("GB", "IE"))])
    explanation = table.explain("8821688890000", "", SHOP)
    assert (explanation.carriers, explanation.chosen) == ((), "")
    (considered,) = explanation.considered
    assert considered.route == "route[0]"
    assert considered.why == "country (none) is not among GB, IE"


_prefixes = st.lists(
    st.sampled_from(["4", "44", "447", "4474", "1", "12"]), max_size=3, unique=True
)
_countries = st.lists(st.sampled_from(["GB", "US", "CA"]), max_size=2, unique=True)
_accounts = st.lists(st.sampled_from([SHOP, BANK]), max_size=2, unique=True)
_carriers = st.lists(st.sampled_from([ONE, TWO, THREE, FOUR]), min_size=1, unique=True)
_routes = st.builds(
    Route,
    carriers=_carriers.map(tuple),
    prefixes=_prefixes.map(tuple),
    countries=_countries.map(tuple),
    accounts=_accounts.map(tuple),
)


@settings(deadline=None)
@given(
    st.lists(_routes, max_size=8),
    st.sampled_from(["4474", "4475", "448", "1204", "33612"]),
    st.sampled_from(["GB", "US", "CA", ""]),
    st.sampled_from([SHOP, BANK, AccountId(30)]),
)
def test_the_explanation_and_the_lookup_never_disagree(
    routes: list[Route], recipient: str, country: str, account_id: AccountId
) -> None:
    usable: list[Route] = []
    for route in routes:
        try:
            RouteTable([*usable, route])
        except ConfigError:
            continue  # decides what another route decides already
        usable.append(route)
    table = RouteTable(usable)
    explanation = table.explain(recipient, country, account_id)
    assert explanation.carriers == table.candidates(recipient, country, account_id)
    assert len(explanation.considered) == len(usable)
    assert bool(explanation.chosen) == any(c.matched for c in explanation.considered)
