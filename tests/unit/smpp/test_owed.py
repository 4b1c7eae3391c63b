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


def test_a_number_in_use_is_taken_again_and_settled_once() -> None:
    owed = Owed(1)
    owed.note(7, v.DELIVER_SM)
    assert owed.note(7, v.DATA_SM) is Noted.REPEATED
    assert owed.settle(7) == v.DATA_SM
    assert owed.settle(7) == 0


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
    owed.clear()
    assert owed.settle(1) == 0
