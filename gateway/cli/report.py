"""`gateway report …`: figures about what was sent and what was not."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import click

from gateway.cli.output import print_json, print_note, print_table
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.ineligible import DAYS_MAX
from gateway.store.ineligible import IneligibleRow, fetch_ineligible
from gateway.store.postgres import Database

COLUMNS = ("day", "account", "country", "reason")


@click.group()
def report() -> None:
    """Figures about what was sent and what was not."""


@report.command(
    epilog=examples(
        "gateway report ineligible",
        "gateway report ineligible --days 30 --by reason --by country",
        "gateway report ineligible --account shop --json",
    )
)
@click.option(
    "--days",
    type=click.IntRange(1, DAYS_MAX),
    default=7,
    show_default=True,
    help="So many days, today (UTC) included.",
)
@click.option("--account", metavar="NAME", help="Only of this account.")
@click.option(
    "--by",
    type=click.Choice(COLUMNS),
    multiple=True,
    help="Add up over everything else; all four if none is named.",
)
@json_option
@config_option
@pass_session
def ineligible(
    session: Session, days: int, account: str | None, by: tuple[str, ...], as_json: bool
) -> None:
    """Count the messages that were refused for their number: by day, account, country and reason.

    A running gateway writes its counts every few seconds.
    """
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)

    async def work(database: Database) -> list[IneligibleRow]:
        account_id = None
        if account is not None:
            account_id = (await get_account(database, account)).account.id
        since = tomorrow - timedelta(days=days)
        return await fetch_ineligible(database, since, tomorrow, account_id)

    columns = tuple(column for column in COLUMNS if column in by) or COLUMNS
    sums = add_up(session.run(work), columns)
    if as_json:
        print_json([{**dict(zip(columns, key, strict=True)), "count": n} for key, n in sums])
        return
    if not sums:
        print_note("No message was refused for its number.")
        return
    print_table((*columns, "count"), ((*key, f"{n:,}") for key, n in sums), right=("count",))


def add_up(
    rows: list[IneligibleRow], columns: tuple[str, ...]
) -> list[tuple[tuple[str, ...], int]]:
    """Return counts by these columns: by day where that is one of them, else the most first."""
    sums: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        sums[tuple(str(getattr(row, column)) for column in columns)] += row.count
    if columns[0] == "day":
        return sorted(sums.items(), key=lambda each: (each[0][0], -each[1], each[0]))
    return sorted(sums.items(), key=lambda each: (-each[1], each[0]))
