"""How people write numbers, and that our answers are `phonenumbers`' answers."""

from __future__ import annotations

import random
from collections.abc import Iterator

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import re_util

from gateway.routing.numbers import (
    RAW_CHARS_MAX,
    Ineligible,
    Number,
    NumberType,
    Reason,
    check_type,
    find_time_zones,
    number_type,
    parse_number,
)

MUTATIONS = 20_000
SEED = 20_240_229

re_util.enable_pattern_cache()  # theirs recompiles otherwise; only the test's time changes


def _theirs(digits: str) -> tuple[str, int, str] | None:
    """What `phonenumbers` makes of +digits: E.164 digits, calling code, country; None: invalid."""
    try:
        parsed = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    region = phonenumbers.region_code_for_number(parsed)
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    assert region is not None and parsed.country_code is not None
    return written[1:], parsed.country_code, "" if region == "001" else region


def _ours(digits: str) -> tuple[str, int, str] | None:
    number = parse_number("+" + digits)
    if isinstance(number, Ineligible):
        return None
    return number.e164, number.calling_code, number.country


def _examples() -> list[str]:
    """One number of every type of every region and non-geographical calling code."""
    types = phonenumbers.PhoneNumberType.values()
    found = [
        phonenumbers.example_number_for_type(region, kind)
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in types
    ]
    for calling_code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        found.append(phonenumbers.example_number_for_non_geo_entity(calling_code))
    written = {
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
        for number in found
        if number is not None
    }
    return sorted(written)


def _mutations(examples: list[str], count: int) -> Iterator[str]:
    """Numbers with one to four digits changed, added, left out, or a trunk prefix put in."""
    rng = random.Random(SEED)
    for _ in range(count):
        digits = list(rng.choice(examples))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(digits))
            match rng.randrange(10):
                case 0 | 1:
                    digits.insert(place, rng.choice("0123456789"))
                case 2 | 3 if len(digits) > 3:
                    del digits[place]
                case 4:
                    prefix = rng.choice(("0", "1", "8", "06", "15", "0015", "44", "9"))
                    digits[rng.randint(1, 3) : 0] = prefix
                case _:
                    digits[place] = rng.choice("0123456789")
        yield "".join(digits)


def test_every_example_number_of_every_region_is_judged_as_phonenumbers_judges_it() -> None:
    examples = _examples()
    assert len(examples) > 900
    disagreements = [(d, _ours(d), _theirs(d)) for d in examples if _ours(d) != _theirs(d)]
    assert disagreements == []


def test_mutated_numbers_are_judged_as_phonenumbers_judges_them() -> None:
    accepted = 0
    disagreements = []
    for digits in _mutations(_examples(), MUTATIONS):
        ours, theirs = _ours(digits), _theirs(digits)
        accepted += ours is not None
        if ours != theirs:
            disagreements.append((digits, ours, theirs))
    assert disagreements == [], f"seed {SEED}"
    assert MUTATIONS // 10 < accepted < MUTATIONS * 9 // 10, "mutations are too mild or too wild"


@settings(deadline=None)
@given(st.text(alphabet="0123456789", min_size=1, max_size=20))
def test_any_digits_are_judged_as_phonenumbers_judges_them(digits: str) -> None:
    assert _ours(digits) == _theirs(digits)


@pytest.mark.parametrize(
    "raw",
    [
        "447400123456",
        "+447400123456",
        "00447400123456",
        "+44 7400 123456",
        "+44 (0)7400 123-456",
        "0044.7400.123456",
        "(+44) 7400 123456",
        "44-7400-123456",
        "  +44\u00a07400\u2011123456\u202c ",
    ],
)
def test_every_international_way_of_writing_gives_the_same_number(raw: str) -> None:
    assert parse_number(raw) == Number("447400123456", 44, "GB", True)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("+54 11 15 2345-6789", Number("5491123456789", 54, "AR", True)),
        ("+39 02 1234 5678", Number("390212345678", 39, "IT")),
        ("+1 204 234 5678", Number("12042345678", 1, "CA", True)),
        ("+7 701 234 5678", Number("77012345678", 7, "KZ", True)),
        ("+44 7911 123456", Number("447911123456", 44, "GG", True)),
        ("+800 1234 5678", Number("80012345678", 800, "")),
        ("+882 16 88890000", Number("8821688890000", 882, "")),
    ],
)
def test_the_country_is_the_numbers_own_and_not_its_calling_codes(
    raw: str, expected: Number
) -> None:
    assert parse_number(raw) == expected


@pytest.mark.parametrize(
    ("raw", "code", "said"),
    [
        ("", Reason.EMPTY, "empty"),
        (" - ", Reason.EMPTY, "empty"),
        ("+", Reason.EMPTY, "empty"),
        ("hello", Reason.LETTERS, "digits"),
        ("+44 7400 12345O", Reason.LETTERS, "digits"),
        ("44+7400123456", Reason.LETTERS, "digits"),
        ("++447400123456", Reason.LETTERS, "digits"),
        ("٤٤٧٤٠٠١٢٣٤٥٦", Reason.LETTERS, "digits"),
        ("+44740012345²", Reason.LETTERS, "digits"),
        ("4", Reason.TOO_SHORT, "too few"),
        ("+44 7400", Reason.TOO_SHORT, "at least 7"),
        ("+44 7400 123456 7", Reason.TOO_LONG, "at most 10"),
        ("4" * RAW_CHARS_MAX, Reason.TOO_LONG, "at most"),
        ("+" + "4 " * RAW_CHARS_MAX, Reason.TOO_LONG, "at most"),
        ("+210 555 0100", Reason.UNKNOWN_CALLING_CODE, "210"),
        ("07400 123456", Reason.UNKNOWN_CALLING_CODE, "calling code first"),
        ("+0044 7400 123456", Reason.UNKNOWN_CALLING_CODE, "004"),
        ("00", Reason.TOO_SHORT, "too few"),
        ("+44 7400 1234", Reason.IMPOSSIBLE_LENGTH, "7, 9, 10"),
        ("+44 7700 900123", Reason.NOT_VALID, "no such range"),
        ("+1 200 555 0100", Reason.NOT_VALID, "no such range"),
    ],
)
def test_what_is_no_number_is_refused_with_its_reason(raw: str, code: Reason, said: str) -> None:
    refused = parse_number(raw)
    assert isinstance(refused, Ineligible)
    assert refused.code is code
    assert said in refused.detail


@pytest.mark.parametrize("raw", ["+44 7700 900123", "447700900123"])
def test_a_possible_number_is_accepted_when_strictness_allows_it(raw: str) -> None:
    assert parse_number(raw, "possible") == Number("447700900123", 44, "GB")


def test_a_possible_number_belongs_to_the_country_of_its_leading_digits() -> None:
    assert parse_number("+1 264 000 0000", "possible") == Number("12640000000", 1, "AI")
    assert parse_number("+882 99 9999 9999", "possible") == Number("8829999999999", 882, "")


@pytest.mark.parametrize("raw", ["+44 7400 1234", "+44 7400", "+210 555 0100", "", "abc"])
def test_what_is_not_even_possible_is_refused_at_any_strictness(raw: str) -> None:
    assert isinstance(parse_number(raw, "possible"), Ineligible)


@pytest.mark.parametrize(
    ("raw", "country", "expected"),
    [
        ("07400 123456", "GB", "447400123456"),
        ("0171 2345678", "DE", "491712345678"),
        ("02 1234 5678", "IT", "390212345678"),
        ("06 20 123 4567", "HU", "36201234567"),
        ("+33 6 12 34 56 78", "GB", "33612345678"),
        ("0033 6 12 34 56 78", "GB", "33612345678"),
        ("447400123456", "US", "447400123456"),
    ],
)
def test_national_form_is_taken_with_a_default_country(
    raw: str, country: str, expected: str
) -> None:
    number = parse_number(raw, default_country=country)
    assert isinstance(number, Number)
    assert number.e164 == expected


def test_a_default_country_that_does_not_exist_changes_nothing() -> None:
    refused = parse_number("07400 123456", default_country="QQ")
    assert isinstance(refused, Ineligible)
    assert refused.code is Reason.UNKNOWN_CALLING_CODE


@settings(deadline=None)
@given(st.text(max_size=RAW_CHARS_MAX + 8))
def test_garbage_gives_only_a_number_or_a_reason(raw: str) -> None:
    result = parse_number(raw)
    if isinstance(result, Number):
        assert result.e164.isascii() and result.e164.isdigit()
        assert len(result.e164) <= 20
        assert parse_number(result.e164) == result
    else:
        assert result.detail


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("447400123456", NumberType.MOBILE),
        ("442071838750", NumberType.FIXED_LINE),
        ("449012345678", NumberType.PREMIUM_RATE),
        ("448001234567", NumberType.TOLL_FREE),
        ("12015550123", NumberType.FIXED_LINE_OR_MOBILE),
        ("447700900123", NumberType.UNKNOWN),
    ],
)
def test_the_type_of_a_number_is_told_on_request(raw: str, kind: NumberType) -> None:
    number = parse_number(raw, "possible")
    assert isinstance(number, Number)
    assert number_type(number) is kind


def test_every_type_that_phonenumbers_knows_has_a_name_here() -> None:
    for value in phonenumbers.PhoneNumberType.values():
        name = phonenumbers.PhoneNumberType.to_string(value)
        assert NumberType[name]


def test_every_number_has_the_type_that_phonenumbers_gives_it() -> None:
    examples = _examples()
    seen = set()
    disagreements = []
    for digits in (*examples, *_mutations(examples, MUTATIONS)):
        number = parse_number(digits)
        if isinstance(number, Ineligible):
            continue
        theirs = phonenumbers.number_type(phonenumbers.parse("+" + number.e164))
        name = phonenumbers.PhoneNumberType.to_string(theirs)
        seen.add(name)
        surely = name in ("MOBILE", "FIXED_LINE_OR_MOBILE")
        if number_type(number) is not NumberType[name] or number.mobile is not surely:
            disagreements.append((number, number_type(number), name))
    assert disagreements == [], f"seed {SEED}"
    assert len(seen) > 8


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("442071838750", NumberType.FIXED_LINE),
        ("449012345678", NumberType.PREMIUM_RATE),
        ("448001234567", NumberType.TOLL_FREE),
        ("447700900123", NumberType.UNKNOWN),
    ],
)
def test_a_refused_type_has_a_reason_of_its_own(raw: str, kind: NumberType) -> None:
    number = parse_number(raw, "possible")
    assert isinstance(number, Number)
    refused = check_type(number, {kind})
    assert refused is not None
    assert kind.value in refused.code.value
    assert refused.detail.startswith("the number is ")
    assert check_type(number, set(NumberType) - {kind}) is None


@pytest.mark.parametrize(
    ("raw", "zones"),
    [
        ("491713920010", ("Europe/Berlin",)),
        ("12125550123", ("America/New_York",)),
        ("8821688890000", ()),
    ],
)
def test_time_zones_are_where_the_phone_may_be(raw: str, zones: tuple[str, ...]) -> None:
    number = parse_number(raw)
    assert isinstance(number, Number)
    assert find_time_zones(number.e164) == zones


def test_a_mobile_number_of_a_wide_country_has_all_of_its_zones() -> None:
    number = parse_number("+7 916 123 4567")
    assert isinstance(number, Number)
    assert {"Europe/Moscow", "Asia/Vladivostok"} <= set(find_time_zones(number.e164))
