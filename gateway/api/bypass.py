"""The submit routes without the framework: a plain ASGI callable a route.

CPU of one single submit between server and gateway (admit, decode, await, encode): 10 µs here, 95
through the framework. Everything that decides is shared with the framework's routes (headers,
gate, decoding, the calls themselves, answers), and a test holds the two ways together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from gateway.api.answers import Answer
from gateway.api.asgi import (
    OnFault,
    OnRequest,
    Receive,
    Scope,
    Send,
    address_of,
    read_body,
    send_answer,
)
from gateway.api.gate import Gate
from gateway.api.heads import announced_bytes, check_json, idempotency_key, read_fields
from gateway.api.problems import answer_fault, answer_rejected, answer_unavailable
from gateway.errors import Rejected, StoreUnavailable
from gateway.model import Account
from gateway.scopes import SEND

T = TypeVar("T")


class BypassRoute(Generic[T]):
    """One POST route: admit, check the headers, read, decode, call, answer."""

    def __init__(
        self,
        route: str,
        decode: Callable[[bytes], T],
        call: Callable[[Account, T, str], Awaitable[Answer]],
        *,
        gate: Gate,
        body_bytes_max: int,
        on_request: OnRequest,
        on_fault: OnFault,
        now: Callable[[], float],
    ) -> None:
        self._route = route
        self._decode = decode
        self._call = call
        self._gate = gate
        self._body_bytes_max = body_bytes_max
        self._on_request = on_request
        self._on_fault = on_fault
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._now()
        try:
            answer = await self._answer(scope, receive)
        except Rejected as rejected:
            answer = answer_rejected(rejected)
        except StoreUnavailable as error:
            answer = answer_unavailable(error)
        except Exception as error:
            self._on_fault(self._route, error)
            answer = answer_fault()
        await send_answer(send, answer)
        self._on_request(self._route, answer.status, self._now() - started)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        fields = read_fields(scope["headers"])
        account = await self._gate.admit(fields, address_of(scope), SEND)
        check_json(fields)
        key = idempotency_key(fields)
        body = await read_body(receive, announced_bytes(fields), self._body_bytes_max)
        return await self._call(account, self._decode(body), key)
