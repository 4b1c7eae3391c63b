"""`gateway report …`: figures about what was sent and what was not, for operators."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import click

from gateway.cli import values
from gateway.cli.output import print_json, print_note, print_table
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.credit.prices import format_micros
from gateway.ineligible import DAYS_MAX
from gateway.store.ineligible import IneligibleRow, fetch_ineligible
from gateway.store.margins import MARGIN_DIMENSIONS, fetch_margins
from gateway.store.postgres import Database

COLUMNS = ("day", "account", "country", "reason")


@click.group()
def report() -> None:
    """Figures about what was sent and what was not."""


@report.command(
    epilog=examples(
        "gateway report margins",
        "gateway report margins --from 2026-01-01 --to 2026-01-31 --by carrier",
        "gateway report margins --by account --json | jq '.[] | select(.margin | test(\"^-\"))'",
    )
)
@click.option("--from", "first", type=values.day, help="The first day; of this month by default.")
@click.option("--to", "last", type=values.day, help="The last day; today by default.")
@click.option("--by", type=click.Choice(MARGIN_DIMENSIONS), default="account", show_default=True)
@json_option
@config_option
@pass_session
def margins(
    session: Session, first: date | None, last: date | None, by: str, as_json: bool
) -> None:
    """Show what messages earned and cost, by the days (UTC) on which they were accepted.

    Earned is what was posted and not refunded; costs are what carriers charge, without what they
    do not bill. It reads every message of these days, as long as they are kept.
    """
    today = datetime.now(UTC).date()
    end = last or today
    begin = first or min(end, today).replace(day=1)
    if begin > end:
        raise click.BadParameter("is before --from", param_hint="--to")
    lines = session.run(lambda database: fetch_margins(database, begin, end, by))
    if as_json:
        print_json(
            [
                {
                    by: line.key,
                    "currency": line.currency,
                    "segments": line.segments,
                    "earned": format_micros(line.earned_micros),
                    "cost": format_micros(line.cost_micros),
                    "margin": format_micros(line.margin_micros),
                    "segments_without_cost": line.uncosted_segments,
                }
                for line in lines
            ]
        )
        return
    columns = (by, "unit", "segments", "earned", "cost", "margin", "without cost")
    print_table(
        columns,
        (
            (
                line.key,
                line.currency,
                f"{line.segments:,}",
                format_micros(line.earned_micros),
                format_micros(line.cost_micros),
                format_micros(line.margin_micros),
                f"{line.uncosted_segments:,}" if line.uncosted_segments else "",
            )
            for line in lines
        ),
        right=columns[2:],
    )


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
