"""Who would be left without a route, and where to."""

from __future__ import annotations

import pytest

from gateway.config import Config, Route
from gateway.live.reach import find_losses

ACCOUNTS = ("shop", "bank")


def route(*, prefixes: str = "", countries: str = "", accounts: str = "") -> Route:
    return Route(
        carriers=("alpha",),
        prefixes=tuple(prefixes.split()),
        countries=tuple(countries.split()),
        accounts=tuple(accounts.split()),
    )


def losses(old: list[Route], new: list[Route]) -> list[str]:
    found = find_losses(Config(route=tuple(old)), Config(route=tuple(new)), ACCOUNTS)
    return [str(loss) for loss in found]


NOBODY_HAS_ANY = [f"account {name} would have no route at all" for name in ACCOUNTS]


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ([route()], [route()], []),
        ([], [], []),
        ([], [route()], []),
        ([route()], [], NOBODY_HAS_ANY),
        ([route(countries="DE")], [], NOBODY_HAS_ANY),
        (
            [route(countries="DE"), route()],
            [route(countries="DE")],
            [f"account {name} would have no route to all else" for name in ACCOUNTS],
        ),
        (
            [route(countries="DE FR")],
            [route(countries="FR")],
            [f"account {name} would have no route to DE" for name in ACCOUNTS],
        ),
        # another route takes over
        ([route(countries="DE"), route()], [route()], []),
        ([route(prefixes="4917")], [route(prefixes="49")], []),
        ([route(prefixes="49")], [route(countries="DE")], []),
        ([route(countries="DE")], [route(prefixes="49")], []),
        ([route(prefixes="49", countries="DE")], [route(prefixes="49")], []),
        # only a part of a place is not the place
        (
            [route(prefixes="49")],
            [route(prefixes="4917")],
            [f"account {name} would have no route to prefix 49" for name in ACCOUNTS],
        ),
        (
            [route(countries="DE")],
            [route(prefixes="33"), route()][:1],
            [f"account {name} would have no route to DE" for name in ACCOUNTS],
        ),
        (
            [route(prefixes="44")],
            [route(countries="GB", accounts="bank")],
            ["account shop would have no route at all"],
        ),
        # accounts
        ([route(accounts="shop")], [route(accounts="bank")], NOBODY_HAS_ANY[:1]),
        ([route(accounts="shop"), route()], [route()], []),
        (
            [route(accounts="shop"), route(countries="DE")],
            [route(countries="DE")],
            ["account shop would have no route to all else"],
        ),
    ],
)
def test_what_an_account_loses_is_named(
    old: list[Route], new: list[Route], lost: list[str]
) -> None:
    assert losses(old, new) == lost


def test_other_carriers_are_no_loss() -> None:
    assert losses([route()], [Route(carriers=("beta",))]) == []
