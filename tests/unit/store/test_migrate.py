from __future__ import annotations

import pytest

from gateway.errors import ConfigError
from gateway.store.migrate import Applied, Migration, choose_pending, load_migrations

ONE = Migration(1, "one", "SELECT 1")
TWO = Migration(2, "two", "SELECT 2")


def applied(migration: Migration) -> Applied:
    return Applied(migration.version, migration.name, migration.checksum)


def test_the_files_are_numbered_without_gaps_and_not_empty() -> None:
    migrations = load_migrations()
    assert [m.version for m in migrations] == list(range(1, len(migrations) + 1))
    assert all(m.sql.strip() for m in migrations)


def test_everything_is_pending_for_an_empty_database() -> None:
    assert choose_pending([ONE, TWO], []) == [ONE, TWO]


def test_what_was_applied_is_not_pending() -> None:
    assert choose_pending([ONE, TWO], [applied(ONE)]) == [TWO]
    assert choose_pending([ONE, TWO], [applied(ONE), applied(TWO)]) == []


def test_a_row_that_the_code_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match="newer"):
        choose_pending([ONE], [applied(ONE), applied(TWO)])


def test_a_changed_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="changed"):
        choose_pending([Migration(1, "one", "SELECT 3")], [applied(ONE)])
