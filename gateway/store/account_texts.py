"""Texts of an account that wants its own gone earlier: erased row by row, behind a mark.

For all accounts together a day is written anew (`texts.py`), which costs a third of what changing
each row does; for one account among many, whose rows are few of a day's, this costs less
(docs/decisions/0011-texts-go-by-copy.md). What is still needed is named in `needed_texts`, and
erased with that of others when it has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.errors import Rejected
from gateway.ids import id_at
from gateway.model import AccountId
from gateway.store.postgres import PLAN_EACH_TIME, Database, unavailable_as_503
from gateway.store.queries import query
from gateway.store.texts import DAY_S, REWRITING_LOCK, STEP_ROWS, erase_no_longer_needed

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

DAYS_MAX = 3_650
RUN_ROWS_MAX = 1_000_000
"""Of an account in one run, some minutes of the database's time; the next run goes on."""

_SAVE = query("save_account_text_days")
_FORGET = query("forget_account_text_days")
_FETCH = query("fetch_account_text_days")
_ALL = query("list_account_text_days")
_NEXT = query("find_texts_of_account")
_NEEDED = query("note_needed_texts")
_ERASE = query("erase_texts")
_MARK = query("mark_account_texts")
_INBOUND = query("erase_inbound_texts_of_account")
_MARK_INBOUND = query("mark_account_inbound")
_BESIDE = (
    query("forget_inbound_parts_of_account"),
    query("forget_received_notices_of_account"),
    query("forget_sent_email_contents_of_account"),
)
_SHARE_DAYS = "SELECT pg_try_advisory_xact_lock_shared($1)"


class AccountTexts(msgspec.Struct, frozen=True):
    """One account's own days, and how far its texts are erased."""

    account_id: AccountId
    days: int
    erased_to: int
    inbound_to: int


# ── how long ─────────────────────────────────────────────────────────────────────────────────


@unavailable_as_503()
async def save_text_days(database: Database, account_id: AccountId, days: int) -> None:
    """Keep an account's texts for so many days from now on; 0: as everybody's.

    Raises Rejected for what is out of range. What is erased stays erased.
    """
    if not 0 <= days <= DAYS_MAX:
        raise Rejected("out_of_range", f"0 to {DAYS_MAX:,} days", field="days")
    async with database.acquire() as connection:
        if days:
            await connection.execute(_SAVE, account_id, days)
        else:
            await connection.execute(_FORGET, account_id)


@unavailable_as_503()
async def fetch_text_days(database: Database, account_id: AccountId) -> int:
    """Return an account's own days; 0: it has none."""
    async with database.acquire() as connection:
        days: int | None = await connection.fetchval(_FETCH, account_id)
    return days or 0


# ── erasing ──────────────────────────────────────────────────────────────────────────────────


@unavailable_as_503()
async def erase_account_texts(database: Database, now: float) -> dict[AccountId, int]:
    """Erase what accounts with days of their own keep for no longer; return how many messages'."""
    async with database.acquire() as connection:
        wishes = [AccountTexts(*row) for row in await connection.fetch(_ALL)]
    erased: dict[AccountId, int] = {}
    for wish in wishes:
        before = now - wish.days * DAY_S
        if count := await _erase_messages(database, wish, id_at(before)):
            erased[wish.account_id] = count
        await _erase_beside(database, wish, before)
    if wishes:
        await erase_no_longer_needed(database)
    return erased


async def _erase_messages(database: Database, wish: AccountTexts, end: int) -> int:
    erased, seen, mark = 0, 0, wish.erased_to
    while mark < end and seen < RUN_ROWS_MAX:
        async with database.acquire() as connection, connection.transaction():
            if not await connection.fetchval(_SHARE_DAYS, REWRITING_LOCK):
                break  # a day is being written anew; the next run goes on
            await connection.execute(PLAN_EACH_TIME)
            rows = await connection.fetch(_NEXT, wish.account_id, mark, end, STEP_ROWS)
            mark = rows[-1]["id"] + 1 if len(rows) == STEP_ROWS else end
            needed = [row["id"] for row in rows if row["needed"]]
            over = [row["id"] for row in rows if not row["needed"]]
            if needed:
                await connection.execute(_NEEDED, wish.account_id, needed)
            await _erase(connection, wish.account_id, over)
            await connection.execute(_MARK, wish.account_id, mark)
        seen += len(rows)
        erased += len(over)
    return erased


async def _erase(connection: AnyConnection, account_id: AccountId, ids: list[int]) -> None:
    if ids:
        await connection.execute(_ERASE, [account_id] * len(ids), ids, ids[0], ids[-1])


async def _erase_beside(database: Database, wish: AccountTexts, before: float) -> None:
    """Erase its texts from phones, and what of them and of its emails nobody waits for."""
    account_id, end = wish.account_id, id_at(before)
    await _repeat(database, _INBOUND, account_id, wish.inbound_to, end)
    async with database.acquire() as connection:
        await connection.execute(_MARK_INBOUND, account_id, max(end, wish.inbound_to))
    for statement in _BESIDE:
        await _repeat(database, statement, account_id, before)


async def _repeat(database: Database, statement: str, *bounds: float) -> None:
    changed = STEP_ROWS
    while changed == STEP_ROWS:
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(PLAN_EACH_TIME)
            done = await connection.execute(statement, *bounds, STEP_ROWS)
        changed = int(done.rsplit(" ", 1)[1])
