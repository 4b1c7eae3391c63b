"""`gateway account topup | deposits | statement | low-balance`: an account's money."""

from __future__ import annotations

from datetime import UTC, date, datetime

import click

from gateway.cli import values
from gateway.cli.output import moment, money, print_json, print_line, print_note, print_table
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.credit.prices import format_micros
from gateway.statement_csv import write_csv
from gateway.store import accounts
from gateway.store.accounts import Deposit, Deposited, Standing
from gateway.store.low_balances import fetch_low_balance, set_low_balance
from gateway.store.postgres import Database
from gateway.store.statements import fetch_statement
from gateway.store.usage import DIMENSIONS
from gateway.views import Statement, StatementLine

DEPOSITS_SHOWN = 50


@click.command(
    # So that -5 is an amount.
    context_settings={"ignore_unknown_options": True},
    epilog=examples(
        "gateway account topup shop 100 --reason 'invoice 7' --once invoice-7",
        "gateway account topup shop -5 --reason correction",
    ),
)
@click.argument("name")
@click.argument("amount", type=values.amount)
@click.option("--reason", default="top-up", show_default=True, help="Kept with the deposit.")
@click.option("--author", "named", help="Who decided it; who runs the command if it isn't given.")
@click.option(
    "--once", "deposit_key", metavar="KEY", help="Repeating the call with this key adds nothing."
)
@json_option
@config_option
@pass_session
def topup(
    session: Session,
    name: str,
    amount: int,
    reason: str,
    named: str | None,
    deposit_key: str | None,
    as_json: bool,
) -> None:
    """Add credit, or take it back.

    A negative amount is a correction; it takes credit back, never below the floor.
    """

    async def work(database: Database) -> tuple[Standing, Deposited]:
        standing = await get_account(database, name)
        done = await accounts.deposit(
            database,
            standing.account.id,
            amount,
            reason=reason,
            author=named or values.author(),
            key=deposit_key,
        )
        return standing, done

    standing, done = session.run(work)
    currency = standing.account.currency
    if as_json:
        print_json(
            {
                "account": name,
                "available": format_micros(done.available_micros),
                "currency": currency,
                "replayed": done.replayed,
            }
        )
        return
    if done.replayed:
        print_note("This was done before: nothing was added.")
    print_line(f"{name} has {money(done.available_micros, currency)} available")


@click.command(
    epilog=examples(
        "gateway account deposits shop", "gateway account deposits shop --json | jq '.[].reason'"
    ),
)
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, 10_000), default=DEPOSITS_SHOWN, show_default=True)
@json_option
@config_option
@pass_session
def deposits(session: Session, name: str, limit: int, as_json: bool) -> None:
    """List top-ups and corrections, newest first."""

    async def work(database: Database) -> tuple[Standing, list[Deposit]]:
        standing = await get_account(database, name)
        return standing, await accounts.list_deposits(database, standing.account.id, limit)

    standing, found = session.run(work)
    if as_json:
        print_json(
            [
                {
                    "at": d.created_at,
                    "amount": format_micros(d.amount_micros),
                    "currency": standing.account.currency,
                    "reason": d.reason,
                    "author": d.author,
                    "key": d.key,
                }
                for d in found
            ]
        )
        return
    print_table(
        ("at", "amount", "reason", "author", "key"),
        (
            (moment(d.created_at), format_micros(d.amount_micros), d.reason, d.author, d.key)
            for d in found
        ),
        right=("amount",),
        elastic=("reason",),
    )


@click.command(
    epilog=examples(
        "gateway account statement shop",
        "gateway account statement shop --from 2026-01-01 --to 2026-01-31 --by country",
        "gateway account statement shop --by tag --csv > january.csv",
    ),
)
@click.argument("name")
@click.option("--from", "first", type=values.day, help="The first day; of this month by default.")
@click.option("--to", "last", type=values.day, help="The last day; today by default.")
@click.option("--by", type=click.Choice(DIMENSIONS), default="day", show_default=True)
@click.option("--csv", "as_csv", is_flag=True, help="Write the lines as CSV.")
@json_option
@config_option
@pass_session
def statement(
    session: Session,
    name: str,
    first: date | None,
    last: date | None,
    by: str,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show what was used, by the days (UTC) on which messages were accepted.

    `net` is what it comes to: priced at acceptance, without what was not sent (voided) and what
    was given back (refunded).
    """
    today = datetime.now(UTC).date()
    end = last or today
    begin = first or min(end, today).replace(day=1)
    if begin > end:
        raise click.BadParameter("is before --from", param_hint="--to")

    async def work(database: Database) -> Statement:
        standing = await get_account(database, name)
        return await fetch_statement(database, standing.account, begin, end, by)

    found = session.run(work)
    if as_csv:
        click.echo(write_csv(found), nl=False)
    elif as_json:
        print_json(found)
    else:
        _print_statement(found)


@click.command(
    name="low-balance",
    epilog=examples(
        "gateway account low-balance shop 20",
        "gateway account low-balance shop --off",
        "gateway account low-balance shop",
    ),
)
@click.argument("name")
@click.argument("threshold", type=values.amount, required=False)
@click.option("--off", is_flag=True, help="Tell it no more.")
@json_option
@config_option
@pass_session
def low_balance(
    session: Session, name: str, threshold: int | None, off: bool, as_json: bool
) -> None:
    """Have an account told when its available credit falls below a threshold.

    Its webhook gets account.low_balance, once a crossing. Without a threshold, show it.
    """
    if off and threshold is not None:
        raise click.UsageError("either a threshold or --off")

    async def work(database: Database) -> tuple[Standing, tuple[int, bool] | None]:
        standing = await get_account(database, name)
        if off or threshold is not None:
            await set_low_balance(database, standing.account.id, threshold)
        return standing, await fetch_low_balance(database, standing.account.id)

    standing, found = session.run(work)
    if as_json:
        below = None if found is None else format_micros(found[0])
        print_json({"account": name, "threshold": below, "low": bool(found and found[1])})
    elif found is None:
        print_line(f"{name} is not told of a low balance")
    else:
        state = ", which it is" if found[1] else ""
        print_line(f"{name} is told below {money(found[0], standing.account.currency)}{state}")


def _print_statement(found: Statement) -> None:
    columns = (found.by, "messages", "segments", "price", "voided", "refunded", "net")
    print_table(
        columns,
        (_cells(line) for line in [*found.lines, found.total]),
        right=columns[1:],
        elastic=columns[:1],
    )
    print_line(
        f"{found.first} to {found.last} in {found.currency};"
        f" deposited {found.deposited}, withdrawn {found.withdrawn}"
    )
    if not found.complete:
        print_note("There are more lines than these, and more than their total: name fewer days.")


def _cells(line: StatementLine) -> tuple[str, ...]:
    counts = (f"{line.messages:,}", f"{line.segments:,}")
    return (line.key, *counts, line.price, line.voided, line.refunded, line.net)
