"""A quote is the sum of what each number costs, with those that can't be sent to apart."""

from __future__ import annotations

import msgspec

from gateway.config import Messages
from gateway.credit.prices import PriceBook
from gateway.credit.rates import Rate, RateTable
from gateway.ids import IdGenerator
from gateway.intake import Intake
from gateway.model import Account, AccountId, CarrierId, Micros, SendRequest
from gateway.quotes import build_quote
from gateway.routing.table import Route, RouteTable
from gateway.tables import Tables
from gateway.views import Quote, QuoteCountry, QuoteReason

NOW = 1_800_000_000.0
ACCOUNT = Account(id=AccountId(7), name="shop", currency="EUR", default_sender="Shop")
PRICES = PriceBook(
    RateTable(
        [
            Rate(micros=Micros(30_000), prefix="44"),
            Rate(micros=Micros(70_000), prefix="33"),
            Rate(micros=None, prefix="1"),
        ]
    )
)
INTAKE = Intake(
    Messages(),
    Tables(RouteTable([Route(carriers=(CarrierId(1),))]), PRICES),
    IdGenerator(0),
    text_chars_max=2_000,
)
BRITISH, FRENCH = "+447400123456", "+33612345678"


def quote(*numbers: str, text: str = "Hello", spendable: int = 10**6) -> Quote:
    requests = [SendRequest(to=to, text=text) for to in numbers]
    asked = [(each.to, INTAKE.assess(ACCOUNT, each, NOW)) for each in requests]
    return build_quote(ACCOUNT, asked, spendable)


def test_a_quote_adds_up_by_country() -> None:
    quoted = quote(BRITISH, FRENCH, "+447400123457", text="x" * 161)
    assert (quoted.sendable, quoted.segments, quoted.price) == (3, 6, "0.26")
    assert quoted.countries == [
        QuoteCountry(country="FR", numbers=1, segments=2, price="0.14"),
        QuoteCountry(country="GB", numbers=2, segments=4, price="0.12"),
    ]
    assert [item.price for item in quoted.items] == ["0.06", "0.14", "0.06"]


def test_numbers_that_can_not_be_sent_to_are_counted_by_their_reason() -> None:
    quoted = quote(BRITISH, "12", "13", "+12025550123")
    assert (quoted.sendable, quoted.ineligible, quoted.price) == (1, 3, "0.03")
    assert quoted.reasons[0] == QuoteReason(code=quoted.items[1].code, numbers=2)
    assert quoted.reasons[1] == QuoteReason(code="no_price", numbers=1)
    assert sum(reason.numbers for reason in quoted.reasons) == quoted.ineligible


def test_a_quote_says_whether_the_balance_covers_it_to_the_micro_unit() -> None:
    assert quote(BRITISH, spendable=30_000).covered
    assert not quote(BRITISH, spendable=29_999).covered
    assert quote(BRITISH, spendable=29_999).spendable == "0.029999"


def test_nothing_costs_nothing() -> None:
    quoted = quote("12", spendable=-5)
    assert (quoted.price, quoted.covered) == ("0", False)
    assert quote("12", spendable=0).covered


def test_a_quote_can_be_written_as_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(quote(BRITISH)), type=Quote) == quote(BRITISH)
