"""A single submit without the framework and without a task: from its last octet to its commit.

    parsed ─► begin ─► gate ─► decode ─► Submissions.submit_soon ─► (commit) ─► one write

The server's connections (`serve.py`) bring here what `accepts` takes: a whole small request at the
head of its connection, whose key was seen lately. Everything else goes through the application,
and a test holds the ways together. Everything that decides is shared: headers, gate, decoding,
the call itself, answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final, Protocol

from gateway.api.answers import Answer
from gateway.api.asgi import OnFault, OnRequest
from gateway.api.decode import decode_single
from gateway.api.gate import Gate
from gateway.api.heads import Fields, check_json, idempotency_key, read_fields
from gateway.api.problems import answer_fault, answer_rejected, answer_unavailable
from gateway.api.submit import SubmitCalls, answer_accepted
from gateway.errors import Rejected, StoreUnavailable
from gateway.message import Accepted
from gateway.model import Account
from gateway.scopes import SEND

PATH: Final = b"/v1/messages"
ROUTE: Final = "POST /v1/messages"
BODY_BYTES_MAX: Final = 65_536
"""A longer body is not waited for here: the application reads it, and says when it is too long."""

Headers = Sequence[tuple[bytes, bytes]]


class Reply(Protocol):
    """Writes the answer of one request; called once."""

    def __call__(self, answer: Answer) -> None: ...


class DirectSubmit:
    """`POST /v1/messages`, called instead of awaited."""

    def __init__(
        self,
        calls: SubmitCalls,
        gate: Gate,
        *,
        body_bytes_max: int,
        on_request: OnRequest,
        on_fault: OnFault,
        now: Callable[[], float],
    ) -> None:
        self._calls = calls
        self._gate = gate
        self._body_bytes_max = min(body_bytes_max, BODY_BYTES_MAX)
        self._on_request = on_request
        self._on_fault = on_fault
        self._now = now
        self._slow: set[asyncio.Task[None]] = set()

    def accepts(self, headers: Headers) -> bool:
        """Whether a POST to PATH with these headers may come here."""
        length = -1
        for name, value in headers:
            if name == b"content-length":
                length = int(value) if value.isdigit() and len(value) < 8 else self._body_bytes_max
            elif name == b"transfer-encoding" or name == b"expect":
                return False
        return 0 <= length < self._body_bytes_max

    def left(self) -> None:
        """Note a request whose client left, or was cut off, before the whole of it was here."""
        self._on_request(ROUTE, HTTPStatus.REQUEST_TIMEOUT, 0.0)

    def begin(self, headers: Headers, address: str, body: bytes, reply: Reply) -> None:
        """Take a whole request. `reply` is called with its answer, now or after its commit."""
        started = self._now()
        try:
            fields = read_fields(headers)
            account = self._gate.admit_known(fields, address, SEND)
            if account is None:
                task = asyncio.ensure_future(self._look_up(fields, address, body, reply, started))
                self._slow.add(task)
                task.add_done_callback(self._slow.discard)
            else:
                self._submit(account, fields, body, reply, started)
        except Exception as error:
            self._finish(reply, started, error)

    async def _look_up(
        self, fields: Fields, address: str, body: bytes, reply: Reply, started: float
    ) -> None:
        try:
            account = await self._gate.admit(fields, address, SEND)
            self._submit(account, fields, body, reply, started)
        except Exception as error:
            self._finish(reply, started, error)
        except asyncio.CancelledError:
            self._finish(reply, started, StoreUnavailable("the gateway is stopping"))
            raise

    def _submit(
        self, account: Account, fields: Fields, body: bytes, reply: Reply, started: float
    ) -> None:
        check_json(fields)
        key = idempotency_key(fields)

        def done(outcome: Accepted | Exception) -> None:
            self._finish(reply, started, outcome)

        self._calls.submit_soon(account, decode_single(body), key, done)

    def _finish(self, reply: Reply, started: float, outcome: Accepted | Exception) -> None:
        """Answer; raises nothing, as its callers have others' outcomes to tell as well."""
        try:
            answer = self._answer(outcome)
        except Exception as error:
            answer = self._answer(error)
        try:
            reply(answer)
        except Exception as error:
            self._on_fault(ROUTE, error)
        self._on_request(ROUTE, answer.status, self._now() - started)

    def _answer(self, outcome: Accepted | Exception) -> Answer:
        if isinstance(outcome, Accepted):
            return answer_accepted(outcome)
        if isinstance(outcome, Rejected):
            return answer_rejected(outcome)
        if isinstance(outcome, StoreUnavailable):
            return answer_unavailable(outcome)
        self._on_fault(ROUTE, outcome)
        return answer_fault()
