"""What a target is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Target(msgspec.Struct, frozen=True):
    """One check and what helps to reach its corners.

    `check` returns when the invariant holds; whatever it raises is a finding. Invariants are
    `assert`ed, so targets do not run under `python -O`.
    """

    name: str
    check: Callable[[bytes], None]
    words: tuple[bytes, ...] = ()
    """Octets that chance would hardly make and that mean something here."""
    seeds: tuple[bytes, ...] = (b"",)
    """What the first cases are made from, besides the corpus."""
    size_max: int = 1024

    @property
    def invariant(self) -> str:
        """What holds for every case: the first paragraph of the check's docstring."""
        paragraph = (self.check.__doc__ or "").strip().partition("\n\n")[0]
        return " ".join(paragraph.split())
