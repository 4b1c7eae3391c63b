"""`gateway account …`: accounts and their credit; keys, SMPP and fallbacks have their own files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar, cast

import click
import msgspec

from gateway.cli import values
from gateway.cli.ceilings import ceilings
from gateway.cli.fallback import fallback
from gateway.cli.keys import key
from gateway.cli.money import deposits, low_balance, statement, topup
from gateway.cli.output import (
    moment,
    money,
    print_fields,
    print_json,
    print_note,
    print_table,
)
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.smpp import smpp
from gateway.cli.texts import texts
from gateway.cli.values import config_option, examples, json_option
from gateway.cli.webhook import account_webhook
from gateway.config import Config
from gateway.credit.prices import format_micros
from gateway.model import Account
from gateway.store import accounts, keys
from gateway.store.accounts import AccountSettings, Standing
from gateway.store.keys import NewKey
from gateway.store.postgres import Database

F = TypeVar("F", bound=Callable[..., Any])


class AccountJson(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account as scripts read it; money as decimal texts."""

    name: str
    currency: str
    plan: str
    bill: str
    active: bool
    available: str
    reserved: str
    posted: str
    refunded: str
    deposited: str
    floor: str
    default_sender: str
    segments_max: int
    submit_per_s: float
    webhook_url: str
    created_at: datetime
    webhook_secret: str | None = None
    key: str | None = None


def _settings_options(command: F) -> F:
    """Add the options for what can be set on an account; those not given are None."""
    for option in (
        click.option("--floor", type=values.amount, help="Prepaid: what credit may not go below."),
        click.option(
            "--limit", type=values.amount, help="Postpaid: what it may owe; a floor below 0."
        ),
        click.option("--plan", help="The settings' plan that it is sold by; '' for none."),
        click.option(
            "--bill",
            type=click.Choice(("submitted", "delivered", "plan")),
            help="What it pays for; plan: as its plan says.",
        ),
        click.option("--webhook-url", metavar="URL", help="Where its events are sent."),
        click.option("--submit-per-s", type=float, help="Requests a second; 0 for no limit."),
        click.option("--segments-max", type=int, help="Segments a message, 1 to 255."),
        click.option("--sender", "default_sender", help="The sender of messages that name none."),
    ):
        command = option(command)
    return command


@click.group()
def account() -> None:
    """Accounts: who pays. Make them, give them credit, keys, SMPP and fallbacks."""


account.add_command(ceilings)
account.add_command(key)
account.add_command(smpp)
account.add_command(topup)
account.add_command(deposits)
account.add_command(statement)
account.add_command(low_balance)
account.add_command(fallback)
account.add_command(account_webhook)
account.add_command(texts)


@account.command(
    epilog=examples(
        "gateway account create shop --credit 100 --with-key",
        "gateway account create bank --currency EUR --limit 500 --plan gold --sender Bank",
    )
)
@click.argument("name")
@click.option("--currency", default="credits", show_default=True, help="What its money is called.")
@_settings_options
@click.option("--credit", type=values.amount, help="Credit to begin with.")
@click.option("--with-key", is_flag=True, help="Make a key, too; it is shown once.")
@json_option
@config_option
@pass_session
def create(
    session: Session,
    /,
    name: str,
    currency: str,
    credit: int | None,
    with_key: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Make an account."""
    if credit is not None and credit < 0:
        raise click.BadParameter("credit to begin with can't be negative", param_hint="--credit")

    given = _given(settings)
    _check_plan(session.config, given, currency)

    async def work(database: Database) -> tuple[Standing, NewKey | None]:
        made = await accounts.create_account(database, name, currency, **given)
        if credit:
            await accounts.deposit(
                database, made.id, credit, reason="first credit", author=values.author()
            )
        new_key = await keys.create_key(database, made.id) if with_key else None
        return await get_account(database, name), new_key

    standing, new_key = session.run(work, create=True)
    if as_json:
        secrets = {"webhook_secret": standing.account.webhook_secret}
        if new_key:
            secrets["key"] = new_key.plaintext
        print_json(_json_of(standing, **secrets))
        return
    _print_standing(standing, secret=bool(standing.account.webhook_url))
    if new_key:
        print_fields([("key", new_key.plaintext)])
        print_note("The key is not shown again.")


@account.command(
    name="list",
    epilog=examples("gateway account list", "gateway account list --json | jq '.[].available'"),
)
@json_option
@config_option
@pass_session
def list_accounts(session: Session, as_json: bool) -> None:
    """List accounts with their credit."""
    standings = session.run(accounts.list_accounts)
    if as_json:
        print_json([_json_of(standing) for standing in standings])
        return
    print_table(
        ("name", "available", "reserved", "spent", "currency", "state", "since"),
        (
            (
                s.account.name,
                format_micros(s.available_micros),
                format_micros(s.reserved_micros),
                format_micros(s.spent_micros),
                s.account.currency,
                "active" if s.account.active else "inactive",
                moment(s.created_at),
            )
            for s in standings
        ),
        right=("available", "reserved", "spent"),
    )


@account.command(epilog=examples("gateway account show shop", "gateway account show shop --secret"))
@click.argument("name")
@click.option("--secret", is_flag=True, help="Show the secret that signs its webhooks.")
@json_option
@config_option
@pass_session
def show(session: Session, name: str, secret: bool, as_json: bool) -> None:
    """Show one account, its settings and its credit."""
    standing = session.run(lambda database: get_account(database, name))
    if as_json:
        secrets = {"webhook_secret": standing.account.webhook_secret} if secret else {}
        print_json(_json_of(standing, **secrets))
    else:
        _print_standing(standing, secret=secret)


@account.command(
    epilog=examples(
        "gateway account update shop --segments-max 4 --webhook-url https://shop.example/sms",
        "gateway account update shop --inactive",
        "gateway account update shop --new-secret",
    )
)
@click.argument("name")
@_settings_options
@click.option("--active/--inactive", default=None, help="An inactive account's keys are refused.")
@click.option("--new-secret", is_flag=True, help="Sign its webhooks with a new secret from now on.")
@json_option
@config_option
@pass_session
def update(
    session: Session, /, name: str, new_secret: bool, as_json: bool, **settings: Any
) -> None:
    """Change settings of an account. A running gateway sees it within five seconds."""
    given = _given(settings)
    if new_secret:
        given["webhook_secret"] = accounts.new_secret()
    if not given:
        raise click.UsageError("nothing to change: name at least one option")

    async def work(database: Database) -> Standing:
        standing = await get_account(database, name)
        _check_plan(session.config, given, standing.account.currency)
        return await accounts.update_account(database, standing.account.id, **given)

    standing = session.run(work)
    if as_json:
        secrets = {"webhook_secret": standing.account.webhook_secret} if new_secret else {}
        print_json(_json_of(standing, **secrets))
    else:
        _print_standing(standing, secret=new_secret)


def _given(settings: dict[str, Any]) -> AccountSettings:
    """Return the options that were given, under the store's names."""
    given = {name: value for name, value in settings.items() if value is not None}
    if "floor" in given:
        given["floor_micros"] = given.pop("floor")
    if "limit" in given:
        limit = given.pop("limit")
        if limit < 0 or "floor_micros" in given:
            raise click.BadParameter("is 0 or more, without --floor", param_hint="--limit")
        given["floor_micros"] = -limit
    if given.get("bill") == "plan":
        given["bill"] = ""
    # The options have the names of its keys.
    return cast(AccountSettings, given)


def _check_plan(config: Config, given: AccountSettings, currency: str) -> None:
    """Refuse a plan that the settings do not have, or that is for another unit."""
    name = given.get("plan", "")
    if not name:
        return
    plan = next((plan for plan in config.plan if plan.name == name), None)
    if plan is None:
        known = ", ".join(plan.name for plan in config.plan) or "none at all"
        raise click.BadParameter(f"no plan {name!r} in the settings: {known}", param_hint="--plan")
    if plan.currency not in ("", currency):
        raise click.BadParameter(
            f"{name} is for accounts in {plan.currency}, and this one is in {currency}",
            param_hint="--plan",
        )


def _json_of(standing: Standing, **secrets: str) -> AccountJson:
    a = standing.account
    return AccountJson(
        name=a.name,
        currency=a.currency,
        plan=a.plan,
        bill=a.bill,
        active=a.active,
        available=format_micros(standing.available_micros),
        reserved=format_micros(standing.reserved_micros),
        posted=format_micros(standing.posted_micros),
        refunded=format_micros(standing.refunded_micros),
        deposited=format_micros(standing.deposited_micros),
        floor=format_micros(a.floor_micros),
        default_sender=a.default_sender,
        segments_max=a.segments_max,
        submit_per_s=a.submit_per_s,
        webhook_url=a.webhook_url,
        created_at=standing.created_at,
        **secrets,
    )


def _credit_fields(a: Account) -> list[tuple[str, str]]:
    if a.floor_micros < 0:
        bound = ("postpaid, may owe", money(-a.floor_micros, a.currency))
    else:
        bound = ("prepaid, floor", money(a.floor_micros, a.currency))
    return [bound, ("plan", a.plan), ("pays for", a.bill or "as its plan says")]


def _print_standing(standing: Standing, *, secret: bool) -> None:
    a = standing.account
    print_fields(
        [
            ("account", a.name),
            ("state", "active" if a.active else "inactive"),
            ("available", money(standing.available_micros, a.currency)),
            ("reserved", money(standing.reserved_micros, a.currency)),
            ("posted", money(standing.posted_micros, a.currency)),
            ("refunded", money(standing.refunded_micros, a.currency)),
            ("deposited", money(standing.deposited_micros, a.currency)),
            *_credit_fields(a),
            ("sender", a.default_sender),
            ("segments, at most", a.segments_max),
            ("requests a second", f"{a.submit_per_s:g}" if a.submit_per_s else "no limit"),
            ("webhook", a.webhook_url),
            ("webhook secret", a.webhook_secret if secret else ""),
            ("since", moment(standing.created_at)),
        ]
    )
