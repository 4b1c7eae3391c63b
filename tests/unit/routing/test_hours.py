"""Times of the week in a zone, over midnights and changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers.tzdata import TIMEZONE_DATA

from gateway.errors import ConfigError
from gateway.routing.hours import DAYS, WEEK_MINUTES, parse_hours

MONDAY = datetime(2027, 1, 18, tzinfo=UTC)


def at(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


@pytest.mark.parametrize(
    ("windows", "inside", "outside"),
    [
        (["mon-fri 08:00-20:00"], "2027-01-18T08:00Z", "2027-01-18T20:00Z"),
        (["mon-fri 08:00-20:00"], "2027-01-22T19:59Z", "2027-01-23T12:00Z"),
        (["sat"], "2027-01-23T00:00Z", "2027-01-24T00:00Z"),
        (["22:00-06:00"], "2027-01-18T05:59Z", "2027-01-18T06:00Z"),
        (["sun 22:00-06:00"], "2027-01-18T05:59Z", "2027-01-19T05:59Z"),
        (["fri-mon 00:00-24:00"], "2027-01-18T23:59Z", "2027-01-19T00:00Z"),
        (["Sat 10:00-14:00", "SUN"], "2027-01-23T10:00Z", "2027-01-23T14:00Z"),
    ],
)
def test_a_window_holds_from_its_first_minute_to_before_its_last(
    windows: list[str], inside: str, outside: str
) -> None:
    hours = parse_hours(windows, "UTC", "hours")
    assert hours.contain(at(inside))
    assert not hours.contain(at(outside))


def test_the_clock_on_the_wall_decides_in_summer_too() -> None:
    hours = parse_hours(["08:00-20:00"], "Europe/Berlin", "hours")
    assert not hours.contain(at("2027-01-18T06:30Z"))
    assert hours.contain(at("2027-07-19T06:30Z"))


def test_overlapping_windows_count_once() -> None:
    hours = parse_hours(["mon 08:00-12:00", "mon 10:00-14:00", "mon 14:00-15:00"], "UTC", "hours")
    assert hours.spans == ((8 * 60, 15 * 60),)
    assert hours.written == "mon 08:00-12:00, mon 10:00-14:00, mon 14:00-15:00 UTC"


@pytest.mark.parametrize(
    "window",
    ["", "monday", "mon-", "8:00-20:00", "08:00", "mon 08:00-08:00", "24:00-02:00", "08:00-24:30"],
)
def test_what_is_no_window_is_named(window: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_hours([window], "UTC", "route[1].hours")
    assert caught.value.key == "route[1].hours"
    assert repr(window) in caught.value.detail


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "../etc/passwd", "CEST+1"])
def test_what_is_no_zone_is_named(zone: str) -> None:
    with pytest.raises(ConfigError, match="is no time zone like Europe/Berlin"):
        parse_hours(["mon"], zone, "route[1].time_zone")


def test_the_recipients_clock_decides_where_that_is_asked() -> None:
    hours = parse_hours(["08:00-20:00"], "recipient", "hours")
    noon_in_new_york = at("2027-01-18T17:00Z")
    assert hours.contain(noon_in_new_york, ["America/New_York"])
    assert not hours.contain(noon_in_new_york, ["Asia/Tokyo"])
    assert hours.written == "08:00-20:00 where the recipient is"


def test_hours_hold_in_each_zone_in_which_a_recipient_may_be() -> None:
    hours = parse_hours(["08:00-20:00"], "recipient", "hours")
    russia = ["Europe/Kaliningrad", "Asia/Vladivostok"]
    assert hours.contain(at("2027-01-18T08:00Z"), russia)  # 10:00 and 18:00
    assert not hours.contain(at("2027-01-18T12:00Z"), russia)  # 14:00 and 22:00


def test_nobody_is_within_hours_whose_clock_nobody_knows() -> None:
    assert not parse_hours(["mon-sun"], "recipient", "hours").contain(at("2027-01-18T12:00Z"), [])


def test_recipients_hours_are_apart_from_each_other_and_from_no_zone() -> None:
    day, night = (
        parse_hours([window], "recipient", "hours") for window in ("08:00-20:00", "20:00-08:00")
    )
    assert day.apart_from(night)
    assert not day.apart_from(day)
    assert not day.apart_from(parse_hours(["20:00-08:00"], "UTC", "hours"))


def test_every_zone_that_numbers_lead_to_is_known_here() -> None:
    assert {zone for zones in TIMEZONE_DATA.values() for zone in zones} <= available_timezones()


_minutes = st.integers(0, 1_439).map(lambda m: f"{m // 60:02}:{m % 60:02}")


@given(
    st.sampled_from(DAYS), st.sampled_from(DAYS), _minutes, _minutes, st.integers(0, WEEK_MINUTES)
)
def test_a_window_holds_as_a_calendar_would_say(
    first: str, last: str, opens: str, closes: str, minute: int
) -> None:
    if opens == closes:
        return
    hours = parse_hours([f"{first}-{last} {opens}-{closes}"], "UTC", "hours")
    now = MONDAY + timedelta(minutes=minute)
    days = [DAYS.index(first)]
    while days[-1] != DAYS.index(last):
        days.append((days[-1] + 1) % 7)
    time, today = now.strftime("%H:%M"), now.weekday()
    if opens < closes:
        expected = today in days and opens <= time < closes
    else:
        expected = (today in days and time >= opens) or ((today - 1) % 7 in days and time < closes)
    assert hours.contain(now.timestamp()) is expected


@given(
    st.lists(
        st.sampled_from(["mon", "tue 08:00-12:00", "tue 11:00-13:00", "sun 23:00-01:00"]),
        min_size=1,
        max_size=2,
    ),
    st.lists(
        st.sampled_from(["mon 00:00-00:30", "tue", "wed", "tue 12:00-12:30"]),
        min_size=1,
        max_size=2,
    ),
)
def test_hours_that_are_apart_share_no_minute(one: list[str], other: list[str]) -> None:
    a, b = parse_hours(one, "UTC", "hours"), parse_hours(other, "UTC", "hours")
    minutes = [(MONDAY + timedelta(minutes=m)).timestamp() for m in range(0, WEEK_MINUTES, 30)]
    assert a.apart_from(b) is not any(a.contain(m) and b.contain(m) for m in minutes)
    assert not a.apart_from(parse_hours(other, "Europe/Berlin", "hours"))
