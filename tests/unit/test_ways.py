"""Which way a message goes, from settings to a message that carries its carriers in order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gateway.config import Messages
from gateway.config_file import parse_config
from gateway.errors import ConfigError, Rejected
from gateway.ids import IdGenerator
from gateway.intake import Intake
from gateway.lines import build_tables
from gateway.message import Message, Order
from gateway.model import Account, AccountId, CarrierId, Encoding, Lane, SendRequest
from gateway.record import replace
from gateway.routing.operators import Operator, OperatorBook, Operators

NOW = 1_800_273_600.0  # Monday, 2027-01-18T12:00:00Z
GERMAN, BRITISH, AMERICAN = "+491713920010", "+447400123456", "+12025550111"
SHOP = Account(id=AccountId(1), name="shop", default_sender="Shop")
NAMELESS = Account(id=AccountId(2), name="nameless")
CARRIERS = {"a": CarrierId(1), "b": CarrierId(2), "c": CarrierId(3)}
OPERATORS = Operators({"49171": Operator("262", "01"), "49172": Operator("262", "02")})


class Desk:
    """An intake by settings, and what it has noted."""

    def __init__(self, settings: dict[str, Any], operators: Operators | None = None) -> None:
        carriers = [
            {"name": n, "host": "smsc.example", "system_id": "us", **settings.get(n, {})}
            for n in CARRIERS
        ]
        tree = {k: v for k, v in settings.items() if k not in CARRIERS}
        config = parse_config({"carrier": carriers, **tree})
        accounts = {SHOP.name: SHOP.id, NAMELESS.name: NAMELESS.id}
        self.noted: list[tuple[AccountId, str, str]] = []
        self.intake = Intake(
            Messages(),
            build_tables(config, CARRIERS, accounts),
            IdGenerator(0),
            text_chars_max=2_000,
            operators=OperatorBook(operators) if operators else None,
            on_ineligible=lambda *noted: self.noted.append(noted),
        )

    def send(self, to: str = GERMAN, account: Account = SHOP, **fields: Any) -> Message | Rejected:
        asked = SendRequest(**{"to": to, "text": "Hello"} | fields)
        return self.intake.decide(account, asked, NOW)

    def route(self, to: str = GERMAN, account: Account = SHOP, **fields: Any) -> str:
        """The names of the carriers in order, or the code of the refusal and its field."""
        return told(self.send(to, account, **fields))

    def order(self, to: str = GERMAN, account: Account = SHOP, **fields: Any) -> str:
        asked = Order(**{"to": to.removeprefix("+"), "text": "Hello"} | fields)
        return told(self.intake.decide_order(account, asked, NOW))


def told(decided: Message | Rejected) -> str:
    if isinstance(decided, Rejected):
        return f"{decided.code} {decided.field}"
    names = {number: name for name, number in CARRIERS.items()}
    return "".join(names[carrier] for carrier in decided.routes)


# ── conditions ───────────────────────────────────────────────────────────────────────────────


def test_every_part_of_a_message_can_decide_its_route() -> None:
    desk = Desk(
        {
            "route": [
                {"carriers": ["a"]},
                {"carriers": ["b"], "lanes": ["otp"]},
                {"carriers": ["c"], "tags": ["spring"]},
                {"carriers": ["b", "a"], "senders": ["+44 7400 123456"]},
                {"carriers": ["c", "a"], "hours": ["tue"], "rank": 1},
                {"carriers": ["a", "b"], "texts": ["url"], "rank": 2},
            ]
        }
    )
    assert desk.route() == "a"
    assert desk.route(priority="otp") == "b"
    assert desk.route(tag="spring") == "c"
    assert desk.route(sender="447400123456") == "ba"
    assert desk.route(send_at="2027-01-19T08:00:00Z") == "ca"
    assert desk.route(text="www.shop.example", send_at="2027-01-19T08:00:00Z") == "ab"


def test_orders_over_smpp_are_routed_alike() -> None:
    desk = Desk(
        {
            "route": [
                {"carriers": ["a"]},
                {"carriers": ["b"], "lanes": ["otp"]},
                {"carriers": ["c"], "encodings": ["binary"]},
            ]
        }
    )
    assert desk.order() == "a"
    assert desk.order(lane=Lane.OTP) == "b"
    assert desk.order(text="", data=b"\x01", encoding=Encoding.BINARY) == "c"


def test_sizes_are_those_of_a_plain_carrier_whatever_the_first_one_s_style() -> None:
    turkish = "ğ" * 60
    desk = Desk(
        {
            "a": {"national": ["turkish"]},
            "route": [
                {"carriers": ["b"]},
                {"carriers": ["a"], "encodings": ["ucs2"], "segments_max": 1},
            ],
        }
    )
    assert desk.route(text=turkish) == "a"
    sent = desk.send(text=turkish)
    assert isinstance(sent, Message)
    assert sent.encoding is Encoding.GSM7
    assert desk.route(text=turkish * 2) == "b"


def test_a_content_that_cannot_be_measured_is_refused_before_a_route_is_found() -> None:
    desk = Desk({"route": [{"carriers": ["a"], "segments_max": 3}]})
    assert desk.route(text="ğ", encoding="gsm7") == "text_not_encodable text"
    assert desk.route(text="x" * 600) == "no_route to"


def test_an_operator_decides_the_route_and_the_price() -> None:
    settings = {
        "route": [{"carriers": ["a"]}, {"carriers": ["b"], "operators": ["262-02"]}],
        "price": [{"price": "0.01"}, {"price": "0.02", "operator": "26202"}],
    }
    desk = Desk(settings, OPERATORS)
    assert desk.route("+491713920010") == "a"
    assert desk.route("+491723920010") == "b"
    sent = desk.send("+491723920010")
    assert isinstance(sent, Message)
    assert sent.price_micros == 20_000
    assert Desk(settings).route("+491723920010") == "a"


# ── the order of carriers ────────────────────────────────────────────────────────────────────


def test_turns_are_taken_by_messages_and_not_by_quotes_or_refusals() -> None:
    desk = Desk({"route": [{"carriers": ["a", "b"], "choose": "round_robin"}]})
    told = []
    for _ in range(4):
        desk.intake.assess(SHOP, SendRequest(to=GERMAN, text="Hello"), NOW)
        desk.route(text="x" * 2_000)
        told.append(desk.route())
    assert told == ["ab", "ba", "ab", "ba"]


def test_weights_are_kept() -> None:
    route = {"carriers": ["a", "b", "c"], "choose": "weights", "weights": [6, 3, 1]}
    desk = Desk({"route": [route]})
    counted = Counter(desk.route() for _ in range(100))
    assert counted == {"abc": 60, "bac": 30, "cab": 10}


def test_a_sender_sticks_to_its_carrier() -> None:
    route = {"carriers": ["a", "b", "c"], "choose": "sticky_sender"}
    desk = Desk({"route": [route]})
    first = {name: desk.route(sender=name) for name in ("Shop", "Bank", "Post", "Club", "Taxi")}
    assert first == {name: desk.route(to=BRITISH, sender=name) for name in first}
    assert len(set(first.values())) > 1


def test_the_cheapest_comes_first_by_operator_prefix_and_date() -> None:
    desk = Desk(
        {
            "route": [{"carriers": ["a", "b", "c"], "choose": "least_cost"}],
            "cost": [
                {"carrier": "a", "cost": "0.004", "prefix": "49"},
                {"carrier": "b", "cost": "0.003", "operator": "26202"},
                {"carrier": "b", "cost": "0.005"},
                {"carrier": "a", "cost": "0.001", "prefix": "49", "effective_from": "2028-01-01"},
            ],
        },
        OPERATORS,
    )
    assert desk.route("+491713920010") == "abc"
    assert desk.route("+491723920010") == "bac"
    assert desk.route(BRITISH) == "bac"


# ── margins ──────────────────────────────────────────────────────────────────────────────────

COSTS = [{"carrier": "a", "cost": "0.008"}, {"carrier": "b", "cost": "0.004"}]
PRICE = [{"price": "0.006"}]


@pytest.mark.parametrize(
    ("route", "margin", "expected"),
    [
        ({}, {}, "bc"),
        ({}, {"unknown_cost": "refuse"}, "b"),
        ({}, {"min": "0.0021", "unknown_cost": "refuse"}, "no_margin to"),
        ({"margin_min": "0.001"}, {"min": "0.0021", "unknown_cost": "refuse"}, "b"),
        ({"margin_min": "-0.002"}, {}, "abc"),
        ({"allow_loss": True}, {"min": "1", "unknown_cost": "refuse"}, "abc"),
        ({}, {"min": "1", "unknown_cost": "refuse", "loss_accounts": ["shop"]}, "abc"),
        ({}, {"min": "0.0021", "loss_accounts": ["nameless"]}, "c"),
    ],
)
def test_nobody_is_used_who_leaves_too_little(
    route: dict[str, Any], margin: dict[str, Any], expected: str
) -> None:
    routes = [{"carriers": ["a", "b", "c"], **route}]
    desk = Desk({"route": routes, "price": PRICE, "cost": COSTS, "margin": margin})
    assert desk.route() == expected
    assert desk.order() == expected


def test_what_is_free_is_not_sold_below_cost() -> None:
    assert Desk({"route": [{"carriers": ["a", "b"]}], "cost": COSTS}).route() == "ab"


def test_a_margin_applies_whoever_is_chosen_first() -> None:
    route = {"carriers": ["a", "b", "c"], "choose": "round_robin"}
    desk = Desk({"route": [route], "price": PRICE, "cost": COSTS})
    assert [desk.route() for _ in range(3)] == ["bc", "bc", "cb"]


# ── senders ──────────────────────────────────────────────────────────────────────────────────


def test_senders_are_ruled_by_country_and_account() -> None:
    desk = Desk(
        {
            "route": [{"carriers": ["a"]}, {"carriers": ["b"], "senders": ["Shop-DE"]}],
            "sender": [
                {"countries": ["DE"], "rewrite": {"Shop": "Shop-DE"}, "senders": ["Shop-DE"]},
                {"countries": ["US"], "kinds": ["number"], "pool": ["+1 202 555 0142"]},
                {"countries": ["US"], "accounts": ["nameless"], "kinds": ["short_code"]},
            ],
        }
    )
    assert desk.route() == "b"
    assert desk.route(sender="Bank") == "sender_not_registered from"
    assert desk.route(BRITISH, sender="Bank") == "a"
    american = desk.send(AMERICAN)
    assert isinstance(american, Message)
    assert american.sender == "12025550142"
    assert desk.route(AMERICAN, NAMELESS, sender="Bank") == "sender_kind_not_allowed from"
    assert desk.route(AMERICAN, NAMELESS) == "sender_missing from"
    assert desk.order(AMERICAN, NAMELESS, sender="40404") == "a"
    assert desk.order(BRITISH, NAMELESS) == "sender_missing from"


# ── numbers that nobody can be reached by ────────────────────────────────────────────────────


def test_numbers_that_are_refused_are_noted_with_their_country() -> None:
    desk = Desk({"route": [{"carriers": ["a"], "countries": ["GB"]}]})
    assert desk.route("+44 20 7183 8750") == "number_fixed_line to"
    assert desk.order("+447400") == "number_too_short to"
    assert desk.route("nonsense") == "number_not_digits to"
    assert desk.route(GERMAN) == "no_route to"
    desk.intake.assess(SHOP, SendRequest(to="+442071838750", text="x"), NOW)
    assert desk.noted == [
        (SHOP.id, "number_fixed_line", "GB"),
        (SHOP.id, "number_too_short", "GB"),
        (SHOP.id, "number_not_digits", ""),
    ]


# ── again, when carriers are gone ────────────────────────────────────────────────────────────


def test_a_message_that_lost_its_carriers_goes_by_the_routes_as_they_are_now() -> None:
    before = Desk({"route": [{"carriers": ["a"]}]})
    now = Desk(
        {
            "route": [
                {"carriers": ["c"]},
                {"carriers": ["a", "b"], "operators": ["26201"], "segments_min": 2},
                {"carriers": ["b", "c"], "tags": ["spring"], "choose": "least_cost"},
                {"carriers": ["a", "c"], "encodings": ["binary"]},
            ],
            "price": PRICE,
            "cost": [{"carrier": "b", "cost": "0.004"}, {"carrier": "c", "cost": "0.003"}],
        },
        OPERATORS,
    )

    def again(**fields: Any) -> str:
        sent = before.send(**fields)
        assert isinstance(sent, Message)
        return told(replace(sent, routes=now.intake.reroute(sent)))

    priced = Desk({"route": [{"carriers": ["a"]}], "price": PRICE})
    before.intake.tables = priced.intake.tables
    assert again() == "c"
    assert again(text="x" * 161) == "ab"
    assert again(tag="spring") == "cb"
    assert again(text=None, data="01") == "ac"
    gone = before.send()
    assert isinstance(gone, Message)
    odd = replace(gone, sender="@", text="x" * 40_000)
    assert told(replace(gone, routes=now.intake.reroute(odd))) == "c"
    assert Desk({}).intake.reroute(gone) == ()


# ── settings that can't be used ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("section", "value", "key"),
    [
        ("route", {"carriers": ["a"], "accounts": ["nobody"]}, "route[0].accounts"),
        ("route", {"carriers": ["a"], "pattern": "("}, "route[0].pattern"),
        ("route", {"carriers": ["a"], "hours": ["noon"]}, "route[0].hours"),
        ("route", {"carriers": ["a"], "time_zone": "Europe/Berlin"}, "route[0].time_zone"),
        ("route", {"carriers": ["a"], "operators": ["000-01"]}, "route[0].operators"),
        ("route", {"carriers": ["a"], "senders": ["much too long a name"]}, "route[0].senders"),
        ("route", {"carriers": ["a"], "choose": "weights"}, "route[0].weights"),
        ("route", {"carriers": ["a"], "margin_min": "1%"}, "route[0].margin_min"),
        ("sender", {"accounts": ["nobody"]}, "sender[0].accounts"),
        ("sender", {"pool": ["@"]}, "sender[0].pool"),
        ("sender", {"rewrite": {"Shop": "@"}}, "sender[0].rewrite"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    section: str, value: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Desk({section: [value]})
    assert caught.value.key == key


def test_a_margin_that_is_no_amount_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        Desk({"margin": {"min": "a lot"}})
    assert caught.value.key == "margin.min"


def test_tables_are_exchanged_as_a_whole() -> None:
    desk = Desk({"route": [{"carriers": ["a"]}]})
    other = Desk({"route": [{"carriers": ["b"]}]})
    desk.intake.tables = other.intake.tables
    assert desk.route() == "b"
    desk.intake.tables = replace(desk.intake.tables, routes=Desk({}).intake.tables.routes)
    assert desk.route() == "no_route to"
