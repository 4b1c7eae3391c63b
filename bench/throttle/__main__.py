"""Measure how the gateway throttles, draw it, and write it into the document about it.

    python -m bench.throttle                    both, into docs/
    python -m bench.throttle --only rate --into /tmp

Fresh gateways with their own PostgreSQL, each a process of its own; the carrier and the load are in
this one. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import uvloop

from bench.document import describe_here, insert, write_table
from bench.throttle import lanes, rate
from bench.throttle.chart import write_svg

SCENES: Final[dict[str, ModuleType]] = {"rate": rate, "lanes": lanes}
DOCUMENT: Final = "throttle.md"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.throttle", description=__doc__)
    parser.add_argument("--only", choices=[*SCENES])
    parser.add_argument("--into", type=Path, default=Path("docs"), help="where pictures go")
    parser.add_argument("--json", type=Path, help="write all figures there as well")
    options = parser.parse_args(arguments)
    runs: dict[str, Any] = {}
    for name, scene in SCENES.items():
        if options.only in (None, name):
            print(f"{name}: {scene.SECONDS} seconds …", file=sys.stderr)
            runs[name] = _run(scene)
            picture = options.into / f"throttle-{name}.svg"
            picture.write_text(write_svg(scene.draw(runs[name]), scene.SECONDS), "utf-8")
            table = write_table(scene.tell(runs[name]))
            print(table)
            insert(options.into / DOCUMENT, name, table, describe_here())
    if options.json is not None:
        options.json.write_text(json.dumps(runs), "utf-8")
    return 0


def _run(scene: ModuleType) -> dict[str, Any]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        run: dict[str, Any] = runner.run(scene.measure())
    return run


if __name__ == "__main__":
    sys.exit(main())
