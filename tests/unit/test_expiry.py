"""Whose validity ends next, without a look at all of them."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.expiry import AHEAD_S, IN_FLIGHT_S, Deadlines
from gateway.jobs import Job, new_job
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros

WALL = 1_000_000.0


def job(number: int, expires_at: float) -> Job:
    return new_job(
        Message(
            id=MessageId(number),
            account_id=AccountId(1),
            accepted_at=0.0,
            sender="Shop",
            recipient="447400123456",
            country="GB",
            text="hi",
            encoding=Encoding.GSM7,
            segments=1,
            lane=Lane.OTP,
            price_micros=Micros(0),
            routes=(CarrierId(1),),
            expires_at=expires_at,
        )
    )


class Book:
    """The jobs that a dispatcher knows, and how often all of them were looked at."""

    def __init__(self) -> None:
        self.deadlines = Deadlines()
        self.jobs: list[Job] = []
        self.looks = 0

    def know(self, *jobs: Job) -> None:
        for each in jobs:
            self.jobs.append(each)
            if each.message.expires_at <= self.deadlines.horizon:
                self.deadlines.add(each)

    def overdue(self, wall: float) -> list[int]:
        ended = self.deadlines.take_overdue(self._all(), wall)
        for each in ended:
            each.closed = True
        return [each.message.id for each in ended]

    def _all(self) -> Iterator[Job]:
        self.looks += 1
        yield from self.jobs


def test_a_validity_ends_once_and_in_the_order_of_time() -> None:
    book = Book()
    book.know(job(1, WALL + 9), job(2, WALL + 3), job(3, WALL + 3))
    assert book.overdue(WALL + 2.9) == []
    assert book.overdue(WALL + 3) == [2, 3]
    assert book.overdue(WALL + 100) == [1]
    assert book.overdue(WALL + 200) == []


def test_what_comes_later_and_ends_sooner_is_found() -> None:
    book = Book()
    book.know(job(1, WALL + 5_000))
    assert book.overdue(WALL) == []
    book.know(job(2, WALL + 1))
    assert book.overdue(WALL + 1) == [2]


def test_everything_is_looked_at_twice_a_minute_at_most() -> None:
    book = Book()
    book.know(*(job(n, WALL + n) for n in range(1, 601)))
    for second in range(601):
        assert book.overdue(WALL + second) == ([second] if second else [])
    assert book.looks <= 2 * 600 / AHEAD_S + 1


def test_what_is_in_flight_is_looked_at_again() -> None:
    book = Book()
    late = job(1, WALL + 1)
    late.in_flight = 1
    book.know(late)
    assert book.overdue(WALL + 2) == []
    late.in_flight = 0
    assert book.overdue(WALL + 2) == []
    assert book.overdue(WALL + 2 + IN_FLIGHT_S) == [1]


def test_what_has_ended_otherwise_is_left_out() -> None:
    book = Book()
    done = job(1, WALL + 1)
    book.know(done)
    book.overdue(WALL)
    done.closed = True
    assert book.overdue(WALL + 2) == []


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 90.0),  # until the next look
            st.lists(st.floats(0.0, 400.0), max_size=5),  # validities of what comes before it
            st.sampled_from([0.0, 0.0, 0.0, 3_600.0, -3_600.0]),  # the clock is set
        ),
        max_size=40,
    )
)
def test_at_any_look_just_those_are_overdue_whose_validity_has_ended(
    course: list[tuple[float, list[float], float]],
) -> None:
    book, wall, numbers = Book(), WALL, 0
    for passes_s, validities, set_by_s in course:
        for validity_s in validities:
            numbers += 1
            book.know(job(numbers, wall + validity_s))
        wall += passes_s + set_by_s
        wanted = {e.message.id for e in book.jobs if not e.closed and e.message.expires_at <= wall}
        assert set(book.overdue(wall)) == wanted
