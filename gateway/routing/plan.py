"""Numbering plans: which digits after a calling code are a number, and of which country.

The facts are `phonenumbers`' metadata; only the way they are asked differs. Its own functions take
about 55 µs a number, because they walk every region and every type of number one by one. Here all
the rules that can apply to a length are joined into one regular expression, compiled when the
first number of that calling code and length comes by (the worst takes 7 ms, all of them together
0.4 s), after which an answer takes 0.3 to 0.8 µs. What a number is used for is a second such
expression, about as fast. A test holds both to the same answers.

Not here: how people write numbers (`numbers.py`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    REGION_CODE_FOR_NON_GEO_ENTITY,
    PhoneMetadata,
    PhoneNumberDesc,
)

CALLING_CODE_DIGITS_MAX: Final = 3
"""ITU-T E.164 §6.2.1; no calling code begins with another one or with 0."""

NATIONAL_DIGITS_MAX: Final = 17
"""The longest national number in any plan (Germany, Indonesia, Japan go beyond E.164's 15)."""


class NumberType(enum.StrEnum):
    """What a number is used for, as far as its digits tell."""

    FIXED_LINE = "fixed_line"
    MOBILE = "mobile"
    FIXED_LINE_OR_MOBILE = "fixed_line_or_mobile"
    """Where the digits don't tell the two apart, as in North America."""
    TOLL_FREE = "toll_free"
    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    VOIP = "voip"
    PERSONAL_NUMBER = "personal_number"
    PAGER = "pager"
    UAN = "uan"
    """A company's number that leads to whichever of its places."""
    VOICEMAIL = "voicemail"
    UNKNOWN = "unknown"


class Allocation(NamedTuple):
    """Whose number it is."""

    country: str
    """ISO 3166 alpha-2; "" where a calling code belongs to no country (satellite, freephone)."""
    mobile: bool
    """Whether it looks like a mobile number there: nearly every number that is asked about does,
    and need not be asked for its type. A test holds that to the type."""


class _Rules(NamedTuple):
    """What a national number of one length has to look like."""

    allocations: re.Pattern[str]
    """Matches when the number belongs to a country of the plan; the last group's name says which,
    and whether it looks like a mobile number."""
    meanings: dict[str | None, Allocation]
    validity: dict[str, re.Pattern[str] | None]
    """The second question for countries that `allocations` tells apart by leading digits alone;
    its only group is a mobile number. None when such a country has no number of this length."""


class NumberingPlan:
    """All countries behind one calling code. Use `find_plan`, which keeps one of each."""

    __slots__ = (
        "_general",
        "_prefix",
        "_prefix_rule",
        "_regions",
        "_rules",
        "_types",
        "calling_code",
        "calling_code_digits",
        "lengths",
        "lengths_possible",
    )

    def __init__(self, calling_code: int) -> None:
        self.calling_code = calling_code
        self.calling_code_digits = len(str(calling_code))
        self._regions = _read_regions(calling_code)
        main = self._regions[0]
        # The plan's first region speaks for all of them where no region is known yet: that is
        # how the metadata is written (national prefixes, possible lengths).
        self.lengths_possible = _lengths(main.general_desc)
        self.lengths = frozenset[int]().union(*(_lengths(r.general_desc) for r in self._regions))
        prefix = main.national_prefix_for_parsing
        self._prefix = re.compile(prefix, re.ASCII) if prefix else None
        self._prefix_rule = main.national_prefix_transform_rule or ""
        self._general = re.compile(_pattern(main.general_desc) or r"(?!)", re.ASCII)
        self._rules: dict[int, _Rules] = {}
        self._types: dict[tuple[str, int], re.Pattern[str]] = {}

    def strip_prefix(self, national: str) -> str:
        """Return the number without the trunk prefix that is dialled inside the country only.

        "+44 (0)7911 …" and Argentina's "+54 11 15 …" for "+54 9 11 …" are how people write.
        """
        if self._prefix is None or (match := self._prefix.match(national)) is None:
            return national
        # A rule applies only when its last group took part; otherwise the prefix just goes.
        if self._prefix_rule and match.group(self._prefix.groups) is not None:
            stripped = match.expand(self._prefix_rule) + national[match.end() :]
        else:
            stripped = national[match.end() :]
        spoilt = self._general.fullmatch(national) and not self._general.fullmatch(stripped)
        # What is left has to have a possible length, or the digits were no prefix.
        overlong = len(stripped) > max(self.lengths_possible)
        if spoilt or (len(stripped) not in self.lengths_possible and not overlong):
            return national
        return stripped

    def find_allocation(self, national: str) -> Allocation | None:
        """Return whose valid number this is; None when it is no valid number."""
        length = len(national)
        rules = self._rules.get(length)
        if rules is None:
            if length not in self.lengths:
                return None
            rules = self._rules[length] = self._compile(length)
        match = rules.allocations.match(national)
        if match is None:
            return None
        named = match.lastgroup
        if named in rules.validity:
            pattern = rules.validity[named]
            second = None if pattern is None else pattern.match(national)
            return None if second is None else Allocation(named, second.lastindex is not None)
        return rules.meanings[named]

    def type_of(self, national: str, country: str) -> NumberType:
        """Return what a valid number of this country is used for."""
        key = (country, len(national))
        pattern = self._types.get(key)
        if pattern is None:
            pattern = self._types[key] = self._compile_types(country, len(national))
        match = pattern.match(national)
        return NumberType.UNKNOWN if match is None else _TYPES[match.lastindex or 0]

    def likely_country(self, national: str) -> str:
        """Return the country of an invalid number: by its leading digits, else the main one."""
        for region in self._regions:
            if region.leading_digits and re.match(region.leading_digits, national):
                return _country(region)
        return _country(self._regions[0])

    def _compile(self, length: int) -> _Rules:
        alternatives: list[str] = []
        meanings: dict[str | None, Allocation] = {}
        validity: dict[str, re.Pattern[str] | None] = {}
        for region in self._regions:
            mobile, others = _patterns_of_length(region, length)
            country = _country(region)
            # A region alone in its plan needs no telling apart.
            if region.leading_digits and len(self._regions) > 1:
                alternatives.append(f"(?P<{country}>{region.leading_digits})")
                numbers = "|".join(filter(None, (f"({mobile})" if mobile else "", others)))
                validity[country] = re.compile(numbers, re.ASCII) if numbers else None
                continue
            for name, numbers in ((f"{country or '_'}_mobile", mobile), (country or "_", others)):
                if numbers:
                    alternatives.append(f"(?P<{name}>{numbers})")
                    meanings[name] = Allocation(country, numbers is mobile)
        # Alternatives are tried in their order and the first that matches is taken, which is the
        # order in which the metadata wants its regions asked.
        allocations = re.compile("|".join(alternatives) or r"(?!)", re.ASCII)
        assert allocations.groups == len(allocations.groupindex), "a pattern brought its own group"
        return _Rules(allocations, meanings, validity)

    def _compile_types(self, country: str, length: int) -> re.Pattern[str]:
        region = next((r for r in self._regions if _country(r) == country), None)
        if region is None or length not in _lengths(region.general_desc):
            return re.compile(r"(?!)")
        fixed, mobile = (_type_pattern(d, length) for d in (region.fixed_line, region.mobile))
        # In the order of _TYPES: where two apply, the dearer one is told.
        patterns = [_type_pattern(getattr(region, name), length) for name in _DISTINCT]
        patterns += [f"(?={fixed}){mobile}", fixed, mobile]
        alternatives = "|".join(f"({pattern})" for pattern in patterns)
        general = _pattern(region.general_desc) or r"(?!)"
        types = re.compile(rf"(?=(?:{general})\Z)(?:{alternatives})", re.ASCII)
        assert types.groups == len(_TYPES) - 1, "a pattern brought its own group"
        return types


_DISTINCT: Final = (
    *("premium_rate", "toll_free", "shared_cost", "voip"),
    *("personal_number", "pager", "uan", "voicemail"),
)
_TYPES: Final = (
    NumberType.UNKNOWN,
    *(NumberType(name) for name in _DISTINCT),
    NumberType.FIXED_LINE_OR_MOBILE,
    NumberType.FIXED_LINE,
    NumberType.MOBILE,
)

_plans: dict[str, NumberingPlan] = {}
# The first three digits of a number → its plan: one lookup instead of three. Filled as numbers
# come by; at most 1,000 keys, as only known calling codes are kept.


def find_plan(digits: str) -> NumberingPlan | None:
    """Return the plan of the calling code with which these international digits begin."""
    key = digits[:CALLING_CODE_DIGITS_MAX]
    plan = _plans.get(key)
    if plan is None:
        plan = _find_plan_slowly(key)
        if plan is not None and len(key) == CALLING_CODE_DIGITS_MAX:
            _plans[key] = plan
    return plan


def _find_plan_slowly(key: str) -> NumberingPlan | None:
    if not key or key[0] == "0":
        return None
    for size in range(1, len(key) + 1):
        calling_code = int(key[:size])
        if calling_code in COUNTRY_CODE_TO_REGION_CODE:
            known = (p for p in _plans.values() if p.calling_code == calling_code)
            return next(known, None) or NumberingPlan(calling_code)
    return None


def _read_regions(calling_code: int) -> tuple[PhoneMetadata, ...]:
    found = (
        PhoneMetadata.metadata_for_region_or_calling_code(calling_code, region)
        for region in COUNTRY_CODE_TO_REGION_CODE[calling_code]
    )
    regions = tuple(region for region in found if region is not None)
    assert regions, f"+{calling_code} has no metadata"
    return regions


def _country(region: PhoneMetadata) -> str:
    return "" if region.id == REGION_CODE_FOR_NON_GEO_ENTITY else region.id


def _pattern(kind: PhoneNumberDesc | None) -> str:
    return (kind.national_number_pattern if kind else None) or ""


def _lengths(kind: PhoneNumberDesc | None) -> frozenset[int]:
    lengths = kind.possible_length if kind else ()
    return frozenset(lengths or range(2, NATIONAL_DIGITS_MAX + 1))


def _type_pattern(kind: PhoneNumberDesc | None, length: int) -> str:
    """Return what numbers of one type and length look like; matches nothing if there are none."""
    numbers = _pattern(kind)
    return rf"(?:{numbers})\Z" if numbers and length in _lengths(kind) else r"(?!)"


def _patterns_of_length(region: PhoneMetadata, length: int) -> tuple[str, str]:
    """Join what numbers of this length look like, mobile ones and all others; "" for none."""
    general = _pattern(region.general_desc)
    if not general or length not in _lengths(region.general_desc):
        return "", ""
    others = (
        region.fixed_line,
        region.premium_rate,
        region.toll_free,
        region.shared_cost,
        region.voip,
        region.personal_number,
        region.pager,
        region.uan,
        region.voicemail,
    )
    mobile, rest = _fitting((region.mobile,), length), _fitting(others, length)
    head = rf"(?=(?:{general})\Z)"
    return (
        rf"{head}(?:{'|'.join(mobile)})\Z" if mobile else "",
        rf"{head}(?:{'|'.join(rest)})\Z" if rest else "",
    )


def _fitting(kinds: Iterable[PhoneNumberDesc | None], length: int) -> list[str]:
    patterns = (_pattern(kind) for kind in kinds if kind and length in _lengths(kind))
    return list(dict.fromkeys(filter(None, patterns)))


def calling_code_of(country: str) -> str:
    """Return the digits with which a country's numbers begin; "" for no country of ours."""
    for code, countries in COUNTRY_CODE_TO_REGION_CODE.items():
        if country in countries:
            return str(code)
    return ""


def main_country_of(prefix: str) -> str:
    """Return the country whose numbers begin so, the main one where several share the code."""
    for length in range(1, CALLING_CODE_DIGITS_MAX + 1):
        countries = COUNTRY_CODE_TO_REGION_CODE.get(int(prefix[:length] or 0))
        if countries and countries[0] != REGION_CODE_FOR_NON_GEO_ENTITY:
            return countries[0]
    return ""
