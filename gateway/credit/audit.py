"""The audit: do the stored balances say what the rows add up to?

Balances are changed by many transactions, a batch at a time; rows are only ever added. So the rows
are the truth, and whatever does not agree with them is named here, to the micro-unit. Pure
comparison: `store/` adds the rows up.

For each account:

    available = deposited - priced + voided + refunded
    posted    = what its events posted
    refunded  = what its events refunded, no more than they posted
    reserved  = deposited - (posted - refunded) - available = what its open messages hold ≥ 0
    available ≥ floor
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.model import AccountId, MessageId, Micros


class StoredBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account's balance rows say."""

    account_id: AccountId
    available_micros: Micros
    deposited_micros: Micros
    posted_micros: Micros
    """Refunded or not."""
    refunded_micros: Micros = Micros(0)
    floor_micros: Micros


class RowTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What an account's rows add up to; dropped partitions' sums are in all but the last."""

    account_id: AccountId
    deposited_micros: Micros
    """Top-ups and corrections."""
    priced_micros: Micros
    """Prices of all messages."""
    posted_micros: Micros
    voided_micros: Micros
    refunded_micros: Micros = Micros(0)
    open_micros: Micros
    """Sum over the messages that are not closed: price - posted - voided."""


class MessageTotals(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one message's rows add up to."""

    account_id: AccountId
    message_id: MessageId
    price_micros: Micros
    posted_micros: Micros
    voided_micros: Micros
    refunded_micros: Micros = Micros(0)
    closed: bool
    segments_closed_twice: int = 0
    """Segments that more than one event posted or voided."""
    segments_refunded_wrongly: int = 0
    """Segments that were refunded more than once, not in full, or without being posted."""


class Disagreement(msgspec.Struct, frozen=True):
    """One thing that is not what it should be."""

    account_id: AccountId
    what: str
    stored: int
    """Micro-units as they are."""
    recomputed: int
    """Micro-units as they should be; a bound where `what` says "at least" or "at most"."""


def verdict(
    balances: Iterable[StoredBalance],
    totals: Iterable[RowTotals],
    messages: Iterable[MessageTotals] = (),
) -> list[Disagreement]:
    """Return everything that does not agree, accounts first; empty means the money is exact.

    `messages` may be all of them or only those that a query found suspicious. An account without
    rows may be left out of `totals`.
    """
    by_account = {total.account_id: total for total in totals}
    found: list[Disagreement] = []
    for balance in balances:
        total = by_account.pop(balance.account_id, None)
        found += _compare_account(balance, total or _no_rows(balance.account_id))
    for orphan in by_account.values():
        # Rows of an account that has no balance at all.
        nothing = StoredBalance(
            account_id=orphan.account_id,
            available_micros=Micros(0),
            deposited_micros=Micros(0),
            posted_micros=Micros(0),
            floor_micros=Micros(0),
        )
        found.append(Disagreement(orphan.account_id, "accounts without a balance", 1, 0))
        found += _compare_account(nothing, orphan)
    for message in messages:
        found += _compare_message(message)
    return found


def _compare_account(stored: StoredBalance, rows: RowTotals) -> Iterable[Disagreement]:
    spent = stored.posted_micros - stored.refunded_micros
    reserved = stored.deposited_micros - spent - stored.available_micros
    equal = (
        ("deposited", stored.deposited_micros, rows.deposited_micros),
        ("posted", stored.posted_micros, rows.posted_micros),
        ("refunded", stored.refunded_micros, rows.refunded_micros),
        (
            "available",
            stored.available_micros,
            rows.deposited_micros - rows.priced_micros + rows.voided_micros + rows.refunded_micros,
        ),
        ("reserved", reserved, rows.open_micros),
    )
    for what, is_now, should_be in equal:
        if is_now != should_be:
            yield Disagreement(stored.account_id, what, is_now, should_be)
    at_least = (
        ("available, at least the floor", stored.available_micros, stored.floor_micros),
        ("reserved, at least", reserved, 0),
    )
    for what, is_now, bound in at_least:
        if is_now < bound:
            yield Disagreement(stored.account_id, what, is_now, bound)


def _compare_message(message: MessageTotals) -> Iterable[Disagreement]:
    moved = message.posted_micros + message.voided_micros
    name = f"message {message.message_id}"
    if message.closed and moved != message.price_micros:
        yield Disagreement(
            message.account_id, f"{name}: posted and voided", moved, message.price_micros
        )
    elif moved > message.price_micros:
        yield Disagreement(
            message.account_id, f"{name}: posted and voided, at most", moved, message.price_micros
        )
    if message.segments_closed_twice:
        yield Disagreement(
            message.account_id, f"{name}: segments closed twice", message.segments_closed_twice, 0
        )
    if message.segments_refunded_wrongly:
        yield Disagreement(
            message.account_id,
            f"{name}: segments refunded wrongly",
            message.segments_refunded_wrongly,
            0,
        )
    if message.refunded_micros > message.posted_micros:
        yield Disagreement(
            message.account_id,
            f"{name}: refunded, at most",
            message.refunded_micros,
            message.posted_micros,
        )


def _no_rows(account_id: AccountId) -> RowTotals:
    zero = Micros(0)
    return RowTotals(
        account_id=account_id,
        deposited_micros=zero,
        priced_micros=zero,
        posted_micros=zero,
        voided_micros=zero,
        open_micros=zero,
    )
