"""What is left of accepted messages and of their receipts after a kill -9, in each system.

    python -m bench.kill                                   all that is installed
    python -m bench.kill --systems ours,kannel-file --rate 500

The carrier answers late and sends receipts later, so that a backlog and open receipts are there
when every process of the system is killed in the middle of the load. It is started again in the
same folder, the carrier answers at once, and it is counted when nothing moves any more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil
import uvloop
from rich.console import Console

from bench.compare import choose_systems, make_folder, stopping_in_order
from bench.generator.answers import Verdict
from bench.generator.backlog import Backlog
from bench.generator.driver import Dialect, Driver
from bench.generator.figures import Figures
from bench.peers.carrier import SimulatedCarrier, start_carrier
from bench.peers.kannel import list_with_callbacks
from bench.peers.ours import list_ours
from bench.peers.processes import CannotRun, find_free_ports
from bench.peers.sink import Sink
from bench.peers.system import HttpLoader, ReceiptsEnd, Running, System
from bench.report import describe_run, show_rows
from bench.settings import WINDOW

LATENCY_S: Final = 1.0
"""Of the carrier's answers: it takes at most one window (500) a second."""
RECEIPT_DELAY_S: Final = 3.0
CONNECTIONS: Final = 64
QUIET_S: Final = 15.0
"""Without anything new at the carrier for as long, it is over."""
SETTLE_LIMIT_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Left:
    """What one kill left."""

    system: str
    accepted: int
    """Messages whose sender was told so."""
    waiting: int
    """Of these, not yet at the carrier when everything was killed."""
    lost: int
    """Accepted ones that never reached the carrier."""
    sent_twice: int
    receipts_lost: int
    """Messages that reached the carrier and whose receipt the system never passed on or kept."""


class Recorder:
    """A dialect that remembers which messages were accepted."""

    def __init__(self, dialect: Dialect) -> None:
        self.accepted: set[int] = set()
        self._dialect = dialect

    def write_request(self, numbers: Sequence[int]) -> bytes:
        return self._dialect.write_request(numbers)

    def judge(self, status: int, body: bytes, numbers: Sequence[int]) -> Verdict:
        verdict = self._dialect.judge(status, body, numbers)
        if verdict.accepted == len(numbers):
            self.accepted.update(numbers)
        return verdict


def kill_once(system: System, messages: int, rate_per_s: float) -> Left:
    """Load a system, kill it in the middle, start it again; return what was left."""
    sink = Sink(find_free_ports(1)[0])
    with (
        make_folder() as folder,
        start_carrier(folder, RECEIPT_DELAY_S, LATENCY_S) as carrier,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(sink.start())
        try:
            with system.start(folder, carrier, sink) as running:
                accepted = runner.run(_load_and_kill(running, carrier, messages, rate_per_s))
            waiting = len(runner.run(carrier.find_missing(accepted)))
            # It was late so that there is something to lose: what is left need not be slow.
            runner.run(carrier.change_pace(RECEIPT_DELAY_S, 0.0))
            with system.start(folder, carrier, sink) as running:
                return runner.run(_settle(system, running, carrier, sink, accepted, waiting))
        finally:
            runner.run(sink.stop())


async def _load_and_kill(
    running: Running, carrier: SimulatedCarrier, messages: int, rate_per_s: float
) -> set[int]:
    """Load, and kill every process of the system half way; return what was accepted."""
    loader = running.loader
    assert isinstance(loader, HttpLoader)
    recorder = Recorder(loader.dialect)
    await carrier.wait_bound()
    driver = Driver("127.0.0.1", loader.port, recorder, repeatable=False)
    await driver.open(CONNECTIONS)
    backlog = Backlog(messages, 1, time.perf_counter(), rate_per_s)
    load = asyncio.create_task(driver.run(backlog, Figures(), SETTLE_LIMIT_S))
    await asyncio.sleep(messages / rate_per_s / 2)
    _kill(running)
    load.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await load
    driver.close()
    return recorder.accepted


def _kill(running: Running) -> None:
    """Kill all processes of all groups at once; nobody gets to say anything."""
    pids = set()
    for roots in running.groups.values():
        for root in roots:
            pids |= {root, *(p.pid for p in psutil.Process(root).children(recursive=True))}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def _settle(
    system: System,
    running: Running,
    carrier: SimulatedCarrier,
    sink: Sink,
    accepted: set[int],
    waiting: int,
) -> Left:
    """Wait until nothing comes any more, and count."""
    deadline_s, quiet_since_s, before = time.monotonic() + SETTLE_LIMIT_S, time.monotonic(), None
    while time.monotonic() < deadline_s and time.monotonic() - quiet_since_s < QUIET_S:
        await asyncio.sleep(0.5)
        now = (await carrier.look(), sink.distinct)
        if now != before:
            before, quiet_since_s = now, time.monotonic()
    seen = await carrier.look()
    kept = sink.distinct
    if system.receipts_end is ReceiptsEnd.CARRIER:
        kept = await running.count_kept() or 0
    lost = len(await carrier.find_missing(accepted))
    return Left(
        system.name, len(accepted), waiting, lost, seen.duplicates, max(0, seen.distinct - kept)
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when ours lost nothing."""
    options = _parser().parse_args(argv)
    console = Console(width=120, highlight=False)
    systems = [list_ours(CONNECTIONS, 1, WINDOW)[0], *list_with_callbacks(CONNECTIONS)]
    try:
        chosen = choose_systems(systems, options.systems)
    except ValueError as error:
        print(f"bench.kill: {error}", file=sys.stderr)
        return 2
    left: list[Left] = []
    try:
        with stopping_in_order():
            for system in chosen:
                try:
                    system.check()
                    left.append(kill_once(system, options.messages, options.rate))
                except CannotRun as reason:
                    console.print(f"left out: {system.title}: {reason}")
    except KeyboardInterrupt:
        return 130
    titles = {system.name: system.title for system in systems}
    rows = [["killed half way", "accepted", "waiting", "lost", "sent twice", "receipts lost"]]
    for each in left:
        rows.append(
            [titles[each.system], *(f"{value:,}" for value in list(asdict(each).values())[1:])]
        )
    show_rows(console, rows)
    if options.json and left:
        words = shlex.join(argv or sys.argv[1:])
        document = describe_run(f"python -m bench.kill {words}".strip())
        document["left"] = [asdict(each) for each in left]
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    ours = [each for each in left if each.system.startswith("ours")]
    return 0 if not any(each.lost or each.receipts_lost for each in ours) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.kill", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--systems", default="", help="names or their beginnings, with commas; all by default")
    add("--messages", type=int, default=20_000, help="of the load, cut short (%(default)s)")
    add("--rate", type=float, default=1_000.0, help="messages a second (%(default)g)")
    add("--json", type=Path, help="keep the result there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
