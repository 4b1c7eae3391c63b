"""The window of our own unanswered requests."""

import pytest

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import WindowFull
from gateway.smpp.window import SEQUENCE_MAX, Entry, Window


def test_numbers_rise_from_one() -> None:
    window = Window(3)
    assert [window.register(v.SUBMIT_SM, name, 0.0) for name in "abc"] == [1, 2, 3]


def test_the_last_number_is_followed_by_one() -> None:
    window = Window(3, last_sequence=SEQUENCE_MAX - 1)
    assert [window.register(v.SUBMIT_SM, None, 0.0) for _ in range(2)] == [SEQUENCE_MAX, 1]


def test_numbers_in_use_are_skipped_after_the_wrap() -> None:
    window = Window(5, last_sequence=0)
    window.register(v.SUBMIT_SM, "old", 0.0)
    window.register(v.SUBMIT_SM, "old", 0.0)
    window._last = SEQUENCE_MAX
    assert window.register(v.SUBMIT_SM, "new", 1.0) == 3


def test_the_session_s_own_requests_share_the_numbers() -> None:
    window = Window(2)
    assert window.take_sequence() == 1
    assert window.register(v.SUBMIT_SM, None, 0.0) == 2
    assert window.take_sequence() == 3
    assert len(window) == 1


def test_a_full_window_refuses_and_takes_no_number() -> None:
    window = Window(1)
    window.register(v.SUBMIT_SM, None, 0.0)
    assert window.room == 0
    with pytest.raises(WindowFull):
        window.register(v.SUBMIT_SM, None, 0.0)
    window.resolve(1)
    assert window.register(v.SUBMIT_SM, None, 0.0) == 2


def test_an_answer_takes_its_request_out_once() -> None:
    window = Window(2)
    sequence = window.register(v.SUBMIT_SM, "context", 5.0)
    assert window.resolve(sequence) == Entry(sequence, v.SUBMIT_SM, "context", 5.0)
    assert window.resolve(sequence) is None
    assert window.room == 2


def test_an_answer_of_another_kind_takes_nothing_out() -> None:
    window = Window(2)
    sequence = window.register(v.SUBMIT_SM, "context", 5.0)
    assert window.resolve(sequence, v.DATA_SM) is None
    assert window.resolve(sequence, v.SUBMIT_SM) is not None


def test_overdue_requests_are_named_oldest_first_and_stay() -> None:
    window = Window(5)
    for sent_at in (1.0, 2.0, 3.0):
        window.register(v.SUBMIT_SM, sent_at, sent_at)
    assert [entry.context for entry in window.overdue(2.0)] == [1.0, 2.0]
    assert window.overdue(0.5) == []
    assert len(window) == 3


def test_the_oldest_is_the_one_that_waits_longest() -> None:
    window = Window(3)
    assert window.oldest_sent_at is None
    first = window.register(v.SUBMIT_SM, None, 1.0)
    window.register(v.SUBMIT_SM, None, 2.0)
    assert window.oldest_sent_at == 1.0
    window.resolve(first)
    assert window.oldest_sent_at == 2.0


def test_draining_hands_back_everything_in_order_once() -> None:
    window = Window(10)
    for name in "abcd":
        window.register(v.SUBMIT_SM, name, 0.0)
    window.resolve(2)
    assert [entry.context for entry in window.drain()] == ["a", "c", "d"]
    assert window.drain() == []
    assert window.room == 10
