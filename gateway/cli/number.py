"""`gateway number …`: whose numbers phones write to, and what came to nobody's."""

from __future__ import annotations

import click

from gateway.cli.output import moment, print_json, print_line, print_note, print_table, visible
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.inbound.numbers import NOBODY
from gateway.model import MessageId
from gateway.store import inbound
from gateway.store.inbound import PAGE_MESSAGES_MAX, NumberInfo
from gateway.store.postgres import Database
from gateway.store.reader import Reader
from gateway.views import InboundPage, InboundSearch

TEXT_CHARS = 40
"""Of a text, as much as a line of a table holds."""

carrier_option = click.option(
    "--carrier", default="", metavar="NAME", help="Only through this carrier; else through all."
)


@click.group()
def number() -> None:
    """Numbers that phones write to: long numbers and short codes, and whose they are."""


@number.command(
    epilog=examples(
        "gateway number add +4915112345678 --account shop",
        "gateway number add 40404 --account shop --carrier alpha",
    )
)
@click.argument("number")
@click.option("--account", required=True, metavar="NAME", help="Whose it is from now on.")
@carrier_option
@json_option
@config_option
@pass_session
def add(session: Session, number: str, account: str, carrier: str, as_json: bool) -> None:
    """Give a number to an account. A running gateway sees it within a few seconds.

    A number of one carrier counts before the same one of all carriers.
    """

    async def work(database: Database) -> str:
        standing = await get_account(database, account)
        return await inbound.add_number(database, standing.account.id, number, carrier)

    plain = session.run(work)
    if as_json:
        print_json({"number": plain, "account": account, "carrier": carrier})
    else:
        print_line(f"{plain} is {account}'s{_at(carrier)}")


@number.command(
    name="list",
    epilog=examples("gateway number list", "gateway number list --account shop --json"),
)
@click.option("--account", metavar="NAME", help="Only this account's.")
@json_option
@config_option
@pass_session
def list_numbers(session: Session, account: str | None, as_json: bool) -> None:
    """List numbers and their owners."""

    async def work(database: Database) -> list[NumberInfo]:
        if account is None:
            return await inbound.list_numbers(database)
        standing = await get_account(database, account)
        return await inbound.list_numbers(database, standing.account.id)

    numbers = session.run(work)
    if as_json:
        print_json(numbers)
        return
    print_table(
        ("number", "account", "carrier", "since"),
        ((n.number, n.account, n.carrier or "all", moment(n.created_at)) for n in numbers),
    )


@number.command(
    epilog=examples("gateway number remove 40404", "gateway number remove 40404 --carrier alpha")
)
@click.argument("number")
@carrier_option
@json_option
@config_option
@pass_session
def remove(session: Session, number: str, carrier: str, as_json: bool) -> None:
    """Take a number from its owner.

    What came to it before stays the owner's.
    """
    plain = session.run(lambda database: inbound.remove_number(database, number, carrier))
    if as_json:
        print_json({"number": plain, "carrier": carrier})
    else:
        print_line(f"{plain} is nobody's{_at(carrier)}")


@number.command(
    epilog=examples(
        "gateway number unowned",
        "gateway number unowned --json | jq -r '.messages[].to' | sort | uniq -c",
    )
)
@click.option("--to", default="", metavar="NUMBER", help="Only to this number.")
@click.option(
    "--limit",
    type=click.IntRange(1, PAGE_MESSAGES_MAX),
    default=50,
    show_default=True,
    help="At most so many.",
)
@click.option("--before", type=click.IntRange(1, 2**63 - 1), metavar="ID", help="Older than this.")
@json_option
@config_option
@pass_session
def unowned(session: Session, to: str, limit: int, before: int | None, as_json: bool) -> None:
    """List messages from phones to numbers that nobody owns, newest first."""
    search = InboundSearch(to=to, limit=limit, before=None if before is None else MessageId(before))

    async def work(database: Database) -> tuple[InboundPage, int]:
        page = await Reader(database).search_inbound(NOBODY, search)
        return page, await inbound.count_unowned(database)

    page, count = session.run(work)
    if as_json:
        print_json(page)
        return
    print_table(
        ("id", "received", "carrier", "from", "to", "text"),
        (
            (m.id, m.received_at, m.carrier, m.sender, m.to, _shorten(m.text or m.data))
            for m in page.messages
        ),
        right=("id",),
    )
    print_note(f"{count} messages to nobody's numbers are kept.")
    if page.next_cursor:
        print_note(f"There may be more: --before {page.next_cursor}")


def _at(carrier: str) -> str:
    return f" at {carrier}" if carrier else ""


def _shorten(text: str) -> str:
    text = visible(text)
    return text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"
