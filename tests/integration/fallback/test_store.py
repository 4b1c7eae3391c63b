"""Fallbacks as rows: with their message, due with the event that causes them, claimed once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gateway.fallback.letter import DueEmail
from gateway.fallback.terms import EmailContent, FallbackState, Trigger
from gateway.ids import id_at
from gateway.lifecycle import EventKind, Status
from gateway.model import EmailRequest, MessageId, Micros
from gateway.outcomes import Notice
from gateway.store import accounts
from gateway.store.fallbacks import Orphan, PutOffEmail, SettledEmail, save_rule
from gateway.store.intake_writer import Entry, Fate, Replayed
from gateway.store.maintenance import Maintenance
from gateway.store.reader import Reader

LEASE_S = 60.0


async def claim(store: Any, limit: int = 100, at: float | None = None) -> list[Any]:
    now = time.time() if at is None else at
    claimed: list[Any] = await store.fallbacks.claim_due(now, limit, now + LEASE_S)
    return claimed


async def test_a_fallback_is_stored_with_its_message(store: Any, make_account: Any) -> None:
    account = await make_account()
    entry = store.entry(account, on=Trigger.EXPIRED, after_s=90)
    plain = Entry(store.message(account))
    assert await store.put(entry, plain) == [Fate.STORED, Fate.STORED]
    row = await store.row(entry.message.id)
    assert (row["address"], row["triggers"], row["state"]) == ("anna@example.com", 2, 0)
    assert row["due_at"] == pytest.approx(entry.message.accepted_at + 90)
    assert await store.count("email_fallbacks") == 1


async def test_messages_that_share_a_content_store_it_once(store: Any, make_account: Any) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    other = EmailContent("Other", "text")
    await store.put(*(store.entry(account) for account in (shop, bank) for _ in range(50)))
    await store.put(store.entry(shop), store.entry(shop, content=other))
    assert await store.count("email_fallbacks") == 102
    assert await store.count("email_contents") == 3


async def test_a_message_that_is_not_stored_leaves_no_fallback(
    store: Any, make_account: Any
) -> None:
    poor = await make_account(credit_micros=7_500)
    fates = await store.put(store.entry(poor), store.entry(poor))
    assert fates == [Fate.STORED, Fate.NO_CREDIT]
    rich = await make_account("rich")
    first = store.entry(rich, key="k:1")
    assert await store.put(first) == [Fate.STORED]
    again = store.entry(rich, key="k:1")
    assert await store.put(again, store.entry(rich, key="k:2")) == [
        Replayed(first.message.id),
        Fate.STORED,
    ]
    assert await store.row(again.message.id) is None
    assert await store.count("email_fallbacks") == 3


@pytest.mark.parametrize(
    ("kind", "status", "trigger"),
    [
        (EventKind.RECEIPT, Status.UNDELIVERED, Trigger.UNDELIVERED),
        (EventKind.RECEIPT, Status.DELETED, Trigger.UNDELIVERED),
        (EventKind.RECEIPT, Status.EXPIRED, Trigger.EXPIRED),
        (EventKind.EXPIRED, Status.EXPIRED, Trigger.EXPIRED),
        (EventKind.RECEIPT, Status.REJECTED, Trigger.REJECTED),
        (EventKind.REFUSED, Status.REJECTED, Trigger.REJECTED),
        (EventKind.UNROUTABLE, Status.REJECTED, Trigger.REJECTED),
        (EventKind.NO_RECEIPT, Status.UNKNOWN, Trigger.NO_RECEIPT),
        (EventKind.HELD, Status.UNKNOWN, Trigger.NO_RECEIPT),
    ],
)
async def test_a_bad_end_makes_what_names_it_due_at_once(
    store: Any, make_account: Any, kind: EventKind, status: Status, trigger: Trigger
) -> None:
    account = await make_account()
    meant = await store.put_one(account, on=trigger)
    other = await store.put_one(account, on=Trigger(15) & ~trigger)
    for message_id in (meant, other):
        await store.happen(account, message_id, kind, status)
    (due,) = await claim(store)
    assert isinstance(due, DueEmail)
    assert (due.message_id, due.status) == (meant, status)
    assert (await store.row(other))["due_at"] is None


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (EventKind.SUBMITTED, Status.SUBMITTED),
        (EventKind.RECEIPT, Status.DELIVERED),
        (EventKind.RETRY, Status.ACCEPTED),
        (EventKind.CANCELED, Status.CANCELED),
    ],
)
async def test_no_other_event_makes_anything_due(
    store: Any, make_account: Any, kind: EventKind, status: Status
) -> None:
    account = await make_account()
    await store.happen(account, await store.put_one(account), kind, status)
    assert await claim(store) == []


async def test_time_makes_an_email_due_and_a_failure_sooner(store: Any, make_account: Any) -> None:
    account = await make_account()
    waiting = await store.put_one(account, after_s=600)
    failed = await store.put_one(account, after_s=600)
    await store.receipt(account, failed, Status.UNDELIVERED)
    assert [due.message_id for due in await claim(store)] == [failed]
    end = SettledEmail(
        account.id, failed, FallbackState.SENT, Trigger.UNDELIVERED, time.time(), "250 ok"
    )
    await store.fallbacks.record([end], [])
    assert await claim(store, at=time.time() + 590) == []
    assert [due.message_id for due in await claim(store, at=time.time() + 601)] == [waiting]


async def test_a_claim_holds_for_its_lease_whatever_happens_meanwhile(
    store: Any, make_account: Any
) -> None:
    account = await make_account()
    message_id = await store.put_one(account)
    await store.happen(account, message_id, EventKind.NO_RECEIPT)
    (first,) = await claim(store)
    await store.receipt(account, message_id, Status.UNDELIVERED)
    assert await claim(store) == []
    (again,) = await claim(store, at=time.time() + LEASE_S + 1)
    assert (again.status, again.began_at) == (Status.UNDELIVERED, first.began_at)


async def test_what_is_claimed_knows_its_message_as_it_is_now(
    store: Any, make_account: Any
) -> None:
    account = await make_account()
    await accounts.update_account(store.database, account.id, webhook_url="https://shop.example/")
    message_id = await store.put_one(account, client_ref="order-7", tag="otp")
    await store.happen(account, message_id, EventKind.SUBMITTED)
    await store.receipt(account, message_id, Status.UNDELIVERED)
    refund = {"status": Status.UNDELIVERED, "error": "not billed"}
    await store.happen(account, message_id, EventKind.REFUND, **refund)
    (due,) = await claim(store)
    assert due.content.subject == "We could not reach {{ to }}"
    assert (due.account, due.recipient, due.text) == ("shop", "447400000001", "Your code is 1234")
    assert (due.client_ref, due.tag, due.error) == ("order-7", "otp", "001")
    assert (due.status, due.hooked, due.attempts) == (Status.UNDELIVERED, True, 0)


async def test_every_account_gets_its_turn(store: Any, make_account: Any) -> None:
    flood, one = await make_account("flood"), await make_account("one")
    entries = [store.entry(flood, after_s=-10) for _ in range(300)]
    await store.put(*entries)
    mine = await store.put_one(one, after_s=-1)
    claimed = await claim(store, limit=20)
    assert mine in {due.message_id for due in claimed}
    assert len(claimed) == 11


async def test_more_accounts_than_a_claim_holds_take_turns(store: Any, make_account: Any) -> None:
    mine = {}
    for number in range(5):
        account = await make_account(f"shop{number}")
        mine[await store.put_one(account, after_s=-10)] = number
    found: list[int] = []
    for _ in range(3):
        found += [mine[due.message_id] for due in await claim(store, limit=2)]
    assert sorted(found) == [0, 1, 2, 3, 4]


async def test_two_nodes_claim_apart(store: Any, make_account: Any) -> None:
    account = await make_account()
    await store.put(*(store.entry(account, after_s=-10) for _ in range(30)))
    first, second = await claim(store, limit=20), await claim(store, limit=20)
    ids = [due.message_id for due in first + second]
    assert len(ids) == len(set(ids)) == 30


async def test_an_end_is_written_once_with_its_notice(store: Any, make_account: Any) -> None:
    account = await make_account()
    message_id = await store.put_one(account, after_s=-10)
    await claim(store)
    notice = Notice(account.id, message_id, "", "{}", time.time())
    end = SettledEmail(
        account.id, message_id, FallbackState.SENT, Trigger.NO_RECEIPT, 1.5, "250 ok\0", notice
    )
    for _ in range(2):
        await store.fallbacks.record([end], [])
    row = await store.row(message_id)
    assert (row["state"], row["reason"], row["settled_at"]) == (1, 8, 1.5)
    assert (row["reply"], row["due_at"]) == ("250 ok", None)
    assert await store.count("outbox") == 1
    assert await claim(store, at=time.time() + 10_000) == []


async def test_what_is_put_off_comes_again_at_its_time(store: Any, make_account: Any) -> None:
    account = await make_account()
    message_id = await store.put_one(account, after_s=-10)
    await claim(store)
    at = time.time() + 30
    await store.fallbacks.record(
        [], [PutOffEmail(account.id, message_id, at, True, Trigger.EXPIRED, "451 later")]
    )
    assert await claim(store, at=at - 1) == []
    (due,) = await claim(store, at=at)
    assert due.attempts == 1
    await store.fallbacks.record([], [PutOffEmail(account.id, message_id, at)])
    row = await store.row(message_id)
    assert (row["attempts"], row["reply"], row["reason"]) == (1, "451 later", 2)


async def test_an_email_whose_message_is_gone_is_told_apart(store: Any, make_account: Any) -> None:
    account = await make_account()
    message_id = await store.put_one(account, after_s=-10)
    await store.database.pool.execute("DELETE FROM messages")
    assert await claim(store) == [Orphan(account.id, message_id)]


async def test_the_depth_counts_what_is_due_and_not_sent(store: Any, make_account: Any) -> None:
    account = await make_account()
    now = time.time()
    assert (await store.fallbacks.fetch_depth(now)).due == 0
    await store.put_one(account)
    await store.put_one(account, after_s=600)
    overdue = await store.put_one(account, after_s=-50)
    depth = await store.fallbacks.fetch_depth(now)
    assert depth.due == 1
    assert depth.oldest_at == pytest.approx(now - 50, abs=1)
    await claim(store)
    assert (await store.fallbacks.fetch_depth(now)).due == 1
    end = SettledEmail(account.id, overdue, FallbackState.NOT_NEEDED, None, now)
    await store.fallbacks.record([end], [])
    assert (await store.fallbacks.fetch_depth(now)).due == 0


async def test_readers_see_the_fallback_and_its_end_among_the_events(
    store: Any, make_account: Any
) -> None:
    account = await make_account()
    message_id = await store.put_one(account, on=Trigger.UNDELIVERED)
    reader = Reader(store.database)
    view = await reader.fetch_message(account.id, message_id)
    assert view is not None
    assert view.fallback is not None
    assert (view.fallback.state, view.fallback.on) == ("waiting", ["undelivered"])
    await store.happen(account, message_id, EventKind.SUBMITTED)
    await store.receipt(account, message_id, Status.UNDELIVERED)
    await claim(store)
    end = SettledEmail(
        account.id, message_id, FallbackState.FAILED, Trigger.UNDELIVERED, time.time(), "550 no"
    )
    await store.fallbacks.record([end], [])
    view = await reader.fetch_message(account.id, message_id)
    assert view is not None
    assert view.fallback is not None
    assert view.status == "undelivered"
    assert [event.kind for event in view.events] == ["submitted", "receipt", "email_failed"]
    email = view.events[-1]
    assert (email.segment, email.status, email.error) == (0, "undelivered", "550 no")
    assert (view.fallback.reason, view.fallback.reply) == ("undelivered", "550 no")


async def test_fallbacks_are_forgotten_with_their_messages_and_contents_after_them(
    store: Any, make_account: Any
) -> None:
    account = await make_account()
    await store.put_one(account)
    maintenance = Maintenance(store.database)
    now = time.time()
    await maintenance.forget_remains(now, retention_days=1)
    await maintenance.forget_email_contents(now, 86_400)
    assert await store.count("email_fallbacks") == await store.count("email_contents") == 1
    await maintenance.forget_remains(now + 3 * 86_400, retention_days=1)
    assert await store.count("email_fallbacks") == 0
    assert await maintenance.forget_email_contents(now + 3 * 86_400, 86_400) == 1


async def test_a_rule_is_kept_with_its_account(store: Any, make_account: Any) -> None:
    account = await make_account()
    rule = EmailRequest(subject="s", text="t", on=("expired",))
    await save_rule(store.database, account.id, rule)
    standing = await accounts.find_account(store.database, "shop")
    assert standing is not None
    assert standing.account.fallback == rule
    await save_rule(store.database, account.id, None)
    standing = await accounts.find_account(store.database, "shop")
    assert standing is not None
    assert standing.account.fallback is None


async def test_a_thousand_fallbacks_cost_one_statement(store: Any, make_account: Any) -> None:
    account = await make_account()
    entries = [store.entry(account, price_micros=Micros(0)) for _ in range(1_000)]
    assert set(await store.put(*entries)) == {Fate.STORED}
    assert await store.count("email_fallbacks") == 1_000


async def test_what_a_clock_ahead_put_off_is_brought_forward_when_that_is_set_back(
    store: Any, make_account: Any
) -> None:
    account = await make_account()
    now = time.time()
    ahead = now + 3_600
    of_before = await store.put_one(account, after_s=1_800.0)
    failed, claimed = await store.put_one(account), await store.put_one(account)
    for message_id in (failed, claimed):
        await store.happen(account, message_id, EventKind.REFUSED, at=ahead)
    await store.database.pool.execute(
        "UPDATE email_fallbacks SET claimed_at = $2, due_at = $3 WHERE message_id = $1",
        *(claimed, ahead, ahead + 20),
    )
    by_it = await store.put_one(account, id=MessageId(id_at(ahead)), accepted_at=ahead, after_s=9.0)
    assert await store.fallbacks.bring_forward(now, 3_600.0) == 3
    due = [(await store.row(each))["due_at"] for each in (of_before, failed, claimed, by_it)]
    assert due == pytest.approx([now + 1_800, now, now + 20, now + 9], abs=1.0)
