"""Whose turn it is: priority lanes, a share kept for the lower ones, fairness among accounts.

Between lanes the higher one goes first, but a lower one that waits gets one segment for every
`one_in` segments that went past it. Within a lane accounts take turns by deficit round robin, so
each gets the same number of segments however many messages it has waiting. Within an account and
lane messages leave in the order in which they came.

How long can a message be delayed? With m the segments of the longest message, q the quantum and A
the accounts that have something waiting in the message's lane, no more segments leave before it
than the sum of

    own account   a, what waits before it in its account and lane
    own lane      (A - 1) x (q x ceil((a + m) / q) + m)
    higher lanes  whatever they get
    a lower lane  m + (m + P) / one_in, with P the segments that left from lanes above that one

So an OTP of an account with no other OTP waiting is passed by at most A - 1 times q + 2m segments
of other accounts' OTPs and by about one message of each lower lane, whether that lane holds
ten messages or ten million. An account that is held takes no turns and is none of the A.

Not here: when something may leave (`bucket.py`), expiry and cancellation of what waits (the use
case looks at what it pops).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from gateway.model import AccountId, Lane

T = TypeVar("T")

ONE_IN: Final[Mapping[Lane, int]] = MappingProxyType({Lane.TRANSACTIONAL: 5, Lane.MARKETING: 20})
"""One segment of a waiting lane for every so many that go past it. The top lane needs none.
A fifth keeps transactional texts moving under a flood of OTPs; a twentieth keeps marketing from
standing still for hours and is too little for anybody above to feel."""

QUANTUM_SEGMENTS: Final = 2
"""Segments an account may send a turn. Most OTPs and alerts are one or two long; a bigger quantum
would let turns be longer than they need, a smaller one only costs more rounds for long texts."""


class _Flow(Generic[T]):
    """What one account has waiting in one lane."""

    __slots__ = ("deficit", "items")

    def __init__(self, deficit: int) -> None:
        self.items: deque[T] = deque()
        self.deficit = deficit
        """Segments it may still send this turn; what is left counts in its next one."""


class _LaneQueue(Generic[T]):
    """One lane: accounts in the order of their turns; an account with nothing waiting is not in it.

    The head has been given its quantum; others get theirs when their turn ends and the next is
    thereby earned, which is the same thing one turn earlier.
    """

    __slots__ = (
        "below",
        "cost",
        "flows",
        "held",
        "held_size",
        "one_in",
        "passed",
        "quantum",
        "size",
    )

    def __init__(self, cost: Callable[[T], int], quantum: int, one_in: int) -> None:
        self.below: tuple[_LaneQueue[T], ...] = ()
        self.cost = cost
        self.quantum = quantum
        self.one_in = one_in
        self.flows: OrderedDict[AccountId, _Flow[T]] = OrderedDict()
        self.size = 0
        """Items of accounts that take turns."""
        self.held: dict[AccountId, _Flow[T]] = {}
        """Accounts that take none, also those with nothing waiting."""
        self.held_size = 0
        self.passed = 0
        """Segments that went past, less those that a share was given for. Stays below one_in
        times the head's segments, plus one message: then the head is due."""

    def push(self, item: T, account_id: AccountId) -> bool:
        """Append an item; say whether its account takes turns."""
        if self.held and account_id in self.held:
            self.held[account_id].items.append(item)
            self.held_size += 1
            return False
        flow = self.flows.get(account_id)
        if flow is None:
            flow = self.flows[account_id] = _Flow(self.quantum)
        flow.items.append(item)
        self.size += 1
        return True

    def push_front(self, item: T, account_id: AccountId) -> bool:
        """As `push`, in front of its lane and paid for."""
        if account_id in self.held:
            self.held[account_id].items.appendleft(item)
            self.held_size += 1
            return False
        flow = self.flows.get(account_id)
        if flow is None:
            flow = self.flows[account_id] = _Flow(self.quantum)
        flow.items.appendleft(item)
        flow.deficit = max(flow.deficit, 0) + self.cost(item)
        self.flows.move_to_end(account_id, last=False)
        self.size += 1
        return True

    def hold(self, account_id: AccountId) -> int:
        """Take an account out of the turns; return how many items go with it."""
        flow = self.flows.pop(account_id, None) or _Flow(self.quantum)
        self.held[account_id] = flow
        count = len(flow.items)
        self.size -= count
        self.held_size += count
        return count

    def release(self, account_id: AccountId) -> int:
        """Let an account take turns again, as the last one; return how many items it brings."""
        flow = self.held.pop(account_id)
        count = len(flow.items)
        if count:
            self.flows[account_id] = flow
        self.size += count
        self.held_size -= count
        return count

    def head(self) -> tuple[AccountId, _Flow[T], int]:
        """Return whose turn it is, moving turns on to an account that can pay for its message.

        Asking twice gives the same answer. Each step gives some account a quantum towards its
        message, so the steps are paid for by the segments that leave.
        """
        flows = self.flows
        while True:
            account_id = next(iter(flows))
            flow = flows[account_id]
            cost = self.cost(flow.items[0])
            assert cost > 0, "an item without a cost would hold its turn for ever"
            if flow.deficit >= cost:
                return account_id, flow, cost
            flow.deficit += self.quantum
            flows.move_to_end(account_id)

    def pop(self) -> tuple[T, int]:
        account_id, flow, cost = self.head()
        item = flow.items.popleft()
        flow.deficit -= cost
        if not flow.items:
            del self.flows[account_id]
        self.size -= 1
        # A turn without anybody above is free and still counts: shares are no extra.
        self.passed = max(self.passed - self.one_in * cost, 0)
        return item, cost

    def due(self) -> bool:
        """Whether enough went past for this lane's next message to have its share."""
        # The first two tests answer nearly always, before anything is looked at.
        return (
            self.passed >= self.one_in
            and self.size > 0
            and self.passed >= self.one_in * self.head()[2]
        )


def _one(_item: object) -> int:
    return 1


class LaneQueue(Generic[T]):
    """What waits for one carrier. `cost` says how many segments an item has (default: one each).

    All verbs take constant time, but for `oldest`. An item costs one pointer; an account costs
    a queue only while it has something waiting.
    """

    __slots__ = ("_lanes", "_ready", "_size")

    def __init__(
        self,
        cost: Callable[[T], int] = _one,
        *,
        quantum: int = QUANTUM_SEGMENTS,
        one_in: Mapping[Lane, int] = ONE_IN,
    ) -> None:
        assert quantum > 0 and all(share > 0 for share in one_in.values())
        # In the order of leaving, which makes a Lane its own index.
        self._lanes = tuple(_LaneQueue(cost, quantum, one_in.get(lane, 1)) for lane in sorted(Lane))
        for lane, queue in enumerate(self._lanes):
            queue.below = self._lanes[lane + 1 :]
        self._size = 0
        self._ready = 0

    def __len__(self) -> int:
        return self._size

    @property
    def ready(self) -> int:
        """How many items wait whose accounts are not held: `pop` returns as many."""
        return self._ready

    def lane_len(self, lane: Lane) -> int:
        """Return how many items wait in one lane, held ones too."""
        return self._lanes[lane].size + self._lanes[lane].held_size

    def push(self, item: T, lane: Lane, account_id: AccountId) -> None:
        """Put an item behind all others of its account and lane."""
        self._size += 1
        if self._lanes[lane].push(item, account_id):
            self._ready += 1

    def push_front(self, item: T, lane: Lane, account_id: AccountId) -> None:
        """Put back what was popped and could not leave: it is its lane's next, and paid for.

        Of an account that is held it is the first of that account.
        """
        self._size += 1
        if self._lanes[lane].push_front(item, account_id):
            self._ready += 1

    def hold(self, account_id: AccountId) -> None:
        """Keep all of an account's items, and those that are still to come, from leaving.

        Everybody else's go on as if the account were not there. Holding twice is holding once.
        """
        if account_id not in self._lanes[0].held:
            self._ready -= sum(queue.hold(account_id) for queue in self._lanes)

    def release(self, account_id: AccountId) -> None:
        """Let an account's items leave again, in the order in which they came."""
        if account_id in self._lanes[0].held:
            self._ready += sum(queue.release(account_id) for queue in self._lanes)

    def held(self) -> list[AccountId]:
        """Return the accounts that are held."""
        return list(self._lanes[0].held)

    def held_lane(self, account_id: AccountId) -> Lane | None:
        """Return the highest lane in which something of an account is held."""
        for lane, queue in zip(Lane, self._lanes, strict=True):
            flow = queue.held.get(account_id)
            if flow is not None and flow.items:
                return lane
        return None

    def peek(self) -> T:
        """Return what `pop` would. IndexError when nothing waits."""
        _, flow, _ = self._next_lane().head()
        return flow.items[0]

    def pop(self) -> T:
        """Take the item whose turn it is. IndexError when nothing waits."""
        chosen = self._next_lane()
        item, cost = chosen.pop()
        self._size -= 1
        self._ready -= 1
        for lane in chosen.below:
            if lane.size:
                lane.passed += cost
        return item

    def oldest(self, accepted_at: Callable[[T], float], lane: Lane | None = None) -> float | None:
        """Return the earliest time among what waits, in one lane or all; None when nothing does.

        Looks at the first item of every account, so it is for metrics, not for each message.
        """
        lanes = self._lanes if lane is None else (self._lanes[lane],)
        flows = (flow for queue in lanes for flow in (*queue.flows.values(), *queue.held.values()))
        heads = (flow.items[0] for flow in flows if flow.items)
        return min(map(accepted_at, heads), default=None)

    def _next_lane(self) -> _LaneQueue[T]:
        for first in self._lanes:
            if first.size:
                for lane in first.below:
                    if lane.due():
                        return lane
                return first
        raise IndexError("nothing waits")
