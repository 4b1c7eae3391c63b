from __future__ import annotations

import pytest

from bench.simulator.mailbox import Delivery, Mailbox, Policy
from bench.simulator.tally import Deliveries


class Bind:
    """A receiver that only remembers."""

    def __init__(self, number: int, room: int = 100, *, receives_only: bool = False) -> None:
        self.number = number
        self.room = room
        self.receives_only = receives_only
        self.got: list[bytes] = []

    def send_delivery(self, delivery: Delivery) -> None:
        self.room -= 1
        self.got.append(delivery.body)


def delivery(body: bytes, home: int = 0, counts: Deliveries | None = None) -> Delivery:
    return Delivery(5, body, counts or Deliveries(), home)


def mailbox_with(policy: Policy, *binds: Bind) -> Mailbox:
    mailbox = Mailbox(policy, 10)
    for bind in binds:
        mailbox.join(bind)
    return mailbox


def test_what_has_no_receiver_waits_in_order_for_one() -> None:
    mailbox = Mailbox("same", 10)
    for body in (b"1", b"2", b"3"):
        mailbox.put(delivery(body))
    assert mailbox.waiting == 3
    bind = Bind(1)
    mailbox.join(bind)
    assert bind.got == [b"1", b"2", b"3"]
    assert mailbox.waiting == 0


def test_what_is_too_much_to_wait_is_dropped_and_counted() -> None:
    counts = Deliveries()
    mailbox = Mailbox("same", 2)
    for body in (b"1", b"2", b"3"):
        mailbox.put(delivery(body, 0, counts))
    assert (mailbox.waiting, counts.dropped) == (2, 1)


def test_a_full_bind_gets_no_more_until_it_has_room() -> None:
    bind = Bind(1, room=2)
    mailbox = mailbox_with("same", bind)
    for body in (b"1", b"2", b"3", b"4"):
        mailbox.put(delivery(body))
    assert bind.got == [b"1", b"2"]
    bind.room = 1
    mailbox.send_waiting()
    assert bind.got == [b"1", b"2", b"3"]


def test_nothing_overtakes_what_waits() -> None:
    bind = Bind(1, room=0)
    mailbox = mailbox_with("same", bind)
    mailbox.put(delivery(b"1"))
    bind.room = 1
    mailbox.put(delivery(b"2"))
    mailbox.send_waiting()
    assert bind.got == [b"1"]


def test_what_a_lost_bind_had_not_acknowledged_goes_first_to_the_next() -> None:
    counts = Deliveries()
    lost = Bind(1, room=2)
    mailbox = mailbox_with("same", lost)
    sent = [delivery(body, 1, counts) for body in (b"1", b"2", b"3")]
    for each in sent:
        mailbox.put(each)
    mailbox.leave(lost, sent[:2])
    following = Bind(2)
    mailbox.join(following)
    assert following.got == [b"1", b"2", b"3"]
    assert counts.redelivered == 2


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("same", {2}), ("other", {1, 3}), ("receiver", {3}), ("any", {1, 2, 3})],
)
def test_each_policy_chooses_its_binds(policy: Policy, expected: set[int]) -> None:
    binds = [Bind(1), Bind(2), Bind(3, receives_only=True)]
    mailbox = mailbox_with(policy, *binds)
    for number in range(12):
        mailbox.put(delivery(b"%d" % number, home=2))
    assert {bind.number for bind in binds if bind.got} == expected
    used = [len(bind.got) for bind in binds if bind.got]
    assert max(used) - min(used) <= 1


@pytest.mark.parametrize("policy", ["same", "other", "receiver", "any"])
def test_with_one_bind_every_policy_uses_it(policy: Policy) -> None:
    bind = Bind(1)
    mailbox = mailbox_with(policy, bind)
    mailbox.put(delivery(b"1", home=1))
    mailbox.put(delivery(b"2", home=7))
    assert bind.got == [b"1", b"2"]
