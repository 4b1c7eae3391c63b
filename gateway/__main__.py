"""The `gateway` command, also as `python -m gateway`."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    try:
        # Here, because Ctrl-C in the half second that it takes is no reason for a traceback.
        from gateway.cli.root import cli
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    cli(prog_name="gateway")


if __name__ == "__main__":
    main()
