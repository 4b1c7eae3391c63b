"""Pages of a search: what they hold, how they hang together, how much each looks at."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from gateway.lifecycle import EventKind, Status
from gateway.model import Account, MessageId
from gateway.store import search
from gateway.store.partitions import ensure_partitions, ids_of, midnight
from gateway.store.postgres import Database
from gateway.store.queries import query
from gateway.store.reader import Reader
from gateway.store.search import Way
from gateway.views import Page, Search

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
CountRowsRead = Callable[[], Awaitable[int]]
IndexDays = Callable[[], Coroutine[Any, Any, list[date]]]
DAY_S = 86_400.0
WANTED = "4915100000001"
FINAL = [status for status in Status if status.final]


@pytest.fixture
def reader(database: Database) -> Reader:
    return Reader(database)


async def find(reader: Reader, account: Account, **filters: Any) -> list[int]:
    """Return the ids of all pages, in order, and check how the pages hang together."""
    found: list[int] = []
    cursor: MessageId | None = None
    while True:
        page = await reader.search_messages(account.id, Search(before=cursor, **filters))
        found += [int(message.id) for message in page.messages]
        if not page.next_cursor:
            return found
        following = MessageId(int(page.next_cursor))
        assert cursor is None or following < cursor, "the cursor does not move on"
        cursor = following


async def test_a_client_ref_kept_as_a_key_is_found_for_its_account_alone(
    database: Database, reader: Reader, make_account: MakeAccount, put_message: PutMessage
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    theirs = await put_message(shop, client_ref="order-7")
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO idempotency VALUES ($1, 'r:order-7', $2, '')", shop.id, theirs
        )
    assert await find(reader, bank, client_ref="order-7") == []
    assert await find(reader, shop, client_ref="order-7") == [theirs]


async def test_pages_come_newest_first_and_lead_to_each_other(
    reader: Reader, shop: Account, put_message: PutMessage
) -> None:
    ids = [await put_message(shop) for _ in range(7)]
    page = await reader.search_messages(shop.id, Search(limit=3))
    assert [int(m.id) for m in page.messages] == ids[:3:-1]
    assert page.next_cursor == str(ids[4])
    assert await find(reader, shop, limit=3) == ids[::-1]


async def test_the_last_page_has_no_cursor(
    reader: Reader, shop: Account, put_message: PutMessage
) -> None:
    await put_message(shop)
    page = await reader.search_messages(shop.id, Search(limit=3))
    assert (len(page.messages), page.next_cursor) == (1, "")


async def test_a_page_of_a_day_that_was_analysed_while_empty_looks_at_its_own_messages_events(
    reader: Reader,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
    count_rows_read: CountRowsRead,
) -> None:
    asked = Search(limit=4)
    assert (await reader.search_messages(shop.id, asked)).messages == []  # as it is planned
    ids = [await put_message(shop) for _ in range(60)]
    for message_id in ids:
        await put_event(shop, message_id, EventKind.SUBMITTED)
    before = await count_rows_read()
    page = await reader.search_messages(shop.id, asked)
    assert [int(message.id) for message in page.messages] == ids[:-5:-1]
    assert await count_rows_read() - before <= (1 + asked.limit) * len(ids)


@pytest.mark.parametrize(("asked", "given"), [(-5, 1), (0, 1), (10**9, 6)])
async def test_a_limit_out_of_range_is_bounded(
    reader: Reader,
    shop: Account,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
    asked: int,
    given: int,
) -> None:
    monkeypatch.setattr(search, "PAGE_MESSAGES_MAX", 6)
    for _ in range(8):
        await put_message(shop)
    page = await reader.search_messages(shop.id, Search(limit=asked))
    assert len(page.messages) == given


async def test_filters_hold_together(
    reader: Reader, shop: Account, put_message: PutMessage
) -> None:
    wanted = await put_message(shop, recipient="4915100000001", tag="codes")
    await put_message(shop, recipient="4915100000001", tag="news")
    await put_message(shop, recipient="4915100000002", tag="codes")
    assert await find(reader, shop, to="4915100000001", tag="codes") == [wanted]
    assert await find(reader, shop, to="4915100000003") == []


async def test_a_span_of_time_is_half_open(
    reader: Reader, shop: Account, put_message: PutMessage
) -> None:
    now = float(int(time.time()))
    ids = [await put_message(shop, at=now + second) for second in range(3)]
    span = {"accepted_from": now + 1, "accepted_until": now + 2}
    assert await find(reader, shop, **span) == [ids[1]]
    assert await find(reader, shop, accepted_from=now + 1) == [ids[2], ids[1]]
    assert await find(reader, shop, accepted_from=now + 2, accepted_until=now) == []


async def test_a_rare_filter_looks_at_a_bounded_number_of_messages_a_page(
    reader: Reader,
    shop: Account,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "SCAN_MESSAGES_MAX", 4)
    wanted = await put_message(shop, recipient="4915100000001")
    for _ in range(9):
        await put_message(shop)
    page = await reader.search_messages(shop.id, Search(to="4915100000001"))
    assert page.messages == [] and page.next_cursor
    assert await find(reader, shop, to="4915100000001") == [wanted]


@pytest.mark.parametrize("limit", [1, 2, 50])
@pytest.mark.parametrize("scan_max", [1, 3, 1_000])
async def test_every_status_is_found_by_its_last_event(
    reader: Reader,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    scan_max: int,
) -> None:
    monkeypatch.setattr(search, "SCAN_STATES_MAX", scan_max)
    ids = {
        "accepted": await put_message(shop),
        "scheduled": await put_message(shop, send_at=time.time() + 3_600),
        "due": await put_message(shop, send_at=time.time() - 1),
        "submitted": await put_message(shop),
        "delivered": await put_message(shop),
        "late": await put_message(shop),
        "rejected": await put_message(shop),
    }
    for name in ("submitted", "delivered", "late"):
        await put_event(shop, ids[name], EventKind.SUBMITTED)
    receipts = [
        ("delivered", Status.DELIVERED),
        ("late", Status.UNKNOWN),
        ("late", Status.DELIVERED),
    ]
    for name, status in receipts:
        await put_event(shop, ids[name], EventKind.RECEIPT, status=status)
    await put_event(shop, ids["rejected"], EventKind.REFUSED)
    expected = {
        "accepted": [ids["due"], ids["accepted"]],
        "scheduled": [ids["scheduled"]],
        "sending": [],
        "submitted": [ids["submitted"]],
        "delivered": [ids["late"], ids["delivered"]],
        "rejected": [ids["rejected"]],
        "unknown": [],
        "no such status": [],
    }
    found = {status: await find(reader, shop, status=status, limit=limit) for status in expected}
    assert found == expected


async def test_whatever_two_ends_a_message_has_the_one_of_higher_rank_is_found_with_its_carrier(
    reader: Reader, shop: Account, put_message: PutMessage, put_event: PutEvent
) -> None:
    expected: dict[Status, dict[int, str]] = {status: {} for status in FINAL}
    for first, second in itertools.product(FINAL, repeat=2):
        message_id = await put_message(shop, carrier_id=9)
        for at, status, carrier_id in (
            (2.0, first, first.value),
            (1.0, second, second.value if second is not first else 8),
        ):
            named = {"at": at, "carrier_id": carrier_id}
            await put_event(shop, message_id, EventKind.RECEIPT, status=status, **named)
        last = max(first, second, key=lambda status: status.rank)
        expected[last][message_id] = str(last.value)
    for status in FINAL:
        page = await reader.search_messages(shop.id, Search(status=status.wire, limit=100))
        assert {int(m.id): m.carrier for m in page.messages} == expected[status]
        assert {m.status for m in page.messages} == {status.wire}


# ── along the index of rare statuses ─────────────────────────────────────────────────────────

Ends = Callable[[int], Awaitable[list[MessageId]]]


@pytest.fixture
def put_ends(shop: Account, put_message: PutMessage, put_event: PutEvent) -> Ends:
    """Store messages, each of which was submitted and then not delivered."""

    async def put(count: int) -> list[MessageId]:
        ids = [await put_message(shop) for _ in range(count)]
        for message_id in ids:
            await put_event(shop, message_id, EventKind.SUBMITTED)
            named = {"status": Status.UNDELIVERED, "carrier_id": 7}
            await put_event(shop, message_id, EventKind.RECEIPT, **named)
        return ids

    return put


async def explain_rare(database: Database, name: str, *values: str) -> list[str]:
    """Return each scan of events of a query's plan, made once for all values as readers make it."""
    async with database.acquire() as connection, search._planned_for(connection, Way.RARE):
        await connection.execute(f"PREPARE asked AS {query(name)}")
        rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked ({', '.join(values)})")
        await connection.execute("DEALLOCATE asked")
    return [row[0].strip() for row in rows if " on events_p" in row[0]]


async def fetch_rare_indexes(database: Database) -> set[str]:
    rows = await database.pool.fetch(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_inherits h ON h.inhrelid = i.indexrelid"
        " WHERE h.inhparent = 'events_by_rare_status'::regclass AND i.indisvalid"
    )
    return {row["relname"] for row in rows}


@pytest.mark.parametrize("known", ["nothing", "that it is empty", "its rows", "all of it"])
async def test_a_rare_status_is_looked_for_in_its_index_alone_whatever_is_known_of_a_day(
    database: Database, shop: Account, put_ends: Ends, known: str
) -> None:
    indexes = await fetch_rare_indexes(database)
    assert len(indexes) == 3, "yesterday, today and tomorrow"
    if known == "that it is empty":
        await database.pool.execute("VACUUM (ANALYZE) events")
    await put_ends(400)
    if known == "its rows":
        await database.pool.execute("ANALYZE events")
    elif known == "all of it":
        await database.pool.execute("VACUUM (ANALYZE) events")
    ids = (str(shop.id), str(search.ID_END), "0")
    end = await explain_rare(database, "fetch_status_scan_end", *ids, "3", "11")
    page = await explain_rare(
        database, "fetch_status_page", *ids, "NULL", "NULL", "NULL", "11", "50"
    )
    # Only unknown gives way to delivered, which is not in the index.
    delivered = [scan for scan in page if "_status_" not in scan]
    assert len(delivered) == len(indexes)
    assert len(page) == 3 * len(end) == 3 * len(indexes)
    for scan in [*end, *(scan for scan in page if scan not in delivered)]:
        found = re.search(r"Index Only Scan (?:Backward )?using (\w+) on", scan)
        assert found is not None and found[1] in indexes, scan


async def test_a_page_by_a_rare_status_reads_no_events_row_of_a_day_that_was_vacuumed(
    database: Database, reader: Reader, shop: Account, put_ends: Ends
) -> None:
    async def count_rows() -> int:
        async with database.acquire() as connection:
            await connection.execute("SELECT pg_stat_force_next_flush()")
            rows: int = await connection.fetchval(
                "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables"
                " WHERE relname ~ '^events_p2'"
            )
            return rows

    ids = await put_ends(60)
    await database.pool.execute("VACUUM events")
    before = await count_rows()
    page = await reader.search_messages(shop.id, Search(status="undelivered", limit=50))
    assert [int(message.id) for message in page.messages] == ids[:-51:-1]
    assert {message.carrier for message in page.messages} == {"7"}
    assert await count_rows() == before


async def test_a_page_by_a_rare_status_reads_little_of_a_day_that_was_analysed_while_empty(
    reader: Reader, shop: Account, put_ends: Ends, count_rows_read: CountRowsRead
) -> None:
    asked = Search(status="undelivered", limit=20)
    assert (await reader.search_messages(shop.id, asked)).messages == []  # as it is planned
    ids = await put_ends(60)
    before = await count_rows_read()
    page = await reader.search_messages(shop.id, asked)
    assert [int(message.id) for message in page.messages] == ids[:-21:-1]
    # Its end, its events, its messages.
    assert await count_rows_read() - before <= 3 * (asked.limit + 1)


@pytest.mark.parametrize("table", ["events", "messages"])
async def test_a_page_by_a_rare_status_that_is_given_up_leaves_nothing_behind(
    database: Database, reader: Reader, shop: Account, put_ends: Ends, table: str
) -> None:
    heard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: heard.append(str(context["message"]))
    )
    asked = Search(status="undelivered")
    ids = await put_ends(1)
    async with database.acquire() as other, other.transaction():
        await other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.search_messages(shop.id, asked), 0.2)
    async with database.acquire() as connection, database.acquire() as other:
        for each in (connection, other):
            assert await each.fetchval("SHOW enable_seqscan") == "on"
    page = await reader.search_messages(shop.id, asked)
    assert [int(message.id) for message in page.messages] == ids
    assert not heard


async def test_a_client_ref_is_on_the_first_page_however_old_its_message(
    database: Database,
    reader: Reader,
    shop: Account,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "SCAN_MESSAGES_MAX", 2)
    oldest = await put_message(shop, client_ref="order-7")
    await put_message(shop)
    old = await put_message(shop, client_ref="order-7")
    for _ in range(5):
        await put_message(shop)
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO idempotency VALUES ($1, 'r:order-7', $2, '')", shop.id, old
        )
    page = await reader.search_messages(shop.id, Search(client_ref="order-7"))
    assert [int(m.id) for m in page.messages] == [old]
    assert page.next_cursor
    assert await find(reader, shop, client_ref="order-7") == [old, oldest]
    assert await find(reader, shop, client_ref="order-7", tag="other") == []
    assert await find(reader, shop, client_ref="order-8") == []


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
@pytest.mark.parametrize("field", ["to", "client_ref", "tag"])
async def test_what_no_row_can_hold_is_found_nowhere(
    reader: Reader, shop: Account, field: str, text: str
) -> None:
    page = await reader.search_messages(shop.id, msgspec.structs.replace(Search(), **{field: text}))
    assert page.messages == []


# ── for a number, where some days have an index by it ────────────────────────────────────────


async def first_page(database: Database, account: Account, **filters: Any) -> Page:
    """Return what a reader finds that has looked at no day yet."""
    return await Reader(database).search_messages(account.id, Search(**filters))


async def test_one_page_finds_a_number_in_all_days_that_are_over(
    database: Database,
    today: date,
    make_account: MakeAccount,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
    index_days: IndexDays,
) -> None:
    monkeypatch.setattr(search, "SCAN_MESSAGES_MAX", 4)
    account, other = await make_account("shop"), await make_account("bank")
    yesterday = midnight(today) - 1
    oldest = await put_message(account, at=yesterday - 60, recipient=WANTED)
    for _ in range(9):
        await put_message(account, at=yesterday)
    await put_message(other, at=yesterday, recipient=WANTED)
    newest = await put_message(account, recipient=WANTED)
    page = await first_page(database, account, to=WANTED)
    assert [int(m.id) for m in page.messages] == [newest] and page.next_cursor
    await index_days()
    page = await first_page(database, account, to=WANTED)
    assert ([int(m.id) for m in page.messages], page.next_cursor) == ([newest, oldest], "")
    assert await find(Reader(database), account, to=WANTED, limit=1) == [newest, oldest]


async def test_a_page_ends_within_the_open_days_where_they_hold_more_than_it_looks_at(
    database: Database,
    today: date,
    shop: Account,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
    index_days: IndexDays,
) -> None:
    monkeypatch.setattr(search, "SCAN_MESSAGES_MAX", 3)
    old = await put_message(shop, at=midnight(today) - 1, recipient=WANTED)
    for _ in range(7):
        await put_message(shop)
    await index_days()
    page = await first_page(database, shop, to=WANTED)
    assert page.messages == [] and page.next_cursor
    assert await find(Reader(database), shop, to=WANTED) == [old]
    until = await first_page(database, shop, to=WANTED, accepted_until=midnight(today))
    assert ([int(m.id) for m in until.messages], until.next_cursor) == ([old], "")


async def test_days_without_an_index_below_those_with_one_come_on_later_pages(
    database: Database,
    today: date,
    shop: Account,
    put_message: PutMessage,
    index_days: IndexDays,
) -> None:
    """As after an upgrade, while older days are still to be indexed."""
    await ensure_partitions(database, midnight(today) - 2 * DAY_S, days_ahead=1)
    ids = [
        await put_message(shop, at=midnight(today) - ago * DAY_S - 1, recipient=WANTED)
        for ago in (2, 1, 0)
    ]
    ids.append(await put_message(shop, recipient=WANTED))
    await index_days()
    for ago in (3, 2):
        day = today - timedelta(days=ago)
        await database.pool.execute(f"DROP INDEX messages_p{day:%Y%m%d}_by_recipient")
    page = await first_page(database, shop, to=WANTED)
    assert [int(m.id) for m in page.messages] == ids[:1:-1]
    assert page.next_cursor == str(ids_of(today - timedelta(days=1))[0])
    assert await find(Reader(database), shop, to=WANTED) == ids[::-1]


@pytest.mark.parametrize("status", ["", "submitted", "accepted", "rejected", "delivered"])
@pytest.mark.parametrize("scan_max", [1, 3, 1_000])
async def test_what_else_is_asked_of_a_number_holds_too(
    database: Database,
    today: date,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    scan_max: int,
    index_days: IndexDays,
) -> None:
    monkeypatch.setattr(search, "SCAN_RECIPIENT_MAX", scan_max)
    ids: dict[str, list[int]] = {}
    for moment in (midnight(today) - 1, None):
        for kind in ("accepted", EventKind.SUBMITTED, EventKind.REFUSED):
            message_id = await put_message(shop, at=moment, recipient=WANTED, tag="codes")
            await put_message(shop, at=moment, recipient=WANTED, tag="news")
            if isinstance(kind, EventKind):
                await put_event(shop, message_id, kind)
            ids.setdefault(str(kind), []).append(message_id)
    before = await find(Reader(database), shop, to=WANTED, tag="codes", status=status)
    await index_days()
    found = await find(Reader(database), shop, to=WANTED, tag="codes", status=status)
    assert found == before == sorted(found, reverse=True)
    assert len(found) == {"": 6, "delivered": 0}.get(status, 2)


async def test_a_number_that_was_erased_is_found_no_more(
    database: Database,
    today: date,
    shop: Account,
    put_message: PutMessage,
    index_days: IndexDays,
) -> None:
    message_id = await put_message(shop, at=midnight(today) - 1, recipient=WANTED)
    await index_days()
    await database.pool.execute(
        "UPDATE messages SET recipient = 'erased' WHERE account_id = $1 AND id = $2",
        shop.id,
        message_id,
    )
    assert await find(Reader(database), shop, to=WANTED) == []
    assert await find(Reader(database), shop) == [message_id]


async def test_a_number_with_many_messages_is_read_by_its_index_alone(
    database: Database,
    today: date,
    shop: Account,
    put_message: PutMessage,
    index_days: IndexDays,
) -> None:
    await put_message(shop, at=midnight(today) - 2, recipient=WANTED)
    await database.pool.execute(
        """INSERT INTO messages SELECT made.* FROM messages m
        CROSS JOIN generate_series(1, 20000) n
        CROSS JOIN LATERAL jsonb_populate_record(m, jsonb_build_object(
            'id', m.id + n, 'recipient', CASE WHEN n % 2 = 0 THEN m.recipient ELSE '49' || n END)
        ) AS made"""
    )
    await index_days()
    before, _ = ids_of(today)
    async with database.acquire() as connection:
        await connection.execute(f"PREPARE page AS {query('fetch_recipient_page')}")
        rows = await connection.fetch(
            f"EXPLAIN ANALYZE EXECUTE page ({shop.id}, {before}, 0, '{WANTED}',"
            " NULL, NULL, NULL, NULL, 0, 50)"
        )
    plan = [row[0] for row in rows]
    (line,) = [line for line in plan if "by_recipient" in line]
    assert "rows=50" in line, "\n".join(plan)
