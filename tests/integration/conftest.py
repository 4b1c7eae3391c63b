"""A real PostgreSQL for every integration test, and an empty, migrated database for each one.

The server is the gateway's own (embedded) one, started once a session in a short temporary
folder, or the one that DATABASE_URL names, whose user must be allowed to create databases.

And authorities that issue certificates, for tests with TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import os
import shutil
import ssl
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.ids import IdGenerator
from gateway.lifecycle import SEGMENT_AFTER, EventKind, Status
from gateway.model import Account, MessageId
from gateway.store import accounts
from gateway.store.embedded import start_embedded
from gateway.store.migrate import migrate
from gateway.store.partitions import ensure_partitions, midnight
from gateway.store.postgres import Database
from gateway.store.recipient_index import CLOSED_AFTER_S, index_recipients

CHUNK_BYTES = 65_536


def url_of(server_url: str, database: str) -> str:
    """Name another database of the same server."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of a server whose databases tests may create and drop."""
    given = os.environ.get("DATABASE_URL", "")
    if given:
        yield given
        return
    # The socket's path must stay below 108 bytes, so not pytest's own temporary folder.
    folder = Path(tempfile.mkdtemp(prefix="gw"))
    server = start_embedded(folder / "pg")
    try:
        # Tests kill gateways, never the machine: what fsync guards against can't happen here.
        asyncio.run(execute(server.url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"))
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a migrated database to copy: 30 ms instead of migrating each time."""
    name = f"gwt_{uuid.uuid4().hex[:12]}"

    async def build() -> None:
        await execute(server_url, f"CREATE DATABASE {name}")
        await migrate(url_of(server_url, name))
        database = await Database.open(url_of(server_url, name), connections=1)
        await ensure_partitions(database, time.time(), days_ahead=1)
        await database.close()

    asyncio.run(build())
    yield name
    asyncio.run(execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def empty_database_url(server_url: str) -> AsyncIterator[str]:
    """A database of this test alone, without any schema."""
    name = f"gwt_{uuid.uuid4().hex[:12]}"
    await execute(server_url, f"CREATE DATABASE {name}")
    yield url_of(server_url, name)
    await execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database_url(server_url: str, template: str) -> AsyncIterator[str]:
    """A migrated database of this test alone, with partitions for the days around today."""
    name = f"gwt_{uuid.uuid4().hex[:12]}"
    await execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield url_of(server_url, name)
    await execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open pool on this test's database."""
    database = await Database.open(database_url, connections=4)
    yield database
    await database.close()


@pytest.fixture
async def other_session(database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Somebody else's connection to this test's database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
CountRowsRead = Callable[[], Awaitable[int]]
IndexDays = Callable[[], Coroutine[Any, Any, list[date]]]


@pytest.fixture
def make_account(database: Database) -> MakeAccount:
    """Make accounts with credit: `await make_account("shop", credit_micros=…)`."""

    async def make(name: str = "shop", *, credit_micros: int = 100_000_000) -> Account:
        account = await accounts.create_account(database, name)
        if credit_micros:
            await accounts.deposit(
                database, account.id, credit_micros, reason="test", author="test"
            )
        return account

    return make


@pytest.fixture
async def shop(make_account: MakeAccount) -> Account:
    """An account with credit."""
    return await make_account("shop")


@pytest.fixture
def put_message(database: Database) -> PutMessage:
    """Store a message and reserve its price, as the intake writer does, one at a time."""
    ids = IdGenerator(1)
    ids_of_the_past: dict[float, IdGenerator] = {}

    async def put(account: Account, *, at: float | None = None, **columns: object) -> MessageId:
        if at is None:
            message_id = ids.next(time.time())
        else:
            message_id = ids_of_the_past.setdefault(at, IdGenerator(2)).next(at)
        row: dict[str, object] = {
            "account_id": account.id,
            "id": message_id,
            "carrier_id": 1,
            "lane": 1,
            "routes": [1],
            "sender": "Shop",
            "recipient": "4917012345678",
            "country": "DE",
            "body": "Hello",
            "encoding": 0,
            "segments": 1,
            "price_micros": 7_500,
            "expires_at": time.time() + 3_600,
        } | columns
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(_insert_into("messages", row), *row.values())
            await connection.execute(
                "UPDATE balances SET available_micros = available_micros - $2"
                " WHERE account_id = $1",
                account.id,
                row["price_micros"],
            )
        return message_id

    return put


@pytest.fixture
async def count_rows_read(database: Database) -> CountRowsRead:
    """Return how many rows of days, and entries of their indexes, were read so far; days are
    analysed while they are empty, so that their reading end to end looks cheap."""
    async with database.acquire() as connection:
        await connection.execute("VACUUM (ANALYZE) messages")
        await connection.execute("VACUUM (ANALYZE) events")

    async def count() -> int:
        async with database.acquire() as connection:
            await connection.execute("SELECT pg_stat_force_next_flush()")
            rows: int = await connection.fetchval(
                "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname ~ '_p2')"
                " + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname ~ '_p2')"
            )
            return rows

    return count


@pytest.fixture
def put_event(database: Database) -> PutEvent:
    """Store an event and move its money, as the outcome writer does, one at a time.

    A segment's part of the price is posted by `submitted` and voided by what ends it unsent,
    unless `posted_micros` or `voided_micros` say otherwise.
    """

    async def put(
        account: Account,
        message_id: MessageId,
        kind: EventKind,
        *,
        status: Status | None = None,
        closes: bool | None = None,
        price_micros: int = 7_500,
        **columns: object,
    ) -> None:
        after = status or SEGMENT_AFTER[kind]
        posts = kind is EventKind.SUBMITTED
        voids = kind in (
            EventKind.REFUSED,
            EventKind.EXPIRED,
            EventKind.CANCELED,
            EventKind.UNROUTABLE,
            EventKind.HELD,
        )
        row: dict[str, object] = {
            "account_id": account.id,
            "message_id": message_id,
            "at": time.time(),
            "kind": kind,
            "segment": 1,
            "segment_status": after,
            "status": after,
            "closes": (posts or voids) if closes is None else closes,
            "posted_micros": price_micros if posts else 0,
            "voided_micros": price_micros if voids else 0,
        } | columns
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(_insert_into("events", row), *row.values())
            await connection.execute(
                "UPDATE postings SET posted_micros = posted_micros + $2 WHERE account_id = $1",
                account.id,
                row["posted_micros"],
            )
            await connection.execute(
                "UPDATE balances SET available_micros = available_micros + $2"
                " WHERE account_id = $1",
                account.id,
                row["voided_micros"],
            )
            await connection.execute(
                "INSERT INTO usage_returned SELECT account_id, usage_day(id), country,"
                " coalesce(operator, ''), coalesce(tag, ''), 1, $3::bigint, 0, 0"
                " FROM messages WHERE account_id = $1 AND id = $2 AND $3::bigint > 0"
                " ON CONFLICT (account_id, day, country, operator, tag) DO UPDATE SET"
                " voided_micros = usage_returned.voided_micros + excluded.voided_micros",
                account.id,
                message_id,
                row["voided_micros"],
            )

    return put


@pytest.fixture
def today() -> date:
    return datetime.now(UTC).date()


@pytest.fixture
def index_days(database: Database, today: date) -> IndexDays:
    """Give the days that are over their index by recipient, once yesterday may have it."""
    return lambda: index_recipients(database, midnight(today) + CLOSED_AFTER_S)


def _insert_into(table: str, row: dict[str, object]) -> str:
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})"  # noqa: S608 (our columns)


class Issued(NamedTuple):
    """One certificate's files, as settings name them."""

    cert: Path
    key: Path

    @property
    def settings(self) -> dict[str, str]:
        return {"cert_file": str(self.cert), "key_file": str(self.key)}


class Authority:
    """Vouches for names, in files of a folder of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._numbers = itertools.count(1)
        self.file = folder / "authority.pem"
        self.renew()

    def renew(self, *, days: float = 365) -> None:
        """Write its own certificate anew, which ends in so many days."""
        own = self._certify(self._name, self._key.public_key(), [], days, authority=True)
        self.file.write_bytes(own.public_bytes(Encoding.PEM))

    def issue(self, *names: str, days: float = 30, begins_in: float = -1) -> Issued:
        """Write a certificate of these names (a common name, and DNS names or addresses)."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        made = self._certify(subject, key.public_key(), names, days, begins_in=begins_in)
        stem = self._folder / f"{next(self._numbers)}"
        issued = Issued(stem.with_suffix(".cert"), stem.with_suffix(".key"))
        issued.cert.write_bytes(made.public_bytes(Encoding.PEM))
        issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return issued

    def trusted(self, shown: Issued | None = None) -> ssl.SSLContext:
        """Return a client's context that trusts it, and shows a certificate."""
        context = ssl.create_default_context(cafile=self.file)
        if shown is not None:
            context.load_cert_chain(*shown)
        return context

    def _certify(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        names: Sequence[str],
        days: float,
        *,
        begins_in: float = -1,
        authority: bool = False,
    ) -> x509.Certificate:
        now, day = datetime.now(UTC), timedelta(days=1)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + min(begins_in, days - 1) * day)
            .not_valid_after(now + days * day)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            each = [_general_name(name) for name in names]
            built = built.add_extension(x509.SubjectAlternativeName(each), critical=False)
        return built.sign(self._key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture
def make_authority(tmp_path: Path) -> Callable[[str], Authority]:
    """Make authorities of certificates, by name."""
    return lambda name: Authority(tmp_path / name, name)


@pytest.fixture
def authority(make_authority: Callable[[str], Authority]) -> Authority:
    """The authority that everybody here trusts, unless a test says otherwise."""
    return make_authority("ours")


class Door:
    """A TCP proxy to the test's database.

    `cut` breaks what stands; while `shut`, nobody new comes in; `swallow_answers` lets requests
    through and loses what the server says, as a network does that dies at the worst moment.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.shut = False
        self.swallow_answers = False
        self.swallowed = asyncio.Event()
        """Set once the server has said something that nobody will hear."""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        parts = urlsplit(self._target)
        user = parts.username or "postgres"
        return f"postgresql://{user}@127.0.0.1:{port}{parts.path}?sslmode=disable"

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def close(self) -> None:
        self.cut()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.shut:
            writer.transport.abort()
            return
        server_reader, server_writer = await self._connect()
        self._writers |= {writer, server_writer}
        await asyncio.gather(
            self._carry(reader, server_writer, answers=False),
            self._carry(server_reader, writer, answers=True),
        )

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self._target)
        host = parse_qs(parts.query).get("host", [""])[0] or parts.hostname or "127.0.0.1"
        port = parts.port or 5432
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            while data := await reader.read(CHUNK_BYTES):
                if answers and self.swallow_answers:
                    self.swallowed.set()
                    continue
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(Exception):
            writer.close()


@pytest.fixture
async def door(database_url: str) -> AsyncIterator[Door]:
    door = Door(database_url)
    await door.open()
    yield door
    await door.close()
