"""What PDUs are once they are read, and before they are written: values without octets' places.

Not here: octets (`pdu.py`), which fields a PDU has (`specification.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.smpp import vocabulary as v
from gateway.smpp.fields import Value

HEADER_SIZE: Final = 16
NO_TLVS: Final[Mapping[int, bytes]] = MappingProxyType({})
"""Shared by every PDU without optional parameters."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One whole PDU as cut out of the stream, `octets` with its header. Of that only what every
    PDU needs is read: a status has a meaning in responses alone, and is read with them."""

    command_id: int
    sequence: int
    octets: bytes

    @property
    def status(self) -> int:
        return int.from_bytes(self.octets[8:12], "big")

    @property
    def body(self) -> bytes:
        return self.octets[HEADER_SIZE:]


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


class MessageResp(msgspec.Struct, frozen=True, gc=False):
    """An answer to a message: submit_sm_resp, deliver_sm_resp or data_sm_resp.

    `message_id` is "" when the message was refused, and in a deliver_sm_resp.
    """

    sequence: int
    status: int
    message_id: str
    tlvs: Mapping[int, bytes] = NO_TLVS


class SubmitTemplate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The fields of a submit_sm that a carrier's contract fixes."""

    service_type: str = ""
    dest_addr_ton: int = 1
    dest_addr_npi: int = 1
    protocol_id: int = 0
    replace_if_present_flag: int = 0
    sm_default_msg_id: int = 0
