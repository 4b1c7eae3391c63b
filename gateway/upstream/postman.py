"""Carries deliveries between the store and customers' receivers.

Receipts (and messages from phones) are stored with the event that causes them; once that is
committed they go up through any of the account's receivers, in turn, and are forgotten in the
store when one of them has answered. The order and the waits are `mailbox.py`'s.

Of several nodes, one carries an account's deliveries; what the others store for it, they tell it of
with the commit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import StoreUnavailable
from gateway.ids import IdGenerator
from gateway.lifecycle import Status
from gateway.logs import get_logger
from gateway.metrics import UpstreamMetrics
from gateway.model import AccountId, MessageId
from gateway.outcomes import Delivery, InboundMessage, Party
from gateway.smpp.vocabulary import status_name
from gateway.store.outcome_writer import DeliveryKey, OutcomeWriter
from gateway.store.postgres import Database
from gateway.store.upstream_reader import fetch_deliveries
from gateway.upstream.bind import CustomerBind
from gateway.upstream.inbound import build_inbound
from gateway.upstream.mailbox import PAGE_MAX, Mailbox, Parcel
from gateway.upstream.receipts import build_deliver_sm, wants_receipt
from gateway.upstream.roster import Roster

RETRY_S = 1.0
"""After the store could not be read."""
PAYLOAD_MAX = 7_000
"""Octets of one notification; PostgreSQL takes 7,999."""
PAUSE_S = 0.5
"""How soon it is looked again whether this node may go on, when it may not."""
UNTOLD_S = 3.0
"""After a mailbox was opened, others may still store without telling: they did not know of us."""
LOOK_AGAIN_S = 30.0
"""How often everything is read again while there are other nodes, for what nobody told of."""

log = get_logger("upstream")


@dataclass(slots=True, eq=False)
class _Office:
    """One account's mailbox and the binds that it goes up through."""

    account_id: AccountId
    mailbox: Mailbox = field(default_factory=Mailbox)
    receivers: list[CustomerBind] = field(default_factory=list)
    turn: int = 0
    timer: asyncio.TimerHandle | None = None

    def find_receiver(self) -> CustomerBind | None:
        """Return the receiver that has room, beginning with the one whose turn it is."""
        count = len(self.receivers)
        for place in range(self.turn, self.turn + count):
            bind = self.receivers[place % count]
            if bind.room > 0:
                self.turn = place % count
                return bind
        return None

    def next_turn(self) -> None:
        self.turn = (self.turn + 1) % len(self.receivers)


class Receivers(Protocol):
    """Who says which accounts' deliveries this node carries (`gateway/nodes/receivers.py`)."""

    @property
    def alone(self) -> bool: ...

    @property
    def valid(self) -> bool: ...

    def want(self, account_id: AccountId) -> bool: ...

    def release(self, account_id: AccountId) -> None: ...


class _All:
    """Of who shares with nobody."""

    alone = True
    valid = True

    def want(self, account_id: AccountId) -> bool:
        return True

    def release(self, account_id: AccountId) -> None:
        pass


class Postman:
    """Knows every account that has, or had, a receiver. Implements the writer's `Deliveries`."""

    def __init__(
        self,
        database: Database,
        writer: OutcomeWriter,
        roster: Roster,
        ids: IdGenerator,
        metrics: UpstreamMetrics,
        receivers: Receivers | None = None,
    ) -> None:
        """`receivers` is asked for an account's deliveries; it has to call `gained`."""
        self._receivers: Receivers = receivers or _All()
        self._database = database
        self._writer = writer
        self._roster = roster
        self._ids = ids
        self._metrics = metrics
        self._offices: dict[AccountId, _Office] = {}
        self._loop = asyncio.get_running_loop()
        self._hungry = asyncio.Event()
        self.stopping = False
        """Whether nothing more goes up."""

    @property
    def held(self) -> int:
        """Deliveries in memory."""
        return sum(len(office.mailbox) for office in self._offices.values())

    def has_receiver(self, account_id: AccountId) -> bool:
        """Say whether anybody is bound whom deliveries go up to from here."""
        office = self._offices.get(account_id)
        return office is not None and office.mailbox.open

    def tell(
        self,
        account_id: AccountId,
        message_id: MessageId,
        party: Party,
        status: Status,
        error: str,
        at: float,
        tlvs: Mapping[int, bytes],
    ) -> None:
        """Have a customer told of a message, if that is what it asked for (a `SendUp`)."""
        if not wants_receipt(party.registered_delivery, status):
            return
        terms = self._roster.of_account(account_id)
        if terms is None:
            return  # its access was taken away: nobody can ever fetch it
        body = build_deliver_sm(terms, message_id, party, status, error, at, tlvs)
        self._writer.deliver(
            Delivery(self._ids.next(time.time()), account_id, message_id, body, at)
        )

    def build_inbound(self, message: InboundMessage) -> list[Delivery]:
        """Return what carries a message from a phone to its owner's receivers; the caller has it
        stored with the message."""
        terms = self._roster.of_account(message.account_id)
        if terms is None:
            return []
        wall = time.time()
        return [
            Delivery(self._ids.next(wall), terms.account.id, message.id, body, wall)
            for body in build_inbound(terms, message)
        ]

    # ── what the store says ──────────────────────────────────────────────────────────────────

    def stored(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries that were just committed."""
        touched: dict[AccountId, _Office] = {}
        for delivery in sorted(deliveries, key=_id_of):
            office = self._offices.get(delivery.account_id)
            if office is not None:
                office.mailbox.stored(delivery)
                touched[delivery.account_id] = office
        for office in touched.values():
            self._pump(office)

    def tell_others(self, deliveries: Sequence[Delivery]) -> list[str]:
        """Return what other nodes are told, as these are committed: whose receivers may be theirs,
        and from which id on."""
        if self._receivers.alone:
            return []
        first_ids: dict[AccountId, int] = {}
        for delivery in deliveries:
            office = self._offices.get(delivery.account_id)
            if office is None or not office.mailbox.open:
                known = first_ids.get(delivery.account_id, delivery.id)
                first_ids[delivery.account_id] = min(known, delivery.id)
        return _write_payloads(first_ids)

    def hear(self, payload: str) -> None:
        """Take what another node has told with a commit; "" when some may have been missed."""
        if not payload:
            self.look_again()
        for word in payload.split():
            account_id, _, first_id = word.partition(":")
            office = self._offices.get(AccountId(int(account_id)))
            if office is not None:
                office.mailbox.stored_elsewhere(int(first_id))
                self._hungry.set()

    def look_again(self) -> None:
        """Read everything again: something may not have been heard."""
        for office in self._offices.values():
            office.mailbox.look_again()
        self._hungry.set()

    def forgotten(self, keys: Sequence[DeliveryKey]) -> None:
        """Note which answered deliveries are gone from the store."""
        for account_id, delivery_id in keys:
            office = self._offices.get(account_id)
            if office is not None:
                office.mailbox.forgotten(delivery_id)

    async def run(self) -> None:
        """Read on from the store where a mailbox has room, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._hungry.wait()
            except TimeoutError:
                if not self._receivers.alone:
                    self.look_again()
            self._hungry.clear()
            for office in [o for o in self._offices.values() if o.mailbox.wants_page]:
                try:
                    await self._read_page(office)
                except StoreUnavailable as error:
                    log.warning("deliveries_unread", error=str(error))
                    self._hungry.set()
                    await asyncio.sleep(RETRY_S)

    async def _read_page(self, office: _Office) -> None:
        after = office.mailbox.begin_page()
        page: list[Delivery] | None = None
        try:
            page = await fetch_deliveries(self._database, office.account_id, after, PAGE_MAX)
        finally:
            complete = page is not None and len(page) < PAGE_MAX
            office.mailbox.end_page(page, after, complete=complete)
        self._pump(office)

    # ── what receivers say ───────────────────────────────────────────────────────────────────

    def joined(self, bind: CustomerBind, account_id: AccountId) -> None:
        """Take a receiver that has just bound."""
        office = self._offices.get(account_id)
        if office is None:
            office = self._offices[account_id] = _Office(account_id)
        office.receivers.append(bind)
        if len(office.receivers) > 1:
            self._pump(office)
        elif self._receivers.want(account_id):
            self.gained(account_id)

    def gained(self, account_id: AccountId) -> None:
        """Begin to carry an account's deliveries: no other node does."""
        office = self._offices.get(account_id)
        if office is None or not office.receivers:
            return  # they have left again
        office.mailbox.opened()
        self._pump(office)
        if not self._receivers.alone:
            self._loop.call_later(UNTOLD_S, self._look_again_at, office)

    def _look_again_at(self, office: _Office) -> None:
        office.mailbox.look_again()
        self._hungry.set()

    def left(self, bind: CustomerBind, account_id: AccountId, under_way: Iterable[Parcel]) -> None:
        """Take back what a receiver that is gone had not answered."""
        office = self._offices.get(account_id)
        if office is None or bind not in office.receivers:
            return
        office.receivers.remove(bind)
        lost = list(under_way)
        self._metrics.delivered("lost", len(lost))
        office.mailbox.returned(lost)
        if office.receivers:
            self._pump(office)
        else:
            office.mailbox.closed()
            self._receivers.release(account_id)

    def responded(self, account_id: AccountId, parcel: Parcel, status: int) -> None:
        """Apply a receiver's answer; `has_room` is to follow."""
        self._metrics.delivery_answered(status_name(status))
        if status:
            self._metrics.delivered("refused", 1)
            self._put_off(account_id, parcel)
        else:
            self._metrics.delivered("delivered", 1)
            self._offices[account_id].mailbox.answered(parcel)
            self._writer.delivered((account_id, parcel.id))

    def overdue(self, account_id: AccountId, parcel: Parcel) -> None:
        """Apply that a receiver did not answer; `has_room` is to follow."""
        self._metrics.delivered("overdue", 1)
        self._put_off(account_id, parcel)

    def has_room(self, account_id: AccountId) -> None:
        """Send up what waited for room."""
        office = self._offices.get(account_id)
        if office is not None:
            self._pump(office)

    def _put_off(self, account_id: AccountId, parcel: Parcel) -> None:
        mailbox = self._offices[account_id].mailbox
        if not mailbox.refused(parcel, self._loop.time(), time.time()):
            self._metrics.delivered("given_up", 1)
            log.warning("delivery_given_up", account_id=account_id, refusals=parcel.refusals)
            self._writer.delivered((account_id, parcel.id))

    # ── going up ─────────────────────────────────────────────────────────────────────────────

    def _pump(self, office: _Office) -> None:
        """Send up what can go now, and see to what comes next."""
        if self.stopping:
            return
        if not self._receivers.valid:
            self._arm_at(office, self._loop.time() + PAUSE_S)
            return
        mailbox, now = office.mailbox, self._loop.time()
        sent = 0
        while (bind := office.find_receiver()) is not None:
            parcel = mailbox.take(now)
            if parcel is None:
                self._arm(office)
                break
            if not bind.deliver(parcel, now):
                mailbox.returned([parcel])
                break
            office.next_turn()
            sent += 1
        if sent:
            self._metrics.sent_up(sent)
        if mailbox.wants_page:
            self._hungry.set()

    def _arm(self, office: _Office) -> None:
        self._arm_at(office, office.mailbox.next_at())

    def _arm_at(self, office: _Office, at: float | None) -> None:
        if office.timer is not None:
            office.timer.cancel()
            office.timer = None
        if at is not None:
            office.timer = self._loop.call_at(at, self._again, office)

    def _again(self, office: _Office) -> None:
        office.timer = None
        self._pump(office)


def _write_payloads(first_ids: Mapping[AccountId, int]) -> list[str]:
    payloads: list[str] = []
    for account_id, first_id in first_ids.items():
        word = f"{account_id}:{first_id}"
        if payloads and len(payloads[-1]) + len(word) < PAYLOAD_MAX:
            payloads[-1] += f" {word}"
        else:
            payloads.append(word)
    return payloads


def _id_of(delivery: Delivery) -> int:
    return delivery.id
