"""Erasing what belongs to a number: who asked for it, what was found, what is still needed.

Money and times stay: amounts, segments, country, operator, tag, events. Each step is a short
transaction of its own and can be repeated, so that a killed process costs nothing but that step.

Not here: who does the steps and when (`gateway/erasing.py`), what is told of a number
(`number_export.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import Rejected, StoreUnavailable
from gateway.fallback.terms import FallbackState
from gateway.ids import accepted_at
from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId
from gateway.personal import ErasureView
from gateway.store import partitions
from gateway.store.message_views import format_time
from gateway.store.number_record import check_reason, fetch_number_hash
from gateway.store.postgres import PLAN_EACH_TIME, UNLIMITED_S, Database, unavailable_as_503
from gateway.store.queries import query
from gateway.store.texts import REWRITING_LOCK

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection, Row

STEP_ROWS = 500
"""Rows of a transaction: some 20 ms, so that nobody waits long for one of them."""
DELIVERIES_MAX = 10_000
NAMED_MAX = 20
"""Messages that are named as what an erasure waits for."""
UNFINISHED_MAX = 10_000
"""Erasures that may wait at once: each is looked at twice a minute."""
DAY_S = 86_400.0
CONTENT_SLACK_S = 3_600.0
"""What emails say is shared by an account's messages of one day; so long after its end no intake
can still be bringing one."""

_SHARE_DAYS = "SELECT pg_try_advisory_xact_lock_shared($1)"
_WHOSE = query("find_whose_number")
_INSERT = query("insert_erasure")
_UNFINISHED = query("fetch_unfinished_erasures")
_COUNT_UNFINISHED = query("count_unfinished_erasures")
_ERASURES = query("fetch_erasures")
_SEARCHED_TO = query("fetch_searched_to")
_SEARCH_DAY = query("search_day")
_SAVE_SEARCHED_TO = query("save_searched_to")
_SAVE_SEARCHED = query("save_searched")
_FOUND = query("fetch_found_messages")
_MESSAGES = query("erase_messages")
_EVENT_ERRORS = query("erase_event_errors")
_EMAILS = query("erase_emails")
_EMAIL_CONTENTS = query("erase_email_contents")
_KEYS = query("erase_keys")
_SETTLE = query("settle_found_messages")
_ADD = query("add_erased")
_DELIVERIES_OF = query("find_deliveries_of")
_DELIVERIES = query("erase_deliveries")
_UNERASED = query("count_unerased")
_WAITING_IDS = query("fetch_waiting_ids")
_NOTE = query("note_erasure")
_FINISH = query("finish_erasure")
_REMAINS = (
    ("inbound messages", query("erase_inbound")),
    ("inbound parts", query("erase_inbound_parts")),
    ("unmatched receipts", query("erase_unmatched")),
)
_TOLD = query("erase_told")


class Erasure(msgspec.Struct, frozen=True):
    """One that is not finished."""

    id: int
    account_id: AccountId | None
    """None: every account's."""
    number: str
    """Digits without a plus sign."""
    withdraw: bool


class FoundMessage(msgspec.Struct, frozen=True):
    """A message to or from the number, and what it is needed for."""

    account_id: AccountId
    message_id: MessageId
    status: Status
    email_waits: bool
    content_id: bytes | None
    """What its email says."""
    dropped: bool

    def erasable(self, now: float) -> bool:
        """Say whether nothing needs its number and text any more at `now` (wall clock)."""
        if self.dropped:
            return True
        content_shared = self.content_id is not None and (
            now < (accepted_at(self.message_id) // DAY_S + 1) * DAY_S + CONTENT_SLACK_S
        )
        return self.status.final and not self.email_waits and not content_shared


class Unerased(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure still waits for."""

    messages: int
    """Without a final status, or with an email to be sent."""
    webhooks: int
    """Events on their way to a customer's endpoint."""
    deliveries: int
    """The same over SMPP."""
    inbound_parts: int
    """Parts of texts from the phone, that wait for the others."""

    def __bool__(self) -> bool:
        return bool(self.messages or self.webhooks or self.deliveries or self.inbound_parts)


class Erasures:
    """The rows of erasures, and of what they erase."""

    def __init__(self, database: Database, hash_key: str = "") -> None:
        """Without a `hash_key` numbers are hashed with one that the database made."""
        self._database = database
        self._hash_key = hash_key

    # ── who asked for it ─────────────────────────────────────────────────────────────────────

    @unavailable_as_503()
    async def request(
        self,
        number: str,
        account_id: AccountId | None,
        *,
        reason: str,
        author: str,
        withdraw: bool,
        now: float,
    ) -> int:
        """Ask for a number to be erased, and return the erasure's id.

        Raises Rejected without a reason, when too many erasures wait, and for a number that is an
        account's own: all that was ever sent from it, or to it, would go.
        """
        check_reason(reason, author)
        async with self._database.acquire() as connection:
            owner = await connection.fetchval(_WHOSE, number)
            if owner is not None:
                raise Rejected(
                    "number_owned",
                    f"it is the account {owner}'s own number; take it away from the account first",
                    field="number",
                    status=409,
                )
            if await connection.fetchval(_COUNT_UNFINISHED) >= UNFINISHED_MAX:
                raise Rejected(
                    "too_many_erasures",
                    f"{UNFINISHED_MAX:,} erasures wait for what is under way",
                    status=429,
                    retry_after_s=60.0,
                )
            hashed = await fetch_number_hash(connection, self._hash_key, number)
            erasure_id: int = await connection.fetchval(
                _INSERT, account_id, number, hashed, reason, author, withdraw, now
            )
        return erasure_id

    @unavailable_as_503()
    async def list_erasures(
        self, *, erasure_id: int | None = None, number: str | None = None, limit: int = 50
    ) -> list[ErasureView]:
        """Return the latest erasures, one of them, or those of a number."""
        async with self._database.acquire() as connection:
            hashed = (
                None
                if number is None
                else await fetch_number_hash(connection, self._hash_key, number)
            )
            rows = await connection.fetch(_ERASURES, erasure_id, hashed, limit)
        return [_view(row) for row in rows]

    @unavailable_as_503()
    async def fetch_unfinished(self) -> list[Erasure]:
        """Return the erasures that have something left to do, the oldest first."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_UNFINISHED)
        return [
            Erasure(
                row["id"],
                None if row["account_id"] is None else AccountId(row["account_id"]),
                row["number"],
                row["withdraw"],
            )
            for row in rows
        ]

    # ── what belongs to the number ───────────────────────────────────────────────────────────

    @unavailable_as_503()
    async def search(self, erasure: Erasure) -> None:
        """Find the number's messages, a day at a time; goes on where it was stopped."""
        async with self._database.acquire() as connection:
            state = await connection.fetchrow(_SEARCHED_TO, erasure.id)
            if state is None or state["searched"]:
                return
            days = await partitions.fetch_days(connection)
            for day in days:
                if state["searched_to"] is not None and day <= state["searched_to"]:
                    continue
                async with connection.transaction():
                    await connection.execute(f"{PLAN_EACH_TIME}; SET LOCAL statement_timeout = 0")
                    await connection.execute(
                        _SEARCH_DAY,
                        erasure.id,
                        *partitions.ids_of(day),
                        erasure.number,
                        erasure.account_id,
                        timeout=UNLIMITED_S,
                    )
                    await connection.execute(_SAVE_SEARCHED_TO, erasure.id, day)
            await connection.execute(_SAVE_SEARCHED, erasure.id)

    @unavailable_as_503()
    async def fetch_found(
        self, erasure: Erasure, after: tuple[int, int], limit: int = STEP_ROWS
    ) -> list[FoundMessage]:
        """Return the next found messages behind an account and id that are not erased yet."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_FOUND, erasure.id, *after, limit)
        return [
            FoundMessage(
                AccountId(row["account_id"]),
                MessageId(row["message_id"]),
                Status(row["status"]),
                row["state"] == FallbackState.WAITING,
                row["content_id"],
                row["dropped"],
            )
            for row in rows
        ]

    # ── erasing it ───────────────────────────────────────────────────────────────────────────

    @unavailable_as_503()
    async def erase_messages(self, erasure: Erasure, found: Sequence[FoundMessage]) -> None:
        """Erase number, text and personal fields of messages that are `erasable`."""
        keys = [m.account_id for m in found], [m.message_id for m in found]
        bounds = min(keys[1]), max(keys[1])
        contents = {(m.account_id, m.content_id) for m in found if m.content_id is not None}
        async with self._database.acquire() as connection, connection.transaction():
            if not await connection.fetchval(_SHARE_DAYS, REWRITING_LOCK):
                raise StoreUnavailable("a day is being written anew without its texts")
            await connection.execute(PLAN_EACH_TIME)
            erased = _affected(await connection.execute(_MESSAGES, *keys, erasure.number, *bounds))
            await connection.execute(_EVENT_ERRORS, *keys, erasure.number, *bounds)
            await connection.execute(_KEYS, *keys, *bounds)
            if contents:
                emails = _affected(await connection.execute(_EMAILS, *keys))
                await connection.execute(
                    _EMAIL_CONTENTS, [a for a, _ in contents], [c for _, c in contents]
                )
                await self._count(connection, erasure, "emails", emails)
            await connection.execute(_SETTLE, erasure.id, *keys)
            await self._count(connection, erasure, "messages", erased)

    async def erase_remains(self, erasure: Erasure) -> None:
        """Erase what is kept beside messages: texts from the phone, receipts that match nothing,
        and events that no endpoint took. What is on its way to a customer goes with `withdraw`."""
        for what, statement in _REMAINS:
            await self._erase_rows(erasure, what, statement)
        await self._erase_rows(erasure, "webhooks", _TOLD, erasure.withdraw)
        if erasure.withdraw:
            await self._erase_deliveries(erasure)

    @unavailable_as_503()
    async def _erase_rows(self, erasure: Erasure, what: str, statement: str, *more: object) -> None:
        erased = STEP_ROWS
        while erased == STEP_ROWS:
            async with self._database.acquire() as connection, connection.transaction():
                await connection.execute(PLAN_EACH_TIME)
                done = await connection.execute(
                    statement, erasure.number, erasure.account_id, STEP_ROWS, *more
                )
                erased = _affected(done)
                await self._count(connection, erasure, what, erased)

    @unavailable_as_503()
    async def _erase_deliveries(self, erasure: Erasure) -> None:
        async with self._database.acquire() as connection, connection.transaction():
            keys = await _find_deliveries(connection, erasure)
            for start in range(0, len(keys), STEP_ROWS):
                step = keys[start : start + STEP_ROWS]
                await connection.execute(_DELIVERIES, [a for a, _ in step], [i for _, i in step])
            await self._count(connection, erasure, "deliveries", len(keys))

    async def _count(
        self, connection: AnyConnection, erasure: Erasure, what: str, count: int
    ) -> None:
        if count:
            await connection.execute(_ADD, erasure.id, what, count)

    # ── what is left ─────────────────────────────────────────────────────────────────────────

    @unavailable_as_503()
    async def measure(self, erasure: Erasure) -> Unerased:
        """Return what is still needed, and ends by itself."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(
                _UNERASED, erasure.id, erasure.number, erasure.account_id
            )
            deliveries = await _find_deliveries(connection, erasure)
        assert row is not None
        return Unerased(
            messages=row["messages"],
            webhooks=row["webhooks"],
            deliveries=len(deliveries),
            inbound_parts=row["inbound_parts"],
        )

    @unavailable_as_503()
    async def fetch_waiting_ids(self, erasure_id: int) -> list[MessageId]:
        """Return the first of the messages that an erasure waits for."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_WAITING_IDS, erasure_id, NAMED_MAX)
        return [MessageId(row["message_id"]) for row in rows]

    @unavailable_as_503()
    async def note(self, erasure: Erasure, now: float) -> None:
        """Note that it was gone through, and that something is left."""
        async with self._database.acquire() as connection:
            await connection.execute(_NOTE, erasure.id, now)

    @unavailable_as_503()
    async def finish(self, erasure: Erasure, now: float) -> None:
        """Note that all is done, and forget the number."""
        async with self._database.acquire() as connection:
            await connection.execute(_FINISH, erasure.id, now)


async def _find_deliveries(connection: AnyConnection, erasure: Erasure) -> list[tuple[int, int]]:
    """Return what waits for customers' receivers and names the number, not a longer one."""
    exact = re.compile(rb"(?<!\d)" + erasure.number.encode() + rb"(?!\d)")
    rows = await connection.fetch(
        _DELIVERIES_OF, erasure.number, erasure.account_id, DELIVERIES_MAX
    )
    return [(row["account_id"], row["id"]) for row in rows if exact.search(row["body"])]


def _view(row: Row) -> ErasureView:
    return ErasureView(
        id=str(row["id"]),
        account=row["account"],
        number_hash=row["number_hash"].hex(),
        reason=row["reason"],
        author=row["author"],
        cancel=row["withdraw"],
        requested_at=format_time(row["requested_at"]),
        looked_at=format_time(row["looked_at"]),
        finished_at=format_time(row["finished_at"]),
        messages_waiting=row["waiting"],
        erased=json.loads(row["counts"]),
    )


def _affected(status: str) -> int:
    """Return the number of rows in a command's tag: "UPDATE 42"."""
    return int(status.rsplit(" ", 1)[1])


def erasable_of(found: Collection[FoundMessage], now: float) -> list[FoundMessage]:
    """Return those of found messages that nothing needs any more."""
    return [message for message in found if message.erasable(now)]
