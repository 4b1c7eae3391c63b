from __future__ import annotations

import pytest

from gateway.errors import ConfigError
from gateway.store.schema import Applied, Migration, check_code, choose_pending, load_migrations

ONE = Migration(1, "one", "SELECT 1")
TWO = Migration(2, "two", "SELECT 2")


def applied(migration: Migration) -> Applied:
    return Applied(migration.version, migration.name, migration.checksum, migration.oldest_code)


def test_the_files_are_numbered_without_gaps_and_not_empty() -> None:
    migrations = load_migrations()
    assert [m.version for m in migrations] == list(range(1, len(migrations) + 1))
    assert all(m.sql.strip() for m in migrations)


def test_everything_is_pending_for_an_empty_database() -> None:
    assert choose_pending([ONE, TWO], []) == [ONE, TWO]


def test_what_was_applied_is_not_pending() -> None:
    assert choose_pending([ONE, TWO], [applied(ONE)]) == [TWO]
    assert choose_pending([ONE, TWO], [applied(ONE), applied(TWO)]) == []


def test_a_newer_schema_that_says_nothing_of_older_code_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"newer than this gateway: its migration 0002_two asks"):
        choose_pending([ONE], [applied(ONE), applied(TWO)])


def test_a_newer_schema_is_run_on_by_the_code_that_it_names_and_by_no_older_one() -> None:
    rows = [Applied(3, "three", "", 1), Applied(4, "four", "", 2)]
    check_code(2, rows)
    check_code(3, rows)
    check_code(5, rows)
    with pytest.raises(ConfigError, match=r"0004_four asks for code that knows migration 0002"):
        check_code(1, rows)


def test_code_that_knows_a_migration_runs_on_it_whatever_that_says_of_older_code() -> None:
    assert choose_pending([ONE, TWO], [applied(ONE), Applied(2, "two", TWO.checksum)]) == []


def test_a_changed_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="changed"):
        choose_pending([Migration(1, "one", "SELECT 3")], [applied(ONE)])


def test_a_header_is_read_from_the_first_comment_alone() -> None:
    first = "-- What it is for.\n-- oldest_code: 20\n-- unharmed: they agree\n"
    sql = f"{first}SELECT 1;\n-- stop_first: x"
    migration = Migration(22, "x", sql)
    assert migration.header == {"oldest_code": "20", "unharmed": "they agree"}
    assert migration.oldest_code == 20
    assert Migration(22, "x", "SELECT 1; -- oldest_code: 20").oldest_code == 22


def test_an_index_beside_writers_is_taken_apart() -> None:
    sql = "-- oldest_code: 1\ncreate unique index concurrently i on t(a, b) WHERE c = 'x;y';"
    index = Migration(2, "x", sql).index
    assert index is not None
    assert (index.name, index.table, index.unique) == ("i", "t", True)
    made = index.write("p_i", "p", concurrently=True)
    assert made == "CREATE UNIQUE INDEX CONCURRENTLY p_i ON p (a, b) WHERE c = 'x;y'"
    made = index.write("i", "ONLY t", concurrently=False)
    assert made == "CREATE UNIQUE INDEX i ON ONLY t (a, b) WHERE c = 'x;y'"


@pytest.mark.parametrize("sql", ["CREATE INDEX i ON t (a)", "SELECT 1; SELECT 2", ""])
def test_everything_else_is_applied_in_a_transaction(sql: str) -> None:
    assert Migration(2, "x", sql).index is None
