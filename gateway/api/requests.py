"""What clients send beside a single message: the two forms of a batch, and what can be quoted.

Pure. Only shapes are settled here (which form, how many); `intake` decides whether the values can
be sent. A single message is `gateway.model.SendRequest`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.errors import Rejected
from gateway.model import FallbackRequest, SendRequest


class Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything of a message but its recipient; the fields of SendRequest without `to`.

    A test holds the two together.
    """

    sender: str | None = msgspec.field(name="from", default=None)
    text: str | None = None
    data: str | None = None
    udh: str | None = None
    encoding: str = "auto"
    message_class: int | None = None
    smart: bool | None = None
    client_ref: str | None = None
    tag: str | None = None
    send_at: str | None = None
    validity_s: int | None = None
    priority: str = "transactional"
    callback_url: str | None = None
    fallback: FallbackRequest | None = None
    tlvs: dict[str, str] | None = None


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many messages at once: either `messages`, or `defaults` with `to`."""

    messages: (
        Annotated[list[SendRequest], Meta(description="Each message written out.")] | UnsetType
    ) = UNSET
    defaults: Content | UnsetType = UNSET
    to: (
        Annotated[list[str], Meta(description="The recipients of `defaults`, a message each.")]
        | UnsetType
    ) = UNSET


class QuoteRequest(Content, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be priced: one message, one message for many recipients, or a batch."""

    to: (
        Annotated[str, Meta(description="One recipient.")]
        | Annotated[list[str], Meta(description="Many recipients of the same message.")]
        | UnsetType
    ) = UNSET
    messages: list[SendRequest] | UnsetType = UNSET
    defaults: Content | UnsetType = UNSET


class DepositRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit for an account, or to be taken back from it."""

    amount: str
    """A decimal text of the account's unit, at most six places; negative: a correction."""
    reason: str
    author: str = ""
    """Who decided it; it is kept behind the key's account and address."""


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose data is written out, and why."""

    number: str
    reason: str
    account: str | None = None
    """Whose messages; every account's unless said."""
    author: str = ""
    """Who asks for it; it is kept behind the key's account."""


class ErasureRequest(ExportRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is erased, and why."""

    cancel: bool = False
    """Whether what has not left is withdrawn, and what waits to be told to customers dropped."""


class NumberSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that something may have been done to: in a body, as addresses are logged."""

    number: str


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead events are delivered again: one of the three."""

    ids: list[str] | None = None
    since: str | None = None
    all: bool = False


class Expanded(msgspec.Struct, frozen=True):
    """A batch as single messages, and how to name a field of one in the client's own body."""

    requests: Sequence[SendRequest]
    path_of: Callable[[int, str], str]


def expand_batch(batch: BatchRequest, messages_max: int) -> Expanded:
    """Return the batch as single messages in order.

    Raises Rejected when the form is mixed or missing, or when there are none or too many.
    """
    if batch.messages is not UNSET:
        if batch.to is not UNSET or batch.defaults is not UNSET:
            raise _mixed_forms("messages", "defaults with to")
        _check_count(len(batch.messages), "messages", messages_max)
        return Expanded(batch.messages, _path_in_messages)
    if batch.to is UNSET:
        raise Rejected("missing_field", "either messages, or defaults with to", field="messages")
    if batch.defaults is UNSET:
        raise Rejected("missing_field", "to goes with defaults", field="defaults")
    _check_count(len(batch.to), "to", messages_max)
    return Expanded(_spread(batch.defaults, batch.to), _path_in_defaults)


def expand_quote(quote: QuoteRequest, messages_max: int) -> Expanded:
    """Return what is to be priced as single messages in order; see `expand_batch`."""
    if quote.messages is UNSET and quote.defaults is UNSET:
        if quote.to is UNSET:
            raise Rejected("missing_field", "to is required", field="to")
        if isinstance(quote.to, str):
            return Expanded(_spread(quote, [quote.to]), _path_in_single)
        _check_count(len(quote.to), "to", messages_max)
        return Expanded(_spread(quote, quote.to), _path_in_many)
    if any(getattr(quote, name) != default for name, default in _CONTENT_DEFAULTS.items()):
        raise _mixed_forms("one message", "messages or defaults")
    if isinstance(quote.to, str):
        raise Rejected("invalid_type", "to beside defaults is a list of numbers", field="to")
    return expand_batch(
        BatchRequest(messages=quote.messages, defaults=quote.defaults, to=quote.to), messages_max
    )


def _spread(content: Content, recipients: Sequence[str]) -> list[SendRequest]:
    fields: dict[str, Any] = {name: getattr(content, name) for name in _CONTENT_DEFAULTS}
    template = SendRequest(to="", **fields)
    replace = msgspec.structs.replace
    return [replace(template, to=recipient) for recipient in recipients]


def _check_count(count: int, field: str, messages_max: int) -> None:
    if not count:
        raise Rejected("empty_batch", "there is nothing in it", field=field)
    if count > messages_max:
        raise Rejected(
            "too_many_messages",
            f"{count} messages; a batch has at most {messages_max}",
            field=field,
            status=413,
        )


def _mixed_forms(one: str, other: str) -> Rejected:
    return Rejected("mixed_forms", f"either {one}, or {other}, not both")


def _path_in_messages(index: int, field: str) -> str:
    return f"messages[{index}].{field}" if field else f"messages[{index}]"


def _path_in_defaults(index: int, field: str) -> str:
    return f"to[{index}]" if field in ("", "to") else f"defaults.{field}"


def _path_in_many(index: int, field: str) -> str:
    return f"to[{index}]" if field in ("", "to") else field


def _path_in_single(_index: int, field: str) -> str:
    return field


_CONTENT_DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in msgspec.structs.fields(Content)
}
