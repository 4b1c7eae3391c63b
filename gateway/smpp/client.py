"""A bind to a carrier that stays: connect, bind, carry, and again when it is lost.

The session's rules are `protocol.py`'s, the connection is `link.py`'s, when to try again is
`backoff.py`'s. What a response or a receipt means to a message is the listener's.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from gateway.logs import get_logger
from gateway.smpp import vocabulary as v
from gateway.smpp.backoff import Backoff, Ending
from gateway.smpp.errors import IllegalSend
from gateway.smpp.events import (
    BindRefused,
    Bound,
    Delivered,
    Event,
    Reason,
    Responded,
    ResponseOverdue,
    SessionClosed,
)
from gateway.smpp.link import Link
from gateway.smpp.protocol import Session
from gateway.smpp.settings import BindSettings
from gateway.smpp.shapes import DeliverSm
from gateway.smpp.states import BOUND, Role, State
from gateway.smpp.status import BindOutcome, classify_bind
from gateway.smpp.tally import Tally

_SEQUENCE_BITS: Final = 32

log = get_logger("smpp")


class BindState(enum.StrEnum):
    """What a bind is doing, for people to see."""

    IDLE = "idle"
    CONNECTING = "connecting"
    BINDING = "binding"
    BOUND = "bound"
    WAITING = "waiting"
    """Lost, failed or refused; it will be tried again."""
    STOPPED = "stopped"


class BindListener(Protocol):
    """Who hears of a bind. Called from the loop, never waited for; what it raises is logged."""

    def bound(self, bind: CarrierBind) -> None:
        """The carrier took the bind."""

    def lost(self, bind: CarrierBind, reason: str, in_flight: Sequence[object]) -> None:
        """A bind that was bound is over; `in_flight` are the contexts nobody answered, in the
        order in which they were submitted. Each submission ends here or in `responded`."""

    def room(self, bind: CarrierBind) -> None:
        """There is room again, after a batch of responses or after a slow peer caught up."""

    def responded(
        self, bind: CarrierBind, context: object, status: int, message_id: str, latency_s: float
    ) -> None:
        """The carrier answered a submission."""

    def delivered(self, bind: CarrierBind, token: int, pdu: DeliverSm) -> None:
        """The carrier sent a receipt or a message: `acknowledge` its token once that is kept."""


class CarrierBind:
    """One permanent bind. `run` holds it until `stop`; everything else may be called any time.

    Counts: `binds` taken by the carrier, `losts` after that, `refusals` by bind response,
    `failures` to get any answer, `garbage` streams, and the `tally` of everything odd.
    """

    def __init__(
        self,
        name: str,
        carrier_id: int,
        settings: BindSettings,
        listener: BindListener,
        *,
        random: Callable[[], float],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises InvalidField when the settings do not fit a bind PDU; connects to nobody."""
        self.name = name
        self.carrier_id = carrier_id
        self.settings = settings
        self.state = BindState.IDLE
        self.tally = Tally()
        self.binds = 0
        self.losts = 0
        self.refusals = 0
        self.failures = 0
        self.garbage = 0
        self._listener = listener
        self._tls = tls
        self._backoff = Backoff(settings.pace, random)
        self._link: Link | None = None
        self._loop: asyncio.AbstractEventLoop
        self._epoch = 0
        """Which session this is: an answer must not go to a later one."""
        self._bound_at: float | None = None
        self._ending = Ending.FAILED
        self._stopping = False
        self._patience: asyncio.Timeout | None = None
        """The wait that `stop` cuts short: for a connection, or before the next attempt."""
        self._idle = asyncio.Event()
        self._finished: asyncio.Event | None = None
        self._log = log.bind(bind=name)
        self._send_bind(self._new_session(0.0))  # refuses wrong settings before any connection

    @property
    def bound(self) -> bool:
        link = self._link
        return link is not None and link.session.state in BOUND

    @property
    def can_submit(self) -> bool:
        """Whether the bind takes submissions at all at this time; see `room` for how many."""
        link = self._link
        return link is not None and not self._stopping and link.session.can_submit

    @property
    def room(self) -> int:
        """How many submissions can be taken now."""
        link = self._link
        if link is None or link.paused or self._stopping:
            return 0
        return link.session.room

    @property
    def in_flight(self) -> int:
        """How many submissions are unanswered."""
        return self._link.session.in_flight if self._link is not None else 0

    @property
    def nacks(self) -> int:
        return self.tally.nacks

    def submit(self, body: bytes, context: object) -> None:
        """Submit a body of `encode_submission`; raises IllegalSend or WindowFull (see `room`).

        `context` comes back exactly once, with `responded` or with `lost`.
        """
        link = self._link
        if link is None or self._stopping:
            raise IllegalSend(f"{self.name} takes no submissions")
        link.session.send_submit(body, context, self._loop.time())
        link.touch()

    def acknowledge(self, token: int, status: int = 0) -> None:
        """Answer what was `delivered`. After its session this does nothing: the carrier will
        send it again."""
        link = self._link
        if link is None or token >> _SEQUENCE_BITS != self._epoch:
            return
        link.session.send_deliver_resp(token & ((1 << _SEQUENCE_BITS) - 1), status)
        link.touch()
        self._note_idle(link)

    def resize_window(self, window_size: int) -> None:
        """Let so many submissions be unanswered, in this session and those that follow."""
        self.settings = msgspec.structs.replace(self.settings, window_size=window_size)
        if self._link is not None:
            self._link.session.resize_window(window_size)
            self._offer_room()

    def use_tls(self, context: ssl.SSLContext, fingerprint: str) -> None:
        """Connect with this from the next session on; the present one stands."""
        self._tls = context
        self.settings = msgspec.structs.replace(self.settings, tls=fingerprint)

    def rebind(self) -> None:
        """Say goodbye to this session and begin another, because the carrier's end of it is at
        fault (ESME_RINVBNDSTS and the like). What is in flight may still be answered."""
        link = self._link
        if link is not None and link.session.state in BOUND:
            link.session.send_unbind(self._loop.time())
            link.touch()

    async def run(self) -> None:
        """Hold the bind until `stop`; never raises but when it is cancelled."""
        assert self._finished is None, "a bind runs once"
        self._finished = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            while not self._stopping:
                await self._hold_session()
                if not self._stopping:
                    await self._wait_before_next()
        finally:
            self.state = BindState.STOPPED
            self._finished.set()

    async def stop(self, deadline_s: float) -> None:
        """Take no more submissions, wait up to `deadline_s` for the carrier's answers and for
        ours to what it sent, then unbind and return when `run` has ended."""
        self._stopping = True
        if self._finished is None:
            return
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(self._loop.time())
        link = self._link
        if link is not None:
            self._note_idle(link)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline_s):
                    await self._idle.wait()
            self._part(link)
        await self._finished.wait()

    # ── one session after another ────────────────────────────────────────────────────────────

    async def _hold_session(self) -> None:
        """Connect, bind, and return when the connection is gone."""
        self.state = BindState.CONNECTING
        self._ending = Ending.FAILED
        link = await self._connect()
        if link is None:
            return
        try:
            if self._stopping:
                link.abandon()
            if not link.session.closed:
                self._link = link
                self._epoch += 1
                self.state = BindState.BINDING
                self._send_bind(link.session)
                link.touch()
            await link.gone.wait()
        finally:
            link.abandon()
            self._link = None

    async def _connect(self) -> Link | None:
        settings = self.settings
        tls_name = settings.tls_server_name or settings.host
        try:
            async with asyncio.timeout(settings.connect_timeout_s) as self._patience:
                _, link = await self._loop.create_connection(
                    self._new_link,
                    settings.host,
                    settings.port,
                    ssl=self._tls,
                    server_hostname=tls_name if self._tls is not None else None,
                )
        except (OSError, ValueError) as error:  # ValueError: a host name that can't be one
            if not self._stopping:
                self.failures += 1
                self._log.warning("connect_failed", error=str(error) or type(error).__name__)
            return None
        finally:
            self._patience = None
        return link

    async def _wait_before_next(self) -> None:
        self.state = BindState.WAITING
        delay_s = self._backoff.next_delay_s(self._ending)
        try:
            async with asyncio.timeout(None) as self._patience:
                await asyncio.sleep(delay_s)
        except TimeoutError:
            pass  # stop() moved the timeout to now
        finally:
            self._patience = None

    def _new_link(self) -> Link:
        return Link(self._new_session(self._loop.time()), self._hear, self._resumed)

    def _new_session(self, now: float) -> Session:
        return Session(
            Role.ESME,
            now,
            window_size=self.settings.window_size,
            timings=self.settings.timings,
            tally=self.tally,
        )

    def _send_bind(self, session: Session) -> None:
        settings = self.settings
        session.send_bind(
            settings.mode.command_id,
            system_id=settings.system_id,
            password=settings.password,
            system_type=settings.system_type,
            interface_version=settings.interface_version,
            addr_ton=settings.addr_ton,
            addr_npi=settings.addr_npi,
            address_range=settings.address_range,
        )

    def _part(self, link: Link) -> None:
        """Unbind if that can be said; the session's own timer bounds the wait for its answer."""
        if link.session.state in BOUND:
            link.session.send_unbind(self._loop.time())
            link.touch()
        elif link.session.state is not State.UNBINDING:
            link.abandon()

    # ── what the session says ────────────────────────────────────────────────────────────────

    def _hear(self, link: Link, events: Sequence[Event]) -> None:
        freed = False
        for event in events:
            try:
                if isinstance(event, Responded):
                    freed = True
                    self._listener.responded(
                        self, event.context, event.status, event.message_id, event.latency_s
                    )
                elif isinstance(event, Delivered):
                    self._deliver(link, event)
                else:
                    self._hear_rare(link, event)
            except Exception:
                # The listener's fault must not take the bind down, nor its other messages.
                self._log.exception("listener_failed", event_kind=type(event).__name__)
        if freed:
            self._offer_room()
        self._note_idle(link)

    def _deliver(self, link: Link, event: Delivered) -> None:
        token = self._epoch << _SEQUENCE_BITS | event.sequence
        try:
            self._listener.delivered(self, token, event.pdu)
        except Exception:
            link.session.send_deliver_resp(event.sequence, v.ESME_RX_T_APPN)
            raise

    def _hear_rare(self, link: Link, event: Event) -> None:
        if isinstance(event, Bound):
            self.binds += 1
            self._bound_at = self._loop.time()
            self.state = BindState.BOUND
            self._log.info("bind_bound", peer=event.system_id, version=event.interface_version)
            self._listener.bound(self)
        elif isinstance(event, BindRefused):
            self.refusals += 1
            if classify_bind(event.status) is BindOutcome.BAD_CREDENTIALS:
                self._ending = Ending.BAD_CREDENTIALS
            self._log.error("bind_refused", status=v.status_name(event.status))
        elif isinstance(event, ResponseOverdue):
            self._log.warning("response_overdue", waited_s=round(event.waited_s, 1))
        elif isinstance(event, SessionClosed):
            self._hear_closed(link, event)

    def _hear_closed(self, link: Link, event: SessionClosed) -> None:
        if self._link is link:
            self._link = None
        if self._stopping:
            self._idle.set()
        self.garbage += event.reason is Reason.GARBAGE
        bound_at, self._bound_at = self._bound_at, None
        if bound_at is None:
            if event.reason is not Reason.BIND_REFUSED and not self._stopping:
                self.failures += 1
                self._log.warning("bind_failed", reason=event.reason, detail=event.detail)
            return
        self.losts += 1
        stable = self._loop.time() - bound_at >= self.settings.pace.stable_s
        self._ending = Ending.LOST if stable else Ending.FAILED
        self._log.info(
            "bind_lost", reason=event.reason, in_flight=len(event.in_flight), detail=event.detail
        )
        self._listener.lost(self, event.reason, event.in_flight)

    def _resumed(self, link: Link) -> None:
        self._offer_room()

    def _offer_room(self) -> None:
        if self.room > 0:
            try:
                self._listener.room(self)
            except Exception:
                self._log.exception("listener_failed", event_kind="room")

    def _note_idle(self, link: Link) -> None:
        """Let `stop` go on when neither side waits for an answer of the other."""
        if self._stopping and not link.session.in_flight and not link.session.owed:
            self._idle.set()
