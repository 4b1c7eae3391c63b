"""`gateway account key …`: an account's API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

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
from gateway.store import accounts
from gateway.store.accounts import KeyInfo, NewKey
from gateway.store.postgres import Database


@click.group()
def key() -> None:
    """Keys: what a client shows to send for an account."""


@key.command(
    epilog=examples(
        "gateway account key create shop --label website",
        "GATEWAY_KEY=$(gateway account key create shop --json | jq -r .key)",
    )
)
@click.argument("name")
@click.option("--label", default="", help="What it is for.")
@click.option("--days", type=click.IntRange(1, 36_500), help="It ends by itself after so many.")
@json_option
@config_option
@pass_session
def create(session: Session, name: str, label: str, days: int | None, as_json: bool) -> None:
    """Make a key. It is shown this once; the store keeps only its hash."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)

    async def work(database: Database) -> NewKey:
        standing = await get_account(database, name)
        return await accounts.create_key(database, standing.account.id, label, expires_at)

    made = session.run(work)
    if as_json:
        print_json(
            {
                "account": name,
                "key": made.plaintext,
                "prefix": made.prefix,
                "expires_at": expires_at,
            }
        )
        return
    print_fields([("key", made.plaintext), ("until", moment(expires_at))])
    print_note("It is not shown again.")


@key.command(
    name="list",
    epilog=examples("gateway account key list shop"),
)
@click.argument("name")
@json_option
@config_option
@pass_session
def list_keys(session: Session, name: str, as_json: bool) -> None:
    """List an account's keys by their prefix."""

    async def work(database: Database) -> list[KeyInfo]:
        standing = await get_account(database, name)
        return await accounts.list_keys(database, standing.account.id)

    keys = session.run(work)
    if as_json:
        print_json(keys)
        return
    now = datetime.now(UTC)
    print_table(
        ("prefix", "label", "state", "since", "until"),
        (
            (
                k.prefix,
                k.label,
                _state(k, now),
                moment(k.created_at),
                moment(k.revoked_at or k.expires_at),
            )
            for k in keys
        ),
    )


@key.command(epilog=examples("gateway account key revoke shop 7h2k9x0q"))
@click.argument("name")
@click.argument("prefix")
@json_option
@config_option
@pass_session
def revoke(session: Session, name: str, prefix: str, as_json: bool) -> None:
    """End a key. A running gateway refuses it within five seconds."""
    # People paste what they have: the prefix, or the whole key.
    prefix = prefix.split("_")[1] if prefix.startswith("gw_") else prefix

    async def work(database: Database) -> None:
        standing = await get_account(database, name)
        if not await accounts.revoke_key(database, standing.account.id, prefix):
            raise Rejected(
                "key_unknown", f"{name} has no key {prefix!r} that could be revoked", status=404
            )

    session.run(work)
    if as_json:
        print_json({"account": name, "revoked": prefix})
    else:
        print_line(f"{prefix} is revoked")


def _state(key: KeyInfo, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "active"
