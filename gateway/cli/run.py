"""`gateway serve | demo | simulate`: what keeps running; loaded only when it is asked for."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from gateway.cli.session import Session, pass_session
from gateway.cli.values import author, config_option, examples
from gateway.config import Config
from gateway.errors import ConfigError


@click.command(
    epilog=examples(
        "gateway serve                            with the carriers of gateway.toml",
        "gateway serve --simulator                with two simulated carriers",
        "DATABASE_URL=postgresql://… gateway serve --config /etc/gateway.toml",
    )
)
@click.option("--simulator", is_flag=True, help="Simulated carriers in place of the real ones.")
@config_option
@pass_session
def serve(session: Session, simulator: bool) -> None:
    """Run the gateway until Ctrl-C, which stops it in order."""
    settings = session.config  # first: a mistake in it is told without loading everything else
    from gateway.live.settings import Given
    from gateway.serve import main

    file = session.config_file
    given = Given(session.tree, str(file.absolute()) if file else "", author())
    sys.exit(main(settings, None if simulator else given))


@click.command(epilog=examples("gateway demo", "gateway demo --data-dir /tmp/demo"))
@click.option(
    "--data-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where its own database is kept; .gateway/demo by default.",
)
def demo(data_dir: Path | None) -> None:
    """Watch real texts travel through simulated carriers.

    Ends by itself, with status 0 if every message reached the state it should.
    """
    from gateway.demo import main

    # It has settings of its own: a mistake in somebody's file is no reason not to see it.
    sys.exit(main(Config(), data_dir=data_dir))


@click.command(
    # --help too goes to the simulator, which knows its own options.
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Run a simulated carrier.

    `gateway simulate --help` tells its options.
    """
    try:
        smsc = importlib.import_module("bench.smsc")
    except ModuleNotFoundError as error:
        raise ConfigError("", f"the simulator is not installed: {error}") from error
    sys.exit(smsc.main(list(arguments)))
