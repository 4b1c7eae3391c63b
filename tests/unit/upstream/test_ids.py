"""Message ids in the form that an account has agreed on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import MessageId
from gateway.upstream.ids import ID_MAX, IdForm, format_id, parse_id


def test_ids_are_written_in_either_form() -> None:
    assert format_id(MessageId(3_735_928_559), IdForm.DECIMAL) == "3735928559"
    assert format_id(MessageId(3_735_928_559), IdForm.HEX) == "deadbeef"


@pytest.mark.parametrize(
    ("raw", "form", "expected"),
    [
        ("0042", IdForm.DECIMAL, 42),
        (" 42 ", IdForm.DECIMAL, 42),
        ("00DeadBeef", IdForm.HEX, 3_735_928_559),
        ("", IdForm.DECIMAL, None),
        ("0", IdForm.DECIMAL, None),
        ("-1", IdForm.DECIMAL, None),
        ("4_2", IdForm.DECIMAL, None),
        ("٤٢", IdForm.DECIMAL, None),
        ("beef", IdForm.DECIMAL, None),
        ("0xBeef", IdForm.HEX, 48_879),
        (str(2**63), IdForm.DECIMAL, None),
        ("9" * 5_000, IdForm.DECIMAL, None),
    ],
)
def test_ids_are_read_leniently_and_never_wrongly(
    raw: str, form: IdForm, expected: int | None
) -> None:
    assert parse_id(raw, form) == expected


@given(st.integers(1, ID_MAX), st.sampled_from(IdForm))
def test_a_written_id_is_read_back(number: int, form: IdForm) -> None:
    assert parse_id(format_id(MessageId(number), form), form) == number
