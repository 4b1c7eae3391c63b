"""Room for large bodies: shared, bounded, and given back."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from gateway.api.asgi import Event, Receive
from gateway.api.bodies import FREE_BYTES, Bodies, CountedBody
from gateway.errors import Rejected


def arriving(*sizes: int) -> Receive:
    parts: Iterable[int] = iter(sizes)

    async def receive() -> Event:
        size = next(parts, None)  # type: ignore[call-overload]
        if size is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"x" * size, "more_body": True}

    return receive


def read(body: CountedBody, parts: int) -> None:
    """Take so many parts of what arrives, without a loop: nothing of it waits."""
    for _ in range(parts):
        with pytest.raises(StopIteration):
            body.receive().send(None)


def test_small_bodies_take_no_room() -> None:
    bodies = Bodies(0)
    for _ in range(1_000):
        read(CountedBody(bodies, arriving(1_000, FREE_BYTES - 1_000)), 3)
    assert bodies.held == 0


def test_large_ones_share_their_room_and_give_it_back() -> None:
    bodies = Bodies(1_000)
    first = CountedBody(bodies, arriving(FREE_BYTES, 600))
    second = CountedBody(bodies, arriving(FREE_BYTES + 300, 300))
    read(first, 2)
    read(second, 1)
    assert bodies.held == 900
    with pytest.raises(Rejected) as caught:
        second.receive().send(None)
    assert (caught.value.status, caught.value.code) == (503, "bodies_full")
    second.close()
    assert bodies.held == 600
    read(CountedBody(bodies, arriving(FREE_BYTES + 400)), 1)
    first.close()
    first.close()
    assert bodies.held == 400
