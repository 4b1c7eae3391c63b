"""What holds for all tests: no verdict hangs on how busy the machine is, processes of ours start
fast, and one table at the end.

The table says what was shown with whom: peer × role × feature. A test names its row with
`@pytest.mark.interop(peer, role, feature)`; several tests may share one, and then all of them must
pass for it. It is made where the reports are gathered, because the tests may run in several
processes; so it is here and not in `tests/interop`, which that one never loads.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from functools import partial
from typing import Any

import hypothesis
import pytest

_MARK = "interop(peer, role, feature): what this test shows with which implementation"
_TURNS = {"simulation": 0, "unit": 2}
_VERDICTS = {"failed": "FAILED", "skipped": "skipped", "passed": "ok"}  # the worst one counts

# Under CI it inherits that an example depends on the code of its test alone.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=(hypothesis.HealthCheck.too_slow,)
)
hypothesis.settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK)
    config.pluginmanager.register(_Table())
    _keep_bytecode(config)


def _keep_bytecode(config: pytest.Config) -> None:
    """Keep what was compiled for the run, where the environment wants nothing kept in the tree.

    Tests start some hundred processes of ours; one that compiles every file takes 0.35 s of CPU
    more. Processes that run tests for another one have its environment.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        folder = tempfile.mkdtemp(prefix="gwp")
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let processes that share the tests begin with the longest file and end with the short ones,
    so that none is left with much while the others have nothing."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _TURNS.get(item.nodeid.split("/")[1], 1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    report.user_properties += [("interop", mark.args) for mark in item.iter_markers("interop")]
    return report


class _Table:
    """Gathers the rows from the tests' reports, and prints them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A failing fixture shows in the setup, a skipped test too; what passed shows in the call.
        if report.when != "call" and report.outcome == "passed":
            return
        for name, row in report.user_properties:
            if name == "interop" and isinstance(row, tuple):
                self._rows.setdefault(row, set()).add(report.outcome)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self._rows:
            return
        terminalreporter.section("interoperability")
        widths = [max(len(row[column]) for row in self._rows) for column in (0, 1)]
        for (peer, role, feature), outcomes in sorted(self._rows.items()):
            verdict = next(word for outcome, word in _VERDICTS.items() if outcome in outcomes)
            terminalreporter.write_line(
                f"{peer:<{widths[0]}}  {role:<{widths[1]}}  {verdict:<8} {feature}"
            )
