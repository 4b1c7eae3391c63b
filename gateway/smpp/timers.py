"""A session's timers (SMPP 3.4 §7.2) as values and one pure step.

The specification names session_init, enquire_link, inactivity and response timers without values.
Nobody waits here: the session asks what is due at `now` and when to ask again.
"""

from __future__ import annotations

import enum

import msgspec


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """How long each wait lasts, in seconds; 0 turns enquire_link and inactivity off."""

    session_init_s: float = 30.0
    """From the connection to the bind's answer. Carriers allow 10 to 30."""
    enquire_link_s: float = 30.0
    """Nothing heard for this long: ask. Carriers commonly drop a link silent for 60."""
    response_s: float = 60.0
    """A request unanswered for this long means that the link or the peer is stuck."""
    late_grace_s: float = 5.0
    """From the first overdue submission to closing: answers that come late are still taken,
    because whatever is handed back unanswered may be sent twice."""
    inactivity_s: float = 300.0
    """Nothing heard for this long, enquire_link or not: close."""
    unbind_s: float = 5.0
    """From our unbind to closing without its answer."""


class Clocks(msgspec.Struct, frozen=True, gc=False):
    """What a session's timers depend on. None: not the case."""

    bound: bool
    opened_at: float
    heard_at: float
    """When the peer last sent anything."""
    enquired_at: float | None = None
    """When our enquire_link went out, nothing having been heard since."""
    oldest_sent_at: float | None = None
    """When the oldest unanswered submission went out."""
    overdue_at: float | None = None
    """When the first submission was found overdue."""
    unbound_at: float | None = None
    """When our unbind went out."""


class Due(enum.Enum):
    """What a passed deadline asks of the session, the gravest first."""

    UNBIND_EXPIRED = enum.auto()
    SESSION_INIT_EXPIRED = enum.auto()
    PEER_SILENT = enum.auto()
    INACTIVE = enum.auto()
    GRACE_OVER = enum.auto()
    RESPONSE_OVERDUE = enum.auto()
    ENQUIRE = enum.auto()


def list_deadlines(timings: Timings, clocks: Clocks) -> list[tuple[float, Due]]:
    """Return every deadline that runs, in `Due`'s order."""
    if clocks.unbound_at is not None:
        return [(clocks.unbound_at + timings.unbind_s, Due.UNBIND_EXPIRED)]
    if not clocks.bound:
        return [(clocks.opened_at + timings.session_init_s, Due.SESSION_INIT_EXPIRED)]
    deadlines = []
    if clocks.enquired_at is not None:
        deadlines.append((clocks.enquired_at + timings.response_s, Due.PEER_SILENT))
    if timings.inactivity_s:
        deadlines.append((clocks.heard_at + timings.inactivity_s, Due.INACTIVE))
    if clocks.overdue_at is not None:
        deadlines.append((clocks.overdue_at + timings.late_grace_s, Due.GRACE_OVER))
    elif clocks.oldest_sent_at is not None:
        deadlines.append((clocks.oldest_sent_at + timings.response_s, Due.RESPONSE_OVERDUE))
    if timings.enquire_link_s and clocks.enquired_at is None:
        deadlines.append((clocks.heard_at + timings.enquire_link_s, Due.ENQUIRE))
    return deadlines


def next_deadline(timings: Timings, clocks: Clocks) -> float | None:
    """Return when `step` will next have something to say, None when never."""
    return min((at for at, _ in list_deadlines(timings, clocks)), default=None)


def step(timings: Timings, clocks: Clocks, now: float) -> Due | None:
    """Return the gravest thing that is due at `now`, None when nothing is."""
    for at, due in list_deadlines(timings, clocks):
        if at <= now:
            return due
    return None
