"""`gateway config check | print` and `gateway migrate`."""

from __future__ import annotations

import json
from typing import Any

import click

from gateway.cli.output import moment, print_json, print_line, print_note, print_table
from gateway.cli.session import Session, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.config_file import find_problems, printable_config
from gateway.errors import ConfigError
from gateway.lines import find_table_problems
from gateway.store.plan import Plan
from gateway.store.postgres import Database
from gateway.store.settings import NodeInfo, VersionInfo, list_nodes, list_versions
from gateway.tls.contexts import find_tls_problems

MISCONFIGURED = 2
PENDING = 1


@click.group()
def config() -> None:
    """Check and show the settings."""


@config.command(
    epilog=examples("gateway config check", "gateway config check --config /etc/gateway.toml")
)
@json_option
@config_option
@pass_session
def check(session: Session, as_json: bool) -> None:
    """Say whether the settings can be used, and all that is wrong with them; status 2 if not."""
    source = str(session.config_file or "")
    problems = _find_problems(session)
    if problems:
        if as_json:
            print_json({"file": source, "problems": [_json_of(problem) for problem in problems]})
        for problem in problems:
            print_note(f"gateway: {problem}")
        raise click.exceptions.Exit(MISCONFIGURED)
    settings = session.config
    counts = {
        "carriers": len(settings.carrier),
        "routes": len(settings.route),
        "prices": len(settings.price),
    }
    if as_json:
        print_json({"file": source, **counts})
        return
    name = source or "no file: every setting has its default"
    print_line(f"{name}: {', '.join(f'{count} {what}' for what, count in counts.items())}")


def _find_problems(session: Session) -> list[ConfigError]:
    try:
        problems = find_problems(session.tree or {})
    except ConfigError as error:  # there is no reading on
        return [error]
    return problems or [
        *find_table_problems(session.config),
        *find_tls_problems(session.config),
    ]


def _json_of(problem: ConfigError) -> dict[str, str]:
    return {"key": problem.key, "detail": problem.detail}


@config.command(
    name="print",
    epilog=examples(
        "gateway config print                  everything that can be set, with its value",
        "gateway config print --json | jq .http",
    ),
)
@json_option
@config_option
@pass_session
def print_config(session: Session, as_json: bool) -> None:
    """Write all settings as TOML, defaults included and secrets blanked."""
    tree = printable_config(session.config)
    if as_json:
        print_json(tree)
    else:
        click.echo(format_toml(tree).rstrip("\n"))


@config.command(
    name="versions",
    epilog=examples("gateway config versions", "gateway config versions --json | jq '.[0]'"),
)
@json_option
@config_option
@pass_session
def list_applied(session: Session, as_json: bool) -> None:
    """List the settings that were applied, the newest first, and which of them each node runs."""

    async def work(database: Database) -> tuple[list[VersionInfo], list[NodeInfo]]:
        return await list_versions(database), await list_nodes(database)

    versions, nodes = session.run(work)
    if as_json:
        print_json(versions)
        return
    print_table(
        ("version", "applied at", "by", "from", "run by", "refused"),
        (
            (
                each.version,
                moment(each.applied_at),
                each.author,
                each.source,
                ", ".join(f"node {node.node}" for node in nodes if node.version == each.version),
                each.refused,
            )
            for each in versions
        ),
        right=("version",),
        elastic=("from", "refused"),
    )


@click.command(
    epilog=examples(
        "gateway migrate                          apply what is missing",
        "gateway migrate --plan                   what that would be, and who would wait for it",
        "gateway migrate --check || echo due      status 1 when something is missing",
        "DATABASE_URL=postgresql://… gateway migrate --json",
    )
)
@click.option("--plan", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--check", is_flag=True, help="The same; status 1 when there is something to do.")
@json_option
@config_option
@pass_session
def migrate(session: Session, plan: bool, check: bool, as_json: bool) -> None:
    """Bring the database's schema up to date. `gateway serve` does it by itself at start."""
    if plan or check:
        found = session.plan_migration()
        _show_plan(found, as_json=as_json)
        if check and found.steps:
            raise click.exceptions.Exit(PENDING)
        return
    applied = session.migrate()
    if as_json:
        print_json({"applied": applied})
    elif applied:
        print_line(f"applied {', '.join(applied)}")
    else:
        print_line("nothing to do: the schema is up to date")


def _show_plan(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    if not plan.steps:
        newer = plan.schema > plan.code
        print_line(
            f"nothing to do: the schema is newer ({plan.schema:04}) and this gateway may run on it"
            if newer
            else "nothing to do: the schema is up to date"
        )
        return
    print_table(
        ("migration", "writers wait for moments", "built beside writers", "before it, stop"),
        (
            (
                step.migration,
                ", ".join(step.locks),
                step.builds_index_on or "",
                ", ".join(step.waits_for),
            )
            for step in plan.steps
        ),
        elastic=("writers wait for moments", "before it, stop"),
    )


def format_toml(tree: dict[str, Any], path: str = "") -> str:
    """Write nested tables as TOML: values first, then tables, then arrays of tables."""
    lines = [
        f"{_key(key)} = {_value(value)}" for key, value in tree.items() if not _is_table(value)
    ]
    text = "\n".join(lines) + "\n" if lines else ""
    for key, value in tree.items():
        where = f"{path}.{_key(key)}" if path else _key(key)
        if isinstance(value, dict):
            body = format_toml(value, where)
            # A table of nothing but tables needs no header, an empty one does.
            header = f"\n[{where}]\n" if not body or not body.startswith("\n") else ""
            text += header + body
        elif _is_table(value):
            for item in value:
                text += f"\n[[{where}]]\n" + format_toml(item, where)
    return text


def _is_table(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, dict) for item in value)
    return isinstance(value, dict)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)


def _value(value: object) -> str:
    """Write a scalar or a list of them; JSON's strings and numbers are TOML's too."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)
