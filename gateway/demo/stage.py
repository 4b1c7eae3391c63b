"""What the demonstration stands on: its folder, the carriers, the database and the gateway.

Everything runs in processes of its own and ends with the context, in order: gateway, database,
carriers. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from gateway.demo.carriers import NORTH, SOUTH, Simulator
from gateway.demo.children import Child, DidNotStart
from gateway.demo.interrupts import interrupts_put_off
from gateway.errors import ConfigError
from gateway.store.embedded import EmbeddedPostgres, start_embedded

READY_TIMEOUT_S: Final = 120.0
"""A first start makes a database cluster: two seconds here, many on a slow disk."""
COUNTS_TIMEOUT_S: Final = 10.0

_MARK: Final = "demo.lock"
"""Says that a folder is a demonstration's, made anew by each, and keeps a second one out."""

_SETTINGS: Final = """\
# Written by `gateway demo`, anew each time.
[node]
data_dir = {data_dir}

[http]
port = 0

[log]
format = "json"

"""


class Stage:
    """The running parts; made by `set_up`."""

    def __init__(
        self, folder: Path, simulator: Simulator, gateway: Child, database: EmbeddedPostgres
    ) -> None:
        self.folder = folder
        self.database_url = database.url
        self._simulator = simulator
        self._gateway = gateway
        self.api_url = ""

    def wait_ready(self) -> None:
        """Return when the gateway listens; raises DidNotStart."""
        said = self._gateway.read_line(READY_TIMEOUT_S)
        found = re.search(r"http://[\d.]+:\d+", said)
        if found is None:
            raise DidNotStart(f"the gateway did not start: {_last_line(_log(self.folder))}")
        self.api_url = found.group()

    def stop_gateway(self) -> int:
        """Stop the gateway in order and return its exit status."""
        return self._gateway.stop()

    def fetch_counts(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what each carrier has counted, by its name."""
        address = ("127.0.0.1", self._simulator.control_port)
        with socket.create_connection(address, COUNTS_TIMEOUT_S) as control:
            control.sendall(b'{"do": "stats"}\n')
            with control.makefile("rb") as answers:
                north, south = json.loads(answers.readline())["carriers"]
        return {NORTH: north, SOUTH: south}


@contextlib.contextmanager
def set_up(folder: Path) -> Iterator[Stage]:
    """Start everything in `folder`; raises ConfigError or DidNotStart."""
    with contextlib.ExitStack() as parts:
        parts.enter_context(_own(folder))
        with interrupts_put_off():
            simulator = parts.enter_context(Simulator(stderr=folder / "simulator.log"))
        simulator.wait_ready()
        # Whoever of the two is first starts the database; the other joins. Our share in it lets
        # us look into it after the gateway's end, and end it if the gateway can't.
        with interrupts_put_off():
            gateway = parts.enter_context(_start_gateway(folder, simulator))
            database = start_embedded(folder)
            parts.callback(database.stop)
            parts.callback(gateway.end)
        stage = Stage(folder, simulator, gateway, database)
        stage.wait_ready()
        yield stage


def _start_gateway(folder: Path, simulator: Simulator) -> Child:
    settings = folder / "gateway.toml"
    head = _SETTINGS.format(data_dir=json.dumps(str(folder.resolve()), ensure_ascii=False))
    settings.write_text(head + simulator.settings(), encoding="utf-8")
    return Child(
        "gateway",
        *("--config", str(settings), "serve"),
        stderr=_log(folder),
        # Its database is the one in the folder, whatever the environment names.
        environment={k: v for k, v in os.environ.items() if k != "DATABASE_URL"},
    )


def _own(folder: Path) -> IO[str]:
    """Make the folder, or clear one of an earlier demonstration; ours until the file is closed."""
    key = "--data-dir"
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / _MARK).exists():
            raise ConfigError(key, f"{folder} holds other things; name a new or empty folder")
        mark = (folder / _MARK).open("a", encoding="utf-8")
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(folder)
        except BaseException:
            mark.close()
            raise
    except BlockingIOError:
        raise ConfigError(key, f"another demonstration runs in {folder}") from None
    except OSError as error:
        raise ConfigError(key, f"can't use {folder}: {error}") from error
    return mark


def _clear(folder: Path) -> None:
    """Take away the earlier database, so that each run counts its own messages alone."""
    if (folder / "postgresql" / "postmaster.pid").exists():
        # Its last users were killed. A cluster too broken to start has no server either.
        with contextlib.suppress(ConfigError), interrupts_put_off():
            start_embedded(folder).stop()
    for left in (folder / "postgresql", folder / "postgresql.new"):
        if left.exists():
            shutil.rmtree(left)


def _log(folder: Path) -> Path:
    return folder / "gateway.log"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it said nothing ({log})"
