"""This gateway beside Kannel and Jasmin: the same machine, carrier, load and number of messages.

    python -m bench.compare                                    all that is installed, 5 rounds
    python -m bench.compare --systems ours,kannel --rounds 1 --messages 5000
    python -m bench.compare --list                             how each is set, and why

Each system is started anew in every round, warmed up, and loaded as fast as it accepts until the
last receipt is at its end; then for some seconds at half of that rate. Rounds are interleaved, and
every second one goes backwards, so that what the machine does meanwhile meets all alike. Ctrl-C
stops everything at any time; rounds that were finished are kept.

ops/install-peers installs Kannel, ops/install-jasmin Jasmin with RabbitMQ and Redis. Linux only.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvloop
from rich.console import Console

from bench.generator.driver import NoProgress
from bench.peers import summary
from bench.peers.carrier import start_carrier
from bench.peers.jasmin import list_jasmins
from bench.peers.kannel import list_kannels
from bench.peers.measure import HALF_S, Measurement
from bench.peers.ours import list_ours
from bench.peers.page import write_page
from bench.peers.processes import CannotRun, find_free_ports
from bench.peers.sink import Sink
from bench.peers.system import System
from bench.report import describe_run, show_rows
from gateway.errors import GatewayError

WIDTH: Final = 172
"""The table's; a narrower terminal folds its lines."""
TRIES: Final = 2
"""A port that was free may be taken a moment later; what fails twice is left out, with why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(argv)
    systems = list_systems(options.connections, options.binds)
    if options.list:
        _list(systems)
        return 0
    try:
        chosen = choose_systems(systems, options.systems)
    except ValueError as error:
        print(f"bench.compare: {error}", file=sys.stderr)
        return 2
    command = shlex.join(["python", "-m", "bench.compare", *(argv or sys.argv[1:])])
    comparison = Comparison(chosen, options, command)
    try:
        with stopping_in_order():
            comparison.run()
    except KeyboardInterrupt:
        print("stopped, and all that ran", file=sys.stderr)
        return 130
    finally:
        comparison.show()
    return 0 if comparison.whole else 1


def list_systems(connections: int, binds: int) -> list[System]:
    """Return every system there is, whether it is installed or not."""
    return [*list_ours(connections, binds), *list_kannels(connections), *list_jasmins(connections)]


def choose_systems(systems: Sequence[System], words: str) -> list[System]:
    """Return the systems whose names are given or begin so; raises ValueError."""
    if not words:
        return list(systems)
    chosen = []
    for word in words.split(","):
        found = [s for s in systems if s.name == word] or [
            s for s in systems if s.name.startswith(f"{word}-")
        ]
        if not found:
            raise ValueError(f"no system {word!r}; there are {', '.join(s.name for s in systems)}")
        chosen += found
    return chosen


class Comparison:
    """All rounds, and what is kept of them."""

    def __init__(
        self, systems: Sequence[System], options: argparse.Namespace, command: str
    ) -> None:
        self._systems = list(systems)
        self._options = options
        self._console = Console(width=max(WIDTH, Console().width), highlight=False)
        self._measured: list[dict[str, Any]] = []
        self._left_out: dict[str, str] = {}
        self._about = describe_run(command)

    @property
    def whole(self) -> bool:
        """Whether every system that could run lost nothing."""
        losses = (each[key] for each in self._measured for _, key in summary.LOSSES)
        return bool(self._measured) and not any(losses)

    def run(self) -> None:
        """Measure round after round; KeyboardInterrupt ends it between any two steps."""
        for system in self._systems:
            try:
                system.check()
            except CannotRun as reason:
                self._leave_out(system, str(reason))
        for number in range(1, self._options.rounds + 1):
            for system in self._systems if number % 2 else reversed(self._systems):
                if system.name not in self._left_out:
                    self._measure(system, number)
            self._keep()

    def _measure(self, system: System, number: int) -> None:
        for left in reversed(range(TRIES)):
            try:
                figures = measure_once(system, self._options.messages, self._options.half_s)
            except (GatewayError, NoProgress, OSError, TimeoutError) as error:
                if not left:
                    self._leave_out(system, f"round {number}: {error}")
                continue
            self._measured.append({"system": system.name, "round": number} | figures)
            machine = figures["machine"]
            self._console.print(
                f"round {number}  {system.title:<34}"
                f" {figures['accepted_per_s']:>9,.0f} accepted/s"
                f" {figures['end_to_end_per_s']:>9,.0f} end to end/s"
                f" {figures['cpu_us_system']:>9,.0f} µs"
                f"   (others took {machine['other_cores']:.1f} cores)"
            )
            return

    def _leave_out(self, system: System, reason: str) -> None:
        self._left_out[system.name] = reason
        self._console.print(f"left out: {system.title}: {reason}")

    def show(self) -> None:
        """Print the tables."""
        if not self._measured:
            return
        titles = {system.name: system.title for system in self._systems}
        self._console.print()
        rows = summary.tabulate_figures(self._measured, titles, summary.Spread.show_short)
        show_rows(self._console, rows)
        self._console.print()
        ratios = summary.tabulate_ratios(self._measured, titles)
        if len(ratios) > 1 and len(ratios[0]) > 1:
            show_rows(self._console, ratios)
            self._console.print()
        show_rows(self._console, summary.tabulate_cores(self._measured, titles))

    def _keep(self) -> None:
        """Write what there is so far; each round overwrites the one before."""
        path: Path | None = self._options.out
        if path is None or not self._measured:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        document = self._about | {
            "left_out": self._left_out,
            "systems": {system.name: _describe(system) for system in self._systems},
            "measured": self._measured,
        }
        path.with_suffix(".json").write_text(
            json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        path.with_suffix(".md").write_text(write_page(document), encoding="utf-8")


def measure_once(system: System, messages: int, half_s: float) -> dict[str, Any]:
    """Start a system and all it needs, measure it, stop everything.

    Raises CannotRun, NoProgress or OSError.
    """
    sink = Sink(find_free_ports(1)[0])
    with (
        make_folder() as folder,
        start_carrier(folder, system.receipt_delay_s) as carrier,
        system.start(folder, carrier, sink) as running,
    ):
        return uvloop.run(Measurement(system, running, carrier, sink).run(messages, half_s))


@contextmanager
def make_folder() -> Iterator[Path]:
    # Short: the path of PostgreSQL's socket must stay below 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="gwc"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def stopping_in_order() -> Iterator[None]:
    """Turn the first signal into KeyboardInterrupt; no second one breaks into what follows."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        print("stopping what runs …", file=sys.stderr, flush=True)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _describe(system: System) -> dict[str, str]:
    return {
        "title": system.title,
        "keeps": system.keeps,
        "configuration": system.configuration,
        "receipts_end": system.receipts_end.value,
    }


def _list(systems: Sequence[System]) -> None:
    for system in systems:
        print(f"{system.name}: {system.title}")
        words = f"{system.configuration}. Outlives a kill -9: {system.keeps}."
        print(textwrap.indent(textwrap.fill(words, 92), "    "))
        try:
            system.check()
        except CannotRun as reason:
            print(f"    can't run here: {reason}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--systems", default="", help="names or their beginnings, with commas; all by default")
    add("--rounds", type=int, default=5, help="(%(default)s)")
    add("--messages", type=int, default=20_000, help="a run (%(default)s)")
    add("--connections", type=int, default=64, help="HTTP connections (%(default)s)")
    add("--binds", type=int, default=1, help="of the SMPP customer (%(default)s)")
    add("--half-s", type=float, default=HALF_S, help="seconds at half of the rate (%(default)g)")
    add("--out", type=Path, help="keep the result there, as .json and .md; after each round")
    add("--list", action="store_true", help="say how each system is set, and end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
