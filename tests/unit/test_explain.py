"""The tale of a way: every step as far as it went, and the end that a message would have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import Messages
from gateway.config_file import parse_config
from gateway.explain import Explainer, Told
from gateway.ids import IdGenerator
from gateway.intake import Intake
from gateway.lines import build_tables
from gateway.message import Message
from gateway.model import Account, AccountId, CarrierId, SendRequest
from gateway.routing.operators import Operator, OperatorBook, Operators, PortedNumbers

NOW = 1_800_273_600.0  # Monday, 2027-01-18T12:00:00Z
SHOP = Account(id=AccountId(1), name="shop", segments_max=3)
IDS = {"alpha": CarrierId(1), "beta": CarrierId(2), "gamma": CarrierId(3)}
OPERATORS = Operators(
    {"49171": Operator("262", "01", "Telekom", "DE")},
    PortedNumbers.of([("491713920010", "26202")]),
)
SETTINGS: dict[str, Any] = {
    "route": [
        {"name": "rest", "carriers": ["gamma"]},
        {"name": "germany", "carriers": ["alpha", "beta", "gamma"], "countries": ["DE"]},
        {"name": "dear", "carriers": ["beta"], "countries": ["GB"], "margin_min": "0.001"},
        {
            "name": "codes",
            "carriers": ["beta", "alpha"],
            "lanes": ["otp"],
            "rank": 1,
            "choose": "round_robin",
        },
        {"name": "vodafone", "carriers": ["beta", "gamma"], "operators": ["26202"]},
    ],
    "price": [
        {"price": "0.006"},
        {"price": "none", "prefix": "33"},
    ],
    "cost": [{"carrier": "alpha", "cost": "0.007"}, {"carrier": "beta", "cost": "0.0055"}],
    "sender": [{"name": "german", "countries": ["DE"], "rewrite": {"Shop": "Shop DE"}}],
}


def build(**changed: Any) -> tuple[Intake, Explainer]:
    carriers: list[dict[str, Any]] = [
        {"name": name, "host": "smsc.example", "system_id": "us"} for name in IDS
    ]
    carriers[0]["national"] = ["turkish"]
    config = parse_config({"carrier": carriers, **SETTINGS, **changed})
    intake = Intake(
        Messages(),
        build_tables(config, IDS, {"shop": SHOP.id}),
        IdGenerator(0),
        text_chars_max=2_000,
        operators=OperatorBook(OPERATORS),
    )
    names = {number: name for name, number in IDS.items()}
    return intake, Explainer(intake, names, text_chars_max=2_000)


def tell(to: str = "+491713920011", **fields: Any) -> Told:
    _, explainer = build()
    asked = {"sender": "Shop", "text": "Hello", **fields}
    return explainer.explain(SHOP, SendRequest(to=to, **asked), NOW)


def test_a_whole_tale_has_every_step() -> None:
    told = tell()
    assert told.number is not None and told.operator is not None and told.sender is not None
    assert (told.number.country, told.number.type) == ("DE", "mobile")
    assert (told.operator.code, told.operator.found_by) == ("26201", "prefix")
    assert told.sender.sender == "Shop DE"
    assert told.text is not None and told.text.segments == 1
    assert told.price == "0.006"
    assert told.route == "germany"
    assert [(c.carrier, c.place, c.cost, c.margin) for c in told.carriers] == [
        ("beta", 1, "0.0055", "0.0005"),
        ("gamma", 2, None, None),
        ("alpha", None, "0.007", "-0.001"),
    ]
    assert told.carriers[-1].why == "it takes more than the price"
    assert told.end.carriers == ("beta", "gamma")
    assert (told.end.price, told.end.code) == ("0.006", "")


def test_a_ported_number_is_told_as_one() -> None:
    told = tell("+491713920010")
    assert told.operator is not None
    assert (told.operator.code, told.operator.found_by, told.route) == (
        "26202",
        "ported",
        "vodafone",
    )


@pytest.mark.parametrize(
    ("fields", "code", "reached"),
    [
        ({"to": "12"}, "number_too_short", "nothing"),
        ({"to": "+442071838750"}, "number_fixed_line", "number"),
        ({"sender": "a@b"}, "sender_at_sign", "operator"),
        ({"sender": None}, "sender_missing", "operator"),
        ({"priority": "urgent"}, "priority_unknown", "operator"),
        ({"text": ""}, "text_empty", "operator"),
        ({"to": "+33612345678"}, "no_price", "text"),
        ({"text": "x" * 600}, "too_many_segments", "carriers"),
        ({"to": "+447400123456"}, "no_margin", "carriers"),
    ],
)
def test_a_tale_that_ends_early_has_the_steps_before(
    fields: dict[str, Any], code: str, reached: str
) -> None:
    told = tell(**fields)
    assert told.end.code == code
    assert told.end.carriers == ()
    steps = {
        "number": told.number,
        "operator": told.operator,
        "sender": told.sender,
        "text": told.text,
        "price": told.price,
        "carriers": told.carriers,
    }
    done = [name for name, value in steps.items() if value]
    assert (done or ["nothing"])[-1] == reached


def test_who_would_leave_too_little_is_told_by_how_much() -> None:
    (beta,) = tell("+447400123456").carriers
    assert (beta.place, beta.margin, beta.why) == (None, "0.0005", "less than 0.001 would be left")
    _, explainer = build(margin={"unknown_cost": "refuse"})
    request = SendRequest(to="+12025550111", sender="Shop", text="Hello")
    (gamma,) = explainer.explain(SHOP, request, NOW).carriers
    assert (gamma.cost, gamma.why) == (None, "nobody knows its cost")


def test_who_needs_more_segments_is_told() -> None:
    _, explainer = build(cost=[])
    turkish = SendRequest(to="+491713920011", sender="Shop", text="ğ" * 100)
    told = explainer.explain(SHOP, turkish, NOW)
    assert told.text is not None
    assert (told.text.encoding, told.text.segments) == ("ucs2", 2)
    assert [(c.carrier, c.place) for c in told.carriers] == [
        ("alpha", 1),
        ("beta", None),
        ("gamma", None),
    ]
    assert told.carriers[1].why == "it would need more segments than the first one"


def test_without_prices_there_is_none_to_tell() -> None:
    _, explainer = build(price=[])
    told = explainer.explain(SHOP, SendRequest(to="+12025550111", sender="Shop", text="x"), NOW)
    assert (told.price, told.end.price) == (None, "0")


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        ({}, "order: as the route lists them"),
        (
            {"choose": "weights", "weights": [3, 1, 0]},
            "weights: in turn, alpha 75%, beta 25%, gamma 0%",
        ),
        ({"choose": "round_robin"}, "round_robin: in turn, alpha 33%, beta 33%, gamma 33%"),
        ({"choose": "least_cost"}, "least_cost: the cheapest first"),
        (
            {"choose": "sticky_sender"},
            "sticky_sender: the same first for every message of this sender",
        ),
    ],
)
def test_how_the_first_is_chosen_is_told(choose: dict[str, Any], words: str) -> None:
    _, explainer = build(route=[{"carriers": list(IDS), **choose}])
    told = explainer.explain(SHOP, SendRequest(to="+12025550111", sender="Shop", text="x"), NOW)
    assert told.choose == words


_requests = st.builds(
    SendRequest,
    to=st.sampled_from(
        ["+491713920010", "+491713920011", "+447400123456", "+12025550111", "+33612345678", "12"]
    ),
    sender=st.sampled_from(["Shop", "40404", "+447400123456", "@", None]),
    text=st.sampled_from(["Hello", "ğ" * 100, "x" * 161, "x" * 600, "", "code 1234"]),
    priority=st.sampled_from(["otp", "transactional", "marketing"]),
)


@settings(deadline=None)
@given(st.lists(_requests, min_size=1, max_size=4))
def test_the_tale_ends_as_the_message_would(requests: list[SendRequest]) -> None:
    _, explainer = build()
    same, _ = build()
    names = {number: name for name, number in IDS.items()}
    for request in requests:
        told = explainer.explain(SHOP, request, NOW)
        decided = same.decide(SHOP, request, NOW)
        if isinstance(decided, Message):
            assert told.end.carriers == tuple(names[carrier] for carrier in decided.routes)
            placed = [c.carrier for c in told.carriers if c.place is not None]
            assert placed == list(told.end.carriers)
            assert [c.place for c in told.carriers if c.place] == list(range(1, len(placed) + 1))
            assert told.sender is not None and told.sender.sender == decided.sender
            assert next(c.route for c in told.routes if c.matched) == told.route
            assert (told.end.segments, told.end.code) == (decided.segments, "")
        else:
            assert (told.end.code, told.end.field) == (decided.code, decided.field)
