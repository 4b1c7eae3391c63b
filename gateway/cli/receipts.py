"""`gateway receipts …`: those that no submission has."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from gateway.cli.output import moment, print_json, print_line, print_note, print_table, waiting
from gateway.cli.session import Session, pass_session, wait_until
from gateway.cli.values import config_option, examples, json_option
from gateway.errors import Rejected
from gateway.lines import build_id_rule
from gateway.model import CarrierId
from gateway.store import unmatched
from gateway.store.id_rules import fetch_id_rules
from gateway.store.leases import is_served
from gateway.store.postgres import Database
from gateway.store.reader import fetch_carrier_names
from gateway.store.unmatched import Asked, UnmatchedCount, UnmatchedReceipt

LIST_MAX = 1_000
POLL_S = 0.2

carrier_option = click.option("--carrier", metavar="NAME", help="Only this carrier's.")


@click.group()
def receipts() -> None:
    """Receipts that match no submission: look at them, and try again."""


@receipts.command(
    name="unmatched",
    epilog=examples(
        "gateway receipts unmatched --carrier alpha",
        "gateway receipts unmatched --json | jq -r '.receipts[].id'",
    ),
)
@carrier_option
@click.option(
    "--limit",
    type=click.IntRange(1, LIST_MAX),
    default=50,
    show_default=True,
    help="At most so many.",
)
@json_option
@config_option
@pass_session
def list_unmatched(session: Session, carrier: str | None, limit: int, as_json: bool) -> None:
    """List receipts that match no submission, the latest first.

    A parked one may have come before its submission's answer; an unmatched one has waited in vain
    and is kept for as long as messages are.
    """

    async def work(database: Database) -> tuple[list[UnmatchedReceipt], list[UnmatchedCount]]:
        carrier_id = await _find(database, carrier)
        return (
            await unmatched.list_unmatched(database, carrier_id, limit),
            await unmatched.count_unmatched(database, carrier_id),
        )

    found, counts = session.run(work)
    if as_json:
        print_json({"receipts": found, "counts": counts})
        return
    print_table(
        ("received", "carrier", "id", "to", "status", "error", "state"),
        (
            (
                moment(datetime.fromtimestamp(r.received_at, UTC)),
                r.carrier,
                r.id,
                r.recipient,
                r.status,
                r.error,
                r.state,
            )
            for r in found
        ),
        elastic=("id",),
    )
    for count in counts:
        print_note(f"{count.carrier}: {count.parked:,} parked, {count.unmatched:,} unmatched")


@receipts.command(
    epilog=examples("gateway receipts rematch --carrier alpha", "gateway receipts rematch --json")
)
@carrier_option
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 3600),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the gateway to do it.",
)
@json_option
@config_option
@pass_session
def rematch(session: Session, carrier: str | None, wait_s: float, as_json: bool) -> None:
    """Try all of them again, by the carriers' rules for ids as the gateway has them now.

    The running gateway does it, as if each receipt came now: states, webhooks and SMPP receipts
    follow. Each is applied at most once; what still matches nothing stays.
    """

    async def work(database: Database) -> tuple[Asked, bool, tuple[int, int], list[str]]:
        carrier_id = await _find(database, carrier)
        asked = await unmatched.ask_again(database, carrier_id)
        served = await is_served(database)

        async def is_done() -> bool:
            untried, _ = await unmatched.count_left(database, asked)
            return not untried

        if served:
            await wait_until(is_done, wait_s, POLL_S)
        left = await unmatched.count_left(database, asked)
        return asked, served, left, await _list_stale(session, database)

    with waiting("Trying receipts again …"):
        asked, served, (untried, kept), stale = session.run(work)
    if as_json:
        figures = {"asked": asked.count, "matched": asked.count - kept, "untried": untried}
        print_json({**figures, "gateway_runs": served, "stale_rules": stale})
        return
    print_line(f"{asked.count - kept:,} of {asked.count:,} receipts matched")
    if untried:
        reason = "the gateway is still at it" if served else "no gateway runs: its next start does"
        print_note(f"{untried:,} not tried yet; {reason}")
    for name in stale:
        print_note(f"The gateway still reads ids of {name} by another rule than the settings.")


async def _find(database: Database, name: str | None) -> CarrierId | None:
    if name is None:
        return None
    for carrier_id, known in (await fetch_carrier_names(database)).items():
        if known == name:
            return CarrierId(carrier_id)
    raise Rejected("carrier_unknown", f"no carrier {name!r} was ever served", status=404)


async def _list_stale(session: Session, database: Database) -> list[str]:
    """Return the carriers whose rule in the settings is not the one that they are served by."""
    ids = {name: carrier_id for carrier_id, name in (await fetch_carrier_names(database)).items()}
    stale = []
    for carrier in session.config.carrier:
        if carrier.name in ids:
            served = await fetch_id_rules(database, CarrierId(ids[carrier.name]))
            if served and served[-1][1] != build_id_rule(carrier):
                stale.append(carrier.name)
    return stale
