"""Dialects as data: what they may say, and what the registry holds."""

from __future__ import annotations

import msgspec
import pytest

from gateway.dlr.dialects import DEFAULT, DIALECTS, Dialect, ErrorMeaning
from gateway.dlr.ids import IdForm, IdRule
from gateway.lifecycle import Status


def test_the_registry_names_every_dialect_as_it_names_itself() -> None:
    assert DIALECTS["default"] is DEFAULT
    for name, dialect in DIALECTS.items():
        assert dialect.name == name


def test_only_a_dialect_made_for_it_takes_a_text_for_a_receipt() -> None:
    assert [name for name, dialect in DIALECTS.items() if dialect.text_pattern] == ["unmarked"]


def test_a_carrier_s_own_settings_go_over_a_named_dialect() -> None:
    own = msgspec.structs.replace(DIALECTS["hex-response"], utc_offset_minutes=330)
    assert own.ids == IdRule(IdForm.HEX, IdForm.DECIMAL)
    assert own.utc_offset_minutes == 330
    assert DIALECTS["hex-response"].utc_offset_minutes == 0


def test_a_status_word_that_could_never_be_found_is_refused() -> None:
    with pytest.raises(ValueError, match="'Delivrd' is not in capitals"):
        Dialect(name="x", statuses={"Delivrd": Status.DELIVERED})


def test_an_error_is_explained_by_err_before_the_network_s_code() -> None:
    absent = ErrorMeaning("absent subscriber", permanent=False)
    barred = ErrorMeaning("barred", permanent=True)
    dialect = Dialect(name="x", errors={"027": absent, "3:13": barred})
    assert dialect.explain("027", "3:13") is absent
    assert dialect.explain("999", "3:13") is barred
    assert dialect.explain("", "3:13") is barred
    assert dialect.explain("999", "3:14") is None
    assert DEFAULT.explain("", "") is None
