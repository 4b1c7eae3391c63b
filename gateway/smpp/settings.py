"""What one bind to a carrier needs to know. Reading it from the file is `gateway/config.py`'s."""

from __future__ import annotations

import enum

import msgspec

from gateway.smpp import vocabulary as v
from gateway.smpp.timers import Timings


class BindMode(enum.StrEnum):
    """What a bind is for."""

    TRANSCEIVER = "transceiver"
    TRANSMITTER = "transmitter"
    RECEIVER = "receiver"

    @property
    def command_id(self) -> int:
        return _COMMANDS[self]


_COMMANDS = {
    BindMode.TRANSCEIVER: v.BIND_TRANSCEIVER,
    BindMode.TRANSMITTER: v.BIND_TRANSMITTER,
    BindMode.RECEIVER: v.BIND_RECEIVER,
}


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a lost or refused bind is tried again; the arithmetic is `backoff.py`'s."""

    first_s: float = 1.0
    max_s: float = 60.0
    slow_first_s: float = 60.0
    """After bad credentials, where hammering gets an account locked."""
    slow_max_s: float = 600.0
    stable_s: float = 30.0
    """A session that was bound for this long starts the row anew."""


class BindSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One bind's place, credentials and limits."""

    host: str
    port: int = 2775
    system_id: str
    password: str = ""
    system_type: str = ""
    mode: BindMode = BindMode.TRANSCEIVER
    interface_version: int = v.INTERFACE_VERSION_34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    window_size: int = 10
    timings: Timings = Timings()
    pace: Pace = Pace()
    connect_timeout_s: float = 10.0
    tls: str = ""
    """Tells one TLS context from another; empty: none."""
    tls_server_name: str = ""
    """The name to verify in the carrier's certificate; empty: the host's."""

    def __repr__(self) -> str:
        # Settings end up in logs and tracebacks; the password must not.
        return f"BindSettings({self.system_id!r} as {self.mode} at {self.host}:{self.port})"
