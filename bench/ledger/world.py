"""The processes of a run: two carriers, and the gateway with its PostgreSQL, which are killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.ledger.setting import write_scripts, write_settings

READY_TIMEOUT_S: Final = 120.0
COMMAND_TIMEOUT_S: Final = 300.0


class World:
    """Everything that runs; `close` ends it, whatever state it is in."""

    def __init__(self, folder: Path, seed: int, *, silent: bool) -> None:
        self._folder = folder
        self._port = _free_port()
        self._ports = _free_port(), _free_port()
        self._settings = write_settings(folder, self._port, *self._ports)
        self._scripts = write_scripts(folder, seed, silent=silent)
        self._gateway: asyncio.subprocess.Process | None = None
        self._carriers: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()
        """Cleared while the gateway is down."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        words = []
        for port, script in zip(self._ports, self._scripts, strict=True):
            words += ["--port", str(port), "--script", str(script)]
        self._carriers = await self._spawn("bench.smsc", *words, log="carriers.log")
        await self.start_gateway()

    async def start_gateway(self) -> None:
        """Start the gateway and wait until it is ready."""
        self._gateway = await self._spawn(
            "gateway", "--config", str(self._settings), "serve", log="gateway.log"
        )
        deadline = time.monotonic() + READY_TIMEOUT_S
        async with aiohttp.ClientSession() as http:
            while True:
                if self._gateway.returncode is not None or time.monotonic() > deadline:
                    log = (self._folder / "gateway.log").read_text()[-3_000:]
                    raise RuntimeError(f"the gateway did not get ready:\n{log}")
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            self.ready.set()
                            return
                await asyncio.sleep(0.05)

    async def kill_gateway(self) -> None:
        """Kill it in the middle of everything, and start it again."""
        assert self._gateway is not None
        self.ready.clear()
        self._gateway.kill()
        await self._gateway.wait()
        await self.start_gateway()

    def kill_database(self) -> None:
        """Kill PostgreSQL; the gateway starts it again."""
        with contextlib.suppress(ProcessLookupError, OSError, ValueError, IndexError):
            os.kill(int(self._pid_file.read_text().splitlines()[0]), signal.SIGKILL)

    async def stop_gateway(self) -> None:
        """Stop it in order, and PostgreSQL with it."""
        assert self._gateway is not None
        self.ready.clear()
        self._gateway.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self._gateway.wait(), READY_TIMEOUT_S)

    async def run(self, *words: str, good: tuple[int, ...] = (0,)) -> Any:
        """Run a `gateway` command and return what it says, read from JSON."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "--config", str(self._settings), *words, "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        out, err = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT_S)
        if process.returncode not in good:
            raise RuntimeError(f"gateway {' '.join(words)}: {out.decode()}{err.decode()}")
        return json.loads(out)

    async def close(self) -> None:
        for process in (self._gateway, self._carriers):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
        with contextlib.suppress(ProcessLookupError, OSError, ValueError, IndexError):
            os.kill(int(self._pid_file.read_text().splitlines()[0]), signal.SIGQUIT)

    @property
    def data_folder(self) -> Path:
        return self._folder / "data"

    @property
    def _pid_file(self) -> Path:
        return self.data_folder / "postgresql" / "postmaster.pid"

    async def _spawn(self, module: str, *words: str, log: str) -> asyncio.subprocess.Process:
        with (self._folder / log).open("ab") as out:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, *words), stdout=out, stderr=out, env=_environment()
            )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
