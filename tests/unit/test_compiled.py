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
def test_a_compiled_file_defines_no_record(name: str) -> None:
    classes = [
        n for n in ast.walk(ast.parse((ROOT / name).read_text())) if isinstance(n, ast.ClassDef)
    ]
    with_settings = [each.name for each in classes if each.keywords]
    structs = [
        each.name for each in classes if any("Struct" in ast.unparse(base) for base in each.bases)
    ]
    assert (with_settings, structs) == ([], [])


@pytest.mark.parametrize("name", COMPILED)
def test_the_listed_files_are_compiled_together_or_not_at_all(name: str) -> None:
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    assert module.__file__ is not None
    assert module.__file__.endswith(".py") is not metrics.COMPILED
