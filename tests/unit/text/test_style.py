"""A carrier's style: what goes with what."""

from __future__ import annotations

import pytest

from gateway.text.national import Language
from gateway.text.style import PLAIN, DefaultAlphabet, LongForm, TextStyle


def test_a_carrier_that_says_nothing_is_taken_for_the_usual_one() -> None:
    assert PLAIN == TextStyle()
    assert PLAIN.alphabet is DefaultAlphabet.GSM7
    assert PLAIN.long is LongForm.UDH
    assert not (PLAIN.national or PLAIN.packed or PLAIN.wide_reference)


@pytest.mark.parametrize("alphabet", [a for a in DefaultAlphabet if a is not DefaultAlphabet.GSM7])
def test_shift_tables_and_packing_are_for_septets_alone(alphabet: DefaultAlphabet) -> None:
    with pytest.raises(AssertionError):
        TextStyle(alphabet=alphabet, national=(Language.TURKISH,))
    with pytest.raises(AssertionError):
        TextStyle(alphabet=alphabet, packed=True)
