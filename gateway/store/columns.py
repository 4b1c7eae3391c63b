"""Many rows as one array a column, where a column that says one thing says it once.

Most columns of a batch are alike in all of its rows: the account, the sender, what is not there.
Encoding an element costs asyncpg 0.3 µs, and a batch of 500 messages 7.5 µs each; with what is
alike said once, 2.6 µs, and PostgreSQL takes a fourth less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def say_once(columns: Sequence[list[Any]], *, rows: int) -> list[list[Any]]:
    """Return the columns, each that holds one value alone cut to one element.

    `rows` is the place of the column that is left as it is, since its length is the number of
    rows. What reads them is `read_rows`.
    """
    count = len(columns[rows])
    return [
        column[:1] if count > 1 and place != rows and column.count(column[0]) == count else column
        for place, column in enumerate(columns)
    ]


def read_rows(columns: Sequence[tuple[str, str]], *, first: int) -> str:
    """Return a SELECT of the rows that `say_once` wrote: columns are names and SQL types.

    Their arrays are the parameters from $`first` on.
    """
    places = range(first, first + len(columns))
    arrays = [f"${place}::{kind}[]" for place, (_, kind) in zip(places, columns, strict=True)]
    names = [name for name, _ in columns]
    values = [
        f"CASE WHEN cardinality({array}) = 1 THEN ({array})[1] ELSE r.{name} END AS {name}"
        for array, name in zip(arrays, names, strict=True)
    ]
    return (
        f"SELECT {', '.join(values)}"  # noqa: S608 (names and types, no values)
        f" FROM unnest({', '.join(arrays)}) AS r({', '.join(names)})"
    )
