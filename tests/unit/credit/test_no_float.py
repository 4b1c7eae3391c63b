"""No float comes near money: held by reading the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS_OF_MONEY = [
    *sorted(ROOT.glob("gateway/credit/*.py")),
    *(ROOT / "gateway" / name for name in ("quotes.py", "refunds.py", "statement_csv.py")),
    *(ROOT / "gateway" / name for name in ("tariffs.py", "routing/margins.py", "api/admin.py")),
    *(ROOT / "gateway/store" / name for name in ("margins.py", "money.py", "statements.py")),
    *(ROOT / "gateway/cli" / name for name in ("money.py", "report.py")),
]
EVERYTHING = sorted(ROOT.glob("gateway/**/*.py"))


def names(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def floats(tree: ast.AST) -> Iterator[str]:
    """Everything that is, makes or may become a float."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{node.lineno}: {node.value}"
        elif isinstance(node, ast.Name) and node.id in {"float", "round", "Decimal"}:
            yield f"{node.lineno}: {node.id}"
        elif isinstance(node, ast.Attribute) and node.attr in {"timestamp", "total_seconds"}:
            yield f"{node.lineno}: .{node.attr}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"{node.lineno}: /"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None)]
            if "math" in modules:
                yield f"{node.lineno}: math"


def floats_of_micros(tree: ast.AST) -> Iterator[str]:
    """Micro-units that are said to be floats, or divided into some."""
    for node in ast.walk(tree):
        target = node.target if isinstance(node, ast.AnnAssign) else node
        name = getattr(target, "id", None) or getattr(target, "arg", None) or ""
        annotation = getattr(node, "annotation", None)
        if "micros" in name and annotation is not None and "float" in ast.unparse(annotation):
            yield f"{name}: {ast.unparse(annotation)}"
        divides = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        if divides and "micros" in ast.unparse(node):
            yield ast.unparse(node)


@pytest.mark.parametrize("path", ROOMS_OF_MONEY, ids=names)
def test_a_room_of_money_has_no_float(path: Path) -> None:
    assert list(floats(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", EVERYTHING, ids=names)
def test_micro_units_are_whole_everywhere(path: Path) -> None:
    assert list(floats_of_micros(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_the_store_keeps_micro_units_in_whole_numbers() -> None:
    columns = [
        (path.name, match[1], match[2])
        for path in sorted(ROOT.glob("gateway/store/migrations/*.sql"))
        for match in re.finditer(
            r"^\s*(?:ADD COLUMN |ALTER TABLE \w+ ADD COLUMN )?(\w*_micros) +(\w+)",
            path.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        if match[2] not in ("FROM", "AS")
    ]
    assert len(columns) > 15
    assert [column for column in columns if column[2] != "bigint"] == []


@pytest.mark.parametrize(
    "source", ["x = 0.5", "float(1)", "a / b", "a /= 2", "when.timestamp()", "import math"]
)
def test_a_float_is_seen(source: str) -> None:
    assert list(floats(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    ["price_micros: float = 0", "def f(micros: float | None): ...", "x = price_micros / 2"],
)
def test_a_float_of_micro_units_is_seen(source: str) -> None:
    assert list(floats_of_micros(ast.parse(source)))
