"""How many messages one number may get, on literal times."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import AccountId
from gateway.throttle import recipients as r
from gateway.throttle.recipients import HOUR_S, MINUTE_S, PerRecipient, Recipients

SHOP, BANK = AccountId(1), AccountId(2)
ANN, BOB = "447400123456", "353871234567"
NOW = 1_800_000_000.0


def test_so_many_a_minute_are_let_through_and_the_next_is_told_when() -> None:
    numbers = Recipients(PerRecipient(per_minute=3))
    assert [numbers.admit(SHOP, ANN, NOW + n) for n in range(3)] == [0.0] * 3
    assert numbers.admit(SHOP, ANN, NOW + 10) == pytest.approx(50.0)
    assert numbers.admit(SHOP, ANN, NOW + 59) == pytest.approx(1.0)
    assert numbers.admit(SHOP, ANN, NOW + 60) == 0.0
    assert numbers.admit(SHOP, ANN, NOW + 60) == pytest.approx(1.0)


def test_the_hour_counts_beside_the_minute() -> None:
    numbers = Recipients(PerRecipient(per_minute=1, per_hour=3))
    for n in range(3):
        assert numbers.admit(SHOP, ANN, NOW + n * 60) == 0.0
    assert numbers.admit(SHOP, ANN, NOW + 180) == pytest.approx(HOUR_S - 180)
    assert numbers.admit(SHOP, ANN, NOW + HOUR_S) == 0.0


def test_what_was_refused_is_not_counted() -> None:
    numbers = Recipients(PerRecipient(per_minute=1))
    numbers.admit(SHOP, ANN, NOW)
    for n in range(1, 60):
        assert numbers.admit(SHOP, ANN, NOW + n) == pytest.approx(60.0 - n)
    assert numbers.admit(SHOP, ANN, NOW + 60) == 0.0


def test_other_numbers_and_other_accounts_are_counted_apart() -> None:
    numbers = Recipients(PerRecipient(per_hour=1))
    assert numbers.admit(SHOP, ANN, NOW) == 0.0
    assert numbers.admit(SHOP, BOB, NOW) == 0.0
    assert numbers.admit(BANK, ANN, NOW) == 0.0
    assert numbers.admit(BANK, ANN, NOW) > 0.0


def test_an_accounts_own_ceilings_stand_in_the_place_of_the_usual_ones() -> None:
    numbers = Recipients(PerRecipient(per_hour=1))
    numbers.use_own({BANK: PerRecipient(), SHOP: PerRecipient(-1, 2)})
    assert [bool(numbers.admit(BANK, ANN, NOW)) for _ in range(5)] == [False] * 5
    assert [bool(numbers.admit(SHOP, ANN, NOW)) for _ in range(3)] == [False, False, True]
    assert [bool(numbers.admit(AccountId(3), ANN, NOW)) for _ in range(2)] == [False, True]


def test_what_an_account_leaves_open_is_as_is_usual() -> None:
    numbers = Recipients(PerRecipient(per_minute=1))
    numbers.use_own({SHOP: PerRecipient(-1, 2)})
    assert [bool(numbers.admit(SHOP, ANN, NOW + n)) for n in (0, 1, 61, 122)] == [
        *(False, True, False, True)
    ]
    numbers.use(PerRecipient())
    assert [bool(numbers.admit(SHOP, BOB, NOW + n)) for n in (0, 1, 2)] == [False, False, True]


def test_nobody_is_asked_where_nobody_has_a_ceiling() -> None:
    numbers = Recipients(PerRecipient())
    assert not numbers.active
    numbers.use_own({SHOP: PerRecipient(-1, -1)})
    assert not numbers.active
    numbers.use_own({SHOP: PerRecipient(per_hour=1)})
    assert numbers.active
    numbers.use_own({})
    assert not numbers.active
    numbers.use(PerRecipient(per_minute=1))
    assert numbers.active


def test_other_ceilings_go_on_from_what_was_counted() -> None:
    numbers = Recipients(PerRecipient(per_hour=5))
    for _ in range(3):
        numbers.admit(SHOP, ANN, NOW)
    numbers.use(PerRecipient(per_hour=3))
    assert numbers.admit(SHOP, ANN, NOW + 1) == pytest.approx(HOUR_S - 1)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_came_to_nothing_is_taken_back(count: int) -> None:
    numbers = Recipients(PerRecipient(per_hour=count))
    for n in range(count):
        numbers.admit(SHOP, ANN, NOW + n)
    assert numbers.admit(SHOP, ANN, NOW + 9) > 0.0
    numbers.take_back(SHOP, ANN, NOW + count - 1)
    assert numbers.admit(SHOP, ANN, NOW + 9) == 0.0
    assert numbers.admit(SHOP, ANN, NOW + 9) > 0.0
    numbers.take_back(SHOP, BOB, NOW)
    numbers.take_back(SHOP, ANN, NOW + 100)


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    numbers = Recipients(PerRecipient(per_minute=1))
    numbers.admit(SHOP, ANN, NOW)
    assert numbers.admit(SHOP, ANN, NOW - 7_200) == 0.0
    assert numbers.admit(SHOP, ANN, NOW - 7_199) == pytest.approx(59.0)


def test_a_campaign_does_not_wash_away_who_got_several() -> None:
    forgotten: list[int] = []
    numbers = Recipients(PerRecipient(per_hour=3), forgotten.append)
    for n in range(3):
        numbers.admit(SHOP, ANN, NOW + n)
    for n in range(3 * r.ONCE_MAX):
        assert numbers.admit(SHOP, str(490_000_000_000 + n), NOW + 10 + n / 1_000) == 0.0
    assert sum(forgotten) > 0
    assert numbers.admit(SHOP, ANN, NOW + 400) > 0.0


def test_memory_is_bounded_however_many_numbers_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(r, "ONCE_MAX", 1_000)
    monkeypatch.setattr(r, "SEVERAL_MAX", 1_000)
    monkeypatch.setattr(r, "TIMES_MAX", 4_000)
    numbers = Recipients(PerRecipient(per_hour=1_000))
    tracemalloc.start()
    for n in range(40_000):
        number = str(490_000_000_000 + n // 2 % 20_000)
        numbers.admit(SHOP, number, NOW + n / 1_000)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 2_000_000


def test_one_number_with_thousands_costs_no_more_than_an_hour_of_them() -> None:
    numbers = Recipients(PerRecipient(per_minute=100))
    tracemalloc.start()
    for n in range(50_000):
        numbers.admit(SHOP, ANN, NOW + n)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 200_000


@settings(deadline=None)
@given(
    st.integers(0, 4),
    st.integers(0, 8),
    st.lists(
        st.tuples(st.floats(0.0, 1_500.0), st.sampled_from([ANN, BOB]), st.booleans()),
        max_size=120,
    ),
)
def test_no_minute_and_no_hour_sees_more_and_no_wait_is_too_long_or_too_short(
    per_minute: int, per_hour: int, course: list[tuple[float, str, bool]]
) -> None:
    numbers = Recipients(PerRecipient(per_minute, per_hour))
    now, let_through = NOW, {ANN: list[float](), BOB: list[float]()}
    for pause_s, number, patient in course:
        now += pause_s / 10
        wait_s = numbers.admit(SHOP, number, now)
        if wait_s and patient:
            now += wait_s + 1e-6
            wait_s = numbers.admit(SHOP, number, now)
            assert wait_s == 0.0, "the time that it named was too short"
        if not wait_s:
            let_through[number].append(now)
            continue
        of_minute = sum(at > now - MINUTE_S for at in let_through[number])
        of_hour = sum(at > now - HOUR_S for at in let_through[number])
        assert (per_minute and of_minute >= per_minute) or (per_hour and of_hour >= per_hour)
    for times in let_through.values():
        for span_s, most in ((MINUTE_S, per_minute), (HOUR_S, per_hour)):
            for at in times if most else ():
                assert sum(at - span_s < other <= at for other in times) <= most
