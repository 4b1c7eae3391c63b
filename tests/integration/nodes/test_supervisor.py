"""`gateway serve --nodes N` as operators run it: real processes, killed, restarted and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.demo.children import Child

TIMEOUT_S = 60.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
NOBODY = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}


def ask(url: str, key: str = "", body: Any = None) -> Any:
    """Ask over a connection of its own, which goes to any node that listens there."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - our own gateway's URL
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        text = answer.read().decode()
    return text if url.endswith("/metrics") else json.loads(text)


def poll(fetch: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    """Ask again and again until it is done; return the last answer."""
    deadline = time.monotonic() + TIMEOUT_S
    while not done(found := fetch()):
        assert time.monotonic() < deadline, f"still {found}"
        time.sleep(0.05)  # there is no event to wait for in another process
    return found


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes that know a folder, or work in it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), process.cwd()]
            if process.pid != os.getpid() and any(str(folder) in word for word in words):
                found.append(process)
    return found


class Nodes:
    """A supervisor, and the nodes that it has started."""

    def __init__(
        self, folder: Path, count: int, *options: str, settings: str = "", database_url: str = ""
    ) -> None:
        self.folder = folder
        self._log = folder / "log"
        self._file = folder / "gateway.toml"
        self._file.write_text(
            f'[node]\ndata_dir = "{folder}/data"\nmetrics_port = 0\n'
            f'database_url = "{database_url}"\n'
            f"[http]\nport = 0\n[log]\nformat = 'json'\n{settings}"
        )
        words = ("--config", str(self._file), "serve", "--nodes", str(count), *options)
        self.child = Child("gateway", *words, stderr=self._log, environment=NOBODY)
        self.url = self.key = ""
        self.pages: list[str] = []

    def read_announcement(self) -> None:
        said, deadline = "", time.monotonic() + TIMEOUT_S
        while "Ctrl-C" not in said:
            said += self.child.read_line(1.0) + "\n"
            ended = psutil.Process(self.child.pid).status() == psutil.STATUS_ZOMBIE
            assert not ended and time.monotonic() < deadline, self._log.read_text()
        self.url = re.findall(r"listens on (\S+)", said)[0]
        self.pages = re.findall(r"metrics +(\S+)", said)
        self.key = "".join(re.findall(r"Bearer (gw_\S+)'", said))

    @property
    def pids(self) -> list[int]:
        """The nodes' processes, in the order of their seats."""
        found = []
        for process in psutil.Process(self.child.pid).children():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if "gateway.supervisor.member" in words:
                    found.append((words[-1], process.pid))
        return [pid for _, pid in sorted(found)]

    def logged(self, event: str, **keys: Any) -> list[dict[str, Any]]:
        lines = [line for line in self._log.read_text().splitlines() if line.startswith("{")]
        logged = (json.loads(line) for line in lines if line.endswith("}"))
        return [
            line
            for line in logged
            if line["event"] == event and all(line.get(key) == keys[key] for key in keys)
        ]

    @property
    def sentences(self) -> list[str]:
        lines = self._log.read_text().splitlines()
        return [line for line in lines if not line.startswith("{")]

    def run(self, *words: str) -> Any:
        """Run one of the gateway's commands and return what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "--config", self._file, *words, "--json"],
            env=NOBODY,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        return json.loads(done.stdout)

    def wait(self) -> int:
        return psutil.Process(self.child.pid).wait(TIMEOUT_S) or 0


Serve = Callable[..., Nodes]


@pytest.fixture
def folder() -> Iterator[Path]:
    # The path of PostgreSQL's socket must stay short, so not pytest's own temporary folder.
    path = Path(tempfile.mkdtemp(prefix="gwn"))
    path.chmod(0o755)  # its PostgreSQL may run as another user
    yield path
    for process in processes_of(path):  # only where a test failed
        with contextlib.suppress(psutil.Error):
            process.kill()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    with contextlib.ExitStack() as started:

        def start(count: int, *options: str, **settings: str) -> Nodes:
            nodes = Nodes(folder, count, *options, **settings)
            started.callback(nodes.child.end)
            return nodes

        yield start


def count_requests(page: str) -> float:
    """Return how many requests a node says that it has answered on the shared port."""
    lines = ask(page).splitlines()
    counts = [line for line in lines if line.startswith("gateway_http_request_seconds_count")]
    return sum(float(line.rpartition(" ")[2]) for line in counts)


def submit(nodes: Nodes, number: int) -> str:
    message = {"to": f"+4915112{number:04}01", "from": "Demo", "text": f"Hello {number}"}
    return str(ask(f"{nodes.url}/v1/messages", nodes.key, message)["id"])


def await_delivery(nodes: Nodes, message_id: str) -> None:
    message = f"{nodes.url}/v1/messages/{message_id}"
    poll(lambda: ask(message, nodes.key)["status"], lambda status: status == "delivered")


def test_nodes_share_a_port_and_the_work_and_one_that_is_killed_comes_back(
    serve: Serve, folder: Path
) -> None:
    count = 3
    nodes = serve(count, "--simulator")
    nodes.read_announcement()
    before = nodes.pids
    assert len(before) == len(nodes.pages) == count
    ids = [submit(nodes, number) for number in range(24)]
    for _ in range(40):
        assert ask(f"{nodes.url}/healthz") == {"status": "alive"}
    assert all(count_requests(page) > 0 for page in nodes.pages)

    os.kill(before[1], signal.SIGKILL)
    after = poll(lambda: nodes.pids, lambda pids: len(pids) == count and pids != before)
    assert (after[0], after[2]) == (before[0], before[2])
    poll(lambda: nodes.logged("node_ready", seat=2), lambda lines: len(lines) == 2)
    assert nodes.logged("node_ended", seat=2, status=-9)
    ids += [submit(nodes, number) for number in range(24, 36)]
    for message_id in ids:
        await_delivery(nodes, message_id)

    assert nodes.child.stop() == 0
    assert len(nodes.logged("stopped")) == count
    assert nodes.sentences == []
    assert processes_of(folder) == []


def test_a_round_fails_no_request_and_a_killed_supervisor_leaves_nobody_behind(
    serve: Serve, folder: Path
) -> None:
    nodes = serve(2, "--simulator")
    nodes.read_announcement()
    before = nodes.pids
    failed: list[BaseException] = []
    ended = threading.Event()

    def call_on() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            try:
                submit(nodes, number)
            except OSError as error:
                failed.append(error)

    calling = threading.Thread(target=call_on)
    calling.start()
    try:
        os.kill(nodes.child.pid, signal.SIGUSR2)
        poll(lambda: nodes.logged("node_ready"), lambda lines: len(lines) == 4)
    finally:
        ended.set()
        calling.join(TIMEOUT_S)
    assert failed == []
    assert set(nodes.pids).isdisjoint(before)
    assert [line["seat"] for line in nodes.logged("node_ended")] == [1, 2]

    os.kill(nodes.child.pid, signal.SIGKILL)
    poll(lambda: processes_of(folder), lambda left: left == [])
    assert len(nodes.logged("stopped")) == 4

    os.kill(nodes.child.pid, signal.SIGKILL)
    poll(lambda: processes_of(folder), lambda left: left == [])
    assert len(nodes.logged("stopped")) == 4


def test_a_setting_that_no_node_can_start_with_ends_all_with_status_2(
    serve: Serve, folder: Path, database_url: str
) -> None:
    tls = f'[http.tls]\nenabled = true\nport = 0\ncert_file = "{folder}/no"\nkey_file = "no"\n'
    nodes = serve(2, settings=tls, database_url=database_url)
    assert nodes.wait() == 2
    assert nodes.sentences[0].startswith("gateway: http.tls.cert_file: ")
    assert processes_of(folder) == []


def test_a_second_signal_ends_all_at_once(serve: Serve, folder: Path, database_url: str) -> None:
    nodes = serve(1, database_url=database_url)
    nodes.read_announcement()
    (shown,) = nodes.run("nodes")["nodes"]
    assert (shown["state"], shown["process"].rpartition(":")[2]) == ("ready", str(nodes.pids[0]))
    assert f"http://{shown['pages']}/metrics" == nodes.pages[0]
    url = urllib.parse.urlsplit(nodes.url)
    with socket.create_connection((url.hostname, url.port), TIMEOUT_S) as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1)  # and now a last request is waited for, a second long
        os.kill(nodes.child.pid, signal.SIGTERM)
        poll(lambda: nodes.logged("stopping"), bool)
        os.kill(nodes.child.pid, signal.SIGTERM)
        assert nodes.wait() == 1
    assert nodes.sentences[-1].startswith("gateway: stopped at once")
    assert processes_of(folder) == []
