"""Every target briefly; `make fuzz` runs them at length."""

from __future__ import annotations

from collections import defaultdict

import pytest

from bench.fuzz.corpus import CORPUS, read_cases
from bench.fuzz.engine import run_target
from bench.fuzz.target import Target
from bench.fuzz.targets import TARGETS
from gateway.record import replace
from gateway.smpp.owed import Owed
from gateway.smpp.window import Entry, Window
from gateway.text import forms

CASES = 300
SEED = 20261122

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@every_target
def test_every_kept_case_holds(target: Target) -> None:
    for case in (*target.seeds, *read_cases(target.name)):
        target.check(case)


@every_target
def test_new_cases_of_a_fixed_seed_hold(target: Target) -> None:
    report = run_target(target, read_cases(target.name)[:50], cases=CASES, seed=SEED)
    assert report.finding is None, f"{report.finding.case.hex()}\n{report.finding.trace}"
    assert report.cases > CASES


@every_target
def test_a_target_states_its_invariant_first(target: Target) -> None:
    assert len(target.invariant) > 40
    assert target.invariant.endswith(".")


def test_every_kept_case_belongs_to_a_target_and_is_kept_once() -> None:
    names = sorted(path.stem for path in CORPUS.glob("*"))
    assert names == sorted(TARGETS)
    for name in names:
        cases = read_cases(name)
        assert len(cases) == len(set(cases)), name


def _resolve_for_ever(window: Window, sequence: int, command_id: int = 0) -> Entry | None:
    entry = window._entries.get(sequence)
    return entry if entry is not None and entry.command_id == command_id else None


def _settle_twice(owed: Owed, sequence: int, *commands: int) -> int:
    return owed._commands.get(sequence, 0)


SPLITTING_FORM = replace(forms.GSM7_FORM, splits_pair=lambda octets, border: False)


@pytest.mark.parametrize(
    ("name", "owner", "attribute", "fault"),
    [
        ("carrier", Window, "resolve", _resolve_for_ever),
        ("customer", Owed, "settle", _settle_twice),
        ("segments", forms, "_DEFAULT_FORMS", defaultdict(lambda: SPLITTING_FORM)),
        ("segments", forms, "UCS2_FORM", replace(forms.UCS2_FORM, parted=136)),
    ],
)
def test_a_planted_fault_is_found(
    name: str,
    owner: object,
    attribute: str,
    fault: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, attribute, fault)
    report = run_target(TARGETS[name], read_cases(name), cases=5_000, seed=SEED)
    assert report.finding is not None
