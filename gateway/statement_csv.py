"""A statement as CSV (RFC 4180): a line each, and no total, so that programs may add it up."""

from __future__ import annotations

import csv
import io

from gateway.views import Statement

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for a formula at the beginning of a cell, and customers may write in a
tag."""


def write_csv(statement: Statement) -> str:
    """Return the statement's lines, the first one naming the columns."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(
        (statement.by, "messages", "segments", "price", "voided", "refunded", "net", "currency")
    )
    for line in statement.lines:
        amounts = (line.price, line.voided, line.refunded, line.net)
        writer.writerow(
            (_cell(line.key), line.messages, line.segments, *amounts, statement.currency)
        )
    return out.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
