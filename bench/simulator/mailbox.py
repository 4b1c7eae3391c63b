"""Which bind gets which delivery: one mailbox for each system_id.

A delivery leaves at once when a bind of the same system_id that can receive has room; otherwise it
waits, in order, until one has. What a lost bind had not acknowledged waits in front.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal, Protocol

import msgspec

from bench.simulator.tally import Deliveries

Policy = Literal["same", "other", "receiver", "any"]


# In no cycle; as a million may wait, the collector need not look at them.
class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A receipt or a message from a phone, ready but for its header."""

    command_id: int
    body: bytes
    counts: Deliveries
    home: int
    """The number of the bind that submitted; 0 for messages from phones."""


class Receiver(Protocol):
    """A bind that may be sent deliveries."""

    number: int
    receives_only: bool
    room: int
    """How many more deliveries it may have unacknowledged."""

    def send_delivery(self, delivery: Delivery) -> None: ...


class Mailbox:
    """The deliveries of one system_id, and its binds that can receive."""

    def __init__(self, policy: Policy, waiting_max: int) -> None:
        self.policy = policy
        self._waiting_max = waiting_max
        self._waiting: deque[Delivery] = deque()
        self._receivers: dict[int, Receiver] = {}
        self._turn = 0

    @property
    def waiting(self) -> int:
        """How many deliveries wait for a bind."""
        return len(self._waiting)

    @property
    def receivers(self) -> int:
        """How many binds can receive."""
        return len(self._receivers)

    def put(self, delivery: Delivery) -> None:
        """Send `delivery` now, or keep it until a bind has room."""
        if not self._waiting:
            if self.policy == "same":
                home = self._receivers.get(delivery.home)
                if home is not None and home.room > 0:
                    home.send_delivery(delivery)
                    return
            receiver = self._choose(delivery)
            if receiver is not None:
                receiver.send_delivery(delivery)
                return
        if len(self._waiting) >= self._waiting_max:
            delivery.counts.dropped += 1
            return
        self._waiting.append(delivery)

    def join(self, receiver: Receiver) -> None:
        """Let a new bind receive, starting with what waits."""
        self._receivers[receiver.number] = receiver
        self.send_waiting()

    def leave(self, receiver: Receiver, unacknowledged: Iterable[Delivery]) -> None:
        """Forget a bind; what it had not acknowledged goes first to the next one."""
        self._receivers.pop(receiver.number, None)
        again = list(unacknowledged)
        for delivery in again:
            delivery.counts.redelivered += 1
        self._waiting.extendleft(reversed(again))
        self.send_waiting()

    def send_waiting(self) -> None:
        """Send what waits, as far as there is room."""
        waiting = self._waiting
        while waiting:
            receiver = self._choose(waiting[0])
            if receiver is None:
                return
            receiver.send_delivery(waiting.popleft())

    def _choose(self, delivery: Delivery) -> Receiver | None:
        ready = [receiver for receiver in self._receivers.values() if receiver.room > 0]
        if len(ready) > 1:
            ready = self._prefer(ready, delivery.home)
            self._turn += 1
            return ready[self._turn % len(ready)]
        return ready[0] if ready else None

    def _prefer(self, ready: list[Receiver], home: int) -> list[Receiver]:
        """Narrow `ready` to what the policy asks for, when there is any of it."""
        match self.policy:
            case "same":
                narrow = [receiver for receiver in ready if receiver.number == home]
            case "other":
                narrow = [receiver for receiver in ready if receiver.number != home]
            case "receiver":
                narrow = [receiver for receiver in ready if receiver.receives_only]
            case "any":
                narrow = ready
        return narrow or ready
