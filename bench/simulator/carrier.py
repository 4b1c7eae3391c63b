"""What the binds of one simulated carrier share: its counts, its decisions, its mailboxes and the
one timer behind everything that happens later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Protocol

from bench.simulator.intake import Door, Intake
from bench.simulator.mailbox import Delivery, Mailbox
from bench.simulator.phones import write_mobile
from bench.simulator.receipt import write_ids
from bench.simulator.script import Mobile, Script
from bench.simulator.tally import Tally
from bench.simulator.wheel import Wheel
from gateway.smpp import vocabulary as v


class Line(Protocol):
    """A connection, as its carrier sees it."""

    def flush(self) -> None: ...
    def cut(self) -> None: ...
    def unbind(self) -> None: ...


class Carrier:
    """One carrier, without its listening socket (`bench/smsc.py`)."""

    def __init__(self, script: Script, loop: asyncio.AbstractEventLoop) -> None:
        self.script = script
        self.tally = Tally()
        self.intake = Intake(script, self.tally)
        self.door = Door(script)
        self.lines: dict[int, Line] = {}
        self.unflushed: list[Line] = []
        self.now = loop.time
        self.wall_clock = time.time
        self._loop = loop
        self._wheel: Wheel[Callable[[], None]] = Wheel()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = float("inf")
        self._mailboxes: dict[str, Mailbox] = {}
        self._ids_made = 0
        self._references_made = 0
        for account in script.account:
            self.mailbox(account.system_id)

    # ── decisions of a new script ────────────────────────────────────────────────────────────

    def follow(self, script: Script) -> None:
        """Go on by another script; counts, binds and what is under way stay."""
        self.script = script
        self.intake = Intake(script, self.tally)
        self.door = Door(script)
        for mailbox in self._mailboxes.values():
            mailbox.policy = script.server.receipts_to
        self.start_phones()

    # ── time ─────────────────────────────────────────────────────────────────────────────────

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run `action` after `delay_s`, to the next millisecond; what it writes is flushed."""
        due_s = self.now() + delay_s
        self._wheel.add(due_s, action)
        if due_s < self._timer_s:
            self._arm()

    def deliver_later(self, delay_s: float, mailbox: Mailbox, delivery: Delivery) -> None:
        """Put `delivery` into `mailbox` after `delay_s`."""
        self.call_later(delay_s, partial(mailbox.put, delivery))

    def flush(self) -> None:
        """Let every line write what it kept during this turn."""
        for line in self.unflushed:
            line.flush()
        self.unflushed.clear()

    def pause(self) -> None:
        """Cut every line and let no time pass; what falls due meanwhile happens at `resume`."""
        for line in list(self.lines.values()):
            line.cut()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_s = float("-inf")

    def resume(self) -> None:
        """Let time pass again."""
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        next_s = self._wheel.next_s()
        self._timer_s = float("inf") if next_s is None else next_s
        if next_s is not None:
            self._timer = self._loop.call_at(next_s, self._run_due)

    def _run_due(self) -> None:
        for action in self._wheel.take_due(self.now()):
            action()
        self._arm()
        self.flush()

    # ── what binds ask for ───────────────────────────────────────────────────────────────────

    def next_ids(self) -> tuple[str, str]:
        """Return the next message id, as the response and as the receipt has it."""
        ids = self.script.ids
        number = ids.first + self._ids_made
        self._ids_made += 1
        return write_ids(ids, number)

    def count_binds(self, system_id: str) -> int:
        return sum(bind.system_id == system_id for bind in self.tally.open_binds.values())

    def mailbox(self, system_id: str) -> Mailbox:
        """Return the mailbox of a system_id, made at the first call."""
        found = self._mailboxes.get(system_id)
        if found is None:
            server = self.script.server
            found = Mailbox(server.receipts_to, server.waiting_max)
            self._mailboxes[system_id] = found
        return found

    # ── phones ───────────────────────────────────────────────────────────────────────────────

    def start_phones(self) -> None:
        """Begin what the script's phones send."""
        for mobile in self.script.mobile:
            self._send_from(self.script, mobile, self.now(), 0)

    def send_mobile(
        self,
        source: str,
        destination: str,
        text: str,
        *,
        system_id: str = "",
        reference_bits: Literal[8, 16] = 8,
        backwards: bool = False,
    ) -> int:
        """Send one message from a phone; return the number of its parts.

        It waits when no receiver is bound. Raises ValueError for a text of more than 255 parts.
        """
        self._references_made += 1
        bodies = write_mobile(
            source,
            destination,
            text,
            reference=self._references_made,
            reference_bits=reference_bits,
        )
        mailbox = self._mailbox_for_mobile(system_id)
        for body in reversed(bodies) if backwards else bodies:
            self.tally.mobile.made += 1
            mailbox.put(Delivery(v.DELIVER_SM, body, self.tally.mobile, 0))
        return len(bodies)

    def _mailbox_for_mobile(self, system_id: str) -> Mailbox:
        if system_id:
            return self.mailbox(system_id)
        for mailbox in self._mailboxes.values():
            if mailbox.receivers:
                return mailbox
        return self.mailbox(next(iter(self._mailboxes), ""))

    def _send_from(self, script: Script, mobile: Mobile, started_s: float, sent: int) -> None:
        """Send what is due of `mobile`, and come back for the next."""
        if script is not self.script:
            return
        while not mobile.count or sent < mobile.count:
            due_s = started_s + sent / mobile.rate_per_s
            if due_s > self.now():
                again = partial(self._send_from, script, mobile, started_s, sent)
                self.call_later(due_s - self.now(), again)
                return
            sent += 1
            self.send_mobile(
                mobile.source,
                mobile.destination,
                mobile.text.replace("{n}", str(sent)),
                system_id=mobile.system_id,
                reference_bits=mobile.reference_bits,
                backwards=mobile.reversed,
            )

    # ── figures ──────────────────────────────────────────────────────────────────────────────

    def stats(self) -> dict[str, Any]:
        """Return all counts as plain values."""
        return self.tally.report() | {
            "scheduled": len(self._wheel),
            "waiting": sum(mailbox.waiting for mailbox in self._mailboxes.values()),
        }
