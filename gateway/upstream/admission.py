"""Who may bind: the decision about one bind, and how long an address waits after wrong ones.

An unknown system_id and a wrong password get one and the same answer after the same work, so that
nobody learns which accounts exist. Too many binds is not ESME_RALYBND: clients take that on a
fresh connection for a bind that stands, and begin to submit.

Not here: comparing passwords (`passwords.py`), when they are compared (`logins.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Container
from dataclasses import dataclass

import msgspec

from gateway.smpp import vocabulary as v
from gateway.upstream.terms import Address, Terms

SYSTEM_ID_CHARS_MAX = 15
SYSTEM_ID_RULE = f"1 to {SYSTEM_ID_CHARS_MAX} visible ASCII characters"
PASSWORD_CHARS_MAX = 64

FORGET_S = 300.0
"""An address without a wrong password for so long starts afresh."""
ADDRESSES_MAX = 10_000
"""Addresses remembered, about 2 MB; beyond it the one that has been quiet longest is forgotten."""


class Reason(enum.StrEnum):
    """Why a bind is refused, for the log and the counter."""

    SYSTEM_ID = "system_id"
    """It can't be one: empty, too long, or not printable."""
    CREDENTIALS = "credentials"
    INACTIVE = "inactive"
    ADDRESS = "address"
    CERTIFICATE = "certificate"
    """It is another one's certificate."""
    TOO_MANY = "too_many"
    HURRIED = "hurried"
    """So many guesses came from its address that nobody looks at this one."""
    BUSY = "busy"
    """So many passwords wait to be compared that nobody looks at this one."""
    STOPPING = "stopping"


STATUS_OF_REASON = {
    Reason.SYSTEM_ID: v.ESME_RINVSYSID,
    Reason.CREDENTIALS: v.ESME_RINVPASWD,
    Reason.INACTIVE: v.ESME_RBINDFAIL,
    Reason.ADDRESS: v.ESME_RBINDFAIL,
    Reason.CERTIFICATE: v.ESME_RBINDFAIL,
    Reason.TOO_MANY: v.ESME_RBINDFAIL,
    Reason.HURRIED: v.ESME_RBINDFAIL,
    Reason.BUSY: v.ESME_RSYSERR,
    Reason.STOPPING: v.ESME_RSYSERR,
}


class Admitted(msgspec.Struct, frozen=True):
    """It may bind, under these terms."""

    terms: Terms


class Refused(msgspec.Struct, frozen=True):
    """It may not."""

    reason: Reason

    @property
    def status(self) -> int:
        return STATUS_OF_REASON[self.reason]


def is_system_id(raw: str) -> bool:
    """Say whether anybody could be called that."""
    return 0 < len(raw) <= SYSTEM_ID_CHARS_MAX and raw.isascii() and raw.isprintable()


def judge_bind(
    terms: Terms | None,
    password_right: bool,
    address: Address,
    bound: int,
    certificate_names: Container[str] | None = None,
) -> Admitted | Refused:
    """Decide about one bind; `terms` is None for an unknown system_id, `bound` counts the
    account's present binds, `certificate_names` are its certificate's where that has to name the
    system_id. Only who knows the password learns what else is in the way."""
    if terms is None or not password_right:
        return Refused(Reason.CREDENTIALS)
    if not terms.account.active:
        return Refused(Reason.INACTIVE)
    if not terms.admits(address):
        return Refused(Reason.ADDRESS)
    if certificate_names is not None and terms.system_id not in certificate_names:
        return Refused(Reason.CERTIFICATE)
    if bound >= terms.binds_max:
        return Refused(Reason.TOO_MANY)
    return Admitted(terms)


def may_stay(terms: Terms | None, since: Terms, address: Address) -> bool:
    """Say whether a bind that was admitted under `since` would be admitted under `terms` too."""
    return (
        terms is not None
        and terms.account.active
        and terms.system_id == since.system_id
        and terms.password_hash == since.password_hash
        and terms.admits(address)
    )


@dataclass(slots=True)
class _Record:
    """What is remembered of an address that came with wrong credentials."""

    failures: int
    failed_at: float
    next_at: float


class LoginPace:
    """When the credentials of an address are looked at: at once, until some were wrong.

    After the first wrong one every look costs a wait, which doubles with each further one. Looks
    at one address take turns, so that many connections guess no faster than one.
    """

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._records: dict[bytes, _Record] = {}

    def take(self, address: Address, now: float) -> float | None:
        """Return when to look at the next credentials; None when too many others wait already."""
        slot = _slot_of(address)
        record = self._records.get(slot)
        if record is None:
            return now
        if now - record.failed_at > FORGET_S:
            del self._records[slot]
            return now
        at = max(now, record.next_at)
        if at - now > self._max_s:
            return None
        record.next_at = at + self._wait_s(record)
        return at

    def failed(self, address: Address, now: float) -> None:
        """Count wrong credentials."""
        slot = _slot_of(address)
        record = self._records.pop(slot, None)
        if record is None:
            record = _Record(0, now, now)
            if len(self._records) >= ADDRESSES_MAX:
                del self._records[next(iter(self._records))]
        record.failures += 1
        record.failed_at = now
        record.next_at = max(record.next_at, now + self._wait_s(record))
        self._records[slot] = record  # at the end: the dictionary's order is the order of age

    def _wait_s(self, record: _Record) -> float:
        doublings = min(record.failures - 1, 30)
        return min(self._max_s, self._first_s * 2.0**doublings)


def _slot_of(address: Address) -> bytes:
    """Return what counts as one address: an IPv6 customer holds a whole /64."""
    return address.packed if address.version == 4 else address.packed[:8]
