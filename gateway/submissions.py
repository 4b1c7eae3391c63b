"""Taking messages in, quoting, replacing and taking them back: what the API and SMPP call.

The decisions are `intake.py`'s and `dispatch.py`'s, the commit is `store/intake_writer.py`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from gateway.credit.prices import format_micros
from gateway.dispatch import Dispatcher
from gateway.errors import Rejected, StoreUnavailable
from gateway.fallback.decide import Fallbacks
from gateway.intake import Intake, hash_request
from gateway.jobs import Job
from gateway.lifecycle import Status
from gateway.message import Accepted, Message, Order
from gateway.model import Account, AccountId, MessageId, SendRequest
from gateway.nodes.elsewhere import Elsewhere, NotOurs
from gateway.quotes import build_quote
from gateway.record import replace
from gateway.store.backlog import Backlog
from gateway.store.intake_writer import Entry, EntryFate, Fate, IntakeWriter, Replayed
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.reader import Reader
from gateway.views import MessageView, Quote
from gateway.withdrawn import Canceled, NotHere, TooLate

FLUSH_TIMEOUT_S = 10.0
REREAD_S = 1.0

Rewrite = Callable[[Message, float], Order | Rejected]
"""Returns what is to stand in a message's place, at a wall-clock time, or why nothing can."""


class Intakes:
    """Implements the API's `Submissions`."""

    def __init__(
        self,
        intake: Intake,
        writer: IntakeWriter,
        outcomes: OutcomeWriter,
        dispatcher: Dispatcher,
        backlog: Backlog,
        reader: Reader,
        *,
        fallbacks: Fallbacks,
        elsewhere: Elsewhere | None = None,
        on_rejected: Callable[[str], None] = lambda code: None,
    ) -> None:
        """`elsewhere`: the other nodes, where there may be some."""
        self._elsewhere = elsewhere
        self._intake = intake
        self._fallbacks = fallbacks
        self._writer = writer
        self._outcomes = outcomes
        self._dispatcher = dispatcher
        self._backlog = backlog
        self._reader = reader
        self._on_rejected = on_rejected
        self._telling: set[asyncio.Task[None]] = set()

    async def submit(
        self, account: Account, request: SendRequest, idempotency_key: str = ""
    ) -> Accepted:
        """Return once the message is committed; raises Rejected or StoreUnavailable."""
        (result,) = await self._take(account, [request], [idempotency_key])
        if isinstance(result, Rejected):
            raise result
        return result

    def submit_soon(
        self,
        account: Account,
        request: SendRequest,
        idempotency_key: str,
        done: Callable[[Accepted | Exception], None],
    ) -> None:
        """As `submit`, with nothing to await: `done` is told once, unless this raises."""
        if request.fallback is not None:
            self._fallbacks.begin_request()
        entry = self._decide(account, request, idempotency_key, time.time())
        if isinstance(entry, Rejected):
            self._on_rejected(entry.code)
            raise entry

        def settle(fates: Sequence[EntryFate], error: Exception | None) -> None:
            if error is not None:
                done(error)
            elif fates[0] is Fate.STORED:
                done(_accepted(account, entry.message))
            else:
                self._tell_fate(account, entry, fates[0], done)

        self._writer.commit_soon((entry,), settle)

    def _tell_fate(
        self,
        account: Account,
        entry: Entry,
        fate: EntryFate,
        done: Callable[[Accepted | Exception], None],
    ) -> None:
        async def tell() -> None:
            try:
                answer = await self._answer(account, entry, fate)
            except Exception as error:
                done(error)
                return
            if isinstance(answer, Rejected):
                self._on_rejected(answer.code)
            done(answer)

        task = asyncio.ensure_future(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def submit_batch(
        self, account: Account, requests: Sequence[SendRequest], idempotency_key: str = ""
    ) -> list[Accepted | Rejected]:
        """Return one result a request, in order; the good ones are committed together."""
        if idempotency_key:
            keys = [f"{idempotency_key}#{place}" for place in range(len(requests))]
        else:
            keys = [""] * len(requests)
        return await self._take(account, requests, keys)

    async def _take(
        self, account: Account, requests: Sequence[SendRequest], keys: Sequence[str]
    ) -> list[Accepted | Rejected]:
        now = time.time()
        results: list[Accepted | Rejected | None] = []
        entries: list[Entry] = []
        self._fallbacks.begin_request()
        for request, key in zip(requests, keys, strict=True):
            decided = self._decide(account, request, key, now)
            if isinstance(decided, Rejected):
                results.append(decided)
            else:
                results.append(None)
                entries.append(decided)
        fates = await self._writer.commit(entries) if entries else []
        stored = iter(zip(entries, fates, strict=True))
        answers = [
            await self._answer(account, *next(stored)) if result is None else result
            for result in results
        ]
        for answer in answers:
            if isinstance(answer, Rejected):
                self._on_rejected(answer.code)
        return answers

    def _decide(
        self, account: Account, request: SendRequest, key: str, now: float
    ) -> Entry | Rejected:
        message = self._intake.decide(account, request, now)
        if isinstance(message, Rejected):
            return message
        entry = _entry(message, request, key)
        if request.fallback is None and account.fallback is None:
            return entry
        fallback = self._fallbacks.decide(account, request.fallback, message)
        if isinstance(fallback, Rejected):
            self._intake.take_back(message)
            return fallback
        return replace(entry, fallback=fallback)

    async def quote(self, account: Account, requests: Sequence[SendRequest]) -> Quote:
        """Return what sending would cost, number by number; nothing is stored or reserved."""
        now = time.time()
        asked = [(each.to, self._intake.assess(account, each, now)) for each in requests]
        return build_quote(account, asked, await self._reader.fetch_spendable(account.id))

    async def cancel(self, account: Account, message_id: MessageId) -> MessageView:
        """Withdraw a message of which nothing has left, and return it once that is committed."""
        try:
            await self.cancel_here(account.id, message_id)
        except NotOurs as away:
            assert self._elsewhere is not None
            await self._elsewhere.cancel(away.message)
        view = await self._reader.fetch_message(account.id, message_id)
        if view is None:
            raise _not_found()
        return view

    async def cancel_here(self, account_id: AccountId, message_id: MessageId) -> None:
        """As `cancel`, of a message that this node has; raises NotOurs for another one."""
        outcome: Canceled | TooLate | NotHere = NotHere()
        if not self._is_anothers(account_id, message_id):
            outcome = self._dispatcher.cancel(message_id, time.time())
        if isinstance(outcome, NotHere):
            self._dispatcher.begin_refill()
            try:
                read = await self._read_ours(account_id, message_id)
                outcome = self._dispatcher.cancel_read(read, time.time())
            finally:
                self._dispatcher.end_refill()
        if not isinstance(outcome, Canceled):
            raise self._too_late(message_id)
        try:
            await asyncio.wait_for(self._outcomes.flush(), FLUSH_TIMEOUT_S)
        except TimeoutError:
            raise StoreUnavailable(
                "the message is withdrawn, but the database has not confirmed it yet"
            ) from None

    async def _read_ours(self, account_id: AccountId, message_id: MessageId) -> Job:
        """Return an account's message as the store has it; raises Rejected or NotOurs."""
        read = await self._backlog.fetch_one(account_id, message_id)
        if read is None:
            raise _not_found()
        if self._elsewhere is not None and self._elsewhere.has(read.message):
            raise NotOurs(read.message)
        return read

    async def replace(self, account: Account, message_id: MessageId, read: Rewrite) -> Message:
        """Exchange what a message says before any of it was tried, and return it as it is now.

        Raises Rejected (`too_late`, `not_found`, `no_credit`, and whatever `read` or intake find
        wrong), StoreUnavailable, or NotOurs.
        """
        old = await self._hold(account, message_id)
        try:
            new = self._rewrite(account, old, read)
            await asyncio.wait_for(self._outcomes.flush(), FLUSH_TIMEOUT_S)
            await self._backlog.replace(old, new)
        except Rejected:
            self._release(old)
            raise
        except Exception as error:
            # The commit may have got through: only the row knows what the message says now.
            self._release(await self._read_row(old))
            if isinstance(error, TimeoutError):
                raise StoreUnavailable("the message could not be replaced") from None
            raise
        self._release(new)
        return new

    async def _hold(self, account: Account, message_id: MessageId) -> Message:
        held: Message | TooLate | NotHere = NotHere()
        if not self._is_anothers(account.id, message_id):
            held = self._dispatcher.hold(message_id)
        if isinstance(held, NotHere):
            self._dispatcher.begin_refill()
            try:
                held = self._dispatcher.hold_read(await self._read_ours(account.id, message_id))
            finally:
                self._dispatcher.end_refill()
        if not isinstance(held, Message):
            raise self._too_late(message_id)
        return held

    def _too_late(self, message_id: MessageId) -> Rejected:
        if message_id in self._dispatcher.foreign.leaving:
            detail = "the message is just going to another node; nothing changed"
            return Rejected("node_unavailable", detail, status=503, retry_after_s=1.0)
        return Rejected("too_late", "the message has begun to leave, or has ended", status=409)

    def _is_anothers(self, account_id: AccountId, message_id: MessageId) -> bool:
        """Say whether memory holds it for another account.

        It is then looked up in the store like one that is nowhere: the time that an answer takes
        tells no more than its words.
        """
        job = self._dispatcher.find(message_id)
        return job is not None and job.message.account_id != account_id

    def _rewrite(self, account: Account, old: Message, read: Rewrite) -> Message:
        now = time.time()
        order = read(old, now)
        if isinstance(order, Rejected):
            raise order
        decided = self._intake.decide_replacement(account, order, now)
        if isinstance(decided, Rejected):
            raise decided
        # It stays the message that it was: its place, its way, and what it is known by. What
        # waits for an hour is found by it at a start, so an hour that is past is written too.
        return replace(
            decided,
            id=old.id,
            accepted_at=old.accepted_at,
            routes=old.routes,
            lane=old.lane,
            client_ref=old.client_ref,
            tag=old.tag,
            callback_url=old.callback_url,
            group_id=old.group_id,
            send_at=now if old.send_at and decided.send_at is None else decided.send_at,
        )

    def _release(self, message: Message) -> None:
        self._dispatcher.release(message, asyncio.get_running_loop().time(), time.time())

    async def _read_row(self, message: Message) -> Message:
        """Return a held message as the store has it, whenever the store can be asked again."""
        while True:
            try:
                job = await self._backlog.fetch_one(message.account_id, message.id)
            except StoreUnavailable:
                await asyncio.sleep(REREAD_S)
            else:
                return message if job is None else job.message

    async def _answer(self, account: Account, entry: Entry, fate: EntryFate) -> Accepted | Rejected:
        message = entry.message
        if fate is not Fate.STORED:
            self._intake.take_back(message)
        match fate:
            case Fate.STORED:
                return _accepted(account, message)
            case Fate.NO_CREDIT:
                return Rejected(
                    "no_credit",
                    f"the message costs {format_micros(message.price_micros)}"
                    f" {account.currency}, more than is available",
                    status=402,
                )
            case Fate.CONFLICT:
                return Rejected(
                    "idempotency_conflict",
                    "this key was used for another request",
                    field="client_ref" if entry.key.startswith("r:") else "Idempotency-Key",
                    status=409,
                )
            case Replayed(id=first_id):
                return await self._replay(account, first_id)

    async def _replay(self, account: Account, message_id: MessageId) -> Accepted | Rejected:
        first = await self._backlog.fetch_one(account.id, message_id)
        if first is None:
            return Rejected("gone", "the key's message is past its retention", status=410)
        return _accepted(account, first.message, first.status(), replayed=True)


def _entry(message: Message, request: SendRequest, idempotency_key: str) -> Entry:
    """Return what is committed; a client_ref is the key of a request that names no other."""
    if idempotency_key:
        return Entry(message, f"k:{idempotency_key}", hash_request(request))
    if message.client_ref:
        return Entry(message, f"r:{message.client_ref}", hash_request(request))
    return Entry(message)


def _accepted(
    account: Account,
    message: Message,
    status: Status = Status.ACCEPTED,
    *,
    replayed: bool = False,
) -> Accepted:
    scheduled = status is Status.ACCEPTED and message.send_at is not None
    return Accepted(
        id=message.id,
        status="scheduled" if scheduled else status.wire,
        recipient=message.recipient,
        segments=message.segments,
        encoding=message.encoding,
        price_micros=message.price_micros,
        currency=account.currency,
        client_ref=message.client_ref,
        replayed=replayed,
    )


def _not_found() -> Rejected:
    return Rejected("not_found", "this account has no such message", field="id", status=404)
