"""The ASGI application: the framework for everything, the bypass for the two submit routes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import cast

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException

from gateway.api.answers import API_HEADERS, Answer
from gateway.api.asgi import ASGIApp, Event, OnFault, OnRequest, Receive, Scope, Send, send_answer
from gateway.api.bodies import STRANGERS_BYTES_MAX, Bodies, CountedBody
from gateway.api.bypass import BypassRoute
from gateway.api.decode import decode_batch, decode_single, explain_value
from gateway.api.direct import DirectSubmit
from gateway.api.docs import build_pages
from gateway.api.document import complete_document, lower_to_30, operations
from gateway.api.gate import Gate
from gateway.api.logins import LoginRefusal
from gateway.api.openapi import openapi_config
from gateway.api.peer_route import PeerRoute
from gateway.api.peers import PeerCalls, Peers, build_peer_routes
from gateway.api.ports import (
    Condition,
    DeadEvents,
    Keys,
    PersonalData,
    Reading,
    Submissions,
    Treasury,
)
from gateway.api.problems import (
    answer_fault,
    answer_problem,
    answer_rejected,
    answer_unavailable,
)
from gateway.api.routes import build_routers, to_response
from gateway.api.submit import SubmitCalls
from gateway.config import Http
from gateway.errors import Rejected, StoreUnavailable

NO_PEERS = Peers()
UNMATCHED = "unmatched"
"""The route of requests that no route answers: one word, so that metrics stay bounded."""


def build_api(
    config: Http,
    *,
    submissions: Submissions,
    reading: Reading,
    dead_events: DeadEvents,
    treasury: Treasury,
    personal: PersonalData,
    keys: Keys,
    condition: Condition,
    metrics_text: Callable[[], bytes],
    on_request: OnRequest | None = None,
    on_fault: OnFault | None = None,
    on_login_refused: Callable[[LoginRefusal], None] = lambda reason: None,
    now: Callable[[], float] = time.monotonic,
    bypass: bool = True,
    peers: Peers = NO_PEERS,
) -> Api:
    """Return the application that answers HTTP.

    `on_request` hears of every request that was answered, `on_fault` of every exception that was
    answered 500, `on_login_refused` of every request that was not let in. Without `bypass` the
    framework answers the submit routes too: the same, slower.
    """
    on_request = on_request or _ignore_request
    on_fault = on_fault or _ignore_fault
    gate = Gate(keys, config.login_failures_per_min, now, on_login_refused)
    calls = SubmitCalls(submissions, gate, config.batch_messages_max)

    def routers() -> list[Router]:
        return build_routers(
            config,
            gate,
            calls,
            submissions=submissions,
            reading=reading,
            dead_events=dead_events,
            treasury=treasury,
            personal=personal,
            condition=condition,
            metrics_text=metrics_text,
        )

    direct: dict[str, ASGIApp] = {}
    if bypass:
        direct = {
            "/v1/messages": BypassRoute(
                "POST /v1/messages",
                decode_single,
                calls.submit_single,
                gate=gate,
                body_bytes_max=config.body_bytes_max,
                on_request=on_request,
                on_fault=on_fault,
                now=now,
            ),
            "/v1/messages/batch": BypassRoute(
                "POST /v1/messages/batch",
                decode_batch,
                calls.submit_batch,
                gate=gate,
                body_bytes_max=config.body_bytes_max,
                on_request=on_request,
                on_fault=on_fault,
                now=now,
            ),
        }
    peer_routes = build_peer_routes(
        peers,
        PeerCalls(peers, gate, submissions, reading, condition),
        body_bytes_max=config.body_bytes_max,
        on_request=on_request,
        on_fault=on_fault,
        now=now,
    )
    framework, allowed = _build_framework(routers, on_fault)
    api = Api(framework, allowed, direct, peer_routes, on_request, on_fault, now)
    if bypass:
        api.submit = DirectSubmit(
            calls,
            gate,
            body_bytes_max=config.body_bytes_max,
            on_request=on_request,
            on_fault=on_fault,
            now=now,
        )
    return api


class Api:
    """Sends each request the way it goes: straight to a bypass, or through the framework."""

    def __init__(
        self,
        framework: ASGIApp,
        allowed: Mapping[str, bytes],
        direct: Mapping[str, ASGIApp],
        peers: Mapping[str, PeerRoute],
        on_request: OnRequest,
        on_fault: OnFault,
        now: Callable[[], float],
    ) -> None:
        self._framework = framework
        self._allowed = allowed
        self._direct = direct
        self._peers = peers
        self._on_request = on_request
        self._on_fault = on_fault
        self._now = now
        self.bodies = Bodies()
        self.strangers = Bodies(STRANGERS_BYTES_MAX)
        """Of bodies that are read before it is known who sends them."""
        self.submit: DirectSubmit | None = None
        """For servers that can hand over single submits without a task."""

    @property
    def peer_paths(self) -> Collection[str]:
        """The addresses of other gateways' calls, which are not in the OpenAPI."""
        return self._peers.keys()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Nothing happens at a server's start and end; those who listen are `HttpServer`'s affair.
        if scope["type"] != "http":
            return
        peer = self._peers.get(scope["path"])
        asked = peer is None or peer.asks_first
        body = CountedBody(self.bodies if asked else self.strangers, receive)
        try:
            if scope["method"] == "POST" and (direct := self._direct.get(scope["path"])):
                await direct(scope, body.receive, send)
            elif peer is not None:
                await peer(scope, body.receive, send)
            else:
                await self._through_framework(scope, body.receive, send)
        finally:
            body.close()

    async def _through_framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._now()
        status = 0

        async def send_hardened(event: Event) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
                event = {**event, "headers": _harden(event["headers"])}
                if inner["method"] == "OPTIONS":
                    event["headers"] = self._name_methods(inner, event["headers"])
            await send(event)

        # A copy: the framework writes into its scope, and the server still looks into this one.
        inner = dict(scope)
        if scope["method"] == "HEAD":
            inner["method"] = "GET"  # the server leaves the body out
        try:
            await self._framework(inner, receive, send_hardened)
        except Exception as error:
            self._on_fault(_route_of(inner), error)
            if not status:
                await send_answer(send_hardened, answer_fault())
        self._on_request(_route_of(inner), status, self._now() - started)

    def _name_methods(
        self, scope: Scope, headers: list[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        """Say of an address all its methods: the framework says those of one handler."""
        allowed = self._allowed.get(_template_of(scope))
        return [
            (name, allowed if name == b"allow" and allowed else value) for name, value in headers
        ]


def _build_framework(
    routers: Callable[[], list[Router]], on_fault: OnFault
) -> tuple[ASGIApp, dict[str, bytes]]:
    """Return what answers, and which methods each of its addresses takes."""
    # The document comes from an application of its own: one that serves its own OpenAPI brings
    # pages along that load their scripts from the internet.
    documented = Litestar(routers(), openapi_config=openapi_config(), logging_config=None)
    document = complete_document(documented.openapi_schema.to_schema())

    def answer_error(request: Request[object, object, State], error: Exception) -> Response[bytes]:
        return to_response(_answer_of(error, lambda e: on_fault(_route_of(request.scope), e)))

    framework = Litestar(
        [*routers(), *build_pages(document, lower_to_30(document))],
        openapi_config=None,
        logging_config=None,
        exception_handlers={Exception: answer_error},
        # Bodies are limited where they are read, with our own words.
        request_max_body_size=None,
    )
    methods: dict[str, list[str]] = {}
    for path, method, _ in operations(document):
        methods.setdefault(path, ["OPTIONS"]).append(method.upper())
    allowed = {path: ", ".join(sorted(each)).encode() for path, each in methods.items()}
    return cast(ASGIApp, framework), allowed


def _answer_of(error: Exception, on_fault: Callable[[Exception], None]) -> Answer:
    match error:
        case Rejected():
            return answer_rejected(error)
        case StoreUnavailable():
            return answer_unavailable(error)
        case ValidationException():
            return answer_rejected(_explain_parameter(error))
        case HTTPException() if error.status_code < 500:
            return _answer_http(error)
        case _:
            on_fault(error)
            return answer_fault()


def _explain_parameter(error: ValidationException) -> Rejected:
    problems = error.extra if isinstance(error.extra, list) else []
    for problem in problems:
        return explain_value(problem["message"], problem.get("key", ""))
    return Rejected("bad_request", "the request can't be understood", status=400)


def _answer_http(error: HTTPException) -> Answer:
    if error.status_code == 404:
        return answer_problem(404, "route_not_found", "there is nothing at this address")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("allow", "")
        return answer_problem(
            405,
            "method_not_allowed",
            f"this address takes {allowed}",
            headers=((b"allow", allowed.encode()),),
        )
    return answer_problem(error.status_code, "bad_request", error.detail)


def _harden(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers with those that every answer has, where it hasn't its own."""
    given = list(headers)
    names = {name for name, _ in given}
    return given + [header for header in API_HEADERS if header[0] not in names]


def _route_of(scope: Mapping[str, object]) -> str:
    """Return the name of the route that took the request: bounded words, for metrics."""
    template = scope.get("path_template")
    return f"{scope['method']} {template}" if template else UNMATCHED


def _template_of(scope: Mapping[str, object]) -> str:
    """Return the address as the document writes it: without its parameters' types."""
    return re.sub(r":\w+}", "}", str(scope.get("path_template") or ""))


def _ignore_request(_route: str, _status: int, _seconds: float) -> None:
    """Stand in for a listener that nobody passed."""


def _ignore_fault(_route: str, _error: BaseException) -> None:
    """Stand in for a listener that nobody passed."""
