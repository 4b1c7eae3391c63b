"""Releases that can be run beside each other, each as a folder with its package.

The present code; the last release, as `ops/upgrade-from.toml` names it, out of the repository's
history; and a next one, which is the present code with migrations that it does not have yet.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from gateway.store.schema import Migration, load_migrations

ROOT: Final = Path(__file__).parents[2]
LAST_RELEASE: Final = ROOT / "ops" / "upgrade-from.toml"
_MIGRATIONS: Final = Path("gateway", "store", "migrations")


class NotHere(Exception):
    """The last release is not in this copy's history; says why."""


@dataclass(frozen=True, slots=True)
class Release:
    """A gateway that can be run: what people call it, and the folder that its package is in."""

    name: str
    folder: Path

    @property
    def migrations(self) -> list[Migration]:
        return load_migrations(self.folder / _MIGRATIONS)

    @property
    def code(self) -> int:
        """The last migration that it knows."""
        return len(self.migrations)

    def environment(self) -> dict[str, str]:
        """What a process of it is started with."""
        kept = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "GATEWAY_CONFIG")}
        return kept | {"PYTHONPATH": str(self.folder)}


PRESENT: Final = Release("the present code", ROOT)


def unpack_last(folder: Path) -> Release:
    """Put the last release into `folder`; raises NotHere when the history does not reach it."""
    told = tomllib.loads(LAST_RELEASE.read_text(encoding="utf-8"))
    commit = told["commit"]
    packed = _git("archive", "--format=zip", commit, "gateway")
    with zipfile.ZipFile(BytesIO(packed)) as archive:
        archive.extractall(folder)
    return Release(f"{told['release']} ({commit[:9]})", folder)


def _git(*words: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words],  # noqa: S607 - whichever git there is
            capture_output=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError as error:
        raise NotHere("there is no git") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotHere(f"git {words[0]}: {said[-1] if said else 'failed'}")
    return done.stdout


def may_follow(old: Release, new: Release) -> bool:
    """Whether `old` may run on what `new` makes of its schema, as that says itself."""
    return all(m.oldest_code <= old.code for m in new.migrations[old.code :])


def make_next(
    folder: Path, steps: Sequence[tuple[str, str]], *, stop_first: bool = False
) -> Release:
    """Make a release in `folder` that is the present code with further migrations.

    `steps` are their names and statements; with `stop_first` no older code may run on any.
    """
    shutil.copytree(
        ROOT / "gateway", folder / "gateway", ignore=shutil.ignore_patterns("__pycache__")
    )
    for number, (name, sql) in enumerate(steps, PRESENT.code + 1):
        header = f"-- oldest_code: {number if stop_first else PRESENT.code}\n"
        if stop_first:
            header += "-- stop_first: this is about gateways that can't run together\n"
        (folder / _MIGRATIONS / f"{number:04}_{name}.sql").write_text(header + sql)
    return Release("the one to come", folder)


EXPANDING: Final = (
    (
        "noted",
        "ALTER TABLE messages ADD COLUMN noted text NOT NULL DEFAULT '';\n"
        "ALTER TABLE events ADD COLUMN noted integer;\n"
        "CREATE TABLE notes (id bigint PRIMARY KEY, account_id integer REFERENCES accounts);\n",
    ),
    (
        "messages_by_note",
        "CREATE INDEX CONCURRENTLY messages_by_note ON messages (account_id, noted, id);\n",
    ),
    ("notes_by_account", "CREATE INDEX CONCURRENTLY notes_by_account ON notes (account_id);\n"),
)
"""What a release may add while the one before it runs: on the tables that are written most."""
BREAKING: Final = (("without_needed_texts", "DROP TABLE needed_texts;\n"),)
"""What the release before could not live with."""
