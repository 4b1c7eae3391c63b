"""SIGHUP has a real `gateway serve` show renewed certificates, or go on with the former ones."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S = 60.0 * float(os.environ.get("TIMEOUT_FACTOR", "1"))
FILE_BYTES = 4_096

Serve = Callable[[str], "Process"]


class Process:
    """`gateway serve` as a service: without a terminal, whose end SIGHUP would mean otherwise."""

    def __init__(self, config: Path) -> None:
        self._log = config.with_suffix(".log")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                # Who runs the tests under nohup would have the gateway ignore SIGHUP as well.
                [
                    *("env", "--default-signal=HUP"),
                    *(sys.executable, "-m", "gateway", "--config", str(config), "serve"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={k: v for k, v in os.environ.items() if k != "DATABASE_URL"},
            )
        self.port = int(self._wait_for_port())

    def _wait_for_port(self) -> str:
        assert self.process.stdout is not None
        said = ""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while (found := re.search(r"https://[\d.]+:(\d+)\n", said)) is None:
                assert selector.select(TIMEOUT_S), self._log.read_text()
                read = os.read(self.process.stdout.fileno(), 65_536)
                assert read, self._log.read_text()
                said += read.decode()
        return found[1]

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(each) for each in self._log.read_text().splitlines() if each[0] == "{"]
        return [line for line in lines if line["event"] == event]

    def wait_until_logged(self, event: str, count: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + TIMEOUT_S
        while len(found := self.logged(event)) < count:
            assert self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)  # there is no event to wait for in another process
        return found

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def serve(tmp_path: Path, database_url: str) -> Iterator[Serve]:
    started: list[Process] = []

    def start(settings: str) -> Process:
        config = tmp_path / "gateway.toml"
        config.write_text(f'[node]\ndatabase_url = "{database_url}"\n{settings}')
        started.append(Process(config))
        return started[-1]

    yield start
    for process in started:
        process.close()


def write_unseen(path: Path, content: bytes) -> None:
    """Write a file so that its look from outside stays: what only SIGHUP has read anew."""
    stamps = path.stat() if path.exists() else None
    with path.open("r+b" if stamps else "wb") as file:
        file.write(content.ljust(FILE_BYTES, b"\n"))
    if stamps is not None:
        os.utime(path, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
        assert path.stat().st_mtime_ns == stamps.st_mtime_ns


def serial_of(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=TIMEOUT_S)


def test_sighup_to_a_service_renews_what_http_and_smpp_show(
    serve: Serve, authority: Any, tmp_path: Path
) -> None:
    first, second = authority.issue("gw.test"), authority.issue("gw.test")
    cert, key = tmp_path / "gw.cert", tmp_path / "gw.key"
    write_unseen(cert, first.cert.read_bytes())
    write_unseen(key, first.key.read_bytes())
    tls = f'enabled = true\nport = 0\ncert_file = "{cert}"\nkey_file = "{key}"\n'
    gateway = serve(
        f"[http]\nplain = false\n[http.tls]\n{tls}"
        f"[smpp]\nenabled = true\nplain = false\n[smpp.tls]\n{tls}"
    )
    ports = gateway.port, gateway.wait_until_logged("listening", 1)[0]["port"]
    assert {serial_of(port) for port in ports} == {first.cert.read_text()}

    # The key of another certificate is refused: the former stays, and the process too.
    write_unseen(key, second.key.read_bytes())
    gateway.process.send_signal(signal.SIGHUP)
    refused = gateway.wait_until_logged("certificate_refused", 2)
    assert {each["setting"].rpartition(".")[0] for each in refused} == {"http.tls", "smpp.tls"}
    assert {serial_of(port) for port in ports} == {first.cert.read_text()}

    write_unseen(cert, second.cert.read_bytes())
    gateway.process.send_signal(signal.SIGHUP)
    renewed = gateway.wait_until_logged("certificate_renewed", 2)
    assert {each["setting"] for each in renewed} == {"http.tls", "smpp.tls"}
    assert {serial_of(port) for port in ports} == {second.cert.read_text()}
    assert gateway.logged("stopping") == []

    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(TIMEOUT_S) == 0
