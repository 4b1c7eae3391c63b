"""`gateway account ceilings`: how fast its messages leave, and how many one number gets."""

from __future__ import annotations

from typing import Any, cast

import click

from gateway.cli.output import print_fields, print_json
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.store.ceilings import (
    AccountCeilings,
    CeilingSettings,
    fetch_ceilings,
    save_ceilings,
)
from gateway.store.postgres import Database


@click.command(
    epilog=examples(
        "gateway account ceilings shop",
        "gateway account ceilings shop --segments-per-s 50 --segments-burst 10",
        "gateway account ceilings bank --recipient-per-minute 2 --recipient-per-hour 6",
        "gateway account ceilings shop --segments-per-s 0 --recipient-per-hour -1",
    )
)
@click.argument("name")
@click.option(
    "--segments-per-s", type=float, help="Segments a second, over all carriers; 0 for no limit."
)
@click.option("--segments-burst", type=int, help="What any one second may see above that.")
@click.option(
    "--recipient-per-minute",
    type=int,
    help="Messages to one number; 0 for no limit, -1 for what the settings say.",
)
@click.option("--recipient-per-hour", type=int, help="The same by the hour.")
@json_option
@config_option
@pass_session
def ceilings(session: Session, /, name: str, as_json: bool, **settings: Any) -> None:
    """Show an account's ceilings, or change those that are named.

    What leaves too fast waits; what is too much for one number is refused. A running gateway sees
    a change within a few seconds.
    """
    given = {option: value for option, value in settings.items() if value is not None}

    async def work(database: Database) -> AccountCeilings:
        account = (await get_account(database, name)).account
        if given:
            # The options have the names of its keys.
            return await save_ceilings(database, account.id, **cast(CeilingSettings, given))
        return (await fetch_ceilings(database)).get(account.id, AccountCeilings())

    shown = session.run(work)
    if as_json:
        print_json(shown)
        return
    print_fields(
        [
            ("account", name),
            ("segments a second", f"{shown.segments_per_s:g}" if shown.segments_per_s else "all"),
            ("and at once", shown.segments_burst if shown.segments_per_s else ""),
            ("to one number a minute", _per_recipient(shown.recipient_per_minute)),
            ("to one number an hour", _per_recipient(shown.recipient_per_hour)),
        ]
    )


def _per_recipient(count: int) -> str:
    return {-1: "as the settings say", 0: "all"}.get(count, str(count))
