"""Send emails that are due, within their own rate, and record what became of each.

One loop writes down what became of emails and claims what is due, in this order; a few tasks beside
it speak to the mail server. An email is settled in one transaction, which only succeeds while it
was still waiting. A crash between the server's 250 and that commit sends it again when its lease
ends, with the same Message-ID: SMTP allows no better.

Not here: whether an email is wanted (`terms.py`), what it says (`letter.py`), what an answer means
(`outcome.py`), connections (`smtp.py`), the rows (`gateway/store/fallbacks.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from gateway.config import Email
from gateway.email_address import BadAddress, parse_mailbox
from gateway.errors import ConfigError, StoreUnavailable
from gateway.fallback.letter import DueEmail, Letter, build_letter
from gateway.fallback.notice import build_email_notice
from gateway.fallback.outcome import (
    Failed,
    Later,
    Sent,
    ServerAway,
    SmtpOutcome,
    decide_pause,
    decide_retry,
    shorten,
)
from gateway.fallback.smtp import SmtpPool
from gateway.fallback.template import TemplateFault, Templates
from gateway.fallback.terms import FallbackState, NotNeeded, Trigger, decide_need
from gateway.logs import get_logger
from gateway.metrics import EmailMetrics
from gateway.store.fallbacks import Orphan, PutOffEmail, SettledEmail
from gateway.throttle.bucket import TokenBucket, Wait

log = get_logger("email")

POLL_S = 1.0
"""How often the store is asked for what is due."""
HELD_MAX = 200
"""Emails in memory: waiting for the rate, under way, or not yet recorded; 150 KB each at most."""
HELD_S = 5.0
"""What is claimed is what the rate sends in this time, so that a crash holds up little."""
LEASE_SLACK_S = 5.0
LOG_PAUSE_S = 60.0
LAST_RECORD_TIMEOUT_S = 5.0
"""For the last write at a stop. What it misses is sent again after its lease."""

GONE = "the message is past its retention"


class DueEmails(Protocol):
    """Emails in the store. Each method may raise StoreUnavailable."""

    async def claim_due(
        self, now: float, limit: int, lease_until: float
    ) -> list[DueEmail | Orphan]: ...

    async def record(
        self, settled: Sequence[SettledEmail], put_off: Sequence[PutOffEmail]
    ) -> None: ...

    async def bring_forward(self, now: float, seconds: float) -> int: ...


class EmailSender:
    """Sends email fallbacks while `run()` runs."""

    def __init__(
        self,
        store: DueEmails,
        settings: Email,
        templates: Templates,
        metrics: EmailMetrics,
        *,
        wake_hooks: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
        poll_s: float = POLL_S,
        age_s: Callable[[float, float], float] = lambda at, now: now - at,
        take_set_back: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`age_s` says how long ago `at` was; `take_set_back`, by how much the clock was set back
        since it was asked last. Raise ConfigError when the settings name no usable sender or
        authority."""
        self._age_s = age_s
        self._take_set_back = take_set_back
        self._set_back_s = 0.0
        """What is still to be brought forward by so much."""
        mailbox = parse_mailbox(settings.sender)
        if isinstance(mailbox, BadAddress):
            raise ConfigError("email.sender", mailbox.detail)
        self._mailbox = mailbox
        self._bounce_address = settings.bounce_address or mailbox.address
        self._store = store
        self._settings = settings
        self._templates = templates
        self._metrics = metrics
        self._wake_hooks = wake_hooks
        self._clock = clock
        self._jitter = jitter
        self._poll_s = poll_s
        self._pool = SmtpPool(settings, settings.hello_name or mailbox.domain)
        self._rate = TokenBucket(settings.rate_per_s, settings.connections_max)
        sent_soon = int(settings.rate_per_s * HELD_S)
        self._held_max = min(HELD_MAX, max(2 * settings.connections_max, sent_soon))
        self._queue: deque[tuple[DueEmail, Trigger, float]] = deque()
        """Each with its reason and the end of its lease."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._settled: list[SettledEmail] = []
        self._put_off: list[PutOffEmail] = []
        self._failures = 0
        """Of the server, in a row."""
        self._paused_until = 0.0
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()
        self._finished.set()
        self._stopping = False
        self._logged_at = -LOG_PAUSE_S
        metrics.watch_server(lambda: float(not self._failures))

    @property
    def lease_s(self) -> float:
        """How long a claim lasts, and so a crash delays: the wait for the rate, a transaction."""
        queued_s = self._held_max / self._settings.rate_per_s
        return queued_s + self._pool.transaction_timeout_s + LEASE_SLACK_S

    @property
    def _held(self) -> int:
        return len(self._queue) + len(self._tasks) + len(self._settled) + len(self._put_off)

    def wake(self) -> None:
        """Look whether anything is due by now."""
        self._changed.set()

    async def run(self) -> None:
        """Send until `stop()`; once only."""
        self._finished.clear()
        try:
            async with asyncio.TaskGroup() as group:
                await self._send_until_stopped(group)
                self._give_back_queue()
                if self._tasks:
                    await asyncio.wait(self._tasks)
        finally:
            await asyncio.shield(self._record_at_last())
            await self._pool.close_idle(all_of_them=True)
            self._finished.set()

    async def stop(self, timeout_s: float) -> None:
        """Claim nothing more, let transactions end for up to `timeout_s`, record their outcome."""
        self._stopping = True
        self._changed.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._finished.wait()
        except TimeoutError:
            # Whether the server took what it did not answer for is not known: it goes again.
            for task in list(self._tasks):
                task.cancel()
            await self._finished.wait()

    async def _send_until_stopped(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping:
            self._changed.clear()
            try:
                await self._bring_forward()
                await self._record()
                more_is_due = await self._claim()
            except StoreUnavailable as error:
                log.warning("email_waits_for_the_store", error=error)
                more_is_due = False
            wait_s = self._start_tasks(group)
            await self._pool.close_idle()
            if not more_is_due:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()

    # ── the store ────────────────────────────────────────────────────────────────────────────

    async def _bring_forward(self) -> None:
        """After the clock was set back, let nothing wait so much longer."""
        self._set_back_s += self._take_set_back()
        if not self._set_back_s:
            return
        seconds = self._set_back_s
        count = await self._store.bring_forward(self._clock(), seconds)
        self._set_back_s = 0.0
        self._queue = deque((due, need, until - seconds) for due, need, until in self._queue)
        self._put_off = [
            msgspec.structs.replace(email, due_at=email.due_at - seconds) for email in self._put_off
        ]
        log.info("emails_brought_forward", seconds=round(seconds, 3), emails=count)

    async def _claim(self) -> bool:
        """Take in what is due, as far as there is room; return whether there may be more."""
        limit = self._held_max - self._held
        if limit < max(1, self._held_max // 4) or time.monotonic() < self._paused_until:
            return False
        if self._failures:
            limit = 1  # whether the server is back is found out with one
        now = self._clock()
        lease_until = now + self.lease_s
        claimed = await self._store.claim_due(now, limit, lease_until)
        for due in claimed:
            if isinstance(due, Orphan):
                self._settle_as(due, FallbackState.FAILED, None, GONE)
                continue
            need = decide_need(due.status, due.triggers)
            if isinstance(need, NotNeeded):
                self._settle_as(due, FallbackState.NOT_NEEDED, None)
                self._metrics.count("not_needed")
            else:
                self._queue.append((due, need, lease_until))
        return bool(claimed)

    async def _record(self) -> None:
        """Write everything that has gathered; what could not be written stays gathered."""
        settled, self._settled = self._settled, []
        put_off, self._put_off = self._put_off, []
        if not (settled or put_off):
            return
        try:
            await self._store.record(settled, put_off)
        except BaseException:
            self._settled = settled + self._settled
            self._put_off = put_off + self._put_off
            raise
        if any(email.notice is not None for email in settled):
            self._wake_hooks()

    async def _record_at_last(self) -> None:
        try:
            async with asyncio.timeout(LAST_RECORD_TIMEOUT_S):
                await self._record()
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("emails_not_recorded", error=error, emails=self._held)

    def _give_back_queue(self) -> None:
        now = self._clock()
        for due, _, _ in self._queue:
            self._put_off.append(PutOffEmail(due.account_id, due.message_id, now))
        self._queue.clear()

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    def _start_tasks(self, group: asyncio.TaskGroup) -> float:
        """Start what may be sent now; return how long to wait before looking again."""
        slots = 1 if self._failures else self._settings.connections_max
        while self._queue and len(self._tasks) < slots:
            now = time.monotonic()
            if now < self._paused_until:
                self._give_back_paused()
                break
            taken = self._rate.take(1, now)
            if isinstance(taken, Wait):
                return min(self._poll_s, max(0.0, taken.until - now))
            due, reason, lease_until = self._queue.popleft()
            if lease_until < self._clock() + self._pool.transaction_timeout_s:
                continue  # it comes again when its lease has ended
            task = group.create_task(self._send(due, reason), name="email")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return self._poll_s

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    def _give_back_paused(self) -> None:
        """Put what was claimed off until the server is asked again; that is no try of its own."""
        wall = self._clock() + max(0.0, self._paused_until - time.monotonic())
        for due, _, _ in self._queue:
            self._put_off.append(PutOffEmail(due.account_id, due.message_id, wall))
        self._queue.clear()

    async def _send(self, due: DueEmail, reason: Trigger) -> None:
        outcome: SmtpOutcome = Later("the gateway stopped before the mail server answered")
        began = time.monotonic()
        try:
            outcome = await self._write_and_send(due, reason)
        finally:
            self._metrics.seconds.observe(time.monotonic() - began)
            self._settle(due, reason, outcome)

    async def _write_and_send(self, due: DueEmail, reason: Trigger) -> SmtpOutcome:
        try:
            letter: Letter = build_letter(
                due, reason, self._templates, self._mailbox, self._bounce_address, self._clock()
            )
        except TemplateFault as fault:
            return Failed(shorten(f"the email could not be written: {fault}"))
        try:
            return await self._pool.send(letter)
        except Exception as error:
            # One email or answer that trips the client must not stop the others.
            log.exception("email_broke", account_id=due.account_id)
            return Later(shorten(f"{type(error).__name__}: {error}"))

    def _settle(self, due: DueEmail, reason: Trigger, outcome: SmtpOutcome) -> None:
        match outcome:
            case Sent(reply):
                self._failures = 0
                self._settle_as(due, FallbackState.SENT, reason, reply)
                self._metrics.count("sent")
            case Failed(reply):
                self._failures = 0
                self._give_up(due, reason, reply)
            case Later(reply):
                self._failures = 0
                self._retry(due, reason, reply)
            case ServerAway(reply):
                self._pause(reply)
                self._put_off_paused(due, reason, reply)

    def _retry(self, due: DueEmail, reason: Trigger, reply: str) -> None:
        now = self._clock()
        began_at = now - self._age_s(due.began_at, now)
        at = decide_retry(due.attempts + 1, began_at, now, self._settings, self._jitter())
        if at is None:
            self._give_up(due, reason, reply)
            return
        self._metrics.count("retried")
        self._put_off.append(PutOffEmail(due.account_id, due.message_id, at, True, reason, reply))

    def _put_off_paused(self, due: DueEmail, reason: Trigger, reply: str) -> None:
        now = self._clock()
        wall = now + max(0.0, self._paused_until - time.monotonic())
        if wall - now + self._age_s(due.began_at, now) > self._settings.give_up_after_s:
            self._give_up(due, reason, reply)
            return
        email = PutOffEmail(due.account_id, due.message_id, wall, False, reason, reply)
        self._put_off.append(email)

    def _give_up(self, due: DueEmail, reason: Trigger, reply: str) -> None:
        self._settle_as(due, FallbackState.FAILED, reason, reply)
        self._metrics.count("failed")
        log.warning(
            "email_failed",
            account_id=due.account_id,
            message_id=due.message_id,
            domain=due.address.rpartition("@")[2],
            reply=reply,
        )

    def _settle_as(
        self,
        due: DueEmail | Orphan,
        state: FallbackState,
        reason: Trigger | None,
        reply: str = "",
    ) -> None:
        now = self._clock()
        notice = None
        if isinstance(due, DueEmail) and reason is not None:
            notice = build_email_notice(due, state, reason, reply, now)
        self._settled.append(
            SettledEmail(due.account_id, due.message_id, state, reason, now, reply, notice)
        )

    def _pause(self, reply: str) -> None:
        now = time.monotonic()
        if now < self._paused_until:
            return  # several were under way when the server went
        self._failures += 1
        self._paused_until = now + decide_pause(self._failures, self._jitter())
        if now - self._logged_at >= LOG_PAUSE_S:
            self._logged_at = now
            log.warning("mail_server_away", host=self._settings.host, reply=reply)
