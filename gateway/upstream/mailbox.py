"""What waits for one account's receivers: in which order it goes up, and what comes back.

The store holds every delivery until it is answered; memory holds the next few of them, and none
while no receiver is bound.

    stored ─► waiting ─► take ─► (a receiver) ─► answered   gone from the store
      ▲  too many: read      ▲                ├► refused    again later, by a growing delay
      └─ back in order       └── returned ◄───┘  its bind was lost: again, in front

Order: deliveries leave in the order in which they were stored. One that was refused is tried
again by itself and does not hold up the others; but when the receivers refuse one after another,
all of them wait, and one goes ahead to see whether they take it now.

Other nodes store deliveries, too. Of those their ids are told, and the store is read on from
there: it may be before what memory has had already.

Not here: who reads and writes the store, and the binds (`postman.py`).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from gateway.outcomes import Delivery

HELD_MAX = 500
"""Deliveries held in memory, about 0.4 KB each: a second's worth of a busy account. More of them
wait in the store."""
PAGE_MAX = 500
REFUSED_FIRST_S = 5.0
REFUSED_MAX_S = 600.0
PAUSE_FIRST_S = 1.0
PAUSE_MAX_S = 60.0
"""A customer whose software is down refuses everything: nobody is helped by hearing it 1,000
times a second."""
LATER_MAX = 500
"""Refused deliveries held in memory; what comes beyond them is read again when they are through."""
GIVE_UP_S = 86_400.0
GIVE_UP_REFUSALS = 10
"""What is a day old and was refused so often, which takes an hour, is no news any more."""


class Parcel(msgspec.Struct):
    """A delivery under way or waiting, with how often it was refused."""

    delivery: Delivery
    refusals: int = 0

    @property
    def id(self) -> int:
        return self.delivery.id


class Mailbox:
    """One account's deliveries. Times are monotonic seconds; `wall` is the time of day."""

    def __init__(self) -> None:
        self.open = False
        """Whether any receiver is bound."""
        self.spilled = False
        """Whether the store has more past the cursor."""
        self.loading = False
        self._cursor = 0
        """Everything up to this id has been in memory since the mailbox was opened."""
        self._missed = False
        """Whether more was stored past the cursor since the present read began."""
        self._opened = 0
        """How often it was opened: what was read for an earlier time is of no use."""
        self._read_for = 0
        self._back_to: int | None = None
        """Where to read on from after the present read, if that is before its end."""
        self._overlapping = False
        """Whether what is read may be in memory already."""
        self._waiting: deque[Parcel] = deque()
        self._later: list[tuple[float, int, Parcel]] = []
        """Refused ones, by when they are tried again."""
        self._under_way: set[int] = set()
        self._leaving: set[int] = set()
        """Answered, but perhaps still in the store, or in a page that was read before."""
        self._forgotten: list[int] = []
        """Gone from the store since the present read began."""
        self._refusals_in_a_row = 0
        self._paused_until = 0.0
        self._left_out = False
        """Whether refused ones were let go of, back to the store."""

    def __len__(self) -> int:
        """How many are in memory to go up for the first time, those under way included."""
        return len(self._waiting) + len(self._under_way)

    @property
    def wants_page(self) -> bool:
        """Whether it is time to read on from the store."""
        return self.open and self.spilled and not self.loading and len(self) * 2 <= HELD_MAX

    # ── receivers come and go ────────────────────────────────────────────────────────────────

    def opened(self) -> None:
        """Begin with whatever the store holds: the first receiver has bound."""
        self.open = True
        self.spilled = True
        self._missed = True
        self._opened += 1
        self._cursor = 0

    def closed(self) -> None:
        """Forget what waits: the last receiver is gone, and the store has it all."""
        self.open = False
        self.spilled = False
        self._waiting.clear()
        self._later.clear()
        self._under_way.clear()
        self._refusals_in_a_row = 0
        self._paused_until = 0.0
        self._left_out = False
        self._back_to = None
        self._overlapping = False

    # ── from the store ───────────────────────────────────────────────────────────────────────

    def stored(self, delivery: Delivery) -> None:
        """Take a delivery that was just committed, if there is room."""
        if not self.open:
            return
        if self.spilled or len(self) >= HELD_MAX:
            self.spilled = self._missed = True
            return
        self._cursor = max(self._cursor, delivery.id)
        self._waiting.append(Parcel(delivery))

    def stored_elsewhere(self, first_id: int) -> None:
        """Note that another node has committed deliveries, of which this id is the first."""
        if not self.open:
            return
        self.spilled = self._missed = True
        before = first_id - 1
        if self.loading:  # what is being read may end past it, and have been read too early
            self._back_to = before if self._back_to is None else min(self._back_to, before)
            self._overlapping = True
        elif before < self._cursor:
            self._cursor = before
            self._overlapping = True

    def look_again(self) -> None:
        """Read everything once more: other nodes may have stored what nobody told of."""
        if not self._left_out:  # else that happens anyhow, when what is in memory is through
            self.stored_elsewhere(0)

    def begin_page(self) -> int:
        """Note that a read begins; return the id after which it is to begin."""
        self.loading = True
        self._missed = False
        self._read_for = self._opened
        return self._cursor

    def end_page(self, page: Sequence[Delivery] | None, after: int, *, complete: bool) -> None:
        """Take what was read after the id `after`; None when the read failed."""
        self.loading = False
        # What is read is of use unless the mailbox was closed meanwhile, or opened anew.
        if page is not None and self.open and self._read_for == self._opened:
            self._take_page(page)
            if complete and not self._missed:
                self.spilled = False
        back_to, self._back_to = self._back_to, None
        if back_to is not None:
            self._cursor = min(self._cursor, back_to)
        self._leaving.difference_update(self._forgotten)
        self._forgotten.clear()

    def _take_page(self, page: Sequence[Delivery]) -> None:
        known = self._in_memory() if self._overlapping else self._leaving
        last_id = self._waiting[-1].id if self._waiting else 0
        for delivery in page:
            self._cursor = delivery.id
            if delivery.id not in known:
                self._waiting.append(Parcel(delivery))
        if page and page[0].id < last_id:
            self._waiting = deque(sorted(self._waiting, key=_id_of))

    def _in_memory(self) -> set[int]:
        later = (parcel.id for _, _, parcel in self._later)
        waiting = (parcel.id for parcel in self._waiting)
        return {*self._leaving, *self._under_way, *later, *waiting}

    def forgotten(self, delivery_id: int) -> None:
        """Note that an answered delivery is gone from the store."""
        if self.loading:
            self._forgotten.append(delivery_id)
        else:
            self._leaving.discard(delivery_id)

    # ── to the receivers and back ────────────────────────────────────────────────────────────

    def take(self, now: float) -> Parcel | None:
        """Return what goes up next; it is under way until one of the next three is called."""
        if now < self._paused_until or self._probing:
            return None
        if self._later and self._later[0][0] <= now:
            parcel = heapq.heappop(self._later)[2]
        elif self._waiting:
            parcel = self._waiting.popleft()
        else:
            return None
        self._under_way.add(parcel.id)
        return parcel

    def next_at(self) -> float | None:
        """Return when `take` may have something that it has not now; None: not by time alone."""
        if self._probing:
            return None
        later = self._later[0][0] if self._later else None
        if self._waiting and (later is None or self._paused_until < later):
            return self._paused_until
        return later if later is None else max(later, self._paused_until)

    def answered(self, parcel: Parcel) -> None:
        """Note that a receiver took it: it is to be forgotten in the store."""
        self._under_way.discard(parcel.id)
        self._leaving.add(parcel.id)
        self._refusals_in_a_row = 0
        self._paused_until = 0.0
        self._read_left_out()

    def refused(self, parcel: Parcel, now: float, wall: float) -> bool:
        """Put a refused delivery off; False when it is given up, as if it were answered."""
        self._under_way.discard(parcel.id)
        parcel.refusals += 1
        if now >= self._paused_until:  # else it was under way beside the one that began the pause
            self._refusals_in_a_row += 1
            self._paused_until = now + _grow(PAUSE_FIRST_S, self._refusals_in_a_row, PAUSE_MAX_S)
        age_s = wall - parcel.delivery.created_at
        if age_s > GIVE_UP_S and parcel.refusals >= GIVE_UP_REFUSALS:
            self._leaving.add(parcel.id)
            return False
        if len(self._later) < LATER_MAX:
            at = now + _grow(REFUSED_FIRST_S, parcel.refusals, REFUSED_MAX_S)
            heapq.heappush(self._later, (at, parcel.id, parcel))
        else:
            self._left_out = True
        return True

    def returned(self, parcels: Iterable[Parcel]) -> None:
        """Take back what was under way on a bind that is lost, in the order of its leaving."""
        back = [parcel for parcel in parcels if parcel.id in self._under_way]
        self._under_way.difference_update(parcel.id for parcel in back)
        if self.open:
            # Several binds had them in turn, so what comes back of one belongs among the others.
            self._waiting = deque(sorted((*back, *self._waiting), key=_id_of))

    @property
    def _probing(self) -> bool:
        """Whether one that went ahead after refusals has to be answered first."""
        return bool(self._refusals_in_a_row and self._under_way)

    def _read_left_out(self) -> None:
        """Begin again at the store's first when all that memory held is through."""
        if self._left_out and not (self._waiting or self._later or self._under_way):
            self._left_out = False
            self.opened()


def _grow(first_s: float, times: int, max_s: float) -> float:
    """Return the wait after the n-th time: doubling, up to a ceiling."""
    return min(max_s, first_s * 2.0 ** min(times - 1, 30))


def _id_of(parcel: Parcel) -> int:
    return parcel.id
