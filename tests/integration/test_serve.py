"""`gateway serve` as its operators run it: a process, its words, its signals, its exit status."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S = 60.0 * float(os.environ.get("TIMEOUT_FACTOR", "1"))


class Running:
    """A process of ours, and what it says."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.errors = folder / f"stderr-{time.monotonic_ns()}"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                # The settings of each test name the database.
                env={k: v for k, v in os.environ.items() if k != "DATABASE_URL"},
            )
        self.said = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return where its standard output matches; fail when it ends without."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while (found := re.search(pattern, self.said)) is None:
                assert selector.select(deadline - time.monotonic()), f"too slow: {self.said}"
                read = os.read(self.process.stdout.fileno(), 65_536)
                assert read, f"ended: {self.said}{self.errors.read_text()}"
                self.said += read.decode()
        return found

    def wait(self) -> int:
        return self.process.wait(TIMEOUT_S)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        self.interrupt()
        return self.wait()

    @property
    def url(self) -> str:
        return self.wait_for(r"http://[\d.]+:\d+").group()

    @property
    def sentence(self) -> str:
        """The last thing that it said of errors."""
        return self.errors.read_text().strip().splitlines()[-1]

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = self.errors.read_text().splitlines()
        logged = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in logged if line["event"] == event]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


Serve = Callable[..., Running]


@pytest.fixture
def folder() -> Iterator[Path]:
    # The path of PostgreSQL's socket must stay short, so not pytest's own temporary folder.
    path = Path(tempfile.mkdtemp(prefix="gws"))
    path.chmod(0o755)  # its PostgreSQL may run as another user
    yield path
    pid_file = path / "data" / "postgresql" / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError):  # there only when a test has killed a gateway
        os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGQUIT)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def run(folder: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(*words: str) -> Running:
        started.append(Running(folder, *words))
        return started[-1]

    yield start
    for running in reversed(started):
        running.close()


@pytest.fixture
def serve(folder: Path, run: Callable[..., Running]) -> Serve:
    """Start `gateway serve` with these settings; without a port it takes a free one."""

    def start(settings: str = "", *options: str, port: int = 0, database_url: str = "") -> Running:
        node = f'data_dir = "{folder}/data"\ndatabase_url = "{database_url}"'
        path = folder / f"gateway-{port}.toml"
        path.write_text(f"[node]\n{node}\n[http]\nport = {port}\n{settings}")
        return run("gateway", "--config", str(path), "serve", *options)

    return start


def call(command: str, **changes: str) -> Any:
    """Do what a curl command says, with other values in its body."""
    words = shlex.split(command)
    assert words[0] == "curl"
    headers = [words[i + 1] for i, word in enumerate(words) if word == "-H"]
    body = json.loads(words[words.index("-d") + 1]) | changes
    url = next(word for word in words if word.startswith("http"))
    return ask(url, dict(h.split(": ", 1) for h in headers), body)


def ask(url: str, headers: dict[str, str], body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - our own gateway's URL
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        return json.load(answer)


def poll(fetch: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    """Ask another process again and again until it is done; return its last answer."""
    deadline = time.monotonic() + TIMEOUT_S
    while not done(found := fetch()):
        assert time.monotonic() < deadline, f"still {found}"
        time.sleep(0.05)  # there is no event to wait for in another process
    return found


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of the processes that know a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words:
                found.append(words)
    return found


def children_of(pid: int) -> list[int]:
    return [
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in path.read_text().split()
    ]


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_the_printed_command_sends_a_message_and_ctrl_c_leaves_nothing(
    serve: Serve, folder: Path
) -> None:
    gateway = serve("", "--simulator")
    command = gateway.wait_for(r"\n\n  (curl .*)\n").group(1)
    gateway.wait_for("Ctrl-C")
    (simulator,) = children_of(gateway.process.pid)
    accepted = call(command)
    headers = dict([shlex.split(command)[shlex.split(command).index("-H") + 1].split(": ", 1)])
    message = f"{gateway.url}/v1/messages/{accepted['id']}"
    view = poll(lambda: ask(message, headers), lambda view: view["status"] == "delivered")
    assert view["carrier"] == "north"
    refused = call(command, to="+491713920013")
    message = f"{gateway.url}/v1/messages/{refused['id']}"
    poll(lambda: ask(message, headers), lambda view: view["status"] == "rejected")

    assert gateway.stop() == 0
    assert gateway.logged("stopped")
    assert processes_of(folder) == []
    assert not is_running(simulator)
    assert "\x1b" not in gateway.said  # not a terminal


def test_each_start_gives_a_new_key_and_ends_the_one_before(
    serve: Serve, database_url: str
) -> None:
    keys = []
    for _ in range(2):
        gateway = serve("", "--simulator", database_url=database_url)
        keys.append(gateway.wait_for(r"Bearer (gw_\S+)'").group(1))
        if len(keys) == 1:
            assert gateway.stop() == 0
    assert keys[0] != keys[1]
    balance = f"{gateway.url}/v1/balance"
    assert ask(balance, {"Authorization": f"Bearer {keys[1]}"})["available"] == "10000"
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        ask(balance, {"Authorization": f"Bearer {keys[0]}"})
    refused.value.close()
    gateway.stop()


def test_simulated_carriers_take_the_place_of_real_ones(serve: Serve, database_url: str) -> None:
    real = '[[carrier]]\nname = "real"\nhost = "127.0.0.1"\nport = 9\nsystem_id = "x"\n'
    gateway = serve(real, "--simulator", database_url=database_url)
    key = gateway.wait_for(r"Bearer (gw_\S+)'").group(1)
    carriers = ask(f"{gateway.url}/v1/carriers", {"Authorization": f"Bearer {key}"})
    assert [carrier["name"] for carrier in carriers["carriers"]] == ["north", "south"]
    gateway.stop()


def test_the_simulated_carriers_end_with_a_killed_gateway(serve: Serve, database_url: str) -> None:
    gateway = serve("", "--simulator", database_url=database_url)
    gateway.wait_for("Ctrl-C")
    (simulator,) = children_of(gateway.process.pid)
    gateway.interrupt(signal.SIGKILL)
    gateway.wait()
    poll(lambda: is_running(simulator), lambda running: not running)


def test_the_settings_are_logged_without_secrets_and_defaults(
    serve: Serve, database_url: str
) -> None:
    carrier = (
        '[[carrier]]\nname = "alpha"\nhost = "127.0.0.1"\nport = 9\n'
        'system_id = "gw"\npassword = "hunter2"\n'
    )
    gateway = serve(carrier, database_url=database_url)
    gateway.wait_for("GATEWAY_KEY")
    assert gateway.stop() == 0
    (settings,) = gateway.logged("settings")
    assert settings["carrier"] == [
        {
            "name": "alpha",
            "host": "127.0.0.1",
            "port": 9,
            "system_id": "gw",
            "password": "•••",
        }
    ]
    assert "messages" not in settings
    assert "hunter2" not in gateway.errors.read_text()


def test_a_port_in_use_is_named(serve: Serve, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = serve(port=port, database_url=database_url)
        assert gateway.wait() == 1
    assert f"can't listen on 127.0.0.1:{port}: Address already in use" in gateway.sentence


@pytest.mark.parametrize("section", ["http", "smpp", "smpp.tls"])
def test_a_port_in_use_is_found_before_anything_is_made(
    serve: Serve, folder: Path, section: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        smpp = f"[smpp]\nenabled = true\nhost = '127.0.0.1'\nport = {port}\n"
        if section == "smpp.tls":
            smpp = (
                "[smpp]\nenabled = true\nplain = false\nhost = '127.0.0.1'\n"
                f"[smpp.tls]\nenabled = true\nport = {port}\ncert_file = 'a'\nkey_file = 'b'\n"
            )
        gateway = serve(port=port) if section == "http" else serve(smpp)
        assert gateway.wait() == 1
    assert gateway.sentence == (
        f"gateway: can't listen on 127.0.0.1:{port}: Address already in use; [{section}] host and"
        " port say where"
    )
    assert not (folder / "data" / "postgresql").exists()


def test_an_address_that_is_not_ours_is_named(serve: Serve, folder: Path) -> None:
    gateway = serve("[smpp]\nenabled = true\nhost = '192.0.2.1'\n")
    assert gateway.wait() == 1
    assert "can't listen on 192.0.2.1:" in gateway.sentence
    assert "[smpp] host and port say where" in gateway.sentence
    assert not (folder / "data" / "postgresql").exists()


def test_a_second_gateway_on_the_same_database_joins_the_first(
    serve: Serve, database_url: str
) -> None:
    first, second = serve(database_url=database_url), serve(database_url=database_url)
    first.wait_for("Ctrl-C")
    second.wait_for("Ctrl-C")
    assert first.stop() == 0
    assert second.stop() == 0


def test_a_database_that_is_away_at_the_start_is_named(serve: Serve) -> None:
    gateway = serve(database_url="postgresql://127.0.0.1:9/gateway")
    assert gateway.wait() == 1
    assert "the database is away" in gateway.sentence
    assert "Traceback" not in gateway.errors.read_text()


def test_a_data_folder_that_can_not_be_used_is_a_matter_of_settings(
    serve: Serve, folder: Path
) -> None:
    (folder / "data").write_text("this is a file")
    gateway = serve()
    assert gateway.wait() == 2
    assert gateway.sentence.startswith(f"gateway: node.data_dir: can't use {folder}/data")


def test_a_first_signal_before_it_is_ready_still_stops_in_order(serve: Serve, folder: Path) -> None:
    gateway = serve()
    poll(gateway.errors.read_text, lambda text: '"settings"' in text)
    # Its handlers are there once it has begun to start the database.
    poll((folder / "data").exists, bool)
    gateway.interrupt(signal.SIGTERM)
    assert gateway.wait() == 0
    assert processes_of(folder) == []


CARRIER = """
[dispatch]
stop_timeout_s = 30
[[carrier]]
name = "alpha"
host = "127.0.0.1"
port = {port}
system_id = "alpha"
window_size = 20
reconnect_first_s = 0.1
[[route]]
carriers = ["alpha"]
[[price]]
price = "0.01"
"""


class Carrier:
    """A simulated carrier that outlives the gateways of a test."""

    def __init__(self, run: Callable[..., Running], folder: Path, script: str) -> None:
        path = folder / "carrier.toml"
        path.write_text(script)
        ports = ("--port", "0", "--control-port", "0")
        smsc = run("bench.smsc", *ports, "--script", str(path))
        ready = json.loads(smsc.wait_for(r"\{.*\}").group())
        (self.port,) = ready["ports"]
        self._control_port = ready["control_port"]

    def stats(self) -> dict[str, Any]:
        with socket.create_connection(("127.0.0.1", self._control_port), TIMEOUT_S) as control:
            control.sendall(b'{"do": "stats"}\n')
            with control.makefile("rb") as answers:
                (stats,) = json.loads(answers.readline())["carriers"]
        return dict(stats)


def make_customer(run: Callable[..., Running], folder: Path) -> dict[str, str]:
    """Make an account with credit by the command line, and return its headers."""
    words = "account create shop --credit 100 --with-key --sender Shop --json"
    config = str(folder / "gateway-0.toml")
    made = run("gateway", "--config", config, *words.split()).wait_for(r'"key": "(gw_[^"]+)"')
    return {
        "Authorization": f"Bearer {made.group(1)}",
        "Content-Type": "application/json",
    }


def submit_many(url: str, headers: dict[str, str], count: int) -> None:
    messages = [{"to": f"49171{n:07}", "text": f"Message #{n}"} for n in range(count)]
    answer = ask(f"{url}/v1/messages/batch", headers, {"messages": messages})
    assert answer["accepted"] == count


def test_stopping_while_messages_are_in_flight_loses_none(
    serve: Serve, run: Callable[..., Running], folder: Path
) -> None:
    count = 1_000
    carrier = Carrier(run, folder, 'identity = "tag"\n[[rule]]\nlatency = 0.05\ndelay = 0.2\n')
    settings = CARRIER.format(port=carrier.port)
    gateway = serve(settings)
    headers = make_customer(run, folder) if gateway.url else {}
    submit_many(gateway.url, headers, count)
    poll(carrier.stats, lambda stats: stats["distinct"] >= 50)
    gateway.interrupt(signal.SIGTERM)
    assert gateway.wait() == 0
    at_stop = carrier.stats()
    assert 50 <= at_stop["distinct"] < count  # it stopped in the middle
    assert at_stop["binds"]["lost"] == 0  # and said goodbye

    gateway = serve(settings)
    balance = f"{gateway.url}/v1/balance"
    poll(lambda: ask(balance, headers), lambda balance: balance["reserved"] == "0")
    after = poll(carrier.stats, lambda stats: stats["receipts"]["acknowledged"] >= count)
    assert after["distinct"] == count
    assert after["duplicates"] == 0
    assert ask(balance, headers)["posted"] == "10"
    assert gateway.stop() == 0


def test_a_second_signal_ends_it_at_once(
    serve: Serve, run: Callable[..., Running], folder: Path
) -> None:
    carrier = Carrier(run, folder, "[[rule]]\nsilence_share = 1.0\n")
    gateway = serve(CARRIER.format(port=carrier.port))
    headers = make_customer(run, folder) if gateway.url else {}
    submit_many(gateway.url, headers, 5)
    poll(carrier.stats, lambda stats: stats["submit_sm"] == 5)
    gateway.interrupt()
    poll(lambda: gateway.logged("stopping"), bool)  # for half a minute, waiting for answers
    asked_at = time.monotonic()
    gateway.interrupt()
    assert gateway.wait() == 1
    assert time.monotonic() - asked_at < 10.0
    assert gateway.sentence.startswith("gateway: stopped at once")
    # Also in a hurry, its own PostgreSQL does not stay behind.
    assert [words for words in processes_of(folder) if "postgres" in words] == []
