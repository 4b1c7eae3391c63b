"""A table of what was shown with whom: peer × role × feature, printed after the tests that ran.

A test names its row with `@pytest.mark.interop(peer, role, feature)`; several tests may share
one, and then all of them must pass for it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

_MARK = "interop(peer, role, feature): what this test shows with which implementation"
_ROWS = pytest.StashKey[dict[tuple[str, str, str], set[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK)
    config.stash[_ROWS] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    rows = item.config.stash[_ROWS]
    # A failing fixture shows in the setup, a skipped test as well; what passed shows in the call.
    if report.when == "call" or report.outcome != "passed":
        for mark in item.iter_markers("interop"):
            rows.setdefault(mark.args, set()).add(report.outcome)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash[_ROWS]
    if not rows:
        return
    terminalreporter.section("interoperability")
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for (peer, role, feature), outcomes in sorted(rows.items()):
        verdict = "FAILED" if "failed" in outcomes else "skipped" if "skipped" in outcomes else "ok"
        terminalreporter.write_line(
            f"{peer:<{widths[0]}}  {role:<{widths[1]}}  {verdict:<8} {feature}"
        )
