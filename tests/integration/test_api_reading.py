"""Everything but submitting, over a real socket; the gateway behind it is a fake of its ports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from gateway.api.app import build_api
from gateway.api.queries import open_cursor, seal_cursor
from gateway.api.serve import HttpServer
from gateway.config import Http
from gateway.errors import Rejected, StoreUnavailable
from gateway.model import Account, AccountId, MessageId, SendRequest
from gateway.reports import IneligibleLine, IneligibleReport
from gateway.scopes import ADMIN
from gateway.views import (
    Balance,
    CarrierView,
    DeadEventView,
    DeadPage,
    DeadSearch,
    DepositList,
    DepositMade,
    DepositView,
    InboundPage,
    InboundSearch,
    InboundView,
    MessageSummary,
    MessageView,
    Page,
    Quote,
    QuoteItem,
    ReplayedView,
    Search,
    Statement,
    StatementLine,
)

ID = 263546872340938752
SUMMARY = MessageSummary(
    id=str(ID),
    status="delivered",
    to="4917012345678",
    sender="Shop",
    text="Hello",
    encoding="gsm7",
    segments=1,
    priority="transactional",
    price="0.0075",
    currency="EUR",
    country="DE",
    carrier="north",
    client_ref="",
    tag="",
    accepted_at="2026-01-31T08:00:00Z",
    expires_at="2026-02-02T08:00:00Z",
)
VIEW = MessageView(**msgspec.structs.asdict(SUMMARY), parts=[], events=[])
INBOUND = InboundView(
    id=str(ID),
    sender="491511",
    to="40404",
    text="JA",
    encoding="gsm7",
    segments=2,
    partial=True,
    missing=[2],
    carrier="north",
    received_at="2026-01-31T08:00:00Z",
)
DEAD = DeadEventView(
    id="42",
    message_id=str(ID),
    url="",
    happened_at="2026-01-31T08:00:00.000Z",
    attempts=3,
    error="HTTP 500",
    event='{"type":"message.delivered"}',
)
SHOP = Account(id=AccountId(7), name="shop", currency="EUR")
OPERATOR = Account(id=AccountId(8), name="operators", scopes=ADMIN)


class FakeGateway:
    """All ports at once, with one message."""

    def __init__(self) -> None:
        self.searches: list[Search] = []
        self.inbound_searches: list[InboundSearch] = []
        self.dead_searches: list[DeadSearch] = []
        self.replays: list[tuple[Sequence[int] | None, float | None]] = []
        self.quoted: list[Sequence[SendRequest]] = []
        self.stated: list[tuple[date, date, str]] = []
        self.counted: list[tuple[date, date, str]] = []
        self.deposited: list[tuple[str, int, str, str, str | None]] = []
        self.not_ready: list[str] = []
        self.away = False

    def recall(self, key: str) -> Account | None:
        return {"good": SHOP, "operator": OPERATOR}.get(key)

    async def deposit(
        self, name: str, amount_micros: int, *, reason: str, author: str, key: str | None
    ) -> DepositMade:
        self._answer()
        if name != "shop":
            raise Rejected("account_unknown", "there is no such account", field="name", status=404)
        self.deposited.append((name, amount_micros, reason, author, key))
        return DepositMade(account=name, available="1", currency="EUR", replayed=False)

    async def list_deposits(self, name: str, limit: int) -> DepositList:
        self._answer()
        made = DepositView(
            at="2026-01-31T08:00:00Z",
            amount="-2.5",
            currency="EUR",
            reason=f"{name} {limit}",
            author="Ann",
            key="",
        )
        return DepositList(deposits=[made])

    async def authenticate(self, key: str) -> Account | None:
        return None

    def submit_soon(self, account: Any, request: Any, idempotency_key: str, done: Any) -> None:
        raise AssertionError("not asked")

    async def fetch_message(self, account_id: AccountId, message_id: MessageId) -> Any:
        self._answer()
        return VIEW if (account_id, message_id) == (SHOP.id, ID) else None

    async def search_messages(self, account_id: AccountId, search: Search) -> Page:
        self._answer()
        assert account_id == SHOP.id
        self.searches.append(search)
        # As the store does: a page can be empty and still have one behind it.
        if search.tag == "rare":
            return Page(messages=[], next_cursor="41")
        return Page(messages=[SUMMARY], next_cursor="" if search.before else str(ID))

    async def search_inbound(self, account_id: AccountId, search: InboundSearch) -> InboundPage:
        self._answer()
        assert account_id == SHOP.id
        self.inbound_searches.append(search)
        return InboundPage(messages=[INBOUND], next_cursor="" if search.before else str(ID))

    async def search_dead(self, account_id: AccountId, search: DeadSearch) -> DeadPage:
        self._answer()
        assert account_id == SHOP.id
        self.dead_searches.append(search)
        return DeadPage(events=[DEAD], next_cursor="" if search.before else "41")

    async def replay(
        self,
        account_id: AccountId,
        now: float,
        *,
        ids: Sequence[int] | None = None,
        since: float | None = None,
    ) -> ReplayedView:
        self._answer()
        assert account_id == SHOP.id
        self.replays.append((ids, since))
        return ReplayedView(replayed=3, more=False)

    async def fetch_balance(self, account: Account) -> Balance:
        self._answer()
        return Balance(
            account=account.name,
            currency=account.currency,
            available="9.9925",
            spendable="9.9925",
            reserved="0",
            posted="0.0075",
            refunded="0",
            deposited="10",
            floor="0",
        )

    async def fetch_statement(
        self, account: Account, first: date, last: date, by: str
    ) -> Statement:
        self._answer()
        self.stated.append((first, last, by))
        line = StatementLine(
            key="=cmd",
            messages=2,
            segments=3,
            price="0.0225",
            voided="0.0075",
            refunded="0",
            net="0.015",
        )
        return Statement(
            account=account.name,
            currency=account.currency,
            first=first.isoformat(),
            last=last.isoformat(),
            by=by,
            lines=[line],
            complete=True,
            total=replace(line, key=""),
            deposited="10",
            withdrawn="0",
        )

    async def fetch_ineligible(
        self, account: Account, first: date, last: date, by: str
    ) -> IneligibleReport:
        self._answer()
        self.counted.append((first, last, by))
        return IneligibleReport(
            account=account.name,
            first=first.isoformat(),
            last=last.isoformat(),
            by=by,
            lines=[IneligibleLine(key="number_fixed_line", count=7)],
            total=7,
        )

    async def quote(self, account: Account, requests: Sequence[SendRequest]) -> Quote:
        self.quoted.append(requests)
        items = [QuoteItem(to=request.to, segments=1, price="0.0075") for request in requests]
        return Quote(
            items=items,
            sendable=len(items),
            ineligible=0,
            segments=len(items),
            price="0.0075",
            currency=account.currency,
            countries=[],
            reasons=[],
            spendable="10",
            covered=True,
        )

    async def cancel(self, account: Account, message_id: MessageId) -> MessageView:
        if message_id == 1:
            raise Rejected("too_late", "it has begun to leave", status=409)
        return VIEW

    async def submit(self, *_: Any) -> Any:
        raise AssertionError("not asked")

    async def submit_batch(self, *_: Any) -> Any:
        raise AssertionError("not asked")

    def problems(self) -> list[str]:
        return self.not_ready

    def carriers(self) -> list[CarrierView]:
        return [
            CarrierView(
                name="north",
                binds=2,
                bound=1,
                window_size=100,
                in_flight=3,
                waiting=4,
                rate_per_s=50.0,
                state="degraded",
            )
        ]

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("no database", retry_after_s=2)


class Harness:
    """One API for the whole file (it takes 0.1 s to build), a fresh gateway and server a test."""

    def __init__(self) -> None:
        self.gateway = FakeGateway()
        self.requests: list[tuple[str, int]] = []
        self.faults: list[tuple[str, BaseException]] = []
        absent: Any = None  # asked of a running gateway, in upstream/test_privacy_calls.py
        self._api = build_api(
            Http(batch_messages_max=3),
            submissions=self.gateway,
            reading=self.gateway,
            dead_events=self.gateway,
            treasury=self.gateway,
            personal=absent,
            keys=self.gateway,
            condition=self.gateway,
            metrics_text=lambda: b"# HELP gateway_up Up.\n",
            on_request=lambda route, status, _s: self.requests.append((route, status)),
            on_fault=lambda route, error: self.faults.append((route, error)),
        )

    async def start(self) -> None:
        vars(self.gateway).update(vars(FakeGateway()))
        self.requests.clear()
        self.faults.clear()
        self.server = HttpServer(self._api)
        await self.server.start("127.0.0.1", 0)
        self.client = aiohttp.ClientSession()

    async def stop(self) -> None:
        await self.client.close()
        await self.server.stop(5.0)

    async def ask(
        self, method: str, path: str, key: str | None = "good", **kwargs: Any
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with self.client.request(
            method,
            f"http://127.0.0.1:{self.server.port}{path}",
            headers=headers,
            allow_redirects=False,
            **kwargs,
        ) as response:
            body = await response.read()
            return response.status, {n.lower(): v for n, v in response.headers.items()}, body

    async def refusal(self, method: str, path: str, **kwargs: Any) -> tuple[int, str, str]:
        """Return status, code and field of a request that is refused with a problem."""
        status, headers, body = await self.ask(method, path, **kwargs)
        problem = json.loads(body)
        assert headers["content-type"] == "application/problem+json"
        assert headers["cache-control"] == "no-store"
        assert problem["status"] == status
        return status, problem["code"], problem["field"]


@pytest.fixture(scope="module")
def built() -> Harness:
    return Harness()


@pytest.fixture
async def api(built: Harness) -> AsyncIterator[Harness]:
    await built.start()
    yield built
    await built.stop()


async def test_a_message_is_read_with_its_sender_named_from(api: Harness) -> None:
    status, headers, body = await api.ask("GET", f"/v1/messages/{ID}")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    message = json.loads(body)
    assert (message["id"], message["from"], message["status"]) == (str(ID), "Shop", "delivered")
    assert api.requests == [("GET /v1/messages/{id}", 200)]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", ["abc", "0", "-1", "1.5", "9" * 19, "9" * 30, "%00", "1%2F2"])
async def test_what_is_no_id_is_refused(api: Harness, method: str, path: str) -> None:
    answer = await api.refusal(method, f"/v1/messages/{path}")
    assert answer in [(422, "invalid_id", "id"), (404, "route_not_found", "")]


async def test_an_unknown_message_is_404(api: Harness) -> None:
    assert await api.refusal("GET", "/v1/messages/5") == (404, "not_found", "id")


async def test_a_cancelled_message_is_shown_and_a_late_cancel_is_409(api: Harness) -> None:
    status, _, body = await api.ask("DELETE", f"/v1/messages/{ID}")
    assert (status, json.loads(body)["id"]) == (200, str(ID))
    assert await api.refusal("DELETE", "/v1/messages/1") == (409, "too_late", "")


async def test_a_search_is_read_page_by_page(api: Harness) -> None:
    _, _, body = await api.ask("GET", "/v1/messages?status=delivered&limit=1&to=%2B491&tag=a%20b")
    page = json.loads(body)
    assert [message["id"] for message in page["messages"]] == [str(ID)]
    # What only a single read knows is not there, rather than empty.
    assert {"parts", "events", "fallback", "tlvs"}.isdisjoint(page["messages"][0])
    assert open_cursor(page["next_cursor"]) == ID
    _, _, body = await api.ask("GET", f"/v1/messages?cursor={page['next_cursor']}")
    assert json.loads(body)["next_cursor"] == ""
    assert api.gateway.searches == [
        Search(status="delivered", to="491", tag="a b", limit=1),
        Search(before=MessageId(ID)),
    ]


async def test_an_empty_page_may_have_one_behind_it(api: Harness) -> None:
    _, _, body = await api.ask("GET", "/v1/messages?tag=rare")
    page = json.loads(body)
    assert page["messages"] == []
    assert open_cursor(page["next_cursor"]) == 41


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=0", "out_of_range", "limit"),
        ("limit=501", "out_of_range", "limit"),
        ("limit=x", "invalid_type", "limit"),
        ("limit=" + "9" * 5_000, "out_of_range", "limit"),
        ("cursor=x", "invalid_cursor", "cursor"),
        ("cursor=" + seal_cursor(MessageId(5))[:-1] + "A", "invalid_cursor", "cursor"),
        ("from=yesterday", "invalid_date", "from"),
        ("until=2026-01-31T08:00:00", "invalid_date", "until"),
        ("status=gone", "invalid_status", "status"),
        ("to=Shop", "invalid_number", "to"),
        ("tag=%00", "invalid_filter", "tag"),
        ("stauts=delivered", "unknown_parameter", "stauts"),
        ("to=1&to=2", "duplicate_parameter", "to"),
    ],
)
async def test_a_wrong_query_is_refused(api: Harness, query: str, code: str, field: str) -> None:
    assert await api.refusal("GET", f"/v1/messages?{query}") == (422, code, field)
    assert api.gateway.searches == []


async def test_bytes_that_are_no_text_in_a_query_are_no_fault(api: Harness) -> None:
    status, _, _ = await api.ask("GET", "/v1/messages?tag=" + "%FF%FE")
    assert status in (200, 422)
    assert api.faults == []


async def test_messages_from_phones_are_read_page_by_page(api: Harness) -> None:
    status, _, body = await api.ask("GET", "/v1/inbound?limit=1&to=40404&sender=%2B491511")
    page = json.loads(body)
    (message,) = page["messages"]
    assert (status, message["from"], message["missing"]) == (200, "491511", [2])
    assert open_cursor(page["next_cursor"]) == ID
    _, _, body = await api.ask("GET", f"/v1/inbound?cursor={page['next_cursor']}")
    assert json.loads(body)["next_cursor"] == ""
    assert api.gateway.inbound_searches == [
        InboundSearch(to="40404", sender="+491511", limit=1),
        InboundSearch(before=MessageId(ID)),
    ]
    assert await api.refusal("GET", "/v1/inbound?tag=x") == (422, "unknown_parameter", "tag")


async def test_the_balance_is_read(api: Harness) -> None:
    _, _, body = await api.ask("GET", "/v1/balance")
    assert json.loads(body)["available"] == "9.9925"


async def test_a_statement_is_of_the_days_asked_for(api: Harness) -> None:
    _, _, body = await api.ask("GET", "/v1/statement?from=2026-01-01&to=2026-01-31&by=tag")
    answer = json.loads(body)
    assert api.gateway.stated == [(date(2026, 1, 1), date(2026, 1, 31), "tag")]
    assert (answer["from"], answer["to"], answer["by"]) == ("2026-01-01", "2026-01-31", "tag")
    assert answer["lines"][0]["net"] == answer["total"]["net"] == "0.015"


async def test_a_statement_is_of_this_month_by_day_unless_said_otherwise(api: Harness) -> None:
    today = datetime.now(UTC).date()
    await api.ask("GET", "/v1/statement")
    assert api.gateway.stated == [(today.replace(day=1), today, "day")]


async def test_a_statement_may_be_a_file_for_spreadsheets_without_formulas(api: Harness) -> None:
    status, headers, body = await api.ask(
        "GET", "/v1/statement?from=2026-01-01&to=2026-01-31&by=tag&format=csv"
    )
    assert (status, headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert "statement-2026-01-01-2026-01-31.csv" in headers["content-disposition"]
    assert body.decode() == (
        "tag,messages,segments,price,voided,refunded,net,currency\r\n"
        "'=cmd,2,3,0.0225,0.0075,0,0.015,EUR\r\n"
    )


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("from=2026-02-30", "invalid_date", "from"),
        ("to=yesterday", "invalid_date", "to"),
        ("to=2026-01-31T00:00:00Z", "invalid_date", "to"),
        ("from=2020-01-01", "invalid_date", "from"),
        ("from=2026-02-01&to=2026-01-31", "invalid_range", "to"),
        ("from=2024-02-01&to=2026-01-31", "invalid_range", "from"),
        ("until=2026-01-31", "unknown_parameter", "until"),
    ],
)
async def test_a_statement_of_no_days_is_refused(
    api: Harness, query: str, code: str, field: str
) -> None:
    assert await api.refusal("GET", f"/v1/statement?{query}") == (422, code, field)
    assert api.gateway.stated == []


async def test_a_statement_by_what_there_is_not_is_refused(api: Harness) -> None:
    assert (await api.refusal("GET", "/v1/statement?by=weather"))[0] == 422
    assert (await api.refusal("GET", "/v1/statement?format=xml"))[0] == 422


async def test_refused_numbers_are_counted_for_the_days_asked_for(api: Harness) -> None:
    path = "/v1/reports/ineligible"
    _, _, body = await api.ask("GET", f"{path}?from=2026-01-01&to=2026-01-31&by=country")
    assert json.loads(body) == {
        "account": "shop",
        "from": "2026-01-01",
        "to": "2026-01-31",
        "by": "country",
        "lines": [{"key": "number_fixed_line", "count": 7}],
        "total": 7,
    }
    today = datetime.now(UTC).date()
    await api.ask("GET", path)
    assert api.gateway.counted == [
        (date(2026, 1, 1), date(2026, 1, 31), "country"),
        (today.replace(day=1), today, "reason"),
    ]
    assert await api.refusal("GET", f"{path}?from=soon") == (422, "invalid_date", "from")
    assert (await api.refusal("GET", f"{path}?by=account"))[0] == 422
    assert (await api.refusal("GET", f"{path}?account=bank"))[0] == 422


DEPOSITS = "/v1/admin/accounts/shop/deposits"


async def test_an_operator_adds_credit_with_a_reason_and_an_author(api: Harness) -> None:
    api.gateway.deposited.clear()
    body = {"amount": "100", "reason": "invoice 7", "author": "Ann"}
    status, _, answer = await api.ask("POST", DEPOSITS, key="operator", json=body)
    assert (status, json.loads(answer)["available"]) == (200, "1")
    body = {"amount": "-2.5", "reason": "wrong rate"}
    await api.ask("POST", DEPOSITS, key="operator", json=body)
    assert api.gateway.deposited == [
        ("shop", 100_000_000, "invoice 7", "key:operators@127.0.0.1 for Ann", None),
        ("shop", -2_500_000, "wrong rate", "key:operators@127.0.0.1", None),
    ]


async def test_an_operator_sees_deposits(api: Harness) -> None:
    _, _, answer = await api.ask("GET", f"{DEPOSITS}?limit=7", key="operator")
    (made,) = json.loads(answer)["deposits"]
    assert (made["amount"], made["reason"]) == ("-2.5", "shop 7")


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"amount": 100, "reason": "x"}, 422, "invalid_type", "amount"),
        ({"amount": "1e3", "reason": "x"}, 422, "invalid_amount", "amount"),
        ({"amount": "0.0000001", "reason": "x"}, 422, "invalid_amount", "amount"),
        ({"amount": "1"}, 422, "missing_field", "reason"),
        ({"amount": "1", "reason": "x", "auther": "y"}, 422, "unknown_field", "auther"),
    ],
)
async def test_a_deposit_that_can_not_be_read_is_refused(
    api: Harness, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    api.gateway.deposited.clear()
    refused = await api.refusal("POST", DEPOSITS, key="operator", json=body)
    assert refused == (status, code, field)
    assert api.gateway.deposited == []


async def test_a_deposit_for_nobody_is_refused(api: Harness) -> None:
    body = {"amount": "1", "reason": "x"}
    path = "/v1/admin/accounts/nobody/deposits"
    refused = await api.refusal("POST", path, key="operator", json=body)
    assert refused == (404, "account_unknown", "name")


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", {"amount": "1"})])
async def test_a_customers_key_does_nothing_of_an_operators(
    api: Harness, method: str, body: Any
) -> None:
    api.gateway.deposited.clear()
    assert (await api.refusal(method, DEPOSITS, json=body))[:2] == (403, "scope_missing")
    assert (await api.refusal(method, DEPOSITS, key=None, json=body))[0] == 401
    assert api.gateway.deposited == []


async def test_an_operators_key_alone_sends_and_reads_nothing(api: Harness) -> None:
    assert (await api.refusal("GET", "/v1/balance", key="operator"))[:2] == (403, "scope_missing")


async def test_the_carriers_are_listed(api: Harness) -> None:
    _, _, body = await api.ask("GET", "/v1/carriers")
    ((carrier,),) = json.loads(body).values()
    assert (carrier["name"], carrier["state"]) == ("north", "degraded")


@pytest.mark.parametrize(
    "body",
    [
        {"to": "1", "text": "x"},
        {"to": ["1"], "text": "x"},
        {"messages": [{"to": "1", "text": "x"}]},
        {"defaults": {"text": "x"}, "to": ["1"]},
    ],
)
async def test_a_quote_takes_every_form(api: Harness, body: dict[str, Any]) -> None:
    status, _, answer = await api.ask("POST", "/v1/quote", json=body)
    assert (status, json.loads(answer)["sendable"]) == (200, 1)
    assert api.gateway.quoted == [[SendRequest(to="1", text="x")]]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"to": ["1"] * 4, "text": "x"}, (413, "too_many_messages", "to")),
        ({"text": "x"}, (422, "missing_field", "to")),
        ({"to": "1", "txt": "x"}, (422, "unknown_field", "txt")),
        ({"to": 1}, (422, "invalid_type", "to")),
    ],
)
async def test_a_wrong_quote_is_refused(
    api: Harness, body: dict[str, Any], answer: tuple[int, str, str]
) -> None:
    assert await api.refusal("POST", "/v1/quote", json=body) == answer
    assert api.gateway.quoted == []


async def test_a_quote_is_json_or_415(api: Harness) -> None:
    refused = await api.refusal("POST", "/v1/quote", data={"to": "1"})
    assert refused == (415, "unsupported_media_type", "Content-Type")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v1/messages/{ID}"),
        ("GET", "/v1/messages"),
        ("GET", "/v1/inbound"),
        ("GET", "/v1/webhooks/dead"),
        ("DELETE", f"/v1/messages/{ID}"),
        ("POST", "/v1/quote"),
        ("GET", "/v1/balance"),
        ("GET", "/v1/statement"),
        ("GET", "/v1/reports/ineligible"),
        ("GET", "/v1/carriers"),
    ],
)
async def test_no_account_route_answers_without_a_key(api: Harness, method: str, path: str) -> None:
    assert (await api.refusal(method, path, key=None))[:2] == (401, "unauthorized")
    assert (await api.refusal(method, path, key="wrong"))[:2] == (401, "unauthorized")


@pytest.mark.parametrize("path", [f"/v1/messages/{ID}", "/v1/messages", "/v1/balance"])
async def test_an_absent_store_is_503_with_a_time(api: Harness, path: str) -> None:
    api.gateway.away = True
    status, headers, body = await api.ask("GET", path)
    assert (status, headers["retry-after"]) == (503, "2")
    assert json.loads(body)["code"] == "store_unavailable"
    assert api.faults == []


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/messages/1/2", "/docs/x", "/v1/../x"])
async def test_an_unknown_address_is_a_problem(api: Harness, path: str) -> None:
    assert await api.refusal("GET", path) == (404, "route_not_found", "")
    assert api.requests == [("unmatched", 404)]


async def test_a_request_about_the_server_as_a_whole_is_no_fault(api: Harness) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    status_line = await reader.readline()
    writer.close()
    assert status_line.split()[1] in (b"404", b"405")
    assert api.faults == []


async def test_dead_events_come_in_pages(api: Harness) -> None:
    status, _, body = await api.ask("GET", "/v1/webhooks/dead?limit=1&from=2026-01-31T08:00:00Z")
    page = json.loads(body)
    assert status == 200
    assert page["events"][0]["error"] == "HTTP 500"
    await api.ask("GET", f"/v1/webhooks/dead?cursor={page['next_cursor']}")
    first, second = api.gateway.dead_searches
    assert (first.limit, first.happened_from, first.before) == (1, 1_769_846_400.0, None)
    assert second.before == 41
    refused = await api.refusal("GET", "/v1/webhooks/dead?tag=x")
    assert refused == (422, "unknown_parameter", "tag")


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"ids": ["42", "7"]}, ([42, 7], None)),
        ({"since": "2026-01-31T08:00:00Z"}, (None, 1_769_846_400.0)),
        ({"all": True}, (None, None)),
    ],
)
async def test_dead_events_are_replayed_as_named(
    api: Harness, body: dict[str, Any], asked: tuple[Any, Any]
) -> None:
    status, _, answer = await api.ask("POST", "/v1/webhooks/replay", json=body)
    assert (status, json.loads(answer)) == (200, {"replayed": 3, "more": False})
    assert api.gateway.replays == [asked]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "mixed_forms", ""),
        ({"all": False}, "mixed_forms", ""),
        ({"all": True, "ids": ["1"]}, "mixed_forms", ""),
        ({"ids": []}, "out_of_range", "ids"),
        ({"ids": ["1"] * 1_001}, "out_of_range", "ids"),
        ({"ids": ["1", "x"]}, "invalid_id", "ids[1]"),
        ({"ids": [1]}, "invalid_type", "ids[0]"),
        ({"since": "yesterday"}, "invalid_date", "since"),
        ({"id": ["1"]}, "unknown_field", "id"),
    ],
)
async def test_a_replay_that_names_nothing_is_refused(
    api: Harness, body: dict[str, Any], code: str, field: str
) -> None:
    refused = await api.refusal("POST", "/v1/webhooks/replay", json=body)
    assert refused == (422, code, field)
    assert api.gateway.replays == []


async def test_another_method_is_told_the_ones_there_are(api: Harness) -> None:
    status, headers, body = await api.ask("PUT", "/v1/messages")
    assert (status, json.loads(body)["code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(headers["allow"].split(", "))


@pytest.mark.parametrize("key", ["reader", None, "wrong"])
@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/messages", "GET, OPTIONS, POST"),
        ("/v1/messages/17", "DELETE, GET, OPTIONS"),
        ("/v1/balance", "GET, OPTIONS"),
        ("/v1/admin/privacy/erasures", "GET, OPTIONS, POST"),
        ("/metrics", "GET, OPTIONS"),
    ],
)
async def test_anybody_may_ask_which_methods_an_address_takes(
    api: Harness, key: str | None, path: str, methods: str
) -> None:
    status, headers, _ = await api.ask("OPTIONS", path, key=key)
    assert (status, headers["allow"], api.faults) == (204, methods, [])


async def test_the_process_is_alive_for_anyone(api: Harness) -> None:
    status, _, body = await api.ask("GET", "/healthz", key=None)
    assert (status, json.loads(body)) == (200, {"status": "alive"})
    assert (await api.ask("HEAD", "/healthz", key=None))[::2] == (200, b"")


async def test_readiness_tells_the_problems(api: Harness) -> None:
    status, _, body = await api.ask("GET", "/readyz", key=None)
    assert (status, json.loads(body)) == (200, {"status": "ready", "problems": []})
    api.gateway.not_ready = ["the database is away"]
    status, headers, body = await api.ask("GET", "/readyz", key=None)
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert json.loads(body)["problems"] == ["the database is away"]


async def test_metrics_are_in_the_text_format(api: Harness) -> None:
    status, headers, body = await api.ask("GET", "/metrics", key=None)
    assert (status, body) == (200, b"# HELP gateway_up Up.\n")
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_the_root_leads_to_the_pages_and_they_are_whole(api: Harness) -> None:
    status, headers, _ = await api.ask("GET", "/", key=None)
    assert (status, headers["location"]) == (302, "/docs")
    status, headers, page = await api.ask("GET", "/docs", key=None)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    for path in (b"/docs/swagger-ui.css", b"/docs/swagger-ui-bundle.js", b"/docs/start.js"):
        assert path in page
        status, headers, body = await api.ask("GET", path.decode(), key=None)
        assert status == 200
        assert headers["content-type"].startswith("text/")
        assert body
    _, _, body = await api.ask("GET", "/docs/openapi-3.0.json", key=None)
    assert json.loads(body)["openapi"] == "3.0.3"
    _, headers, body = await api.ask("GET", "/openapi.json", key=None)
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["openapi"].startswith("3.1.")
