"""Lets customers in and out: the shell around `admission.py`.

A password is compared beside the loop, after the wait that its address has earned; everything
else is decided at once. Nobody stays in who would not be let in any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from gateway.config import Smpp
from gateway.logs import get_logger
from gateway.metrics import UpstreamMetrics
from gateway.model import AccountId
from gateway.smpp.events import BindRequested
from gateway.upstream.admission import (
    PASSWORD_CHARS_MAX,
    LoginPace,
    Reason,
    Refused,
    is_system_id,
    judge_bind,
    may_stay,
)
from gateway.upstream.bind import CustomerBind
from gateway.upstream.customer import Customer, OpenCounts
from gateway.upstream.logins import Logins
from gateway.upstream.postman import Postman
from gateway.upstream.roster import Roster
from gateway.upstream.terms import Terms

log = get_logger("upstream")


class Door:
    """Knows who is in."""

    def __init__(
        self,
        settings: Smpp,
        roster: Roster,
        logins: Logins,
        postman: Postman,
        open_counts: OpenCounts,
        metrics: UpstreamMetrics,
        binds_elsewhere: Callable[[AccountId], int] = lambda account_id: 0,
    ) -> None:
        """`binds_elsewhere` returns how many an account has at other nodes, as they last said."""
        self._binds_elsewhere = binds_elsewhere
        self.binds: set[CustomerBind] = set()
        """Those that are bound."""
        self.closing = False
        """Whether nobody is let in any more."""
        self._system_id = settings.system_id
        self._certified = settings.tls.enabled and settings.tls.client_names == "system_id"
        """Whether a customer's certificate has to name its system_id."""
        self._roster = roster
        self._logins = logins
        self._postman = postman
        self._open_counts = open_counts
        self._metrics = metrics
        self._pace = LoginPace(settings.login_wait_first_s, settings.login_wait_max_s)
        self._customers: dict[AccountId, Customer] = {}
        self._loop = asyncio.get_running_loop()
        roster.join(self._terms_changed)

    @property
    def accounts_bound(self) -> int:
        """How many customers are in, however many binds they have."""
        return sum(customer.bound > 0 for customer in self._customers.values())

    def ask_to_bind(self, bind: CustomerBind, request: BindRequested) -> None:
        """Admit or refuse a customer, now or once its password is compared."""
        if self.closing:
            self._refuse(bind, request, Refused(Reason.STOPPING))
            return
        if not is_system_id(request.system_id):
            self._refuse(bind, request, Refused(Reason.SYSTEM_ID))
            return
        terms = self._roster.of_system_id(request.system_id)
        if terms is not None and self._logins.recall(terms, request.password):
            # What has worked before is no guess: it need not wait for a neighbour's guesses.
            self._judge(bind, request, terms, True)
            return
        now = self._loop.time()
        at = self._pace.take(bind.address, now)
        if at is None:
            self._refuse(bind, request, Refused(Reason.HURRIED))
        elif at <= now:
            self._compare(bind, request)
        else:
            self._loop.call_at(at, self._compare, bind, request)

    def count_binds(self) -> dict[int, int]:
        """Return how many binds each account has here."""
        return {key: each.bound for key, each in self._customers.items() if each.bound}

    def left(self, bind: CustomerBind) -> None:
        """Count a bind as gone."""
        self.binds.discard(bind)
        if bind.customer is not None:
            bind.customer.bound -= 1

    def _compare(self, bind: CustomerBind, request: BindRequested) -> None:
        if not bind.binding:
            return  # it has not waited
        terms = self._roster.of_system_id(request.system_id)
        # One character more than any password has: too long stays wrong, and costs no more.
        comparing = self._logins.compare(terms, request.password[: PASSWORD_CHARS_MAX + 1])
        if comparing is None:
            self._refuse(bind, request, Refused(Reason.BUSY))
        else:
            comparing.add_done_callback(partial(self._compared, bind, request, terms))

    def _compared(
        self,
        bind: CustomerBind,
        request: BindRequested,
        terms: Terms | None,
        comparing: asyncio.Future[bool],
    ) -> None:
        if comparing.cancelled():
            return
        right = comparing.result()
        if terms is not None and right:
            self._logins.remember(terms, request.password)
        else:
            self._pace.failed(bind.address, self._loop.time())
        if bind.binding:
            self._judge(bind, request, terms, right)

    def _judge(
        self, bind: CustomerBind, request: BindRequested, terms: Terms | None, right: bool
    ) -> None:
        customer = None if terms is None else self._customers.get(terms.account.id)
        bound = customer.bound if customer else 0
        if terms is not None:
            bound += self._binds_elsewhere(terms.account.id)
        names = bind.certificate_names if self._certified else None
        verdict = judge_bind(terms, right, bind.address, bound, names)
        if self.closing:
            verdict = Refused(Reason.STOPPING)
        if isinstance(verdict, Refused):
            self._refuse(bind, request, verdict)
        else:
            self._admit(bind, request, verdict.terms)

    def _admit(self, bind: CustomerBind, request: BindRequested, terms: Terms) -> None:
        account = terms.account
        customer = self._customers.get(account.id)
        if customer is None:
            customer = self._customers[account.id] = Customer(terms, self._open_counts)
        customer.bound += 1
        bind.admit(request, customer, terms, self._system_id)
        self.binds.add(bind)
        log.info(
            "customer_bound",
            account=account.name,
            mode=bind.mode,
            address=str(bind.address),
            binds=customer.bound,
        )
        if bind.receives:
            self._postman.joined(bind, account.id)

    def _refuse(self, bind: CustomerBind, request: BindRequested, refused: Refused) -> None:
        self._metrics.bind_refused(refused.reason)
        log.warning(
            "customer_refused",
            reason=refused.reason,
            # Printed only when it can be a name: what a stranger sends is not for terminals.
            system_id=request.system_id if is_system_id(request.system_id) else "",
            address=str(bind.address),
        )
        bind.refuse(request, refused)

    def _terms_changed(self) -> None:
        """Give customers their new terms, and show out those that would not be let in now."""
        now = self._loop.time()
        for account_id, customer in self._customers.items():
            terms = self._roster.of_account(account_id)
            if terms is not None and terms != customer.terms:
                customer.change(terms, now)
        for bind in list(self.binds):
            admitted = bind.terms
            assert admitted is not None
            if not may_stay(self._roster.of_account(admitted.account.id), admitted, bind.address):
                log.info("customer_shown_out", account=admitted.account.name)
                bind.unbind(now)
