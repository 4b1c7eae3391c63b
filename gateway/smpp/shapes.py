"""What PDUs are once they are read, and before they are written: values without octets' places.

Not here: octets (`pdu.py`), which fields a PDU has (`specification.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.record import Record
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import Value

HEADER_SIZE: Final = 16
NO_TLVS: Final[Mapping[int, bytes]] = MappingProxyType({})
"""Shared by every PDU without optional parameters."""


class Frame(Record):
    """One whole PDU as cut out of the stream, `octets` with its header. Of that only what every
    PDU needs is read: a status has a meaning in responses alone, and is read with them."""

    __slots__ = ("command_id", "octets", "sequence")

    def __init__(self, command_id: int, sequence: int, octets: bytes) -> None:
        self.command_id: Final = command_id
        self.sequence: Final = sequence
        self.octets: Final = octets

    @property
    def status(self) -> int:
        return int.from_bytes(self.octets[8:12], "big")

    @property
    def body(self) -> bytes:
        return self.octets[HEADER_SIZE:]


class Pdu(Record):
    """Any PDU. `fields` by name as in the specification, `tlvs` in the order of the wire.

    An unknown command keeps its `body` as it came and has no fields.
    """

    __slots__ = ("body", "command_id", "fields", "sequence", "status", "tlvs")

    def __init__(
        self,
        command_id: int,
        sequence: int = 0,
        status: int = 0,
        fields: Mapping[str, Value] | None = None,
        tlvs: tuple[tuple[int, bytes], ...] = (),
        body: bytes = b"",
    ) -> None:
        self.command_id: Final = command_id
        self.sequence: Final = sequence
        self.status: Final = status
        self.fields: Final[Mapping[str, Value]] = fields or {}
        self.tlvs: Final = tlvs
        self.body: Final = body

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


class ShortMessage(Record):
    """The fields that submit_sm and deliver_sm share (SMPP 3.4 §4.4.1, §4.6.1), in their order.

    A `short_message` of more than 254 octets travels as the TLV message_payload.
    """

    __slots__ = (
        "data_coding",
        "dest_addr_npi",
        "dest_addr_ton",
        "destination_addr",
        "esm_class",
        "priority_flag",
        "protocol_id",
        "registered_delivery",
        "replace_if_present_flag",
        "schedule_delivery_time",
        "service_type",
        "short_message",
        "sm_default_msg_id",
        "source_addr",
        "source_addr_npi",
        "source_addr_ton",
        "tlvs",
        "validity_period",
    )

    def __init__(
        self,
        service_type: str = "",
        source_addr_ton: int = 0,
        source_addr_npi: int = 0,
        source_addr: str = "",
        dest_addr_ton: int = 0,
        dest_addr_npi: int = 0,
        destination_addr: str = "",
        esm_class: int = 0,
        protocol_id: int = 0,
        priority_flag: int = 0,
        schedule_delivery_time: str = "",
        validity_period: str = "",
        registered_delivery: int = 0,
        replace_if_present_flag: int = 0,
        data_coding: int = 0,
        sm_default_msg_id: int = 0,
        short_message: bytes = b"",
        tlvs: Mapping[int, bytes] = NO_TLVS,
    ) -> None:
        self.service_type: Final = service_type
        self.source_addr_ton: Final = source_addr_ton
        self.source_addr_npi: Final = source_addr_npi
        self.source_addr: Final = source_addr
        self.dest_addr_ton: Final = dest_addr_ton
        self.dest_addr_npi: Final = dest_addr_npi
        self.destination_addr: Final = destination_addr
        self.esm_class: Final = esm_class
        self.protocol_id: Final = protocol_id
        self.priority_flag: Final = priority_flag
        self.schedule_delivery_time: Final = schedule_delivery_time
        self.validity_period: Final = validity_period
        self.registered_delivery: Final = registered_delivery
        self.replace_if_present_flag: Final = replace_if_present_flag
        self.data_coding: Final = data_coding
        self.sm_default_msg_id: Final = sm_default_msg_id
        self.short_message: Final = short_message
        self.tlvs: Final = tlvs

    @property
    def content(self) -> bytes:
        """The user data: short_message, or message_payload when that is empty."""
        return self.short_message or self.tlvs.get(v.TAG_MESSAGE_PAYLOAD, b"")


class SubmitSm(ShortMessage):
    """A message on its way to a handset."""

    __slots__ = ()


class DeliverSm(ShortMessage):
    """A message from a handset, or a receipt."""

    __slots__ = ()


class MessageResp(Record):
    """An answer to a message: submit_sm_resp, deliver_sm_resp or data_sm_resp.

    `message_id` is "" when the message was refused, and in a deliver_sm_resp.
    """

    __slots__ = ("message_id", "sequence", "status", "tlvs")

    def __init__(
        self, sequence: int, status: int, message_id: str, tlvs: Mapping[int, bytes] = NO_TLVS
    ) -> None:
        self.sequence: Final = sequence
        self.status: Final = status
        self.message_id: Final = message_id
        self.tlvs: Final = tlvs


class SubmitTemplate(Record):
    """The fields of a submit_sm that a carrier's contract fixes."""

    __slots__ = (
        "dest_addr_npi",
        "dest_addr_ton",
        "protocol_id",
        "replace_if_present_flag",
        "service_type",
        "sm_default_msg_id",
    )

    def __init__(
        self,
        *,
        service_type: str = "",
        dest_addr_ton: int = 1,
        dest_addr_npi: int = 1,
        protocol_id: int = 0,
        replace_if_present_flag: int = 0,
        sm_default_msg_id: int = 0,
    ) -> None:
        self.service_type: Final = service_type
        self.dest_addr_ton: Final = dest_addr_ton
        self.dest_addr_npi: Final = dest_addr_npi
        self.protocol_id: Final = protocol_id
        self.replace_if_present_flag: Final = replace_if_present_flag
        self.sm_default_msg_id: Final = sm_default_msg_id
