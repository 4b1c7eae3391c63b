"""How long a connection may take over each part of a request.

Pure. `serve.py` asks once a second for every connection; nothing is armed or cancelled a request.
"""

from __future__ import annotations

import enum

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one HTTP server grants its clients."""

    connections_max: int = 1_000
    """Connections at once, hence requests at once; what comes above is told 503."""
    head_bytes_max: int = 16_384
    """Request line and headers; ours need some 300."""
    head_timeout_s: float = 10.0
    """From connecting, or from a request's first byte, to the end of its headers."""
    body_idle_s: float = 10.0
    """Between two pieces of a body."""
    body_timeout_s: float = 120.0
    """For a whole body: 8 MB at 70 KB/s."""
    discard_s: float = 5.0
    """The rest of a refused request is read and thrown away this long: a connection that is closed
    with unread bytes is reset, and its client would never see the answer."""
    keep_alive_s: int = 60
    """Between two requests."""
    write_stalled_s: float = 30.0
    """While the client doesn't read its answer."""


class Phase(enum.Enum):
    """Which part of a request is read."""

    HEAD = "head"
    BODY = "body"
    DONE = "done"
    REFUSED = "refused"


class Verdict(enum.Enum):
    """What becomes of a connection that was looked at."""

    WAIT = "wait"
    TELL = "tell"
    """Answer 408: a request has begun and stalls."""
    CLOSE = "close"
    ABORT = "abort"


class Progress(msgspec.Struct, kw_only=True):
    """How far a connection is, as its protocol notes it down."""

    phase: Phase = Phase.HEAD
    began_at: float
    """When this phase began."""
    moved_at: float
    """When bytes of the body arrived last."""
    answered_at: float | None = None
    """When the latest request was answered; None while one is under way."""
    stalled_at: float | None = None
    """Since when the client hasn't read what was written; None while it reads."""
    asked: bool = False
    """Whether a request's first byte has come since the connection or the last answer."""

    def enter(self, phase: Phase, now: float) -> None:
        self.phase = phase
        self.began_at = self.moved_at = now

    def judge(self, limits: Limits, now: float) -> Verdict:
        """Return what is to be done about this connection now."""
        if self.stalled_at is not None and now - self.stalled_at > limits.write_stalled_s:
            return Verdict.ABORT
        match self.phase:
            case Phase.HEAD:
                if now - self.began_at <= limits.head_timeout_s:
                    return Verdict.WAIT
                return Verdict.TELL if self.asked else Verdict.CLOSE
            case Phase.BODY:
                return self._judge_body(limits, now)
            case Phase.DONE:
                # The server's own keep-alive timer comes first; bytes that begin no request
                # silence it, and they must not hold a connection for ever.
                if self.answered_at is None or now - self.answered_at <= limits.keep_alive_s + 1:
                    return Verdict.WAIT
                return Verdict.CLOSE
            case Phase.REFUSED:
                return Verdict.WAIT if now - self.began_at <= limits.discard_s else Verdict.CLOSE

    def _judge_body(self, limits: Limits, now: float) -> Verdict:
        if self.answered_at is not None:
            late = now - self.answered_at > limits.discard_s
            return Verdict.CLOSE if late else Verdict.WAIT
        if now - self.moved_at > limits.body_idle_s or now - self.began_at > limits.body_timeout_s:
            return Verdict.TELL
        return Verdict.WAIT
