"""The table of message states, complete and in agreement with itself."""

from __future__ import annotations

import pytest
from smpplib import consts

from gateway.dlr.states import STATE_OF, STATE_OF_WORD, STATUS_OF, WORD_OF, MessageState
from gateway.lifecycle import Status


def test_numbers_agree_with_smpplib() -> None:
    for state in MessageState:
        if state not in (MessageState.SCHEDULED, MessageState.SKIPPED):  # SMPP 5.0's
            assert getattr(consts, f"SMPP_MESSAGE_STATE_{state.name}") == state


def test_every_state_has_a_word_and_a_status() -> None:
    assert set(WORD_OF) == set(STATUS_OF) == set(MessageState)
    for state, word in WORD_OF.items():
        assert STATE_OF_WORD[word] is state
        assert STATE_OF_WORD[state.name] is state


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("DELIVRD", Status.DELIVERED),
        ("EXPIRED", Status.EXPIRED),
        ("DELETED", Status.DELETED),
        ("UNDELIV", Status.UNDELIVERED),
        ("FAILED", Status.UNDELIVERED),
        ("REJECTD", Status.REJECTED),
        ("UNKNOWN", Status.UNKNOWN),
        ("SKIPPED", Status.UNDELIVERED),
        ("ENROUTE", Status.SUBMITTED),
        ("ACCEPTD", Status.SUBMITTED),
        ("SCHEDULED", Status.SUBMITTED),
    ],
)
def test_a_word_means_this_to_a_segment(word: str, status: Status) -> None:
    assert STATUS_OF[STATE_OF_WORD[word]] is status


def test_only_states_on_the_way_are_not_final() -> None:
    on_the_way = {state for state in MessageState if not STATUS_OF[state].final}
    assert on_the_way == {MessageState.SCHEDULED, MessageState.ENROUTE, MessageState.ACCEPTED}


def test_every_status_has_a_state_that_means_the_same() -> None:
    assert set(STATE_OF) == set(Status)
    for status, state in STATE_OF.items():
        assert STATUS_OF[state].final is status.final
        if status.final and status is not Status.CANCELED:
            assert STATUS_OF[state] is status
