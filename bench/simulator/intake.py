"""What a carrier decides when a bind or a message comes."""

from __future__ import annotations

from msgspec.structs import replace

from bench.simulator.fate import Fate, Fates, Trouble
from bench.simulator.identity import draw, identify
from bench.simulator.limits import Bucket
from bench.simulator.script import Account, Rule, Script
from bench.simulator.submit import Submit
from bench.simulator.tally import Tally
from gateway.smpp import vocabulary as v

_NO_RULE = Rule()


class Intake:
    """Limits first, then the message's own fate."""

    def __init__(self, script: Script, tally: Tally) -> None:
        server = script.server
        self._script = script
        self._tally = tally
        self._fates = Fates(script)
        self._bucket = Bucket(server.rate_per_s, server.burst)
        self._throttled = _refuse(server.throttle_status)
        self._limited = bool(server.rate_per_s or server.window_max)
        connection = script.connection
        self._disturbed = bool(connection.drop_every or connection.garbage_every)
        self._window_full = _refuse(server.window_status)

    def judge(self, submit: Submit, in_flight: int, now: float) -> Fate:
        """Decide what becomes of `submit`, one of `in_flight` unanswered ones on its bind."""
        tally = self._tally
        tally.submit_sm += 1
        if self._limited:
            server = self._script.server
            if server.window_max and in_flight > server.window_max:
                return self._window_full
            if not self._bucket.take(now):
                return self._throttled
        script, messages = self._script, tally.messages
        key = identify(script.identity, submit)
        fate = self._fates.decide(
            submit.destination_addr,
            submit.registered_delivery,
            lambda: draw(script.seed, key, messages.attempts(key)),
        )
        if self._disturbed:
            fate = self._disturb(fate)
        if fate.taken:
            messages.note_taken(key)
        else:
            messages.note_refused(key)
        return fate

    def _disturb(self, fate: Fate) -> Fate:
        """Apply what happens to every n-th submission whatever it is."""
        connection, count = self._script.connection, self._tally.submit_sm
        if connection.drop_every and count % connection.drop_every == 0:
            return replace(fate, trouble=Trouble.DROP)
        if connection.garbage_every and count % connection.garbage_every == 0:
            return replace(fate, trouble=Trouble.GARBAGE)
        return fate


class Door:
    """Who may bind."""

    def __init__(self, script: Script) -> None:
        self._accounts = {account.system_id: account for account in script.account}
        self._open = not script.account
        self._connection = script.connection
        self._asked = 0

    def judge(self, system_id: str, password: str, binds_open: int) -> int:
        """Return the command_status for one bind request; 0 lets it in."""
        self._asked += 1
        if self._asked <= self._connection.refuse_first:
            return self._connection.refuse_status
        if self._open:
            return v.ESME_ROK
        account = self._accounts.get(system_id)
        return v.ESME_RINVSYSID if account is None else _check(account, password, binds_open)


def _check(account: Account, password: str, binds_open: int) -> int:
    if password != account.password:
        return v.ESME_RINVPASWD
    if account.refuse_status:
        return account.refuse_status
    if account.binds_max and binds_open >= account.binds_max:
        return v.ESME_RALYBND
    return v.ESME_ROK


def _refuse(status: int) -> Fate:
    return Fate(status, 0.0, None, False, False, (), _NO_RULE)
