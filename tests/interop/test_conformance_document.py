"""`docs/smpp.md` names a test for all that it says; here it is held to that."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from gateway.smpp.specification import PDUS, TLVS
from gateway.smpp.vocabulary import command_name
from gateway.upstream.admission import STATUS_OF_REASON
from gateway.upstream.statuses import STATUS_OF_CODE

TESTS = Path(__file__).parents[1]
DOCUMENT = (TESTS.parent / "docs" / "smpp.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(test_\w+)`", DOCUMENT)))
FILES = sorted(set(re.findall(r"`([\w/]+/test_\w+\.py)`", DOCUMENT)))
ROWS = [line for line in DOCUMENT.splitlines() if line.startswith("|") and "---" not in line]
MUST_SHOW: tuple[str, ...] = (
    "PDUs",
    "Header and stream",
    "Fields",
    "Sessions",
    "Window, rate and queue",
    "Text",
)
MUST_SHOW += ("Receipts", "Messages from phones", "Hostile peers", "What goes wrong elsewhere")


@functools.cache
def _tests_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def _find(end: str) -> list[Path]:
    return [path for path in TESTS.rglob("*.py") if f"/{path.as_posix()}".endswith(f"/{end}")]


def _table_of(section: str) -> list[str]:
    """The rows of a section's tables, without their heads."""
    text = DOCUMENT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = text.splitlines()
    heads = {i for i, line in enumerate(lines, start=-1) if line.startswith("|---")}
    return [
        line
        for i, line in enumerate(lines)
        if line.startswith("|") and i not in heads and not line.startswith("|---")
    ]


@pytest.mark.parametrize(("end", "name"), NAMED, ids=lambda part: part.rpartition("/")[2])
def test_a_test_that_is_named_exists(end: str, name: str) -> None:
    found = _find(end)
    assert len(found) == 1, f"{end} names {[str(path) for path in found]}"
    assert name in _tests_of(found[0])


@pytest.mark.parametrize("end", FILES)
def test_a_file_that_is_named_exists(end: str) -> None:
    assert len(_find(end)) == 1


@pytest.mark.parametrize("section", MUST_SHOW)
def test_every_row_of_a_table_names_its_test(section: str) -> None:
    rows = _table_of(section)
    assert rows
    assert [row for row in rows if "::test_" not in row] == []


def test_every_pdu_has_its_row() -> None:
    named = set(re.findall(r"\w+", " ".join(row.split("|")[1] for row in _table_of("PDUs"))))
    assert {command_name(command_id) for command_id in PDUS} - named == set()


def test_every_tlv_is_named() -> None:
    section = DOCUMENT.partition("\n## TLVs\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"\w+", section))
    assert {tlv.name for tlv in TLVS.values()} - named == set()


def test_every_refusal_of_a_customer_has_its_status() -> None:
    rows = _table_of("Statuses")
    for code, status in STATUS_OF_CODE.items():
        names = [row.split("|")[1] for row in rows if f"`{code}`" in row]
        assert len(names) == 1, code
        assert _status_names()[status] in names[0], code
    for reason, status in STATUS_OF_REASON.items():
        assert _status_names()[status] in DOCUMENT, reason


@functools.cache
def _status_names() -> dict[int, str]:
    from gateway.smpp import vocabulary

    return {
        value: name
        for name, value in vars(vocabulary).items()
        if name.startswith("ESME_") and isinstance(value, int)
    }


def test_the_document_names_tests_of_every_tier() -> None:
    files = {_find(end)[0].relative_to(TESTS).parts[0] for end, _ in NAMED}
    assert files >= {"unit", "integration", "interop", "fuzz"}
