from __future__ import annotations

import pytest

from gateway.store.schema import Migration, load_migrations
from gateway.store.sql_text import split_statements


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("", []),
        (" ; ;\n", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\n\n  SELECT\n\t2 ;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1 -- one; or two\n, 2; /* ; */ SELECT 3", ["SELECT 1 , 2", "SELECT 3"]),
        ("SELECT 'a;b', 'it''s;', E'\\';'", ["SELECT 'a;b', 'it''s;', E'\\';'"]),
        ('SELECT "a;b"', ['SELECT "a;b"']),
        ("DO $$ a; b $$; SELECT $x$ $$;$$ $x$", ["DO $$ a; b $$", "SELECT $x$ $$;$$ $x$"]),
        ("SELECT '--no', 1 -- yes", ["SELECT '--no', 1"]),
    ],
)
def test_sql_is_cut_where_statements_end(sql: str, statements: list[str]) -> None:
    assert split_statements(sql) == statements


def test_what_is_quoted_can_be_emptied() -> None:
    sql = "INSERT INTO \"t;\" VALUES ('DROP; TABLE'); DO $a$ DROP TABLE x; $a$"
    assert split_statements(sql, blank=True) == ["INSERT INTO \"t;\" VALUES ('')", "DO $$$$"]


@pytest.mark.parametrize("migration", load_migrations(), ids=str)
def test_every_migration_is_understood(migration: Migration) -> None:
    """Each statement begins with a word of SQL, so none was cut inside a text or a body."""
    statements = split_statements(migration.sql)
    first = {statement.split(" ", 1)[0] for statement in statements}
    assert first <= {"ALTER", "COMMENT", "CREATE", "DELETE", "DROP", "INSERT", "UPDATE"}
