"""`gateway message show | list`: what became of messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import click
import msgspec

from gateway.cli import values
from gateway.cli.output import (
    print_fields,
    print_json,
    print_note,
    print_table,
    visible,
    waiting,
)
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.errors import Rejected
from gateway.lifecycle import STATUSES
from gateway.model import AccountId, MessageId
from gateway.store.message_views import SCHEDULED
from gateway.store.postgres import Database
from gateway.store.reader import Reader, find_owner
from gateway.store.search import PAGE_MESSAGES_MAX
from gateway.views import MessageSummary, MessageView, Page, Search

TEXT_CHARS = 40
"""Of a text, as much as a line of a table holds."""


@click.group()
def message() -> None:
    """Messages: look at one, or search for many."""


@message.command(
    epilog=examples(
        "gateway message show 382682722725793792",
        "gateway message show 382682722725793792 --json | jq .events",
    )
)
@click.argument("id", type=click.IntRange(1, 2**63 - 1))
@json_option
@config_option
@pass_session
def show(session: Session, id: int, as_json: bool) -> None:
    """Show one message with its segments and everything that happened to it."""

    async def work(database: Database) -> MessageView:
        owner = await find_owner(database, MessageId(id))
        view = await Reader(database).fetch_message(owner, MessageId(id)) if owner else None
        if view is None:
            raise Rejected("message_unknown", f"there is no message {id}", status=404)
        return view

    view = session.run(work)
    if as_json:
        print_json(view)
    else:
        _print_message(view)


@message.command(
    name="list",
    epilog=examples(
        "gateway message list --account shop",
        "gateway message list --account shop --status undelivered --from 2026-01-31",
        "gateway message list --account shop --to 4917012345678 --json",
    ),
)
@click.option("--account", required=True, metavar="NAME", help="Whose messages.")
@click.option("--status", type=click.Choice([*STATUSES, SCHEDULED]), help="Only in this state.")
@click.option("--to", default="", metavar="NUMBER", help="Only to this number.")
@click.option("--client-ref", default="", metavar="REF", help="Only with this reference.")
@click.option("--tag", default="", help="Only with this tag.")
@click.option("--from", "accepted_from", type=values.time, help="Accepted at this time or later.")
@click.option("--until", "accepted_until", type=values.time, help="Accepted before this time.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many."
)
@click.option("--before", type=click.IntRange(1, 2**63 - 1), metavar="ID", help="Older than this.")
@json_option
@config_option
@pass_session
def list_messages(
    session: Session,
    account: str,
    status: str | None,
    to: str,
    client_ref: str,
    tag: str,
    accepted_from: datetime | None,
    accepted_until: datetime | None,
    limit: int,
    before: int | None,
    as_json: bool,
) -> None:
    """Search an account's messages, newest first."""
    search = Search(
        status=status or "",
        to=to.removeprefix("+"),
        client_ref=client_ref,
        tag=tag,
        accepted_from=accepted_from.timestamp() if accepted_from else None,
        accepted_until=accepted_until.timestamp() if accepted_until else None,
        before=None if before is None else MessageId(before),
        limit=limit,
    )

    async def work(database: Database) -> Page:
        standing = await get_account(database, account)
        with waiting("Searching …"):
            return await _collect(Reader(database), standing.account.id, search)

    page = session.run(work)
    if as_json:
        print_json(page)
        return
    print_table(
        ("id", "accepted", "status", "to", "from", "segments", "price", "carrier", "text"),
        (_row(view) for view in page.messages),
        right=("segments", "price"),
        elastic=("text",),
        spare=("from", "carrier", "segments", "price", "accepted"),
    )
    if page.next_cursor:
        print_note(f"There may be more: --before {page.next_cursor}")


async def _collect(reader: Reader, account_id: AccountId, search: Search) -> Page:
    """Turn pages until there are as many messages as asked for, or no more.

    One page looks at a bounded number of messages, so a rare match can take many.
    """
    found: list[MessageSummary] = []
    cursor = search.before
    while True:
        missing = min(search.limit - len(found), PAGE_MESSAGES_MAX)
        page = await reader.search_messages(
            account_id, msgspec.structs.replace(search, before=cursor, limit=missing)
        )
        found += page.messages
        if len(found) >= search.limit or not page.next_cursor:
            return Page(messages=found, next_cursor=page.next_cursor)
        cursor = MessageId(int(page.next_cursor))


def _row(view: MessageSummary) -> tuple[object, ...]:
    text = view.text or view.data or "erased" * view.text_erased
    return (
        view.id,
        _time(view.accepted_at),
        view.status,
        view.to,
        view.sender,
        view.segments,
        f"{view.price} {view.currency}",
        view.carrier,
        text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…",
    )


def _print_message(view: MessageView) -> None:
    labels: Mapping[str, object] = {
        "message": view.id,
        "status": view.status,
        "to": f"{view.to} {view.country}".strip(),
        "from": view.sender,
        "text": "erased" if view.text_erased else view.text,
        "data": view.data,
        "header": view.udh,
        "encoding": f"{view.encoding}, {view.segments} segment{'s' * (view.segments > 1)}",
        "priority": view.priority,
        "price": f"{view.price} {view.currency}",
        "carrier": view.carrier,
        "client_ref": view.client_ref,
        "tag": view.tag,
        "accepted": _time(view.accepted_at),
        "send at": _time(view.send_at),
        "valid until": _time(view.expires_at),
    }
    print_fields(labels.items())
    click.echo()
    print_table(
        ("segment", "status", "carrier", "carrier's id", "submitted", "receipt", "error"),
        (
            (
                part.number,
                part.status,
                part.carrier,
                part.carrier_message_id,
                _time(part.submitted_at),
                _time(part.receipt_at),
                visible(part.error),
            )
            for part in view.parts
        ),
        right=("segment",),
    )
    if view.events:
        click.echo()
        print_table(
            ("at", "event", "segment", "then", "carrier", "status", "error"),
            (
                (
                    _time(event.at),
                    event.kind,
                    event.segment,
                    event.status,
                    event.carrier,
                    event.command_status or event.receipt_state,
                    event.error,
                )
                for event in view.events
            ),
            right=("segment",),
        )


def _time(rfc3339: str) -> str:
    return rfc3339.replace("T", " ")
