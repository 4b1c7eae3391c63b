"""What the generated OpenAPI can't know by itself: words, examples, the shape of errors.

Litestar generates paths, parameters and schemas from `routes.py` and the structs; this file adds
what those don't say.
"""

from __future__ import annotations

from typing import Annotated

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Components, Example, SecurityScheme
from litestar.params import QueryParameter

import gateway
from gateway.api.problems import Problem, ReadinessProblem, title_of

BEARER = "key"
NEEDS_SEND = [{BEARER: ["send"]}]
NEEDS_READ = [{BEARER: ["read"]}]
NEEDS_ADMIN = [{BEARER: ["admin"]}]
"""What a route asks of a key: described in the document, and enforced by `routes.py` as it stands
there."""

_DESCRIPTION = """\
Submit messages, see what became of them, know what they cost.

Errors are `application/problem+json` (RFC 9457): `code` is a stable word for programs, `field` the
path of what is wrong in the request. Ids are strings, times RFC 3339 in UTC, money exact decimal
strings. 202 is answered only after the message is committed; with an `Idempotency-Key` (or a
`client_ref`) a request can be repeated safely.
"""

FirstDay = Annotated[
    str,
    QueryParameter(
        name="from", description="The first day, 2026-01-31; of this month if left out."
    ),
]
LastDay = Annotated[str, QueryParameter(name="to", description="The last day; today if left out.")]
"""Empty when left out; `queries.build_days` reads the two."""

MESSAGE_EXAMPLES = [
    Example(summary="A text", value={"to": "+4917012345678", "from": "Shop", "text": "Hello"}),
]
BATCH_EXAMPLES = [
    Example(
        summary="Each written out",
        value={
            "messages": [
                {"to": "+4917012345678", "from": "Shop", "text": "Your code is 123 456"},
                {"to": "+4917087654321", "from": "Shop", "text": "Your code is 654 321"},
            ]
        },
    ),
    Example(
        summary="One text for many",
        value={
            "defaults": {"from": "Shop", "text": "We open at nine", "priority": "marketing"},
            "to": ["+4917012345678", "+4917087654321"],
        },
    ),
]
QUOTE_EXAMPLES = [
    Example(
        summary="One text for many",
        value={"to": ["+4917012345678", "+4917087654321"], "from": "Shop", "text": "Hello"},
    ),
]
REPLAY_EXAMPLES = [
    Example(summary="These", value={"ids": ["1042", "1043"]}),
    Example(summary="Since a time", value={"since": "2026-01-31T08:00:00Z"}),
    Example(summary="All", value={"all": True}),
]
DEPOSIT_EXAMPLES = [
    Example(summary="Credit that was paid", value={"amount": "250", "reason": "invoice 2041"}),
    Example(summary="A correction", value={"amount": "-2.5", "reason": "invoice 2041, paid less"}),
]
ERASURE_EXAMPLES = [
    Example(summary="Of all accounts", value={"number": "+4917012345678", "reason": "case 17"}),
    Example(
        summary="Of one, at once",
        value={
            "number": "+4917012345678",
            "account": "shop",
            "cancel": True,
            "reason": "asked for by letter",
            "author": "Ann",
        },
    ),
]
EXPORT_EXAMPLES = [
    Example(summary="Of all accounts", value={"number": "+4917012345678", "reason": "case 18"}),
    Example(
        summary="Of one",
        value={"number": "+4917012345678", "account": "shop", "reason": "case 18"},
    ),
]
NUMBER_EXAMPLES = [Example(summary="A number", value={"number": "+4917012345678"})]


def problem_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the documentation of these errors for one route."""
    return {
        status: ResponseSpec(
            Problem,
            description=title_of(status),
            media_type="application/problem+json",
            generate_examples=False,
        )
        for status in statuses
    }


def not_ready_response() -> ResponseSpec:
    """Return the documentation of a node that is not ready."""
    return ResponseSpec(
        ReadinessProblem,
        description="It can't; problems says why.",
        media_type="application/problem+json",
        generate_examples=False,
    )


def openapi_config() -> OpenAPIConfig:
    """Return what the document says of the API as a whole."""
    return OpenAPIConfig(
        title="SMS gateway",
        version=gateway.__version__,
        description=_DESCRIPTION,
        components=Components(
            security_schemes={
                BEARER: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="The account's API key. Each call names the scope that its key "
                    "needs: `send`, `read`, or `admin` of operators.",
                )
            }
        ),
    )
