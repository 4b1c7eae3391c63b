"""The `gateway` command, also as `python -m gateway`."""

from __future__ import annotations

from gateway.cli.root import cli


def main() -> None:
    cli(prog_name="gateway")


if __name__ == "__main__":
    main()
