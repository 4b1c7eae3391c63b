"""What one account's SMPP contract says: who may bind, from where, how fast, in which forms.

Values only. Where they are kept is `gateway/store/smpp_accounts.py`'s.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec

from gateway.model import Account, Lane
from gateway.text.style import DefaultAlphabet
from gateway.upstream.ids import IdForm

WINDOW_SIZE_MAX = 10_000
"""Unanswered requests a bind: a second's worth of everything that one node can take."""

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """One account's terms; ceilings of 0 are none."""

    account: Account
    system_id: str
    password_hash: str
    networks: tuple[Network, ...] = ()
    """Where it may bind from; empty: from anywhere."""
    binds_max: int = 4
    window_size: int = 100
    """Unanswered requests a bind, in each direction."""
    rate_per_s: float = 0.0
    """Messages a second over all binds."""
    queue_max: int = 0
    """Messages that may wait here to be sent on."""
    id_form: IdForm = IdForm.DECIMAL
    zone: tzinfo = UTC
    """Whose clock the dates in receipts show."""
    alphabet: DefaultAlphabet = DefaultAlphabet.GSM7
    """What data_coding 0 means."""
    ia5_alphabet: DefaultAlphabet = DefaultAlphabet.ASCII
    """What data_coding 1 means: by SMPP 3.4 §5.2.19 IA5, which not everybody goes by."""
    lane: Lane = Lane.TRANSACTIONAL
    """Where priority_flag 0 goes."""

    def __repr__(self) -> str:
        # Ends up in logs and tracebacks; what is left of the password must not.
        return f"Terms({self.system_id!r} of account {self.account.id})"

    def admits(self, address: Address) -> bool:
        """Say whether a bind from this address is allowed."""
        return not self.networks or any(address in network for network in self.networks)
