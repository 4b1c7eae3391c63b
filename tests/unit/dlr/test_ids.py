"""Carriers' ids: one form for both sides, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dlr.ids import (
    ID_CHARACTERS_MAX,
    PADDED_CHARACTERS_MAX,
    RULE_OF_DLR_MSGID,
    RULE_OF_MSG_ID_TYPE,
    IdForm,
    IdRule,
    Proposal,
    normalise_id,
    propose_rule,
    spell_formerly,
)

UUID = "550E8400-e29b-41D4-a716-446655440000"


@pytest.mark.parametrize(
    ("raw", "form", "normal"),
    [
        ("1A2b", IdForm.STRING, "1a2b"),
        ("  00123\0", IdForm.STRING, "00123"),
        (UUID, IdForm.STRING, UUID.lower()),
        ("", IdForm.STRING, ""),
        ("1A2b", IdForm.HEX, "6699"),
        ("00001a2B", IdForm.HEX, "6699"),
        ("0x1a2b", IdForm.HEX, "6699"),
        ("0", IdForm.HEX, "0"),
        ("ffffffffffffffff", IdForm.HEX, "18446744073709551615"),
        (" 6699 ", IdForm.DECIMAL, "6699"),
        ("0000006699", IdForm.DECIMAL, "6699"),
        ("000", IdForm.DECIMAL, "0"),
        # not what the form promises: comparable with itself, as a string
        (UUID, IdForm.HEX, UUID.lower()),
        (UUID, IdForm.DECIMAL, UUID.lower()),
        ("00A1", IdForm.DECIMAL, "00a1"),
        ("SAR-0012-1", IdForm.HEX, "sar-0012-1"),
        ("-1f", IdForm.HEX, "-1f"),
        ("1_f", IdForm.HEX, "1_f"),
        ("+7", IdForm.DECIMAL, "+7"),
        ("0٣٤", IdForm.DECIMAL, "0٣٤"),
        ("٣٤", IdForm.HEX, "٣٤"),
        ("²", IdForm.DECIMAL, "²"),
        ("", IdForm.HEX, ""),
        ("", IdForm.DECIMAL, ""),
        # too long for an index, and for the digits that int() writes
        ("x" * 5000, IdForm.STRING, "x" * ID_CHARACTERS_MAX),
        ("f" * 5000, IdForm.HEX, str(16**ID_CHARACTERS_MAX - 1)),
        ("9" * 5000, IdForm.DECIMAL, "9" * ID_CHARACTERS_MAX),
    ],
)
def test_an_id_has_one_normal_form(raw: str, form: IdForm, normal: str) -> None:
    assert normalise_id(raw, form) == normal


def test_zeros_in_front_of_a_string_are_kept_unless_they_are_padding() -> None:
    assert normalise_id("00aB") == "00ab"
    assert normalise_id("00aB", strip_zeros=True) == "ab"
    assert normalise_id("0000", strip_zeros=True) == "0"
    assert normalise_id("", strip_zeros=True) == ""


@given(st.text(max_size=100), st.sampled_from(IdForm), st.booleans())
def test_any_text_has_a_normal_form_and_no_case(raw: str, form: IdForm, strip: bool) -> None:
    normal = normalise_id(raw, form, strip)
    assert normal == normal.casefold()
    if raw.isascii():
        assert normalise_id(raw.swapcase(), form, strip) == normal


@given(st.integers(0, 2**128), st.integers(0, 20))
def test_a_number_is_the_same_in_every_notation(number: int, zeros: int) -> None:
    padding = "0" * zeros
    hexadecimal, decimal = f"{padding}{number:x}", f"{padding}{number}"
    assert normalise_id(hexadecimal, IdForm.HEX) == str(number)
    assert normalise_id(hexadecimal.upper(), IdForm.HEX) == str(number)
    assert normalise_id(decimal, IdForm.DECIMAL) == str(number)


def test_a_form_can_be_given_by_its_word() -> None:
    assert IdForm("hex") is IdForm.HEX
    assert IdRule(IdForm("decimal")).response is IdForm.DECIMAL


@pytest.mark.parametrize(
    ("rule", "response", "receipt"),
    [
        (RULE_OF_MSG_ID_TYPE[0], "0123", "123"),
        (RULE_OF_MSG_ID_TYPE[1], "7B", "0000000123"),
        (RULE_OF_MSG_ID_TYPE[2], "123", "7b"),
        (RULE_OF_MSG_ID_TYPE[3], "7B", "0000007b"),
        (RULE_OF_DLR_MSGID[0], "7B-x", "7b-X"),
        (RULE_OF_DLR_MSGID[1], "7B", "123"),
        (RULE_OF_DLR_MSGID[2], "123", "7B"),
    ],
)
def test_settings_of_other_gateways_become_rules(rule: IdRule, response: str, receipt: str) -> None:
    assert rule.normalise_response(response) == rule.normalise_receipt(receipt)


@pytest.mark.parametrize(
    ("pairs", "rule"),
    [
        ([("abc", "abc")], IdRule()),
        ([("7B", "7b")], IdRule()),
        ([("123", "123")], IdRule()),
        ([("0123", "123")], IdRule(strip_zeros=True)),
        ([("7B", "123"), ("7C", "124")], IdRule(IdForm.HEX, IdForm.DECIMAL)),
        ([("123", "7B")], IdRule(IdForm.DECIMAL, IdForm.HEX)),
        # digits alone may be hexadecimal too
        ([("10", "16"), ("11", "17")], IdRule(IdForm.HEX, IdForm.DECIMAL)),
        ([("0x7B", "7b")], IdRule(IdForm.HEX, IdForm.HEX)),
    ],
)
def test_the_plainest_rule_that_explains_the_pairs_is_proposed(
    pairs: list[tuple[str, str]], rule: IdRule
) -> None:
    assert propose_rule(pairs) == Proposal(rule, len(pairs), len(pairs))


def test_a_rule_that_explains_most_pairs_is_proposed_with_its_share() -> None:
    pairs = [("7B", "123"), ("7C", "124"), ("same", "same"), ("7D", "999")]
    assert propose_rule(pairs) == Proposal(
        IdRule(IdForm.HEX, IdForm.DECIMAL), 3, 4, (("7D", "999"),)
    )


@pytest.mark.parametrize("pairs", [[], [("7B", "999")], [("", "")], [(" ", "\0")]])
def test_nothing_is_proposed_where_nothing_is_explained(pairs: list[tuple[str, str]]) -> None:
    assert propose_rule(pairs) is None


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=8))
def test_a_proposal_is_possible_for_any_pairs(pairs: list[tuple[str, str]]) -> None:
    proposal = propose_rule(iter(pairs))
    assert proposal is None or 0 < proposal.matched <= proposal.observed == len(pairs)


# ── rules that were corrected ────────────────────────────────────────────────────────────────

rules = st.builds(IdRule, st.sampled_from(IdForm), st.sampled_from(IdForm), st.booleans())
raw_ids = st.one_of(
    st.text("0123456789", min_size=1, max_size=PADDED_CHARACTERS_MAX),
    st.text("0123456789abcdefABCDEF", min_size=1, max_size=PADDED_CHARACTERS_MAX),
    st.text("0123456789abcdefgXYZ-", min_size=1, max_size=PADDED_CHARACTERS_MAX),
)


@given(rules, rules, raw_ids, raw_ids)
def test_a_corrected_rule_finds_what_the_former_one_stored(
    rule: IdRule, former: IdRule, response: str, other: str
) -> None:
    stored = former.normalise_response(response)
    normal = rule.normalise_response(response)
    for receipt in (response, normal, other):
        agrees = rule.normalise_receipt(receipt) == normal
        if agrees:
            assert stored in spell_formerly(receipt, rule, former)
        elif former == rule:
            assert stored not in spell_formerly(receipt, rule, former)


def test_a_hexadecimal_response_that_was_kept_as_text_is_spelled_with_its_zeros() -> None:
    corrected = IdRule(IdForm.HEX, IdForm.DECIMAL)
    forms = spell_formerly("7054", corrected, IdRule())
    assert {"1b8e", "001b8e", "00001b8e"} < set(forms)
    assert len(forms) == PADDED_CHARACTERS_MAX - 3
    assert spell_formerly("7054", corrected, IdRule(strip_zeros=True)) == ("1b8e",)


def test_an_id_that_is_no_number_has_one_form() -> None:
    rule = IdRule(IdForm.HEX, IdForm.DECIMAL)
    assert spell_formerly("SAR-1-2", rule, IdRule()) == ("sar-1-2",)
