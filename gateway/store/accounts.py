"""Accounts and their credit: what operators change while the gateway runs.

Not here: their keys (`keys.py`), and what messages do to credit (`intake_writer.py`,
`outcome_writer.py`).
"""

from __future__ import annotations

import datetime
import secrets
import unicodedata
from typing import TYPE_CHECKING, TypedDict, Unpack

import asyncpg
import msgspec

from gateway.credit.prices import format_micros
from gateway.errors import Rejected
from gateway.model import Account, AccountId, Micros
from gateway.routing.numbers import Ineligible
from gateway.routing.sender import parse_sender
from gateway.store.fallbacks import read_rule
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import Row

NAME_CHARS_MAX = 64
DEPOSIT_MICROS_MAX = 10**15
"""A billion units at once is a typing error; and sums stay far from the end of 64 bits."""
NOTE_CHARS_MAX = 200
BILLS = ("", "submitted", "delivered")
SECRET_BYTES = 32

_INSERT_ACCOUNT = query("insert_account")
_UPDATE_ACCOUNT = query("update_account")
_UPDATE_FLOOR = query("update_floor")
_FETCH_ACCOUNTS = query("fetch_accounts")
_INSERT_DEPOSIT = query("insert_deposit")
_FETCH_DEPOSIT = query("fetch_deposit_by_key")
_APPLY_DEPOSIT = query("apply_deposit")
_FETCH_DEPOSITS = query("fetch_deposits")


class AccountSettings(TypedDict, total=False):
    """What can be set on an account, when it is made and later."""

    plan: str
    bill: str
    default_sender: str
    segments_max: int
    submit_per_s: float
    floor_micros: int
    webhook_url: str
    webhook_secret: str
    active: bool


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An account with its money; `reserved` is what open messages hold."""

    account: Account
    created_at: datetime.datetime
    available_micros: int
    posted_micros: int
    refunded_micros: int
    """What of the posted was given back."""
    deposited_micros: int

    @property
    def reserved_micros(self) -> int:
        return self.deposited_micros - self.spent_micros - self.available_micros

    @property
    def spent_micros(self) -> int:
        return self.posted_micros - self.refunded_micros


class Deposited(msgspec.Struct, frozen=True):
    available_micros: int
    replayed: bool
    """True when an earlier deposit with the same key already did this."""


@unavailable_as_503()
async def create_account(
    database: Database, name: str, currency: str = "credits", **settings: Unpack[AccountSettings]
) -> Account:
    """Make an account; raises Rejected when the name is taken or a setting is out of range.

    Without a webhook_secret it gets a random one: messages may name a callback_url at any time,
    and what is not signed can't be believed.
    """
    _check_label("name", name)
    _check_label("currency", currency)
    _check_settings(settings)
    account = Account(id=AccountId(0), name=name, currency=currency)
    account = msgspec.structs.replace(account, **settings)
    if not account.webhook_secret:
        account = msgspec.structs.replace(account, webhook_secret=new_secret())
    try:
        async with database.acquire() as connection:
            account_id = await connection.fetchval(
                _INSERT_ACCOUNT,
                account.name,
                account.currency,
                account.default_sender,
                account.segments_max,
                account.submit_per_s,
                account.webhook_url,
                account.webhook_secret,
                account.active,
                account.floor_micros,
                account.plan,
                account.bill,
            )
    except asyncpg.UniqueViolationError:
        raise Rejected(
            "account_exists", f"there is an account {name!r} already", field="name", status=409
        ) from None
    return msgspec.structs.replace(account, id=AccountId(account_id))


@unavailable_as_503()
async def update_account(
    database: Database, account_id: AccountId, **settings: Unpack[AccountSettings]
) -> Standing:
    """Change the settings that are given; every node sees it within the key ring's FRESH_S.

    Raises Rejected for an unknown account, a value out of range, and a floor above what is
    available.
    """
    _check_settings(settings)
    async with database.acquire() as connection, connection.transaction():
        found = await connection.execute(
            _UPDATE_ACCOUNT,
            account_id,
            settings.get("default_sender"),
            settings.get("segments_max"),
            settings.get("submit_per_s"),
            settings.get("webhook_url"),
            settings.get("webhook_secret") or None,
            settings.get("active"),
            settings.get("plan"),
            settings.get("bill"),
        )
        if found == "UPDATE 0":
            raise unknown_account()
        if "floor_micros" in settings:
            floor_micros = settings["floor_micros"]
            if await connection.execute(_UPDATE_FLOOR, account_id, floor_micros) == "UPDATE 0":
                raise Rejected(
                    "below_floor",
                    "less than this floor is available now",
                    field="floor",
                    status=409,
                )
        (row,) = await connection.fetch(_FETCH_ACCOUNTS, account_id, None)
    return _standing_of(row)


async def list_accounts(database: Database) -> list[Standing]:
    """Return every account with its money, oldest first."""
    async with database.acquire() as connection:
        return [_standing_of(row) for row in await connection.fetch(_FETCH_ACCOUNTS, None, None)]


async def find_account(database: Database, name: str) -> Standing | None:
    """Return the account of this name with its money."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_FETCH_ACCOUNTS, None, name)
    return _standing_of(rows[0]) if rows else None


async def fetch_account(database: Database, account_id: AccountId) -> Standing | None:
    """Return one account with its money."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_FETCH_ACCOUNTS, account_id, None)
    return _standing_of(rows[0]) if rows else None


@unavailable_as_503()
async def deposit(
    database: Database,
    account_id: AccountId,
    amount_micros: int,
    *,
    reason: str,
    author: str,
    key: str | None = None,
) -> Deposited:
    """Add credit, or take it back with a negative amount; once only for each `key`.

    Raises Rejected when the account is unknown, the key stands for another amount, or a
    correction would go below the floor.
    """
    if amount_micros == 0 or abs(amount_micros) > DEPOSIT_MICROS_MAX:
        raise Rejected(
            "amount_out_of_range",
            f"the amount must not be 0 nor beyond ±{DEPOSIT_MICROS_MAX // 10**6:,} units",
            field="amount",
        )
    for field, note in (("reason", reason), ("author", author), ("key", key or "")):
        check_note(field, note)
    try:
        async with database.acquire() as connection, connection.transaction():
            new = await connection.fetchval(
                _INSERT_DEPOSIT, account_id, amount_micros, reason, author, key
            )
            if new is None:
                earlier = await connection.fetchrow(_FETCH_DEPOSIT, account_id, key)
                return _replay(earlier, amount_micros)
            available = await connection.fetchval(_APPLY_DEPOSIT, account_id, amount_micros)
            if available is None:
                raise Rejected(
                    "below_floor",
                    "the correction would take available credit below its floor",
                    field="amount",
                    status=409,
                )
    except asyncpg.ForeignKeyViolationError:
        raise unknown_account() from None
    return Deposited(available, replayed=False)


class Deposit(msgspec.Struct, frozen=True):
    """A top-up, or with a negative amount a correction."""

    created_at: datetime.datetime
    amount_micros: int
    reason: str
    author: str
    key: str
    """What it can be repeated by without doing it twice; "" for none."""


async def list_deposits(database: Database, account_id: AccountId, limit: int) -> list[Deposit]:
    """Return the account's deposits, newest first."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_FETCH_DEPOSITS, account_id, limit)
    return [Deposit(*row) for row in rows]


def _replay(earlier: Row | None, amount_micros: int) -> Deposited:
    assert earlier is not None, "deposits are never deleted"
    if earlier["amount_micros"] != amount_micros:
        raise Rejected(
            "key_conflict",
            f"this key stands for a deposit of {format_micros(earlier['amount_micros'])}",
            field="key",
            status=409,
        )
    return Deposited(earlier["available_micros"], replayed=True)


def account_of(row: Row) -> Account:
    """Build the account from a row that has its columns and its floor."""
    return Account(
        id=AccountId(row["id"]),
        name=row["name"],
        currency=row["currency"],
        plan=row["plan"],
        bill=row["bill"],
        default_sender=row["default_sender"],
        segments_max=row["segments_max"],
        submit_per_s=row["submit_per_s"],
        floor_micros=Micros(row["floor_micros"]),
        webhook_url=row["webhook_url"],
        webhook_secret=row["webhook_secret"],
        active=row["active"],
        fallback=read_rule(row["fallback"]),
    )


def _standing_of(row: Row) -> Standing:
    return Standing(
        account=account_of(row),
        created_at=row["created_at"],
        available_micros=row["available_micros"],
        posted_micros=row["posted_micros"],
        refunded_micros=row["refunded_micros"],
        deposited_micros=row["deposited_micros"],
    )


def new_secret() -> str:
    """Return 256 random bits, URL-safe."""
    return secrets.token_urlsafe(SECRET_BYTES)


def unknown_account() -> Rejected:
    return Rejected("account_unknown", "there is no such account", field="account", status=404)


def check_note(field: str, value: str) -> None:
    if len(value) > NOTE_CHARS_MAX or not _printable(value):
        raise Rejected(
            f"{field}_invalid",
            f"must be at most {NOTE_CHARS_MAX} visible characters",
            field=field,
        )


def _printable(value: str) -> bool:
    """Say whether the store can keep it and a terminal show it: no controls, no surrogates."""
    return all(c == " " or unicodedata.category(c)[0] not in "CZ" for c in value)


def _check_label(field: str, value: str) -> None:
    if not value or not _printable(value) or value != value.strip() or len(value) > NAME_CHARS_MAX:
        raise Rejected(
            f"{field}_invalid",
            f"must be 1 to {NAME_CHARS_MAX} visible characters without spaces around them",
            field=field,
        )


def _check_settings(settings: AccountSettings) -> None:
    segments_max = settings.get("segments_max", 1)
    if not 1 <= segments_max <= 255:
        raise Rejected("out_of_range", "must be 1 to 255", field="segments_max")
    # Written so that NaN fails too.
    if not 0 <= settings.get("submit_per_s", 0) <= 1_000_000:
        raise Rejected("out_of_range", "must be 0 (none) to 1,000,000", field="submit_per_s")
    if abs(settings.get("floor_micros", 0)) > DEPOSIT_MICROS_MAX:
        raise Rejected("out_of_range", "is beyond a billion units", field="floor")
    if settings.get("bill", "") not in BILLS:
        raise Rejected("out_of_range", f"is one of {', '.join(filter(None, BILLS))}", field="bill")
    sender = settings.get("default_sender", "")
    if sender:
        parsed = parse_sender(sender)
        if isinstance(parsed, Ineligible):
            raise Rejected(parsed.code.value, parsed.detail, field="default_sender")
    url = settings.get("webhook_url", "")
    if url and not url.startswith(("https://", "http://")):
        raise Rejected("out_of_range", "must be an http(s) URL", field="webhook_url")
