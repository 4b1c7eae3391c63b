"""Many accounts in a random life, killed again and again, and whether every micro-unit adds up.

    python -m bench.ledger                                  240,000 messages, some ten minutes
    python -m bench.ledger --messages 5000 --seed 7 --quick
    make ledger                                             the first one, into docs/credit.md

Ten accounts (prepaid with little, postpaid with a limit, paying on delivery, by tiers) send through
three carriers that refuse, throttle, drop connections, send receipts twice, early, past their time
or never; messages expire and are withdrawn; the gateway and PostgreSQL are killed. What customers
were told is added up here and compared with the audit, the balances and the statements.
Exit status 0 only when all agree.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.document import describe_here, insert, write_table
from bench.ledger.run import Options, Result, run
from bench.report import describe_run, show_rows
from gateway.credit.prices import format_micros


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when everything agrees."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(given)
    console = Console(width=110, highlight=False)
    # Our own connections to a database that is killed on purpose.
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - started:6.1f} s  {text}")

    result = asyncio.run(
        run(
            Options(
                messages=options.messages,
                seed=options.seed,
                gateway_kills=options.gateway_kills,
                database_kills=options.database_kills,
                silent=not options.quick,
            ),
            say,
        )
    )
    result.figures["elapsed_s"] = round(time.monotonic() - started, 1)
    _show(console, result)
    if options.document and not result.wrong:
        insert(options.document, "ledger", *tell(result, options.messages), describe_here())
    if options.json:
        command = shlex.join(["python", "-m", "bench.ledger", *given])
        written = describe_run(command) | {
            "figures": result.figures,
            "agrees": not result.wrong,
            "checks": len(result.checks),
            "accounts": result.audit["report"]["accounts"],
        }
        options.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return 1 if result.wrong else 0


def _show(console: Console, result: Result) -> None:
    show_rows(console, _rows(result))
    for name, value in result.figures.items():
        console.print(f"{name.replace('_', ' ')}: {value}")
    for check in result.wrong:
        console.print(f"NOT SO: {check.name}: {check.found}, expected {check.expected}")
    verdict = "all agree" if not result.wrong else f"{len(result.wrong)} do not agree"
    console.print(f"{len(result.checks)} comparisons: {verdict}")


def tell(result: Result, messages: int) -> tuple[str, str]:
    """Return the accounts as a table of Markdown, and in a sentence what they lived through."""
    figures = result.figures
    happened = ", ".join(
        f"{figures[name]:,} {words}"
        for name, words in (
            ("refused", "segments refused"),
            ("expired", "expired"),
            ("canceled", "withdrawn"),
            ("refunded", "refunded"),
            ("gateway kills", "kills of the gateway"),
            ("database kills", "of PostgreSQL"),
        )
        if name in figures
    )
    return write_table(_rows(result)), (
        f"Of {messages:,} messages {figures['accepted']:,} were accepted; {happened}."
        f" {len(result.checks)} comparisons, {len(result.wrong)} differences."
        f" It took {figures['elapsed_s'] / 60:.0f} minutes."
    )


def _rows(result: Result) -> list[tuple[str, ...]]:
    columns = ("posted", "voided", "refunded", "deposited", "available")
    rows: list[tuple[str, ...]] = [("account", "messages", *columns)]
    for account in result.audit["report"]["accounts"]:
        amounts = (format_micros(account[f"{column}_micros"]) for column in columns)
        rows.append((account["account"], f"{account['messages']:,}", *amounts))
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--messages", type=int, default=240_000, help="that all accounts send (%(default)s)")
    add("--seed", type=int, default=1, help="of everything that is drawn (%(default)s)")
    add("--gateway-kills", type=int, default=10, help="(%(default)s)")
    add("--database-kills", type=int, default=5, help="(%(default)s)")
    add("--quick", action="store_true", help="every receipt comes in time: minutes less to wait")
    add("--document", type=Path, help="a page to write the result into, if all agree")
    add("--json", type=Path, help="write the result there too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
