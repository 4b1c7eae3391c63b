from __future__ import annotations

from datetime import UTC, date, datetime

from bench.growth.fill import Day
from gateway.store.partitions import ids_of


def test_a_day_begins_at_midnight_utc() -> None:
    day = Day(date(2026, 3, 1), 3_600_000, 10)
    assert day.start_ms == datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000


def test_the_ids_of_a_day_lie_in_its_partition() -> None:
    day = Day(date(2026, 3, 1), 86_399_999, 1_000_000)
    first, end = ids_of(day.day)
    assert first <= day.id_at(1) < day.id_at(500_000) < day.id_at(1_000_000) < end


def test_ids_are_unique_also_when_many_share_a_millisecond() -> None:
    day = Day(date(2026, 3, 1), 100, 10_000)
    assert len({day.id_at(number) for number in range(1, 10_001)}) == 10_000
