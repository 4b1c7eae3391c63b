"""`gateway serve | demo | simulate`: what keeps running; loaded only when it is asked for."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from gateway.cli.session import Session, pass_session
from gateway.cli.values import author, config_option, examples
from gateway.config import Config
from gateway.errors import ConfigError

NODES_MAX = 64
"""More processes than a machine has cores only wait for each other."""


@click.command(
    epilog=examples(
        "gateway serve                            with the carriers of gateway.toml",
        "gateway serve --simulator                with two simulated carriers",
        "gateway serve --nodes 4                  four of them on this machine, for four cores",
        "DATABASE_URL=postgresql://… gateway serve --config /etc/gateway.toml",
    )
)
@click.option("--simulator", is_flag=True, help="Simulated carriers in place of the real ones.")
@click.option(
    "--nodes",
    metavar="N",
    type=click.IntRange(1, NODES_MAX),
    help="So many nodes as processes of this one, sharing carriers and ports.",
)
@config_option
@pass_session
def serve(session: Session, simulator: bool, nodes: int | None) -> None:
    """Run the gateway until Ctrl-C, which stops it in order."""
    settings = session.config  # first: a mistake in it is told without loading everything else
    from gateway.live.settings import Given
    from gateway.serve import main

    file = session.config_file
    given = Given(session.tree, str(file.absolute()) if file else "", author())
    source = None if simulator else given
    if nodes is not None:
        from gateway.supervisor.run import main as run_nodes

        sys.exit(run_nodes(settings, source, nodes))
    sys.exit(main(settings, source))


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
    epilog=examples(
        "gateway simulate                                   takes everything, on port 2775",
        "gateway simulate --script carrier.toml             does what its script says",
        "gateway simulate --port 2775 --port 2776 --stats-file counts.json",
        "gateway simulate --self-test --messages 100000     how fast it is by itself",
    )
)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True)
@click.option(
    "--port",
    "ports",
    type=click.IntRange(0, 65_535),
    multiple=True,
    metavar="PORT",
    default=(2775,),
    show_default=True,
    help="A carrier's port; repeat it for more carriers. 0 is any that is free.",
)
@click.option(
    "--script",
    "scripts",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="TOML that says what the carrier does: one for each port, or one for all."
    " bench/carrier.example.toml explains every key.",
)
@click.option(
    "--control-port",
    metavar="PORT",
    type=click.IntRange(0, 65_535),
    help="Counts and commands there, lines of JSON over TCP; 0 is any that is free.",
)
@click.option(
    "--stats-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Keep the counts there, written in one piece.",
)
@click.option(
    "--tls-cert",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="PEM chain; every port then speaks TLS.",
)
@click.option(
    "--tls-key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="PEM key, when it is not in the chain's file.",
)
@click.option("--self-test", is_flag=True, help="Measure the simulator by itself, and end.")
@click.option(
    "--messages",
    type=click.IntRange(1),
    default=100_000,
    show_default=True,
    help="Of the self-test.",
)
def simulate(self_test: bool, messages: int, scripts: tuple[Path, ...], **options: Any) -> None:
    """Run a simulated carrier to test against.

    An SMPP 3.4 server that does what its script says: latency, rates, refusals, receipts of every
    kind, messages from phones, and worse. Once it listens, one line of JSON names its ports.
    """
    try:
        smsc = importlib.import_module("bench.smsc")
    except ModuleNotFoundError as error:
        raise ConfigError("", f"the simulator is not installed: {error}") from error
    if self_test:
        sys.exit(smsc.self_test(messages, scripts[0] if scripts else None))
    sys.exit(smsc.run(smsc.Options(scripts=scripts, **options)))
