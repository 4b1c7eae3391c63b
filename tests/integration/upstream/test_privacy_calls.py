"""Operators' calls on personal data, on a running gateway: done, told how far, and recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
import pytest

from gateway.lifecycle import EventKind
from gateway.model import Account, MessageId
from gateway.scopes import ADMIN
from gateway.store import personal_data
from gateway.store.keys import create_key
from gateway.store.number_export import Record
from gateway.store.postgres import Database

NUMBER = "447400900123"
OTHER = "447400900124"
ERASURES, EXPORTS = "/v1/admin/privacy/erasures", "/v1/admin/privacy/exports"
TIMEOUT_S = 30.0

PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]


class Answer(NamedTuple):
    status: int
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class Operator:
    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session = session
        self.base = base

    async def ask(self, method: str, path: str, **body: Any) -> Answer:
        options: dict[str, Any] = {"json": body} if method == "POST" else {}
        async with self.session.request(method, self.base + path, **options) as answer:
            return Answer(answer.status, await answer.text())


@pytest.fixture
async def operator(running: Any, database: Database, shop: Account) -> AsyncIterator[Operator]:
    key = await create_key(database, shop.id, scopes=ADMIN)
    headers = {"Authorization": f"Bearer {key.plaintext}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Operator(session, f"http://127.0.0.1:{running.gateway.port}")


async def test_a_number_is_erased_and_its_progress_told_until_nothing_is_left(
    operator: Operator, database: Database, shop: Account, put_message: Any, put_event: Any
) -> None:
    ended = await put_message(shop, recipient=NUMBER, body="Your code is 1234")
    await put_event(shop, ended, EventKind.CANCELED)
    asked = await operator.ask(
        "POST", ERASURES, number=f"+{NUMBER}", reason="case 17", author="Ann"
    )
    assert asked.status == 202
    assert asked.json["author"] == "key:shop@127.0.0.1 for Ann"
    async with asyncio.timeout(TIMEOUT_S):
        while not (told := (await operator.ask("GET", f"{ERASURES}/{asked.json['id']}")).json)[
            "finished_at"
        ]:
            await asyncio.sleep(0.1)
    assert (told["erased"], told["waiting_for"]) == ({"messages": 1}, [])
    recipient, body = await database.pool.fetchrow("SELECT recipient, body FROM messages")  # type: ignore[misc]
    assert (recipient, body) == ("erased", None)
    listed = (await operator.ask("GET", ERASURES)).json["erasures"]
    found = (await operator.ask("POST", f"{ERASURES}/search", number=NUMBER)).json["erasures"]
    assert [each["id"] for each in listed] == [each["id"] for each in found] == [told["id"]]
    assert (await operator.ask("POST", f"{ERASURES}/search", number=OTHER)).json == {"erasures": []}
    assert NUMBER not in json.dumps([listed, found])


async def test_what_is_under_way_is_named_and_withdrawn_only_when_asked(
    operator: Operator, shop: Account, put_message: PutMessage
) -> None:
    waits = await put_message(shop, recipient=NUMBER)
    asked = await operator.ask("POST", ERASURES, number=NUMBER, reason="case 17", account="shop")
    async with asyncio.timeout(TIMEOUT_S):
        while not (told := (await operator.ask("GET", f"{ERASURES}/{asked.json['id']}")).json)[
            "looked_at"
        ]:
            await asyncio.sleep(0.1)
    assert (told["waiting_for"], told["finished_at"], told["account"]) == ([str(waits)], "", "shop")


async def test_everything_about_a_number_is_written_out_and_recorded(
    operator: Operator,
    database: Database,
    shop: Account,
    make_account: Callable[..., Awaitable[Account]],
    put_message: PutMessage,
) -> None:
    bank = await make_account("bank")
    for account in (shop, bank):
        await put_message(account, recipient=NUMBER, body=f"From {account.name}")
    await put_message(shop, recipient=OTHER, body="To another")
    everybody = await operator.ask("POST", EXPORTS, number=f"+{NUMBER}", reason="case 18")
    assert [line.get("text") for line in everybody.lines] == ["From shop", "From bank", None]
    assert everybody.lines[-1] == {"kind": "end", "rows": 2}
    one = await operator.ask("POST", EXPORTS, number=NUMBER, account="bank", reason="case 19")
    assert [line.get("text") for line in one.lines] == ["From bank", None]
    recorded = (await operator.ask("GET", EXPORTS)).json["exports"]
    assert [(x["account"], x["rows"], x["reason"]) for x in recorded] == [
        ("bank", 1, "case 19"),
        ("", 2, "case 18"),
    ]
    assert all(x["ended_at"] and x["author"] == "key:shop@127.0.0.1" for x in recorded)
    found = await operator.ask("POST", f"{EXPORTS}/search", number=NUMBER)
    assert found.json["exports"] == recorded
    assert (await operator.ask("POST", f"{EXPORTS}/search", number=OTHER)).json == {"exports": []}
    assert (await operator.ask("GET", f"{EXPORTS}?limit=1")).json["exports"] == recorded[:1]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (ERASURES, {"number": "Shop", "reason": "x"}, 422, "invalid_number"),
        (ERASURES, {"number": NUMBER, "reason": " "}, 422, "invalid_reason"),
        (ERASURES, {"number": NUMBER}, 422, "missing_field"),
        (ERASURES, {"number": NUMBER, "reason": "x", "yes": True}, 422, "unknown_field"),
        (ERASURES, {"number": NUMBER, "reason": "x", "account": "no"}, 404, "account_unknown"),
        (ERASURES, {"number": NUMBER, "reason": "x", "author": "x" * 400}, 422, "invalid_author"),
        (EXPORTS, {"number": NUMBER, "reason": ""}, 422, "invalid_reason"),
        (EXPORTS, {"number": "", "reason": "x"}, 422, "invalid_number"),
        (EXPORTS, {"number": NUMBER, "reason": "x", "account": ""}, 404, "account_unknown"),
        (f"{EXPORTS}/search", {"number": "12"}, 422, "invalid_number"),
    ],
)
async def test_what_can_not_be_done_is_refused_and_not_recorded(
    operator: Operator,
    database: Database,
    path: str,
    body: dict[str, Any],
    status: int,
    code: str,
) -> None:
    answer = await operator.ask("POST", path, **body)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert not await database.pool.fetchval("SELECT count(*) FROM erasures")
    assert not await database.pool.fetchval("SELECT count(*) FROM number_exports")


async def test_an_account_s_own_number_and_an_unknown_erasure_are_told_apart(
    operator: Operator, database: Database, shop: Account
) -> None:
    await database.pool.execute(
        "UPDATE accounts SET default_sender = $1 WHERE id = $2", f"+{NUMBER}", shop.id
    )
    owned = await operator.ask("POST", ERASURES, number=NUMBER, reason="case 17")
    assert (owned.status, owned.json["code"]) == (409, "number_owned")
    unknown = await operator.ask("GET", f"{ERASURES}/999999999999999999")
    assert (unknown.status, unknown.json["code"]) == (404, "erasure_unknown")
    assert (await operator.ask("GET", f"{ERASURES}/x")).status == 422


async def test_an_export_that_breaks_off_is_neither_whole_for_its_reader_nor_in_the_record(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def export_number(*_: object) -> AsyncIterator[Record]:
        yield {"kind": "message"}
        raise RuntimeError("the database is gone")

    monkeypatch.setattr(personal_data, "export_number", export_number)
    with pytest.raises(aiohttp.ClientPayloadError):
        await operator.ask("POST", EXPORTS, number=NUMBER, reason="case 18")
    monkeypatch.undo()
    (recorded,) = (await operator.ask("GET", EXPORTS)).json["exports"]
    assert (recorded["ended_at"], recorded["rows"]) == ("", 0)
    assert (await operator.ask("POST", EXPORTS, number=NUMBER, reason="again")).status == 200


async def test_a_reader_that_leaves_ends_its_export_and_holds_up_no_other(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = asyncio.Event()

    async def export_number(*_: object) -> AsyncIterator[Record]:
        try:
            yield {"kind": "message"}
            await asyncio.Event().wait()
        finally:
            left.set()

    monkeypatch.setattr(personal_data, "export_number", export_number)
    body = {"number": NUMBER, "reason": "case 18"}
    answer = await operator.session.post(operator.base + EXPORTS, json=body)
    assert json.loads(await answer.content.readline()) == {"kind": "message"}
    answer.close()
    async with asyncio.timeout(TIMEOUT_S):
        await left.wait()
    monkeypatch.undo()
    whole = await operator.ask("POST", EXPORTS, number=NUMBER, reason="case 19")
    assert whole.lines == [{"kind": "end", "rows": 0}]
