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
from gateway.scopes import ALL, SCOPES, read_scopes
from gateway.store import keys as store
from gateway.store.keys import KeyInfo, NewKey, Rotated
from gateway.store.postgres import Database


@click.group()
def key() -> None:
    """Keys: what a client shows to send for an account."""


@key.command(
    epilog=examples(
        "gateway account key create shop --label website",
        "gateway account key create shop --label reports --scope read --network 192.0.2.0/24",
        "GATEWAY_KEY=$(gateway account key create shop --json | jq -r .key)",
    )
)
@click.argument("name")
@click.option("--label", default="", help="What it is for.")
@click.option("--days", type=click.IntRange(1, 36_500), help="It ends by itself after so many.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(list(SCOPES)),
    help="What it may do; send and read unless said. May be repeated.",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="CIDR",
    help="Where it may come from; anywhere unless said. May be repeated.",
)
@json_option
@config_option
@pass_session
def create(
    session: Session,
    name: str,
    label: str,
    days: int | None,
    scopes: tuple[str, ...],
    networks: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a key. It is shown this once; the store keeps only its hash."""
    expires_at = _in_days(days)

    async def work(database: Database) -> NewKey:
        standing = await get_account(database, name)
        return await store.create_key(
            database,
            standing.account.id,
            label,
            expires_at,
            scopes=read_scopes(scopes) if scopes else ALL,
            networks=networks,
        )

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
    epilog=examples(
        "gateway account key rotate shop 7h2k9x0q",
        "gateway account key rotate shop 7h2k9x0q --hours 2 --days 90",
    )
)
@click.argument("name")
@click.argument("prefix")
@click.option(
    "--hours",
    type=click.IntRange(0, 8_760),
    default=24,
    show_default=True,
    help="The old key ends after so many; both work until then.",
)
@click.option("--days", type=click.IntRange(1, 36_500), help="The new one ends after so many.")
@json_option
@config_option
@pass_session
def rotate(
    session: Session, name: str, prefix: str, hours: int, days: int | None, as_json: bool
) -> None:
    """Make a key in place of another: the same label, scopes and networks.

    Give it to the client while the old one still works.
    """
    prefix, expires_at = _prefix_of(prefix), _in_days(days)
    old_until = datetime.now(UTC) + timedelta(hours=hours)

    async def work(database: Database) -> Rotated:
        standing = await get_account(database, name)
        return await store.rotate_key(
            database, standing.account.id, prefix, old_until=old_until, expires_at=expires_at
        )

    rotated = session.run(work)
    if as_json:
        print_json(
            {
                "account": name,
                "key": rotated.made.plaintext,
                "prefix": rotated.made.prefix,
                "expires_at": expires_at,
                "old_prefix": prefix,
                "old_until": rotated.old_until,
            }
        )
        return
    print_fields(
        [
            ("key", rotated.made.plaintext),
            ("until", moment(expires_at)),
            (f"{prefix} until", moment(rotated.old_until)),
        ]
    )
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
        return await store.list_keys(database, standing.account.id)

    keys = session.run(work)
    if as_json:
        print_json(keys)
        return
    now = datetime.now(UTC)
    print_table(
        ("prefix", "label", "may", "from", "state", "since", "until"),
        (
            (
                k.prefix,
                k.label,
                ", ".join(k.scopes),
                ", ".join(k.networks) or "anywhere",
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
    prefix = _prefix_of(prefix)

    async def work(database: Database) -> None:
        standing = await get_account(database, name)
        if not await store.revoke_key(database, standing.account.id, prefix):
            raise Rejected(
                "key_unknown", f"{name} has no key {prefix!r} that could be revoked", status=404
            )

    session.run(work)
    if as_json:
        print_json({"account": name, "revoked": prefix})
    else:
        print_line(f"{prefix} is revoked")


def _prefix_of(given: str) -> str:
    """Return a key's prefix; people paste what they have: the prefix, or the whole key."""
    return given.split("_")[1] if given.startswith("gw_") else given


def _in_days(days: int | None) -> datetime | None:
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def _state(key: KeyInfo, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "active"
