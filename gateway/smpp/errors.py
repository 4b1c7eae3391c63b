"""The errors of the SMPP room, split by who is to blame and by what happens next.

    SmppError
    ├── LocalError            ours: this call must not be made now, or not with this value
    │   ├── InvalidField      a value that does not fit its field; nothing was sent
    │   ├── IllegalSend       this PDU may not be sent in this state by this role
    │   └── WindowFull        as many submissions as the window allows are unanswered
    └── RemoteError           the peer's; `status` is the command_status that tells it so
        ├── MalformedPdu      recoverable: refuse this PDU and go on, its end is known
        └── BrokenStream      unrecoverable: where PDUs begin is not known any more; close
            ├── LengthTooSmall
            └── LengthTooLarge

A peer's answer that refuses something (throttled, bad credentials) is a value, not an error.
"""

from __future__ import annotations

from gateway.errors import GatewayError
from gateway.smpp import vocabulary as v


class SmppError(GatewayError):
    """The root of this room's errors."""


class LocalError(SmppError):
    """Our side asked for something that can't be done; no byte of it was sent."""


class InvalidField(LocalError):
    """A value can't be written into its field: `field` is its name in the specification."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class IllegalSend(LocalError):
    """This PDU may not be sent in this state by this role (SMPP 3.4 §2.3)."""


class WindowFull(LocalError):
    """The window has no room: wait for a response."""


class RemoteError(SmppError):
    """The peer sent what the specification does not allow."""

    status = v.ESME_RSYSERR


class MalformedPdu(RemoteError):
    """One PDU can't be read. Refuse it with `status` and go on with the next one."""

    def __init__(self, detail: str, status: int = v.ESME_RINVCMDLEN) -> None:
        super().__init__(detail)
        self.status = status


class BrokenStream(RemoteError):
    """The stream can't be cut into PDUs any more. Refuse with generic_nack and close."""

    status = v.ESME_RINVCMDLEN

    def __init__(self, detail: str, sequence: int = 0) -> None:
        super().__init__(detail)
        self.sequence = sequence
        """The sequence_number of the damaged PDU, 0 when even that can't be known."""


class LengthTooSmall(BrokenStream):
    """command_length is less than a header's own 16 octets."""


class LengthTooLarge(BrokenStream):
    """command_length is above the ceiling that this side reads."""
