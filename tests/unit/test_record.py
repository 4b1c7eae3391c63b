"""Values of the hot path: what they have in common, and that each is written out whole."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gateway.record import asdict, replace
from gateway.smpp.shapes import DeliverSm, MessageResp, SubmitSm
from gateway.smpp.window import Entry
from gateway.withdrawn import Canceled, TooLate

ROOT = Path(__file__).parents[2]


def _records() -> dict[str, ast.ClassDef]:
    """Every class that is a Record itself, by where it stands."""
    return {
        f"{path.relative_to(ROOT)}:{node.name}": node
        for path in sorted(ROOT.glob("gateway/**/*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and "Record" in map(ast.unparse, node.bases)
    }


RECORDS = _records()


def test_two_are_equal_when_all_of_their_fields_are() -> None:
    first, same = Entry(1, 4, "context", 2.0), Entry(1, 4, "context", 2.0)
    assert first == same
    assert hash(first) == hash(same)
    assert first != Entry(1, 4, "context", 3.0)


def test_two_of_different_kinds_are_never_equal() -> None:
    assert SubmitSm(source_addr="1") != DeliverSm(source_addr="1")
    assert Canceled() != TooLate()
    assert Canceled() == Canceled()


def test_one_is_shown_with_all_of_its_fields() -> None:
    shown = repr(Entry(1, 4, "context", 2.0))
    for said in ("Entry(", "sequence=1", "command_id=4", "context='context'", "sent_at=2.0"):
        assert said in shown


def test_fields_of_a_kind_it_is_derived_from_are_its_own() -> None:
    assert asdict(DeliverSm(source_addr="1", short_message=b"x")) == asdict(
        SubmitSm(source_addr="1", short_message=b"x")
    )
    assert asdict(MessageResp(1, 0, "id"))["message_id"] == "id"


def test_a_copy_differs_in_what_is_asked_for_alone() -> None:
    message = SubmitSm(source_addr="1", short_message=b"x")
    changed = replace(message, source_addr="2")
    assert type(changed) is SubmitSm
    assert (changed.source_addr, changed.short_message) == ("2", b"x")
    assert message.source_addr == "1"


def test_a_field_that_it_has_not_can_not_be_changed_in_a_copy() -> None:
    with pytest.raises(TypeError):
        replace(SubmitSm(), sauce_addr="2")


@pytest.mark.parametrize("where", RECORDS)
def test_a_record_names_each_field_takes_it_and_never_changes_it(where: str) -> None:
    record = RECORDS[where]
    slots = next(
        ast.literal_eval(node.value)
        for node in record.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__"
    )
    begin = next(
        (n for n in record.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None
    )
    taken: set[str] = set()
    final: set[str] = set()
    if begin is not None:
        taken = {each.arg for each in (*begin.args.args[1:], *begin.args.kwonlyargs)}
        final = {
            node.target.attr
            for node in begin.body
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Attribute)
            and ast.unparse(node.annotation).startswith("Final")
        }
    assert taken == final == set(slots)
