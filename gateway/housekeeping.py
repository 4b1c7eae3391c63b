"""The node's slow clockwork: partitions, retention, receipts that never came, how much waits.

Each duty runs on its own interval and survives the database being away. What is about rows is done
by the one node that has the lease for it, what is about a node's memory by each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from gateway.clock import Clock
from gateway.config import Messages
from gateway.directory import Directory
from gateway.lifecycle import EventKind, Status
from gateway.logs import get_logger
from gateway.metrics import Metrics
from gateway.model import CarrierId, MessageId
from gateway.nodes.duties import HOUSEKEEPING, Owns, owns_all, repeat_while_owned
from gateway.nodes.elsewhere import Elsewhere
from gateway.outcomes import Event
from gateway.periodic import repeat
from gateway.receipts import ReceiptBook
from gateway.references import Reference
from gateway.refunds import Refunds
from gateway.settling import aggregate, settle_segment
from gateway.store.maintenance import Maintenance, Unanswered
from gateway.store.outbox import OutboxDepth, PostgresOutbox
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.unmatched import AskedAgain

log = get_logger("housekeeping")

DIRECTORY_S = 2.0
DEPTH_S = 15.0
SWEEP_S = 60.0
REMATCH_S = 2.0
ERASE_S = 2.0
DAILY_S = 900.0
SWEEP_MESSAGES_MAX = 5_000
SWEEP_MARK = "unanswered"
EMAIL_DAYS_MAX = 30
"""What is not sent so long after it was due has failed or will (`email.give_up_after_s`)."""


class Housekeeper:
    def __init__(
        self,
        settings: Messages,
        maintenance: Maintenance,
        directory: Directory,
        book: ReceiptBook,
        outcomes: OutcomeWriter,
        refunds: Refunds,
        outbox: PostgresOutbox,
        metrics: Metrics,
        clock: Clock,
        *,
        on_unmatched: Callable[[CarrierId], None],
        measure_emails: Callable[[], Awaitable[None]],
        asked_again: AskedAgain,
        try_taken_again: Callable[[Sequence[CarrierId]], None],
        erase: Callable[[], Awaitable[None]],
        elsewhere: Elsewhere | None = None,
        owns: Owns = owns_all,
    ) -> None:
        """`elsewhere`: the other nodes, where there may be some."""
        self._erase = erase
        self._elsewhere = elsewhere
        self._owns = owns
        self._measure_emails = measure_emails
        self._settings = settings
        self._maintenance = maintenance
        self._directory = directory
        self._book = book
        self._outcomes = outcomes
        self._refunds = refunds
        self._outbox = outbox
        self._clock = clock
        self._on_unmatched = on_unmatched
        self._asked_again = asked_again
        self._try_taken_again = try_taken_again
        self._depth = OutboxDepth(0, 0, None)
        metrics.webhooks.watch(pending=self._waiting, oldest_age_s=self._age_s)

    def use(self, settings: Messages) -> None:
        """Go by other settings from now on."""
        self._settings = settings

    async def run(self) -> None:
        """Do every duty at its interval, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat("directory", DIRECTORY_S, self._directory.refresh))
            group.create_task(repeat("parked", SWEEP_S, self._forget_parked))
            group.create_task(repeat("rematch", REMATCH_S, self._rematch))
            for name, every_s, duty in (
                # How much waits of all nodes' is shown by one, so that a sum over nodes is right.
                ("outbox_depth", DEPTH_S, self._measure_outbox),
                ("email_depth", DEPTH_S, self._measure_emails),
                ("sweep", SWEEP_S, self._sweep),
                ("erase", ERASE_S, self._erase),
                ("daily", DAILY_S, self._daily),
            ):
                repeated = repeat_while_owned(self._owns, HOUSEKEEPING, name, every_s, duty)
                group.create_task(repeated, name=name)

    async def _measure_outbox(self) -> None:
        self._depth = await self._outbox.fetch_depth()

    def _waiting(self) -> float:
        return float(self._depth.waiting) if self._owns(HOUSEKEEPING) else 0.0

    def _age_s(self) -> float:
        oldest = self._depth.oldest_at if self._owns(HOUSEKEEPING) else None
        return 0.0 if oldest is None else max(0.0, time.time() - oldest)

    async def clock_was_set(self) -> None:
        """Have the days that the clock shows now taken in at once."""
        await self._maintenance.ensure_partitions(time.time())

    async def _daily(self) -> None:
        await self._maintenance.ensure_partitions(time.time())
        wall = self._clock.believed()
        dropped = await self._maintenance.drop_partitions(wall, self._settings.retention_days)
        if dropped.days:
            log.info("partitions_dropped", days=[str(day) for day in dropped.days])
        for kept in dropped.kept:
            log.warning("partition_kept", day=str(kept.day), open_messages=kept.open_messages)
        if 0 < self._settings.text_retention_days < self._settings.retention_days:
            texts = await self._maintenance.erase_texts(wall, self._settings.text_retention_days)
            if texts.days:
                log.info("texts_erased", days=[str(day) for day in texts.days])
            if texts.put_off:
                log.info("texts_put_off", days=[str(day) for day in texts.put_off])
        if own := await self._maintenance.erase_account_texts(wall):
            log.info("texts_of_accounts_erased", accounts=len(own), messages=sum(own.values()))
        kept_s = self._settings.idempotency_s
        await self._maintenance.forget_idempotency(self._clock.after(kept_s), kept_s)
        await self._maintenance.forget_remains(wall, self._settings.retention_days)
        await self._maintenance.forget_email_contents(wall, self._fallback_life_s())
        if self._elsewhere is not None:
            await self._elsewhere.forget_errands()
        # Last: it may wait a minute for others, and nothing hangs on it.
        if indexed := await self._maintenance.index_recipients(wall):
            log.info("recipients_indexed", days=[str(day) for day in indexed])

    def _fallback_life_s(self) -> float:
        """Return how long after its acceptance a message's email can be sent at most."""
        s = self._settings
        days_s = (s.retention_days + EMAIL_DAYS_MAX) * 86_400
        return days_s + s.schedule_max_s + s.validity_max_s + s.receipt_timeout_s

    async def _rematch(self) -> None:
        """Try receipts again that an operator asked for, until all have been."""
        while count := await self._asked_again.take():
            self._try_taken_again(self._asked_again.carriers)
            await self._outcomes.flush()
            await self._asked_again.settle()
            log.info("receipts_tried_again", count=count)

    async def _forget_parked(self) -> None:
        """Let go of receipts that wait in memory for their submission no more."""
        parked_s = self._settings.receipt_parked_s
        for carrier_id in self._book.forget_parked(self._clock.after(parked_s) - parked_s):
            self._on_unmatched(carrier_id)

    async def _sweep(self) -> None:
        """Give up receipts without a submission, and submissions without a receipt."""
        parked_s = self._settings.receipt_parked_s
        given_up = await self._maintenance.give_up_parked(self._clock.after(parked_s), parked_s)
        if given_up:
            log.warning("receipts_unmatched", count=given_up)
        # What was decided before this is committed, however long the store was away: the mark
        # passes nothing that nobody could see yet.
        timeout_s = self._settings.receipt_timeout_s
        now = self._clock.after(timeout_s)
        await self._outcomes.flush()
        await self._let_go_elsewhere(())
        seen_to = await self._maintenance.load_sweep_mark(SWEEP_MARK)
        while True:
            now = min(now, self._clock.after(timeout_s))
            swept = await self._maintenance.find_unanswered(
                now, timeout_s, SWEEP_MESSAGES_MAX, seen_to
            )
            if self._clock.after(timeout_s) < now:
                return  # the clock was set back meanwhile: some of it may be of just now
            if swept.found:
                await self._let_go_elsewhere([each.message_id for each in swept.found])
            for unanswered in swept.found:
                self._give_up(unanswered, time.time())
            if swept.found:
                log.info("receipts_given_up", messages=len(swept.found))
                await self._outcomes.flush()
            await self._maintenance.save_sweep_mark(SWEEP_MARK, swept.seen_to)
            seen_to = swept.seen_to
            if swept.complete:
                return

    async def _let_go_elsewhere(self, message_ids: Sequence[MessageId]) -> None:
        """Have what other nodes know of messages written, and these ones looked up anew when a
        receipt comes: what they remember is not what is about to be written."""
        if self._elsewhere is not None:
            await self._elsewhere.let_go(message_ids)

    def _give_up(self, unanswered: Unanswered, wall: float) -> None:
        states = self._states_of(unanswered)
        if Status.SUBMITTED not in states:
            return  # its receipt has come since the store was asked, and was told of
        for index, state in enumerate(states):
            if state is not Status.SUBMITTED:
                continue
            states[index] = settle_segment(state, Status.UNKNOWN)
            event = Event(
                unanswered.message_id,
                unanswered.account_id,
                wall,
                EventKind.NO_RECEIPT,
                index + 1,
                states[index],
                aggregate(states),
                False,
                unanswered.carriers[index],
            )
            self._outcomes.record(event)
            self._refunds.ended(event)
        party = unanswered.party
        status = aggregate(states)
        if status.final:
            self._book.tell(
                unanswered.account_id, unanswered.message_id, party, status, "no receipt", wall
            )

    def _states_of(self, unanswered: Unanswered) -> list[Status]:
        """Return a message's states, shared with what matches its receipts."""
        party, account_id = unanswered.party, unanswered.account_id
        wanted = self._book.party_of(account_id, party.callback_url, party.registered_delivery)
        taken = {
            key: Reference(
                unanswered.message_id,
                account_id,
                index,
                unanswered.states,
                party if wanted else None,
                unanswered.submitted_at,
                tuple(rest),
            )
            for key, (index, *rest) in unanswered.taken.items()
        }
        return self._book.share_states(unanswered.message_id, taken) if taken else unanswered.states
