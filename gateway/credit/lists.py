"""Price and cost lists as people write them: amounts, dates, lanes.

Every error names the line or the setting that is wrong. Reading files is `gateway/tariffs.py`'s.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.credit.prices import parse_micros
from gateway.credit.rates import Rate
from gateway.errors import ConfigError
from gateway.model import LANES, Micros

NOT_SOLD = "none"
"""Written in place of a price: nothing is sold there."""

ROWS_MAX: Final = 1_000_000
"""Lines of one list, some 300 MB in memory; the longest that operators sell have 100,000."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: Final = ("prefix", "operator", "lane", "effective_from", "segments_from", "note")
_DELIMITERS: Final = ",;\t"


def parse_rate(
    where: str,
    amount: object,
    *,
    amount_name: str = "price",
    prefix: str = "",
    operator: str = "",
    lane: str = "",
    effective_from: str = "",
    segments_from: int = 0,
) -> Rate:
    """Return one line of a list; raises ConfigError, with `where` at the start of its key."""
    if lane and lane not in LANES:
        raise ConfigError(f"{where}.lane", f"{lane!r} is none of {', '.join(LANES)}")
    micros: Micros | None = None
    if amount != NOT_SOLD or amount_name != "price":
        micros = parse_micros(amount, f"{where}.{amount_name}")
    return Rate(
        micros=micros,
        prefix=prefix,
        operator=operator.replace("-", ""),
        lane=LANES[lane] if lane else None,
        since_s=parse_since(effective_from, f"{where}.effective_from"),
        segments_from=segments_from,
        where=where,
    )


def parse_since(text: str, field: str) -> int:
    """Return the second that a date begins in, UTC, or that a time with an offset names.

    "" is the beginning of all times. Raises ConfigError.
    """
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            field, f"{text[:40]!r} is neither a date (2026-01-31) nor a time with its offset"
        ) from None
    if moment.tzinfo is None:
        if len(text) > len("2026-01-31"):
            raise ConfigError(field, f"{text[:40]!r} needs an offset or Z")
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(seconds=1)


def parse_csv(
    text: str, name: str, *, amount_name: str = "price", effective_from: str = ""
) -> Iterator[Rate]:
    """Return the lines of a list in CSV, whose first row names its columns.

    One is called like `amount_name`; the others may be any of prefix, operator, lane,
    effective_from, segments_from and note, in any order, divided by commas, semicolons or tabs. A
    line without a date of its own holds from `effective_from` on. Raises ConfigError with the
    file's name and the row.
    """
    head, _, _ = text.partition("\n")
    delimiter = max(_DELIMITERS, key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [column.strip().lower() for column in next(rows, [])]
        _check_columns(columns, name, amount_name)
        for number, row in enumerate(rows, start=2):
            if number > ROWS_MAX:
                raise ConfigError(name, f"has more than {ROWS_MAX:,} rows")
            if not any(row):
                continue
            yield _parse_row(f"{name}:{number}", columns, row, amount_name, effective_from)
    except csv.Error as error:
        raise ConfigError(f"{name}:{rows.line_num}", f"is no CSV: {error}") from None


def _check_columns(columns: Sequence[str], name: str, amount_name: str) -> None:
    known = [amount_name, *_COLUMNS]
    for column in columns:
        if column not in known:
            near = difflib.get_close_matches(column, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f": {', '.join(known)}"
            raise ConfigError(f"{name}:1", f"no column is called {column[:40]!r}{hint}")
        if columns.count(column) > 1:
            raise ConfigError(f"{name}:1", f"two columns are called {column!r}")
    if amount_name not in columns:
        raise ConfigError(f"{name}:1", f"no column {amount_name!r}")


def _parse_row(
    where: str, columns: Sequence[str], row: Sequence[str], amount_name: str, effective_from: str
) -> Rate:
    if len(row) != len(columns):
        raise ConfigError(where, f"has {len(row)} columns, the first row {len(columns)}")
    cells: Mapping[str, str] = {
        column: cell.strip() for column, cell in zip(columns, row, strict=True)
    }
    segments_from = cells.get("segments_from", "") or "0"
    if not (segments_from.isascii() and segments_from.isdigit() and len(segments_from) <= 15):
        raise ConfigError(f"{where}.segments_from", f"{segments_from[:40]!r} is no number")
    return parse_rate(
        where,
        cells[amount_name],
        amount_name=amount_name,
        prefix=cells.get("prefix", ""),
        operator=cells.get("operator", ""),
        lane=cells.get("lane", ""),
        effective_from=cells.get("effective_from", "") or effective_from,
        segments_from=int(segments_from),
    )
