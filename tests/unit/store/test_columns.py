import enum

import pytest

from gateway.store.columns import Column, read_rows, write_rows

ID = Column("id", "bigint", varies=True)
NAME = Column("name", "text")
BODY = Column("body", "text", varies=True)


def test_a_column_of_one_value_is_said_once() -> None:
    assert write_rows([ID, NAME, NAME], [[1, 2], ["a", "a"], [None, None]]) == [
        "{1,2}",
        ["a"],
        [None],
    ]


def test_a_column_of_two_values_stays_whole() -> None:
    assert write_rows([ID, NAME], [[1, 2], ["a", None]]) == ["{1,2}", ["a", None]]


def test_what_varies_stays_whole_though_it_is_alike() -> None:
    assert write_rows([ID, BODY], [[7, 7], ["x", "x"]]) == ["{7,7}", '{"x","x"}']


def test_no_rows_are_no_rows() -> None:
    assert write_rows([ID, NAME], [[], []]) == ["{}", []]


class Colour(enum.IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("column", "literal"),
    [
        ([0.1, 1e22, -5], "{0.1,1e22,-5}"),
        ([True, False], "{true,false}"),
        ([Colour.RED, Colour.RED], "{3,3}"),
        ([1, None], "{1,NULL}"),
        (["plain", ""], '{"plain",""}'),
        (["NULL", "{a,b}"], '{"NULL","{a,b}"}'),
        (['say "hi"', "back\\slash"], '{"say \\"hi\\"","back\\\\slash"}'),
        (['a","b'], '{"a\\",\\"b"}'),
        (["x", None, 'q"'], '{"x",NULL,"q\\""}'),
    ],
)
def test_a_column_that_varies_is_an_array_literal(column: list[object], literal: str) -> None:
    assert write_rows([BODY], [column]) == [literal]


def test_reading_names_every_parameter_with_its_type() -> None:
    assert read_rows([ID, NAME], first=3) == (
        "SELECT r.id,"
        " CASE WHEN cardinality($4::text[]) = 1 THEN ($4::text[])[1] ELSE r.name END AS name"
        " FROM unnest($3::text::bigint[], $4::text[]) AS r(id, name)"
    )
