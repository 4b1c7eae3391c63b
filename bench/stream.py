"""What the gateway sends, cut into PDUs: for the simulated carrier and for the SMPP load.

The gateway has a framer of its own; this one shares no code with it, or a mistake in one would
hide in the other. A damaged length ends the stream: nothing after it can be trusted.
"""

from __future__ import annotations

import struct
from typing import Final

HEADER_SIZE: Final = 16
PDU_BYTES_MAX: Final = 65_536
"""A message_payload of 64 KiB less the other fields."""

HEADER: Final = struct.Struct(">IIII")
"""command_length, command_id, command_status, sequence_number (SMPP 3.4 §3.2)."""
_read_header: Final = HEADER.unpack_from


class Stream:
    """Cuts what is received; keeps at most one unfinished PDU."""

    __slots__ = ("_rest", "broken_at")

    def __init__(self) -> None:
        self._rest = b""
        self.broken_at: int | None = None
        """The sequence_number of the PDU whose length can't be true."""

    def cut(self, data: bytes) -> list[tuple[int, int, int, bytes]]:
        """Return the PDUs that `data` completes, in order: command_id, command_status,
        sequence_number and all octets; look at `broken_at` afterwards."""
        if self.broken_at is not None:
            return []
        if self._rest:
            data = self._rest + data
        pdus = []
        at, size = 0, len(data)
        while at + HEADER_SIZE <= size:
            length, command_id, status, sequence = _read_header(data, at)
            if not HEADER_SIZE <= length <= PDU_BYTES_MAX:
                self.broken_at = sequence
                break
            end = at + length
            if end > size:
                break
            pdus.append((command_id, status, sequence, data[at:end]))
            at = end
        self._rest = data[at:]
        return pdus
