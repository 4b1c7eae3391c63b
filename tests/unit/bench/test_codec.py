"""The comparison with other libraries."""

from __future__ import annotations

from bench.codec import RECEIPTS, check_work


def test_every_library_is_given_the_same_work_and_does_it() -> None:
    check_work()


def test_the_receipts_differ_as_a_carriers_do() -> None:
    texts = {receipt.short_message for receipt in RECEIPTS}
    assert len(texts) == len(RECEIPTS)
    assert len({text.split(b" ", 1)[1].split(b" text:")[0] for text in texts}) > 10
