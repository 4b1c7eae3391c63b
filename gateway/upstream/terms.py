"""What one account's SMPP contract says: who may bind, from where, how fast, in which forms.

Values only. Where they are kept is `gateway/store/smpp_accounts.py`'s.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from gateway.model import Account, Lane
from gateway.record import Record
from gateway.text.style import DefaultAlphabet
from gateway.upstream.ids import IdForm

WINDOW_SIZE_MAX = 10_000
"""Unanswered requests a bind: a second's worth of everything that one node can take."""

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class Terms(Record):
    """One account's terms; ceilings of 0 are none."""

    __slots__ = (
        "account",
        "alphabet",
        "binds_max",
        "ia5_alphabet",
        "id_form",
        "lane",
        "networks",
        "password_hash",
        "queue_max",
        "rate_per_s",
        "system_id",
        "window_size",
        "zone",
    )

    def __init__(
        self,
        *,
        account: Account,
        system_id: str,
        password_hash: str,
        networks: tuple[Network, ...] = (),
        binds_max: int = 4,
        window_size: int = 100,
        rate_per_s: float = 0.0,
        queue_max: int = 0,
        id_form: IdForm = IdForm.DECIMAL,
        zone: tzinfo = UTC,
        alphabet: DefaultAlphabet = DefaultAlphabet.GSM7,
        ia5_alphabet: DefaultAlphabet = DefaultAlphabet.ASCII,
        lane: Lane = Lane.TRANSACTIONAL,
    ) -> None:
        self.account: Final = account
        self.system_id: Final = system_id
        self.password_hash: Final = password_hash
        self.networks: Final = networks
        """Where it may bind from; empty: from anywhere."""
        self.binds_max: Final = binds_max
        self.window_size: Final = window_size
        """Unanswered requests a bind, in each direction."""
        self.rate_per_s: Final = rate_per_s
        """Messages a second over all binds."""
        self.queue_max: Final = queue_max
        """Messages that may wait here to be sent on."""
        self.id_form: Final = id_form
        self.zone: Final = zone
        """Whose clock the dates in receipts show."""
        self.alphabet: Final = alphabet
        """What data_coding 0 means."""
        self.ia5_alphabet: Final = ia5_alphabet
        """What data_coding 1 means: by SMPP 3.4 §5.2.19 IA5, which not everybody goes by."""
        self.lane: Final = lane
        """Where priority_flag 0 goes."""

    def __repr__(self) -> str:
        # Ends up in logs and tracebacks; what is left of the password must not.
        return f"Terms({self.system_id!r} of account {self.account.id})"

    def admits(self, address: Address) -> bool:
        """Say whether a bind from this address is allowed."""
        return not self.networks or any(address in network for network in self.networks)
