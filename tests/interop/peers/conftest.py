"""Whole processes on real sockets: our gateway, and SMPP implementations of others.

`ops/install-peers` installs those. Where one is missing its tests are skipped with that reason;
in CI they fail.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from bench.peers.processes import find_free_ports

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
NODE_MODULES = ROOT / ".peers" / "node_modules"
TIMEOUT_S = 60.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
STOP_S = 20.0


def _which(program: str) -> str | None:
    # Debian puts Kannel's programs where only root's PATH looks.
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _require(present: object, what: str) -> None:
    if present:
        return
    reason = f"{what} is not installed: run ops/install-peers"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Process:
    """A child process that is ended with its test, and whose last lines tell what went wrong."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        speaks: bool = False,
    ) -> None:
        self._log = log
        with log.open("ab") as out:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if speaks else out,
                stderr=out,
                env={**os.environ, **(environment or {})},
                text=speaks,
            )

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-4_000:]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(how)
            try:
                self.popen.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        return self.popen.wait(STOP_S)


class NodePeer:
    """`node_peer.js`: takes orders, says events. See there for both."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._process = Process(
            [str(_which("node")), str(HERE / "node_peer.js"), *arguments],
            log,
            environment={"NODE_PATH": str(NODE_MODULES)},
            speaks=True,
        )
        self._orders = 0
        self._events: list[dict[str, Any]] = []
        self._told = threading.Condition()
        pipe = self._process.popen.stdout
        assert pipe is not None
        threading.Thread(target=self._listen, args=(pipe,), daemon=True).start()

    def tell(self, do: str, **order: Any) -> None:
        """Give an order and wait until it is carried out."""
        pipe = self._process.popen.stdin
        assert pipe is not None
        self._orders += 1
        pipe.write(json.dumps({"do": do, "number": self._orders, **order}) + "\n")
        pipe.flush()
        self.expect("done", number=self._orders)

    def expect(self, event: str, timeout_s: float = TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Wait for an event with these fields, take it out and return it."""
        wanted = {"event": event, **fields}
        deadline = time.monotonic() + timeout_s
        with self._told:
            while True:
                for each in self._events:
                    if wanted.items() <= each.items():
                        self._events.remove(each)
                        return each
                if not self._told.wait(deadline - time.monotonic()):
                    seen = [json.dumps(each)[:300] for each in self._events[-12:]]
                    raise AssertionError("\n".join([f"no {wanted}; what came last:", *seen]))

    def has(self, event: str) -> bool:
        """Say whether such an event has come that nobody has waited for."""
        with self._told:
            return any(each["event"] == event for each in self._events)

    def forget(self) -> None:
        """Drop every event that nobody has waited for."""
        with self._told:
            self._events.clear()

    def stop(self) -> None:
        self._process.stop()

    def _listen(self, pipe: IO[str]) -> None:
        with contextlib.suppress(ValueError):  # the pipe is closed at the end
            for line in pipe:
                with self._told:
                    self._events.append(json.loads(line))
                    self._told.notify_all()


class Gateway:
    """Our gateway as its users run it, with its own PostgreSQL, and one account."""

    def __init__(self, folder: Path, config: str) -> None:
        self._folder = folder
        self._config = folder / "gateway.toml"
        (self.http_port,) = find_free_ports(1)
        head = f'[node]\ndata_dir = "{folder}/data"\n[http]\nport = {self.http_port}\n'
        self._config.write_text(head + config)
        self._process: Process | None = None
        self.key = ""

    def start(self) -> None:
        """Start it and wait until it is ready."""
        words = [sys.executable, "-m", "gateway", "--config", str(self._config), "serve"]
        self._process = Process(words, self._folder / "gateway.log", environment=_ENVIRONMENT)
        self.wait_until(self._ready, "the gateway to be ready", 60.0)

    def make_account(self, name: str = "shop", *settings: str) -> None:
        """Make an account; the first one is who `call` speaks for."""
        made = self.run(
            *("account", "create", name, "--credit", "1000", "--with-key", "--json", *settings)
        )
        self.key = self.key or json.loads(made)["key"]

    def give_smpp(self, system_id: str, password: str, *settings: str, name: str = "shop") -> None:
        """Let an account bind; `settings` as the command line has them."""
        words = ("account", "smpp", "set", name, "--system-id", system_id, "--password", "-")
        self.run(*words, *settings, stdin=password)

    def run(self, *words: str, stdin: str = "") -> str:
        """Run a `gateway` command and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "--config", str(self._config), *words],
            env={**os.environ, **_ENVIRONMENT},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call the HTTP API; return status and what the JSON says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=TIMEOUT_S)
        try:
            octets = None if body is None else json.dumps(body).encode()
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
            connection.request(method, path, octets, headers)
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        with contextlib.suppress(ValueError):
            return answer.status, json.loads(raw)
        return answer.status, raw.decode(errors="replace")

    def send(self, to: str, **message: Any) -> str:
        """Submit a message over HTTP and return its id."""
        status, answer = self.call("POST", "/v1/messages", {"to": to, "from": "Shop", **message})
        assert status == 202, answer
        sent: str = answer["id"]
        return sent

    def read(self, message_id: str) -> Any:
        status, answer = self.call("GET", f"/v1/messages/{message_id}")
        assert status == 200, answer
        return answer

    def wait_for_status(self, message_id: str, status: str) -> Any:
        """Wait until a message has a status, and return the message."""
        self.wait_until(
            lambda: self.read(message_id)["status"] == status, f"{status} of {message_id}"
        )
        return self.read(message_id)

    def wait_until(
        self, holds: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"waited for {what}:\n{self.said()}"
            time.sleep(0.02)

    def said(self) -> str:
        return "" if self._process is None else self._process.said()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.popen.poll() is None, self.said()
        with contextlib.suppress(OSError):
            return self.call("GET", "/readyz")[0] == 200
        return False


_ENVIRONMENT = {"DATABASE_URL": ""}  # its own PostgreSQL, whatever the other tests use


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="interop"))
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def start_node(folder: Path) -> Iterator[Callable[..., NodePeer]]:
    """Start npm's `smpp`: `start_node("listen")`, `start_node("listen", tls=True)`, "connect"."""
    _require(_which("node"), "node")
    _require((NODE_MODULES / "smpp").is_dir(), "npm's package smpp")
    with contextlib.ExitStack() as stack:

        def start(mode: str, *, port: int = 0, tls: bool = False) -> NodePeer:
            certificate = (str(HERE / "key.pem"), str(HERE / "cert.pem")) if tls else ()
            peer = NodePeer(folder / "node.log", mode, str(port), *certificate)
            stack.callback(peer.stop)
            return peer

        yield start


@pytest.fixture(scope="module")
def make_gateway(folder: Path) -> Iterator[Callable[[str], Gateway]]:
    """Make a gateway with settings in TOML and an account, to be started when all is set."""
    with contextlib.ExitStack() as stack:

        def make(config: str) -> Gateway:
            gateway = Gateway(folder, config)
            stack.callback(gateway.stop)
            gateway.make_account()
            return gateway

        yield make


@pytest.fixture(scope="session")
def ca_file() -> Path:
    """The certificate of peers that speak TLS, which vouches for itself."""
    return HERE / "cert.pem"


# ── Kannel, and who listens to it ────────────────────────────────────────────────────────────


class Kannel:
    """A bearerbox and a smsbox."""

    def __init__(self, folder: Path, settings: str, **ports: int) -> None:
        self._folder = folder
        self._admin_port, self._sendsms_port, smsbox_port = find_free_ports(3)
        config = folder / "kannel.conf"
        config.write_text(
            settings.format(
                admin_port=self._admin_port,
                smsbox_port=smsbox_port,
                sendsms_port=self._sendsms_port,
                **ports,
            )
        )
        self._processes: list[Process] = []
        for program in ("bearerbox", "smsbox"):
            command = [str(_which(program)), "-v", "0", str(config)]
            self._processes.append(Process(command, folder / f"{program}.log"))
            self._wait_for(program)

    def ask(self, path: str) -> str:
        """Ask the smsbox, and return the body of its answer."""
        return _get(self._sendsms_port, path)

    def status(self) -> str:
        """Return what the bearerbox says of its binds."""
        return _get(self._admin_port, "/status.txt?password=secret")

    def wait_for_log(self, words: str, times: int) -> None:
        """Wait until the bearerbox has logged something as often."""
        log = self._folder / "bearerbox.log"
        deadline = time.monotonic() + TIMEOUT_S
        while log.read_text(errors="replace").count(words) < times:
            assert time.monotonic() < deadline, self._processes[0].said()
            time.sleep(0.05)

    def stop(self) -> None:
        # The smsbox first: it ends when its bearerbox does, but says so as an error.
        for process in reversed(self._processes):
            process.stop()

    def _wait_for(self, program: str) -> None:
        process, deadline = self._processes[-1], time.monotonic() + TIMEOUT_S
        port = self._admin_port if program == "bearerbox" else self._sendsms_port
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            assert process.popen.poll() is None, process.said()
            assert time.monotonic() < deadline, process.said()
            time.sleep(0.05)


class Listener:
    """An HTTP server that remembers what it was asked."""

    def __init__(self) -> None:
        self._asked: list[tuple[str, dict[str, str]]] = []
        self._told = threading.Condition()
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                with listener._told:
                    listener._asked.append((path, _read_query(query)))
                    listener._told.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def expect(self, path: str, **parameters: str) -> dict[str, str]:
        """Wait for a request with these parameters, and return all that it had."""
        deadline = time.monotonic() + TIMEOUT_S
        with self._told:
            while True:
                for asked in self._asked:
                    if asked[0] == path and parameters.items() <= asked[1].items():
                        self._asked.remove(asked)
                        return asked[1]
                last = self._asked[-8:]
                assert self._told.wait(deadline - time.monotonic()), f"no {path}; last: {last}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _read_query(query: str) -> dict[str, str]:
    """Return a query's parameters, and as "raw …" those that are octets and no text."""
    read = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    for pair in query.split("&"):
        name, _, raw = pair.partition("=")
        read[f"raw {name}"] = raw
    return read


def _get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode(errors="replace")
    finally:
        connection.close()


@pytest.fixture(scope="module")
def start_kannel(folder: Path) -> Iterator[Callable[..., Kannel]]:
    """Start Kannel with a configuration and the ports that it names."""
    for program in ("bearerbox", "smsbox"):
        _require(_which(program), f"Kannel's {program}")
    with contextlib.ExitStack() as stack:

        def start(settings: str, **ports: int) -> Kannel:
            kannel = Kannel(folder, settings, **ports)
            stack.callback(kannel.stop)
            return kannel

        yield start


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.stop()
