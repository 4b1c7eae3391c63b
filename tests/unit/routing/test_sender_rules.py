"""Which rule decides about a sender, and what it decides."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.model import AccountId
from gateway.routing.numbers import Ineligible, Reason
from gateway.routing.sender import Sender, SenderKind
from gateway.routing.sender_rules import NO_RULES, Ruled, SenderRule, SenderRules

SHOP, BANK = AccountId(10), AccountId(20)
NAME = Sender(SenderKind.NAME, "Shop")
OTHER = Sender(SenderKind.NAME, "Bank")
CODE = Sender(SenderKind.SHORT_CODE, "40404")
NUMBERS = tuple(Sender(SenderKind.NUMBER, f"1202555014{n}") for n in range(4))
AMERICAN = "12025550111"


def sent(rules: SenderRules, sender: Sender | None = NAME, **fields: str) -> str:
    """The address that a message to America leaves with, or the code of the refusal."""
    ruled = rules.decide(sender, fields.get("to", AMERICAN), fields.get("country", "US"), SHOP)
    return ruled.code.value if isinstance(ruled, Ineligible) else ruled.sender.address


def test_without_a_rule_everybody_sends_as_who_he_is() -> None:
    assert not NO_RULES
    assert NO_RULES.decide(NAME, AMERICAN, "US", SHOP) == Ruled(NAME, "no rule")
    assert sent(NO_RULES, None) == "sender_missing"


def test_a_rule_of_the_country_goes_before_one_of_the_account_before_everybodys() -> None:
    rules = [
        SenderRule(name="all", kinds=(SenderKind.SHORT_CODE,)),
        SenderRule(name="shop", accounts=(SHOP,)),
        SenderRule(name="us", countries=("US",)),
        SenderRule(name="us shop", countries=("US",), accounts=(SHOP,)),
    ]
    for expected in ("us shop", "us", "shop", "all"):
        found = SenderRules(rules).find("US", SHOP)
        assert found is not None and found.name == expected
        rules.pop()
    assert SenderRules(rules).find("US", SHOP) is None


def test_a_rule_holds_for_numbers_without_a_country_only_when_it_names_none() -> None:
    rules = SenderRules(
        [
            SenderRule(countries=("US",), kinds=(SenderKind.NAME,)),
            SenderRule(kinds=(SenderKind.NUMBER,)),
        ]
    )
    assert sent(rules, country="") == "sender_kind_not_allowed"
    assert sent(rules) == "Shop"


def test_what_is_not_allowed_says_why() -> None:
    rules = SenderRules(
        [SenderRule(countries=("US",), kinds=(SenderKind.NUMBER, SenderKind.SHORT_CODE))]
    )
    refused = rules.decide(NAME, AMERICAN, "US", SHOP)
    assert refused == Ineligible(
        Reason.SENDER_KIND,
        "a sender to US is number or short_code, and Shop is alphanumeric",
    )
    assert sent(rules, CODE) == "40404"


def test_only_registered_senders_are_allowed_where_some_are() -> None:
    rules = SenderRules([SenderRule(senders=(NAME, CODE))])
    assert (sent(rules), sent(rules, CODE)) == ("Shop", "40404")
    assert sent(rules, OTHER) == "sender_not_registered"
    assert sent(rules, Sender(SenderKind.NAME, "shop")) == "sender_not_registered"


def test_a_sender_is_written_anew_whether_or_not_it_is_allowed() -> None:
    rules = SenderRules([SenderRule(name="us", senders=(CODE,), rewrite={"Shop": CODE})])
    ruled = rules.decide(NAME, AMERICAN, "US", SHOP)
    assert ruled == Ruled(CODE, "us writes 40404 for Shop")
    assert sent(rules, OTHER) == "sender_not_registered"


def test_a_pool_stands_in_and_stays_with_the_recipient() -> None:
    rules = SenderRules([SenderRule(name="us", kinds=(SenderKind.NUMBER,), pool=NUMBERS)])
    recipients = [f"1212555{n:04}" for n in range(400)]
    first = {to: sent(rules, to=to) for to in recipients}
    assert first == {to: sent(rules, OTHER, to=to) for to in recipients}
    assert first == {to: sent(rules, None, to=to) for to in recipients}
    assert min(Counter(first.values()).values()) > 40
    assert sent(rules, NUMBERS[2]) == NUMBERS[2].address


def test_two_rules_for_one_place_are_an_error() -> None:
    with pytest.raises(ConfigError, match="country US has a rule already: first") as caught:
        SenderRules(
            [
                SenderRule(name="first", countries=("US", "CA")),
                SenderRule(countries=("MX", "US")),
            ]
        )
    assert caught.value.key == "sender[1]"
    with pytest.raises(ConfigError, match="everybody has a rule already"):
        SenderRules([SenderRule(), SenderRule()])


_rule = st.builds(
    SenderRule,
    countries=st.sampled_from([(), ("US",), ("CA", "US")]),
    accounts=st.sampled_from([(), (SHOP,), (SHOP, BANK)]),
    kinds=st.sampled_from([(), (SenderKind.NUMBER,), (SenderKind.NAME, SenderKind.SHORT_CODE)]),
    senders=st.sampled_from([(), (NAME,), (CODE, NUMBERS[0])]),
    pool=st.sampled_from([(), NUMBERS[:2]]),
)


@given(
    st.lists(_rule, max_size=4),
    st.sampled_from([NAME, OTHER, CODE, *NUMBERS, None]),
    st.sampled_from(["US", "CA", "MX", ""]),
    st.sampled_from([SHOP, BANK, AccountId(30)]),
)
def test_what_leaves_is_allowed_or_of_the_pool(
    rules: list[SenderRule], sender: Sender | None, country: str, account_id: AccountId
) -> None:
    usable: list[SenderRule] = []
    for rule in rules:
        try:
            SenderRules([*usable, rule])
        except ConfigError:
            continue  # its place is taken
        usable.append(rule)
    holding = [
        rule
        for rule in usable
        if (not rule.countries or country in rule.countries)
        and (not rule.accounts or account_id in rule.accounts)
    ]
    holding.sort(key=lambda rule: (bool(rule.countries), bool(rule.accounts)), reverse=True)
    ruled = SenderRules(usable).decide(sender, AMERICAN, country, account_id)
    if not holding:
        assert isinstance(ruled, Ineligible) is (sender is None)
        return
    rule = holding[0]
    allowed = (
        sender is not None
        and (not rule.kinds or sender.kind in rule.kinds)
        and (not rule.senders or sender in rule.senders)
    )
    if isinstance(ruled, Ineligible):
        assert not allowed and not rule.pool
    else:
        assert ruled.sender == sender if allowed else ruled.sender in rule.pool
