from gateway.store.columns import read_rows, say_once


def test_a_column_of_one_value_is_said_once() -> None:
    assert say_once([[1, 2, 3], ["a", "a", "a"], [None, None, None]], rows=0) == [
        [1, 2, 3],
        ["a"],
        [None],
    ]


def test_a_column_of_two_values_stays_whole() -> None:
    assert say_once([[1, 2], ["a", None], [False, True]], rows=0) == [
        [1, 2],
        ["a", None],
        [False, True],
    ]


def test_the_column_that_tells_the_number_of_rows_stays_whole() -> None:
    assert say_once([[7, 7], [1, 1]], rows=0) == [[7, 7], [1]]
    assert say_once([[7, 7], [1, 1]], rows=1) == [[7], [1, 1]]


def test_reading_names_every_parameter_with_its_type() -> None:
    assert read_rows([("id", "bigint"), ("name", "text")], first=3) == (
        "SELECT CASE WHEN cardinality($3::bigint[]) = 1 THEN ($3::bigint[])[1] ELSE r.id END AS id,"
        " CASE WHEN cardinality($4::text[]) = 1 THEN ($4::text[])[1] ELSE r.name END AS name"
        " FROM unnest($3::bigint[], $4::text[]) AS r(id, name)"
    )


def test_no_rows_are_no_rows() -> None:
    assert say_once([[], []], rows=0) == [[], []]
