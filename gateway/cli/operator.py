"""`gateway operator …`: whose subscriber a number is, by tables that suppliers send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click
import msgspec

from gateway.cli.output import print_fields, print_json, print_line, print_table, waiting
from gateway.cli.session import Session, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.errors import ConfigError, Rejected
from gateway.routing.numbers import (
    Ineligible,
    Number,
    find_time_zones,
    number_type,
    parse_number,
)
from gateway.routing.operator_files import read_ported, read_prefixes
from gateway.routing.operators import Operators
from gateway.store import operators
from gateway.store.postgres import Database

file_argument = click.argument("file", type=click.Path(path_type=Path))


class NumberJson(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a number, as scripts read it."""

    number: str
    country: str
    type: str
    time_zones: tuple[str, ...]
    mcc: str = ""
    mnc: str = ""
    operator: str = ""
    ported: bool = False
    prefix: str = ""
    """What told the operator, unless it was ported."""


@click.group()
def operator() -> None:
    """Operators of numbers, by prefix and by ported number, from suppliers' tables."""


@operator.command(
    name="import",
    epilog=examples(
        "gateway operator import operators.csv",
        "",
        "The file's first line names its columns, in any order: prefix, mcc, mnc, and perhaps",
        "name and country. Other columns are passed over.",
        "",
        "  prefix,mcc,mnc,name,country",
        "  49171,262,01,Telekom,DE",
    ),
)
@file_argument
@json_option
@config_option
@pass_session
def import_table(session: Session, file: Path, as_json: bool) -> None:
    """Put a table of prefixes in the place of the one that was there.

    A running gateway goes by it within seconds. A line that can't be used changes nothing.
    """
    with _open(file) as lines:
        table = read_prefixes(lines, file.name)
    session.run(lambda database: operators.import_prefixes(database, table), create=True)
    codes = len({each.code for each in table.values()})
    if as_json:
        print_json({"prefixes": len(table), "operators": codes})
    else:
        print_line(f"{len(table):,} prefixes of {codes:,} operators")


@operator.command(
    epilog=examples(
        "gateway operator port ported.csv",
        "gateway operator port everything.csv --replace",
        "",
        "The file's first line names its columns: number, mcc, mnc. A number without mcc and mnc",
        "is back with the operator of its prefix.",
        "",
        "  number,mcc,mnc",
        "  491713920010,262,02",
    ),
)
@file_argument
@click.option("--replace", is_flag=True, help="What is not in the file is not ported any more.")
@json_option
@config_option
@pass_session
def port(session: Session, file: Path, replace: bool, as_json: bool) -> None:
    """Take in numbers that moved to another operator.

    They are added to those that are known. A running gateway goes by them within seconds.
    """

    async def work(database: Database) -> operators.Imported:
        with _open(file) as lines:
            rows = read_ported(lines, file.name)
            return await operators.import_ported(database, rows, replace=replace)

    with waiting(f"Importing {file.name} …"):
        imported = session.run(work, create=True)
    if as_json:
        print_json(imported)
    else:
        print_line(
            f"{imported.changed:,} moved, {imported.removed:,} back; {imported.total:,} in all"
        )


@operator.command(
    name="list", epilog=examples("gateway operator list", "gateway operator list --json")
)
@json_option
@config_option
@pass_session
def list_operators(session: Session, as_json: bool) -> None:
    """List operators, and how many prefixes and ported numbers they have."""
    rows = session.run(operators.list_operators)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("operator", "name", "country", "prefixes", "ported"),
        (
            (f"{row.code[:3]}-{row.code[3:]}", row.name, row.country, row.prefixes, row.ported)
            for row in rows
        ),
        right=("prefixes", "ported"),
    )


@operator.command(
    epilog=examples("gateway operator lookup +491713920010", "gateway operator lookup 491713920010")
)
@click.argument("number")
@json_option
@config_option
@pass_session
def lookup(session: Session, number: str, as_json: bool) -> None:
    """Say what is known of a number: its country, type, time zones and operator."""
    parsed = parse_number(number, default_country=session.config.messages.default_country)
    if isinstance(parsed, Ineligible):
        raise Rejected(parsed.code.value, parsed.detail, field="number")
    known = session.run(lambda database: operators.fetch_operators_for(database, parsed.e164))
    found = describe(parsed, known)
    if as_json:
        print_json(found)
        return
    how = "it was ported" if found.ported else f"by prefix {found.prefix}"
    code = f"{found.mcc}-{found.mnc} {found.operator}".strip()
    print_fields(
        [
            ("number", f"+{found.number}"),
            ("country", found.country),
            ("type", found.type),
            ("time zone", ", ".join(found.time_zones)),
            ("operator", f"{code} ({how})" if found.mcc else "unknown"),
        ]
    )


def describe(number: Number, known: Operators) -> NumberJson:
    """Return everything that is known of a number."""
    found = known.find(number.e164)
    told = {}
    if found is not None:
        told = {
            "mcc": found.operator.mcc,
            "mnc": found.operator.mnc,
            "operator": found.operator.name,
            "prefix": found.prefix,
        }
    return NumberJson(
        number=number.e164,
        country=number.country,
        type=number_type(number).value,
        time_zones=find_time_zones(number.e164),
        ported=found is not None and not found.prefix,
        **told,
    )


@contextmanager
def _open(file: Path) -> Iterator[TextIO]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except OSError as error:
        raise ConfigError("", f"can't read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError("", f"{file} is not UTF-8: {error}") from error
