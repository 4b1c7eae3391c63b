"""What we owe the peer."""

from gateway.smpp import vocabulary as v
from gateway.smpp.owed import Noted, Owed


def test_a_request_is_owed_until_it_is_settled_once() -> None:
    owed = Owed()
    assert owed.note(7, v.DELIVER_SM) is Noted.NEW
    assert len(owed) == 1
    assert owed.settle(7) == v.DELIVER_SM
    assert owed.settle(7) == 0
    assert len(owed) == 0


def test_a_number_in_use_is_owed_as_often_as_it_is_used() -> None:
    owed = Owed(3)
    owed.note(7, v.DELIVER_SM)
    assert owed.note(7, v.DATA_SM) is Noted.REPEATED
    assert owed.note(7, v.DELIVER_SM) is Noted.REPEATED
    assert owed.note(7, v.DELIVER_SM) is Noted.NO_ROOM
    assert len(owed) == 3
    assert [owed.settle(7) for _ in range(4)] == [v.DELIVER_SM, v.DATA_SM, v.DELIVER_SM, 0]
    assert len(owed) == 0


def test_of_two_requests_with_one_number_the_one_that_is_meant_is_settled() -> None:
    owed = Owed()
    owed.note(7, v.SUBMIT_SM)
    owed.note(7, v.QUERY_SM)
    owed.note(8, v.SUBMIT_SM)
    assert owed.settle(7, v.CANCEL_SM) == 0
    assert owed.settle(7, v.QUERY_SM, v.DATA_SM) == v.QUERY_SM
    assert (owed.owes(7), len(owed)) == (True, 2)
    assert owed.settle(7, v.QUERY_SM) == 0
    assert owed.settle(7, v.SUBMIT_SM) == v.SUBMIT_SM
    assert owed.owes(7) is False


def test_a_full_ledger_takes_no_more() -> None:
    owed = Owed(2)
    assert [owed.note(sequence, v.DELIVER_SM) for sequence in (1, 2, 3)] == [
        Noted.NEW,
        Noted.NEW,
        Noted.NO_ROOM,
    ]
    assert owed.settle(3) == 0


def test_clearing_forgets_everything() -> None:
    owed = Owed()
    owed.note(1, v.DELIVER_SM)
    owed.note(1, v.DELIVER_SM)
    owed.clear()
    assert (owed.settle(1), len(owed)) == (0, 0)
