"""Carry events from the outbox to customers' endpoints.

One loop claims what is due, up to the room in memory; calls run beside it; one recorder writes
what became of them, everything that has gathered since its last write at once. An event leaves the
outbox only after its endpoint took it, so that it may be delivered twice (a crash between the two)
and never not at all.

The body of every call is `{"events":[…]}`, one event for a message's own callback_url and up to
`batch_events_max` otherwise.

Not here: whose turn it is (`lineup.py`), what an answer means (`answers.py`), when to try again
(`backoff.py`), what may be called (`targets.py`, `connect.py`), the rows (`gateway/store/`).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from gateway.config import Webhooks
from gateway.errors import StoreUnavailable
from gateway.hooks.answers import Answer, Delivered, Refused, TryAgain, decide_answer
from gateway.hooks.connect import Resolver, open_session
from gateway.hooks.lineup import CALLS_MAX, HELD_EVENTS_MAX, Call, Failure, Lineup
from gateway.hooks.sign import HEADER, build_signature
from gateway.hooks.targets import find_url_fault
from gateway.logs import get_logger
from gateway.metrics import WebhookMetrics
from gateway.model import AccountId
from gateway.views import OutboxEvent

log = get_logger("hooks")

POLL_S = 1.0
"""How often the outbox is asked without having been woken: retries that became due."""

CLAIM_PAUSE_S = 0.1
"""Events of this long gather into one call. One claim a commit would make calls of few events,
and a call costs as much as several messages do."""

CLAIM_MAX = 1_000
"""Events a claim: a transaction of some ten milliseconds."""

LEASE_TIMEOUTS = 6
"""A lease lasts as long as this many calls that time out one after another, at least a minute;
after a crash its events wait that long."""

ANSWER_BYTES_MAX = 16 * 1024
"""What is read of an answer. Past it the connection is closed rather than read to its end."""

EXCERPT_CHARS = 200

LOG_PAUSE_S = 60.0
"""One line an account in this time says that its webhooks fail; the rest is in metrics and rows."""

FLUSH_TIMEOUT_S = 5.0
"""For the last write at a stop. What it misses is called again after its lease."""


class Outbox(Protocol):
    """Events that wait, in the store. Each method may raise StoreUnavailable."""

    async def claim_due(self, now: float, limit: int, lease_s: float) -> list[OutboxEvent]:
        """Return events that are due, and make them due at `now + lease_s` for everybody else."""
        ...

    async def record_delivered(self, ids: Sequence[int]) -> None: ...

    async def record_failed(self, failures: Sequence[tuple[int, float | None, str]]) -> None:
        """Note (id, when it is due again or None when it is given up, why)."""
        ...


class WebhookSender:
    """Calls customers' endpoints while `run()` runs."""

    def __init__(
        self,
        outbox: Outbox,
        settings: Webhooks,
        metrics: WebhookMetrics,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
        resolver: AbstractResolver | None = None,
        held_max: int = HELD_EVENTS_MAX,
        calls_max: int = CALLS_MAX,
    ) -> None:
        self._outbox = outbox
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._jitter = jitter
        self._resolver = resolver
        self._held_max = held_max
        self._calls_max = calls_max
        self._lineup = Lineup(settings, held_max=held_max, calls_max=calls_max)
        self._lease_s = max(60.0, LEASE_TIMEOUTS * settings.timeout_s)
        self._calls: set[asyncio.Task[None]] = set()
        self._delivered: list[int] = []
        self._failures: list[Failure] = []
        self._woken = asyncio.Event()
        self._settled = asyncio.Event()
        self._finished = asyncio.Event()
        self._finished.set()
        self._stopping = False
        self._logged_at: dict[AccountId, float] = {}
        self._to_record = asyncio.Event()

    @property
    def held(self) -> int:
        """Events in memory: waiting, under way, or not yet recorded."""
        return self._lineup.held + len(self._delivered) + len(self._failures)

    def wake(self) -> None:
        """Say that a commit has put events into the outbox."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until `stop()`; once only."""
        self._finished.clear()
        resolver = self._resolver if self._resolver is not None else Resolver()
        session = open_session(
            timeout_s=self._settings.timeout_s,
            allow_private=self._settings.allow_private,
            connections_max=self._calls_max,
            resolver=resolver,
        )
        try:
            async with session, asyncio.TaskGroup() as group:
                recorder = group.create_task(self._record_as_settled(), name="webhook recorder")
                await self._claim_until_stopped(session, group)
                self._keep_for_recorder([], self._lineup.give_back(self._clock()))
                if self._calls:
                    await asyncio.wait(self._calls)
                recorder.cancel()
        finally:
            await asyncio.shield(self._flush())
            await resolver.close()
            self._finished.set()

    async def stop(self, timeout_s: float) -> None:
        """Claim nothing more, let calls end for up to `timeout_s`, record what became of them."""
        self._stopping = True
        self._woken.set()
        self._settled.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._finished.wait()
        except TimeoutError:
            # Whether an endpoint took what it did not answer for is not known: it comes again.
            for call in list(self._calls):
                call.cancel()
            await self._finished.wait()

    # ── Claiming ────────────────────────────────────────────────────────────────────────────

    async def _claim_until_stopped(
        self, session: aiohttp.ClientSession, group: asyncio.TaskGroup
    ) -> None:
        while not self._stopping:
            self._woken.clear()
            self._settled.clear()
            limit = min(CLAIM_MAX, self._lineup.room, self._held_max - self.held)
            if limit <= 0:
                await self._settled.wait()
                continue
            claimed = await self._claim(limit)
            self._start_calls(session, group)
            if claimed < limit:
                await self._wait_until_woken(POLL_S)
            if not self._stopping:
                # Not a wait for something, but time in which events gather.
                await asyncio.sleep(CLAIM_PAUSE_S if claimed < limit else 0)

    async def _claim(self, limit: int) -> int:
        now = self._clock()
        try:
            events = await self._outbox.claim_due(now, limit, self._lease_s)
        except StoreUnavailable as error:
            log.warning("webhooks_not_claimed", error=error)
            return 0
        sent_back = self._lineup.admit(events, now, now + self._lease_s)
        self._keep_for_recorder([], sent_back)
        return len(events)

    async def _wait_until_woken(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()

    # ── Calling ─────────────────────────────────────────────────────────────────────────────

    def _start_calls(self, session: aiohttp.ClientSession, group: asyncio.TaskGroup) -> None:
        while not self._stopping and (call := self._lineup.take_call(self._clock())) is not None:
            task = group.create_task(self._make_call(call, session, group), name="webhook call")
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _make_call(
        self, call: Call, session: aiohttp.ClientSession, group: asyncio.TaskGroup
    ) -> None:
        answer: Answer = TryAgain("the gateway stopped during the call")
        began = time.monotonic()
        try:
            answer = await self._send(call, session)
        finally:
            self._metrics.call_seconds.observe(time.monotonic() - began)
            self._settle(call, answer)
        self._start_calls(session, group)

    async def _send(self, call: Call, session: aiohttp.ClientSession) -> Answer:
        fault = find_url_fault(call.url, allow_private=self._settings.allow_private)
        if fault:
            return Refused(fault)
        body = b'{"events":[' + b",".join(event.body for event in call.events) + b"]}"
        headers = {"Content-Type": "application/json"}
        if call.secret:
            headers[HEADER] = build_signature(call.secret, body, self._clock())
        try:
            async with session.post(
                call.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                excerpt = await _read_excerpt(response)
                later = response.headers.get("Retry-After")
                return decide_answer(response.status, later, excerpt, self._clock())
        except TimeoutError:
            return TryAgain(f"no answer within {self._settings.timeout_s:g} s")
        except aiohttp.InvalidURL:
            return Refused("the address can't be read")
        except (aiohttp.ClientError, OSError) as error:
            return TryAgain(f"{type(error).__name__}: {error}")
        except Exception as error:
            # A customer's address or answer that trips the client must not stop the others.
            log.exception("webhook_call_broke", account_id=call.account_id)
            return TryAgain(f"{type(error).__name__}: {error}")

    def _settle(self, call: Call, answer: Answer) -> None:
        settlement = self._lineup.settle(call, answer, self._clock(), self._jitter())
        self._metrics.delivered(len(settlement.delivered))
        self._metrics.failed(settlement.retried)
        self._metrics.dead(settlement.dead)
        if not isinstance(answer, Delivered):
            self._tell_failure(call, answer.error, settlement.dead)
        self._keep_for_recorder(settlement.delivered, settlement.failures)
        self._settled.set()

    def _tell_failure(self, call: Call, error: str, dead: int) -> None:
        now = time.monotonic()
        if now - self._logged_at.get(call.account_id, -LOG_PAUSE_S) < LOG_PAUSE_S:
            return
        self._logged_at[call.account_id] = now
        log.warning(
            "webhook_failed",
            account_id=call.account_id,
            host=urlsplit(call.url).netloc.rpartition("@")[2],
            events=len(call.events),
            given_up=dead,
            error=error,
        )

    # ── Recording ───────────────────────────────────────────────────────────────────────────

    def _keep_for_recorder(self, delivered: Sequence[int], failures: Sequence[Failure]) -> None:
        self._delivered += delivered
        self._failures += failures
        if delivered or failures:
            self._to_record.set()

    async def _record_as_settled(self) -> None:
        while True:
            await self._to_record.wait()
            self._to_record.clear()
            try:
                await self._record()
            except StoreUnavailable as error:
                log.warning("webhooks_not_recorded", error=error)
                await asyncio.sleep(error.retry_after_s)
                self._to_record.set()

    async def _record(self) -> None:
        """Write everything that has gathered; what could not be written stays gathered."""
        delivered, self._delivered = self._delivered, []
        failures, self._failures = self._failures, []
        try:
            if delivered:
                await self._outbox.record_delivered(delivered)
                delivered = []
            if failures:
                await self._outbox.record_failed(failures)
                failures = []
        finally:
            self._delivered = delivered + self._delivered
            self._failures = failures + self._failures
            self._settled.set()

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await self._record()
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("webhooks_not_recorded", error=error, events=self.held)


async def _read_excerpt(response: aiohttp.ClientResponse) -> str:
    """Return the first words of an answer, in one line; long answers end their connection."""
    read = bytearray()
    while len(read) < ANSWER_BYTES_MAX:
        chunk = await response.content.read(ANSWER_BYTES_MAX - len(read))
        if not chunk:
            break
        read += chunk
    else:
        response.close()
    words = " ".join(read[: 4 * EXCERPT_CHARS].decode("utf-8", "replace").split())
    return "".join(char if char.isprintable() else "�" for char in words[:EXCERPT_CHARS])
