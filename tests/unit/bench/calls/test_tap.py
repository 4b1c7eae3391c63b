from __future__ import annotations

import struct

import pytest

from bench.calls.tap import StatementReader


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


PARAMETERS = b"user\0postgres\0application_name\0intake\0\0"
STARTUP = struct.pack(">II", len(PARAMETERS) + 8, 196_608) + PARAMETERS
SPOKEN = (
    STARTUP
    + message(b"Q", b"SELECT 1\0")
    + message(b"P", b"name\0INSERT \0\0\0")
    + message(b"B", b"\0name\0E Q E Q")
    + message(b"E", b"\0\0\0\0\0")
    + message(b"S")
    + message(b"X")
)


def test_queries_and_executes_are_statements_and_nothing_else() -> None:
    reader = StatementReader()
    assert reader.feed(SPOKEN) == 2
    assert (reader.statements, reader.application) == (2, "intake")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_it_does_not_matter_how_octets_are_cut(size: int) -> None:
    reader = StatementReader()
    found = [reader.feed(SPOKEN[at : at + size]) for at in range(0, len(SPOKEN), size)]
    assert sum(found) == reader.statements == 2


def test_a_message_that_is_not_whole_does_not_count_yet() -> None:
    reader = StatementReader()
    assert reader.feed(SPOKEN[: SPOKEN.index(b"SELECT") + 3]) == 0
