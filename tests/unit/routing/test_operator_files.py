"""Suppliers' tables: what is read, and what is wrong by its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.routing.operator_files import Ported, read_ported, read_prefixes
from gateway.routing.operators import Operator

TELEKOM = Operator("262", "01", "Telekom", "DE")


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


@pytest.mark.parametrize(
    "text",
    [
        "prefix,mcc,mnc,name,country\n49171,262,01,Telekom,DE\n",
        "\ufeffPrefix;MCC;MNC;Name;Country\r\n+49 171;262;01;Telekom;de\r\n\r\n",
        "country\tnote\tname\tmnc\tmcc\tprefix\nDE\tx\tTelekom\t01\t262\t49171",
        'prefix,mcc,mnc,name,country\n"49171","262","01","Telekom","DE"\n',
    ],
)
def test_a_table_is_read_in_whichever_way_it_is_written(text: str) -> None:
    assert read_prefixes(lines(text), "t.csv") == {"49171": TELEKOM}


def test_name_and_country_may_be_missing() -> None:
    table = read_prefixes(lines("prefix,mcc,mnc\n49171,262,01\n"), "t.csv")
    assert table == {"49171": Operator("262", "01")}


def test_a_row_that_is_there_twice_counts_once() -> None:
    row = "49171,262,01,Telekom,DE\n"
    table = read_prefixes(lines("prefix,mcc,mnc,name,country\n" + row * 2), "t.csv")
    assert table == {"49171": TELEKOM}


@pytest.mark.parametrize(
    ("text", "key", "detail"),
    [
        ("", "t.csv:1", "the first line names the columns prefix, mcc, mnc; not prefix"),
        ("prefix,mcc\n", "t.csv:1", "the first line names the columns prefix, mcc, mnc; not mnc"),
        ("prefix,mcc,mnc\n49171,262\n", "t.csv:2", "2 fields, and the first line has 3"),
        (
            "prefix,mcc,mnc\n0049171,262,01\n",
            "t.csv:2",
            "prefix '0049171' is not 1 to 15 digits with the calling code first",
        ),
        ("prefix,mcc,mnc\n49171,26,01\n", "t.csv:2", "mcc '26' is not three digits"),
        (
            "prefix,mcc,mnc\n49171,262,1\n",
            "t.csv:2",
            "mnc '1' is not two or three digits (spreadsheets drop leading zeros)",
        ),
        ("prefix,mcc,mnc\n49171,262,x1\n", "t.csv:2", "mnc 'x1' is not two or three digits"),
        (
            "prefix,mcc,mnc,country\n\n49171,262,01,Germany\n",
            "t.csv:3",
            "country 'Germany' is not ISO 3166's two letters",
        ),
        (
            "prefix,mcc,mnc\n49171,262,01\n49171,262,02\n",
            "t.csv:3",
            "prefix 49171 is given to 262-01 and to 262-02",
        ),
        (
            f"prefix,mcc,mnc,name\n49171,262,01,{'x' * 201}\n",
            "t.csv:2",
            "a field has at most 200 characters",
        ),
    ],
)
def test_what_cannot_be_used_is_named_by_its_line(text: str, key: str, detail: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_prefixes(lines(text), "t.csv")
    assert (caught.value.key, caught.value.detail) == (key, detail)


def test_a_quotation_that_never_ends_is_not_csv() -> None:
    with pytest.raises(ConfigError, match="not CSV"):
        read_prefixes(lines('prefix,mcc,mnc\n"49171,262,01\n'), "t.csv")


def test_ported_numbers_say_where_they_are_now() -> None:
    text = "number,mcc,mnc\n+491713920010,262,02\n491713920011,,\n"
    assert list(read_ported(lines(text), "p.csv")) == [
        Ported("491713920010", "26202"),
        Ported("491713920011", ""),
    ]


def test_a_ported_number_with_half_a_code_is_refused() -> None:
    with pytest.raises(ConfigError, match="mnc '' is not two or three digits"):
        list(read_ported(lines("number,mcc,mnc\n491713920010,262,\n"), "p.csv"))


@given(st.text(max_size=200))
def test_garbage_gives_only_a_table_or_an_error_with_its_line(text: str) -> None:
    try:
        table = read_prefixes(lines("prefix,mcc,mnc\n" + text), "t.csv")
    except ConfigError as error:
        assert error.key.startswith("t.csv:")
    else:
        assert all(prefix.isdigit() for prefix in table)
