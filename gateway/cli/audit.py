"""`gateway audit`: does the money add up?"""

from __future__ import annotations

import sys
import time

import click

from gateway.cli.output import ProgressBar, money, print_json, print_line, print_table
from gateway.cli.session import Session, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.credit.prices import format_micros
from gateway.store import accounts
from gateway.store import audit as store_audit
from gateway.store.audit import AuditReport
from gateway.store.postgres import Database

DISAGREES = 1


@click.command(
    epilog=examples(
        "gateway audit",
        "gateway audit --json | jq .findings",
        "gateway audit || page-somebody",
    )
)
@json_option
@config_option
@pass_session
def audit(session: Session, as_json: bool) -> None:
    """Recompute all credit from the rows and say what does not agree.

    May run beside a gateway at work. Status 0 if everything agrees, 1 if not.
    """

    async def work(database: Database) -> tuple[AuditReport, dict[str, str]]:
        with ProgressBar("Reading every row …") as bar:
            report = await store_audit.audit(database, time.time(), bar.advance_to)
        standings = await accounts.list_accounts(database)
        return report, {s.account.name: s.account.currency for s in standings}

    report, currencies = session.run(work)
    if as_json:
        print_json({"agrees": report.agrees, "report": report})
    else:
        _print_report(report, currencies)
    sys.exit(0 if report.agrees else DISAGREES)


def _print_report(report: AuditReport, currencies: dict[str, str]) -> None:
    columns = (
        *("account", "messages", "open"),
        *("deposited", "posted", "voided", "refunded", "reserved", "available"),
    )
    print_table(
        columns,
        (
            (
                a.account,
                f"{a.messages:,}",
                f"{a.open_messages:,}",
                format_micros(a.deposited_micros),
                format_micros(a.posted_micros),
                format_micros(a.voided_micros),
                format_micros(a.refunded_micros),
                format_micros(a.reserved_micros),
                money(a.available_micros, currencies.get(a.account, "")),
            )
            for a in report.accounts
        ),
        right=columns[1:],
    )
    if report.parked_receipts or report.unmatched_receipts:
        print_line(
            f"{report.parked_receipts:,} receipts wait for their submission,"
            f" {report.unmatched_receipts:,} were for nothing of ours"
        )
    if report.agrees:
        print_line("everything agrees")
        return
    print_table(
        ("account", "message", "what", "stored", "recomputed"),
        ((f.account, f.message_id or "", f.what, f.stored, f.recomputed) for f in report.findings),
        right=("stored", "recomputed"),
    )
    print_line(
        f"{len(report.findings):,} things do not agree, {report.bad_messages:,} messages among"
        " them (money in millionths)"
    )
