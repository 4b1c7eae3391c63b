"""A simulated carrier: an SMPP 3.4 server that does what its script says.

    python -m bench.smsc --port 2775 --script carrier.toml
    python -m bench.smsc --self-test

What a script can say: `bench/simulator/script.py`. Several carriers live in one process, each on
its own port. Once they listen, one line of JSON on standard output names their ports.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import signal
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.simulator.carrier import Carrier
from bench.simulator.control import Control
from bench.simulator.script import Script, load_script
from bench.simulator.session import Session
from gateway.errors import ConfigError

DEFAULT_PORT = 2775
STATS_EVERY_S = 0.5
"""How often the file of counts is written while they change."""


class Smsc:
    """One carrier with its listening socket. Used in one event loop."""

    def __init__(
        self,
        script: Script,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._script = script
        self._host = host
        self._asked_port = port
        self._tls = tls
        self._carrier: Carrier | None = None
        self._server: asyncio.Server | None = None
        self._lines_made = 0
        self._started_s = 0.0

    @property
    def port(self) -> int:
        """The port it listens on, or listened on; known after `start`."""
        return self._asked_port

    @property
    def carrier(self) -> Carrier:
        """The carrier behind the socket, for commands; there after `start`."""
        assert self._carrier is not None, "start() comes first"
        return self._carrier

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken.

        After a `stop` it goes on with the same port, counts and waiting receipts.
        """
        loop = asyncio.get_running_loop()
        again = self._carrier is not None
        if self._carrier is None:
            self._carrier = Carrier(self._script, loop)
            self._started_s = time.monotonic()
        self._server = await loop.create_server(
            self._make_session, self._host, self._asked_port, ssl=self._tls
        )
        self._asked_port = self._server.sockets[0].getsockname()[1]
        if again:
            self._carrier.resume()
        else:
            self._carrier.start_phones()

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        if self._server is None:
            return
        self._server.close()
        self.carrier.pause()
        await self._server.wait_closed()
        self._server = None

    def stats(self) -> dict[str, Any]:
        """Return its counts as plain values (`Tally.report`)."""
        return {
            "port": self.port,
            "uptime_s": round(time.monotonic() - self._started_s, 3),
        } | self.carrier.stats()

    def _make_session(self) -> Session:
        self._lines_made += 1
        return Session(self.carrier, self._lines_made)


async def serve(
    carriers: Sequence[Smsc],
    *,
    control_port: int | None = None,
    stats_file: Path | None = None,
) -> None:
    """Run carriers until SIGINT, SIGTERM or the control port's `stop`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    control = Control(carriers, stop.set)
    try:
        for smsc in carriers:
            await smsc.start()
        ready: dict[str, Any] = {"event": "listening", "ports": [smsc.port for smsc in carriers]}
        if control_port is not None:
            ready["control_port"] = await control.start(control_port)
        print(json.dumps(ready), flush=True)
        await _wait_and_record(stop, carriers, stats_file)
    finally:
        await control.stop()
        for smsc in carriers:
            await smsc.stop()


async def _wait_and_record(
    stop: asyncio.Event, carriers: Sequence[Smsc], stats_file: Path | None
) -> None:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), STATS_EVERY_S if stats_file else None)
        if stats_file:
            write_stats(stats_file, [smsc.stats() for smsc in carriers])


def write_stats(path: Path, stats: list[dict[str, Any]]) -> None:
    """Replace the file at once, so that a reader never sees half of it."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps({"carriers": stats}), encoding="utf-8")
    beside.replace(path)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is not in 0 … 65535")
    return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a command line can say."""

    host: str = "127.0.0.1"
    ports: Sequence[int] = (DEFAULT_PORT,)
    scripts: Sequence[Path] = ()
    control_port: int | None = None
    stats_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    if options.self_test:
        return self_test(options.messages, options.script[0] if options.script else None)
    return run(
        Options(
            host=options.host,
            ports=options.port or (DEFAULT_PORT,),
            scripts=options.script,
            control_port=options.control_port,
            stats_file=options.stats_file,
            tls_cert=options.tls_cert,
            tls_key=options.tls_key,
        )
    )


def self_test(messages: int, script: Path | None = None) -> int:
    """Measure the simulator by itself, print the figures as JSON, and return the exit status."""
    from bench.simulator.selftest import measure

    print(json.dumps(measure(messages, script), indent=2))
    return 0


def run(options: Options) -> int:
    """Simulate until a signal or the control port ends it; return the exit status."""
    try:
        scripts = [load_script(path) for path in options.scripts] or [Script()]
        tls = _load_tls(options.tls_cert, options.tls_key)
    except (ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    ports = options.ports
    if len(scripts) not in (1, len(ports)):
        print("give one --script for all ports, or one for each --port", file=sys.stderr)
        return 2
    scripts *= len(ports) if len(scripts) == 1 else 1
    carriers = [
        Smsc(script, options.host, port, tls) for script, port in zip(scripts, ports, strict=True)
    ]
    try:
        run_fast(serve(carriers, control_port=options.control_port, stats_file=options.stats_file))
    except OSError as error:
        print(f"can't listen: {error}", file=sys.stderr)
        return 1
    return 0


def _load_tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def run_fast(work: Any) -> None:
    """Run a coroutine under uvloop, with the collector slowed down.

    Nothing here makes cycles at a rate, and one full collection with a million receipts waiting
    stops everything for 0.4 s.
    """
    import uvloop

    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.smsc", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=_port, action="append", help="a carrier's port; repeat for more (2775)")
    add("--script", type=Path, action="append", default=[], help="TOML, for each port or for all")
    add("--control-port", type=_port, help="JSON lines over TCP: counts and commands; 0 for any")
    add("--stats-file", type=Path, help="keep the counts there, written in one piece")
    add("--tls-cert", type=Path, help="PEM chain; every port then speaks TLS")
    add("--tls-key", type=Path, help="PEM key, when it is not in the chain's file")
    add("--self-test", action="store_true", help="measure the simulator by itself")
    add("--messages", type=int, default=100_000, help="of the self-test (100000)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
