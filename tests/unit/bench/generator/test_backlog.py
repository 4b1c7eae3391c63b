from __future__ import annotations

from bench.generator.backlog import Backlog, Nothing, Request, Wait


def take(backlog: Backlog, now: float) -> Request:
    request = backlog.take(now)
    assert isinstance(request, Request)
    return request


def test_requests_hold_every_message_once_and_the_last_one_what_is_left() -> None:
    backlog = Backlog(7, 3, 0.0)
    numbers = [list(take(backlog, 0.0).numbers) for _ in range(3)]
    assert numbers == [[1, 2, 3], [4, 5, 6], [7]]
    assert backlog.take(0.0) is Nothing.LEFT


def test_numbers_may_begin_anywhere_without_changing_the_pace() -> None:
    backlog = Backlog(3, 2, 10.0, rate_per_s=2.0, first=101)
    first = take(backlog, 10.0)
    assert (list(first.numbers), first.intended_s) == ([101, 102], 10.0)
    assert backlog.take(10.5) == Wait(11.0)
    assert list(take(backlog, 11.0).numbers) == [103]
    assert backlog.take(12.0) is Nothing.LEFT


def test_in_a_closed_loop_a_request_is_due_when_it_is_taken() -> None:
    backlog = Backlog(2, 1, 0.0)
    assert take(backlog, 5.0).intended_s == 5.0
    assert take(backlog, 9.0).intended_s == 9.0


def test_in_an_open_loop_each_request_has_its_own_time() -> None:
    backlog = Backlog(3, 1, 100.0, rate_per_s=4.0)
    assert take(backlog, 100.0).intended_s == 100.0
    assert backlog.take(100.1) == Wait(100.25)
    assert take(backlog, 100.25).intended_s == 100.25


def test_in_an_open_loop_what_leaves_late_counts_from_its_own_time() -> None:
    backlog = Backlog(3, 1, 100.0, rate_per_s=4.0)
    assert [take(backlog, 150.0).intended_s for _ in range(3)] == [100.0, 100.25, 100.5]


def test_a_batch_is_due_at_the_rate_of_its_messages() -> None:
    backlog = Backlog(200, 100, 0.0, rate_per_s=50.0)
    take(backlog, 0.0)
    assert backlog.take(1.9) == Wait(2.0)


def test_what_is_put_back_goes_first_and_keeps_its_time() -> None:
    backlog = Backlog(3, 2, 0.0)
    first = take(backlog, 1.0)
    backlog.put_back(first, [2])
    again = take(backlog, 4.0)
    assert (list(again.numbers), again.intended_s, again.attempts) == ([2], 1.0, 1)
    assert list(take(backlog, 4.0).numbers) == [3]


def test_what_is_put_back_last_is_not_forgotten() -> None:
    backlog = Backlog(1, 1, 0.0)
    request = take(backlog, 0.0)
    assert backlog.take(0.0) is Nothing.LEFT
    backlog.put_back(request, request.numbers)
    assert take(backlog, 0.0).numbers == request.numbers


def test_a_pause_holds_everything_and_the_longest_one_counts() -> None:
    backlog = Backlog(2, 1, 0.0)
    backlog.pause(5.0)
    backlog.pause(3.0)
    assert backlog.take(4.9) == Wait(5.0)
    assert isinstance(backlog.take(5.0), Request)


def test_a_pause_after_the_last_request_keeps_nobody_waiting() -> None:
    backlog = Backlog(1, 1, 0.0)
    take(backlog, 0.0)
    backlog.pause(60.0)
    assert backlog.take(0.0) is Nothing.LEFT
