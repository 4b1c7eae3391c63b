"""What `setup.py` compiles can be compiled, and is where it was."""

from __future__ import annotations

import ast
import importlib
import runpy
from pathlib import Path

import pytest

from gateway import metrics

ROOT = Path(__file__).parents[2]
COMPILED: tuple[str, ...] = runpy.run_path(str(ROOT / "setup.py"))["COMPILED"]


def test_each_file_is_named_once_and_in_order() -> None:
    assert list(COMPILED) == sorted(set(COMPILED))


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_file_defines_nothing_that_would_be_another_thing_there(name: str) -> None:
    classes = [
        n for n in ast.walk(ast.parse((ROOT / name).read_text())) if isinstance(n, ast.ClassDef)
    ]
    assert not [each.name for each in classes if each.keywords]
    assert not [each.name for each in classes if _derives(each, "Struct")]
    assert not [each.name for each in classes if each.decorator_list]
    assert not [each.name for each in classes if _derives(each, "Enum") and _begins(each)]


@pytest.mark.parametrize("name", COMPILED)
def test_what_a_compiled_class_says_of_itself_is_annotated_so(name: str) -> None:
    """Else it is a field's default there, which no one can read from the class."""
    said = [
        ast.unparse(node)
        for each in ast.walk(ast.parse((ROOT / name).read_text()))
        if isinstance(each, ast.ClassDef) and not (_derives(each, "Enum") or _derives(each, "Flag"))
        for node in each.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) != "__slots__"
    ]
    assert not said


def _derives(each: ast.ClassDef, base: str) -> bool:
    return any(base in ast.unparse(b) for b in each.bases)


def _begins(each: ast.ClassDef) -> bool:
    return any(isinstance(n, ast.FunctionDef) and n.name == "__init__" for n in each.body)


@pytest.mark.parametrize("name", COMPILED)
def test_the_listed_files_are_compiled_together_or_not_at_all(name: str) -> None:
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    assert module.__file__ is not None
    assert module.__file__.endswith(".py") is not metrics.COMPILED
