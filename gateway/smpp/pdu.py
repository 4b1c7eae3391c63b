"""PDUs to bytes and back: any of them by its specification, the hot ones by hand.

Lenient in what is read (passwords of any length, answers without a body, a last string without
its NUL, TLVs of any tag), strict in what is sent. Where PDUs begin and end is `framing.py`'s; what
may be sent when is `protocol.py`'s; what a short_message says is not read at all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import InvalidField, MalformedPdu
from gateway.smpp.specification import (
    ADDRESS_SIZE,
    MESSAGE_ID_SIZE,
    PDUS,
    SERVICE_TYPE_SIZE,
    SHORT_MESSAGE_SIZE,
    TIME_SIZE,
    TLVS,
    Field,
    Kind,
    tlv_name,
)

HEADER_SIZE: Final = 16
_HEADER: Final = struct.Struct(">IIII")
_TLV_HEADER: Final = struct.Struct(">HH")
_TEXT: Final = "latin-1"
"""C-octet strings are ASCII; Latin-1 reads every octet that peers send instead."""

NO_TLVS: Final[Mapping[int, bytes]] = MappingProxyType({})
"""Shared by every PDU without optional parameters."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One whole PDU as cut out of the stream: its header's numbers and its body unread."""

    command_id: int
    status: int
    sequence: int
    body: bytes


# ── any PDU, by its specification ────────────────────────────────────────────────────────────


class SmeAddress(msgspec.Struct, frozen=True):
    """One of submit_multi's destinations (dest_flag 1)."""

    ton: int
    npi: int
    address: str


class DistributionList(msgspec.Struct, frozen=True):
    """One of submit_multi's destinations (dest_flag 2)."""

    name: str


class UnsuccessfulSme(msgspec.Struct, frozen=True):
    """One destination that submit_multi_resp reports as refused."""

    ton: int
    npi: int
    address: str
    status: int


Value = int | str | bytes | tuple[SmeAddress | DistributionList | UnsuccessfulSme, ...]


class Pdu(msgspec.Struct, frozen=True):
    """Any PDU. `fields` by name as in the specification, `tlvs` in the order of the wire.

    An unknown command keeps its `body` as it came and has no fields.
    """

    command_id: int
    sequence: int = 0
    status: int = 0
    fields: Mapping[str, Value] = {}
    tlvs: tuple[tuple[int, bytes], ...] = ()
    body: bytes = b""

    def text(self, name: str) -> str:
        """Return a text field, "" when the PDU came without it."""
        value = self.fields.get(name, "")
        assert isinstance(value, str), f"{name} is not text"
        return value

    def number(self, name: str) -> int:
        """Return an integer field, 0 when the PDU came without it."""
        value = self.fields.get(name, 0)
        assert isinstance(value, int), f"{name} is not an integer"
        return value

    def tlv(self, tag: int) -> bytes | None:
        """Return the last value of a TLV, None when the PDU has none."""
        return dict(self.tlvs).get(tag)


def decode(frame: Frame) -> Pdu:
    """Read any PDU; raises MalformedPdu.

    A response's optional part is never a reason to refuse it: what is damaged is left out.
    """
    command_id, body = frame.command_id, frame.body
    specification = PDUS.get(command_id)
    if specification is None:
        return Pdu(command_id, frame.sequence, frame.status, {}, (), body)
    response = command_id >= v.RESPONSE
    if response and not body:
        return Pdu(command_id, frame.sequence, frame.status)
    reader = _Reader(body)
    fields = {
        field.name: reader.read(field, last=field is specification[-1]) for field in specification
    }
    tlvs = _decode_tlvs(body, reader.at, lenient=response)
    return Pdu(command_id, frame.sequence, frame.status, fields, tlvs)


def encode(pdu: Pdu) -> bytes:
    """Write any PDU, header included; raises InvalidField. Fields left out are 0 or empty."""
    specification = PDUS.get(pdu.command_id)
    if specification is None:
        body = pdu.body
    elif pdu.status and not pdu.fields and pdu.command_id >= v.RESPONSE:
        body = b""  # §4.4.2 and others: no body when the status is not zero
    else:
        unknown = pdu.fields.keys() - {field.name for field in specification}
        if unknown:
            raise InvalidField(min(unknown), f"{v.command_name(pdu.command_id)} has no such field")
        body = b"".join(_encode_field(field, pdu.fields.get(field.name)) for field in specification)
        body += encode_tlvs(pdu.tlvs)
    return encode_header(pdu.command_id, pdu.sequence, pdu.status, len(body)) + body


def encode_header(command_id: int, sequence: int, status: int = 0, body_size: int = 0) -> bytes:
    """Write a header, which is the whole of enquire_link, unbind, generic_nack and the like."""
    return _HEADER.pack(HEADER_SIZE + body_size, command_id, status, sequence)


class _Reader:
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
        text = self.body[self.at : end].decode(_TEXT)
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


def _encode_field(field: Field, value: Value | None) -> bytes:
    match field.kind, value:
        case Kind.INTEGER, int() | None:
            return _encode_integer(field.name, value or 0, field.size)
        case Kind.TEXT, str() | None:
            return _encode_text(field.name, value or "", field.size)
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
    match entry:
        case SmeAddress(ton, npi, address):
            return b"\x01" + _encode_address("dest_addr", "destination_addr", ton, npi, address)
        case DistributionList(name):
            return b"\x02" + _encode_text("dl_name", name, ADDRESS_SIZE)
        case UnsuccessfulSme(ton, npi, address, status):
            return _encode_address(
                "dest_addr", "destination_addr", ton, npi, address
            ) + _encode_integer("error_status_code", status, 4)


def _encode_integer(name: str, value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise InvalidField(name, f"{value} does not fit {size} octets") from None


def _encode_text(name: str, value: str, size: int) -> bytes:
    """Write a C-octet string whose octets, its NUL included, are at most `size`."""
    if len(value) >= size:
        raise InvalidField(name, f"{len(value)} characters, {size - 1} at most")
    if "\0" in value:
        raise InvalidField(name, "has a NUL inside")
    try:
        return value.encode(_TEXT) + b"\0"
    except UnicodeEncodeError:
        raise InvalidField(name, "has a character outside Latin-1") from None


def _encode_counted(name: str, value: bytes, size: int) -> bytes:
    if len(value) > size:
        raise InvalidField(name, f"{len(value)} octets, {size} at most")
    return bytes((len(value),)) + value


def _encode_address(prefix: str, name: str, ton: int, npi: int, address: str) -> bytes:
    return (
        _encode_integer(f"{prefix}_ton", ton, 1)
        + _encode_integer(f"{prefix}_npi", npi, 1)
        + _encode_text(name, address, ADDRESS_SIZE)
    )


# ── TLVs ─────────────────────────────────────────────────────────────────────────────────────


def encode_tlvs(tlvs: Iterable[tuple[int, bytes]]) -> bytes:
    """Write optional parameters in the order given; raises InvalidField."""
    parts = []
    for tag, value in tlvs:
        if not 0 <= tag <= 0xFFFF:
            raise InvalidField("tag", f"{tag} does not fit 2 octets")
        if len(value) > 0xFFFF:
            raise InvalidField(tlv_name(tag), f"{len(value)} octets, 65535 at most")
        parts.append(_TLV_HEADER.pack(tag, len(value)) + value)
    return b"".join(parts)


def encode_tlv_value(tag: int, value: int | str | bytes) -> bytes:
    """Write one TLV's value in the form that the specification gives its tag."""
    known = TLVS.get(tag)
    match value:
        case bytes():
            return value
        case str() if known and known.kind is Kind.TEXT:
            return _encode_text(known.name, value, known.size)
        case int() if known and known.kind is Kind.INTEGER:
            return _encode_integer(known.name, value, known.size)
    raise InvalidField(tlv_name(tag), f"{type(value).__name__} is not what this TLV holds")


def decode_tlv_value(tag: int, value: bytes) -> int | str | bytes:
    """Read one TLV's value in the form that the specification gives its tag.

    Integers are read at any width and texts with or without their NUL: peers vary.
    """
    known = TLVS.get(tag)
    if known is None or known.kind is Kind.OCTETS:
        return value
    if known.kind is Kind.INTEGER:
        return int.from_bytes(value, "big")
    return value.partition(b"\0")[0].decode(_TEXT)


def _decode_tlvs(body: bytes, at: int, *, lenient: bool) -> tuple[tuple[int, bytes], ...]:
    """Read the optional part of a body from `at` on.

    Less than a TLV's header of NULs at the end is padding that some peers send.
    """
    tlvs: list[tuple[int, bytes]] = []
    end = len(body)
    while at + 4 <= end:
        tag, size = _TLV_HEADER.unpack_from(body, at)
        at += 4 + size
        if at > end:
            if lenient:
                return tuple(tlvs)
            raise MalformedPdu(f"the PDU ends within {tlv_name(tag)}", v.ESME_RINVOPTPARSTREAM)
        tlvs.append((tag, body[at - size : at]))
    if not lenient and body[at:].strip(b"\0"):
        raise MalformedPdu("octets behind the last TLV", v.ESME_RINVOPTPARSTREAM)
    return tuple(tlvs)


# ── the hot PDUs, by hand ────────────────────────────────────────────────────────────────────


class ShortMessage(msgspec.Struct, frozen=True, gc=False):
    """The fields that submit_sm and deliver_sm share (SMPP 3.4 §4.4.1, §4.6.1), in their order.

    A `short_message` of more than 254 octets travels as the TLV message_payload.
    """

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: Mapping[int, bytes] = NO_TLVS

    @property
    def content(self) -> bytes:
        """The user data: short_message, or message_payload when that is empty."""
        return self.short_message or self.tlvs.get(v.TAG_MESSAGE_PAYLOAD, b"")


class SubmitSm(ShortMessage, frozen=True, gc=False):
    """A message on its way to a handset."""


class DeliverSm(ShortMessage, frozen=True, gc=False):
    """A message from a handset, or a receipt."""


class SubmitSmResp(msgspec.Struct, frozen=True, gc=False):
    """The carrier's answer; `message_id` is "" when it refused."""

    message_id: str
    tlvs: Mapping[int, bytes] = NO_TLVS


_M = TypeVar("_M", bound=ShortMessage)


def decode_submit_sm(body: bytes) -> SubmitSm:
    """Read a submit_sm's body; raises MalformedPdu. Of a repeated TLV the last is kept."""
    return _decode_short_message(SubmitSm, body)


def decode_deliver_sm(body: bytes) -> DeliverSm:
    """Read a deliver_sm's body; raises MalformedPdu. Of a repeated TLV the last is kept."""
    return _decode_short_message(DeliverSm, body)


def _decode_short_message(kind: type[_M], body: bytes) -> _M:
    # Straight-line because this is every receipt; see bench/codec.py. `index` raises ValueError
    # where a string has no end, subscripts raise IndexError where the body ends too early.
    try:
        at = body.index(0)
        service_type = body[:at].decode(_TEXT) if at else ""
        source_addr_ton = body[at + 1]
        source_addr_npi = body[at + 2]
        end = body.index(0, at + 3)
        source_addr = body[at + 3 : end].decode(_TEXT)
        dest_addr_ton = body[end + 1]
        dest_addr_npi = body[end + 2]
        at = body.index(0, end + 3)
        destination_addr = body[end + 3 : at].decode(_TEXT)
        esm_class = body[at + 1]
        protocol_id = body[at + 2]
        priority_flag = body[at + 3]
        at += 4
        end = body.index(0, at)
        schedule_delivery_time = body[at:end].decode(_TEXT) if end > at else ""
        at = end + 1
        end = body.index(0, at)
        validity_period = body[at:end].decode(_TEXT) if end > at else ""
        registered_delivery = body[end + 1]
        replace_if_present_flag = body[end + 2]
        data_coding = body[end + 3]
        sm_default_msg_id = body[end + 4]
        at = end + 6
        end = at + body[end + 5]
    except (ValueError, IndexError):
        raise MalformedPdu("the PDU ends within its mandatory fields") from None
    if end > len(body):
        raise MalformedPdu("the PDU ends within short_message", v.ESME_RINVMSGLEN)
    return kind(
        service_type,
        source_addr_ton,
        source_addr_npi,
        source_addr,
        dest_addr_ton,
        dest_addr_npi,
        destination_addr,
        esm_class,
        protocol_id,
        priority_flag,
        schedule_delivery_time,
        validity_period,
        registered_delivery,
        replace_if_present_flag,
        data_coding,
        sm_default_msg_id,
        body[at:end],
        dict(_decode_tlvs(body, end, lenient=False)) if end < len(body) else NO_TLVS,
    )


def encode_submit_sm(sequence: int, submit: SubmitSm) -> bytes:
    """Write a submit_sm, header included; raises InvalidField."""
    body = encode_short_message(submit)
    return encode_header(v.SUBMIT_SM, sequence, 0, len(body)) + body


def encode_deliver_sm(sequence: int, deliver: DeliverSm) -> bytes:
    """Write a deliver_sm, header included; raises InvalidField."""
    body = encode_short_message(deliver)
    return encode_header(v.DELIVER_SM, sequence, 0, len(body)) + body


def encode_short_message(message: ShortMessage) -> bytes:
    """Write the body of a submit_sm or deliver_sm; raises InvalidField."""
    return _encode_short_message(
        message.service_type,
        message.source_addr_ton,
        message.source_addr_npi,
        message.source_addr,
        message.dest_addr_ton,
        message.dest_addr_npi,
        message.destination_addr,
        message.esm_class,
        message.protocol_id,
        message.priority_flag,
        message.schedule_delivery_time,
        message.validity_period,
        message.registered_delivery,
        message.replace_if_present_flag,
        message.data_coding,
        message.sm_default_msg_id,
        message.short_message,
        message.tlvs,
    )


class SubmitTemplate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The fields that a carrier's contract fixes; `body` writes the others around them."""

    service_type: str = ""
    dest_addr_ton: int = 1
    dest_addr_npi: int = 1
    protocol_id: int = 0
    replace_if_present_flag: int = 0
    sm_default_msg_id: int = 0

    def body(
        self,
        source_addr_ton: int,
        source_addr_npi: int,
        source_addr: str,
        destination_addr: str,
        short_message: bytes,
        *,
        esm_class: int = 0,
        priority_flag: int = 0,
        schedule_delivery_time: str = "",
        validity_period: str = "",
        registered_delivery: int = v.RECEIPT_ALWAYS,
        data_coding: int = 0,
        tlvs: Mapping[int, bytes] = NO_TLVS,
    ) -> bytes:
        """Write a submit_sm's body; raises InvalidField.

        The header is the session's to add, because only it knows the sequence_number.
        """
        return _encode_short_message(
            self.service_type,
            source_addr_ton,
            source_addr_npi,
            source_addr,
            self.dest_addr_ton,
            self.dest_addr_npi,
            destination_addr,
            esm_class,
            self.protocol_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            registered_delivery,
            self.replace_if_present_flag,
            data_coding,
            self.sm_default_msg_id,
            short_message,
            tlvs,
        )


def _encode_short_message(
    service_type: str,
    source_addr_ton: int,
    source_addr_npi: int,
    source_addr: str,
    dest_addr_ton: int,
    dest_addr_npi: int,
    destination_addr: str,
    esm_class: int,
    protocol_id: int,
    priority_flag: int,
    schedule_delivery_time: str,
    validity_period: str,
    registered_delivery: int,
    replace_if_present_flag: int,
    data_coding: int,
    sm_default_msg_id: int,
    short_message: bytes,
    tlvs: Mapping[int, bytes],
) -> bytes:
    # One % is the cheapest way that was measured (1.1 us against 1.25 for a join of parts), and
    # %c and the length checks refuse everything that does not fit; what it was is named later.
    size = len(short_message)
    if size > SHORT_MESSAGE_SIZE or tlvs:
        optional = _encode_optional(short_message, tlvs)
        if size > SHORT_MESSAGE_SIZE:
            size, short_message = 0, optional
        else:
            short_message += optional
    try:
        if (
            len(source_addr) < ADDRESS_SIZE
            and len(destination_addr) < ADDRESS_SIZE
            and "\0" not in source_addr
            and "\0" not in destination_addr
            and (not service_type or _is_text(service_type, SERVICE_TYPE_SIZE))
            and (not schedule_delivery_time or _is_text(schedule_delivery_time, TIME_SIZE))
            and (not validity_period or _is_text(validity_period, TIME_SIZE))
        ):
            return b"%b\0%c%c%b\0%c%c%b\0%c%c%c%b\0%b\0%c%c%c%c%c%b" % (
                service_type.encode(_TEXT),
                source_addr_ton,
                source_addr_npi,
                source_addr.encode(_TEXT),
                dest_addr_ton,
                dest_addr_npi,
                destination_addr.encode(_TEXT),
                esm_class,
                protocol_id,
                priority_flag,
                schedule_delivery_time.encode(_TEXT),
                validity_period.encode(_TEXT),
                registered_delivery,
                replace_if_present_flag,
                data_coding,
                sm_default_msg_id,
                size,
                short_message,
            )
    except (UnicodeEncodeError, OverflowError):
        pass
    values: dict[str, Value] = {
        "service_type": service_type,
        "source_addr_ton": source_addr_ton,
        "source_addr_npi": source_addr_npi,
        "source_addr": source_addr,
        "dest_addr_ton": dest_addr_ton,
        "dest_addr_npi": dest_addr_npi,
        "destination_addr": destination_addr,
        "esm_class": esm_class,
        "protocol_id": protocol_id,
        "priority_flag": priority_flag,
        "schedule_delivery_time": schedule_delivery_time,
        "validity_period": validity_period,
        "registered_delivery": registered_delivery,
        "replace_if_present_flag": replace_if_present_flag,
        "data_coding": data_coding,
        "sm_default_msg_id": sm_default_msg_id,
    }
    for field in PDUS[v.SUBMIT_SM][:-1]:
        _encode_field(field, values[field.name])
    raise AssertionError("the short way refused what the specification allows")


def _is_text(value: str, size: int) -> bool:
    return len(value) < size and "\0" not in value


def _encode_optional(short_message: bytes, tlvs: Mapping[int, bytes]) -> bytes:
    """Write the TLVs, with message_payload among them for what is too long for short_message."""
    if short_message and v.TAG_MESSAGE_PAYLOAD in tlvs:
        raise InvalidField("message_payload", "stands beside a short_message (SMPP 3.4 §4.4.1)")
    if len(short_message) > SHORT_MESSAGE_SIZE:
        return encode_tlvs(((v.TAG_MESSAGE_PAYLOAD, short_message), *tlvs.items()))
    return encode_tlvs(tlvs.items())


def encode_submit_sm_resp(
    sequence: int, status: int, message_id: str = "", tlvs: Mapping[int, bytes] = NO_TLVS
) -> bytes:
    """Write a submit_sm_resp; raises InvalidField. A refusal has no body (SMPP 3.4 §4.4.2)."""
    if status:
        return _HEADER.pack(HEADER_SIZE, v.SUBMIT_SM_RESP, status, sequence)
    body = _encode_text("message_id", message_id, MESSAGE_ID_SIZE)
    if tlvs:
        body += encode_tlvs(tlvs.items())
    return _HEADER.pack(HEADER_SIZE + len(body), v.SUBMIT_SM_RESP, 0, sequence) + body


def decode_submit_sm_resp(body: bytes) -> SubmitSmResp:
    """Read a submit_sm_resp's body; never raises.

    The carrier has decided by then, so whatever can be read of its answer is taken: no body is
    no message_id, a message_id may lack its NUL, and damaged TLVs are left out.
    """
    end = body.find(0)
    if end < 0:
        return SubmitSmResp(body.decode(_TEXT))
    message_id = body[:end].decode(_TEXT)
    end += 1
    if end == len(body):
        return SubmitSmResp(message_id)
    return SubmitSmResp(message_id, dict(_decode_tlvs(body, end, lenient=True)) or NO_TLVS)


def encode_deliver_sm_resp(sequence: int, status: int = 0) -> bytes:
    """Write a deliver_sm_resp. Its message_id is unused and NUL (SMPP 3.4 §4.6.2)."""
    return _HEADER.pack(HEADER_SIZE + 1, v.DELIVER_SM_RESP, status, sequence) + b"\0"
