"""Operators' calls on personal data, for the framework: as those in `routes.py`.

They need a key with the scope `admin`. Numbers travel in bodies, because addresses are logged by
proxies; who asked is kept with each call (`note_author`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Body, PathParameter, QueryParameter
from litestar.response import Stream
from litestar.types import Guard

from gateway.api.admin import note_author
from gateway.api.answers import encode
from gateway.api.decode import decode_erasure, decode_export, decode_number
from gateway.api.openapi import (
    ERASURE_EXAMPLES,
    EXPORT_EXAMPLES,
    NEEDS_ADMIN,
    NUMBER_EXAMPLES,
    problem_responses,
)
from gateway.api.ports import PersonalData
from gateway.api.queries import check_parameters
from gateway.api.requests import ErasureRequest, ExportRequest, NumberSearch
from gateway.errors import Rejected
from gateway.logs import get_logger
from gateway.model import Account
from gateway.personal import ErasureList, ErasureStatus, ExportList

log = get_logger("api")

JSON_LINES = "application/jsonl"
LIMIT_DEFAULT = 50
LIMIT_MAX = 1_000

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX, description="How many.")]
ErasureId = Annotated[str, PathParameter(name="id", description="An erasure's id.")]

_ID = re.compile(r"[1-9][0-9]{0,17}")


def build_privacy_handlers(
    personal: PersonalData, body_bytes_max: int, guard_json: Guard
) -> list[HTTPRouteHandler]:
    """Return the handlers under `/v1/admin/privacy`."""
    return [
        *_erasure_handlers(personal, body_bytes_max, guard_json),
        *_export_handlers(personal, body_bytes_max, guard_json),
    ]


def _erasure_handlers(
    personal: PersonalData, body_bytes_max: int, guard_json: Guard
) -> list[HTTPRouteHandler]:
    @post(
        "/admin/privacy/erasures",
        status_code=202,
        opt={"decode": decode_erasure, "body_bytes_max": body_bytes_max},
        guards=[guard_json],
        operation_id="requestErasure",
        security=NEEDS_ADMIN,
        summary="Erase a number",
        response_description="It is recorded, and will be done.",
        description="Texts and the number itself, for good; amounts and times stay. What is still "
        "under way is erased when it has ended. Asked for twice it does nothing more.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
        tags=["Operators"],
    )
    async def request_erasure(
        request: Request[Account, Any, Any],
        data: Annotated[ErasureRequest, Body(examples=ERASURE_EXAMPLES)],
    ) -> ErasureStatus:
        author = note_author(request, data.author)
        asked = await personal.request_erasure(
            data.number, data.account, reason=data.reason, author=author, cancel=data.cancel
        )
        log.info("erasure_requested", erasure=asked.id, author=author)
        return asked

    @get(
        "/admin/privacy/erasures",
        operation_id="listErasures",
        security=NEEDS_ADMIN,
        summary="See what was erased",
        response_description="The latest erasures.",
        description="Newest first: when, by whom, why, and how much.",
        responses=problem_responses(400, 401, 403, 422, 429, 503),
        tags=["Operators"],
    )
    async def list_erasures(
        request: Request[Account, Any, Any], limit: Limit = LIMIT_DEFAULT
    ) -> ErasureList:
        check_parameters(request.scope["query_string"], ("limit",))
        return await personal.list_erasures(limit)

    @get(
        "/admin/privacy/erasures/{id:str}",
        operation_id="fetchErasure",
        security=NEEDS_ADMIN,
        summary="See how far an erasure is",
        response_description="The erasure as it stands now.",
        responses=problem_responses(400, 401, 403, 404, 422, 429, 503),
        tags=["Operators"],
    )
    async def fetch_erasure(
        request: Request[Account, Any, Any], erasure_id: ErasureId
    ) -> ErasureStatus:
        if not _ID.fullmatch(erasure_id):
            raise Rejected("invalid_id", "an erasure's id is a number", field="id")
        return await personal.fetch_erasure(int(erasure_id))

    @post(
        "/admin/privacy/erasures/search",
        status_code=200,
        opt={"decode": decode_number, "body_bytes_max": body_bytes_max},
        guards=[guard_json],
        operation_id="findErasures",
        security=NEEDS_ADMIN,
        summary="Was this number erased?",
        response_description="The number's erasures, newest first.",
        description="The number is hashed and compared; it is kept nowhere.",
        responses=problem_responses(400, 401, 403, 413, 415, 422, 429, 503),
        tags=["Operators"],
    )
    async def find_erasures(
        request: Request[Account, Any, Any],
        data: Annotated[NumberSearch, Body(examples=NUMBER_EXAMPLES)],
    ) -> ErasureList:
        return await personal.list_erasures(LIMIT_MAX, data.number)

    return [request_erasure, list_erasures, fetch_erasure, find_erasures]


def _export_handlers(
    personal: PersonalData, body_bytes_max: int, guard_json: Guard
) -> list[HTTPRouteHandler]:
    @post(
        "/admin/privacy/exports",
        status_code=200,
        opt={"decode": decode_export, "body_bytes_max": body_bytes_max},
        guards=[guard_json],
        operation_id="exportNumber",
        security=NEEDS_ADMIN,
        summary="Write out everything about a number",
        response_description="JSON Lines: `kind` says what each is. The last one is of the kind "
        "`end`; without it the export is not whole.",
        description="What is kept of a person's number, of one account or of all. Each day is read "
        "once, which takes a while. That it was asked for is recorded.",
        responses=problem_responses(400, 401, 403, 404, 413, 415, 422, 429, 503),
        tags=["Operators"],
    )
    async def export_number(
        request: Request[Account, Any, Any],
        data: Annotated[ExportRequest, Body(examples=EXPORT_EXAMPLES)],
    ) -> Stream:
        author = note_author(request, data.author)
        records = await personal.begin_export(
            data.number, data.account, reason=data.reason, author=author
        )
        log.info("export_requested", author=author)
        return Stream(_write_lines(records), media_type=JSON_LINES)

    @get(
        "/admin/privacy/exports",
        operation_id="listExports",
        security=NEEDS_ADMIN,
        summary="See what was written out",
        response_description="The latest exports.",
        description="Newest first: when, for whom, why, and how much.",
        responses=problem_responses(400, 401, 403, 422, 429, 503),
        tags=["Operators"],
    )
    async def list_exports(
        request: Request[Account, Any, Any], limit: Limit = LIMIT_DEFAULT
    ) -> ExportList:
        check_parameters(request.scope["query_string"], ("limit",))
        return await personal.list_exports(limit)

    @post(
        "/admin/privacy/exports/search",
        status_code=200,
        opt={"decode": decode_number, "body_bytes_max": body_bytes_max},
        guards=[guard_json],
        operation_id="findExports",
        security=NEEDS_ADMIN,
        summary="Was this number written out?",
        response_description="The number's exports, newest first.",
        responses=problem_responses(400, 401, 403, 413, 415, 422, 429, 503),
        tags=["Operators"],
    )
    async def find_exports(
        request: Request[Account, Any, Any],
        data: Annotated[NumberSearch, Body(examples=NUMBER_EXAMPLES)],
    ) -> ExportList:
        return await personal.list_exports(LIMIT_MAX, data.number)

    return [export_number, list_exports, find_exports]


async def _write_lines(records: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    count = 0
    async for record in records:
        yield encode(record) + b"\n"
        count += 1
    yield encode({"kind": "end", "rows": count}) + b"\n"
