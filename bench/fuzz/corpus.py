"""The kept cases: one file a target, one case a line in hexadecimal, comments behind `#`.

They are what exploring starts from and what the tests run first. A case that once was a finding
carries a comment that says what it broke, and such a case is never dropped again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from bench.fuzz.coverage import Watch
from bench.fuzz.target import Target

CORPUS: Final = Path(__file__).parents[2] / "tests" / "fuzz" / "corpus"
EMPTY: Final = "-"
"""How the case without any octet is written: a blank line would not be seen."""


def read_cases(name: str, folder: Path = CORPUS) -> list[bytes]:
    """Return a target's cases in the order of the file, none when there is no file.

    Raises ValueError for a line that is not hexadecimal.
    """
    cases = (_read_case(line) for line in _lines(name, folder))
    return [case for case in cases if case is not None]


def keep_cases(target: Target, cases: Iterable[bytes], folder: Path = CORPUS) -> int:
    """Write the fewest and shortest of the kept and the new cases that together reach every
    branch which any of them reaches; return how many these are."""
    commented = [line for line in _lines(target.name, folder) if "#" in line]
    watch = Watch()
    for line in commented:
        case = _read_case(line)
        if case is not None:
            watch.run(target.check, case)
    candidates = sorted({*read_cases(target.name, folder), *cases}, key=lambda c: (len(c), c))
    kept = [case for case in candidates if watch.run(target.check, case)]
    lines = [*commented, *(case.hex() or EMPTY for case in kept)]
    (folder / f"{target.name}.hex").write_text("".join(f"{line}\n" for line in lines))
    return len(kept)


def _lines(name: str, folder: Path) -> Iterator[str]:
    path = folder / f"{name}.hex"
    if path.exists():
        yield from path.read_text().splitlines()


def _read_case(line: str) -> bytes | None:
    """Return the case of a line, None for a line without one."""
    octets = line.partition("#")[0].strip()
    if not octets:
        return None
    return b"" if octets == EMPTY else bytes.fromhex(octets)
