"""Carry events from the outbox to customers' endpoints.

One loop writes down what became of calls and claims what is due, in this order, because a claim
must not see as due what was just sent back. The calls run beside it. An event leaves the outbox
only after its endpoint took it: a crash between the two delivers it twice, and nothing loses it.

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
from yarl import URL

from gateway.config import Webhooks
from gateway.errors import StoreUnavailable
from gateway.hooks.answers import (
    Answer,
    Delivered,
    Refused,
    TryAgain,
    decide_acknowledgement,
    decide_answer,
)
from gateway.hooks.connect import Resolver, explain, open_session
from gateway.hooks.lineup import CALLS_MAX, HELD_EVENTS_MAX, Call, Failure, Lineup
from gateway.hooks.sign import HEADER, build_signature
from gateway.hooks.targets import find_url_fault
from gateway.logs import get_logger
from gateway.metrics import WebhookMetrics
from gateway.model import AccountId
from gateway.peers.callbacks import Form, split_target
from gateway.views import OutboxEvent

log = get_logger("hooks")

POLL_S = 1.0
"""How often the outbox is asked without having been woken: retries that became due."""

GATHER_S = 0.1
"""Events of this long go into one call, and answers into one write. A claim after every commit
would make calls of few events, and a call costs as much as several messages do."""

CLAIM_MAX = 1_000
"""Events a claim: a transaction of some ten milliseconds."""

CLAIM_MIN = 100
"""With less room than this, the next answer is waited for rather than claiming a few."""

LEASE_TIMEOUTS = 6
"""A lease lasts as long as this many calls that time out one after another, at least a minute;
after a crash its events wait that long."""

ANSWER_BYTES_MAX = 16 * 1024
"""What is read of an answer. Past it the connection is closed rather than read to its end."""

EXCERPT_CHARS = 200

LOG_PAUSE_S = 60.0
"""One line an account in this time says that its webhooks fail; the rest is in metrics and rows."""

LAST_RECORD_TIMEOUT_S = 5.0
"""For the last write at a stop. What it misses is called again after its lease."""


class Outbox(Protocol):
    """Events that wait, in the store. Each method may raise StoreUnavailable."""

    async def claim_due(self, now: float, limit: int, lease_s: float) -> list[OutboxEvent]:
        """Return the `limit` lowest ids among the events due at `now`; they become due again at
        `now + lease_s`, for whoever asks then."""
        ...

    async def record_delivered(self, ids: Sequence[int]) -> None: ...

    async def record_failed(self, failures: Sequence[tuple[int, float | None, str]]) -> None:
        """Note (id, when it is due again or None when it is given up, why)."""
        ...

    async def bring_forward(self, now: float, seconds: float) -> int:
        """Make due so much sooner whatever is not due at `now`; return how many events."""
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
        poll_s: float = POLL_S,
        gather_s: float = GATHER_S,
        age_s: Callable[[float, float], float] = lambda at, now: now - at,
        take_set_back: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`take_set_back` says by how much the clock was set back since it was asked last."""
        self._take_set_back = take_set_back
        self._set_back_s = 0.0
        """What is still to be brought forward by so much."""
        self._outbox = outbox
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._jitter = jitter
        self._resolver = resolver
        self._claim_min = min(CLAIM_MIN, held_max // 2)
        self._calls_max = calls_max
        self._poll_s = poll_s
        self._gather_s = gather_s
        self._lineup = Lineup(settings, held_max=held_max, calls_max=calls_max, age_s=age_s)
        self._lease_s = max(60.0, LEASE_TIMEOUTS * settings.timeout_s)
        self._calls: set[asyncio.Task[None]] = set()
        self._delivered: list[int] = []
        self._failures: list[Failure] = []
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()
        self._finished.set()
        self._stopping = False
        self._logged_at: dict[AccountId, float] = {}

    @property
    def held(self) -> int:
        """Events in memory: waiting, under way, or not yet recorded."""
        return self._lineup.held + len(self._delivered) + len(self._failures)

    def wake(self) -> None:
        """Say that a commit has put events into the outbox."""
        self._changed.set()

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
                await self._deliver_until_stopped(session, group)
                self._failures += self._lineup.give_back(self._clock())
                if self._calls:
                    await asyncio.wait(self._calls)
        finally:
            await asyncio.shield(self._record_at_last())
            await resolver.close()
            self._finished.set()

    async def stop(self, timeout_s: float) -> None:
        """Claim nothing more, let calls end for up to `timeout_s`, record what became of them."""
        self._stopping = True
        self._changed.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._finished.wait()
        except TimeoutError:
            # Whether an endpoint took what it did not answer for is not known: it comes again.
            for call in list(self._calls):
                call.cancel()
            await self._finished.wait()

    # ── The outbox ──────────────────────────────────────────────────────────────────────────

    async def _deliver_until_stopped(
        self, session: aiohttp.ClientSession, group: asyncio.TaskGroup
    ) -> None:
        while not self._stopping:
            self._changed.clear()
            try:
                await self._bring_forward()
                await self._record()
                more_is_due = await self._claim()
            except StoreUnavailable as error:
                log.warning("webhooks_wait_for_the_store", error=error, events=self.held)
                more_is_due = False
            self._start_calls(session, group)
            if not more_is_due:
                await self._wait_for_change()

    async def _bring_forward(self) -> None:
        """After the clock was set back, let nothing wait so much longer."""
        self._set_back_s += self._take_set_back()
        if not self._set_back_s:
            return
        seconds, now = self._set_back_s, self._clock()
        count = await self._outbox.bring_forward(now, seconds)
        self._set_back_s = 0.0
        self._lineup.bring_forward(seconds)
        self._failures = [
            (event_id, None if at is None else max(now, at - seconds), error)
            for event_id, at, error in self._failures
        ]
        log.info("webhooks_brought_forward", seconds=round(seconds, 3), events=count)

    async def _claim(self) -> bool:
        """Take in what is due, as far as there is room; return whether there is more."""
        limit = min(CLAIM_MAX, self._lineup.room)
        if limit < self._claim_min:
            return False
        now = self._clock()
        events = await self._outbox.claim_due(now, limit, self._lease_s)
        self._failures += self._lineup.admit(events, now, now + self._lease_s)
        return len(events) == limit

    async def _wait_for_change(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await self._changed.wait()
        if not self._stopping:
            # Not a wait for something to happen, but time in which events gather.
            await asyncio.sleep(self._gather_s)

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

    async def _record_at_last(self) -> None:
        try:
            async with asyncio.timeout(LAST_RECORD_TIMEOUT_S):
                await self._record()
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("webhooks_not_recorded", error=error, events=self.held)

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
        form, url = split_target(call.url)
        fault = find_url_fault(url, allow_private=self._settings.allow_private)
        if fault:
            return Refused(fault)
        method, body, headers = self._write(call, form)
        try:
            async with session.request(
                method, _read_url(url, form), data=body, headers=headers, allow_redirects=False
            ) as response:
                excerpt = await _read_excerpt(response)
                if form.wants_ack:
                    return decide_acknowledgement(response.status, excerpt)
                later = response.headers.get("Retry-After")
                return decide_answer(response.status, later, excerpt, self._clock())
        except TimeoutError:
            return TryAgain(f"no answer within {self._settings.timeout_s:g} s")
        except aiohttp.InvalidURL:
            return Refused("the address can't be read")
        except (aiohttp.ClientError, OSError) as error:
            return TryAgain(explain(error), detail=f"{type(error).__name__}: {error}")
        except Exception as error:
            # A customer's address or answer that trips the client must not stop the others.
            log.exception("webhook_call_broke", account_id=call.account_id)
            return TryAgain("the call broke", detail=f"{type(error).__name__}: {error}")

    def _write(self, call: Call, form: Form) -> tuple[str, bytes | None, dict[str, str]]:
        """Return the method, the body and the headers of a call."""
        if form is Form.POST_ACK:
            content_type = "application/x-www-form-urlencoded"
            return "POST", call.events[0].body, {"Content-Type": content_type}
        if form is not Form.EVENT:
            return "GET", None, {}
        body = b'{"events":[' + b",".join(event.body for event in call.events) + b"]}"
        headers = {"Content-Type": "application/json"}
        if call.secret:
            headers[HEADER] = build_signature(call.secret, body, self._clock(), call.old_secret)
        return "POST", body, headers

    def _settle(self, call: Call, answer: Answer) -> None:
        settlement = self._lineup.settle(call, answer, self._clock(), self._jitter())
        self._metrics.delivered(len(settlement.delivered))
        self._metrics.failed(settlement.retried)
        self._metrics.dead(settlement.dead)
        if not isinstance(answer, Delivered):
            detail = answer.detail if isinstance(answer, TryAgain) else ""
            self._tell_failure(call, detail or answer.error, settlement.dead)
        self._delivered += settlement.delivered
        self._failures += settlement.failures
        self._changed.set()

    def _tell_failure(self, call: Call, error: str, dead: int) -> None:
        now = time.monotonic()
        if now - self._logged_at.get(call.account_id, -LOG_PAUSE_S) < LOG_PAUSE_S:
            return
        self._logged_at[call.account_id] = now
        log.warning(
            "webhook_failed",
            account_id=call.account_id,
            host=urlsplit(split_target(call.url)[1]).netloc.rpartition("@")[2],
            events=len(call.events),
            given_up=dead,
            error=error,
        )


def _read_url(url: str, form: Form) -> URL:
    """Return an address; one that we filled in is not escaped anew."""
    try:
        return URL(url, encoded=form is not Form.EVENT)
    except ValueError as error:
        raise aiohttp.InvalidURL(url) from error


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
