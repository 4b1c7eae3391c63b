"""A message that is held while it is replaced, in the dispatcher's hands."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.carrier_state import CarrierState, Policy
from gateway.dispatch import Dispatcher
from gateway.jobs import new_job
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.outcomes import Event
from gateway.record import replace
from gateway.retry import RetryLimits
from gateway.throttle.adaptive import AdaptiveRate
from gateway.withdrawn import NotHere, TooLate

NOW, WALL = 100.0, 1_800_000_000.0
ALPHA = CarrierId(1)


class Desk:
    """A dispatcher with one bound carrier, and what it records."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.dispatcher = Dispatcher(
            [CarrierState(ALPHA, Policy(name="alpha"), AdaptiveRate(0.0, 1))],
            self.events.append,
            limits=RetryLimits(),
            held_max=10_000,
        )
        self.dispatcher.set_bound(ALPHA, True, NOW, WALL)

    def accept(self, number: int, **fields: Any) -> Message:
        message = make_message(number, **fields)
        self.dispatcher.accept([message], NOW, WALL)
        return message

    def leave(self, now: float = NOW, wall: float = WALL) -> list[str]:
        """Return the texts that leave now."""
        taken, _ = self.dispatcher.take(ALPHA, 100, now, wall)
        return [submission.job.message.text for submission in taken]


def make_message(number: int, **fields: Any) -> Message:
    usual: dict[str, Any] = {
        "id": MessageId(number),
        "account_id": AccountId(7),
        "accepted_at": WALL,
        "sender": "Shop",
        "recipient": "447400123456",
        "country": "GB",
        "text": f"text {number}",
        "encoding": Encoding.GSM7,
        "segments": 1,
        "lane": Lane.TRANSACTIONAL,
        "price_micros": Micros(10),
        "routes": (ALPHA,),
        "expires_at": WALL + 1_000,
    }
    return Message(**(usual | fields))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_held_message_does_not_leave_until_it_is_released(desk: Desk) -> None:
    first, _ = desk.accept(1), desk.accept(2)
    assert desk.dispatcher.hold(first.id) == first
    assert desk.leave() == ["text 2"]
    replaced = replace(first, text="better", segments=2)
    desk.dispatcher.release(replaced, NOW, WALL)
    assert desk.leave() == ["better", "better"]


def test_a_held_message_is_neither_canceled_nor_expired_nor_held_again(desk: Desk) -> None:
    message = desk.accept(1)
    desk.dispatcher.hold(message.id)
    assert isinstance(desk.dispatcher.hold(message.id), TooLate)
    assert isinstance(desk.dispatcher.cancel(message.id, WALL), TooLate)
    desk.dispatcher.expire(WALL + 2_000)
    assert desk.events == []
    desk.dispatcher.release(message, NOW, WALL)
    desk.dispatcher.expire(WALL + 2_000)
    assert len(desk.events) == 1


def test_what_has_left_or_was_tried_is_too_late(desk: Desk) -> None:
    message = desk.accept(1)
    (submission,), _ = desk.dispatcher.take(ALPHA, 1, NOW, WALL)
    assert isinstance(desk.dispatcher.hold(message.id), TooLate)
    desk.dispatcher.responded(submission, 0x08, "", NOW, WALL)  # refused for now: it goes again
    assert isinstance(desk.dispatcher.hold(message.id), TooLate)


def test_what_memory_does_not_have_is_held_from_the_store(desk: Desk) -> None:
    message = make_message(1)
    assert isinstance(desk.dispatcher.hold(message.id), NotHere)
    desk.dispatcher.begin_refill()
    assert desk.dispatcher.hold_read(new_job(message)) == message
    desk.dispatcher.end_refill()
    desk.dispatcher.restore([new_job(message)], NOW, WALL)  # a shelf's page brings it as well
    assert desk.leave() == []
    desk.dispatcher.release(message, NOW, WALL)
    assert desk.leave() == ["text 1"]


def test_what_ended_while_it_was_read_is_too_late(desk: Desk) -> None:
    message = desk.accept(1)
    desk.dispatcher.begin_refill()
    desk.dispatcher.cancel(message.id, WALL)
    desk.dispatcher.written(desk.events)
    assert isinstance(desk.dispatcher.hold_read(new_job(message)), TooLate)


def test_a_message_that_gets_an_hour_leaves_at_that(desk: Desk) -> None:
    message = desk.accept(1)
    shelf = desk.dispatcher.shelves[ALPHA, Lane.TRANSACTIONAL]
    assert shelf.held == 1
    desk.dispatcher.hold(message.id)
    later = replace(message, send_at=WALL + 60)
    desk.dispatcher.release(later, NOW, WALL)
    assert (shelf.held, desk.leave()) == (0, [])
    desk.dispatcher.tick(NOW + 60)
    assert desk.leave(NOW + 60, WALL + 60) == ["text 1"]
