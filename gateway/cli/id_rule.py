"""`gateway carrier id-rule`: how a carrier writes its ids, told from pairs of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import click

from gateway.cli.output import print_fields, print_json, print_line, print_note, print_table
from gateway.cli.session import Session, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.config import Carrier
from gateway.dlr.ids import IdForm, IdRule, Proposal, propose_rule
from gateway.errors import Rejected
from gateway.lines import build_id_rule
from gateway.model import CarrierId
from gateway.store.id_pairs import fetch_id_pairs
from gateway.store.postgres import Database
from gateway.store.reader import fetch_carrier_names

EXAMPLES_MAX = 10
"""Pairs that no rule explains, as many as show what is odd about them."""

Pair = tuple[str, str]


@click.command(
    name="id-rule",
    epilog=examples(
        "gateway carrier id-rule alpha",
        "gateway carrier id-rule alpha --pair 1B8E 7054 --pair 1B8F 7055",
        "gateway carrier id-rule alpha --csv pairs.csv --json",
    ),
)
@click.argument("name")
@click.option(
    "--pair",
    "pairs",
    type=(str, str),
    multiple=True,
    metavar="RESPONSE RECEIPT",
    help="One message's id in submit_sm_resp and in its receipt; may be repeated.",
)
@click.option(
    "--csv",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Such pairs, two columns a line.",
)
@json_option
@config_option
@pass_session
def id_rule(
    session: Session, name: str, pairs: tuple[Pair, ...], file: Path | None, as_json: bool
) -> None:
    """Propose how a carrier writes its ids, so that receipts match.

    Without pairs, those are taken from its latest receipts that match nothing: each beside what
    was submitted to the same number shortly before.
    """
    carrier = _find(session, name)
    observed = [*pairs, *(read_pairs(file) if file else ())]
    if not observed:
        observed = session.run(lambda database: _fetch(database, name))
    present = build_id_rule(carrier)
    proposal = propose_rule(observed)
    explained = sum(present.agrees(*pair) for pair in observed)
    if as_json:
        print_json(_as_json(name, observed, present, explained, proposal))
        return
    if not observed:
        print_line(f"No receipt of {name} waits beside one submission to its number.")
        print_note("Give pairs by --pair or --csv, from the carrier's log or ours.")
        return
    print_fields(
        [
            ("now", f"{write_rule(present)}: explains {explained} of {len(observed)} pairs"),
            ("proposed", _sentence(proposal)),
        ]
    )
    unexplained = proposal.unexplained if proposal else tuple(observed)
    if unexplained:
        print_note("Not explained:")
        print_table(("response", "receipt"), unexplained[:EXAMPLES_MAX])
    if proposal and proposal.rule != present:
        print_note(f"For the settings, at carrier {name}:")
        print_line(write_rule(proposal.rule))
        print_note(f"Then: gateway apply, and: gateway receipts rematch --carrier {name}")


def read_pairs(file: Path) -> list[Pair]:
    """Read pairs from a CSV file; a first line that names its columns is passed over."""
    try:
        rows = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Rejected("csv", f"can't read {file}: {error}", field="--csv") from error
    pairs = []
    for number, row in enumerate(rows, start=1):
        if not row or (number == 1 and row[0].strip().lower() == "response"):
            continue
        if len(row) != 2:
            raise Rejected("csv", f"line {number} has {len(row)} columns, not two", field="--csv")
        pairs.append((row[0].strip(), row[1].strip()))
    return pairs


def write_rule(rule: IdRule) -> str:
    """Return a rule as the settings have it."""
    parts = [f'response = "{rule.response}"', f'receipt = "{rule.receipt}"']
    if rule.strip_zeros:
        parts.append("strip_zeros = true")
    return f"ids = {{ {', '.join(parts)} }}"


def _find(session: Session, name: str) -> Carrier:
    for carrier in session.config.carrier:
        if carrier.name == name:
            return carrier
    raise Rejected("carrier_unknown", f"the settings have no carrier {name!r}", status=404)


async def _fetch(database: Database, name: str) -> list[Pair]:
    for carrier_id, known in (await fetch_carrier_names(database)).items():
        if known == name:
            return await fetch_id_pairs(database, CarrierId(carrier_id))
    return []


def _sentence(proposal: Proposal | None) -> str:
    if proposal is None:
        return "none explains any of them"
    explains = f"explains {proposal.matched} of {proposal.observed} pairs"
    return f"{write_rule(proposal.rule)}: {explains}"


def _as_json(
    name: str, observed: list[Pair], present: IdRule, explained: int, proposal: Proposal | None
) -> dict[str, Any]:
    unexplained = proposal.unexplained if proposal else tuple(observed)
    return {
        "carrier": name,
        "pairs": len(observed),
        "present": {**_rule_as_json(present), "explained": explained},
        "proposed": None
        if proposal is None
        else {**_rule_as_json(proposal.rule), "explained": proposal.matched},
        "unexplained": [{"response": r, "receipt": d} for r, d in unexplained[:EXAMPLES_MAX]],
        "toml": "" if proposal is None else write_rule(proposal.rule),
    }


def _rule_as_json(rule: IdRule) -> dict[str, IdForm | bool]:
    return {"response": rule.response, "receipt": rule.receipt, "strip_zeros": rule.strip_zeros}
