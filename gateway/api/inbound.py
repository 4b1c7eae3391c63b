"""The route of messages from phones, for the framework: as those in `routes.py`."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from gateway.api.openapi import NEEDS_READ, problem_responses
from gateway.api.ports import Reading
from gateway.api.queries import (
    SEARCH_LIMIT_DEFAULT,
    SEARCH_LIMIT_MAX,
    build_inbound_search,
    check_parameters,
    seal_page,
)
from gateway.model import Account
from gateway.views import InboundPage

_PARAMETERS = ("to", "sender", "from", "until", "limit", "cursor")


def build_inbound_handler(reading: Reading) -> HTTPRouteHandler:
    """Return the handler of `GET /v1/inbound`."""

    @get(
        "/inbound",
        operation_id="searchInbound",
        security=NEEDS_READ,
        summary="Search messages from phones",
        response_description="A page of messages to the account's numbers.",
        description="Newest first, by when they were whole. All filters hold together.",
        responses=problem_responses(400, 401, 403, 422, 429, 503),
        tags=["Messages"],
    )
    async def search_inbound(
        request: Request[Account, Any, Any],
        to: Annotated[str, QueryParameter(description="The number they came to.")] = "",
        sender: Annotated[str, QueryParameter(description="The phone's number.")] = "",
        received_from: Annotated[
            str, QueryParameter(name="from", description="Whole then or later; RFC 3339.")
        ] = "",
        until: Annotated[str, QueryParameter(description="Whole before; RFC 3339.")] = "",
        limit: Annotated[
            int, QueryParameter(ge=1, le=SEARCH_LIMIT_MAX, description="Messages a page.")
        ] = SEARCH_LIMIT_DEFAULT,
        cursor: Annotated[
            str, QueryParameter(description="`next_cursor` of the page before.")
        ] = "",
    ) -> InboundPage:
        check_parameters(request.scope["query_string"], _PARAMETERS)
        search = build_inbound_search(
            to=to,
            sender=sender,
            received_from=received_from,
            received_until=until,
            limit=limit,
            cursor=cursor,
        )
        return seal_page(await reading.search_inbound(request.user.id, search))

    return search_inbound
