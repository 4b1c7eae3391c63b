"""The bodies of answers, as values: what is written as JSON, and described in the document.

Not here: the answer around a body (`answers.py`), errors (`problems.py`), what readers are shown
(`gateway/views.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.errors import Rejected
from gateway.views import CarrierView


class Submitted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An accepted message: it is committed, and the gateway answers for it from here on."""

    id: Annotated[str, Meta(description="The message's id.", examples=["263546872340938752"])]
    status: Annotated[str, Meta(description="Its state now.", examples=["accepted"])]
    to: Annotated[
        str, Meta(description="The recipient in E.164 digits.", examples=["4917012345678"])
    ]
    segments: Annotated[int, Meta(description="How many segments it takes.", examples=[1])]
    encoding: Annotated[str, Meta(description="gsm7, ucs2 or binary.", examples=["gsm7"])]
    price: Annotated[
        str, Meta(description="What the whole message costs, exact.", examples=["0.0075"])
    ]
    currency: Annotated[
        str, Meta(description="The unit of the price: a currency or credits.", examples=["EUR"])
    ]
    client_ref: Annotated[str, Meta(description="Your own reference.", examples=["order-1001"])]


class ItemErrorDetails(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Why one item of a batch was not accepted."""

    code: Annotated[
        str, Meta(description="A stable word for programs.", examples=["invalid_number"])
    ]
    field: Annotated[
        str, Meta(description="The path of what is wrong in your body.", examples=["to[3]"])
    ]
    detail: Annotated[str, Meta(description="A sentence for people.")]
    status: Annotated[
        int, Meta(description="The status this item alone would have had.", examples=[422])
    ]


class ItemError(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One item of a batch that was not accepted: nothing stored, nothing charged."""

    error: ItemErrorDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """One result an item, in the order of the items.

    A dataclass, because msgspec describes no struct with a union of untagged structs.
    """

    accepted: int
    rejected: int
    results: list[Submitted | ItemError]


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process runs and its event loop turns."""

    status: str = "alive"


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """This node can do its work now."""

    status: str = "ready"
    problems: list[str] = []


class CarrierList(msgspec.Struct, frozen=True, kw_only=True):
    """Every carrier of this node's configuration, as it stands now."""

    carriers: list[CarrierView]


def item_error(rejected: Rejected, field: str) -> ItemError:
    """Return what a client is told of an item that was refused; `field` is its path in the body."""
    return ItemError(
        error=ItemErrorDetails(
            code=rejected.code, field=field, detail=rejected.detail, status=rejected.status
        )
    )
