"""The routes, for the framework: signatures that document themselves, handlers that delegate.

Litestar routes, checks parameters and generates the OpenAPI from what stands here. Bodies are
read and decoded by our own functions (`JsonRequest`), so that a refusal has the same words here
and in the bypass. Pages for people are in `docs.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, cast

from litestar import Request, Response, Router, delete, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import ResponseHeader
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import Body, HeaderParameter, PathParameter, QueryParameter

from gateway.api.admin import build_admin_handlers
from gateway.api.answers import Answer, encode
from gateway.api.asgi import Receive, Scope, address_of, read_body
from gateway.api.decode import decode_batch, decode_quote, decode_single
from gateway.api.gate import Gate
from gateway.api.heads import Fields, announced_bytes, check_json, idempotency_key, read_fields
from gateway.api.inbound import build_inbound_handler
from gateway.api.ineligible import build_ineligible_handler
from gateway.api.openapi import (
    BATCH_EXAMPLES,
    BEARER,
    MESSAGE_EXAMPLES,
    NEEDS_READ,
    NEEDS_SEND,
    QUOTE_EXAMPLES,
    not_ready_response,
    problem_responses,
)
from gateway.api.ports import Condition, DeadEvents, PersonalData, Reading, Submissions, Treasury
from gateway.api.privacy import build_privacy_handlers
from gateway.api.problems import answer_not_ready
from gateway.api.queries import (
    SEARCH_DESCRIPTION,
    SEARCH_LIMIT_DEFAULT,
    SEARCH_LIMIT_MAX,
    build_search,
    check_parameters,
    parse_message_id,
    seal_page,
)
from gateway.api.requests import BatchRequest, QuoteRequest, expand_quote
from gateway.api.shapes import Alive, BatchAnswer, CarrierList, Ready, Submitted
from gateway.api.statement import build_statement_handler
from gateway.api.submit import SubmitCalls
from gateway.api.webhooks import build_webhook_handlers
from gateway.config import Http
from gateway.errors import Rejected
from gateway.model import Account, SendRequest
from gateway.scopes import read_scopes
from gateway.views import Balance, MessageView, Page, Quote

Connection = ASGIConnection[Any, Any, Any, Any]

METRICS_TYPE = "text/plain; version=0.0.4"
"""The text format; the framework adds the charset."""

_SEARCH_PARAMETERS = ("status", "to", "client_ref", "tag", "from", "until", "limit", "cursor")

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="1 to 255 visible ASCII characters. The same key gives the same message and "
        "one charge for a day; a repeated answer carries `Idempotency-Replayed: true`.",
    ),
]
REPLAYED = ResponseHeader(
    name="Idempotency-Replayed",
    value="true",
    description="true when an earlier request with the same key made these messages.",
    documentation_only=True,
)
MessageIdInPath = Annotated[
    str, PathParameter(name="id", description="A message's id, as submit gave it.")
]


class JsonRequest(Request[Account, Any, Any]):
    """A request whose body is limited, read and decoded by our own rules.

    The route names its decoder and limit in `opt`.
    """

    _decoded: Any = None
    _read: bytes | None = None

    async def body(self) -> bytes:
        """Return the body once it is read and decoded; raises Rejected."""
        if self._read is None:
            opt = self.route_handler.opt
            announced = announced_bytes(_fields_of(self))
            receive = cast(Receive, self.receive)
            body = await read_body(receive, announced, opt["body_bytes_max"])
            self._decoded = opt["decode"](body)
            self._read = body
        return self._read

    async def json(self) -> Any:
        """Return what the body says."""
        await self.body()
        return self._decoded


def build_routers(
    config: Http,
    gate: Gate,
    calls: SubmitCalls,
    *,
    submissions: Submissions,
    reading: Reading,
    dead_events: DeadEvents,
    treasury: Treasury,
    personal: PersonalData,
    condition: Condition,
    metrics_text: Callable[[], bytes],
) -> list[Router]:
    """Return every documented route."""
    account_routes = Router(
        "/v1",
        route_handlers=[
            *_body_handlers(config, calls, submissions),
            *_message_handlers(submissions, reading),
            build_inbound_handler(reading),
            build_statement_handler(reading),
            build_ineligible_handler(reading),
            *build_webhook_handlers(dead_events, config.body_bytes_max, _guard_json),
            *build_admin_handlers(treasury, config.body_bytes_max, _guard_json),
            *build_privacy_handlers(personal, config.body_bytes_max, _guard_json),
            *_account_handlers(reading, condition),
        ],
        guards=[_guard_key(gate)],
        request_class=JsonRequest,
    )
    return [account_routes, Router("/", route_handlers=_node_handlers(condition, metrics_text))]


def to_response(answer: Answer) -> Response[Any]:
    """Return an answer as the framework sends one."""
    return Response(
        answer.body,
        status_code=answer.status,
        media_type=answer.content_type.decode(),
        headers={name.decode(): value.decode() for name, value in answer.headers},
    )


def _body_handlers(
    config: Http, calls: SubmitCalls, submissions: Submissions
) -> list[HTTPRouteHandler]:
    limit = {"body_bytes_max": config.body_bytes_max}

    @post(
        "/messages",
        status_code=202,
        opt={"decode": decode_single, **limit},
        guards=[_guard_json],
        operation_id="submitMessage",
        security=NEEDS_SEND,
        summary="Send a message",
        response_description="Committed.",
        response_headers=[REPLAYED],
        description="202 means that the message is committed: it reaches its carrier or a final "
        "state whatever happens to this node.",
        responses=problem_responses(400, 401, 402, 403, 409, 410, 413, 415, 422, 429, 503),
        tags=["Messages"],
    )
    async def submit_message(
        request: Request[Account, Any, Any],
        data: Annotated[SendRequest, Body(examples=MESSAGE_EXAMPLES)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[Submitted]:
        key = idempotency_key or ""
        return to_response(await calls.submit_single(request.user, data, key))

    @post(
        "/messages/batch",
        status_code=202,
        opt={"decode": decode_batch, **limit},
        guards=[_guard_json],
        operation_id="submitBatch",
        security=NEEDS_SEND,
        summary="Send many messages",
        response_description="At least one item is committed; each says which.",
        response_headers=[REPLAYED],
        description="Either `messages`, or `defaults` with `to`. A result an item, in order: good "
        "ones are accepted though others fail. When none is accepted the status is the one that "
        "all items share, or 422, and the problem carries `results`.",
        responses=problem_responses(400, 401, 402, 403, 409, 410, 413, 415, 422, 429, 503),
        tags=["Messages"],
    )
    async def submit_batch(
        request: Request[Account, Any, Any],
        data: Annotated[BatchRequest, Body(examples=BATCH_EXAMPLES)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[BatchAnswer]:
        key = idempotency_key or ""
        return to_response(await calls.submit_batch(request.user, data, key))

    @post(
        "/quote",
        status_code=200,
        opt={"decode": decode_quote, **limit},
        guards=[_guard_json],
        operation_id="quoteMessages",
        security=NEEDS_READ,
        summary="Price messages without sending them",
        response_description="Priced.",
        description="Takes what the submit calls take, and one message with a list of numbers. "
        "Numbers that can't be sent to are counted apart.",
        responses=problem_responses(400, 401, 403, 413, 415, 422, 429, 503),
        tags=["Money"],
    )
    async def quote_messages(
        request: Request[Account, Any, Any],
        data: Annotated[QuoteRequest, Body(examples=QUOTE_EXAMPLES)],
    ) -> Quote:
        expanded = expand_quote(data, config.batch_messages_max)
        return await submissions.quote(request.user, expanded.requests)

    return [submit_message, submit_batch, quote_messages]


def _message_handlers(submissions: Submissions, reading: Reading) -> list[HTTPRouteHandler]:
    @get(
        "/messages/{id:str}",
        operation_id="fetchMessage",
        security=NEEDS_READ,
        summary="Read a message",
        response_description="The message.",
        description="With its segments and events.",
        responses=problem_responses(400, 401, 403, 404, 422, 429, 503),
        tags=["Messages"],
    )
    async def fetch_message(
        request: Request[Account, Any, Any], message_id: MessageIdInPath
    ) -> MessageView:
        view = await reading.fetch_message(request.user.id, parse_message_id(message_id))
        if view is None:
            raise Rejected("not_found", "this account has no such message", field="id", status=404)
        return view

    @get(
        "/messages",
        operation_id="searchMessages",
        security=NEEDS_READ,
        summary="Search messages",
        response_description="A page of messages.",
        description=SEARCH_DESCRIPTION,
        responses=problem_responses(400, 401, 403, 422, 429, 503),
        tags=["Messages"],
    )
    async def search_messages(
        request: Request[Account, Any, Any],
        status: Annotated[str, QueryParameter(description="A message's status.")] = "",
        to: Annotated[str, QueryParameter(description="Recipient, E.164 digits.")] = "",
        client_ref: Annotated[str, QueryParameter(description="Your own reference.")] = "",
        tag: Annotated[str, QueryParameter(description="Your own tag.")] = "",
        accepted_from: Annotated[
            str, QueryParameter(name="from", description="Accepted then or later; RFC 3339.")
        ] = "",
        until: Annotated[str, QueryParameter(description="Accepted before; RFC 3339.")] = "",
        limit: Annotated[
            int, QueryParameter(ge=1, le=SEARCH_LIMIT_MAX, description="Messages a page.")
        ] = SEARCH_LIMIT_DEFAULT,
        cursor: Annotated[
            str, QueryParameter(description="`next_cursor` of the page before.")
        ] = "",
    ) -> Page:
        check_parameters(request.scope["query_string"], _SEARCH_PARAMETERS)
        search = build_search(
            status=status,
            to=to,
            client_ref=client_ref,
            tag=tag,
            accepted_from=accepted_from,
            accepted_until=until,
            limit=limit,
            cursor=cursor,
        )
        return seal_page(await reading.search_messages(request.user.id, search))

    @delete(
        "/messages/{id:str}",
        status_code=200,
        operation_id="cancelMessage",
        security=NEEDS_SEND,
        summary="Cancel a message",
        response_description="Withdrawn.",
        description="Withdraws what has not begun to leave and gives its price back; 409 after.",
        responses=problem_responses(400, 401, 403, 404, 409, 422, 429, 503),
        tags=["Messages"],
    )
    async def cancel_message(
        request: Request[Account, Any, Any], message_id: MessageIdInPath
    ) -> MessageView:
        return await submissions.cancel(request.user, parse_message_id(message_id))

    return [fetch_message, search_messages, cancel_message]


def _account_handlers(reading: Reading, condition: Condition) -> list[HTTPRouteHandler]:
    @get(
        "/balance",
        operation_id="fetchBalance",
        security=NEEDS_READ,
        summary="Read the balance",
        response_description="The balance as it is committed now.",
        responses=problem_responses(400, 401, 403, 429, 503),
        tags=["Money"],
    )
    async def fetch_balance(request: Request[Account, Any, Any]) -> Balance:
        return await reading.fetch_balance(request.user)

    @get(
        "/carriers",
        operation_id="listCarriers",
        security=NEEDS_READ,
        summary="See the carriers",
        response_description="The carriers.",
        responses=problem_responses(400, 401, 403, 429, 503),
        tags=["Node"],
    )
    async def list_carriers() -> CarrierList:
        return CarrierList(carriers=condition.carriers())

    return [fetch_balance, list_carriers]


def _node_handlers(
    condition: Condition, metrics_text: Callable[[], bytes]
) -> list[HTTPRouteHandler]:
    @get(
        "/healthz",
        operation_id="readHealth",
        summary="Is the process alive?",
        response_description="It is.",
        tags=["Node"],
    )
    async def healthz() -> Alive:
        return Alive()

    @get(
        "/readyz",
        operation_id="readReadiness",
        summary="Can this node do its work?",
        response_description="It can.",
        responses={503: not_ready_response()},
        tags=["Node"],
    )
    async def readyz() -> Response[Ready]:
        problems = condition.problems()
        return to_response(answer_not_ready(problems) if problems else Answer(200, encode(Ready())))

    @get(
        "/metrics",
        operation_id="readMetrics",
        summary="Read the metrics",
        response_description="The Prometheus text format.",
        media_type=METRICS_TYPE,
        tags=["Node"],
    )
    async def read_metrics() -> bytes:
        return metrics_text()

    return [healthz, readyz, read_metrics]


def _guard_key(gate: Gate) -> Callable[[Connection, BaseRouteHandler], Any]:
    async def require_key(connection: Connection, handler: BaseRouteHandler) -> None:
        if connection.scope.get("method") == "OPTIONS":
            return  # the framework's own, and what it tells stands in the document
        address = address_of(cast(Scope, connection.scope))
        scope = _scope_of(handler)
        connection.scope["user"] = await gate.admit(_fields_of(connection), address, scope)

    return require_key


def _scope_of(handler: BaseRouteHandler) -> int:
    """Return what the route asks of a key, as its documentation says it."""
    (requirement,) = cast(HTTPRouteHandler, handler).security or ()
    return read_scopes(requirement[BEARER])


async def _guard_json(connection: Connection, _handler: BaseRouteHandler) -> None:
    fields = _fields_of(connection)
    check_json(fields)
    idempotency_key(fields)


def _fields_of(connection: Connection) -> Fields:
    return read_fields(list(connection.scope["headers"]))
