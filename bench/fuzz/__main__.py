"""Run the targets and say what came of it: `make fuzz`.

    python -m bench.fuzz                              every target, a fixed number of cases
    python -m bench.fuzz --target receipt --cases 1000000
    python -m bench.fuzz --keep                       write cases that reach new code to the corpus
    python -m bench.fuzz --target udh --replay 0500   one case, and how it fails

The seed is printed and repeats the run. Exit status 0 only when no target has a finding.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Sequence

from bench.fuzz.corpus import CORPUS, keep_cases, read_cases
from bench.fuzz.engine import Finding, Report, describe, run_target
from bench.fuzz.target import Target
from bench.fuzz.targets import TARGETS

CASES: int = 20_000
"""Of each target, unless told otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    targets = [TARGETS[name] for name in options.target or TARGETS]
    if options.replay is not None:
        return _replay(targets, bytes.fromhex(options.replay))
    return _run(targets, options.cases, options.seed, options.keep)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.fuzz", description="Hostile input for every reader of octets."
    )
    parser.add_argument(
        "--target", action="append", choices=list(TARGETS), help="one of them; may be repeated"
    )
    parser.add_argument("--cases", type=int, default=CASES, help="cases of each target")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument(
        "--keep", action="store_true", help="add to the corpus what reaches code that it does not"
    )
    parser.add_argument("--replay", metavar="HEX", help="run this one case of each target named")
    return parser.parse_args(arguments)


def _run(targets: Sequence[Target], cases: int, seed: int, keep: bool) -> int:
    print(f"seed {seed}, {cases:,} cases of each of {len(targets)} targets, corpus in {CORPUS}\n")
    print(f"{'target':<14}{'cases':>10}{'seconds':>9}{'cases/s':>10}{'branches':>10}{'new':>6}")
    started_at = time.perf_counter()
    total = 0
    findings: list[Finding] = []
    for target in targets:
        report = run_target(target, read_cases(target.name), cases=cases, seed=seed)
        total += report.cases
        _print_report(report)
        if report.finding is not None:
            findings.append(report.finding)
        elif keep:
            keep_cases(target, report.reached)
    print(f"\n{total:,} cases in {time.perf_counter() - started_at:.1f} s, ", end="")
    print(f"{len(findings)} findings" if findings else "every invariant holds")
    for finding in findings:
        _print_finding(finding)
    return 1 if findings else 0


def _print_report(report: Report) -> None:
    print(
        f"{report.target:<14}{report.cases:>10,}{report.seconds:>9.1f}"
        f"{report.cases / report.seconds:>10,.0f}{report.edges:>10,}{len(report.reached):>6,}"
        f"{'   FINDING' if report.finding else ''}",
        flush=True,
    )


def _print_finding(finding: Finding) -> None:
    print(f"\n{finding.target}: {TARGETS[finding.target].invariant}")
    print(finding.trace.rstrip())
    print(f"again: python -m bench.fuzz --target {finding.target} --replay '{finding.case.hex()}'")


def _replay(targets: Sequence[Target], case: bytes) -> int:
    for target in targets:
        try:
            target.check(case)
        except Exception:
            _print_finding(describe(target, case))
            return 1
    print("every invariant holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
