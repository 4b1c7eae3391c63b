"""The whole system as its users run it: real processes, real sockets, its own PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.peers.processes import find_free_ports

READY_TIMEOUT_S = 120.0
WINDOW = 100

CONFIG = """
[node]
data_dir = "{folder}/data"
[http]
port = {http_port}
[dispatch]
retry_first_s = 0.5
stop_timeout_s = 5
[[carrier]]
name = "alpha"
host = "127.0.0.1"
port = {smsc_port}
system_id = "alpha"
password = "secret"
window_size = {window}
reconnect_first_s = 0.2
reconnect_max_s = 1.0
[[route]]
carriers = ["alpha"]
[[price]]
price = "0.0075"
"""


class World:
    """One gateway, one simulated carrier, one account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http_port, self.smsc_port, self.control_port = find_free_ports(3)
        self.config = folder / "gateway.toml"
        self.config.write_text(
            CONFIG.format(
                folder=folder, http_port=self.http_port, smsc_port=self.smsc_port, window=WINDOW
            )
        )
        self.gateway: asyncio.subprocess.Process | None = None
        self.smsc: asyncio.subprocess.Process | None = None
        self.key = ""

    async def start_smsc(self, script: str = 'identity = "tag"\n') -> None:
        path = self.folder / "smsc.toml"
        path.write_text(script)
        self.smsc = await self._spawn(
            "-m",
            "bench.smsc",
            "--port",
            str(self.smsc_port),
            "--control-port",
            str(self.control_port),
            "--script",
            str(path),
            log="smsc.log",
        )
        await self._until_listening(self.control_port)

    async def start_gateway(self) -> None:
        self.gateway = await self._spawn(
            "-m", "gateway", "--config", str(self.config), "serve", log="gateway.log"
        )
        async with aiohttp.ClientSession() as http:
            deadline = time.monotonic() + READY_TIMEOUT_S
            while True:
                if self.gateway.returncode is not None or time.monotonic() > deadline:
                    log = (self.folder / "gateway.log").read_text()[-3000:]
                    raise AssertionError(f"the gateway did not get ready:\n{log}")
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def make_account(self, credit: str = "1000") -> None:
        made = await self.run(
            "account",
            "create",
            "shop",
            "--sender",
            "Shop",
            "--credit",
            credit,
            "--with-key",
            "--json",
        )
        self.key = json.loads(made)["key"]

    async def run(self, *words: str, expect: int = 0, said: str = "") -> str:
        """Run a `gateway` command, with what is said to it, and return what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            "--config",
            str(self.config),
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
        )
        out, err = await asyncio.wait_for(process.communicate(said.encode()), 120)
        assert process.returncode == expect, f"{words}: {out.decode()}{err.decode()}"
        return out.decode()

    async def kill_gateway(self) -> None:
        assert self.gateway is not None
        self.gateway.kill()
        await self.gateway.wait()

    async def stop_gateway(self) -> int:
        assert self.gateway is not None
        if self.gateway.returncode is None:
            self.gateway.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.gateway.wait(), 60)

    async def ask_smsc(self, **command: Any) -> Any:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.control_port)
        writer.write(json.dumps(command).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(reader.readline(), 60))
        writer.close()
        return answer

    async def carrier(self) -> dict[str, Any]:
        """Return what the simulated carrier has counted."""
        answer = await self.ask_smsc(do="stats")
        carriers = answer.get("carriers", answer)
        stats: dict[str, Any] = carriers[0] if isinstance(carriers, list) else carriers
        return stats

    async def close(self) -> None:
        if self.gateway is not None:
            with contextlib.suppress(Exception):
                await self.stop_gateway()
            if self.gateway.returncode is None:
                self.gateway.kill()
                await self.gateway.wait()
        if self.smsc is not None and self.smsc.returncode is None:
            self.smsc.kill()
            await self.smsc.wait()
        self._stop_postgres()

    def _stop_postgres(self) -> None:
        """End the server that a killed gateway left behind."""
        pid_file = next(self.folder.glob("data/*/postmaster.pid"), None)
        if pid_file is not None:
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGQUIT)

    async def _spawn(self, *words: str, log: str) -> asyncio.subprocess.Process:
        with (self.folder / log).open("ab") as out:
            return await asyncio.create_subprocess_exec(
                sys.executable, *words, stdout=out, stderr=out, env=self._environment()
            )

    def _environment(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}

    async def _until_listening(self, port: int) -> None:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="gws"))
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    world = World(folder)
    yield world
    await world.close()
    shutil.rmtree(folder, ignore_errors=True)
