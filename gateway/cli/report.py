"""`gateway report margins`: what was earned, for operators."""

from __future__ import annotations

from datetime import UTC, date, datetime

import click

from gateway.cli import values
from gateway.cli.output import print_json, print_table
from gateway.cli.session import Session, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.credit.prices import format_micros
from gateway.store.margins import MARGIN_DIMENSIONS, fetch_margins


@click.group()
def report() -> None:
    """Reports for operators."""


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
