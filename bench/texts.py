"""Measure the ways to erase texts before their messages: what docs/decisions/0011 rests on.

python -m bench.texts                   200,000 messages, about half a minute
python -m bench.texts --messages 2000000
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import msgspec

from gateway.ids import id_at
from gateway.store.embedded import start_embedded
from gateway.store.migrate import migrate
from gateway.store.partitions import ensure_partitions
from gateway.store.postgres import UNLIMITED_S, Database
from gateway.store.texts import erase_texts

DAY_S = 86_400.0

_FILL = """
INSERT INTO messages (account_id, id, carrier_id, lane, routes, sender, recipient, country, body,
                      encoding, segments, price_micros, expires_at)
SELECT 1 + g % 10, $1::bigint + g * 20000::bigint, 1, 1, '{1}', 'Shop', '4917' || g, 'DE',
       'Your parcel number ' || g || ' arrives tomorrow between 8 and 12, please be at home.',
       0, 1, 7500, 0
FROM generate_series(1, $2::int) g"""
_END = """
INSERT INTO events (account_id, message_id, at, kind, segment, segment_status, status, closes,
                    posted_micros, voided_micros)
SELECT account_id, id, 0, 6, 1, 15, 15, true, 0, 7500 FROM messages"""
_MARK = "INSERT INTO queue_marks VALUES (1, 1, 9223372036854775807)"
_BESIDE = """
CREATE TABLE texts_beside (account_id int, id bigint, body text, PRIMARY KEY (account_id, id))"""
_PUT_BESIDE = "INSERT INTO texts_beside SELECT account_id, id, body FROM messages"
_NOW = "pg_current_wal_insert_lsn()"
_WAL = f"SELECT {_NOW}"
_SIZE = """
SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
WHERE inhparent = 'messages'::regclass"""


class Way(msgspec.Struct, frozen=True):
    """One way, by the message."""

    way: str
    us: float
    log_bytes: float
    """Of the write-ahead log."""
    day_bytes: float
    """What the day takes up afterwards, with its indexes."""


async def measure(url: str, messages: int) -> list[Way]:
    """Store a day, erase its texts in each way, and return what each took."""
    await migrate(url)
    database = await Database.open(url, connections=2)
    plain = await asyncpg.connect(url)  # without our time limits
    now = time.time()
    await ensure_partitions(database, now - 4 * DAY_S)
    ways: list[Way] = []

    async def do(way: str, *statements: str, shown: bool = True) -> None:
        began, log = time.perf_counter(), await plain.fetchval(_WAL)
        for statement in statements:
            if statement == "copy":
                await erase_texts(database, now, 2)
            elif statement == _FILL:
                first = id_at(now - 4 * DAY_S)
                await plain.execute(_FILL, first, messages, timeout=UNLIMITED_S)
            else:
                await plain.execute(statement, timeout=UNLIMITED_S)
        took = time.perf_counter() - began
        written = await plain.fetchval(f"SELECT pg_wal_lsn_diff({_NOW}, $1::pg_lsn)", log)
        size = await plain.fetchval(_SIZE)
        if shown:
            each = (took * 1e6, float(written), float(size))
            ways.append(Way(way, *(round(value / messages, 1) for value in each)))

    await do("store the messages", _FILL)
    await do("", _END, _MARK, "VACUUM ANALYZE messages", "VACUUM ANALYZE events", shown=False)
    await plain.execute(_BESIDE)
    await do("also into a table of texts", _PUT_BESIDE)
    await do("copy the day", "copy")
    await do("", "TRUNCATE messages", _FILL, "VACUUM ANALYZE messages", shown=False)
    await do("update each row, and vacuum", "UPDATE messages SET body = NULL", "VACUUM messages")
    await plain.close()
    await database.close()
    return ways


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.texts")
    parser.add_argument("--messages", type=int, default=200_000)
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="gwt"))
    server = start_embedded(folder / "pg")
    try:
        ways = asyncio.run(measure(server.url, options.messages))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'per message':28} {'µs':>8} {'log bytes':>10} {'day bytes':>10}")
    for way in ways:
        print(f"{way.way:28} {way.us:8} {way.log_bytes:10} {way.day_bytes:10}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
