"""A session's states and the two tables that rule it: what may follow what, and who may send what.

    ESME                                   SMSC
    OPEN ──bind_*──► BINDING               OPEN ◄──refused── BINDING ◄──bind_*── OPEN
    BINDING ──bind_*_resp──► BOUND_x       BINDING ──accepted──► BOUND_x
    BOUND_x ──unbind──► UNBINDING ──unbind_resp, a deadline──► CLOSED
    any ──the connection, a timer, garbage, the peer's unbind──► CLOSED

While UNBINDING the peer may still send what its bind allowed: our unbind and its receipt cross on
the wire, and refusing the receipt would only delay it. The session itself is `protocol.py`'s.
"""

from __future__ import annotations

import enum
from typing import Final

from gateway.smpp import vocabulary as v


class Role(enum.Enum):
    """Which end of the session this is."""

    ESME = "esme"
    """The one that binds: we, towards carriers."""
    SMSC = "smsc"
    """The one that is bound to: we, towards customers."""

    @property
    def peer(self) -> Role:
        return Role.SMSC if self is Role.ESME else Role.ESME


class State(enum.StrEnum):
    """SMPP 3.4 §2.2, with the two states in between that an implementation needs.

    Words, because a plain member is hashed in Python, and each message asks whether BOUND has its
    session's.
    """

    OPEN = "open"
    BINDING = "binding"
    BOUND_TX = "bound_tx"
    BOUND_RX = "bound_rx"
    BOUND_TRX = "bound_trx"
    UNBINDING = "unbinding"
    CLOSED = "closed"


class Step(enum.Enum):
    """What moves a session from one state to another."""

    BIND_ASKED = enum.auto()
    BIND_REFUSED = enum.auto()
    BOUND_TX = enum.auto()
    BOUND_RX = enum.auto()
    BOUND_TRX = enum.auto()
    UNBIND_ASKED = enum.auto()
    ENDED = enum.auto()


BOUND: Final = frozenset({State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX})
_TRANSMIT: Final = frozenset({State.BOUND_TX, State.BOUND_TRX})
_RECEIVE: Final = frozenset({State.BOUND_RX, State.BOUND_TRX})
_OPEN: Final = frozenset({State.OPEN})
_ALIVE: Final = frozenset(State) - {State.CLOSED}

_WHILE_BOUND: Final = {Step.UNBIND_ASKED: State.UNBINDING, Step.ENDED: State.CLOSED}

TRANSITIONS: Final[dict[State, dict[Step, State]]] = {
    State.OPEN: {Step.BIND_ASKED: State.BINDING, Step.ENDED: State.CLOSED},
    State.BINDING: {
        Step.BIND_REFUSED: State.OPEN,
        Step.BOUND_TX: State.BOUND_TX,
        Step.BOUND_RX: State.BOUND_RX,
        Step.BOUND_TRX: State.BOUND_TRX,
        Step.ENDED: State.CLOSED,
    },
    State.BOUND_TX: _WHILE_BOUND,
    State.BOUND_RX: _WHILE_BOUND,
    State.BOUND_TRX: _WHILE_BOUND,
    State.UNBINDING: {Step.ENDED: State.CLOSED},
    State.CLOSED: {},
}

BIND_STEPS: Final[dict[int, Step]] = {
    v.BIND_TRANSMITTER: Step.BOUND_TX,
    v.BIND_RECEIVER: Step.BOUND_RX,
    v.BIND_TRANSCEIVER: Step.BOUND_TRX,
}

MAY_SEND: Final[dict[Role, dict[int, frozenset[State]]]] = {
    Role.ESME: {
        v.BIND_TRANSMITTER: _OPEN,
        v.BIND_RECEIVER: _OPEN,
        v.BIND_TRANSCEIVER: _OPEN,
        v.UNBIND: BOUND,
        v.ENQUIRE_LINK: _ALIVE,
        v.SUBMIT_SM: _TRANSMIT,
        v.SUBMIT_MULTI: _TRANSMIT,
        v.DATA_SM: _TRANSMIT,
        v.QUERY_SM: _TRANSMIT,
        v.CANCEL_SM: _TRANSMIT,
        # SMPP 3.4 leaves BOUND_TRX out here, SMPP 5.0 corrects it.
        v.REPLACE_SM: _TRANSMIT,
        v.BROADCAST_SM: _TRANSMIT,
        v.QUERY_BROADCAST_SM: _TRANSMIT,
        v.CANCEL_BROADCAST_SM: _TRANSMIT,
    },
    Role.SMSC: {
        v.OUTBIND: _OPEN,
        v.UNBIND: BOUND,
        v.ENQUIRE_LINK: _ALIVE,
        v.DELIVER_SM: _RECEIVE,
        v.DATA_SM: _RECEIVE,
        v.ALERT_NOTIFICATION: _RECEIVE,
    },
}
"""Requests by who may send them in which states (SMPP 3.4 §2.3). Responses are not in it: they
are legal where their request is unanswered, and never refused, or two peers could refuse each
other's refusals for ever."""

UNANSWERED: Final = frozenset({v.OUTBIND, v.ALERT_NOTIFICATION})
"""Requests that have no response of their own."""

REQUESTS: Final = frozenset(MAY_SEND[Role.ESME]) | frozenset(MAY_SEND[Role.SMSC])


def list_legal(role: Role, state: State) -> frozenset[int]:
    """Return the command_ids of all requests that `role` may send in `state`."""
    return frozenset(command for command, states in MAY_SEND[role].items() if state in states)
