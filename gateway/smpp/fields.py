"""The fields of a PDU's mandatory part, read and written by their kind.

Which fields a PDU has is `specification.py`'s; whole PDUs and TLVs are `pdu.py`'s.
"""

from __future__ import annotations

from typing import Final

from gateway.record import Record
from gateway.smpp import vocabulary as v
from gateway.smpp.errors import InvalidField, MalformedPdu
from gateway.smpp.specification import ADDRESS_SIZE, Field, Kind

TEXT_ENCODING: Final = "latin-1"
"""C-octet strings are ASCII; Latin-1 reads every octet that peers send instead."""


class SmeAddress(Record):
    """One of submit_multi's destinations (dest_flag 1)."""

    __slots__ = ("address", "npi", "ton")

    def __init__(self, ton: int, npi: int, address: str) -> None:
        self.ton: Final = ton
        self.npi: Final = npi
        self.address: Final = address


class DistributionList(Record):
    """One of submit_multi's destinations (dest_flag 2)."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: Final = name


class UnsuccessfulSme(Record):
    """One destination that submit_multi_resp reports as refused."""

    __slots__ = ("address", "npi", "status", "ton")

    def __init__(self, ton: int, npi: int, address: str, status: int) -> None:
        self.ton: Final = ton
        self.npi: Final = npi
        self.address: Final = address
        self.status: Final = status


Value = int | str | bytes | tuple[SmeAddress | DistributionList | UnsuccessfulSme, ...]


class Reader:
    """A place in a body that moves on as fields are read."""

    __slots__ = ("at", "body")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def read(self, field: Field, *, last: bool) -> Value:
        match field.kind:
            case Kind.INTEGER:
                return self.integer(field.name, field.size)
            case Kind.TEXT:
                return self.text(field.name, last=last)
            case Kind.OCTETS:
                size = self.integer(field.name, 1)
                return self.octets(field.name, size, v.ESME_RINVMSGLEN)
            case Kind.DESTINATIONS:
                return tuple(self.destination() for _ in range(self.integer(field.name, 1)))
            case Kind.FAILURES:
                return tuple(self.failure() for _ in range(self.integer(field.name, 1)))

    def octets(self, name: str, size: int, status: int = v.ESME_RINVCMDLEN) -> bytes:
        end = self.at + size
        if end > len(self.body):
            raise MalformedPdu(f"the PDU ends within {name}", status)
        octets = self.body[self.at : end]
        self.at = end
        return octets

    def integer(self, name: str, size: int) -> int:
        return int.from_bytes(self.octets(name, size), "big")

    def text(self, name: str, *, last: bool = False) -> str:
        end = self.body.find(0, self.at)
        if end < 0:
            if not last:
                raise MalformedPdu(f"the PDU ends within {name}")
            end = len(self.body)
        text = self.body[self.at : end].decode(TEXT_ENCODING)
        self.at = end + 1
        return text

    def address(self) -> SmeAddress:
        ton, npi = self.octets("dest_addr_ton", 2)
        return SmeAddress(ton, npi, self.text("destination_addr"))

    def destination(self) -> SmeAddress | DistributionList:
        match self.integer("dest_flag", 1):
            case 1:
                return self.address()
            case 2:
                return DistributionList(self.text("dl_name"))
            case flag:
                raise MalformedPdu(f"dest_flag is {flag}", v.ESME_RINVDESTFLAG)

    def failure(self) -> UnsuccessfulSme:
        address = self.address()
        status = self.integer("error_status_code", 4)
        return UnsuccessfulSme(address.ton, address.npi, address.address, status)


def encode_field(field: Field, value: Value | None) -> bytes:
    match field.kind, value:
        case Kind.INTEGER, int() | None:
            return encode_integer(field.name, value or 0, field.size)
        case Kind.TEXT, str() | None:
            return encode_text(field.name, value or "", field.size)
        case Kind.OCTETS, bytes() | None:
            return _encode_counted(field.name, value or b"", field.size)
        case ((Kind.DESTINATIONS | Kind.FAILURES), tuple()):
            if not len(value) <= field.size:
                raise InvalidField(field.name, f"{len(value)} entries, {field.size} at most")
            return bytes((len(value),)) + b"".join(map(_encode_entry, value))
        case Kind.FAILURES, None:
            return b"\0"
    raise InvalidField(field.name, f"{type(value).__name__} is not what this field holds")


def _encode_entry(entry: SmeAddress | DistributionList | UnsuccessfulSme) -> bytes:
    if isinstance(entry, DistributionList):
        return b"\x02" + encode_text("dl_name", entry.name, ADDRESS_SIZE)
    address = _encode_address("dest_addr", "destination_addr", entry.ton, entry.npi, entry.address)
    if isinstance(entry, SmeAddress):
        return b"\x01" + address
    return address + encode_integer("error_status_code", entry.status, 4)


def encode_integer(name: str, value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise InvalidField(name, f"{value} does not fit {size} octets") from None


def encode_text(name: str, value: str, size: int) -> bytes:
    """Write a C-octet string whose octets, its NUL included, are at most `size`."""
    if len(value) >= size:
        raise InvalidField(name, f"{len(value)} characters, {size - 1} at most")
    if "\0" in value:
        raise InvalidField(name, "has a NUL inside")
    try:
        return value.encode(TEXT_ENCODING) + b"\0"
    except UnicodeEncodeError:
        raise InvalidField(name, "has a character outside Latin-1") from None


def _encode_counted(name: str, value: bytes, size: int) -> bytes:
    if len(value) > size:
        raise InvalidField(name, f"{len(value)} octets, {size} at most")
    return bytes((len(value),)) + value


def _encode_address(prefix: str, name: str, ton: int, npi: int, address: str) -> bytes:
    return (
        encode_integer(f"{prefix}_ton", ton, 1)
        + encode_integer(f"{prefix}_npi", npi, 1)
        + encode_text(name, address, ADDRESS_SIZE)
    )
