"""Accounts' SMPP credentials and terms: what operators change while the gateway runs.

The store has only a slow hash of each password. Not here: who may bind (`gateway/upstream/`).
"""

from __future__ import annotations

import asyncio
import functools
import re
import secrets
from datetime import UTC, timedelta, timezone, tzinfo
from ipaddress import ip_network
from typing import TYPE_CHECKING, TypedDict, Unpack
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from gateway.errors import Rejected
from gateway.logs import get_logger
from gateway.model import LANES, AccountId, Lane
from gateway.store.accounts import account_of
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query
from gateway.text.style import DefaultAlphabet
from gateway.upstream.admission import PASSWORD_CHARS_MAX, SYSTEM_ID_RULE, is_system_id
from gateway.upstream.ids import IdForm
from gateway.upstream.passwords import SALT_BYTES, hash_password
from gateway.upstream.terms import WINDOW_SIZE_MAX, Terms

if TYPE_CHECKING:
    from gateway.store.postgres import Row

log = get_logger("upstream")

NETWORKS_MAX = 64
BINDS_MAX = 1_000
QUEUE_MAX = 100_000_000
RATE_PER_S_MAX = 1_000_000

_SAVE = query("save_smpp_account")
_FETCH = query("fetch_smpp_accounts")
_REMOVE = query("remove_smpp_account")

_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)


class SmppSettings(TypedDict, total=False):
    """What can be set; what is left out stays as it is, or gets its default."""

    system_id: str
    password: str
    networks: list[str]
    """Addresses and networks (CIDR) that binds may come from; empty: all."""
    binds_max: int
    """0: the default of the settings; so for window_size."""
    window_size: int
    rate_per_s: float
    queue_max: int
    id_form: str
    time_zone: str
    """UTC, an offset like +05:30, or a name like Europe/Berlin."""
    alphabet: str
    """What data_coding 0 means: gsm7, latin-1, ascii or utf-8."""
    ia5_alphabet: str
    """What data_coding 1 means, in the same words."""
    lane: str


class SmppAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account's SMPP settings as people read them."""

    account: str
    active: bool
    """The account's, as `submit_per_s`."""
    system_id: str
    networks: list[str]
    binds_max: int
    window_size: int
    rate_per_s: float
    """0: `submit_per_s` holds, which is requests over HTTP; 0 there too: no limit."""
    submit_per_s: float
    queue_max: int
    id_form: str
    time_zone: str
    alphabet: str
    ia5_alphabet: str
    lane: str


@unavailable_as_503()
async def save_smpp_account(
    database: Database, account_id: AccountId, **settings: Unpack[SmppSettings]
) -> SmppAccount:
    """Give an account its SMPP settings, or change some; every node knows them seconds later.

    Raises Rejected for an unknown account, a system_id that is taken, values out of range, and
    credentials without a system_id or a password.
    """
    _check(settings)
    password_hash = None
    if "password" in settings:
        salt = secrets.token_bytes(SALT_BYTES)
        password_hash = await asyncio.to_thread(hash_password, settings["password"], salt)
    try:
        async with database.acquire() as connection:
            await connection.execute(
                _SAVE,
                account_id,
                settings.get("system_id"),
                password_hash,
                settings.get("networks"),
                settings.get("binds_max"),
                settings.get("window_size"),
                settings.get("rate_per_s"),
                settings.get("queue_max"),
                settings.get("id_form"),
                settings.get("time_zone"),
                settings.get("alphabet"),
                settings.get("ia5_alphabet"),
                LANES[settings["lane"]] if "lane" in settings else None,
            )
            rows = await connection.fetch(_FETCH, account_id)
    except asyncpg.UniqueViolationError:
        raise Rejected(
            "system_id_taken", "another account has this system_id", field="system_id", status=409
        ) from None
    except asyncpg.ForeignKeyViolationError:
        raise Rejected(
            "account_unknown", "there is no such account", field="account", status=404
        ) from None
    except asyncpg.NotNullViolationError as error:
        raise Rejected(
            "credentials_missing",
            "an account that binds needs a system_id and a password",
            field="system_id" if error.column_name == "system_id" else "password",
        ) from None
    return _shown(rows[0])


async def find_smpp_account(database: Database, account_id: AccountId) -> SmppAccount | None:
    """Return an account's SMPP settings; None when it has none."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_FETCH, account_id)
    return _shown(rows[0]) if rows else None


async def list_smpp_accounts(database: Database) -> list[SmppAccount]:
    """Return the SMPP settings of all accounts that have any."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_FETCH, None)
    return sorted(map(_shown, rows), key=lambda each: each.account)


async def remove_smpp_account(database: Database, account_id: AccountId) -> bool:
    """Take an account's SMPP access away, and what waits for its receivers; False if it had none.

    Its binds end within seconds.
    """
    async with database.acquire() as connection:
        return await connection.execute(_REMOVE, account_id) != "DELETE 0"


class TermsReader:
    """Reads the terms of all accounts that may bind; makes only those anew that have changed.

    It is asked every few seconds: comparing a row costs a twentieth of reading it.
    """

    def __init__(self, database: Database, *, binds_max: int, window_size: int) -> None:
        """The numbers are for accounts without their own."""
        self._database = database
        self._binds_max = binds_max
        self._window_size = window_size
        self._known: dict[AccountId, tuple[Row, Terms]] = {}

    async def fetch(self) -> dict[AccountId, Terms]:
        """Return the terms by account; raises StoreUnavailable."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_FETCH, None)
        known: dict[AccountId, tuple[Row, Terms]] = {}
        for row in rows:
            account_id = AccountId(row["id"])
            before = self._known.get(account_id)
            if before is not None and before[0] == row:
                known[account_id] = before
            else:
                known[account_id] = row, _terms_of(row, self._binds_max, self._window_size)
        self._known = known
        return {account_id: terms for account_id, (_, terms) in known.items()}


def parse_zone(raw: str) -> tzinfo | None:
    """Return the zone of a name or an offset; None when it is neither."""
    if raw.upper() in ("UTC", "Z"):
        return UTC
    if offset := _OFFSET.fullmatch(raw):
        hours, minutes = int(offset[2]), int(offset[3])
        if hours > 14 or minutes > 59:
            return None
        ahead = timedelta(hours=hours, minutes=minutes)
        return timezone(ahead if offset[1] == "+" else -ahead)
    try:
        return ZoneInfo(raw)
    except (KeyError, OSError, ValueError):  # unknown, or no name at all
        return None


def _terms_of(row: Row, binds_max: int, window_size: int) -> Terms:
    return Terms(
        account=account_of(row),
        system_id=row["system_id"],
        password_hash=row["password"],
        networks=tuple(map(ip_network, row["networks"])),
        binds_max=row["binds_max"] or binds_max,
        window_size=row["window_size"] or window_size,
        rate_per_s=row["rate_per_s"] or row["submit_per_s"],
        queue_max=row["queue_max"],
        id_form=IdForm(row["id_form"]),
        zone=_zone_of(row["time_zone"]),
        alphabet=DefaultAlphabet(row["alphabet"]),
        ia5_alphabet=DefaultAlphabet(row["ia5_alphabet"]),
        lane=Lane(row["lane"]),
    )


@functools.lru_cache(maxsize=1024)
def _zone_of(raw: str) -> tzinfo:
    """Return a stored zone; a machine that lacks its table must not keep everybody out."""
    zone = parse_zone(raw)
    if zone is None:
        log.error("time_zone_unknown_here", zone=raw)
        return UTC
    return zone


def _shown(row: Row) -> SmppAccount:
    return SmppAccount(
        account=row["name"],
        active=row["active"],
        system_id=row["system_id"],
        networks=list(row["networks"]),
        binds_max=row["binds_max"] or 0,
        window_size=row["window_size"] or 0,
        rate_per_s=row["rate_per_s"],
        submit_per_s=row["submit_per_s"],
        queue_max=row["queue_max"],
        id_form=row["id_form"],
        time_zone=row["time_zone"],
        alphabet=row["alphabet"],
        ia5_alphabet=row["ia5_alphabet"],
        lane=Lane(row["lane"]).wire,
    )


def _check(settings: SmppSettings) -> None:
    if "system_id" in settings and not is_system_id(settings["system_id"]):
        raise _out_of_range("system_id", SYSTEM_ID_RULE)
    if "password" in settings:
        password = settings["password"]
        if not (0 < len(password) <= PASSWORD_CHARS_MAX and _visible(password)):
            raise _out_of_range("password", f"1 to {PASSWORD_CHARS_MAX} visible ASCII characters")
    for field, least, most in (
        ("binds_max", 0, BINDS_MAX),
        ("window_size", 0, WINDOW_SIZE_MAX),
        ("rate_per_s", 0, RATE_PER_S_MAX),
        ("queue_max", 0, QUEUE_MAX),
    ):
        # Written so that NaN fails too.
        if not least <= settings.get(field, least) <= most:  # type: ignore[operator]
            raise _out_of_range(field, f"{least} to {most:,}")
    _check_networks(settings.get("networks", []))
    for field, words in (
        ("id_form", [form.value for form in IdForm]),
        ("alphabet", [alphabet.value for alphabet in DefaultAlphabet]),
        ("ia5_alphabet", [alphabet.value for alphabet in DefaultAlphabet]),
        ("lane", list(LANES)),
    ):
        if field in settings and settings[field] not in words:  # type: ignore[literal-required]
            raise _out_of_range(field, f"one of {', '.join(words)}")
    if "time_zone" in settings and parse_zone(settings["time_zone"]) is None:
        raise _out_of_range("time_zone", "UTC, an offset like +05:30, or a name like Europe/Berlin")


def _check_networks(networks: list[str]) -> None:
    if len(networks) > NETWORKS_MAX:
        raise _out_of_range("networks", f"at most {NETWORKS_MAX}")
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise _out_of_range("networks", f"addresses or CIDR networks ({error})") from None


def _visible(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _out_of_range(field: str, expected: str) -> Rejected:
    return Rejected("out_of_range", f"must be {expected}", field=field)
