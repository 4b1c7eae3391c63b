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


class Stage(enum.Enum):
    """Where a connection is in the course of a request."""

    SILENT = "silent"  # connected, nothing asked yet
    HEAD = "head"
    BODY = "body"
    WORK = "work"  # the request is whole, its answer is not
    REST = "rest"  # answered before the body was whole
    KEPT = "kept"  # answered, the connection waits for the next request
    REFUSED = "refused"


class Verdict(enum.Enum):
    """What becomes of a connection that was looked at."""

    WAIT = "wait"
    TELL = "tell"
    """Answer 408: a request has begun and stalls."""
    CLOSE = "close"
    ABORT = "abort"


class Patience:
    """Watches one connection from look to look; what happens between two looks costs nothing.

    So a limit is kept to within one interval between looks.
    """

    __slots__ = ("_began_at", "_moved_at", "_reads", "_request", "_stage", "_stalled_at")

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._request: object = None
        self._reads = 0
        self._began_at = 0.0
        self._moved_at = 0.0
        self._stalled_at: float | None = None

    def judge(
        self,
        stage: Stage,
        request: object,
        reads: int,
        limits: Limits,
        now: float,
        *,
        paused: bool = False,
        stalled: bool = False,
    ) -> Verdict:
        """Return what is to be done about the connection now.

        `request` is what tells one request from the next, `reads` grows with what arrives.
        `paused`: it is us who don't read. `stalled`: the client doesn't.
        """
        if stage is not self._stage or request is not self._request:
            self._stage, self._request = stage, request
            self._began_at = self._moved_at = now
        elif reads != self._reads or paused:
            self._moved_at = now
        self._reads = reads
        if self._is_stalled(stalled, limits, now):
            return Verdict.ABORT
        took_s = now - self._began_at
        match stage:
            case Stage.SILENT:
                return Verdict.CLOSE if took_s > limits.head_timeout_s else Verdict.WAIT
            case Stage.HEAD:
                return Verdict.TELL if took_s > limits.head_timeout_s else Verdict.WAIT
            case Stage.BODY:
                idle_s = now - self._moved_at
                late = idle_s > limits.body_idle_s or took_s > limits.body_timeout_s
                return Verdict.TELL if late else Verdict.WAIT
            case Stage.WORK:
                return Verdict.WAIT
            case Stage.REST | Stage.REFUSED:
                return Verdict.CLOSE if took_s > limits.discard_s else Verdict.WAIT
            case Stage.KEPT:
                # uvicorn's own timer is not there for all requests; and bytes that begin none
                # silence it, which must not hold a connection for ever.
                return Verdict.CLOSE if took_s > limits.keep_alive_s else Verdict.WAIT

    def _is_stalled(self, stalled: bool, limits: Limits, now: float) -> bool:
        if not stalled:
            self._stalled_at = None
            return False
        if self._stalled_at is None:
            self._stalled_at = now
        return now - self._stalled_at > limits.write_stalled_s
