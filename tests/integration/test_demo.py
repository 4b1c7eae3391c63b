"""`gateway demo` as a newcomer runs it: it shows the truth, ends by itself and leaves nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.demo.cases import CASES

TIMEOUT_S = 90.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))

# Two messages are enough to see how it ends; the first one's expectation may be changed.
SHORT = """
import sys
from pathlib import Path
from msgspec.structs import replace
from gateway.demo.cases import CASES
from gateway.demo.play import run
first, second = CASES[0], CASES[3]
expected = replace(first.expected, **{changes})
sys.exit(run(Path({folder!r}), [replace(first, expected=expected), second]))
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder() -> Iterator[Path]:
    # The path of PostgreSQL's socket must stay short, so not pytest's own temporary folder.
    path = Path(tempfile.mkdtemp(prefix="gwd"))
    path.chmod(0o755)  # its PostgreSQL may run as another user
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Not even a colourful environment brings escape codes into a file.
            env=os.environ | {"FORCE_COLOR": "1", "DATABASE_URL": "postgresql://127.0.0.1:9/no"},
            # Whoever runs in a shell's background ignores SIGINT, and so do those it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def demo(folder: Path) -> list[str]:
    return ["-m", "gateway", "demo", "--data-dir", str(folder / "demo")]


def short(folder: Path, **changes: object) -> list[str]:
    return ["-c", SHORT.format(changes=changes, folder=str(folder / "demo"))]


def lasting(folder: Path) -> list[str]:
    """One that can't be over before it is interrupted, however late that comes."""
    command, script = short(folder)
    return [
        command,
        script.replace(
            "first, second = CASES[0], CASES[3]",
            "import gateway.demo.play as play; play.JOURNEY_TIMEOUT_S = 3_600.0\n"
            "first, second = CASES[2], replace(CASES[8], send_in_s=3_600.0)",
        ),
    ]


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of the processes that work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            # The simulated carriers are told by the file that they write errors to.
            names = [words, *(os.readlink(fd) for fd in (path / "fd").iterdir())]
            if any(str(folder) in name for name in names):
                found.append(words)
    return found


def wait_until_nothing_runs(folder: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while left := processes_of(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)  # there is no event to wait for in others' processes


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"ended without {words!r}")


def test_every_message_ends_as_it_should(start: Start, folder: Path) -> None:
    process = start(*demo(folder))
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, out + err
    assert "\x1b" not in out
    for case in CASES:
        assert len(case.label) <= 17  # or it would be cut off in the table
        assert re.search(rf"^ +[\d.]+ s  {re.escape(case.label)}: ", out, re.M), "as it happens"
        assert re.search(rf"^{re.escape(case.label)} +\+\d+", out, re.M), "in the table"
        assert re.search(rf"^✓ {re.escape(case.label)} ", out, re.M), "judged"
    for label in ("balance", "audit", "carriers", "stop"):
        assert re.search(rf"^✓ {label} ", out, re.M), label
    assert re.search(r"^three segments .* delivered +3 gsm7 north +\d+ \+2 +\d\.\d\d s", out, re.M)
    assert re.search(r"^refused .* rejected +1 gsm7 north +0 +ESME_RINVDSTADR", out, re.M)
    assert re.search(r"^second route .* gsm7 north→south ", out, re.M)
    assert "10 − 0.65 = 9.35 EUR, nothing reserved" in out
    assert f"All {len(CASES) + 4} checks hold" in out
    assert processes_of(folder) == []


def test_a_wrong_expectation_fails_it_and_is_named(start: Start, folder: Path) -> None:
    process = start(*short(folder, status="undelivered", carrier="north"))
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, out + err
    assert "✗ plain text" in out
    assert "status: delivered instead of undelivered" in out
    assert "1 of 6 checks fail: plain text." in out
    assert processes_of(folder) == []


def test_a_message_that_does_not_end_is_waited_for_only_so_long(start: Start, folder: Path) -> None:
    words = short(folder)
    words[1] = words[1].replace(
        "first, second = CASES[0], CASES[3]",
        "import gateway.demo.play as play; play.JOURNEY_TIMEOUT_S = 2.0\n"
        "first, second = CASES[0], CASES[8]",  # scheduled later than that
    )
    process = start(*words)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, out + err
    assert "status: scheduled instead of delivered" in out
    assert processes_of(folder) == []


def test_on_a_terminal_the_table_lives_and_fits(folder: Path) -> None:
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [sys.executable, *short(folder)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment | {"TERM": "xterm-256color"},
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while read := os.read(screen, 65_536):
            shown += read
    os.close(screen)
    assert process.wait(TIMEOUT_S) == 0, shown.decode()
    text = shown.decode()
    assert "\x1b[32mdelivered" in text  # in colour
    assert text.count("carrier's id") > 5  # drawn anew again and again
    lines = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", text).splitlines()
    assert max(map(len, lines)) <= 80
    (verdict,) = [line for line in lines if line.startswith("All ")]
    assert verdict.startswith("All 6 checks hold")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_one_stops_what_it_started(
    start: Start, folder: Path, number: signal.Signals
) -> None:
    process = start(*lasting(folder))
    read_until(process, "three segments: ")
    assert processes_of(folder)
    process.send_signal(number)
    assert process.wait(TIMEOUT_S) == 130
    assert processes_of(folder) == []


@pytest.mark.parametrize("sign", ["gateway.log", "postgresql.new", "postgresql/postmaster.pid"])
def test_one_that_is_interrupted_while_it_starts_leaves_nothing(
    start: Start, folder: Path, sign: str
) -> None:
    process = start(*demo(folder))
    while not (folder / "demo" / sign).exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 130
    wait_until_nothing_runs(folder)


def test_a_killed_one_takes_its_processes_along(start: Start, folder: Path) -> None:
    process = start(*lasting(folder))
    read_until(process, "three segments: ")
    process.kill()
    process.wait()
    wait_until_nothing_runs(folder)


def test_a_folder_with_other_things_is_left_alone(start: Start, folder: Path) -> None:
    precious = folder / "demo" / "postgresql" / "precious"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    process = start(*demo(folder))
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    assert err == (
        f"gateway: --data-dir: {folder}/demo holds other things; name a new or empty folder\n"
    )
    assert precious.read_text() == "mine"


def test_a_second_one_in_the_same_folder_is_refused(start: Start, folder: Path) -> None:
    (folder / "demo").mkdir()
    with (folder / "demo" / "demo.lock").open("w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        process = start(*demo(folder))
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    assert err == f"gateway: --data-dir: another demonstration runs in {folder}/demo\n"
