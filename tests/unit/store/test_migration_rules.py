"""Migrations are safe for the release before them and for writers that are busy.

First the project's own, then that the rules find what they are for.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from gateway.store.migration_rules import (
    SMALL_TABLES,
    Harm,
    find_harm,
    find_header_faults,
    find_locked,
    stops_writers,
)
from gateway.store.schema import Migration, load_migrations

BEFORE_THE_RULES = 24
"""The last migration from before there was a release that anybody could run beside the next."""
RELEASE = tomllib.loads((Path(__file__).parents[3] / "ops" / "upgrade-from.toml").read_text())


def test_no_migration_does_harm_to_older_code_or_busy_writers() -> None:
    found = {
        str(migration): [
            *find_header_faults(migration, RELEASE["release"], RELEASE["code"]),
            *map(str, find_harm(migration)),
        ]
        for migration in load_migrations()[BEFORE_THE_RULES:]
    }
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_the_last_release_is_one_of_this_schemas_past() -> None:
    assert BEFORE_THE_RULES <= RELEASE["code"] <= len(load_migrations())
    assert re.fullmatch(r"[0-9a-f]{40}", RELEASE["commit"])


def test_every_table_that_is_called_small_is_one_of_the_schemas() -> None:
    made = re.findall(r"CREATE TABLE (\w+)", "\n".join(m.sql for m in load_migrations()))
    assert set(made) >= SMALL_TABLES
    assert SMALL_TABLES.isdisjoint({"messages", "events", "outbox", "deliveries", "idempotency"})


def of(sql: str, *header: str) -> Migration:
    lines = [f"-- {line}" for line in header or ("oldest_code: 20",)]
    return Migration(21, "test", "\n".join([*lines, sql]))


def harms(migration: Migration) -> set[Harm]:
    return {finding.harm for finding in find_harm(migration)}


HARMLESS = [
    "CREATE TABLE new (id bigint PRIMARY KEY, a integer NOT NULL CHECK (a > 0), UNIQUE (a))",
    "CREATE TABLE new (a integer REFERENCES accounts)",
    "CREATE TABLE new (a integer); CREATE UNIQUE INDEX n ON new (a); INSERT INTO new VALUES (1);"
    " ALTER TABLE new ALTER COLUMN a SET NOT NULL; UPDATE new SET a = 2; DELETE FROM new",
    "CREATE TABLE new (a integer); INSERT INTO new SELECT id FROM accounts",
    "CREATE INDEX CONCURRENTLY messages_by_ref ON messages (client_ref) WHERE tag IS NOT NULL",
    "ALTER TABLE messages ADD COLUMN note text",
    "ALTER TABLE messages ADD COLUMN n integer NOT NULL DEFAULT 0, ADD COLUMN at timestamptz"
    " DEFAULT now(), ADD COLUMN d numeric(10, 2)",
    "ALTER TABLE accounts ADD COLUMN kind text NOT NULL DEFAULT '' CHECK (kind IN ('', 'a, b'))",
    "ALTER TABLE messages VALIDATE CONSTRAINT one",
    "ALTER TABLE accounts ALTER COLUMN name SET STATISTICS 100, SET (fillfactor = 50)",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DROP TABLE messages; $$",
    "COMMENT ON TABLE messages IS 'DROP TABLE messages'",
]


@pytest.mark.parametrize("sql", HARMLESS)
def test_what_only_adds_is_allowed(sql: str) -> None:
    assert find_harm(of(sql)) == []


HARMFUL = [
    ("DROP TABLE needed_texts", Harm.BREAKS),
    ("DROP INDEX events_by_status", Harm.BREAKS),
    ("DROP FUNCTION status_rank", Harm.BREAKS),
    ("TRUNCATE needed_texts", Harm.BREAKS),
    ("ALTER TABLE messages DROP COLUMN tag", Harm.BREAKS),
    ("ALTER TABLE messages ADD COLUMN a text, DROP COLUMN tag", Harm.BREAKS),
    ("ALTER TABLE messages DROP CONSTRAINT one", Harm.BREAKS),
    ("ALTER TABLE messages RENAME COLUMN tag TO label", Harm.BREAKS),
    ("ALTER TABLE messages RENAME TO texts", Harm.BREAKS),
    ("ALTER INDEX outbox_due RENAME TO due", Harm.BREAKS),
    ("ALTER VIEW message_states RENAME COLUMN since TO at", Harm.BREAKS),
    ("ALTER TABLE accounts ALTER COLUMN segments_max TYPE bigint", Harm.BREAKS),
    ("ALTER TABLE accounts ALTER segments_max SET DATA TYPE bigint", Harm.BREAKS),
    ("alter table accounts alter column plan set not null", Harm.BREAKS),
    ("ALTER TABLE accounts ALTER COLUMN plan DROP DEFAULT", Harm.BREAKS),
    ("ALTER TABLE messages ADD COLUMN a integer NOT NULL", Harm.BREAKS),
    ("ALTER TABLE messages ADD a integer NOT NULL", Harm.BREAKS),
    ("ALTER TABLE accounts ADD CONSTRAINT c CHECK (name <> '') NOT VALID", Harm.BREAKS),
    ("CREATE UNIQUE INDEX CONCURRENTLY i ON outbox (message_id)", Harm.BREAKS),
    ("ALTER TABLE messages ALTER COLUMN id TYPE numeric", Harm.BLOCKS),
    ("ALTER TABLE messages ALTER COLUMN tag SET NOT NULL", Harm.BLOCKS),
    ("ALTER TABLE accounts ADD COLUMN r double precision DEFAULT random()", Harm.BLOCKS),
    ("ALTER TABLE outbox ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY", Harm.BLOCKS),
    ("ALTER TABLE messages ADD COLUMN s bigserial", Harm.BLOCKS),
    ("ALTER TABLE messages ADD COLUMN a integer CHECK (a > 0)", Harm.BLOCKS),
    ("ALTER TABLE events ADD COLUMN a integer REFERENCES accounts", Harm.BLOCKS),
    ("CREATE INDEX messages_by_ref ON messages (client_ref)", Harm.BLOCKS),
    ("UPDATE messages SET tag = ''", Harm.BLOCKS),
    ("DELETE FROM events", Harm.BLOCKS),
    ("ALTER TABLE messages ADD COLUMN a text; INSERT INTO settings SELECT 1", Harm.BLOCKS),
    ("CREATE OR REPLACE FUNCTION advance_writer() RETURNS void AS $$ $$", Harm.CHANGES),
    ("CREATE OR REPLACE VIEW message_states AS SELECT 1", Harm.CHANGES),
    ("CREATE TRIGGER t AFTER INSERT ON messages EXECUTE FUNCTION f()", Harm.CHANGES),
    ("ALTER TABLE messages ALTER COLUMN sender DROP NOT NULL", Harm.CHANGES),
    ("ALTER TABLE accounts ALTER COLUMN segments_max SET DEFAULT 20", Harm.CHANGES),
    ("UPDATE accounts SET plan = 'x'", Harm.CHANGES),
    ("INSERT INTO settings VALUES (1)", Harm.CHANGES),
    ("DO $$ BEGIN END $$", Harm.UNKNOWN),
    ("LOCK TABLE messages", Harm.UNKNOWN),
    ("ALTER TABLE messages DETACH PARTITION messages_p20260101", Harm.UNKNOWN),
    ("ALTER TABLE accounts ADD CONSTRAINT c CHECK (name <> '')", Harm.UNKNOWN),
    (f"CREATE INDEX CONCURRENTLY {'x' * 41} ON messages (tag)", Harm.UNKNOWN),
    ("CREATE INDEX CONCURRENTLY a ON messages (tag); CREATE TABLE new (a int)", Harm.UNKNOWN),
]


@pytest.mark.parametrize(("sql", "harm"), HARMFUL)
def test_what_does_harm_is_found(sql: str, harm: Harm) -> None:
    assert harm in harms(of(sql))


@pytest.mark.parametrize(("sql", "harm"), HARMFUL)
def test_a_header_allows_its_own_kind_of_harm_alone(sql: str, harm: Harm) -> None:
    contracts = of(sql, "oldest_code: 20", "contracts: 0.1.0 used it last")
    unharmed = of(sql, "oldest_code: 20", "unharmed: it looks at nothing of this")
    assert (harm in harms(contracts)) is (harm is not Harm.BREAKS)
    assert (harm in harms(unharmed)) is (harm is not Harm.CHANGES)
    assert not harms(of(sql, "oldest_code: 21", "stop_first: there is no other way"))


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (("what it is for",), "oldest_code: N"),
        (("oldest_code: 22",), "N up to 21"),
        (("oldest_code: 0",), "oldest_code: N"),
        (("oldest_code: some",), "oldest_code: N"),
        (("oldest_code: 21",), "`stop_first` is said exactly where"),
        (("oldest_code: 20", "stop_first: why not"), "`stop_first` is said exactly where"),
        (("oldest_code: 20", "contracts: soon"), "begins with the release"),
        (("oldest_code: 20", "contracts: 0.10.0"), "that is out"),
    ],
)
def test_a_header_that_says_too_little_or_too_much_is_a_fault(
    header: tuple[str, ...], fault: str
) -> None:
    (found,) = find_header_faults(of("SELECT 1", *header), "0.9.0", 20)
    assert fault in found


@pytest.mark.parametrize(
    "header",
    [
        ("oldest_code: 20",),
        ("oldest_code: 3",),
        ("oldest_code: 20", "contracts: 0.9.0"),
        ("oldest_code: 21", "stop_first: leases are kept otherwise"),
    ],
)
def test_a_header_that_says_enough_has_no_fault(header: tuple[str, ...]) -> None:
    assert find_header_faults(of("SELECT 1", *header), "0.9.0", 20) == []


def test_what_was_released_with_a_stop_is_no_fault_afterwards() -> None:
    stopped = of("SELECT 1", "oldest_code: 21", "stop_first: leases are kept otherwise")
    assert find_header_faults(stopped, "0.9.0", 21) == []
    assert find_header_faults(of("SELECT 1", "oldest_code: 19"), "0.9.0", 25) == []


def test_the_tables_whose_writers_wait_are_named() -> None:
    migration = of("CREATE TABLE new (a int REFERENCES carriers); ALTER TABLE messages ADD b int")
    assert find_locked(migration) == ["carriers", "messages"]
    assert stops_writers(migration)
    assert not stops_writers(of("CREATE TABLE new (a integer)"))
    assert find_locked(of("CREATE INDEX CONCURRENTLY a ON messages (tag)")) == []
