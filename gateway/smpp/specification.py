"""Every PDU, field and TLV of SMPP 3.4 (and of 5.0, to be read without complaint) as data.

Nothing is read or written here: `pdu.py` walks these tables, and writes the few PDUs that travel
a thousand times a second by hand.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from gateway.smpp import vocabulary as v


class Kind(enum.Enum):
    """How a field or a TLV's value lies on the wire (SMPP 3.4 §3.1)."""

    INTEGER = enum.auto()
    """Unsigned, big endian, `size` octets."""
    TEXT = enum.auto()
    """C-octet string of at most `size` octets, its NUL included."""
    OCTETS = enum.auto()
    """Octets behind a length: a field's own length octet, or the TLV's."""
    DESTINATIONS = enum.auto()
    """submit_multi's number_of_dests and dest_address(es) (§4.5.1.1)."""
    FAILURES = enum.auto()
    """submit_multi_resp's no_unsuccess and unsuccess_sme(s) (§4.5.2.1)."""


class Field(msgspec.Struct, frozen=True):
    """One mandatory field; `size` as its kind says."""

    name: str
    kind: Kind
    size: int


def _integer(name: str, size: int = 1) -> Field:
    return Field(name, Kind.INTEGER, size)


def _text(name: str, size: int) -> Field:
    return Field(name, Kind.TEXT, size)


def _address(prefix: str, size: int, name: str = "") -> tuple[Field, ...]:
    return (
        _integer(f"{prefix}_ton"),
        _integer(f"{prefix}_npi"),
        _text(name or prefix, size),
    )


ADDRESS_SIZE: Final = 21
MESSAGE_ID_SIZE: Final = 65
SERVICE_TYPE_SIZE: Final = 6
TIME_SIZE: Final = 17
SHORT_MESSAGE_SIZE: Final = 254
PASSWORD_SIZE: Final = 65
"""§5.2.2 says 9 with the NUL, but carriers issue longer ones and then refuse the cut form."""

_SERVICE_TYPE = _text("service_type", SERVICE_TYPE_SIZE)
_MESSAGE_ID = _text("message_id", MESSAGE_ID_SIZE)
_SOURCE = _address("source_addr", ADDRESS_SIZE)
_DESTINATION = _address("dest_addr", ADDRESS_SIZE, "destination_addr")
_TIMES = (_text("schedule_delivery_time", TIME_SIZE), _text("validity_period", TIME_SIZE))
_SHORT_MESSAGE = Field("short_message", Kind.OCTETS, SHORT_MESSAGE_SIZE)
_MESSAGE_TAIL = (
    _integer("esm_class"),
    _integer("protocol_id"),
    _integer("priority_flag"),
    *_TIMES,
    _integer("registered_delivery"),
    _integer("replace_if_present_flag"),
    _integer("data_coding"),
    _integer("sm_default_msg_id"),
    _SHORT_MESSAGE,
)
_MESSAGE = (_SERVICE_TYPE, *_SOURCE, *_DESTINATION, *_MESSAGE_TAIL)
_BIND = (
    _text("system_id", 16),
    _text("password", PASSWORD_SIZE),
    _text("system_type", 13),
    _integer("interface_version"),
    *_address("addr", 41, "address_range"),
)
_BIND_RESP = (_text("system_id", 16),)
_ID_AND_SOURCE = (_MESSAGE_ID, *_SOURCE)

PDUS: Final[dict[int, tuple[Field, ...]]] = {
    v.GENERIC_NACK: (),
    v.BIND_RECEIVER: _BIND,
    v.BIND_RECEIVER_RESP: _BIND_RESP,
    v.BIND_TRANSMITTER: _BIND,
    v.BIND_TRANSMITTER_RESP: _BIND_RESP,
    v.BIND_TRANSCEIVER: _BIND,
    v.BIND_TRANSCEIVER_RESP: _BIND_RESP,
    v.OUTBIND: (_text("system_id", 16), _text("password", PASSWORD_SIZE)),
    v.UNBIND: (),
    v.UNBIND_RESP: (),
    v.ENQUIRE_LINK: (),
    v.ENQUIRE_LINK_RESP: (),
    v.SUBMIT_SM: _MESSAGE,
    v.SUBMIT_SM_RESP: (_MESSAGE_ID,),
    v.SUBMIT_MULTI: (
        _SERVICE_TYPE,
        *_SOURCE,
        Field("dest_addresses", Kind.DESTINATIONS, 254),
        *_MESSAGE_TAIL,
    ),
    v.SUBMIT_MULTI_RESP: (_MESSAGE_ID, Field("unsuccess_smes", Kind.FAILURES, 255)),
    v.DELIVER_SM: _MESSAGE,
    v.DELIVER_SM_RESP: (_MESSAGE_ID,),
    v.DATA_SM: (
        _SERVICE_TYPE,
        *_address("source_addr", 65),
        *_address("dest_addr", 65, "destination_addr"),
        _integer("esm_class"),
        _integer("registered_delivery"),
        _integer("data_coding"),
    ),
    v.DATA_SM_RESP: (_MESSAGE_ID,),
    v.QUERY_SM: _ID_AND_SOURCE,
    v.QUERY_SM_RESP: (
        _MESSAGE_ID,
        _text("final_date", TIME_SIZE),
        _integer("message_state"),
        _integer("error_code"),
    ),
    v.CANCEL_SM: (_SERVICE_TYPE, _MESSAGE_ID, *_SOURCE, *_DESTINATION),
    v.CANCEL_SM_RESP: (),
    v.REPLACE_SM: (
        *_ID_AND_SOURCE,
        *_TIMES,
        _integer("registered_delivery"),
        _integer("sm_default_msg_id"),
        _SHORT_MESSAGE,
    ),
    v.REPLACE_SM_RESP: (),
    v.ALERT_NOTIFICATION: (*_address("source_addr", 65), *_address("esme_addr", 65)),
    v.BROADCAST_SM: (
        _SERVICE_TYPE,
        *_SOURCE,
        _MESSAGE_ID,
        _integer("priority_flag"),
        *_TIMES,
        _integer("replace_if_present_flag"),
        _integer("data_coding"),
        _integer("sm_default_msg_id"),
    ),
    v.BROADCAST_SM_RESP: (_MESSAGE_ID,),
    v.QUERY_BROADCAST_SM: _ID_AND_SOURCE,
    v.QUERY_BROADCAST_SM_RESP: (_MESSAGE_ID,),
    v.CANCEL_BROADCAST_SM: (_SERVICE_TYPE, *_ID_AND_SOURCE),
    v.CANCEL_BROADCAST_SM_RESP: (),
}
"""command_id → its mandatory fields in order. Length octets (sm_length) belong to their field."""


class Tlv(msgspec.Struct, frozen=True):
    """One optional parameter's value; a TLV that is not in the table is plain octets."""

    name: str
    kind: Kind
    size: int = 0


def _tlvs(kind: Kind, size: int, *named: tuple[int, str]) -> dict[int, Tlv]:
    return {tag: Tlv(name, kind, size) for tag, name in named}


TLVS: Final[dict[int, Tlv]] = {
    **_tlvs(
        Kind.INTEGER,
        1,
        (0x0005, "dest_addr_subunit"),
        (0x0006, "dest_network_type"),
        (0x0007, "dest_bearer_type"),
        (0x000D, "source_addr_subunit"),
        (0x000E, "source_network_type"),
        (0x000F, "source_bearer_type"),
        (0x0010, "source_telematics_id"),
        (0x0019, "payload_type"),
        (0x0030, "ms_msg_wait_facilities"),
        (0x0201, "privacy_indicator"),
        (0x0205, "user_response_code"),
        (0x020D, "language_indicator"),
        (0x020E, "sar_total_segments"),
        (0x020F, "sar_segment_seqnum"),
        (0x0210, "sc_interface_version"),
        (0x0302, "callback_num_pres_ind"),
        (0x0304, "number_of_messages"),
        (0x0420, "dpf_result"),
        (0x0421, "set_dpf"),
        (0x0422, "ms_availability_status"),
        (0x0425, "delivery_failure_reason"),
        (0x0426, "more_messages_to_send"),
        (0x0427, "message_state"),
        (0x0428, "congestion_state"),
        (0x0501, "ussd_service_op"),
        (0x0600, "broadcast_channel_indicator"),
        (0x0603, "broadcast_message_class"),
        (0x0608, "broadcast_area_success"),
        (0x0611, "dest_addr_np_resolution"),
        (0x1201, "display_time"),
        (0x1204, "ms_validity"),
        (0x1380, "its_reply_type"),
    ),
    **_tlvs(
        Kind.INTEGER,
        2,
        (0x0008, "dest_telematics_id"),
        (0x0204, "user_message_reference"),
        (0x020A, "source_port"),
        (0x020B, "destination_port"),
        (0x020C, "sar_msg_ref_num"),
        (0x0604, "broadcast_rep_num"),
        (0x1203, "sms_signal"),
    ),
    **_tlvs(
        Kind.INTEGER,
        4,
        (0x0017, "qos_time_to_live"),
        (0x0607, "broadcast_error_status"),
    ),
    **_tlvs(
        Kind.TEXT,
        256,
        (0x001D, "additional_status_info_text"),
    ),
    **_tlvs(
        Kind.TEXT,
        65,
        (0x001E, "receipted_message_id"),
        (0x060D, "source_network_id"),
        (0x060E, "dest_network_id"),
    ),
    **_tlvs(Kind.TEXT, 17, (0x0609, "broadcast_end_time")),
    **_tlvs(
        Kind.OCTETS,
        0xFFFF,
        (0x0202, "source_subaddress"),
        (0x0203, "dest_subaddress"),
        (0x0303, "callback_num_atag"),
        (0x0381, "callback_num"),
        (0x0423, "network_error_code"),
        (0x0424, "message_payload"),
        (0x0601, "broadcast_content_type"),
        (0x0602, "broadcast_content_type_info"),
        (0x0605, "broadcast_frequency_interval"),
        (0x0606, "broadcast_area_identifier"),
        (0x060A, "broadcast_service_group"),
        (0x060B, "billing_identification"),
        (0x060F, "source_node_id"),
        (0x0610, "dest_node_id"),
        (0x0612, "dest_addr_np_information"),
        (0x0613, "dest_addr_np_country"),
        (0x130C, "alert_on_message_delivery"),
        (0x1383, "its_session_info"),
    ),
}
"""tag → its value's form (SMPP 3.4 §5.3.2, SMPP 5.0 §4.8.4)."""


def tlv_name(tag: int) -> str:
    """Return the TLV's name in the specification, or its tag in hexadecimal."""
    known = TLVS.get(tag)
    return known.name if known else f"0x{tag:04x}"
