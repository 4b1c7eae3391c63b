"""Finds in the store what receipts are about that memory does not know.

Under the carrier's rule for ids as it is, and where that was changed, under those by which older
submissions were stored. Not here: what a receipt changes (`receipts.py`), the queries
(`store/backlog.py`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.arrived import Found
from gateway.carrier_line import Line
from gateway.clock import Clock
from gateway.dispatch import Dispatcher
from gateway.dlr.ids import FormerRule, spell_formerly
from gateway.ids import id_at
from gateway.model import CarrierId
from gateway.outcomes import ParkedReceipt
from gateway.receipts import ReceiptBook
from gateway.record import replace
from gateway.references import Key
from gateway.store.backlog import find_submissions
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.unmatched import fetch_taken

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

LOOKUP_KEYS_MAX = 1_000
"""Receipts looked up in one query."""
LOOKUP_AGE_S = 12 * 86_400
"""No receipt is expected later: the longest validity and the wait for its receipt after it."""

Lines = Mapping[CarrierId, Line]


class ReceiptLookups:
    """What the outcome writer asks between two batches; a `Lookups`."""

    def __init__(
        self,
        lines: Lines,
        dispatcher: Dispatcher,
        book: ReceiptBook,
        writer: OutcomeWriter,
        clock: Clock,
    ) -> None:
        self._lines = lines
        self._dispatcher = dispatcher
        self._book = book
        self._writer = writer
        self._clock = clock
        self._again: Sequence[CarrierId] = ()

    def try_taken_again(self, carriers: Sequence[CarrierId]) -> None:
        """Have these carriers' receipts tried that were taken from the store's unmatched ones."""
        self._again = carriers
        self._writer.wake()

    def wanted(self) -> bool:
        return bool(self._again) or bool(self._book.wanted())

    async def look_up(self, connection: AnyConnection) -> None:
        if self._again:
            # Read here, where no commit is under way: what leaves the store with the next one is
            # known, and everything else that is read is still to be applied.
            taken = await fetch_taken(connection, self._again)
            self._again = ()
            kept = [receipt for receipt in taken if not self._writer.unparks(receipt)]
            self._book.try_again(kept, time.time())
        keys = list(itertools.islice(self._book.wanted(), LOOKUP_KEYS_MAX))
        oldest = self._book.oldest_wanted(keys, self._clock.after(LOOKUP_AGE_S))
        since = id_at(oldest - LOOKUP_AGE_S)
        found = await find_submissions(connection, keys, since)
        found |= await self._find_formerly(connection, [k for k in keys if k not in found], since)
        for key, known in found.items():
            job = self._dispatcher.find(known.message_id)
            if job is not None:  # the rest of it is still on its way out: one list for all parts
                found[key] = replace(known, states=job.states)
        self._book.looked_up(keys, found)

    async def _find_formerly(
        self, connection: AnyConnection, keys: Sequence[Key], since_id: int
    ) -> dict[Key, Found]:
        """Look for submissions whose ids were stored under a rule that holds no more."""
        meant: dict[Key, tuple[Key, FormerRule]] = {}
        for key in keys:
            line = self._lines.get(key[0])
            if line is None or not line.former_ids:
                continue
            for former in line.former_ids:
                for raw in self._book.raw_ids(key):
                    for spelled in spell_formerly(raw, line.ids, former.rule):
                        meant[line.id, spelled] = (key, former)
        found: dict[Key, Found] = {}
        if meant:
            known = await find_submissions(connection, list(meant), since_id)
            for spelled_key, submission in known.items():
                key, former = meant[spelled_key]
                if former.since <= submission.submitted_at < former.until:
                    found[key] = submission
        return found


def key_under_present_rule(lines: Lines, parked: ParkedReceipt) -> Key:
    """Return what a parked receipt is matched by now, whatever the rule was when it came."""
    line = lines.get(parked.carrier_id)
    if line is None or not parked.raw_id:
        return parked.carrier_id, parked.carrier_message_id
    return line.id, line.ids.normalise_receipt(parked.raw_id)
