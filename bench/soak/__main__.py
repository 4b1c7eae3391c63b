"""Load a gateway at a steady rate for an hour, and see whether anything grows.

    python -m bench.soak                                        an hour at 200 messages a second
    python -m bench.soak --minutes 10 --rate 50 --json soak.json --svg soak.svg

Exit status 0 when nothing grew, nothing was lost and every message has its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console

from bench.report import describe_run, show_rows
from bench.soak.judge import (
    DISK_SLACK_MB,
    MINUTE_S,
    ROWS_SLACK,
    Minute,
    Verdict,
    fit_slope,
    judge_fullest,
    judge_memory,
    tell_minutes,
)
from bench.soak.picture import draw
from bench.soak.scene import Soak, soak

SHOWN_ROWS: Final = ("idempotency keys", "outbox", "deliveries", "open messages")
DISK_SHOWN_MIN_MB: Final = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when every promise was kept."""
    options = _parser().parse_args(argv)
    console = Console(width=120, highlight=False)
    seconds = options.minutes * MINUTE_S
    console.print(f"{options.minutes:g} minutes at {options.rate:g} messages a second …")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        run = runner.run(soak(seconds, options.rate))
    verdicts = [*_judge(run), *_count(run)]
    minutes = {
        name: tell_minutes(answers, run.clock.pauses) for name, answers in run.answers.items()
    }
    show_rows(console, [["", "found", "asked", ""], *(each.row() for each in verdicts)])
    for row in _tell(run, minutes):
        console.print(row)
    if options.json:
        words = shlex.join(argv or sys.argv[1:])
        document = describe_run(f"python -m bench.soak {words}".strip())
        document |= _keep(run, verdicts, minutes)
        options.json.write_text(json.dumps(document) + "\n", encoding="utf-8")
    if options.svg:
        rows = {name: run.watch.rows[name] for name in SHOWN_ROWS}
        picture = draw(minutes, run.watch.memory_mb, rows, run.clock.pauses, seconds)
        options.svg.write_text(picture, encoding="utf-8")
    return 0 if all(each.kept is not False for each in verdicts) else 1


def _judge(run: Soak) -> list[Verdict]:
    """Return what grew and what did not."""
    seconds, watch = run.seconds, run.watch
    verdicts = [judge_memory("the gateway's memory", watch.memory_mb, seconds)]
    for name, points in watch.rows.items():
        verdicts.append(judge_fullest(name, points, seconds, ROWS_SLACK))
    for name, points in watch.disk_mb.items():
        if points[-1][1] >= DISK_SHOWN_MIN_MB:
            verdicts.append(
                judge_fullest(f"disk: {name}", points, seconds, DISK_SLACK_MB, unit=" MB")
            )
    return verdicts


def _count(run: Soak) -> list[Verdict]:
    """Return whether every message is where it should be."""
    accepted = run.http.accepted + run.smpp.accepted
    ended = sum(run.states.values())
    unsettled = len(run.ended_early)
    return [
        _exactly("stalls of a load", unsettled, 0),
        _exactly("refused", sum((run.http.rejected + run.smpp.rejected).values()), 0),
        _exactly("stored, of those accepted", run.stored, accepted),
        _exactly("with an end", ended, accepted),
        _exactly("at the carrier", run.carrier["distinct"], accepted),
        _exactly("sent twice", run.carrier["duplicates"], 0),
        _exactly("receipts up over SMPP", run.went_up, run.smpp.accepted),
    ]


def _exactly(what: str, found: int, wanted: int) -> Verdict:
    return Verdict(what, f"{found:,}", f"{wanted:,}", found == wanted)


def _tell(run: Soak, minutes: dict[str, list[Minute]]) -> list[str]:
    lines = []
    for name, found in minutes.items():
        if not found:
            continue
        p99 = sorted(each.p99_ms for each in found)
        lines.append(
            f"{name}: p99 by the minute {p99[0]:.1f} to {p99[-1]:.1f} ms,"
            f" median minute {p99[len(p99) // 2]:.1f} ms"
        )
    still_s = sum(each.end_s - each.begin_s for each in run.clock.pauses)
    if still_s:
        lines.append(f"the machine stood still {len(run.clock.pauses)} times, {still_s:.0f} s")
    cost = fit_slope(run.watch.cpu_s)
    lines.append(f"CPU of the gateway and its PostgreSQL: {cost:.3f} of a core")
    lines.append(f"calls to the webhook: {run.called_back:,}; ends: {run.states}")
    lines += [f"stalled: {reason}" for reason in run.ended_early]
    return lines


def _keep(
    run: Soak, verdicts: Sequence[Verdict], minutes: dict[str, list[Minute]]
) -> dict[str, Any]:
    return {
        "seconds": run.seconds,
        "verdicts": [asdict(each) for each in verdicts],
        "pauses": [asdict(each) for each in run.clock.pauses],
        "ended_early": run.ended_early,
        "states": run.states,
        "minutes": {name: [asdict(each) for each in found] for name, found in minutes.items()},
        "memory_mb": run.watch.memory_mb,
        "postgresql_mb": run.watch.database_mb,
        "cpu_s": run.watch.cpu_s,
        "rows": run.watch.rows,
        "disk_mb": run.watch.disk_mb,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--minutes", type=float, default=60.0, help="how long (%(default)g)")
    add("--rate", type=float, default=200.0, help="messages a second (%(default)g)")
    add("--json", type=Path, help="keep every sample there")
    add("--svg", type=Path, help="draw the figure there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
