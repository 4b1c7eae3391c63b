"""What is installed is what is written down: every dependency pinned, and to this version."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    stated = [line for line in lines if line and not line.startswith("#")]
    for line in stated:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!-]+", line), f"not exact: {line}"
    pairs = [line.split("==") for line in stated]
    names = [canonicalize_name(name) for name, _ in pairs]
    assert len(names) == len({*names}), "one is pinned twice"
    return {canonicalize_name(name): version for name, version in pairs}


def runtime_closure() -> dict[str, str]:
    """Return every distribution that a running gateway may import, with its version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [(Requirement(each), "") for each in project["dependencies"]]
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        distribution = metadata.distribution(name)
        found[name] = distribution.version
        for line in distribution.requires or ():
            for each in ("", *requirement.extras):
                waiting.append((Requirement(line), each))
    return found


def test_every_runtime_dependency_is_pinned_to_what_is_installed() -> None:
    installed, pinned = runtime_closure(), pins()
    assert len(installed) > 25, "what these need is found, too"
    assert {name: pinned.get(name) for name in installed} == installed


def test_constraints_name_no_registry() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text
