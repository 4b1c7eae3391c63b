"""HTTP load: many messages to a gateway, and what it did with them.

    python -m bench.load --key KEY --messages 10000 --mode batch --wait-final
    python -m bench.load --key KEY --messages 20000 --rate 1000 --json result.json

Closed loop without --rate: as fast as the connections are answered. With it, open loop: every
request has its own time, and its latency counts from that time even when it left later.
Exit status 0 only when every message was accepted and, with --wait-final, became final.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from bench.generator.backlog import Backlog
from bench.generator.driver import Driver, NoProgress
from bench.generator.figures import Figures
from bench.generator.finals import FINAL, Finals, Refused
from bench.generator.machine import describe_machine
from bench.generator.messages import Messages, Wanted

OnProgress = Callable[[Figures], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One load; the same names and defaults as on the command line."""

    key: str
    url: str = "http://127.0.0.1:8080"
    messages: int = 10_000
    first: int = 1
    """The number of the first message; runs that must not repeat each other's need others."""
    mode: Literal["single", "batch"] = "single"
    batch: int = 1_000
    """Messages a batch."""
    connections: int = 64
    rate: float | None = None
    """Messages a second in an open loop; None: closed loop."""
    to_prefix: str = "4479111"
    sender: str = "Bench"
    text: str = ""
    segments: int = 1
    client_ref: bool = True
    """Whether messages carry a reference; without it, what is lost is not sent again."""
    wait_final: bool = False
    timeout: float = 120.0
    """Of `wait_final`, in seconds."""
    give_up: float = 60.0
    """Seconds without any answer after which the run ends."""


async def run_load(options: Options, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """Run one load; return its result for JSON.

    Raises ValueError for options that can't be used, OSError when the gateway can't be reached,
    NoProgress when it stops answering and Refused when its search does not answer.
    """
    address = urlsplit(options.url)
    if address.scheme != "http" or not address.hostname:
        raise ValueError("--url is like http://127.0.0.1:8080")
    host, port = address.hostname, address.port or 80
    batch = options.mode == "batch"
    wanted = Wanted(
        host=address.netloc,
        key=options.key,
        mode=options.mode,
        to_prefix=options.to_prefix,
        sender=options.sender,
        text=options.text,
        segments=options.segments,
        run=f"load-{secrets.token_hex(4)}" if options.client_ref else "",
    )
    messages = Messages(wanted)
    figures = Figures()
    per_request = options.batch if batch else 1
    connections = min(options.connections, -(-options.messages // per_request))
    driver = Driver(host, port, messages, repeatable=options.client_ref)
    try:
        await driver.open(connections)
        began = datetime.now(UTC)
        cpu_s = time.process_time()
        started_s = time.perf_counter()
        backlog = Backlog(options.messages, per_request, started_s, options.rate, options.first)
        await driver.run(backlog, figures, options.give_up, on_progress)
    finally:
        driver.close()
    elapsed_s = time.perf_counter() - started_s
    result = {
        "began_at": began.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "run": wanted.run,
        "mode": options.mode,
        "batch": per_request,
        "loop": "open" if options.rate else "closed",
        "rate_per_s": options.rate,
        "connections": connections,
        "messages": options.messages,
        "first": options.first,
    } | figures.report(elapsed_s)
    result["generator_cpu_us_per_message"] = round(
        (time.process_time() - cpu_s) / options.messages * 1e6, 1
    )
    if options.wait_final:
        finals = _finals(options, began)
        result["final"] = await _wait_final(finals, figures, options.timeout, started_s)
    return result


async def count_finals(options: Options, since: datetime) -> dict[str, int]:
    """Return how many messages that were accepted from then on have each status now."""
    finals = _finals(options, since)
    try:
        return await finals.count()
    finally:
        finals.close()


def _finals(options: Options, since: datetime) -> Finals:
    address = urlsplit(options.url)
    written = f"{since:%Y-%m-%dT%H:%M:%S}.{since.microsecond // 1_000:03d}Z"
    host = address.hostname or ""
    return Finals(host, address.port or 80, address.netloc, options.key, written)


async def _wait_final(
    finals: Finals, figures: Figures, timeout_s: float, started_s: float
) -> dict[str, Any]:
    try:
        in_time = await finals.wait(timeout_s)
        elapsed_s = time.perf_counter() - started_s
        statuses = await finals.count()
        # Counted too, because a search that finds nothing under way may have found nothing at all:
        # a gateway whose clock is behind ours accepted its messages "before" this run.
        counted = sum(n for status, n in statuses.items() if status in FINAL)
        return {
            "complete": in_time and counted >= figures.accepted,
            "elapsed_s": round(elapsed_s, 3),
            "per_s": round(figures.accepted / elapsed_s, 1),
            "statuses": statuses,
        }
    finally:
        finals.close()


def _without_key(command: Sequence[str]) -> list[str]:
    """Return the command line as it may be shown."""
    shown = []
    hide_next = False
    for word in command:
        if hide_next:
            word, hide_next = "…", False
        elif word == "--key":
            hide_next = True
        elif word.startswith("--key="):
            word = "--key=…"
        shown.append(word)
    return shown


def is_success(result: dict[str, Any]) -> bool:
    """Return whether every message was accepted and, where that was waited for, became final."""
    final = result.get("final", {"complete": True})
    return bool(result["accepted"] == result["messages"] and final["complete"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    import uvloop

    given = list(sys.argv[1:] if arguments is None else arguments)
    values = vars(_parser().parse_args(given))
    written: Path | None = values.pop("json")
    options = Options(**values)
    try:
        with (
            _progress(options.messages) as on_progress,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            command = shlex.join(["python", "-m", "bench.load", *_without_key(given)])
            result = {"command": command} | runner.run(run_load(options, on_progress))
    except (ValueError, OSError, NoProgress, Refused) as error:
        print(f"bench.load: {error}", file=sys.stderr)
        return 2
    text = json.dumps(result, indent=2, ensure_ascii=False)
    if written:
        written.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0 if is_success(result) else 1


@contextlib.contextmanager
def _progress(messages: int) -> Iterator[OnProgress | None]:
    """Show a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("messages"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:,.0f}/s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("messages", total=messages)
        yield lambda figures: bar.update(task, completed=figures.settled())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--url", default="http://127.0.0.1:8080", help="the gateway (%(default)s)")
    key = os.environ.get("GATEWAY_KEY")
    add("--key", default=key, required=not key, help="an account's API key, or $GATEWAY_KEY")
    add("--messages", type=_count, default=10_000, help="how many (%(default)s)")
    add("--first", type=_count, default=1, help="number of the first message (%(default)s)")
    add("--mode", choices=("single", "batch"), default="single")
    add("--batch", type=_count, default=1_000, help="messages a batch (%(default)s)")
    add("--connections", type=_count, default=64, help="kept open (%(default)s)")
    add("--rate", type=_rate, help="messages a second, open loop; without it closed loop")
    add("--to-prefix", default="4479111", help="recipients begin with it (%(default)s)")
    add("--sender", default="Bench", help="(%(default)s)")
    add("--text", default="", help="{n} is the message's number; without it #n goes in front")
    add("--segments", type=_count, default=1, help="segments of each text (%(default)s)")
    add(
        "--no-client-ref",
        dest="client_ref",
        action="store_false",
        help="leave client_ref out; then what is lost with a connection is not sent again",
    )
    add("--wait-final", action="store_true", help="wait until every message is final")
    add("--timeout", type=float, default=120.0, help="of --wait-final, in seconds (%(default)s)")
    add("--give-up", type=float, default=60.0, help="seconds without an answer (%(default)s)")
    add("--json", type=Path, help="write the result there too")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("more than 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
