"""The route of refused numbers, for the framework: as those in `routes.py`."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from gateway.api.openapi import NEEDS_READ, FirstDay, LastDay, problem_responses
from gateway.api.ports import Reading
from gateway.api.queries import build_days, check_parameters
from gateway.model import Account
from gateway.reports import IneligibleReport

_PARAMETERS = ("from", "to", "by")


def build_ineligible_handler(reading: Reading) -> HTTPRouteHandler:
    """Return the handler of `GET /v1/reports/ineligible`."""

    @get(
        "/reports/ineligible",
        operation_id="fetchIneligible",
        security=NEEDS_READ,
        summary="Count messages that were refused for their number",
        response_description="The counts, a few seconds old.",
        description="By the days (UTC) on which they were refused, for 400 days. The counts are of "
        "messages and say nothing about single numbers.",
        responses=problem_responses(400, 401, 403, 422, 429, 503),
        tags=["Messages"],
    )
    async def fetch_ineligible(
        request: Request[Account, Any, Any],
        first: FirstDay = "",
        last: LastDay = "",
        by: Annotated[
            Literal["reason", "country", "day"], QueryParameter(description="What a line is of.")
        ] = "reason",
    ) -> IneligibleReport:
        check_parameters(request.scope["query_string"], _PARAMETERS)
        days = build_days(first, last, time.time())
        return await reading.fetch_ineligible(request.user, *days, by)

    return fetch_ineligible
