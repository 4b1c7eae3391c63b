"""Named queries: the SQL of everything but the two hot writers is in `queries.sql`.

A block begins with `-- name: verb_noun`; the comment lines under it explain it to people and are
not sent to the server.
"""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)$")


def parse_queries(text: str) -> dict[str, str]:
    """Split a file of named queries; every name must be there once and have a query."""
    blocks: dict[str, list[str]] = {}
    block: list[str] | None = None
    for line in text.splitlines():
        if match := _NAME.match(line):
            assert match[1] not in blocks, f"two queries are named {match[1]}"
            block = blocks[match[1]] = []
        elif line.strip() and not line.lstrip().startswith("--"):
            assert block is not None, f"{line!r} stands before the first name"
            block.append(line)
    assert all(blocks.values()), "a query is empty"
    return {name: "\n".join(lines).rstrip(";") for name, lines in blocks.items()}


QUERIES = parse_queries(Path(__file__).with_name("queries.sql").read_text(encoding="utf-8"))


def query(name: str) -> str:
    """Return one query's SQL; asked for at import, so that a wrong name fails at once."""
    return QUERIES[name]
