"""Many accounts in a random life, with kills: customers' books, audit and statements are one."""

from __future__ import annotations

from bench.ledger.run import Options, run

MESSAGES = 4_000


async def test_every_micro_unit_is_accounted_for_after_kills_refusals_and_refunds() -> None:
    result = await run(
        Options(messages=MESSAGES, seed=11, gateway_kills=2, database_kills=1, silent=False)
    )
    assert result.wrong == []
    assert len(result.checks) > 200
    figures = result.figures
    assert figures["accepted"] + sum(figures["rejected"].values()) == MESSAGES
    for what in ("refused", "expired", "canceled", "refunded", "retried"):
        assert figures[what] > 0, what
    assert figures["rejected"]["no_credit"] > 0
    assert (figures["gateway kills"], figures["database kills"]) == (2, 1)
