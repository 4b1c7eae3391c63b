"""`gateway apply FILE`: what a settings file would change, and making it so without a restart."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.cli import values
from gateway.cli.output import print_json, print_line, print_note, waiting
from gateway.cli.session import Session, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.config import Config
from gateway.config_file import parse_config
from gateway.errors import ConfigError
from gateway.lines import build_tables, check_carrier
from gateway.live.difference import Change, compare_settings
from gateway.live.reach import Loss, find_losses
from gateway.model import AccountId, CarrierId
from gateway.store.accounts import list_accounts
from gateway.store.postgres import Database
from gateway.store.settings import (
    Applied,
    NodeInfo,
    apply_settings,
    fetch_refusal,
    fetch_settings,
    list_nodes,
)

LOOK_S = 0.2
NOT_SO = 1


class Difference(msgspec.Struct, frozen=True):
    """What a file would change."""

    tree: dict[str, Any]
    base: int
    """The version that holds; 0 for none."""
    changes: list[Change]
    losses: list[Loss]


class NodeJson(msgspec.Struct, frozen=True, kw_only=True):
    node: int
    version: int
    follows: bool
    under_way: list[str]
    at_start: list[str]


class Outcome(msgspec.Struct, kw_only=True):
    """What came of it, as scripts read it."""

    version: int
    """The one that was stored; 0 for none."""
    so: bool = False
    """Whether every node that runs has it, and nothing is under way any more."""
    changes: list[Change]
    losses: list[Loss]
    refused: str = ""
    nodes: list[NodeJson] = []


@click.command(
    epilog=examples(
        "gateway apply gateway.toml --dry-run     what is different from what runs",
        "gateway apply gateway.toml               the same, asks, and makes it so",
        "gateway apply gateway.toml --yes --json | jq .so",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what is different.")
@click.option("--leave-without-route", is_flag=True, help="Also where accounts lose routes by it.")
@click.option(
    "--again", is_flag=True, help="Also without a difference: files that it names are read anew."
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds until the gateway has made it so.",
)
@json_option
@config_option
@pass_session
def apply(
    session: Session,
    file: Path,
    yes: bool,
    dry_run: bool,
    leave_without_route: bool,
    again: bool,
    wait_s: float,
    as_json: bool,
) -> None:
    """Make the settings of FILE so in the running gateway, and say what changes.

    The database is the one that FILE or --config names. Status 1: it is not so, or not yet.
    Status 2: the settings can't be used, or would leave an account without a route.
    """
    session.named_file = session.named_file or file
    file_session = Session()
    file_session.named_file = file
    config, tree = file_session.parsed, file_session.tree or {}
    difference = session.run(lambda database: _compare(database, config, tree))
    if not as_json:
        _print_difference(difference)
    wanted = bool(difference.changes) or again
    if dry_run or not wanted:
        if as_json:
            print_json(Outcome(version=0, changes=difference.changes, losses=difference.losses))
        return
    if difference.losses and not leave_without_route:
        raise ConfigError("route", "accounts would lose routes; --leave-without-route allows it")
    _confirm(yes=yes)
    source = str(file.absolute())
    outcome = session.run(lambda database: _apply(database, difference, source, wait_s))
    if as_json:
        print_json(outcome)
    else:
        _print_outcome(outcome)
    sys.exit(0 if outcome.so else NOT_SO)


async def _compare(database: Database, config: Config, tree: dict[str, Any]) -> Difference:
    """Check a file as far as it can be from here, and hold it against what runs."""
    accounts = [standing.account for standing in await list_accounts(database)]
    _check(config, {account.name: AccountId(account.id) for account in accounts})
    held: Applied | None = await fetch_settings(database)
    before = Config() if held is None else _parse_stored(held)
    return Difference(
        tree,
        held.version if held else 0,
        compare_settings(before, config),
        find_losses(before, config, [account.name for account in accounts if account.active]),
    )


def _check(config: Config, account_ids: dict[str, AccountId]) -> None:
    carrier_ids = {carrier.name: CarrierId(n) for n, carrier in enumerate(config.carrier, start=1)}
    for carrier in config.carrier:
        check_carrier(carrier)
    try:
        build_tables(config, carrier_ids, account_ids)
    except ConfigError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        print_note(f"{error}: the gateway may see it where it runs")


def _parse_stored(held: Applied) -> Config:
    try:
        return parse_config(held.tree)
    except ConfigError as error:
        raise ConfigError(
            error.key,
            f"{error.detail}: in version {held.version}, which another gateway version has stored;"
            " restart the gateway with the file instead",
        ) from error


def _print_difference(difference: Difference) -> None:
    for change in difference.changes:
        print_line(str(change))
    late = sum(change.at_start for change in difference.changes)
    if late:
        print_note(f"{late} of these wait for the next start.")
    if not difference.changes:
        print_note("Nothing is different from what runs.")
    for loss in difference.losses:
        print_note(str(loss))


def _confirm(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask: say --yes")
    click.confirm("Make it so?", abort=True, err=True)


async def _apply(database: Database, difference: Difference, source: str, wait_s: float) -> Outcome:
    """Store the settings and wait until the nodes have made them so."""
    version: int = await apply_settings(
        database,
        difference.tree,
        base=difference.base,
        author=values.author(),
        source=source,
    )
    outcome = Outcome(version=version, changes=difference.changes, losses=difference.losses)
    deadline = time.monotonic() + wait_s
    with waiting(f"Version {version} is stored; the gateway makes it so …"):
        while True:
            nodes: list[NodeInfo] = await list_nodes(database)
            outcome.refused = await fetch_refusal(database, version)
            following = [node for node in nodes if node.report.follows]
            outcome.so = not outcome.refused and all(_is_so(node, version) for node in following)
            if outcome.so or outcome.refused or time.monotonic() >= deadline:
                break
            await asyncio.sleep(LOOK_S)
    outcome.nodes = [_node_json(node) for node in nodes]
    return outcome


def _is_so(node: NodeInfo, version: int) -> bool:
    return node.version >= version and not node.report.under_way


def _node_json(node: NodeInfo) -> NodeJson:
    report = node.report
    return NodeJson(
        node=node.node,
        version=node.version,
        follows=report.follows,
        under_way=report.under_way,
        at_start=report.at_start,
    )


def _print_outcome(outcome: Outcome) -> None:
    if outcome.refused:
        print_line(f"refused, everything is as it was: {outcome.refused}")
        return
    if not outcome.nodes:
        print_line(
            f"version {outcome.version} is stored; no gateway runs on this database. A start"
            " without a file takes it, a start with another file does not."
        )
    for node in outcome.nodes:
        if not node.follows:
            print_line(f"node {node.node} has simulated carriers and keeps them")
        elif node.version < outcome.version:
            print_line(f"node {node.node} still runs version {node.version}")
        else:
            print_line(f"node {node.node} runs version {node.version}")
        for words in node.under_way:
            print_line(f"  under way: {words}")
        if node.at_start:
            print_line(f"  at its next start: {', '.join(node.at_start)}")
