"""The group of all commands, and what becomes of an error."""

from __future__ import annotations

import traceback
from typing import Any

import click

from gateway import __version__
from gateway.cli.account import account
from gateway.cli.apply import apply
from gateway.cli.audit import audit
from gateway.cli.carrier import carrier
from gateway.cli.fallback import email
from gateway.cli.message import message
from gateway.cli.nodes import nodes
from gateway.cli.number import number
from gateway.cli.operator import operator
from gateway.cli.output import visible
from gateway.cli.price import price
from gateway.cli.privacy import privacy
from gateway.cli.receipts import receipts
from gateway.cli.report import report
from gateway.cli.route import route
from gateway.cli.run import demo, serve, simulate
from gateway.cli.session import Session
from gateway.cli.settings import config, migrate
from gateway.cli.values import config_option, examples
from gateway.cli.webhook import webhook
from gateway.errors import ConfigError, GatewayError, Rejected


class Failed(click.ClickException):
    """What went wrong, in one sentence."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        click.echo(f"gateway: {visible(self.message)}", file=file, err=file is None)


class Misconfigured(Failed):
    """What has to be changed before it can go on, in one sentence."""

    exit_code = 2


class Root(click.Group):
    """Runs a command; what it raises becomes a sentence and a status, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except ConfigError as error:
            raise Misconfigured(str(error)) from error
        except Rejected as error:
            where = f"{error.field}: " if error.field else ""
            raise Failed(f"{where}{error.detail}") from error
        except GatewayError as error:
            raise Failed(str(error)) from error
        except Exception as error:
            if ctx.ensure_object(Session).debug:
                traceback.print_exc()
            sentence = f"ended by an error of its own: {type(error).__name__}: {error}"
            raise Failed(sentence) from error


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "gateway demo                     watch real texts travel through simulated carriers",
        "gateway serve --simulator        a gateway to try things on",
        "gateway apply gateway.toml       other settings, without a restart",
        "gateway account create shop --credit 100 --with-key",
        "gateway message list --account shop --status undelivered",
        "gateway audit && echo the money is exact",
    ),
)
@click.version_option(__version__, prog_name="gateway")
@click.option("--debug", is_flag=True, help="Show where an unexpected error came from.")
@config_option
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """An SMPP/SMS gateway: HTTP and SMPP in, carriers out, receipts back, nothing lost between.

    The database is the one that DATABASE_URL or the settings name; without either, the gateway's
    own PostgreSQL in its data folder.
    """
    ctx.ensure_object(Session).debug = debug


for command in (
    serve,
    demo,
    apply,
    account,
    carrier,
    nodes,
    message,
    number,
    operator,
    price,
    email,
    report,
    route,
    webhook,
    receipts,
    privacy,
    audit,
    config,
    migrate,
    simulate,
):
    cli.add_command(command)
