"""What is committed, and the queries of `store/backlog.py` over it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from gateway.arrived import Found
from gateway.jobs import Job, rebuild_job
from gateway.lifecycle import EventKind
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Lane, MessageId
from gateway.outcomes import Acknowledge, Event, Notice, ParkedReceipt, Party
from gateway.passed import Stretch
from gateway.references import Key
from gateway.shelves import Progress, Shelf, Wanted

PAGE_MAX = 7


class Batch:
    """What goes into one transaction of the outcome writer."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refunds: list[Event] = []
        self.notices: list[Notice] = []
        self.parked: list[ParkedReceipt] = []
        self.unparked: list[ParkedReceipt] = []
        self.acknowledge: list[Acknowledge] = []

    @property
    def empty(self) -> bool:
        return not (self.events or self.refunds or self.parked or self.unparked or self.acknowledge)


class Store:
    """Tables. Each verb is one transaction or one query, at the moment in which it is called."""

    def __init__(self) -> None:
        self.messages: dict[MessageId, Message] = {}
        self.events: defaultdict[MessageId, list[Event]] = defaultdict(list)
        self.closed: set[MessageId] = set()
        self.refunded: set[tuple[MessageId, int]] = set()
        self.notices: list[Notice] = []
        self.parked: list[ParkedReceipt] = []
        self.unmatched: list[ParkedReceipt] = []
        """Those of the parked that were given up."""
        self.clock: tuple[float, list[Stretch]] = (0.0, [])
        """What a node knew of its clock."""
        self.marks: dict[tuple[CarrierId, Lane], int] = {}

    @property
    def last_id(self) -> int:
        return max(self.messages, default=0)

    def insert(self, messages: Iterable[Message]) -> None:
        self.messages.update((message.id, message) for message in messages)

    def replace(self, message: Message) -> bool:
        """Put a message in its own place, unless something has happened to it."""
        if self.events[message.id]:
            return False
        self.messages[message.id] = message
        return True

    def write(self, batch: Batch) -> None:
        for event in batch.events:
            self.events[event.message_id].append(event)
            if event.closes:
                self.closed.add(event.message_id)
        for refund in batch.refunds:
            segment = (refund.message_id, refund.segment - 1)
            if segment not in self.refunded:
                self.refunded.add(segment)
                self.events[refund.message_id].append(refund)
        self.notices += batch.notices
        self.parked = [p for p in self.parked if p not in batch.unparked] + batch.parked

    def give_up_parked(self, before: float) -> list[ParkedReceipt]:
        """Set aside what has waited for its submission since `before` or longer."""
        late = [receipt for receipt in self.parked if receipt.received_at < before]
        late = [receipt for receipt in late if receipt not in self.unmatched]
        self.unmatched += late
        return late

    def find_unanswered(self, before: float) -> list[MessageId]:
        """Return what was closed at `before` or earlier and has no final status."""
        return [
            message_id
            for message_id, events in self.events.items()
            if any(event.closes and event.at < before for event in events)
            and not any(event.status.final for event in events)
        ]

    def history(self, message_id: MessageId) -> list[Event]:
        """Return a message's events as the queries order them."""
        return sorted(self.events[message_id], key=lambda event: event.at)

    def job(self, message_id: MessageId) -> Job:
        return rebuild_job(self.messages[message_id], self.history(message_id))

    def shelf_page(self, shelf: Shelf, limit: int) -> tuple[list[Job], Progress]:
        """Return open messages past the shelf's cursor, and how far that came."""
        ids = [m.id for m in self._past(shelf, shelf.cursor)][:limit]
        last_id = ids[-1] if ids else shelf.cursor
        return [self.job(i) for i in ids], Progress(last_id, len(ids) < limit)

    def count_behind(self, shelf: Shelf) -> dict[AccountId, int]:
        """Return whose open messages wait past the shelf's cursor."""
        return Counter(m.account_id for m in self._past(shelf, shelf.cursor))

    def wanted_page(
        self, shelf: Shelf, wanted: Sequence[Wanted]
    ) -> tuple[list[Job], dict[AccountId, Progress]]:
        """Return some accounts' open messages, and how far that came for each."""
        jobs: list[Job] = []
        progress: dict[AccountId, Progress] = {}
        for each in wanted:
            of_account = [
                m.id for m in self._past(shelf, each.after_id) if m.account_id == each.account_id
            ][: each.at_most]
            jobs += [self.job(i) for i in of_account]
            last_id = of_account[-1] if of_account else each.after_id
            progress[each.account_id] = Progress(last_id, len(of_account) < each.at_most)
        return jobs, progress

    def _past(self, shelf: Shelf, after_id: int) -> list[Message]:
        waiting = [
            m
            for m in self.messages.values()
            if (m.routes[0], m.lane) == (shelf.carrier_id, shelf.lane)
            and m.send_at is None
            and m.id > after_id
            and m.id not in self.closed
        ]
        return sorted(waiting, key=lambda m: m.id)

    def due_page(
        self, after: tuple[float, int], until: float
    ) -> tuple[list[Job], tuple[float, int], bool]:
        """Return open messages scheduled past `after`, the last one's key, and if that was all."""
        keys = sorted(
            (m.send_at, m.id)
            for m in self.messages.values()
            if m.send_at is not None and m.send_at <= until and m.id not in self.closed
        )
        page = [key for key in keys if key > after][:PAGE_MAX]
        jobs = [self.job(message_id) for _, message_id in page]
        return jobs, page[-1] if page else after, len(page) < PAGE_MAX

    def find_submissions(self, keys: Iterable[Key]) -> dict[Key, Found]:
        taken = self.submissions()
        return {key: self._found(taken[key]) for key in keys if key in taken}

    def submissions(self) -> dict[Key, list[Event]]:
        """Return what carriers took: by their ids, an event for each segment."""
        taken: defaultdict[Key, list[Event]] = defaultdict(list)
        for events in self.events.values():
            for event in events:
                if event.kind is EventKind.SUBMITTED:
                    assert event.carrier_id is not None and event.carrier_message_id is not None
                    taken[event.carrier_id, event.carrier_message_id].append(event)
        return taken

    def submissions_of(self, message_id: MessageId) -> dict[Key, list[int]]:
        """Return the indexes of a message's segments, by the ids of the carriers that took them."""
        return {
            key: sorted(event.segment - 1 for event in events)
            for key, events in self.submissions().items()
            if events[0].message_id == message_id
        }

    def _found(self, events: list[Event]) -> Found:
        message = self.messages[events[0].message_id]
        states = self.job(message.id).states
        index, *rest = [event.segment - 1 for event in events]
        at, party = events[0].at, party_of(message)
        return Found(message.id, message.account_id, index, states, party, at, tuple(rest))


def party_of(message: Message) -> Party:
    return Party(message.sender, message.recipient, "", "", "", message.segments)


def key_of(parked: ParkedReceipt) -> Key:
    return parked.carrier_id, parked.carrier_message_id
