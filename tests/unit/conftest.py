"""Messages on their way out, for the tests of what happens to them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.jobs import Job, Submission
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros

MakeMessage = Callable[..., Message]
Take = Callable[[Job, int], Submission]


@pytest.fixture(scope="session")
def make_message() -> MakeMessage:
    """Make messages of so many segments, 70 micros each, that carriers 1 and 2 may have."""

    def make(segments: int = 1) -> Message:
        return Message(
            id=MessageId(7),
            account_id=AccountId(3),
            accepted_at=0.0,
            sender="Shop",
            recipient="447911123456",
            country="GB",
            text="hi",
            encoding=Encoding.GSM7,
            segments=segments,
            lane=Lane.OTP,
            price_micros=Micros(70 * segments),
            routes=(CarrierId(1), CarrierId(2)),
            expires_at=1_060.0,
        )

    return make


@pytest.fixture(scope="session")
def take() -> Take:
    """Have a segment leave, as a dispatcher does."""

    def take(job: Job, index: int) -> Submission:
        job.unsent.remove(index)
        job.in_flight += 1
        return Submission(job, index, job.carrier_id, 0.0)

    return take
