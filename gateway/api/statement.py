"""The route of statements, for the framework: as those in `routes.py`."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from gateway.api.answers import JSON, encode
from gateway.api.openapi import NEEDS_READ, FirstDay, LastDay, problem_responses
from gateway.api.ports import Reading
from gateway.api.queries import build_days, check_parameters
from gateway.model import Account
from gateway.statement_csv import write_csv
from gateway.views import Statement

CSV = "text/csv"
"""The framework adds the charset."""
_PARAMETERS = ("from", "to", "by", "format")


def build_statement_handler(reading: Reading) -> HTTPRouteHandler:
    """Return the handler of `GET /v1/statement`."""

    @get(
        "/statement",
        operation_id="fetchStatement",
        security=NEEDS_READ,
        summary="See where the money went",
        response_description="The statement, exact as of now.",
        description="What was used, by the days (UTC) on which messages were accepted: what they "
        "were accepted at, what of it was not sent (`voided`) and what was given back "
        "(`refunded`). Tags are known for as long as messages are kept.",
        responses=problem_responses(400, 401, 403, 422, 429, 503),
        tags=["Money"],
    )
    async def fetch_statement(
        request: Request[Account, Any, Any],
        first: FirstDay = "",
        last: LastDay = "",
        by: Annotated[
            Literal["day", "country", "operator", "tag"],
            QueryParameter(description="What a line is of."),
        ] = "day",
        format_: Annotated[
            Literal["json", "csv"],
            QueryParameter(name="format", description="csv: the lines alone, as text/csv."),
        ] = "json",
    ) -> Response[Statement]:
        check_parameters(request.scope["query_string"], _PARAMETERS)
        days = build_days(first, last, time.time())
        statement = await reading.fetch_statement(request.user, *days, by)
        if format_ == "csv":
            name = f"statement-{statement.first}-{statement.last}.csv"
            return _respond(
                write_csv(statement).encode(),
                CSV,
                {"Content-Disposition": f'attachment; filename="{name}"'},
            )
        return _respond(encode(statement), JSON.decode(), {})

    return fetch_statement


def _respond(body: bytes, media_type: str, headers: dict[str, str]) -> Response[Any]:
    return Response(body, media_type=media_type, headers=headers)
