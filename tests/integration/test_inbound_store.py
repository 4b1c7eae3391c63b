"""Rows of messages from phones: written once, found again after a restart, read page by page."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from gateway.errors import Rejected
from gateway.ids import IdGenerator, id_at
from gateway.inbound.book import InboundBook, Origin
from gateway.inbound.desk import InboundDesk
from gateway.inbound.handover import Handover
from gateway.inbound.numbers import NOBODY, OwnedNumber, Owners
from gateway.metrics import Metrics
from gateway.model import Account, AccountId, CarrierId, MessageId
from gateway.outcomes import Delivery, InboundMessage, Notice
from gateway.smpp import vocabulary as v
from gateway.smpp.shapes import DeliverSm
from gateway.store import inbound
from gateway.store.audit import audit
from gateway.store.commit_line import CommitLine
from gateway.store.inbound import InboundStore, add_number, list_numbers, remove_number
from gateway.store.maintenance import Maintenance
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.postgres import Database, connect_single
from gateway.store.reader import Reader
from gateway.views import InboundSearch, InboundView

MakeAccount = Callable[..., Awaitable[Account]]

LIFE_S = 100.0


class Node:
    """A book over the real writer, as the gateway joins them."""

    def __init__(self, url: str, carrier_id: CarrierId, account: Account) -> None:
        self.carrier_id = carrier_id
        self.account = account
        self.ids = IdGenerator(5)
        self.refused: list[Exception] = []
        self.acknowledged: list[int] = []
        self.line = CommitLine(partial(connect_single, url, "outcomes"), "outcomes")
        self.writer = OutcomeWriter(
            self.line,
            lambda events, notices: None,
            waiting_max=1000,
            on_refused=lambda rows, error: self.refused.append(error),
        )
        self.book = self.make_book()
        self.task = asyncio.create_task(self.writer.run())

    def make_book(self) -> InboundBook:
        return InboundBook(
            self.writer,
            {self.carrier_id: Origin("alpha")},
            self.ids,
            reassembly_s=LIFE_S,
            find_owner=Owners([OwnedNumber("40404", self.account.id)]).find,
            wants_notice=lambda account_id: True,
            build_deliveries=lambda message: [
                Delivery(message.id, message.account_id, message.id, b"pdu", time.time())
            ],
        )

    def arrive(self, *pdus: DeliverSm, wall: float | None = None) -> None:
        loop = asyncio.get_running_loop()
        for number, pdu in enumerate(pdus):
            self.book.arrived(
                self.carrier_id,
                pdu,
                partial(self._acknowledged, number),
                loop.time(),
                time.time() if wall is None else wall,
            )

    def _acknowledged(self, number: int, committed: bool) -> None:
        assert committed
        self.acknowledged.append(number)

    async def restart(self, store: InboundStore) -> None:
        """Forget everything in memory, and read it back."""
        await self.writer.flush()
        self.book = self.make_book()
        waiting = await store.fetch_waiting(self.carrier_id)
        handed_over = await store.fetch_handed_over(self.carrier_id)
        self.book.restore(waiting, handed_over, asyncio.get_running_loop().time(), time.time())

    async def end(self) -> None:
        self.writer.stop()
        await self.task
        await self.line.close()


@pytest.fixture
async def carrier_id(database: Database) -> CarrierId:
    return CarrierId(
        await database.pool.fetchval("INSERT INTO carriers (name) VALUES ('alpha') RETURNING id")
    )


@pytest.fixture
async def shop(make_account: MakeAccount) -> Account:
    return await make_account("shop")


@pytest.fixture
def store(database: Database) -> InboundStore:
    return InboundStore(database)


@pytest.fixture
async def node(database_url: str, carrier_id: CarrierId, shop: Account) -> AsyncIterator[Node]:
    node = Node(database_url, carrier_id, shop)
    yield node
    await node.end()


def single(text: bytes, *, to: str = "40404", **fields: Any) -> DeliverSm:
    return DeliverSm(source_addr="491511", destination_addr=to, short_message=text, **fields)


def parts(*texts: bytes, reference: int = 7, **fields: Any) -> list[DeliverSm]:
    return [
        single(
            bytes((5, 0, 3, reference, len(texts), sequence)) + text,
            esm_class=v.ESM_CLASS_UDHI,
            **fields,
        )
        for sequence, text in enumerate(texts, start=1)
    ]


async def rows(database: Database, table: str) -> list[Any]:
    return list(await database.pool.fetch(f"SELECT * FROM {table} ORDER BY id"))  # noqa: S608


async def test_a_message_with_all_that_it_says_is_stored(
    node: Node, database: Database, shop: Account
) -> None:
    node.arrive(single(b"\x06\x05\x04\x0b\x84\x23\xf0\xde\xad", esm_class=0x40, data_coding=4))
    await node.writer.flush()
    (row,) = await rows(database, "inbound_messages")
    assert (row["account_id"], row["carrier_id"]) == (shop.id, node.carrier_id)
    assert (row["sender"], row["recipient"]) == ("491511", "40404")
    assert (row["udh"], row["content"]) == (b"\x06\x05\x04\x0b\x84\x23\xf0", b"\xde\xad")
    assert (row["encoding"], row["exact"], row["body"]) == ("binary", False, "")
    assert (row["data_coding"], row["esm_class"], row["segments"]) == (4, 0x40, 1)
    assert row["missing"] == []
    (notice,) = await rows(database, "outbox")
    assert (notice["account_id"], notice["message_id"]) == (shop.id, row["id"])
    assert json.loads(notice["body"])["data"] == "dead"
    (delivery,) = await rows(database, "deliveries")
    assert delivery["message_id"] == row["id"]


async def test_parts_of_one_batch_and_of_several_become_one_message(
    node: Node, database: Database
) -> None:
    first, second, third = parts(b"one ", b"two ", b"three")
    node.arrive(third)
    await node.writer.flush()
    assert [row["message_id"] for row in await rows(database, "inbound_parts")] == [None]
    assert node.acknowledged == [0]
    node.arrive(first, second)  # both with the message itself in one statement
    await node.writer.flush()
    (message,) = await rows(database, "inbound_messages")
    kept = await rows(database, "inbound_parts")
    assert [row["message_id"] for row in kept] == [message["id"]] * 3
    assert [row["content"] for row in kept] == [b"three", b"one ", b"two "]
    assert message["body"] == "one two three"
    assert len(await rows(database, "outbox")) == 1


async def test_a_restart_between_parts_loses_none_and_repeats_none(
    node: Node, database: Database, store: InboundStore
) -> None:
    first, second, third = parts(b"one ", b"two ", b"three")
    node.arrive(second)
    await node.restart(store)
    node.arrive(first, second)
    await node.restart(store)
    assert node.book.waiting(node.carrier_id) == 2
    node.arrive(third)
    await node.restart(store)
    node.arrive(third, first)  # whose answers were lost
    await node.restart(store)
    assert node.book.waiting(node.carrier_id) == 0
    assert [row["body"] for row in await rows(database, "inbound_messages")] == ["one two three"]
    assert len(await rows(database, "outbox")) == 1


async def test_a_restart_remembers_what_was_handed_over_shortly_before_the_end(
    node: Node, database: Database, store: InboundStore
) -> None:
    for reference in range(3):
        node.arrive(*parts(b"a", b"b", reference=reference))
    node.arrive(parts(b"c", b"d", reference=9)[0])
    await node.writer.flush()
    old = "UPDATE inbound_parts SET message_id = $2 WHERE message_id = $1"
    (first, *_) = await rows(database, "inbound_messages")
    await database.pool.execute(old, first["id"], id_at(time.time() - 1000))
    sets = await store.fetch_handed_over(node.carrier_id)
    assert [[p.reference for p in parts_] for parts_ in sets] == [[1, 1], [2, 2]]
    assert [p.sequence for p in sets[0]] == [1, 2]
    assert [p.reference for p in await store.fetch_waiting(node.carrier_id)] == [9]


async def test_what_is_given_up_keeps_its_parts_and_names_the_others(
    node: Node, database: Database
) -> None:
    node.arrive(parts(b"one ", b"two ", b"three")[1])
    node.book.expire(asyncio.get_running_loop().time() + LIFE_S, time.time())
    await node.writer.flush()
    (message,) = await rows(database, "inbound_messages")
    assert (message["body"], message["missing"], message["segments"]) == ("two ", [1, 3], 3)
    (part,) = await rows(database, "inbound_parts")
    assert part["message_id"] == message["id"]


@pytest.mark.parametrize(
    "octets",
    [b"\0\0\0", b"\xd8\x00", b"\xff\xfe\x00\xd8", b"a\0b", b"\x1b", bytes(range(256))],
    ids=str,
)
async def test_octets_that_no_text_can_hold_are_stored_all_the_same(
    node: Node, database: Database, octets: bytes
) -> None:
    for data_coding in (0, 1, 3, 4, 8, 10, 14, 0xF4):
        node.arrive(single(octets, data_coding=data_coding))
    await node.writer.flush()
    stored = await rows(database, "inbound_messages")
    assert [row["content"] for row in stored] == [octets] * 8
    assert node.refused == []


async def test_a_message_and_what_is_told_of_it_stay_together_when_a_batch_is_split(
    node: Node, database: Database, shop: Account
) -> None:
    first, second = parts(b"one ", b"two")
    node.arrive(first, second)
    # What no store would take, in the same batch, makes the writer try each row by itself.
    bad = InboundMessage(
        MessageId(1), CarrierId(1), 0.0, "a\0", "b", 0, 0, b"", "", account_id=shop.id
    )
    node.writer.hand_over(Handover(bad, (), (Notice(shop.id, bad.id, "", "{}", 0.0),)))
    await node.writer.flush()
    assert len(node.refused) == 1
    (message,) = await rows(database, "inbound_messages")
    assert message["body"] == "one two"
    assert [n["message_id"] for n in await rows(database, "outbox")] == [message["id"]]
    assert {p["message_id"] for p in await rows(database, "inbound_parts")} == {message["id"]}


async def test_ids_go_on_above_those_of_messages_from_phones(
    node: Node, store: InboundStore
) -> None:
    assert await store.fetch_last_id() == 0
    node.arrive(parts(b"one ", b"two")[0])
    await node.writer.flush()
    of_part = await store.fetch_last_id()
    assert of_part > 0
    node.arrive(single(b"JA"))
    await node.writer.flush()
    assert await store.fetch_last_id() > of_part


async def test_the_audit_takes_events_of_messages_from_phones_for_what_they_are(
    node: Node, database: Database
) -> None:
    node.arrive(single(b"JA"))
    await node.writer.flush()
    assert (await audit(database, time.time())).agrees


async def test_what_is_old_is_forgotten_but_not_what_waits(node: Node, database: Database) -> None:
    old = time.time() - 40 * 86_400
    node.ids = IdGenerator(6)  # whose ids may still be old
    node.book = node.make_book()
    node.arrive(parts(b"one ", b"two", reference=1)[0], wall=old)
    node.arrive(single(b"JA"), *parts(b"one ", b"two", reference=2), wall=old)
    node.arrive(single(b"NEIN"))
    await node.writer.flush()
    await Maintenance(database).forget_remains(time.time(), 30)
    assert [row["body"] for row in await rows(database, "inbound_messages")] == ["NEIN"]
    assert [row["reference"] for row in await rows(database, "inbound_parts")] == [1]


async def test_a_message_that_can_not_go_up_is_handed_over_all_the_same(
    node: Node, database: Database, store: InboundStore, shop: Account
) -> None:
    def fail(message: InboundMessage) -> list[Delivery]:
        raise ValueError("a text that no deliver_sm can carry")

    await add_number(database, shop.id, "40404")
    desk = InboundDesk(
        node.writer,
        store,
        node.ids,
        {node.carrier_id: Origin("alpha")},
        Metrics(),
        reassembly_s=LIFE_S,
        wants_notice=lambda account_id: True,
        build_deliveries=fail,
    )
    await desk.start()
    for pdu in parts(b"one ", b"two"):
        desk.arrived(node.carrier_id, pdu, lambda committed: node.acknowledged.append(1))
    await node.writer.flush()
    assert [row["body"] for row in await rows(database, "inbound_messages")] == ["one two"]
    assert len(await rows(database, "outbox")) == 1
    assert node.acknowledged == [1, 1]


# ── reading ─────────────────────────────────────────────────────────────────────────────────


async def find(database: Database, account_id: int, **filters: Any) -> list[InboundView]:
    """Return what all pages show, in order."""
    reader, found, before = Reader(database), [], None
    while True:
        page = await reader.search_inbound(
            AccountId(account_id), InboundSearch(before=before, **filters)
        )
        found += page.messages
        if not page.next_cursor:
            return found
        following = MessageId(int(page.next_cursor))
        assert before is None or following < before, "the cursor does not move on"
        before = following


async def test_messages_are_read_newest_first_page_by_page(
    node: Node, database: Database, shop: Account
) -> None:
    node.arrive(*(single(b"%d" % number) for number in range(7)))
    node.arrive(parts(b"one ", b"\x80")[1])
    node.book.expire(asyncio.get_running_loop().time() + LIFE_S, time.time())
    await node.writer.flush()
    views = await find(database, shop.id, limit=3)
    assert [view.text for view in views[1:]] == ["6", "5", "4", "3", "2", "1", "0"]
    partial_view = views[0]
    assert (partial_view.partial, partial_view.missing, partial_view.segments) == (True, [1], 2)
    assert (partial_view.text, partial_view.data) == ("\N{REPLACEMENT CHARACTER}", "80")
    assert (partial_view.sender, partial_view.to) == ("491511", "40404")
    assert (partial_view.carrier, partial_view.encoding) == ("alpha", "gsm7")
    assert partial_view.received_at.endswith("Z")


async def test_filters_find_what_they_name(
    node: Node, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "SCAN_MESSAGES_MAX", 2)  # so that pages can be empty
    node.arrive(*(single(b"%d" % number, to=f"5050{number % 3}") for number in range(9)))
    await node.writer.flush()
    found = await find(database, NOBODY, to="+50501")
    assert [view.text for view in found] == ["7", "4", "1"]
    assert len(await find(database, NOBODY, sender="+491511", limit=2)) == 9
    assert await find(database, NOBODY, sender="4915") == []
    assert await find(database, NOBODY, to="50501\0") == []
    now = time.time()
    assert len(await find(database, NOBODY, received_from=now - 60, received_until=now + 60)) == 9
    assert await find(database, NOBODY, received_from=now + 60) == []
    assert await find(database, NOBODY, received_until=now - 60) == []


async def test_nobody_reads_anothers_messages(
    node: Node, database: Database, shop: Account, make_account: MakeAccount
) -> None:
    bank = await make_account("bank")
    node.arrive(single(b"JA"), single(b"NEIN", to="50505"))
    await node.writer.flush()
    assert [view.text for view in await find(database, shop.id)] == ["JA"]
    assert await find(database, bank.id) == []
    assert [view.text for view in await find(database, NOBODY)] == ["NEIN"]
    assert await inbound.count_unowned(database) == 1


# ── numbers ─────────────────────────────────────────────────────────────────────────────────


async def test_nodes_see_numbers_change_and_read_them_only_then(
    database: Database, store: InboundStore, shop: Account, carrier_id: CarrierId
) -> None:
    first = await store.fetch_numbers(0)
    assert first is not None
    version, numbers = first
    assert numbers == []
    assert await store.fetch_numbers(version) is None
    await add_number(database, shop.id, "+40404")
    await add_number(database, shop.id, "50505", "alpha")
    second = await store.fetch_numbers(version)
    assert second is not None
    version, numbers = second
    assert sorted(numbers, key=lambda n: n.number) == [
        OwnedNumber("40404", shop.id),
        OwnedNumber("50505", shop.id, carrier_id),
    ]
    await remove_number(database, "50505", "alpha")
    third = await store.fetch_numbers(version)
    assert third is not None and [n.number for n in third[1]] == ["40404"]
    assert [n.number for n in await list_numbers(database)] == ["40404"]


async def test_a_number_that_two_ask_for_at_once_goes_to_one_of_them(
    database: Database, shop: Account, make_account: MakeAccount
) -> None:
    bank = await make_account("bank")
    outcomes = await asyncio.gather(
        add_number(database, shop.id, "40404"),
        add_number(database, bank.id, "40404"),
        return_exceptions=True,
    )
    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    assert refused.code == "number_taken"
    assert outcomes.count("40404") == 1


async def test_a_number_is_for_an_account_that_there_is(database: Database) -> None:
    with pytest.raises(Rejected, match="no account"):
        await add_number(database, AccountId(99), "40404")
