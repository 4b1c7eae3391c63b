"""What a migration does to code that is older and to writers that are busy, from its statements.

Statements are read, not guessed: one whose shape is not known here is a finding by itself. What a
migration makes, it may do anything with; all that follows is about tables that are there already.

    CHANGES   older code may come to read or call something else    allowed by `unharmed: why`
    BREAKS    what older code reads or writes is gone or refused    allowed by `contracts: release`
    BLOCKS    writers wait while a table is gone over               allowed by nothing
    UNKNOWN   nobody can tell                                       allowed by nothing

`stop_first: why` allows all of them, as no gateway runs.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.store.schema import INDEX_NAME_CHARS_MAX, Migration
from gateway.store.sql_text import split_statements

SMALL_TABLES = frozenset(
    {
        *("accounts", "account_ceilings", "api_keys", "balances", "carriers", "id_rules"),
        *("low_balances", "nodes", "numbers", "operator_prefixes", "operator_versions"),
        *("postings", "queue_marks", "settings", "smpp_accounts", "sweep_marks", "writers"),
    }
)
"""A row an account, a carrier or a node: gone over in milliseconds. Every other table is large."""


class Harm(enum.Enum):
    CHANGES = enum.auto()
    BREAKS = enum.auto()
    BLOCKS = enum.auto()
    UNKNOWN = enum.auto()


_ALLOWED_BY = {Harm.CHANGES: "unharmed", Harm.BREAKS: "contracts"}


@dataclass(frozen=True, slots=True)
class Finding:
    harm: Harm
    why: str
    statement: str

    def __str__(self) -> str:
        return f"{self.why}: {self.statement[:80]}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one statement does."""

    locked: tuple[str, ...] = ()
    """Tables that are there already and that nobody can write to until the commit."""
    made: str = ""
    """The table or index that it makes."""
    changes_rows: bool = False
    found: tuple[tuple[Harm, str], ...] = ()


def find_harm(migration: Migration) -> list[Finding]:
    """Return what its header does not allow."""
    if "stop_first" in migration.header:
        return []
    return [
        finding
        for finding in _find_all(migration)
        if _ALLOWED_BY.get(finding.harm) not in migration.header
    ]


def find_header_faults(migration: Migration, release: str, released: int) -> list[str]:
    """Return what is wrong with a header, by the last release and its code's number."""
    header = migration.header
    number = header.get("oldest_code", "")
    if not number.isdecimal() or not 0 < int(number) <= migration.version:
        return [f"its first lines have to say `-- oldest_code: N`, N up to {migration.version}"]
    faults = []
    is_new = migration.version > released  # what is out was judged by the release before it
    if is_new and (int(number) > released) != ("stop_first" in header):
        faults.append(
            f"the release before it is code {released}: `stop_first` is said exactly where"
            " oldest_code is above that"
        )
    if "contracts" in header:
        named = re.match(r"\d+\.\d+\.\d+\b", header["contracts"])
        if named is None or _number(named[0]) > _number(release):
            faults.append(
                "`contracts` begins with the release in which the last use ended, and that is out:"
                f" {release} or an earlier one"
            )
    return faults


def _number(release: str) -> list[int]:
    return [int(part) for part in release.split(".")]


def find_locked(migration: Migration) -> list[str]:
    """Return the tables, there already, whose writers wait while it is applied, for moments."""
    if migration.index is not None:
        return []
    return sorted({table for _, reading in _read_all(migration) for table in reading.locked})


def stops_writers(migration: Migration) -> bool:
    """Whether it has to be over in moments, as files from before there were headers need not."""
    return "oldest_code" in migration.header and bool(find_locked(migration))


def _find_all(migration: Migration) -> Iterator[Finding]:
    readings = list(_read_all(migration))
    for statement, reading in readings:
        for harm, why in reading.found:
            yield Finding(harm, why, statement)
        if reading.changes_rows and any(each.locked for _, each in readings):
            why = "rows are changed while a table is locked; make it two files"
            yield Finding(Harm.BLOCKS, why, statement)
    if len(readings) > 1 and "CONCURRENTLY" in migration.sql.upper():
        for statement, _ in readings:
            if "CONCURRENTLY" in statement.upper():
                why = "what is built concurrently stands alone in its file"
                yield Finding(Harm.UNKNOWN, why, statement)


def _read_all(migration: Migration) -> Iterator[tuple[str, Reading]]:
    made: set[str] = set()
    for statement in split_statements(migration.sql, blank=True):
        reading = _read(statement, made)
        if reading.made:
            made.add(reading.made)
        yield statement, reading


def _read(statement: str, made: set[str]) -> Reading:
    for shape, read in _SHAPES:
        if found := shape.match(statement):
            return read(found, made)
    return _found(Harm.UNKNOWN, "a statement of a shape that is not known")


def _found(harm: Harm, why: str, *locked: str) -> Reading:
    return Reading(found=((harm, why),), locked=locked)


# ── statements ───────────────────────────────────────────────────────────────────────────────


def _make_table(found: re.Match[str], made: set[str]) -> Reading:
    referenced = re.findall(r"\bREFERENCES (\w+)", found.string, re.IGNORECASE)
    return Reading(tuple(t for t in referenced if t not in made), found[1].lower())


def _make_index(found: re.Match[str], made: set[str]) -> Reading:
    unique, concurrently, name, table = found.groups()
    if table in made:
        return Reading()
    findings = []
    if not concurrently:
        findings.append((Harm.BLOCKS, "writers wait for an index; build it CONCURRENTLY"))
    if len(name) > INDEX_NAME_CHARS_MAX:
        findings.append(
            (Harm.UNKNOWN, f"an index's name has at most {INDEX_NAME_CHARS_MAX} characters")
        )
    if unique:
        findings.append((Harm.BREAKS, "older code may write what a unique index refuses"))
    return Reading(() if concurrently else (table,), found=tuple(findings))


def _make_other(found: re.Match[str], made: set[str]) -> Reading:
    return Reading()


def _replace(found: re.Match[str], made: set[str]) -> Reading:
    return _found(Harm.CHANGES, "older code goes on to use what is replaced")


def _make_trigger(found: re.Match[str], made: set[str]) -> Reading:
    table = found[1].lower()
    if table in made:
        return Reading()
    return _found(Harm.CHANGES, "what older code writes sets a trigger off", table)


def _insert(found: re.Match[str], made: set[str]) -> Reading:
    reads_rows = re.search(r"\bSELECT\b.*\bFROM\b", found.string, re.IGNORECASE | re.DOTALL)
    if found[1].lower() in made and not reads_rows:
        return Reading()
    if found[1].lower() in made:
        return Reading(changes_rows=True)
    return Reading(
        changes_rows=True, found=((Harm.CHANGES, "older code meets rows that it did not write"),)
    )


def _change_rows(found: re.Match[str], made: set[str]) -> Reading:
    table = found[1].lower()
    if table in made:
        return Reading(changes_rows=True)
    if table not in SMALL_TABLES:
        why = "rows of a large table are changed by code, in steps, not by a migration"
        return Reading(changes_rows=True, found=((Harm.BLOCKS, why),))
    return Reading(
        changes_rows=True, found=((Harm.CHANGES, "older code meets rows that it did not write"),)
    )


def _drop(found: re.Match[str], made: set[str]) -> Reading:
    return _found(Harm.BREAKS, "older code may use what is dropped")


def _alter_table(found: re.Match[str], made: set[str]) -> Reading:
    table = found[1].lower()
    if table in made:
        return Reading()
    findings = [
        each for action in _split_actions(found[2]) for each in _judge_action(table, action)
    ]
    return Reading((table,), found=tuple(findings))


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


_SHAPES: Sequence[tuple[re.Pattern[str], Callable[[re.Match[str], set[str]], Reading]]] = (
    (_shape(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) ?\("), _make_table),
    (_shape(r"CREATE (UNIQUE )?INDEX (CONCURRENTLY )?(\w+) ON (\w+)\b"), _make_index),
    (_shape(r"CREATE (?:FUNCTION|VIEW|SEQUENCE|TYPE)\b"), _make_other),
    (_shape(r"COMMENT ON\b"), _make_other),
    (_shape(r"CREATE OR REPLACE (?:FUNCTION|VIEW)\b"), _replace),
    (_shape(r"CREATE (?:OR REPLACE )?TRIGGER \w+ .*? ON (\w+)\b"), _make_trigger),
    (_shape(r"INSERT INTO (\w+)\b"), _insert),
    (_shape(r"UPDATE (?:ONLY )?(\w+)\b"), _change_rows),
    (_shape(r"DELETE FROM (?:ONLY )?(\w+)\b"), _change_rows),
    (_shape(r"(?:DROP|TRUNCATE)\b"), _drop),
    (_shape(r"ALTER TABLE (?:ONLY )?(\w+) (.+)"), _alter_table),
    (_shape(r"ALTER \w+ .*\bRENAME\b"), _drop),
)


# ── what ALTER TABLE does ────────────────────────────────────────────────────────────────────


def _split_actions(actions: str) -> list[str]:
    """Cut at the commas that stand in no parentheses."""
    depth, begin, cut = 0, 0, []
    for place, letter in enumerate(actions):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            cut.append(actions[begin:place].strip())
            begin = place + 1
    return [*cut, actions[begin:].strip()]


_VOLATILE = _shape(r"\b(?:random|gen_random_uuid|clock_timestamp|timeofday|nextval|setval)\b")
_WRITES_ANEW = _shape(r"\b(?:GENERATED|PRIMARY KEY|UNIQUE|BIGSERIAL|SMALLSERIAL|SERIAL)\b")
_GOES_OVER = _shape(r"\b(?:CHECK|REFERENCES)\b")

_ACTIONS: Sequence[tuple[re.Pattern[str], tuple[Harm, str] | None]] = (
    (
        _shape(r"DROP (?:COLUMN|CONSTRAINT)\b"),
        (Harm.BREAKS, "older code may use what is dropped"),
    ),
    (_shape(r"RENAME\b"), (Harm.BREAKS, "older code knows the old name alone")),
    (
        _shape(r"ALTER (?:COLUMN )?\w+ (?:SET DATA )?TYPE\b"),
        (Harm.BREAKS, "older code reads and writes the old type"),
    ),
    (
        _shape(r"ALTER (?:COLUMN )?\w+ SET NOT NULL"),
        (Harm.BREAKS, "older code may write NULL there"),
    ),
    (
        _shape(r"ALTER (?:COLUMN )?\w+ DROP NOT NULL"),
        (Harm.CHANGES, "older code may read a NULL that it does not know"),
    ),
    (
        _shape(r"ALTER (?:COLUMN )?\w+ DROP DEFAULT"),
        (Harm.BREAKS, "older code may leave it to the default"),
    ),
    (
        _shape(r"ALTER (?:COLUMN )?\w+ SET DEFAULT\b"),
        (Harm.CHANGES, "what older code leaves to the default changes"),
    ),
    (
        _shape(r"ADD CONSTRAINT\b.*\bNOT VALID"),
        (Harm.BREAKS, "older code may write what is refused from now on"),
    ),
    (_shape(r"VALIDATE CONSTRAINT\b"), None),
    (_shape(r"ALTER (?:COLUMN )?\w+ SET (?:STATISTICS|STORAGE|COMPRESSION)\b"), None),
    (_shape(r"SET \("), None),
)


def _judge_action(table: str, action: str) -> list[tuple[Harm, str]]:
    if _shape(r"ADD (?:COLUMN )?(?!CONSTRAINT\b)\w+ \w").match(action):
        return _judge_new_column(table, action)
    for shape, finding in _ACTIONS:
        if shape.match(action):
            found = [] if finding is None else [finding]
            if _rewrites(action) and table not in SMALL_TABLES:
                found.append((Harm.BLOCKS, "a large table is gone over while nobody can use it"))
            return found
    return [(Harm.UNKNOWN, "a change of a table of a shape that is not known")]


def _rewrites(action: str) -> bool:
    return bool(
        _shape(r"ALTER (?:COLUMN )?\w+ (?:(?:SET DATA )?TYPE\b|SET NOT NULL)").match(action)
    )


def _judge_new_column(table: str, action: str) -> list[tuple[Harm, str]]:
    found = []
    has_default = re.search(r"\bDEFAULT\b", action, re.IGNORECASE)
    if re.search(r"\bNOT NULL\b", action, re.IGNORECASE) and not has_default:
        found.append((Harm.BREAKS, "older code writes rows without it, and it has no default"))
    if _VOLATILE.search(action) or _WRITES_ANEW.search(action):
        found.append((Harm.BLOCKS, "the table is written anew for this column"))
    if _GOES_OVER.search(action) and table not in SMALL_TABLES:
        found.append((Harm.BLOCKS, "a large table is gone over to check this column"))
    return found
