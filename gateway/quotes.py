"""What sending to a list of numbers would cost, before anything is sent.

A plain sum over what intake says of each number. Not here: what one costs (`intake.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from gateway.assessed import Assessed
from gateway.credit.prices import format_micros
from gateway.errors import Rejected
from gateway.model import Account
from gateway.views import Quote, QuoteCountry, QuoteItem, QuoteReason


class _Sum(msgspec.Struct):
    """What goes to one country."""

    numbers: int = 0
    segments: int = 0
    price: int = 0


def build_quote(
    account: Account, asked: Sequence[tuple[str, Assessed | Rejected]], spendable_micros: int
) -> Quote:
    """Return the quote for these numbers, each beside what intake says of it.

    `spendable_micros` is what the account could spend now.
    """
    sums: dict[str, _Sum] = {}
    items: list[QuoteItem] = []
    for to, assessed in asked:
        if isinstance(assessed, Rejected):
            items.append(QuoteItem(to=to, code=assessed.code, detail=assessed.detail))
            continue
        items.append(_item(assessed))
        country = sums.setdefault(assessed.country, _Sum())
        country.numbers += 1
        country.segments += assessed.measured.segments
        country.price += assessed.price_micros
    price = sum(country.price for country in sums.values())
    ineligible = sum(1 for item in items if item.code)
    return Quote(
        items=items,
        sendable=len(items) - ineligible,
        ineligible=ineligible,
        segments=sum(country.segments for country in sums.values()),
        price=format_micros(price),
        currency=account.currency,
        countries=[
            QuoteCountry(
                country=name,
                numbers=of.numbers,
                segments=of.segments,
                price=format_micros(of.price),
            )
            for name, of in sorted(sums.items())
        ],
        reasons=_count_reasons(items),
        spendable=format_micros(spendable_micros),
        covered=price <= spendable_micros,
    )


def _item(assessed: Assessed) -> QuoteItem:
    return QuoteItem(
        to=assessed.recipient,
        country=assessed.country,
        segments=assessed.measured.segments,
        encoding=assessed.measured.encoding.wire,
        price=format_micros(assessed.price_micros),
    )


def _count_reasons(items: Iterable[QuoteItem]) -> list[QuoteReason]:
    """Count why numbers can't be sent to, the most frequent reason first."""
    counted = Counter(item.code for item in items if item.code)
    return [QuoteReason(code=code, numbers=numbers) for code, numbers in counted.most_common()]
