"""What customers ask about messages that they have sent: query_sm, cancel_sm, replace_sm.

Each takes a look into the store, so they are done one at a time a bind, in their order: a customer
that asks without end keeps nobody else from reading.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.dlr.states import STATE_OF
from gateway.errors import Rejected, StoreUnavailable
from gateway.logs import get_logger
from gateway.model import MessageId
from gateway.nodes.elsewhere import Elsewhere, NotOurs, Replacing
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import Value
from gateway.smpp.shapes import Pdu
from gateway.store.postgres import Database
from gateway.store.upstream_reader import fetch_standing
from gateway.submissions import Intakes
from gateway.upstream.bind import CustomerBind
from gateway.upstream.ids import parse_id
from gateway.upstream.orders import read_replacement
from gateway.upstream.roster import Roster
from gateway.upstream.statuses import status_of
from gateway.upstream.terms import Terms
from gateway.upstream.times import format_time

_ERROR_MAX: Final = 255

log = get_logger("upstream")

Fields = dict[str, Value]
Done = tuple[int, Fields]
"""A status, and the fields of an answer without one."""


class Errands:
    """Runs customers' errands, a queue a bind."""

    def __init__(
        self,
        database: Database,
        intakes: Intakes,
        roster: Roster,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._database = database
        self._intakes = intakes
        self._roster = roster
        self._elsewhere = elsewhere
        if elsewhere is not None:
            elsewhere.replace_by(self._replace_for_another)
        self._waiting: dict[CustomerBind, deque[Pdu]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._runners: dict[int, Callable[[Terms, Pdu], Awaitable[Done]]] = {
            v.QUERY_SM: self._query,
            v.CANCEL_SM: self._cancel,
            v.REPLACE_SM: self._replace,
        }

    def take(self, bind: CustomerBind, request: Pdu) -> bool:
        """Queue a request; False when it is none that is run here."""
        if request.command_id not in self._runners:
            return False
        bind.unanswered += 1
        queue = self._waiting.get(bind)
        if queue is not None:
            queue.append(request)
            return True
        self._waiting[bind] = deque((request,))
        # One task as long as there is something to do, kept here so that it is not collected.
        task = asyncio.get_running_loop().create_task(self._run(bind), name="errands")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _run(self, bind: CustomerBind) -> None:
        queue = self._waiting[bind]
        try:
            while queue and bind.bound:
                request = queue.popleft()
                status, fields = await self._do(bind, request)
                bind.unanswered -= 1
                bind.answer(request, status, fields)
                bind.note_idle()
        finally:
            del self._waiting[bind]

    async def _do(self, bind: CustomerBind, request: Pdu) -> Done:
        assert bind.customer is not None
        terms = bind.customer.terms
        try:
            return await self._runners[request.command_id](terms, request)
        except Rejected as rejected:
            code = rejected.code
            return (_TOO_LATE[request.command_id] if code == "too_late" else status_of(code)), {}
        except StoreUnavailable:
            return v.ESME_RSYSERR, {}
        except Exception:
            log.exception("errand_failed", command=v.command_name(request.command_id))
            return v.ESME_RSYSERR, {}

    async def _query(self, terms: Terms, request: Pdu) -> Done:
        message_id = parse_id(request.text("message_id"), terms.id_form)
        if message_id is None:
            return v.ESME_RINVMSGID, {}
        standing = await fetch_standing(self._database, terms.account.id, message_id)
        if standing is None:
            return v.ESME_RINVMSGID, {}
        final = standing.status.final and standing.at is not None
        return v.ESME_ROK, {
            "message_id": request.text("message_id"),
            "final_date": format_time(standing.at) if final and standing.at else "",
            "message_state": STATE_OF[standing.status],
            "error_code": _error_code(standing.error),
        }

    async def _cancel(self, terms: Terms, request: Pdu) -> Done:
        # Without an id SMPP means all messages between two addresses; nobody should lose those
        # of another system by accident.
        message_id = parse_id(request.text("message_id"), terms.id_form)
        if message_id is None:
            return v.ESME_RINVMSGID, {}
        await self._intakes.cancel(terms.account, message_id)
        return v.ESME_ROK, {}

    async def _replace(self, terms: Terms, request: Pdu) -> Done:
        message_id = parse_id(request.text("message_id"), terms.id_form)
        if message_id is None:
            return v.ESME_RINVMSGID, {}
        try:
            await self._replace_here(terms, message_id, request)
        except NotOurs as away:
            assert self._elsewhere is not None
            fields = request.fields
            replacing = Replacing(
                terms.account.id,
                message_id,
                {name: field for name, field in fields.items() if isinstance(field, int | str)},
                {name: field for name, field in fields.items() if isinstance(field, bytes)},
                list(request.tlvs),
            )
            await self._elsewhere.replace(away.message, replacing)
        return v.ESME_ROK, {}

    async def _replace_here(self, terms: Terms, message_id: MessageId, request: Pdu) -> None:
        await self._intakes.replace(
            terms.account,
            message_id,
            lambda message, now: read_replacement(request, message, terms, now),
        )

    async def _replace_for_another(self, replacing: Replacing) -> None:
        """Replace what this node has for a customer that is bound to another one."""
        terms = self._roster.of_account(replacing.account_id)
        if terms is None:
            raise StoreUnavailable("the node that has the message does not know its account yet")
        request = Pdu(
            v.REPLACE_SM,
            fields={**replacing.fields, **replacing.octets},
            tlvs=tuple(replacing.tlvs),
        )
        await self._replace_here(terms, replacing.message_id, request)


_TOO_LATE: Final = {v.CANCEL_SM: v.ESME_RCANCELFAIL, v.REPLACE_SM: v.ESME_RREPLACEFAIL}


def _error_code(error: str) -> int:
    """Return a carrier's error where it fits the field's one octet."""
    number = int(error) if error.isascii() and error.isdigit() and len(error) < 5 else 0
    return number if number <= _ERROR_MAX else 0
