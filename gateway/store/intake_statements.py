"""The statements that take messages in, and the arrays of rows that they read.

One statement a batch: it takes idempotency keys, reserves credit and inserts, or does nothing.
"""

from __future__ import annotations

from typing import Any

from gateway.message import Message
from gateway.store.columns import Column, read_rows, write_rows
from gateway.store.fallback_statements import with_fallbacks

_MESSAGE = (
    Column("id", "bigint", varies=True),
    Column("account_id", "int"),
    Column("carrier_id", "smallint"),
    Column("lane", "smallint"),
    Column("routes", "text"),
    Column("sender", "text"),
    Column("recipient", "text", varies=True),
    Column("country", "text"),
    Column("operator", "text"),
    Column("body", "text", varies=True),
    Column("data", "bytea"),
    Column("udh", "bytea"),
    Column("encoding", "smallint"),
    Column("data_coding", "smallint"),
    Column("segments", "smallint"),
    Column("price_micros", "bigint"),
    Column("client_ref", "text"),
    Column("tag", "text"),
    Column("callback_url", "text"),
    Column("send_at", "float8"),
    Column("expires_at", "float8", varies=True),
    Column("registered_delivery", "smallint"),
    Column("group_id", "bigint"),
    Column("tlvs", "bytea"),
)
"""In the order of `_columns`. Arrays of arrays must be rectangular in
PostgreSQL, so routes travel as texts."""

_COLUMNS = ", ".join(column.name for column in _MESSAGE)
_KEYS_FIRST = 3 + len(_MESSAGE)
"""The parameter behind the writer, its batch's number and the messages."""

_INPUT = f"""
input AS ({read_rows(_MESSAGE, first=3)})"""

# Rows of balances are locked in the order of accounts by all who change several (`money.py`): an
# UPDATE alone takes them as its plan finds them, and two of them may wait for each other.
_STORE = f"""
wanted AS (
    SELECT account_id, sum(price_micros)::bigint AS micros FROM taken GROUP BY account_id
),
held AS (
    SELECT b.account_id, w.micros FROM balances b JOIN wanted w USING (account_id)
    ORDER BY b.account_id FOR NO KEY UPDATE OF b
),
reserved AS (
    UPDATE balances b SET available_micros = b.available_micros - w.micros FROM held w
    WHERE b.account_id = w.account_id AND b.available_micros - w.micros >= b.floor_micros
    RETURNING b.account_id
),
stored AS (
    INSERT INTO messages ({_COLUMNS})
    SELECT {_COLUMNS.replace("routes", "routes::smallint[]")} FROM taken
)
SELECT advance_writer($1, $2) AS seq,
       CASE WHEN (SELECT count(*) FROM reserved) < (SELECT count(*) FROM wanted)
            THEN refuse_overdraft() END AS overdraft"""  # noqa: S608

WITHOUT_KEYS = f"WITH {_INPUT}, taken AS (SELECT * FROM input), {_STORE}"  # noqa: S608

WITH_KEYS = f"""WITH {_INPUT},
keys AS (
    SELECT * FROM unnest(${_KEYS_FIRST}::int[], ${_KEYS_FIRST + 1}::text[],
                         ${_KEYS_FIRST + 2}::bigint[], ${_KEYS_FIRST + 3}::bytea[])
        AS k(account_id, key, message_id, request_hash)
),
fresh AS (
    INSERT INTO idempotency SELECT * FROM keys ON CONFLICT DO NOTHING RETURNING message_id
),
taken AS (
    SELECT * FROM input i
    WHERE i.id NOT IN (SELECT message_id FROM keys) OR i.id IN (SELECT message_id FROM fresh)
), {_STORE},
    ARRAY(SELECT message_id FROM keys WHERE message_id NOT IN (SELECT message_id FROM fresh))
        AS known"""  # noqa: S608

WITHOUT_KEYS_AND_FALLBACKS = with_fallbacks(WITHOUT_KEYS, _KEYS_FIRST - 1)
WITH_KEYS_AND_FALLBACKS = with_fallbacks(WITH_KEYS, _KEYS_FIRST + 3)

FIRST_OF_KEYS = """
SELECT k.message_id AS asked, i.message_id AS first, i.request_hash
FROM unnest($1::int[], $2::text[], $3::bigint[]) AS k(account_id, key, message_id)
JOIN idempotency i ON i.account_id = k.account_id AND i.key = k.key"""

LOCK_BALANCES = """
SELECT account_id, available_micros - floor_micros AS spendable FROM balances
WHERE account_id = ANY($1::int[]) ORDER BY account_id FOR UPDATE"""


def message_columns(messages: list[Message]) -> list[Any]:
    """Return the arrays that the statements read from their third parameter on."""
    return write_rows(_MESSAGE, _columns(messages))


def _columns(messages: list[Message]) -> tuple[list[Any], ...]:
    """Turn messages into one array a column, in the order of `_MESSAGE`."""
    return (
        [m.id for m in messages],
        [m.account_id for m in messages],
        [m.routes[0] for m in messages],
        [m.lane for m in messages],
        ["{" + ",".join(map(str, m.routes)) + "}" for m in messages],
        [m.sender for m in messages],
        [m.recipient for m in messages],
        [m.country for m in messages],
        [m.operator or None for m in messages],
        [m.text for m in messages],
        [m.data or None for m in messages],
        [m.udh or None for m in messages],
        [m.encoding for m in messages],
        [m.data_coding for m in messages],
        [m.segments for m in messages],
        [m.price_micros for m in messages],
        [m.client_ref or None for m in messages],
        [m.tag or None for m in messages],
        [m.callback_url or None for m in messages],
        [m.send_at for m in messages],
        [m.expires_at for m in messages],
        [m.registered_delivery or None for m in messages],
        [m.group_id for m in messages],
        [m.tlvs or None for m in messages],
    )
