"""Values on the command line, and the options that several commands share."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, date, datetime
from pathlib import Path

import click

from gateway.cli.session import Session
from gateway.credit.prices import parse_micros
from gateway.errors import ConfigError


def amount(text: str) -> int:
    """Read money, a decimal text exact to six places, as micro-units."""
    try:
        return parse_micros(text, signed=True)
    except ConfigError as error:
        raise click.BadParameter(error.detail) from None


def time(text: str) -> datetime:
    """Read a date or time as RFC 3339 writes it; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time like 2026-01-31 or 2026-01-31T08:00:00Z"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def author() -> str:
    """Return who runs the command, for what is kept with what it changes."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return f"cli:{os.getuid()}"


def day(text: str) -> date:
    """Read a day like 2026-01-31."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no day like 2026-01-31") from None


def _use_config(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).named_file = value


config_option = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="GATEWAY_CONFIG",
    expose_value=False,
    callback=_use_config,
    help="The settings; gateway.toml in this folder if there is one.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")


def examples(*lines: str) -> str:
    """Return the end of a command's help; \\b keeps its lines as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
