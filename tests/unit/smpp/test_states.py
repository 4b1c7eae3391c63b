"""The two tables that rule a session, for themselves."""

import itertools

from gateway.smpp import vocabulary as v
from gateway.smpp.states import (
    BIND_STEPS,
    BOUND,
    MAY_SEND,
    REQUESTS,
    TRANSITIONS,
    Role,
    State,
    Step,
    list_legal,
)


def test_every_state_has_its_transitions() -> None:
    assert TRANSITIONS.keys() == set(State)


def test_every_state_but_closed_can_end() -> None:
    for state in set(State) - {State.CLOSED}:
        assert TRANSITIONS[state][Step.ENDED] is State.CLOSED
    assert TRANSITIONS[State.CLOSED] == {}


def test_every_step_is_taken_somewhere() -> None:
    taken = set(itertools.chain.from_iterable(TRANSITIONS.values()))
    assert taken == set(Step)


def test_every_state_can_be_reached() -> None:
    reached = {after for steps in TRANSITIONS.values() for after in steps.values()}
    assert reached | {State.OPEN} == set(State)


def test_each_bind_ends_in_its_own_state() -> None:
    after = {command: TRANSITIONS[State.BINDING][step] for command, step in BIND_STEPS.items()}
    assert after == {
        v.BIND_TRANSMITTER: State.BOUND_TX,
        v.BIND_RECEIVER: State.BOUND_RX,
        v.BIND_TRANSCEIVER: State.BOUND_TRX,
    }


def test_nothing_may_be_sent_once_closed() -> None:
    for role in Role:
        assert list_legal(role, State.CLOSED) == frozenset()


def test_enquire_link_may_be_sent_by_both_in_every_other_state() -> None:
    for role, state in itertools.product(Role, set(State) - {State.CLOSED}):
        assert v.ENQUIRE_LINK in list_legal(role, state)


def test_messages_go_only_the_way_that_their_bind_allows() -> None:
    submits = {state for state in State if v.SUBMIT_SM in list_legal(Role.ESME, state)}
    delivers = {state for state in State if v.DELIVER_SM in list_legal(Role.SMSC, state)}
    assert submits == {State.BOUND_TX, State.BOUND_TRX}
    assert delivers == {State.BOUND_RX, State.BOUND_TRX}
    assert submits | delivers == BOUND
    assert v.DELIVER_SM not in MAY_SEND[Role.ESME]
    assert v.SUBMIT_SM not in MAY_SEND[Role.SMSC]


def test_only_requests_are_in_the_table() -> None:
    assert all(command < v.RESPONSE for command in REQUESTS)


def test_each_role_is_the_other_s_peer() -> None:
    assert Role.ESME.peer is Role.SMSC
    assert Role.SMSC.peer is Role.ESME
