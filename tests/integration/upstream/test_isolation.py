"""One account never sees, changes or infers another's rows: every call is tried with its values.

The calls are read from the gateway's own OpenAPI, from the tables of SMPP's PDUs and from the
peers' addresses, so that a new one is tried by itself; one that takes a body has to be named in
BODIES first, and one with a new kind of path in PATHS.
"""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

import aiohttp
import pytest

from gateway.api.document import operations
from gateway.api.queries import seal_cursor
from gateway.lifecycle import EventKind, Status
from gateway.model import Account, MessageId
from gateway.scopes import SCOPES
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import SmeAddress, Value
from gateway.smpp.shapes import Pdu
from gateway.smpp.specification import ADDRESS_SIZE, PDUS, Kind
from gateway.store.backlog import Backlog
from gateway.store.keys import create_key
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import save_smpp_account

MakeAccount = Callable[..., Awaitable[Account]]

OPEN_CALLS = {"readHealth", "readReadiness", "readMetrics"}
"""What anybody may ask who reaches the port; none of it is an account's."""
COUNTED_BEHIND = "usage_days"
"""Changes by itself, when what was used before is counted up."""

NUMBER = "447400900001"
REFERENCE = "order-of-the-bank"
TAG = "bank-campaign"
KEY = "key-of-the-bank"
TEXT = "Your vault opens at nine"
ENDPOINT = "https://hooks.bank.example/"
MAILBOX = "vault@bank.example"


class Pair(NamedTuple):
    """A value of the other account's, and one of the same form that is nobody's."""

    theirs: str
    nobodys: str


class Asked(NamedTuple):
    """An answer, without what differs between any two answers."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...]


PATHS = {"id", "name"}
"""The names in paths for which there are pairs."""
OPERATORS_CALLS = {
    *("deposit", "listDeposits"),
    *("requestErasure", "listErasures", "fetchErasure", "findErasures"),
    *("exportNumber", "listExports", "findExports"),
}
"""What customers' keys may not ask at all, of no account."""

BODIES: dict[str, Callable[[str], Any]] = {
    "submitMessage": lambda value: {
        "to": value if value.isdigit() and len(value) == 12 else "447400900003",
        "from": "Shop",
        "text": "Hello",
        "client_ref": value,
        "tag": value,
    },
    "submitBatch": lambda value: {
        "defaults": {"from": "Shop", "text": "Hello", "tag": value},
        "to": [value if value.isdigit() and len(value) == 12 else "447400900003"],
    },
    "quoteMessages": lambda value: {
        "to": [value],
        "from": "Shop",
        "text": "Hello",
        "client_ref": value,
    },
    "replayDeadEvents": lambda value: {"ids": [value]},
    "deposit": lambda value: {"amount": "1", "reason": value, "author": value},
    "requestErasure": lambda value: {"number": value, "account": value, "reason": value},
    "exportNumber": lambda value: {"number": value, "account": value, "reason": value},
    "findErasures": lambda value: {"number": value},
    "findExports": lambda value: {"number": value},
}
"""For each call with a body, that body with the value wherever it may stand."""


class World:
    """A gateway with two accounts; the bank has one row of everything."""

    def __init__(self, running: Any, session: aiohttp.ClientSession, bank: Account) -> None:
        self.running = running
        self.bank = bank
        self.pairs: list[Pair] = []
        self.marks: set[str] = {TEXT, ENDPOINT, MAILBOX, REFERENCE, TAG, NUMBER}
        self._session = session

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.gateway.port}"

    async def fetch_document(self) -> dict[str, Any]:
        async with self._session.get(self.url + "/openapi.json") as answer:
            document: dict[str, Any] = await answer.json()
            return document

    async def ask(
        self, method: str, path: str, value: str = "", *, body: Any = None, **options: Any
    ) -> Asked:
        """Call as the shop; `value` is taken out of the answer."""
        if body is not None:
            options["json"] = body
        async with self._session.request(method, self.url + path, **options) as answer:
            text = await answer.text()
            headers = tuple(
                (name.lower(), _without(content, value))
                for name, content in answer.headers.items()
                if name.lower() not in ("date", "content-length")
            )
            return Asked(answer.status, _without(text, value), headers)

    def leaks(self, asked: Asked) -> set[str]:
        """Return what an answer says of the bank."""
        said = asked.body + json.dumps(asked.headers)
        return {mark for mark in self.marks if mark in said}


def _without(text: str, value: str) -> str:
    """Take out of an answer what was asked for, and the id that a new message got."""
    text = text.replace(value, "‹it›") if value else text
    return re.sub(r'"id":"\d{15,19}"', '"id":"‹new›"', text)


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    # Nobody listens there: what waits for its carrier stays in memory.
    settings["carrier"][0]["port"] = 9
    return settings


@pytest.fixture
async def world(
    start: Callable[..., Awaitable[Any]],
    database: Database,
    shop: Account,
    make_account: MakeAccount,
    put_message: Any,
    put_event: Any,
) -> AsyncIterator[World]:
    bank = await make_account("bank")
    await save_smpp_account(database, bank.id, system_id="bank", password="money")
    key, their_key = await create_key(database, shop.id), await create_key(database, bank.id)
    ended = await put_message(
        bank, recipient=NUMBER, body=TEXT, client_ref=REFERENCE + "-2", tag=TAG
    )
    await put_event(bank, ended, EventKind.SUBMITTED)
    await put_event(bank, ended, EventKind.RECEIPT, status=Status.DELIVERED)
    running = await start()
    headers = {"Authorization": f"Bearer {key.plaintext}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        world = World(running, session, bank)
        bearer = {"Authorization": f"Bearer {their_key.plaintext}"}
        waiting = await _submit(world, bearer, KEY)
        in_an_hour = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        scheduled = await _submit(world, bearer, KEY + "-2", send_at=in_an_hour.isoformat())
        event, received = await _put_rest(database, bank, int(ended))
        ids = [waiting, scheduled, str(ended), received, event]
        world.marks |= {each for each in ids if len(each) > 9}
        for each in ids:
            world.pairs.append(Pair(each, str(int(each) + 1_000_003)))
            world.pairs.append(
                Pair(
                    seal_cursor(MessageId(int(each) + 1)),
                    seal_cursor(MessageId(int(each) + 1_000_003)),
                )
            )
        for word in (REFERENCE, TAG, KEY, "bank"):
            world.pairs.append(Pair(word, word[::-1]))
        world.pairs.append(Pair(NUMBER, "447400900002"))
        yield world


async def _submit(world: World, bearer: dict[str, str], key: str, **more: Any) -> str:
    body = {"from": "Bank", "to": NUMBER, "text": TEXT, "tag": TAG, "client_ref": REFERENCE} | more
    async with world._session.post(
        world.url + "/v1/messages", json=body, headers=bearer | {"Idempotency-Key": key}
    ) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["id"])


async def _put_rest(database: Database, bank: Account, message_id: int) -> tuple[str, str]:
    """Store what no call of a customer makes; return the ids of a dead event and of a text from
    a phone."""
    now = time.time()
    async with database.acquire() as connection:
        event = await connection.fetchval(
            "INSERT INTO outbox (id, account_id, message_id, url, body, created_at, next_at, dead)"
            " OVERRIDING SYSTEM VALUE VALUES ($6, $1, $2, $3, $4, $5, $5, true) RETURNING id",
            bank.id,
            message_id,
            ENDPOINT,
            json.dumps({"text": TEXT}),
            now,
            9_876_543_210,  # in no other word of an answer
        )
        await connection.execute(
            "INSERT INTO inbound_messages (account_id, id, carrier_id, received_at, sender,"
            " recipient, data_coding, esm_class, content, body, encoding, exact)"
            " VALUES ($1, $2, 1, $3, $4, '40404', 0, 0, $5, $6, 'gsm7', true)",
            bank.id,
            message_id + 7,
            now,
            NUMBER,
            TEXT.encode(),
            TEXT,
        )
        await connection.execute(
            "INSERT INTO email_fallbacks (account_id, message_id, content_id, address, triggers)"
            " VALUES ($1, $2, '', $3, 1)",
            bank.id,
            message_id,
            MAILBOX,
        )
    return str(event), str(message_id + 7)


async def fetch_rows(database: Database, account: Account) -> dict[str, set[str]]:
    """Return everything that the store has of one account, by table."""
    async with database.acquire() as connection:
        tables = await connection.fetch(
            "SELECT c.table_name AS name FROM information_schema.columns c"
            " JOIN information_schema.tables t USING (table_schema, table_name)"
            " WHERE c.column_name = 'account_id' AND c.table_schema = 'public'"
            " AND t.table_type = 'BASE TABLE' AND c.table_name <> $1",
            COUNTED_BEHIND,
        )
        found = {}
        for table in tables:
            rows = await connection.fetch(
                f'SELECT t::text FROM "{table["name"]}" t WHERE account_id = $1',  # noqa: S608
                account.id,
            )
            found[table["name"]] = {row[0] for row in rows}
        return found


def build_calls(
    document: dict[str, Any], pairs: list[Pair]
) -> Iterator[tuple[str, str, Pair, Callable[[str], tuple[str, dict[str, Any]]]]]:
    """Yield each call with each pair: its name, its method, the pair, and what makes the request
    with one value of the pair."""
    # Reading first: what the shop submits afterwards names the bank's values itself.
    for path, method, operation in sorted(operations(document), key=lambda each: each[1] != "get"):
        name = operation["operationId"]
        if name in OPEN_CALLS:
            continue
        parameters = operation.get("parameters", ())
        in_path = [each["name"] for each in parameters if each["in"] == "path"]
        in_query = [each["name"] for each in parameters if each["in"] == "query"]
        in_header = [each["name"] for each in parameters if each["in"] == "header"]
        body = None
        if "requestBody" in operation:
            assert name in BODIES, f"say in BODIES what {name} is tried with"
            body = BODIES[name]
        for parameter in in_path:
            assert parameter in PATHS, f"say in PATHS what {{{parameter}}} is tried with"

        def build(
            value: str,
            query: str = "",
            path: str = path,
            body: Callable[[str], Any] | None = body,
            in_path: list[str] = in_path,
            in_header: list[str] = in_header,
        ) -> tuple[str, dict[str, Any]]:
            for parameter in in_path:
                path = path.replace(f"{{{parameter}}}", value)
            options: dict[str, Any] = {"headers": dict.fromkeys(in_header, value)}
            if query:
                options["params"] = {query: value}
            if body is not None:
                options["body"] = body(value)
            return path, options

        ways: list[Callable[[str], tuple[str, dict[str, Any]]]] = [
            lambda value, q=query, b=build: b(value, q)  # type: ignore[misc]
            for query in in_query
        ]
        for pair in pairs:
            for way in (build, *ways):
                yield name, method.upper(), pair, way


async def test_no_call_tells_anothers_values_from_nobodys(world: World, database: Database) -> None:
    document = await world.fetch_document()
    before = await fetch_rows(database, world.bank)
    assert all(before[table] for table in ("messages", "events", "outbox", "inbound_messages"))
    tried: dict[str, set[int]] = {}
    for name, method, pair, build in build_calls(document, world.pairs):
        answers = []
        for value in pair:
            path, options = build(value)
            asked = await world.ask(method, path, value, **options)
            assert not world.leaks(asked), (name, pair, asked)
            assert asked.status < 500, (name, pair, asked)
            answers.append(asked)
        assert answers[0] == answers[1], (name, pair)
        tried.setdefault(name, set()).add(answers[0].status)
    assert await fetch_rows(database, world.bank) == before
    # That the values were understood: each call said something else than that they are malformed.
    assert tried["fetchMessage"] >= {404}
    assert tried["cancelMessage"] >= {404}
    assert {status for name in ("submitMessage", "submitBatch") for status in tried[name]} == {202}
    assert all(tried.pop(name) == {403} for name in OPERATORS_CALLS)
    for name in set(tried) - {"fetchMessage", "cancelMessage", "submitMessage", "submitBatch"}:
        assert 200 in tried[name], name


async def test_every_call_of_an_account_asks_for_a_key(world: World) -> None:
    document = await world.fetch_document()
    pair = world.pairs[0]
    names = set()
    for name, method, _, build in build_calls(document, [pair]):
        path, options = build(pair.theirs)
        for bearer in ("", "Bearer gw_aaaaaaaa_" + "x" * 43):
            headers = options.get("headers", {}) | {"Authorization": bearer}
            asked = await world.ask(method, path, **(options | {"headers": headers}))
            assert asked.status in (401, 429), (name, asked)
        names.add(name)
    described = {each["operationId"] for _, _, each in operations(document)}
    assert names == described - OPEN_CALLS
    for name, _, operation in operations(document):
        asks = bool(operation.get("security"))
        assert asks == (operation["operationId"] not in OPEN_CALLS), name


@pytest.mark.parametrize("held", sorted(SCOPES))
async def test_every_call_refuses_a_key_without_its_scope(
    world: World, database: Database, shop: Account, held: str
) -> None:
    key = await create_key(database, shop.id, scopes=SCOPES[held])
    document = await world.fetch_document()
    needed = {
        operation["operationId"]: operation["security"][0]["key"][0]
        for _, _, operation in operations(document)
        if operation["operationId"] not in OPEN_CALLS
    }
    assert set(needed.values()) == set(SCOPES)
    before = await fetch_rows(database, shop)
    refused = 0
    for name, method, pair, build in build_calls(document, world.pairs[:1]):
        path, options = build(pair.nobodys)
        headers = options["headers"] | {"Authorization": f"Bearer {key.plaintext}"}
        asked = await world.ask(method, path, **(options | {"headers": headers}))
        if needed[name] == held:
            assert asked.status != 403, (name, asked)
            continue
        problem = json.loads(asked.body)
        assert (asked.status, problem["code"]) == (403, "scope_missing"), (name, asked)
        assert problem["detail"].endswith(needed[name])
        refused += 1
    assert refused
    if held == "read":
        assert await fetch_rows(database, shop) == before


NO_REQUESTS = {
    *(v.BIND_RECEIVER, v.BIND_TRANSMITTER, v.BIND_TRANSCEIVER, v.UNBIND, v.ENQUIRE_LINK),
    v.DELIVER_SM,  # the gateway's to ask
}
"""Requests of the session itself, which name nothing of an account's; who may bind as whom is
`test_bind.py`'s."""
ERRANDS = {v.QUERY_SM, v.CANCEL_SM, v.REPLACE_SM}
HARMLESS: dict[str, Value] = {
    "destination_addr": "447400900003",
    "dest_addresses": (SmeAddress(1, 1, "447400900003"),),
    "source_addr": "Shop",
    "short_message": b"Hello",
}


def build_smpp_calls(value: str) -> Iterator[tuple[int, str, Pdu]]:
    """Yield every request that the specification's tables know, with the value in each of its
    fields that can hold it: command, field, and the PDU."""
    for command_id, fields in PDUS.items():
        if command_id & v.RESPONSE or command_id | v.RESPONSE not in PDUS:
            continue
        if command_id in NO_REQUESTS:
            continue
        usual = {each.name: HARMLESS[each.name] for each in fields if each.name in HARMLESS}
        payload = ((v.TAG_MESSAGE_PAYLOAD, b"Hello"),) if command_id == v.DATA_SM else ()
        for each in fields:
            if each.kind is Kind.TEXT and len(value) < each.size:
                said: Value = value
            elif each.kind is Kind.OCTETS:
                said = value.encode()
            elif each.kind is Kind.DESTINATIONS and len(value) < ADDRESS_SIZE:
                said = (SmeAddress(1, 1, value),)
            else:
                continue
            yield command_id, each.name, Pdu(command_id, 0, 0, usual | {each.name: said}, payload)
        tlvs = (*payload, (v.TAG_RECEIPTED_MESSAGE_ID, value.encode() + b"\0"))
        yield command_id, "receipted_message_id", Pdu(command_id, 0, 0, usual, tlvs)


async def test_no_smpp_request_tells_anothers_values_from_nobodys(
    world: World, database: Database
) -> None:
    before = await fetch_rows(database, world.bank)
    customer = await world.running.connect(v.BIND_TRANSCEIVER)
    statuses: dict[int, set[int]] = {}
    for pair in world.pairs:
        asked = [list(build_smpp_calls(value)) for value in pair]
        for (command_id, field, theirs), (_, _, nobodys) in zip(*asked, strict=True):
            answers = [await customer.ask_whatever(pdu) for pdu in (theirs, nobodys)]
            said = [
                (answer.command_id, answer.status, _without_ids(answer.fields, value), answer.tlvs)
                for answer, value in zip(answers, pair, strict=True)
            ]
            assert said[0] == said[1], (v.command_name(command_id), field, pair)
            assert not world.leaks(Asked(0, str(answers[0]).replace(pair.theirs, ""), ()))
            statuses.setdefault(command_id, set()).add(answers[0].status)
            if command_id in ERRANDS:
                assert answers[0].status == v.ESME_RINVMSGID, (v.command_name(command_id), field)
    assert statuses.keys() >= ERRANDS | {v.SUBMIT_SM, v.SUBMIT_MULTI, v.DATA_SM}
    # That the values were understood: it was no fault of form that was answered.
    for command_id in (v.SUBMIT_SM, v.SUBMIT_MULTI, v.DATA_SM):
        assert v.ESME_ROK in statuses[command_id], v.command_name(command_id)
    assert (await customer.ask(v.CANCEL_SM, destination_addr=NUMBER)).status == v.ESME_RINVMSGID
    assert await fetch_rows(database, world.bank) == before


def _without_ids(fields: Mapping[str, Value], value: str) -> dict[str, str]:
    """Take out of an answer's fields what was asked for, and the id that a new message got."""
    return {
        name: "‹new›" if re.fullmatch(r"\d{15,19}", str(said)) else str(said).replace(value, "‹it›")
        for name, said in fields.items()
    }


PEER_WORDS = (
    *("username", "user", "to", "from", "content", "text", "tags", "account", "id", "msgid"),
    *("smsc", "binfo", "meta-data", "dlr-url", "bulkId", "batchId"),
)
"""Parameters of Kannel's and Jasmin's calls that could name something of an account's."""


NEW_IDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{15,19}")


def _json_of(path: str, said: dict[str, str]) -> dict[str, Any]:
    """Return what is said in the form that a call of Jasmin's takes it in."""
    if not path.endswith("batch"):
        return said
    content = {name: said[name] for name in ("to", "content", "tags") if name in said}
    return said | {"messages": [content], "globals": {"from": said["from"]}}


async def test_no_call_of_a_peer_tells_anothers_values_from_nobodys(
    world: World, database: Database, shop: Account
) -> None:
    before = await fetch_rows(database, world.bank)
    key = (await create_key(database, shop.id)).plaintext
    paths = list(world.running.gateway.parts.api.peer_paths)
    assert "/cgi-bin/sendsms" in paths and "/secure/send" in paths
    usual = {"username": "shop", "password": key, "to": "447400900003", "from": "Shop"}
    taken = set()
    for path in paths:
        secure = path.startswith("/secure/")
        # They know no pages, and take no cursor's letters for a tag.
        pairs = [pair for pair in world.pairs if re.fullmatch("[a-z0-9-]+", pair.theirs)]
        text = {"text" if path.startswith("/cgi-bin/") else "content": "Hello"}
        for pair in pairs:
            for word in PEER_WORDS:
                answers = []
                for value in pair:
                    said = usual | text | {word: value}
                    auth = {"Authorization": aiohttp.encode_basic_auth(said["username"], key)}
                    asked = await (
                        world.ask("POST", path, value, body=_json_of(path, said), headers=auth)
                        if secure
                        else world.ask("GET", path, value, params=said, headers={})
                    )
                    assert asked.status < 500, (path, word, pair, asked)
                    assert not world.leaks(asked), (path, word, pair, asked)
                    answers.append(asked._replace(body=NEW_IDS.sub("‹new›", asked.body)))
                    if asked.status in (200, 202):
                        taken.add(path)
                assert answers[0] == answers[1], (path, word, pair)
    assert taken >= {"/cgi-bin/sendsms", "/send", "/rate", "/balance", "/secure/send"}
    assert await fetch_rows(database, world.bank) == before


async def test_anothers_message_in_memory_takes_as_long_to_deny_as_nobodys(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[int] = []
    fetch_one = Backlog.fetch_one

    async def count(backlog: Backlog, account_id: Any, message_id: MessageId) -> Any:
        looked_up.append(message_id)
        return await fetch_one(backlog, account_id, message_id)

    monkeypatch.setattr(Backlog, "fetch_one", count)
    customer = await world.running.connect(v.BIND_TRANSCEIVER)
    for value in world.pairs[0]:
        await world.ask("DELETE", f"/v1/messages/{value}")
        await customer.ask(v.CANCEL_SM, message_id=value)
        await customer.ask(v.REPLACE_SM, message_id=value, short_message=b"mine now")
        assert looked_up == [int(value)] * 3
        looked_up.clear()
