"""Many rows as one parameter a column, written as cheaply as a column's nature allows.

Most columns of a batch are alike in all of its rows (the account, the sender, what is not there):
their value is said once. Columns that differ from row to row are written as PostgreSQL's own
array literals: texts in one join, all else as JSON would have it, between other brackets. asyncpg's
encoder would ask of every element instead whether it is iterable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

_write_json = msgspec.json.Encoder().encode
"""Numbers and truth values in PostgreSQL's words too, a tenth of what `str` takes for each."""


class Column(NamedTuple):
    """One column's name and SQL type, and whether it usually differs from row to row."""

    name: str
    kind: str
    varies: bool = False


def write_rows(columns: Sequence[Column], values: Sequence[list[Any]]) -> list[Any]:
    """Return the parameters, one a column, that `read_rows` reads as rows."""
    return [
        _write_array(column) if spec.varies else _say_once(column)
        for spec, column in zip(columns, values, strict=True)
    ]


def read_rows(columns: Sequence[Column], *, first: int) -> str:
    """Return a SELECT of the rows that `write_rows` wrote, as the parameters from $`first` on.

    At least one column has to vary: it tells how many rows there are.
    """
    assert any(column.varies for column in columns)
    arrays, values = [], []
    for place, (name, kind, varies) in enumerate(columns, start=first):
        if varies:
            arrays.append(f"${place}::text::{kind}[]")
            values.append(f"r.{name}")
        else:
            array = f"${place}::{kind}[]"
            arrays.append(array)
            values.append(
                f"CASE WHEN cardinality({array}) = 1 THEN ({array})[1] ELSE r.{name} END AS {name}"
            )
    names = ", ".join(column.name for column in columns)
    return (
        f"SELECT {', '.join(values)}"  # noqa: S608 (names and types, no values)
        f" FROM unnest({', '.join(arrays)}) AS r({names})"
    )


def _say_once(column: list[Any]) -> list[Any]:
    count = len(column)
    return column[:1] if count > 1 and column.count(column[0]) == count else column


def _write_array(column: list[Any]) -> str:
    """Return the array literal of finite numbers, truth values or texts; None is NULL."""
    if not column:
        return "{}"
    if None in column:
        # Codes and errors: few of them differ, so each is written once.
        written = {v: "NULL" if v is None else _write(v) for v in set(column)}
        return "{" + ",".join([written[v] for v in column]) + "}"
    if not isinstance(column[0], str):
        return f"{{{_write_json(column)[1:-1].decode()}}}"
    joined = '","'.join(column)
    if "\\" in joined or joined.count('"') != 2 * (len(column) - 1):
        joined = '","'.join(map(_escape, column))
    return f'{{"{joined}"}}'


def _write(value: Any) -> str:
    return f'"{_escape(value)}"' if isinstance(value, str) else str(value)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
