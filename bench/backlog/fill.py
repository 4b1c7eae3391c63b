"""What waits, as the gateway would have left it, written by PostgreSQL itself.

Messages are `bench/growth/fill.py`'s; here are their money, and everything else that can wait.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from bench.growth.fill import PRICE_MICROS, Day, fill, settle
from gateway.ids import EPOCH_MS, TIME_SHIFT
from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId
from gateway.notices import build_notice
from gateway.outcomes import Party
from gateway.smpp.pdu import encode_short_message
from gateway.smpp.shapes import DeliverSm
from gateway.store.postgres import connect_single

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

TIMEOUT_S: Final = 900.0
HOUR_S: Final = 3_600.0
_PARTY: Final = Party("Bench", "447400100001", "order-1", "", "", 1, 1)
_RECEIPT: Final = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2601010000 done date:2601010000"
    b" stat:DELIVRD err:000 text:"
)

# Reserved as intake would have: the price of every message that waits.
_RESERVE: Final = f"""
UPDATE balances b SET available_micros = available_micros - m.n * {PRICE_MICROS}
FROM (SELECT account_id, count(*) AS n FROM messages GROUP BY account_id) m
WHERE m.account_id = b.account_id"""  # noqa: S608 (a constant of ours)

_SCHEDULE: Final = """
UPDATE messages SET send_at = $1::float8, expires_at = $1::float8 + 172800"""

_EVENTS: Final = """
INSERT INTO outbox (account_id, message_id, body, created_at, next_at)
SELECT $1, $2::bigint + n, $3, $4, $4 FROM generate_series(1, $5::int) AS n"""

_DELIVERIES: Final = """
INSERT INTO deliveries (account_id, id, message_id, body, created_at)
SELECT $1, $2::bigint + n, $2::bigint + n, $3, $4 FROM generate_series(1, $5::int) AS n"""

_PARKED: Final = """
INSERT INTO parked_receipts (carrier_id, carrier_message_id, received_at, segment_status, code,
                             raw_id, recipient)
SELECT 1, left(md5(n::text), 16), $1::float8 + n / 1e6, 10, 0, left(md5(n::text), 16),
       '4474001' || lpad((n % 100000)::text, 5, '0')
FROM generate_series(1, $2::int) AS n"""


async def fill_messages(connection: Connection, account_id: int, count: int) -> None:
    """Have messages of 51 accounts wait for the first carrier."""
    await fill(connection, account_id, Day.until_now(count), 1, count, ended=False)
    await connection.execute(_RESERVE, timeout=TIMEOUT_S)


async def fill_scheduled(
    connection: Connection, account_id: int, count: int, due_at: float
) -> None:
    """The same, all of them due at one time."""
    await fill_messages(connection, account_id, count)
    await connection.execute(_SCHEDULE, due_at, timeout=TIMEOUT_S)


async def fill_events(connection: Connection, account_id: int, count: int) -> None:
    """Have events wait for an account's webhook."""
    first, at = _an_hour_ago()
    notice = build_notice(AccountId(account_id), MessageId(first), _PARTY, Status.DELIVERED, "", at)
    numbers = (account_id, first, notice.body, at, count)
    await connection.execute(_EVENTS, *numbers, timeout=TIMEOUT_S)


async def fill_deliveries(connection: Connection, account_id: int, count: int) -> None:
    """Have receipts wait for an account's receivers."""
    first, at = _an_hour_ago()
    body = encode_short_message(
        DeliverSm(
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr="447400100001",
            dest_addr_ton=5,
            destination_addr="Bench",
            esm_class=4,
            short_message=_RECEIPT,
        )
    )
    await connection.execute(_DELIVERIES, account_id, first, body, at, count, timeout=TIMEOUT_S)


async def fill_parked(connection: Connection, count: int) -> None:
    """Have receipts wait for submissions that nobody knows."""
    await connection.execute(_PARKED, time.time() - 60.0, count, timeout=TIMEOUT_S)


async def settle_all(database_url: str) -> None:
    """Do what autovacuum would do meanwhile, for every table."""
    connection = await connect_single(database_url, "fill")
    try:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(
            "VACUUM (ANALYZE) outbox, deliveries, parked_receipts", timeout=TIMEOUT_S
        )
    finally:
        await connection.close()
    await settle(database_url)


def _an_hour_ago() -> tuple[int, float]:
    """Return an id of that time, and the time."""
    at = time.time() - HOUR_S
    return (int(at * 1_000) - EPOCH_MS) << TIME_SHIFT, at
