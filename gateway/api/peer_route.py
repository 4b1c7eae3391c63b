"""One address of another gateway's HTTP calls: who asks is checked, the request read and answered.

Not here: which addresses there are and what they answer (`peers.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

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
from gateway.api.heads import announced_bytes, read_fields
from gateway.errors import Rejected, StoreUnavailable
from gateway.peers import jasmin, kannel
from gateway.peers.forms import TooManyFields

Headers = Sequence[tuple[bytes, bytes]]
Check = Callable[[Headers, str], Awaitable[object]]
"""Who asks, by the request's headers and address."""
Refuse = Callable[[int, str, float | None], Answer]
Handle = Callable[["PeerRequest"], Awaitable[Answer]]


class PeerRequest(msgspec.Struct, frozen=True):
    """One request, whole."""

    method: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    address: str

    @property
    def content_type(self) -> bytes:
        return dict(self.headers).get(b"content-type", b"").partition(b";")[0].strip().lower()


class PeerRoute:
    """One address: read, handle, answer; what goes wrong is answered in the peer's words."""

    def __init__(
        self,
        route: str,
        methods: tuple[str, ...],
        handle: Handle,
        refuse: Refuse,
        *,
        check: Check | None,
        body_bytes_max: int,
        on_request: OnRequest,
        on_fault: OnFault,
        now: Callable[[], float],
    ) -> None:
        """`check` raises Refused for who may not ask, before the body is read; None where who asks
        stands in the body."""
        self._check = check
        self.asks_first = check is not None
        self._route = route
        self._methods = methods
        self._handle = handle
        self._refuse = refuse
        self._body_bytes_max = body_bytes_max
        self._on_request = on_request
        self._on_fault = on_fault
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._now()
        try:
            answer = await self._answer(scope, receive)
        except Rejected as rejected:
            answer = self._refuse(rejected.status, rejected.detail, rejected.retry_after_s)
        except jasmin.Refused as refused:
            answer = self._refuse(refused.status, refused.text, refused.retry_after_s)
        except TooManyFields:
            answer = self._refuse(400, "too many parameters", None)
        except StoreUnavailable as error:
            answer = self._refuse(503, kannel.TRY_AGAIN, error.retry_after_s)
        except Exception as error:
            self._on_fault(self._route, error)
            answer = self._refuse(500, "the gateway failed here; this was recorded", None)
        await send_answer(send, answer)
        self._on_request(self._route, answer.status, self._now() - started)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in self._methods:
            raise Rejected("method_not_allowed", "this address does not take that", status=405)
        headers = list(scope["headers"])
        fields = read_fields(headers)
        if self._check is not None:
            await self._check(headers, address_of(scope))
        body = await read_body(receive, announced_bytes(fields), self._body_bytes_max)
        return await self._handle(
            PeerRequest(method, scope["query_string"], headers, body, address_of(scope))
        )
