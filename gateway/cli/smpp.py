"""`gateway account smpp …`: how an account binds to the gateway."""

from __future__ import annotations

import secrets
import string
import sys
from typing import Any, cast

import click

from gateway.cli.output import print_fields, print_json, print_line, print_note, print_table
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.errors import Rejected
from gateway.model import LANES
from gateway.store import upstream_accounts
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import SmppAccount, SmppSettings
from gateway.text.style import DefaultAlphabet
from gateway.upstream.admission import SYSTEM_ID_RULE, is_system_id
from gateway.upstream.ids import IdForm

PASSWORD_CHARS = 8
"""As many as SMPP 3.4 has room for: some clients send no more."""
_PASSWORD_ALPHABET = string.ascii_letters + string.digits


@click.group()
def smpp() -> None:
    """SMPP: let an account bind to the gateway, and say how."""


@smpp.command(
    name="set",
    epilog=examples(
        "gateway account smpp set shop --system-id shop",
        "gateway account smpp set shop --network 192.0.2.0/24 --network 2001:db8::7 --binds-max 2",
        "gateway account smpp set shop --rate-per-s 50 --queue-max 100000 --id-form hex",
        "gateway account smpp set shop --network any --new-password",
        'printf %s "$PASSWORD" | gateway account smpp set shop --password -',
    ),
)
@click.argument("name")
@click.option("--system-id", help="What it calls itself, up to 15 characters; the name at first.")
@click.option(
    "--password",
    metavar="-",
    help="- reads it from standard input, or asks. At first, one is made and shown once.",
)
@click.option("--new-password", is_flag=True, help="Make a new password and show it once.")
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="CIDR",
    help="Where it may bind from, in place of what held before; name each. any: from anywhere.",
)
@click.option("--binds-max", type=int, help="Binds at once; 0 for the settings' default.")
@click.option(
    "--window-size", "--window", type=int, help="Unanswered requests a bind; 0 for the default."
)
@click.option(
    "--rate-per-s",
    type=float,
    help="Messages a second over all binds; 0 for as many as requests over HTTP.",
)
@click.option("--queue-max", type=int, help="Messages that may wait here; 0 for no limit.")
@click.option(
    "--id-form",
    type=click.Choice([form.value for form in IdForm]),
    help="How message ids are written.",
)
@click.option(
    "--time-zone", metavar="ZONE", help="Of dates in receipts: UTC, +05:30 or Europe/Berlin."
)
@click.option(
    "--alphabet",
    type=click.Choice([alphabet.value for alphabet in DefaultAlphabet]),
    help="What data_coding 0 means; gsm7 at first.",
)
@click.option(
    "--ia5-alphabet",
    type=click.Choice([alphabet.value for alphabet in DefaultAlphabet]),
    help="What data_coding 1 means; ascii at first. npm's smpp means gsm7.",
)
@click.option("--lane", type=click.Choice([*LANES]), help="Where priority_flag 0 goes.")
@json_option
@config_option
@pass_session
def set_smpp(
    session: Session,
    /,
    name: str,
    password: str | None,
    new_password: bool,
    networks: tuple[str, ...],
    as_json: bool,
    **settings: Any,
) -> None:
    """Let an account bind, or change how.

    What is not named stays as it is. A running gateway sees it within a few seconds. Who would
    not be let in any more, because of another password, system_id or network, is unbound.
    """
    if password is not None and new_password:
        raise click.UsageError("--password and --new-password exclude each other")
    given = {option: value for option, value in settings.items() if value is not None}
    if networks:
        given["networks"] = _read_networks(networks)
    if password is not None:
        password = _read_password(password)

    async def work(database: Database) -> tuple[SmppAccount, str]:
        account = (await get_account(database, name)).account
        known = await upstream_accounts.find_smpp_account(database, account.id)
        made = ""
        if known is None and "system_id" not in given:
            given["system_id"] = _first_system_id(name)
        if password is not None:
            given["password"] = password
        elif new_password or known is None:
            given["password"] = made = _make_password()
        # The options have the names of its keys.
        terms = cast(SmppSettings, given)
        return await upstream_accounts.save_smpp_account(database, account.id, **terms), made

    shown, made = session.run(work)
    if as_json:
        print_json(_json_of(shown, made))
        return
    _print(shown, made)
    if made:
        print_note("The password is not shown again.")
    if not session.config.smpp.enabled:
        print_note("Nobody can bind: smpp.enabled is false in these settings.")


@smpp.command(
    name="list",
    epilog=examples("gateway account smpp list", "gateway account smpp list --json"),
)
@json_option
@config_option
@pass_session
def list_smpp(session: Session, as_json: bool) -> None:
    """List the accounts that may bind."""
    found = session.run(upstream_accounts.list_smpp_accounts)
    if as_json:
        print_json(found)
        return
    print_table(
        ("account", "system_id", "networks", "binds", "window", "a second", "state"),
        (
            (
                each.account,
                each.system_id,
                ", ".join(each.networks) or "all",
                each.binds_max or "default",
                each.window_size or "default",
                _rate(each) or "no limit",
                "active" if each.active else "inactive",
            )
            for each in found
        ),
        right=("binds", "window", "a second"),
        elastic=("networks",),
    )


@smpp.command(epilog=examples("gateway account smpp show shop"))
@click.argument("name")
@json_option
@config_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Show how an account may bind; never its password."""

    async def work(database: Database) -> SmppAccount:
        account = (await get_account(database, name)).account
        known = await upstream_accounts.find_smpp_account(database, account.id)
        if known is None:
            raise _no_access(name)
        return known

    shown = session.run(work)
    if as_json:
        print_json(_json_of(shown))
    else:
        _print(shown)


@smpp.command(epilog=examples("gateway account smpp remove shop"))
@click.argument("name")
@json_option
@config_option
@pass_session
def remove(session: Session, name: str, as_json: bool) -> None:
    """Take an account's SMPP access away.

    Whoever is bound is unbound within seconds, and what waits for its receivers is forgotten.
    """

    async def work(database: Database) -> None:
        account = (await get_account(database, name)).account
        if not await upstream_accounts.remove_smpp_account(database, account.id):
            raise _no_access(name)

    session.run(work)
    if as_json:
        print_json({"account": name, "removed": True})
    else:
        print_line(f"{name} can't bind any more")


def _read_networks(named: tuple[str, ...]) -> list[str]:
    if "any" not in named:
        return list(named)
    if len(named) > 1:
        raise click.UsageError("--network any stands alone: it lifts every limit")
    return []


def _read_password(said: str) -> str:
    if said != "-":
        raise click.UsageError(
            "everybody on this machine sees the words of a command, and the shell keeps them:"
            " --password - reads it from standard input, or asks"
        )
    if sys.stdin.isatty():
        asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    return sys.stdin.readline().rstrip("\r\n")


def _first_system_id(name: str) -> str:
    if not is_system_id(name):
        raise click.UsageError(
            f"{name!r} can't be a system_id, which is {SYSTEM_ID_RULE}: name one with --system-id"
        )
    return name


def _rate(shown: SmppAccount) -> str:
    """Return what holds: its own, or that of its requests over HTTP."""
    rate_per_s = shown.rate_per_s or shown.submit_per_s
    return f"{rate_per_s:g}" if rate_per_s else ""


def _make_password() -> str:
    return "".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(PASSWORD_CHARS))


def _no_access(name: str) -> Rejected:
    return Rejected(
        "smpp_unknown",
        f"{name} has no SMPP access; `gateway account smpp set` gives it",
        field="account",
        status=404,
    )


def _json_of(shown: SmppAccount, password: str = "") -> dict[str, object]:
    fields: dict[str, object] = {
        field: getattr(shown, field) for field in SmppAccount.__struct_fields__
    }
    return fields | ({"password": password} if password else {})


def _print(shown: SmppAccount, password: str = "") -> None:
    print_fields(
        [
            ("account", shown.account),
            ("state", "active" if shown.active else "inactive: nobody is let in"),
            ("system_id", shown.system_id),
            ("networks", ", ".join(shown.networks) or "all"),
            ("binds, at most", shown.binds_max or "the default"),
            ("window", shown.window_size or "the default"),
            ("messages a second", _rate(shown) or "no limit"),
            ("waiting, at most", shown.queue_max or "no limit"),
            ("message ids", shown.id_form),
            ("dates in receipts", shown.time_zone),
            ("data_coding 0", shown.alphabet),
            ("data_coding 1", shown.ia5_alphabet),
            ("priority_flag 0", shown.lane),
            ("password", password),
        ]
    )
