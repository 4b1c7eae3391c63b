"""What routes ask of a message beyond its destination and account, from the most specific on.

Each condition is one entry of CONDITIONS: whether a route names it, whether a message meets it,
how that is told, and whether two routes that name it can ever take the same message. The order of
the entries is the order of specificity.

Not here: destinations and accounts, which are looked up and not tried one by one (`table.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NamedTuple

from gateway.model import AccountId, Encoding, Lane
from gateway.routing.numbers import find_time_zones
from gateway.routing.route import Route
from gateway.routing.sender import Sender
from gateway.routing.texts import belongs, matches

Size = tuple[Encoding, int]
"""An encoding, and how many segments."""


class Traits:
    """What of one message routes can ask about. What takes time is found when somebody asks."""

    __slots__ = (
        "_find_operator",
        "_measure",
        "_operator",
        "_size",
        "_time_zones",
        "account_id",
        "at",
        "country",
        "e164",
        "lane",
        "sender",
        "tag",
        "text",
    )

    def __init__(
        self,
        *,
        e164: str,
        country: str,
        account_id: AccountId,
        sender: Sender,
        text: str,
        lane: Lane,
        tag: str,
        at: float,
        find_operator: Callable[[str], str],
        measure: Callable[[], Size],
    ) -> None:
        """`at` is the wall-clock time at which it may leave; `measure` says how a carrier without
        a style of its own is sent it, and may raise what is wrong with the text."""
        self.e164 = e164
        self.country = country
        self.account_id = account_id
        self.sender = sender
        self.text = text
        self.lane = lane
        self.tag = tag
        self.at = at
        self._find_operator = find_operator
        self._measure = measure
        self._operator: str | None = None
        self._size: Size | None = None
        self._time_zones: tuple[str, ...] | None = None

    @property
    def operator(self) -> str:
        """The code of the number's operator; "" when nobody knows it."""
        if self._operator is None:
            self._operator = self._find_operator(self.e164)
        return self._operator

    @property
    def size(self) -> Size:
        if self._size is None:
            self._size = self._measure()
        return self._size

    @property
    def time_zones(self) -> tuple[str, ...]:
        """In which the number's phone may be; see `find_time_zones`."""
        if self._time_zones is None:
            self._time_zones = find_time_zones(self.e164)
        return self._time_zones


class Condition(NamedTuple):
    """One kind of thing that routes ask."""

    name: str
    is_named: Callable[[Route], bool]
    holds: Callable[[Route, Traits], bool]
    tell: Callable[[Route, Traits, bool], str]
    """Say why it holds, or why not."""
    apart: Callable[[Route, Route], bool]
    """Whether no message meets it for both of two routes that name it; what can't be known is no.
    """


def _among(
    name: str,
    wanted_of: Callable[[Route], Collection[Any]],
    value_of: Callable[[Traits], Any],
    show: Callable[[Any], str] = str,
) -> Condition:
    """Return the condition that something of a message is one of the values of a route."""

    def tell(route: Route, traits: Traits, holds: bool) -> str:
        value = show(value_of(traits))
        if holds:
            return f"{name} is {value}"
        return f"{name} is {value or 'not given'}, not {_one_of(map(show, wanted_of(route)))}"

    return Condition(
        name,
        lambda route: bool(wanted_of(route)),
        lambda route, traits: value_of(traits) in wanted_of(route),
        tell,
        lambda one, other: set(wanted_of(one)).isdisjoint(wanted_of(other)),
    )


def _one_of(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _pattern_holds(route: Route, traits: Traits) -> bool:
    return route.pattern is not None and matches(route.pattern, traits.text)


def _tell_pattern(route: Route, _traits: Traits, holds: bool) -> str:
    return f"text {'matches' if holds else 'does not match'} {route.pattern_written}"


def _texts_hold(route: Route, traits: Traits) -> bool:
    return any(belongs(traits.text, text_class) for text_class in route.texts)


def _tell_texts(route: Route, _traits: Traits, holds: bool) -> str:
    return f"text {'is' if holds else 'is not'} of class {_one_of(route.texts)}"


def _segments_hold(route: Route, traits: Traits) -> bool:
    segments = traits.size[1]
    return route.segments_min <= segments and not 0 < route.segments_max < segments


def _tell_segments(route: Route, traits: Traits, holds: bool) -> str:
    least, most = route.segments_min or 1, route.segments_max or "more"
    segments = traits.size[1]
    said = f"{segments} segment{'' if segments == 1 else 's'}"
    return f"{said} {'is' if holds else 'is not'} {least} to {most}"


def _segments_apart(one: Route, other: Route) -> bool:
    return any(0 < a.segments_max < b.segments_min for a, b in ((one, other), (other, one)))


def _hours_hold(route: Route, traits: Traits) -> bool:
    hours = route.hours
    if hours is None:
        return False
    return hours.contain(traits.at, traits.time_zones if hours.zone is None else ())


def _tell_hours(route: Route, traits: Traits, holds: bool) -> str:
    assert route.hours is not None
    if route.hours.zone is None and not traits.time_zones:
        return "nobody knows the recipient's time zone"
    return f"time is {'in' if holds else 'not in'} {route.hours.written}"


def _hours_apart(one: Route, other: Route) -> bool:
    return one.hours is not None and other.hours is not None and one.hours.apart_from(other.hours)


def _never_apart(_one: Route, _other: Route) -> bool:
    """Some text may always meet both."""
    return False


CONDITIONS: Final = (
    _among("sender", lambda r: r.senders, lambda t: t.sender.address),
    _among("sender kind", lambda r: r.sender_kinds, lambda t: t.sender.kind, lambda k: str(k.wire)),
    Condition(
        "pattern", lambda r: r.pattern is not None, _pattern_holds, _tell_pattern, _never_apart
    ),
    Condition("text", lambda r: bool(r.texts), _texts_hold, _tell_texts, _never_apart),
    _among("tag", lambda r: r.tags, lambda t: t.tag),
    _among("lane", lambda r: r.lanes, lambda t: t.lane, lambda lane: str(lane.wire)),
    _among("encoding", lambda r: r.encodings, lambda t: t.size[0], lambda e: str(e.wire)),
    Condition(
        "segments",
        lambda r: bool(r.segments_min or r.segments_max),
        _segments_hold,
        _tell_segments,
        _segments_apart,
    ),
    Condition("hours", lambda r: r.hours is not None, _hours_hold, _tell_hours, _hours_apart),
)


def conditions_of(route: Route) -> tuple[Condition, ...]:
    """Return what a route asks, the most specific first."""
    return tuple([condition for condition in CONDITIONS if condition.is_named(route)])


def specificity_of(route: Route) -> tuple[bool, ...]:
    """Return which conditions a route names: of two that are alike up to here, the greater one is
    more specific."""
    return tuple([condition.is_named(route) for condition in CONDITIONS])


def may_coincide(one: Route, other: Route) -> bool:
    """Say whether some message may meet the conditions of two routes that name the same ones."""
    return not any(condition.apart(one, other) for condition in conditions_of(one))
