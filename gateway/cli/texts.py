"""`gateway account texts`: for how long its texts are kept."""

from __future__ import annotations

import click

from gateway.cli.output import print_fields, print_json
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.store.account_texts import DAYS_MAX, fetch_text_days, save_text_days
from gateway.store.postgres import Database


@click.command(
    epilog=examples(
        "gateway account texts shop",
        "gateway account texts bank --days 3",
        "gateway account texts bank --days 0",
    )
)
@click.argument("name")
@click.option(
    "--days",
    type=click.IntRange(0, DAYS_MAX),
    help="Days after which its texts are erased; 0: as the settings say.",
)
@json_option
@config_option
@pass_session
def texts(session: Session, name: str, days: int | None, as_json: bool) -> None:
    """Show for how long an account's texts are kept, or change it.

    What the settings say for all holds too: the shorter of both counts. Texts that are erased do
    not come back.
    """

    async def work(database: Database) -> int:
        account_id = (await get_account(database, name)).account.id
        if days is not None:
            await save_text_days(database, account_id, days)
        return await fetch_text_days(database, account_id)

    own = session.run(work)
    general = session.parsed.messages.text_retention_days
    if as_json:
        print_json({"account": name, "days": own, "of_all": general})
        return
    print_fields(
        [
            ("account", name),
            ("its own", f"{own} days" if own else "as of all"),
            ("of all", f"{general} days" if general else "as long as messages"),
        ]
    )
