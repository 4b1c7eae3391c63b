from __future__ import annotations

import pytest

from gateway.peers.forms import (
    FIELDS_MAX,
    TooManyFields,
    fit_gsm7,
    read_form,
    read_number,
    read_text,
)


def test_a_form_is_read_octet_by_octet_and_the_first_counts() -> None:
    assert read_form(b"a=1+2&b=%00%FF&a=3&c=", b"a=4&d=5") == {
        "a": b"1 2",
        "b": b"\x00\xff",
        "c": b"",
        "d": b"5",
    }


def test_a_form_has_a_bounded_number_of_fields() -> None:
    with pytest.raises(TooManyFields):
        read_form(b"&".join(b"a%d=1" % n for n in range(FIELDS_MAX + 1)))


def test_a_text_is_utf8_or_else_latin1() -> None:
    assert read_text({"a": "ü".encode()}, "b", "a") == "ü"
    assert read_text({"a": b"\xfc"}, "a") == "ü"
    assert read_text({}, "a") is None


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (b"3", 3),
        (b" 3 ", 3),
        (b"-1", None),
        (b"", None),
        (b"x", None),
        (b"9", None),
        (b"1" * 10, None),
    ],
)
def test_a_number_is_in_its_range(raw: bytes, number: int | None) -> None:
    assert read_number(raw, 0, 5) == number


def test_what_gsm_lacks_becomes_a_question_mark() -> None:
    assert fit_gsm7("a€你ü") == "a€?ü"
    assert fit_gsm7("plain") == "plain"
