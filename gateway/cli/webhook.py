"""`gateway account webhook …`: the secrets that sign; `gateway webhook …`: events given up."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from gateway.cli import values
from gateway.cli.output import (
    moment,
    print_fields,
    print_json,
    print_line,
    print_note,
    print_table,
)
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.errors import Rejected
from gateway.store import webhook_secrets
from gateway.store.outbox import PostgresOutbox
from gateway.store.postgres import Database
from gateway.store.webhook_secrets import WebhookStanding
from gateway.views import DeadEventView, DeadPage, DeadSearch, ReplayedView

PAGE_MAX = 500


@click.group(name="webhook")
def account_webhook() -> None:
    """Webhook: the secret that signs an account's calls, and its rotation."""


@account_webhook.command(epilog=examples("gateway account webhook show shop --secret"))
@click.argument("name")
@click.option("--secret", is_flag=True, help="Show the secret.")
@json_option
@config_option
@pass_session
def show(session: Session, name: str, secret: bool, as_json: bool) -> None:
    """Show an account's webhook: where, how it is signed, what was given up."""

    async def work(database: Database) -> WebhookStanding:
        account = (await get_account(database, name)).account
        return await webhook_secrets.fetch_webhook(database, account.id)

    _print_standing(name, session.run(work), secret=secret, as_json=as_json)


@account_webhook.command(
    epilog=examples(
        "gateway account webhook rotate shop",
        "gateway account webhook rotate shop --overlap-hours 72",
    )
)
@click.argument("name")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, 2160),
    default=24.0,
    show_default=True,
    help="For so long calls are signed with the secret of before, too.",
)
@click.option("--force", is_flag=True, help="Though an earlier rotation has not ended.")
@json_option
@config_option
@pass_session
def rotate(session: Session, name: str, overlap_hours: float, force: bool, as_json: bool) -> None:
    """Make a new secret, and sign with both until the customer has it.

    The header carries two signatures meanwhile; either is enough.
    """

    async def work(database: Database) -> WebhookStanding:
        account = (await get_account(database, name)).account
        return await webhook_secrets.rotate_secret(
            database, account.id, time.time(), overlap_hours * 3_600, force=force
        )

    _print_standing(name, session.run(work), secret=True, as_json=as_json)


@account_webhook.command(epilog=examples("gateway account webhook finish shop"))
@click.argument("name")
@json_option
@config_option
@pass_session
def finish(session: Session, name: str, as_json: bool) -> None:
    """End a rotation now: sign with the newest secret alone."""

    async def work(database: Database) -> bool:
        account = (await get_account(database, name)).account
        return await webhook_secrets.end_rotation(database, account.id, time.time())

    ended = session.run(work)
    if as_json:
        print_json({"account": name, "ended": ended})
    else:
        print_line(f"{name}'s calls are signed with one secret{'' if ended else ' already'}")


@click.group()
def webhook() -> None:
    """Webhooks: events that no endpoint took, and taking them up again."""


@webhook.command(
    epilog=examples(
        "gateway webhook dead shop",
        "gateway webhook dead shop --from 2026-01-31 --json | jq -r '.events[].event'",
    )
)
@click.argument("name")
@click.option("--from", "happened_from", type=values.time, help="Happened at this time or later.")
@click.option("--until", "happened_until", type=values.time, help="Happened before this time.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many."
)
@json_option
@config_option
@pass_session
def dead(
    session: Session,
    name: str,
    happened_from: datetime | None,
    happened_until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List events that were given up, newest first."""

    async def work(database: Database) -> DeadPage:
        account = (await get_account(database, name)).account
        outbox = PostgresOutbox(database)
        found: list[DeadEventView] = []
        before: int | None = None
        while True:
            search = DeadSearch(
                happened_from=happened_from.timestamp() if happened_from else None,
                happened_until=happened_until.timestamp() if happened_until else None,
                before=before,
                limit=min(PAGE_MAX, limit - len(found)),
            )
            page = await outbox.search_dead(account.id, search)
            found += page.events
            if len(found) >= limit or not page.next_cursor:
                return DeadPage(events=found, next_cursor=page.next_cursor)
            before = int(page.next_cursor)

    page = session.run(work)
    if as_json:
        print_json(page)
        return
    print_table(
        ("id", "happened", "message", "attempts", "url", "error"),
        (
            (
                e.id,
                e.happened_at.replace("T", " "),
                e.message_id,
                e.attempts,
                e.url or "the account's",
                e.error,
            )
            for e in page.events
        ),
        right=("attempts",),
        elastic=("url", "error"),
        spare=("attempts", "happened"),
    )
    if page.next_cursor:
        print_note("There may be more: --limit")


@webhook.command(
    epilog=examples(
        "gateway webhook replay shop --id 1042 --id 1043",
        "gateway webhook replay shop --since 2026-01-31T08:00:00Z",
        "gateway webhook replay shop --all",
    )
)
@click.argument("name")
@click.option("--id", "ids", multiple=True, type=click.IntRange(1, 2**63 - 1), help="Name each.")
@click.option("--since", type=values.time, help="Those that happened at this time or later.")
@click.option("--all", "all_of_them", is_flag=True, help="All of them.")
@json_option
@config_option
@pass_session
def replay(
    session: Session,
    name: str,
    ids: tuple[int, ...],
    since: datetime | None,
    all_of_them: bool,
    as_json: bool,
) -> None:
    """Deliver events that were given up again. A running gateway begins within a second."""
    if (bool(ids), since is not None, all_of_them).count(True) != 1:
        raise click.UsageError("say one of --id, --since and --all")

    async def work(database: Database) -> int:
        account = (await get_account(database, name)).account
        outbox = PostgresOutbox(database)
        now, total = time.time(), 0
        while True:
            step: ReplayedView = await outbox.replay(
                account.id,
                now,
                ids=list(ids) or None,
                since=since.timestamp() if since else None,
            )
            total += step.replayed
            if not step.more:
                return total

    replayed = session.run(work)
    if ids and not replayed:
        raise Rejected("event_unknown", f"{name} has no such dead events", status=404)
    if as_json:
        print_json({"account": name, "replayed": replayed})
    else:
        print_line(f"{replayed} events are delivered again")


def _print_standing(name: str, standing: WebhookStanding, *, secret: bool, as_json: bool) -> None:
    overlaps = standing.old_until > time.time()
    until = datetime.fromtimestamp(standing.old_until, UTC) if overlaps else None
    if as_json:
        shown: dict[str, object] = {
            "account": name,
            "url": standing.url,
            "old_secret_until": until,
            "dead": standing.dead,
        }
        print_json(shown | ({"secret": standing.secret} if secret else {}))
        return
    print_fields(
        [
            ("account", name),
            ("webhook", standing.url or "none of its own"),
            ("secret", standing.secret if secret else ""),
            ("secret of before", f"signs too until {moment(until)}" if overlaps else ""),
            ("given up", standing.dead),
        ]
    )
