"""The cases say what the gateway's own rules say, and show what they are meant to show."""

from __future__ import annotations

from gateway.demo.cases import CASES, Outcome
from gateway.text.segment import measure


def test_every_text_takes_what_its_case_expects() -> None:
    for case in CASES:
        if isinstance(case.expected, Outcome):
            measured = measure(case.text)
            assert (measured.segments, measured.encoding.wire) == (
                case.expected.segments,
                case.expected.encoding,
            ), case.label


def test_labels_are_unique_and_fit_their_column() -> None:
    labels = [case.label for case in CASES]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= 17


def test_both_carriers_and_every_end_are_shown() -> None:
    outcomes = [case.expected for case in CASES if isinstance(case.expected, Outcome)]
    assert {o.carrier for o in outcomes} >= {"north", "south"}
    assert {o.status for o in outcomes} == {"delivered", "undelivered", "rejected", "canceled"}
    assert {o.encoding for o in outcomes} == {"gsm7", "ucs2"}
