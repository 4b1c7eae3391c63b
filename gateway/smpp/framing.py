"""A stream of octets cut into PDUs.

Only the header is looked into here; what a PDU says is `pdu.py`'s. PDUs arrive split and merged
as TCP likes. A damaged length ends the stream: nothing after it can be trusted.
"""

from __future__ import annotations

import struct
from typing import Final

from gateway.smpp.errors import BrokenStream, LengthTooLarge, LengthTooSmall
from gateway.smpp.shapes import HEADER_SIZE, Frame

PDU_BYTES_MAX: Final = 65_536
"""The longest PDU that is read: a message_payload of 64 KiB less its fields, which is more than
255 segments; more is an attack or a lost beginning."""

_LENGTH_ID_SEQUENCE: Final = struct.Struct(">II4xI").unpack_from


class Framer:
    """Cuts what is received into frames; keeps at most one unfinished PDU."""

    __slots__ = ("_bytes_max", "_needed", "_partial", "failure")

    def __init__(self, bytes_max: int = PDU_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._partial = bytearray()
        self._needed = HEADER_SIZE
        self.failure: BrokenStream | None = None
        """Why the stream can't be read any further. The frames before it were whole."""

    @property
    def partial_bytes(self) -> int:
        """How much of an unfinished PDU is held."""
        return len(self._partial)

    def receive(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, in order; look at `failure` afterwards."""
        if self.failure is not None:
            return []
        partial = self._partial
        if partial:
            # Grown in place and copied once when whole: a long PDU in many small reads stays
            # linear.
            partial += data
            if len(partial) < self._needed:
                return []
            data = bytes(partial)
            partial.clear()
        frames: list[Frame] = []
        bytes_max = self._bytes_max
        at = 0
        size = len(data)
        self._needed = HEADER_SIZE
        while at + HEADER_SIZE <= size:
            length, command_id, sequence = _LENGTH_ID_SEQUENCE(data, at)
            if not HEADER_SIZE <= length <= bytes_max:
                self.failure = self._name_failure(length, sequence)
                return frames
            end = at + length
            if end > size:
                self._needed = length
                break
            frames.append(Frame(command_id, sequence, data[at:end]))
            at = end
        if at < size:
            partial += data[at:] if at else data
        return frames

    def _name_failure(self, length: int, sequence: int) -> BrokenStream:
        if length < HEADER_SIZE:
            return LengthTooSmall(f"command_length {length} is less than a header", sequence)
        return LengthTooLarge(
            f"command_length {length} is above the ceiling of {self._bytes_max}", sequence
        )
