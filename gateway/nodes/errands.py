"""What a node asks of another one, and has answered within a bounded time.

An errand is a row: put by the one who asks, begun at most once by the one who has the lease (or
the claim) that it is addressed to, and taken back by the asker with its answer. One that was not
begun by then never is: nothing is half done. One that was begun and not answered may have been
done; so every kind can be asked again without harm.

Not here: what is asked (`elsewhere.py`), the rows (`store/errands.py`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

from gateway.errors import StoreUnavailable
from gateway.logs import get_logger
from gateway.nodes.place import Place, name_node
from gateway.store.errands import ANSWERED, ASKED, Errand, ErrandStore, fetch_claims
from gateway.store.postgres import Database

ANSWER_S = 5.0
"""How long an answer is waited for: an HTTP client is still there then."""
RETRY_AFTER_S = 2.0
"""What a client is told that nobody answered: by then a dead node's carriers are another's."""
RUNNING_MAX = 100
"""Errands under way; the rest waits in the store, up to its time."""
ID_BITS = 62


class Unanswered(StoreUnavailable):
    """The node that was asked did not do it, or has not said so: ask again after a while."""


Run = Callable[[bytes], Awaitable[bytes]]
"""Runs one kind of errand: what is asked → the answer."""

log = get_logger("nodes")


class Errands:
    """One node's post office: `ask`, and `run` to answer what others ask."""

    def __init__(
        self, database: Database, place: Place, has: Callable[[str], bool] | None = None
    ) -> None:
        """`has` says of a lease whether what it is for is all here, and not just to come."""
        self.has = has or place.owns
        self._database = database
        self._store = ErrandStore(database)
        self._place = place
        self._kinds: dict[str, Run] = {}
        self._answered: dict[int, asyncio.Event] = {}
        self._asked_for: set[str] = set()
        self._look_at_all = False
        self._woken = asyncio.Event()
        self._running = 0
        place.hear(ASKED, self._hear_asked)
        place.hear(ANSWERED, self._hear_answer)

    def learn(self, kind: str, run: Run) -> None:
        """Know how an errand of this kind is run."""
        self._kinds[kind] = run

    # ── asking ───────────────────────────────────────────────────────────────────────────────

    async def ask(
        self, lease: str, kind: str, asked: bytes, timeout_s: float | None = None
    ) -> bytes:
        """Return what the node says that has a lease; raises Unanswered when none does in time
        (`timeout_s`; None: ANSWER_S), and StoreUnavailable."""
        timeout_s = ANSWER_S if timeout_s is None else timeout_s
        id_ = secrets.randbits(ID_BITS)
        answered = self._answered[id_] = asyncio.Event()
        try:
            await self._store.put(id_, lease, kind, asked, timeout_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await answered.wait()
        finally:
            del self._answered[id_]
        outcome = await self._store.take_back(id_)
        if outcome.answer is not None:
            return outcome.answer
        if outcome.failed is not None:
            raise Unanswered(outcome.failed, RETRY_AFTER_S)
        if outcome.begun:
            raise Unanswered("another node has begun it and not said yet that it is done")
        raise Unanswered("the node whose it is does not answer; nothing changed", RETRY_AFTER_S)

    async def ask_all(self, kind: str, asked: bytes, timeout_s: float | None = None) -> None:
        """Return once every other node has answered, or its claim has ended.

        Raises StoreUnavailable for one that does neither.
        """
        if self._place.alone:
            return
        others = await self._others()
        answers = await asyncio.gather(
            *(self.ask(name, kind, asked, timeout_s) for name in others), return_exceptions=True
        )
        silent = {
            name: error
            for name, error in zip(others, answers, strict=True)
            if isinstance(error, BaseException)
        }
        if silent:
            still = set(await self._others())
            for name, error in silent.items():
                if name in still or not isinstance(error, StoreUnavailable):
                    raise error

    async def forget(self) -> None:
        """Forget what was asked by nodes that never took it back."""
        await self._store.forget()

    async def _others(self) -> list[str]:
        claims = await fetch_claims(self._database)
        return [name_node(*claim) for claim in claims if claim[0] != self._place.node]

    def _hear_answer(self, number: str) -> None:
        answered = self._answered.get(int(number)) if number else None
        if answered is not None:
            answered.set()

    # ── answering ────────────────────────────────────────────────────────────────────────────

    def look(self) -> None:
        """Look for all that waits: something may have been missed, or a lease was gained."""
        self._look_at_all = True
        self._woken.set()

    async def run(self) -> None:
        """Run what is asked of this node, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._woken.wait()
                self._woken.clear()
                try:
                    await self._begin(group)
                except StoreUnavailable as error:
                    log.warning("errands_unread", error=str(error))
                    await asyncio.sleep(1.0)
                    self.look()

    async def _begin(self, group: asyncio.TaskGroup) -> None:
        room = RUNNING_MAX - self._running
        if room <= 0:
            return  # whatever ends looks again
        if self._look_at_all:
            self._look_at_all = False
            self._asked_for.update(await self._store.fetch_leases())
        asked_for, self._asked_for = self._asked_for, set()
        ours = sorted(filter(self._is_ours, asked_for))
        if not ours:
            return
        errands = await self._store.begin(ours, room)
        for errand in errands:
            self._running += 1
            group.create_task(self._do(errand), name=f"errand {errand.kind}")
        if len(errands) == room:
            self.look()

    def _is_ours(self, lease: str) -> bool:
        if lease.startswith("node:"):
            return lease == name_node(self._place.node, self._place.epoch)
        return self.has(lease)

    def _hear_asked(self, lease: str) -> None:
        if not lease:
            self.look()  # some may have been missed
        elif self._is_ours(lease):
            self._asked_for.add(lease)
            self._woken.set()

    async def _do(self, errand: Errand) -> None:
        try:
            answer, failed = await self._try(errand)
            await self._store.answer(errand.id, answer, failed)
        except StoreUnavailable as error:  # its asker finds that it was begun and not answered
            log.warning("errand_not_answered", kind=errand.kind, error=str(error))
        finally:
            self._running -= 1
            if self._running == RUNNING_MAX - 1:
                self.look()

    async def _try(self, errand: Errand) -> tuple[bytes | None, str | None]:
        run = self._kinds.get(errand.kind)
        if run is None:
            return None, f"the node whose it is does not know how to {errand.kind}"
        try:
            return await run(errand.asked), None
        except StoreUnavailable as error:
            return None, str(error)
        except Exception:
            log.exception("errand_failed", kind=errand.kind)
            return None, "the node whose it is could not do it"
