"""Who may send as whom to which country: allowed senders, other ones in their place, pools.

The most specific rule decides alone: one that names the recipient's country goes before one that
does not, and among those one that names the account. Without a rule every sender may be used.

Not here: what a sender is (`sender.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from gateway.errors import ConfigError
from gateway.model import AccountId
from gateway.routing.choice import Ring
from gateway.routing.numbers import Ineligible, Reason
from gateway.routing.sender import Sender, SenderKind


class SenderRule(msgspec.Struct, frozen=True, kw_only=True):
    """What senders may be used where, and what becomes of others."""

    name: str = ""
    countries: tuple[str, ...] = ()
    """ISO 3166 alpha-2, the recipient's; empty: all, and numbers that have none."""
    accounts: tuple[AccountId, ...] = ()
    """Empty: all."""
    kinds: tuple[SenderKind, ...] = ()
    """Empty: all."""
    senders: tuple[Sender, ...] = ()
    """Those that are registered; empty: any of the kinds."""
    rewrite: Mapping[str, Sender] = {}
    """Address → what is sent in its place, whether or not it is allowed."""
    pool: tuple[Sender, ...] = ()
    """One of these stands in for a sender that is not allowed, or that is missing: always the
    same one for a recipient. Empty: such a message is refused."""


class Ruled(msgspec.Struct, frozen=True, gc=False):
    """A sender that may be used, and why it is this one."""

    sender: Sender
    why: str


class SenderRules:
    """An immutable set of rules, built once. ConfigError names what can't be used."""

    __slots__ = ("_by_place", "_pools")

    def __init__(self, rules: Iterable[SenderRule]) -> None:
        self._by_place: dict[tuple[str, AccountId | None], SenderRule] = {}
        self._pools: dict[str, Ring] = {}
        for index, given in enumerate(rules):
            rule = msgspec.structs.replace(given, name=given.name or f"sender[{index}]")
            for country in rule.countries or ("",):
                for account_id in rule.accounts or (None,):
                    other = self._by_place.setdefault((country, account_id), rule)
                    if other is not rule:
                        raise ConfigError(
                            f"sender[{index}]",
                            f"{_written(country, account_id)} has a rule already: {other.name}",
                        )
            if rule.pool:
                self._pools[rule.name] = Ring([sender.address for sender in rule.pool])

    def __bool__(self) -> bool:
        """Say whether there is any rule at all."""
        return bool(self._by_place)

    def find(self, country: str, account_id: AccountId) -> SenderRule | None:
        """Return the rule that decides; None when there is none. About 0.3 µs."""
        for key in (country, "") if country else ("",):
            rule = self._by_place.get((key, account_id)) or self._by_place.get((key, None))
            if rule is not None:
                return rule
        return None

    def decide(
        self, sender: Sender | None, e164: str, country: str, account_id: AccountId
    ) -> Ruled | Ineligible:
        """Return the sender that a message to this number leaves with, or why there is none.

        None is a message that names no sender, of an account that has none of its own.
        """
        rule = self.find(country, account_id)
        if rule is None:
            return _MISSING if sender is None else Ruled(sender, "no rule")
        if sender is not None and sender.address in rule.rewrite:
            instead = rule.rewrite[sender.address]
            return Ruled(instead, f"{rule.name} writes {instead.address} for {sender.address}")
        refused = _MISSING if sender is None else _refuse(sender, rule, country)
        if sender is not None and refused is None:
            return Ruled(sender, f"{rule.name} allows it")
        assert refused is not None
        if not rule.pool:
            return refused
        address = self._pools[rule.name].pick(e164)
        picked = next(each for each in rule.pool if each.address == address)
        return Ruled(picked, f"{rule.name} takes it from its pool: {refused.detail}")


NO_RULES: Final = SenderRules(())

_MISSING: Final = Ineligible(
    Reason.SENDER_MISSING, "the message names no sender and the account has none of its own"
)


def _refuse(sender: Sender, rule: SenderRule, country: str) -> Ineligible | None:
    where = f"to {country}" if country else "to this number"
    if rule.kinds and sender.kind not in rule.kinds:
        allowed = " or ".join(kind.wire for kind in rule.kinds)
        return Ineligible(
            Reason.SENDER_KIND,
            f"a sender {where} is {allowed}, and {sender.address} is {sender.kind.wire}",
        )
    if rule.senders and sender not in rule.senders:
        return Ineligible(
            Reason.SENDER_NOT_REGISTERED, f"{sender.address} is not registered for messages {where}"
        )
    return None


def _written(country: str, account_id: AccountId | None) -> str:
    parts = (f"country {country}" if country else "", f"account {account_id}" if account_id else "")
    return ", ".join(filter(None, parts)) or "everybody"
