"""The routes of webhook events that were given up, for the framework: as those in `routes.py`."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Body, QueryParameter
from litestar.types import Guard

from gateway.api.decode import decode_replay
from gateway.api.openapi import NEEDS_READ, NEEDS_SEND, REPLAY_EXAMPLES, problem_responses
from gateway.api.ports import DeadEvents
from gateway.api.queries import (
    SEARCH_LIMIT_DEFAULT,
    SEARCH_LIMIT_MAX,
    build_dead_search,
    check_parameters,
    parse_instant,
    seal_page,
)
from gateway.api.requests import ReplayRequest
from gateway.errors import Rejected
from gateway.model import Account
from gateway.views import DeadPage, ReplayedView

IDS_MAX = 1_000
_PARAMETERS = ("from", "until", "limit", "cursor")
_EVENT_ID = re.compile(r"[1-9][0-9]{0,17}")


def build_webhook_handlers(
    dead_events: DeadEvents, body_bytes_max: int, guard_json: Guard
) -> list[HTTPRouteHandler]:
    """Return the handlers of `GET /v1/webhooks/dead` and `POST /v1/webhooks/replay`."""

    @get(
        "/webhooks/dead",
        operation_id="searchDeadEvents",
        security=NEEDS_READ,
        summary="See the events that no endpoint took",
        response_description="A page of events that are not tried any more.",
        description="Newest first. What an endpoint refused, or failed to take for a whole day.",
        responses=problem_responses(400, 401, 403, 422, 429, 503),
        tags=["Webhooks"],
    )
    async def search_dead_events(
        request: Request[Account, Any, Any],
        happened_from: Annotated[
            str, QueryParameter(name="from", description="Happened then or later; RFC 3339.")
        ] = "",
        until: Annotated[str, QueryParameter(description="Happened before; RFC 3339.")] = "",
        limit: Annotated[
            int, QueryParameter(ge=1, le=SEARCH_LIMIT_MAX, description="Events a page.")
        ] = SEARCH_LIMIT_DEFAULT,
        cursor: Annotated[
            str, QueryParameter(description="`next_cursor` of the page before.")
        ] = "",
    ) -> DeadPage:
        check_parameters(request.scope["query_string"], _PARAMETERS)
        search = build_dead_search(
            happened_from=happened_from, happened_until=until, limit=limit, cursor=cursor
        )
        return seal_page(await dead_events.search_dead(request.user.id, search))

    @post(
        "/webhooks/replay",
        status_code=200,
        opt={"decode": decode_replay, "body_bytes_max": body_bytes_max},
        guards=[guard_json],
        operation_id="replayDeadEvents",
        security=NEEDS_SEND,
        summary="Deliver dead events again",
        response_description="They are due now.",
        description="By `ids`, or those `since` a time, or `all` of them: at most 10,000 a call, "
        "the oldest first. They are tried for as long as new events are.",
        responses=problem_responses(400, 401, 403, 413, 415, 422, 429, 503),
        tags=["Webhooks"],
    )
    async def replay_dead_events(
        request: Request[Account, Any, Any],
        data: Annotated[ReplayRequest, Body(examples=REPLAY_EXAMPLES)],
    ) -> ReplayedView:
        ids, since = _read_wish(data)
        return await dead_events.replay(request.user.id, time.time(), ids=ids, since=since)

    return [search_dead_events, replay_dead_events]


def _read_wish(asked: ReplayRequest) -> tuple[list[int] | None, float | None]:
    """Return which events are meant; raises Rejected (422) unless it is said in one way."""
    ways = [asked.ids is not None, asked.since is not None, asked.all]
    if sum(ways) != 1:
        raise Rejected("mixed_forms", "say one of ids, since, and all")
    if asked.ids is None:
        return None, None if asked.since is None else parse_instant(asked.since, "since")
    if not 1 <= len(asked.ids) <= IDS_MAX:
        raise Rejected("out_of_range", f"1 to {IDS_MAX} ids", field="ids")
    for place, event_id in enumerate(asked.ids):
        if not _EVENT_ID.fullmatch(event_id):
            raise Rejected("invalid_id", "an id is a number as a string", field=f"ids[{place}]")
    return [int(event_id) for event_id in asked.ids], None
