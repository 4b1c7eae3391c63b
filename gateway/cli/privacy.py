"""`gateway privacy …`: what is known of a number, and erasing it."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import click
import msgspec

from gateway.cli import values
from gateway.cli.output import print_fields, print_json, print_note, print_table, waiting
from gateway.cli.session import Session, get_account, pass_session, wait_until
from gateway.cli.values import config_option, examples, json_option
from gateway.erasing import Eraser, NoMemory
from gateway.errors import Rejected
from gateway.model import AccountId
from gateway.personal import ErasureView, ExportView
from gateway.store.erasures import NAMED_MAX, Erasures
from gateway.store.leases import is_served
from gateway.store.number_export import Record
from gateway.store.personal_data import PersonalData, read_number
from gateway.store.postgres import Database

POLL_S = 0.5

account_option = click.option("--account", metavar="NAME", help="Only what is this account's.")


@click.group()
def privacy() -> None:
    """Personal data: what is known of a number, and erasing it."""


@privacy.command(
    epilog=examples(
        "gateway privacy export +4917012345678 --output person.jsonl",
        "gateway privacy export +4917012345678 --account shop | jq -r .kind | sort | uniq -c",
    )
)
@click.argument("number")
@account_option
@click.option("--reason", default="not said", show_default=True, help="Why; it is kept.")
@click.option("--author", help="Who asks for it; it is kept. Who runs the command unless said.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A new file, that only you can read; standard output unless said.",
)
@config_option
@pass_session
def export(
    session: Session,
    number: str,
    account: str | None,
    reason: str,
    author: str | None,
    output: Path | None,
) -> None:
    """Write everything that is kept of a number, as JSON Lines; `kind` says what a line is."""
    _read_number(session, number)

    async def work(database: Database) -> int:
        records = await _personal(session, database).begin_export(
            number, account, reason=reason, author=author or values.author()
        )
        if output is None:
            return await _write(records, sys.stdout.buffer)
        with _create(output) as file:
            return await _write(records, file)

    with waiting("Searching …"):
        count = session.run(work)
    print_note(f"{count:,} rows")


@privacy.command(
    epilog=examples(
        'gateway privacy erase +4917012345678 --reason "asked for by letter, 2026-03-01"',
        'gateway privacy erase +4917012345678 --account shop --cancel --reason "case 17" --yes',
    )
)
@click.argument("number")
@account_option
@click.option("--reason", required=True, help="Why; it is kept.")
@click.option("--author", help="Who asks for it; it is kept. Who runs the command unless said.")
@click.option(
    "--cancel",
    is_flag=True,
    help="Withdraw what has not left, and tell customers nothing more of what waits to be told.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 86_400),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the gateway to do it.",
)
@json_option
@config_option
@pass_session
def erase(
    session: Session,
    number: str,
    account: str | None,
    reason: str,
    author: str | None,
    cancel: bool,
    yes: bool,
    wait_s: float,
    as_json: bool,
) -> None:
    """Erase a number: texts and the number itself, for good. Amounts and times stay.

    What is still under way is erased when it has ended, by the gateway and without another call.
    """
    digits = _read_number(session, number)
    if not yes:
        whose = f"account {account}'s" if account else "every account's"
        click.confirm(f"Erase +{digits} from {whose} messages? Nothing brings it back", abort=True)

    async def work(database: Database) -> tuple[ErasureView, list[int], bool]:
        erasures = Erasures(database, session.config.privacy.hash_key)
        erasure_id = await erasures.request(
            digits,
            await _find_account(database, account),
            reason=reason,
            author=author or values.author(),
            withdraw=cancel,
            now=time.time(),
        )
        served = await is_served(database)

        async def is_looked_at() -> bool:
            (view,) = await erasures.list_erasures(erasure_id=erasure_id)
            return bool(view.looked_at)

        if served:
            await wait_until(is_looked_at, wait_s, POLL_S)
        else:
            await Eraser(erasures, NoMemory()).advance_all()
        (view,) = await erasures.list_erasures(erasure_id=erasure_id)
        return view, [int(id) for id in await erasures.fetch_waiting_ids(erasure_id)], served

    with waiting("Erasing …"):
        view, waiting_ids, served = session.run(work)
    if as_json:
        print_json(
            {
                **msgspec.to_builtins(view),
                "waiting_for": [str(id) for id in waiting_ids],
                "gateway_runs": served,
            }
        )
        return
    _print_erasure(view)
    _print_waiting(view, waiting_ids, served=served)


@privacy.command(
    name="list",
    epilog=examples("gateway privacy list", "gateway privacy list --number +4917012345678 --json"),
)
@click.option("--number", help="Only erasures of this number, if there were any.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="At most so many."
)
@json_option
@config_option
@pass_session
def list_erasures(session: Session, number: str | None, limit: int, as_json: bool) -> None:
    """List what was erased: when, by whom, why, and how much; the latest first."""
    digits = None if number is None else _read_number(session, number)

    async def work(database: Database) -> list[ErasureView]:
        erasures = Erasures(database, session.config.privacy.hash_key)
        return await erasures.list_erasures(number=digits, limit=limit)

    found = session.run(work)
    if as_json:
        print_json({"erasures": found})
        return
    print_table(
        ("id", "requested", "finished", "waiting", "account", "author", "erased", "reason"),
        (
            (
                view.id,
                view.requested_at,
                view.finished_at or "not yet",
                view.messages_waiting,
                view.account,
                view.author,
                _summary(view),
                view.reason,
            )
            for view in found
        ),
        right=("waiting",),
        elastic=("erased", "reason"),
        spare=("waiting", "author"),
    )


@privacy.command(
    name="exports",
    epilog=examples(
        "gateway privacy exports", "gateway privacy exports --number +4917012345678 --json"
    ),
)
@click.option("--number", help="Only exports of this number, if there were any.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="At most so many."
)
@json_option
@config_option
@pass_session
def list_exports(session: Session, number: str | None, limit: int, as_json: bool) -> None:
    """List what was written out: when, for whom, why, and how much; the latest first."""
    if number is not None:
        _read_number(session, number)

    async def work(database: Database) -> list[ExportView]:
        return (await _personal(session, database).list_exports(limit, number)).exports

    found = session.run(work)
    if as_json:
        print_json({"exports": found})
        return
    print_table(
        ("id", "begun", "ended", "rows", "account", "author", "reason"),
        (
            (x.id, x.begun_at, x.ended_at or "no", x.rows, x.account, x.author, x.reason)
            for x in found
        ),
        right=("rows",),
        elastic=("author", "reason"),
        spare=("author",),
    )


def _personal(session: Session, database: Database) -> PersonalData:
    return PersonalData(
        database, session.config.privacy.hash_key, session.parsed.messages.default_country
    )


def _read_number(session: Session, written: str) -> str:
    return read_number(written, session.parsed.messages.default_country)


async def _find_account(database: Database, name: str | None) -> AccountId | None:
    return None if name is None else (await get_account(database, name)).account.id


async def _write(records: AsyncIterator[Record], file: IO[bytes]) -> int:
    count = 0
    async for record in records:
        file.write(msgspec.json.encode(record) + b"\n")
        count += 1
    file.flush()
    return count


def _create(path: Path) -> IO[bytes]:
    try:
        path.touch(mode=0o600, exist_ok=False)
        return path.open("wb")
    except OSError as error:
        raise Rejected("output", f"{path}: {error.strerror}", field="--output") from None


def _print_erasure(view: ErasureView) -> None:
    print_fields(
        (
            ("erasure", view.id),
            ("account", view.account or "all"),
            ("reason", view.reason),
            ("author", view.author),
            ("requested", view.requested_at),
            ("finished", view.finished_at or "not yet"),
            ("erased", _summary(view)),
        )
    )


def _print_waiting(view: ErasureView, waiting_ids: list[int], *, served: bool) -> None:
    if view.finished_at:
        return
    if waiting_ids:
        names = ", ".join(map(str, waiting_ids))
        more = " …" if view.messages_waiting > NAMED_MAX else ""
        print_note(f"{view.messages_waiting:,} messages are under way: {names}{more}")
    else:
        print_note("Something is still on its way to a customer, or from the phone.")
    print_note(
        "The gateway erases the rest when it has ended."
        if served
        else "No gateway runs: the next one erases the rest when it has ended."
    )


def _summary(view: ErasureView) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in view.erased.items()) or "nothing"
