"""The schema as numbered SQL files, and which code may run on which of them.

*Code N* is code whose last migration is N. A file says in its first lines, for the code before it:

    -- oldest_code: 20       the oldest code that may run on a database that has this migration
    -- contracts: 0.2.0      the last use of what it takes away ended in this release
    -- unharmed: why         what older code calls or reads is changed, and why that does no harm
    -- stop_first: why       every gateway has to be stopped for it

A file without `oldest_code` can be run on by no code older than itself. `migration_rules.py` reads
the statements; `docs/upgrading.md` has the rule in words.

Not here: applying (`migrate.py`).
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway import __version__
from gateway.errors import ConfigError
from gateway.store.sql_text import split_statements

INDEX_NAME_CHARS_MAX = 40
"""A partition's index is named after both, in PostgreSQL's 63 characters."""
MIGRATIONS = Path(__file__).parent / "migrations"
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_HEADER = re.compile(r"-- (oldest_code|contracts|unharmed|stop_first): *(\S.*)")
_CONCURRENT = re.compile(
    r"CREATE (UNIQUE )?INDEX CONCURRENTLY (\w+) ON (\w+) ?(.+)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Index:
    """One CREATE INDEX CONCURRENTLY, taken apart."""

    name: str
    table: str
    unique: bool
    rest: str
    """What follows the table's name."""

    def write(self, name: str, where: str, *, concurrently: bool) -> str:
        """Return the statement that makes it under another name, on one of its partitions."""
        words = ("CREATE", "UNIQUE" * self.unique, "INDEX", "CONCURRENTLY" * concurrently, name)
        return f"{' '.join(filter(None, words))} ON {where} {self.rest}"


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @functools.cached_property
    def header(self) -> dict[str, str]:
        """What the file says of itself, from the comment that it begins with."""
        said: dict[str, str] = {}
        for line in self.sql.splitlines():
            if not line.startswith("--"):
                break
            if found := _HEADER.fullmatch(line.rstrip()):
                said[found[1]] = found[2]
        return said

    @property
    def oldest_code(self) -> int:
        """The oldest code that may run on a database that has this migration."""
        return int(self.header.get("oldest_code", self.version))

    @functools.cached_property
    def index(self) -> Index | None:
        """What it builds beside the writers, if that is what it is for."""
        statements = split_statements(self.sql)
        found = _CONCURRENT.fullmatch(statements[0]) if len(statements) == 1 else None
        return found and Index(found[2], found[3], bool(found[1]), found[4])

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """A row of `schema_migrations`."""

    version: int
    name: str
    checksum: str
    oldest_code: int | None = None
    """None: it was applied by code that knew no such rule; then no older code may run on it."""

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"


def load_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """Read the migrations that came with this code, in order."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        assert match, f"{path.name} is not NNNN_name.sql"
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    versions = [m.version for m in found]
    assert versions == list(range(1, len(found) + 1)), f"versions have gaps: {versions}"
    return found


@functools.cache
def name_code() -> str:
    """Return what this code is called among others: its version, and its last migration."""
    return f"{__version__}/{len(load_migrations()):04}"


def choose_pending(known: Sequence[Migration], applied: Sequence[Applied]) -> list[Migration]:
    """Return what is still to apply, in order.

    Raises ConfigError when newer code has changed the schema in a way that this code can't run
    on, or when a file that was already applied has changed since: nobody knows what is there.
    """
    by_version = {m.version: m for m in known}
    for row in applied:
        migration = by_version.get(row.version)
        if migration is not None and migration.checksum != row.checksum:
            raise ConfigError(
                "node.database_url",
                f"migration {migration} was changed after it was applied to this database",
            )
    check_code(len(known), applied)
    done = {row.version for row in applied}
    return [m for m in known if m.version not in done]


def check_code(code: int, applied: Sequence[Applied]) -> None:
    """Raise ConfigError unless this code may run on what was applied."""
    for row in applied:
        oldest = row.version if row.oldest_code is None else row.oldest_code
        if row.version > code and oldest > code:
            raise ConfigError(
                "node.database_url",
                f"the database is newer than this gateway: its migration {row} asks for code"
                f" that knows migration {oldest:04} at least, and this code's last one is"
                f" {code:04}; install the newer gateway",
            )
