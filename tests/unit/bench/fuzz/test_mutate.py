from __future__ import annotations

import random

import pytest

from bench.fuzz import mutate as mutations
from bench.fuzz.mutate import make_noise, mutate

WORDS = (b"id:", b"stat:")
OTHERS = (b"another case", b"")


def _cases(seed: int, case: bytes, count: int = 200) -> list[bytes]:
    rng = random.Random(seed)
    return [mutate(case, rng, OTHERS, WORDS, 64) for _ in range(count)]


def test_one_seed_gives_one_row_of_cases() -> None:
    assert _cases(1, b"a case") == _cases(1, b"a case")
    assert _cases(1, b"a case") != _cases(2, b"a case")


def test_no_case_grows_past_its_ceiling() -> None:
    assert max(map(len, _cases(3, b"x" * 64))) == 64


def test_an_empty_case_grows() -> None:
    assert any(_cases(4, b""))


def test_words_and_pieces_of_other_cases_get_in() -> None:
    cases = _cases(5, b"0000", 2_000)
    assert any(b"stat:" in case for case in cases)
    assert any(case.endswith(b"case") for case in cases)


@pytest.mark.parametrize("change", mutations._CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("case", [b"", b"a", b"four", b"longer than that"])
def test_each_change_works_on_cases_of_every_size_and_changes_some(
    change: mutations._Change, case: bytes
) -> None:
    rng = random.Random(6)
    changed = [bytearray(case) for _ in range(50)]
    for each in changed:
        change(each, rng, OTHERS, WORDS)
    assert any(each != case for each in changed) or len(case) < 2


def test_noise_holds_words_and_stays_short() -> None:
    rng = random.Random(7)
    noise = [make_noise(rng, WORDS, 16) for _ in range(200)]
    assert max(map(len, noise)) == 16
    assert any(b"id:" in case for case in noise)
