"""Recipients' numbers: from what people write to E.164 digits, or the reason why not.

Digits without a plus sign are international ("447911123456"), as SMS interfaces have always taken
them. About 1.5 µs a number; see `plan.py` for how.

Not here: operators and ported numbers (tables of their own), senders (`sender.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Final, Literal

import phonenumbers

from gateway.record import Record
from gateway.routing.plan import NATIONAL_DIGITS_MAX, NumberingPlan, find_plan
from gateway.routing.plan import NumberType as NumberType

Strictness = Literal["valid", "possible"]
"""`valid`: the digits are allocated to numbers. `possible`: the length alone is right; for ranges
that are newer than the metadata, and for fictional ones (+44 7700 900xxx) in tests."""

RAW_CHARS_MAX: Final = 64
"""The longest number with every separator between its digits fits twice."""


class Reason(enum.StrEnum):
    """Why a recipient or a sender can't be used: stable words for programs."""

    EMPTY = "number_empty"
    LETTERS = "number_not_digits"
    TOO_SHORT = "number_too_short"
    TOO_LONG = "number_too_long"
    UNKNOWN_CALLING_CODE = "number_unknown_calling_code"
    IMPOSSIBLE_LENGTH = "number_impossible_length"
    NOT_VALID = "number_not_valid"
    FIXED_LINE = "number_fixed_line"
    FIXED_LINE_OR_MOBILE = "number_fixed_line_or_mobile"
    MOBILE = "number_mobile"
    TOLL_FREE = "number_toll_free"
    PREMIUM_RATE = "number_premium_rate"
    SHARED_COST = "number_shared_cost"
    VOIP = "number_voip"
    PERSONAL_NUMBER = "number_personal_number"
    PAGER = "number_pager"
    UAN = "number_uan"
    VOICEMAIL = "number_voicemail"
    TYPE_UNKNOWN = "number_type_unknown"
    SENDER_EMPTY = "sender_empty"
    SENDER_TOO_SHORT = "sender_too_short"
    SENDER_TOO_LONG = "sender_too_long"
    SENDER_ALPHABET = "sender_alphabet"
    SENDER_AT_SIGN = "sender_at_sign"
    SENDER_MISSING = "sender_missing"
    SENDER_KIND = "sender_kind_not_allowed"
    SENDER_NOT_REGISTERED = "sender_not_registered"


class Number(Record):
    """A number that a message can be sent to."""

    __slots__ = ("calling_code", "country", "e164", "mobile")

    def __init__(self, e164: str, calling_code: int, country: str, mobile: bool = False) -> None:
        self.e164: Final = e164
        """International digits without the plus sign."""
        self.calling_code: Final = calling_code
        self.country: Final = country
        """ISO 3166 alpha-2; "" when the calling code belongs to no country."""
        self.mobile: Final = mobile
        """Whether it surely is a mobile number, or of a plan that does not tell them apart: what
        can be known without asking for its type."""


class Ineligible(Record):
    """Why something can't be used: a word for programs, a sentence for people."""

    __slots__ = ("code", "country", "detail")

    def __init__(self, code: Reason, detail: str, country: str = "") -> None:
        self.code: Final = code
        self.detail: Final = detail
        self.country: Final = country
        """Whose number it would have been, where its calling code tells."""


MOBILE_TYPES: Final = frozenset({NumberType.MOBILE, NumberType.FIXED_LINE_OR_MOBILE})

TYPE_REASONS: Final = {
    kind: Reason.TYPE_UNKNOWN if kind is NumberType.UNKNOWN else Reason[kind.name]
    for kind in NumberType
}

_DESCRIPTIONS: Final = {
    NumberType.FIXED_LINE: "of a fixed line",
    NumberType.MOBILE: "of a mobile phone",
    NumberType.FIXED_LINE_OR_MOBILE: "of a fixed line or a mobile phone",
    NumberType.TOLL_FREE: "toll-free",
    NumberType.PREMIUM_RATE: "a premium rate number",
    NumberType.SHARED_COST: "of shared cost",
    NumberType.VOIP: "of internet telephony",
    NumberType.PERSONAL_NUMBER: "a personal number, which leads elsewhere at its callers' cost",
    NumberType.PAGER: "of a pager",
    NumberType.UAN: "a company's universal access number",
    NumberType.VOICEMAIL: "of a voice mailbox",
    NumberType.UNKNOWN: "of no known use",
}


def parse_number(
    raw: str, strictness: Strictness = "valid", default_country: str = ""
) -> Number | Ineligible:
    """Return the number that `raw` writes, in any of the international forms.

    Spaces, dashes, dots and parentheses are skipped; "+" and "00" mean the same and may both be
    missing. A national form ("07911 123456") is taken only with a `default_country`.
    """
    digits = raw[1:] if raw[:1] == "+" else raw
    if not (digits.isascii() and digits.isdigit()) or digits[0] == "0":
        cleaned = _clean(raw, default_country)
        if not isinstance(cleaned, str):
            return cleaned
        digits = cleaned
    plan = find_plan(digits)
    if plan is None:
        return _no_plan(digits)
    national = digits[plan.calling_code_digits :]
    stripped = plan.strip_prefix(national)
    if stripped is not national:
        digits = digits[: plan.calling_code_digits] + stripped
        national = stripped
    allocation = plan.find_allocation(national)
    if allocation is None:
        if strictness == "valid" or len(national) not in plan.lengths_possible:
            return _invalid(plan, national)
        return Number(digits, plan.calling_code, plan.likely_country(national))
    return Number(digits, plan.calling_code, allocation.country, allocation.mobile)


def number_type(number: Number) -> NumberType:
    """Return what the number is used for, in 0.5 to 1 µs.

    UNKNOWN for a number that is possible but not valid.
    """
    plan = find_plan(number.e164)
    assert plan is not None, "a number has a plan"
    return plan.type_of(number.e164[plan.calling_code_digits :], number.country)


def find_time_zones(e164: str) -> tuple[str, ...]:
    """Return the IANA names of the zones in which a number's phone may be; () if nobody knows.

    More than one where digits don't tell: a mobile number of a wide country has all of its zones.
    About 25 µs, and 3 ms for the first one, which loads the table.
    """
    from phonenumbers import timezone

    zones = timezone.time_zones_for_number(phonenumbers.parse("+" + e164))
    return tuple(zone for zone in zones if zone != timezone.UNKNOWN_TIMEZONE)


def check_type(number: Number, refused: Collection[NumberType]) -> Ineligible | None:
    """Say why no text is sent to a number of this type; None when it may be.

    Whoever refuses none of MOBILE_TYPES need not ask for a number that is surely `mobile`.
    """
    kind = number_type(number)
    if kind not in refused:
        return None
    return Ineligible(TYPE_REASONS[kind], f"the number is {_DESCRIPTIONS[kind]}", number.country)


_SEPARATORS: Final = dict.fromkeys(
    map(
        ord,
        " \t-.()"
        "\u00a0\u2007\u2009\u202f"  # spaces that typesetting puts into numbers
        "\u2010\u2011\u2012\u2013\u2014\u2212"  # hyphens, dashes, minus
        "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff",
        # … and what comes along invisibly when a number is copied from a contact or a web page
    )
)


def strip_separators(raw: str) -> str:
    """Return what was written without the characters that only make numbers readable."""
    return raw.translate(_SEPARATORS)


def _clean(raw: str, default_country: str) -> str | Ineligible:
    """Return the international digits of a number that isn't written as bare digits."""
    if len(raw) > RAW_CHARS_MAX:
        return Ineligible(Reason.TOO_LONG, f"a number has at most {RAW_CHARS_MAX} characters")
    written = strip_separators(raw)
    digits = written.removeprefix("+")
    if not digits:
        return Ineligible(Reason.EMPTY, "the number is empty")
    if not (digits.isascii() and digits.isdigit()):
        return Ineligible(
            Reason.LETTERS,
            "a number is written with the digits 0-9, an optional leading + and separators",
        )
    if written[0] != "0":
        return digits
    if digits.startswith("00"):
        return digits[2:]
    # A single leading 0 begins no international number, so this can't be taken for one.
    calling_code = phonenumbers.country_code_for_region(default_country) if default_country else 0
    return f"{calling_code}{digits}" if calling_code else digits


def _no_plan(digits: str) -> Ineligible:
    if len(digits) < 3:
        return Ineligible(Reason.TOO_SHORT, "the number has too few digits for a calling code")
    hint = ""
    if digits[0] == "0":
        hint = "; write the number with its country's calling code first, like +44 7911 123456"
    return Ineligible(
        Reason.UNKNOWN_CALLING_CODE, f"no calling code begins with {digits[:3]}{hint}"
    )


def _invalid(plan: NumberingPlan, national: str) -> Ineligible:
    size = len(national)
    code, lengths = plan.calling_code, plan.lengths
    country = plan.likely_country(national)
    if size < min(lengths):
        return Ineligible(
            Reason.TOO_SHORT,
            f"a number of +{code} has at least {min(lengths)} digits after it, this one {size}",
            country,
        )
    if size > max(lengths):
        return Ineligible(
            Reason.TOO_LONG,
            f"a number of +{code} has at most {max(lengths)} digits after it, this one {size}",
            country,
        )
    if size not in lengths:
        allowed = ", ".join(map(str, sorted(lengths)))
        return Ineligible(
            Reason.IMPOSSIBLE_LENGTH,
            f"a number of +{code} has {allowed} digits after it, this one {size}",
            country,
        )
    return Ineligible(
        Reason.NOT_VALID,
        f"the length is right, but +{code} has no such range of numbers in use",
        country,
    )


assert NATIONAL_DIGITS_MAX + 3 <= 20, "SMPP's address fields hold 20 digits"
