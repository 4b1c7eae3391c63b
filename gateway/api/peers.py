"""Other gateways' HTTP calls: plain ASGI callables, answered in their words.

A key is the password and its account's name the username. Not here: what parameters and results
mean (`gateway/peers/`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from gateway.api.answers import JSON, Answer, encode
from gateway.api.asgi import OnFault, OnRequest
from gateway.api.gate import Gate
from gateway.api.peer_route import Handle, Headers, PeerRequest, PeerRoute, Refuse
from gateway.api.ports import Condition, Reading, Submissions
from gateway.api.problems import whole_seconds
from gateway.errors import Rejected
from gateway.model import Account
from gateway.outcomes import Notice
from gateway.peers import jasmin, kannel
from gateway.peers.callbacks import build_batch_notice
from gateway.peers.forms import read_form
from gateway.scopes import READ, SEND

TEXT = b"text/plain; charset=utf-8"
FORM = b"application/x-www-form-urlencoded"
BODY_BYTES_MAX = 1024 * 1024
"""Of one message's call; batches are limited as our own."""


class Peers(msgspec.Struct, frozen=True):
    """Whose calls are answered, and what for."""

    names: tuple[str, ...] = ()
    validity_max_s: int = 604_800
    notify: Callable[[Sequence[Notice]], Awaitable[None]] | None = None
    """Has calls made that no message's event causes."""


class PeerCalls:
    """What the routes share."""

    def __init__(
        self,
        settings: Peers,
        gate: Gate,
        submissions: Submissions,
        reading: Reading,
        condition: Condition,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._submissions = submissions
        self._reading = reading
        self._condition = condition

    # ── Kannel ───────────────────────────────────────────────────────────────────────────────

    async def sendsms(self, request: PeerRequest) -> Answer:
        """Answer Kannel's `/cgi-bin/sendsms`."""
        if request.method == "GET":
            parameters = read_form(request.query)
        elif request.content_type == FORM:
            parameters = read_form(request.body, request.query)
        else:
            parameters = {
                **read_form(request.query),
                **kannel.read_headers(request.headers, request.body),
            }
        try:
            name, key = kannel.read_credentials(parameters)
            account = await self._gate.admit_named(name, key, request.address, SEND)
            now = time.time()
            call = kannel.read_call(parameters, account, now, self._settings.validity_max_s)
            if isinstance(call, kannel.Reply):
                return _answer_kannel(call)
            self._gate.take(account, len(call.requests))
            results = await self._submissions.submit_batch(account, call.requests)
        except Rejected as rejected:
            return _answer_kannel(kannel.answer_rejected(rejected))
        up = any(carrier.bound for carrier in self._condition.carriers())
        return _answer_kannel(kannel.answer_results(results, call.requests, carriers_up=up))

    # ── Jasmin's older calls ─────────────────────────────────────────────────────────────────

    async def send(self, request: PeerRequest) -> Answer:
        """Answer Jasmin's `/send`."""
        try:
            parameters = self._read_jasmin(request)
            now = time.time()
            asked = jasmin.read_send(parameters, now, self._settings.validity_max_s)
            account = await self._admit(parameters, request.address, SEND)
            return _answer_jasmin(200, await self._submit(account, asked))
        except jasmin.Refused as refused:
            return _refuse_jasmin(refused.status, refused.text, refused.retry_after_s)

    async def rate(self, request: PeerRequest) -> Answer:
        """Answer Jasmin's `/rate`."""
        try:
            parameters = self._read_jasmin(request)
            now = time.time()
            asked = jasmin.read_rate(parameters, now, self._settings.validity_max_s)
            account = await self._admit(parameters, request.address, READ)
            return Answer(200, encode(await self._quote(account, asked)))
        except jasmin.Refused as refused:
            return _refuse_json(refused.status, refused.text, refused.retry_after_s)

    async def balance(self, request: PeerRequest) -> Answer:
        """Answer Jasmin's `/balance`."""
        try:
            parameters = self._read_jasmin(request)
            account = await self._admit(parameters, request.address, READ)
            return Answer(200, encode(await self._balance(account)))
        except jasmin.Refused as refused:
            return _refuse_json(refused.status, refused.text, refused.retry_after_s)

    async def ping(self, _request: PeerRequest) -> Answer:
        return Answer(200, jasmin.PONG.encode(), TEXT)

    # ── Jasmin's REST calls ──────────────────────────────────────────────────────────────────

    async def secure_send(self, request: PeerRequest) -> Answer:
        """Answer Jasmin's `/secure/send`."""
        try:
            account = await self.admit_basic(SEND, request.headers, request.address)
            parameters = {**jasmin.read_json(request.body), "username": b"-", "password": b"-"}
            asked = jasmin.read_send(parameters, time.time(), self._settings.validity_max_s)
            return Answer(200, encode({"data": await self._submit(account, asked)}))
        except jasmin.Refused as refused:
            return _refuse_rest(refused.status, refused.text, refused.retry_after_s)

    async def secure_sendbatch(self, request: PeerRequest) -> Answer:
        """Answer Jasmin's `/secure/sendbatch`: the whole batch in one commit."""
        try:
            account = await self.admit_basic(SEND, request.headers, request.address)
            now = time.time()
            call = jasmin.read_batch(request.body, now, self._settings.validity_max_s)
            batch_id = str(uuid.uuid4())
            if call.requests:
                self._gate.take(account, len(call.requests))
                results = await self._submissions.submit_batch(account, call.requests)
            else:
                results = []
        except Rejected as rejected:
            refused = jasmin.write_refusal(rejected)
            return _refuse_rest(refused.status, refused.text, refused.retry_after_s)
        except jasmin.Refused as refused:
            return _refuse_rest(refused.status, refused.text, refused.retry_after_s)
        await self._tell_batch(account, batch_id, call, results, now)
        return Answer(200, encode({"data": {"batchId": batch_id, "messageCount": call.count}}))

    async def secure_rate(self, request: PeerRequest) -> Answer:
        """Answer Jasmin's `/secure/rate`: parameters in the address, or as JSON."""
        try:
            account = await self.admit_basic(READ, request.headers, request.address)
            given = jasmin.read_json(request.body) if request.body.strip() else {}
            parameters = {**read_form(request.query), **given}
            parameters |= {"username": b"-", "password": b"-"}
            asked = jasmin.read_rate(parameters, time.time(), self._settings.validity_max_s)
            return Answer(200, encode({"data": await self._quote(account, asked)}))
        except jasmin.Refused as refused:
            return _refuse_rest(refused.status, refused.text, refused.retry_after_s)

    async def secure_balance(self, request: PeerRequest) -> Answer:
        """Answer Jasmin's `/secure/balance`."""
        try:
            account = await self.admit_basic(READ, request.headers, request.address)
            return Answer(200, encode({"data": await self._balance(account)}))
        except jasmin.Refused as refused:
            return _refuse_rest(refused.status, refused.text, refused.retry_after_s)

    # ── what they come to ────────────────────────────────────────────────────────────────────

    def _read_jasmin(self, request: PeerRequest) -> dict[str, bytes]:
        if request.content_type == JSON:
            return {**read_form(request.query), **jasmin.read_json(request.body)}
        body = request.body if request.method == "POST" else b""
        return read_form(body, request.query)

    async def _admit(self, parameters: dict[str, bytes], address: str, scope: int) -> Account:
        name = parameters.get("username", b"").decode("utf-8", "replace")
        key = parameters.get("password", b"").decode("utf-8", "replace")
        try:
            return await self._gate.admit_named(name, key, address, scope)
        except Rejected as rejected:
            if rejected.status == 429 or rejected.code == "scope_missing":
                raise jasmin.Refused(403, rejected.detail, rejected.retry_after_s) from None
            text = f"Authentication failure for username:{name[:64]}"
            raise jasmin.Refused(403, text) from None

    async def admit_basic(self, scope: int, headers: Headers, address: str) -> Account:
        """Return whose credentials the headers have; raises Refused."""
        credentials = jasmin.read_basic(dict(headers).get(b"authorization"))
        name, key = credentials or ("", "")
        try:
            return await self._gate.admit_named(name, key, address, scope)
        except Rejected as rejected:
            if rejected.code == "scope_missing":
                raise jasmin.Refused(403, rejected.detail) from None
            raise jasmin.Refused(401, "Authentication required", rejected.retry_after_s) from None

    async def _submit(self, account: Account, asked: Any) -> str:
        """Return what is said of a message that was taken; raises Refused."""
        try:
            self._gate.take(account, 1)
            (result,) = await self._submissions.submit_batch(account, [asked])
        except Rejected as rejected:
            raise jasmin.write_refusal(rejected) from None
        if isinstance(result, Rejected):
            raise jasmin.write_refusal(result)
        return jasmin.describe(result)

    async def _quote(self, account: Account, asked: Any) -> dict[str, Any]:
        (item,) = (await self._submissions.quote(account, [asked])).items
        if item.code:
            raise jasmin.write_refusal(Rejected(item.code, item.detail))
        return jasmin.describe_rate(item)

    async def _balance(self, account: Account) -> dict[str, Any]:
        balance = await self._reading.fetch_balance(account)
        return {"balance": msgspec.Raw(balance.available.encode()), "sms_count": "ND"}

    async def _tell_batch(
        self,
        account: Account,
        batch_id: str,
        call: jasmin.BatchCall,
        results: Sequence[Any],
        now: float,
    ) -> None:
        notices = []
        for to, taken, text in jasmin.answer_batch_results(results, call):
            url = call.callback_url if taken else call.errback_url
            if url:
                notices.append(build_batch_notice(account.id, url, batch_id, to, text, taken, now))
        if notices and self._settings.notify is not None:
            await self._settings.notify(notices)


def build_peer_routes(
    settings: Peers,
    calls: PeerCalls,
    *,
    body_bytes_max: int,
    on_request: OnRequest,
    on_fault: OnFault,
    now: Callable[[], float],
) -> dict[str, PeerRoute]:
    """Return the addresses of the peers that are answered."""
    both = ("GET", "POST")
    small = min(BODY_BYTES_MAX, body_bytes_max)
    routes: dict[str, tuple[tuple[str, ...], Handle, Refuse, int]] = {}
    if "kannel" in settings.names:
        routes[kannel.PATH] = (both, calls.sendsms, _refuse_kannel, small)
    if "jasmin" in settings.names:
        routes |= {
            "/send": (both, calls.send, _refuse_jasmin, small),
            "/rate": (both, calls.rate, _refuse_json, small),
            "/balance": (both, calls.balance, _refuse_json, small),
            "/ping": (("GET",), calls.ping, _refuse_jasmin, small),
            "/secure/send": (("POST",), calls.secure_send, _refuse_rest, small),
            "/secure/sendbatch": (("POST",), calls.secure_sendbatch, _refuse_rest, body_bytes_max),
            "/secure/rate": (both, calls.secure_rate, _refuse_rest, small),
            "/secure/balance": (("GET",), calls.secure_balance, _refuse_rest, small),
        }
    asked = dict.fromkeys(("/secure/send", "/secure/sendbatch"), SEND)
    asked |= dict.fromkeys(("/secure/rate", "/secure/balance"), READ)
    return {
        path: PeerRoute(
            path,
            methods,
            handle,
            refuse,
            check=partial(calls.admit_basic, asked[path]) if path in asked else None,
            body_bytes_max=limit,
            on_request=on_request,
            on_fault=on_fault,
            now=now,
        )
        for path, (methods, handle, refuse, limit) in routes.items()
    }


def _answer_kannel(reply: kannel.Reply) -> Answer:
    return Answer(reply.status, reply.text.encode(), TEXT, _later(reply.retry_after_s))


def _answer_jasmin(status: int, text: str) -> Answer:
    return Answer(status, text.encode(), TEXT)


def _refuse_kannel(status: int, text: str, retry_after_s: float | None) -> Answer:
    return Answer(status, text.encode(), TEXT, _later(retry_after_s))


def _refuse_jasmin(status: int, text: str, retry_after_s: float | None) -> Answer:
    return Answer(status, jasmin.describe_error(text).encode(), TEXT, _later(retry_after_s))


def _refuse_json(status: int, text: str, retry_after_s: float | None) -> Answer:
    return Answer(status, encode(text), JSON, _later(retry_after_s))


def _refuse_rest(status: int, text: str, retry_after_s: float | None) -> Answer:
    headers = _later(retry_after_s)
    if status == 401:
        headers += ((b"www-authenticate", b'Basic realm="gateway"'),)
    return Answer(status, encode({"message": jasmin.describe_error(text)}), JSON, headers)


def _later(retry_after_s: float | None) -> tuple[tuple[bytes, bytes], ...]:
    wait = whole_seconds(retry_after_s)
    return () if wait is None else ((b"retry-after", str(wait).encode()),)
