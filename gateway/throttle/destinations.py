"""How fast a carrier takes messages for parts of the world, found by recipient.

Not here: what is held back and for how long (`gateway/ceilings.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Destinations(Generic[T]):
    """What holds for which recipients: by the longest prefix, else by operator, else by country."""

    __slots__ = ("_countries", "_lengths", "_operators", "_prefixes")

    def __init__(
        self,
        prefixes: Mapping[str, T],
        countries: Mapping[str, T],
        operators: Mapping[str, T] | None = None,
    ) -> None:
        """`prefixes` are digits of E.164, `countries` ISO 3166 alpha-2, `operators` like 26201."""
        self._prefixes = dict(prefixes)
        self._lengths = sorted({len(prefix) for prefix in prefixes}, reverse=True)
        self._countries = dict(countries)
        self._operators = dict(operators or {})

    def find(self, recipient: str, country: str, operator: str = "") -> T | None:
        """Return what holds for a recipient, None when nothing does; "" for what is not known."""
        for length in self._lengths:
            found = self._prefixes.get(recipient[:length])
            if found is not None:
                return found
        if operator and (found := self._operators.get(operator)) is not None:
            return found
        return self._countries.get(country)
