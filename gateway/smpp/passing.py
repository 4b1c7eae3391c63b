"""TLVs that pass through the gateway as they are: which, and what a carrier's contract adds.

Those that the gateway reads and writes itself (SAR, message_payload, what makes a receipt) never
pass. Of all others the known ones pass where SMPP has them, and every tag that SMPP does not
know, which is a vendor's (SMPP 3.4 §5.3.1: 0x1400 to 0x3FFF, and beyond that in practice).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import InvalidField
from gateway.smpp.fields import TEXT_ENCODING
from gateway.smpp.specification import TLVS, Kind, tlv_name
from gateway.smpp.tlvs import decode_tlvs, encode_tlv_value, encode_tlvs

PASSED_OCTETS_MAX: Final = 1024
"""Of all that pass with one message, headers included: it is stored with each."""

_TAG_OF_NAME: Final = {tlv.name: tag for tag, tlv in TLVS.items()}


def _tags(*names: str) -> frozenset[int]:
    return frozenset(_TAG_OF_NAME[name] for name in names)


SUBMITTED: Final = _tags(
    *("user_message_reference", "source_port", "destination_port", "payload_type"),
    *("source_addr_subunit", "dest_addr_subunit", "source_subaddress", "dest_subaddress"),
    *("source_network_type", "source_bearer_type", "source_telematics_id"),
    *("dest_network_type", "dest_bearer_type", "dest_telematics_id"),
    *("privacy_indicator", "user_response_code", "language_indicator"),
    *("callback_num", "callback_num_pres_ind", "callback_num_atag", "number_of_messages"),
    *("display_time", "sms_signal", "ms_validity", "ms_msg_wait_facilities"),
    *("alert_on_message_delivery", "its_reply_type", "its_session_info", "ussd_service_op"),
    *("billing_identification", "source_network_id", "dest_network_id"),
    *("source_node_id", "dest_node_id", "dest_addr_np_resolution", "dest_addr_np_information"),
    "dest_addr_np_country",
)
"""From a customer's submission to the carrier's (SMPP 3.4 §4.4.1, §4.7.1; SMPP 5.0 §4.2.4)."""
DELIVERED: Final = _tags(
    *("user_message_reference", "source_port", "destination_port", "payload_type"),
    *("source_addr_subunit", "dest_addr_subunit", "source_subaddress", "dest_subaddress"),
    *("source_network_type", "dest_network_type", "privacy_indicator", "user_response_code"),
    *("language_indicator", "callback_num", "callback_num_pres_ind", "callback_num_atag"),
    *("its_reply_type", "its_session_info", "ussd_service_op", "source_network_id"),
    *("dest_network_id", "source_node_id", "dest_node_id"),
)
"""From a phone's message to its owner's (SMPP 3.4 §4.6.1; SMPP 5.0 §4.3.1)."""
REPORTED: Final = frozenset({v.TAG_NETWORK_ERROR_CODE})
"""From a carrier's receipt to the customer's. Its user_message_reference is ours to answer."""
_WRITTEN_HERE: Final = _tags(
    *("sar_msg_ref_num", "sar_total_segments", "sar_segment_seqnum"),
    *("message_payload", "more_messages_to_send"),
)


def pick_tlvs(tlvs: Mapping[int, bytes], known: frozenset[int]) -> dict[int, bytes]:
    """Return those of a PDU that pass: of the tags that SMPP knows `known`, and all others."""
    return {tag: value for tag, value in tlvs.items() if tag in known or tag not in TLVS}


def pack_tlvs(tlvs: Mapping[int, bytes]) -> bytes:
    """Return TLVs as they are kept and sent; those that pass PASSED_OCTETS_MAX are left out."""
    packed = b""
    for pair in tlvs.items():
        if len(packed) + 4 + len(pair[1]) <= PASSED_OCTETS_MAX:
            packed += encode_tlvs((pair,))
    return packed


def unpack_tlvs(packed: bytes) -> dict[int, bytes]:
    """Return what `pack_tlvs` wrote."""
    return dict(decode_tlvs(packed, 0, lenient=True))


class TlvRule(msgspec.Struct, frozen=True):
    """What a carrier's submissions carry besides what makes them a message."""

    allowed: frozenset[int] | None = None
    """Tags of customers that pass; None: all."""
    constant: tuple[tuple[int, bytes], ...] = ()
    """What goes with each submission that does not bring the same tag itself."""
    constant_octets: bytes = b""

    def write(self, own: bytes) -> bytes:
        """Return the TLVs of a submission whose customer gave it `own`."""
        if self.allowed is None and not self.constant:
            return own
        passing = {
            tag: value
            for tag, value in unpack_tlvs(own).items()
            if self.allowed is None or tag in self.allowed
        }
        return encode_tlvs((dict(self.constant) | passing).items())


ALL_PASS: Final = TlvRule()


def build_tlv_rule(allowed: Iterable[int] | None, constant: Mapping[int, bytes]) -> TlvRule:
    """Return a carrier's rule; raises InvalidField for a tag that the gateway writes itself."""
    for tag in constant:
        if tag in _WRITTEN_HERE:
            raise InvalidField(tlv_name(tag), "is written by the gateway itself")
    pairs = tuple(constant.items())
    return TlvRule(None if allowed is None else frozenset(allowed), pairs, encode_tlvs(pairs))


def read_tag(raw: str) -> int:
    """Read a tag as people write it: 0x1401, decimal, or its name in SMPP; raises InvalidField."""
    tag = _TAG_OF_NAME.get(raw)
    if tag is None and raw.isascii() and raw.isalnum():
        with suppress(ValueError):
            tag = int(raw[2:], 16) if raw[:2] in ("0x", "0X") else int(raw)
    if tag is None or not 0 < tag <= 0xFFFF:
        raise InvalidField(raw, "is no TLV: 0x0001 to 0xffff, or a name such as dest_addr_subunit")
    return tag


def read_value(tag: int, raw: str) -> bytes:
    """Read a TLV's value as people write it: octets in hex behind 0x, else a text, or a number
    where SMPP wants one; raises InvalidField.

    A text gets a NUL where SMPP says that the TLV ends with one. Of vendors' TLVs nobody knows:
    who needs a NUL there writes octets.
    """
    if raw[:2] in ("0x", "0X"):
        try:
            return bytes.fromhex(raw[2:])
        except ValueError:
            raise InvalidField(tlv_name(tag), "has no octets in hex behind its 0x") from None
    known = TLVS.get(tag)
    match known.kind if known else Kind.OCTETS:
        case Kind.INTEGER:
            if not (raw.isascii() and raw.isdigit()):
                raise InvalidField(tlv_name(tag), "is a number")
            return encode_tlv_value(tag, int(raw))
        case Kind.TEXT:
            return encode_tlv_value(tag, raw)
    try:
        return raw.encode(TEXT_ENCODING)
    except UnicodeEncodeError:
        raise InvalidField(tlv_name(tag), "has a character outside Latin-1") from None


def passes(tag: int) -> bool:
    """Whether customers may give a message this TLV."""
    return tag in SUBMITTED or tag not in TLVS
