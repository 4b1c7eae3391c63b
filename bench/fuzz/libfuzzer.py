"""The process that `guided.py` starts for one target: it belongs to libFuzzer from here on.

The gateway is imported under atheris' eyes, so nothing of it may be imported before.
"""

from __future__ import annotations

import sys


def main(name: str, *flags: str) -> None:
    import atheris  # type: ignore[import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["gateway"]):
        from bench.fuzz.targets import TARGETS
    atheris.Setup([name, *flags], TARGETS[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
