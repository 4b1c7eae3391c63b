"""Operators' calls on accounts' money, for the framework: as those in `routes.py`.

They need a key with the scope `admin`, which no key has unless it was made so. Those on personal
data are in `privacy.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Body, HeaderParameter, PathParameter, QueryParameter
from litestar.types import Guard

from gateway.api.asgi import Scope, address_of
from gateway.api.decode import decode_deposit
from gateway.api.openapi import DEPOSIT_EXAMPLES, NEEDS_ADMIN, problem_responses
from gateway.api.ports import Treasury
from gateway.api.queries import check_parameters
from gateway.api.requests import DepositRequest
from gateway.credit.prices import parse_micros
from gateway.errors import ConfigError, Rejected
from gateway.model import Account
from gateway.views import DepositList, DepositMade

DEPOSITS_DEFAULT = 50
DEPOSITS_MAX = 1_000

AccountName = Annotated[str, PathParameter(name="name", description="The account's name.")]


def build_admin_handlers(
    treasury: Treasury, body_bytes_max: int, guard_json: Guard
) -> list[HTTPRouteHandler]:
    """Return the handlers of `/v1/admin/accounts/{name}/deposits`."""

    @post(
        "/admin/accounts/{name:str}/deposits",
        status_code=200,
        opt={"decode": decode_deposit, "body_bytes_max": body_bytes_max},
        guards=[guard_json],
        operation_id="deposit",
        security=NEEDS_ADMIN,
        summary="Add credit, or take it back",
        response_description="Done, or done before by the same key.",
        description="A negative `amount` is a correction; it takes credit back, never below the "
        "floor. With an `Idempotency-Key` it can be repeated safely.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
        tags=["Operators"],
    )
    async def make_deposit(
        request: Request[Account, Any, Any],
        name: AccountName,
        data: Annotated[DepositRequest, Body(examples=DEPOSIT_EXAMPLES)],
        idempotency_key: Annotated[
            str | None,
            HeaderParameter(
                name="Idempotency-Key",
                description="1 to 255 visible ASCII characters. The same key does it once.",
            ),
        ] = None,
    ) -> DepositMade:
        return await treasury.deposit(
            name,
            _read_amount(data.amount),
            reason=data.reason,
            author=note_author(request, data.author),
            key=idempotency_key,
        )

    @get(
        "/admin/accounts/{name:str}/deposits",
        operation_id="listDeposits",
        security=NEEDS_ADMIN,
        summary="See top-ups and corrections",
        response_description="The account's deposits.",
        description="Newest first.",
        responses=problem_responses(400, 401, 403, 404, 422, 429, 503),
        tags=["Operators"],
    )
    async def list_deposits(
        request: Request[Account, Any, Any],
        name: AccountName,
        limit: Annotated[
            int, QueryParameter(ge=1, le=DEPOSITS_MAX, description="How many.")
        ] = DEPOSITS_DEFAULT,
    ) -> DepositList:
        check_parameters(request.scope["query_string"], ("limit",))
        return await treasury.list_deposits(name, limit)

    return [make_deposit, list_deposits]


def note_author(request: Request[Account, Any, Any], said: str) -> str:
    """Return who asks, as it is kept: what the client can't choose comes first."""
    key = f"key:{request.user.name}@{address_of(cast(Scope, request.scope))}"
    return f"{key} for {said}" if said else key


def _read_amount(text: str) -> int:
    try:
        return parse_micros(text, signed=True)
    except ConfigError as error:
        raise Rejected("invalid_amount", error.detail, field="amount") from None
