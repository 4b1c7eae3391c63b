"""Names for SMPP's numbers: commands, statuses, TON, NPI, data codings, TLV tags.

The names come from aiosmpplib, which keeps the vocabulary of SMPP 3.4; what 5.0 added and what it
lacks stands here. The constants are plain integers, because every PDU compares them. Numbers
without a name are no error: vendors use 0x400-0x4FF and more, so they are named by themselves.
"""

from __future__ import annotations

from typing import Final

from aiosmpplib import state as _library
from aiosmpplib.state import SmppCommand as _Command
from aiosmpplib.state import SmppCommandStatus as _Status

RESPONSE: Final = 0x80000000
"""The bit that makes a request's command_id its response's (SMPP 3.4 §5.1.2.1)."""

# ── command_id (SMPP 3.4 §5.1.2.1) ───────────────────────────────────────────────────────────
GENERIC_NACK: Final[int] = int(_Command.GENERIC_NACK)
BIND_RECEIVER: Final[int] = int(_Command.BIND_RECEIVER)
BIND_RECEIVER_RESP: Final[int] = int(_Command.BIND_RECEIVER_RESP)
BIND_TRANSMITTER: Final[int] = int(_Command.BIND_TRANSMITTER)
BIND_TRANSMITTER_RESP: Final[int] = int(_Command.BIND_TRANSMITTER_RESP)
QUERY_SM: Final[int] = int(_Command.QUERY_SM)
QUERY_SM_RESP: Final[int] = int(_Command.QUERY_SM_RESP)
SUBMIT_SM: Final[int] = int(_Command.SUBMIT_SM)
SUBMIT_SM_RESP: Final[int] = int(_Command.SUBMIT_SM_RESP)
DELIVER_SM: Final[int] = int(_Command.DELIVER_SM)
DELIVER_SM_RESP: Final[int] = int(_Command.DELIVER_SM_RESP)
UNBIND: Final[int] = int(_Command.UNBIND)
UNBIND_RESP: Final[int] = int(_Command.UNBIND_RESP)
REPLACE_SM: Final[int] = int(_Command.REPLACE_SM)
REPLACE_SM_RESP: Final[int] = int(_Command.REPLACE_SM_RESP)
CANCEL_SM: Final[int] = int(_Command.CANCEL_SM)
CANCEL_SM_RESP: Final[int] = int(_Command.CANCEL_SM_RESP)
BIND_TRANSCEIVER: Final[int] = int(_Command.BIND_TRANSCEIVER)
BIND_TRANSCEIVER_RESP: Final[int] = int(_Command.BIND_TRANSCEIVER_RESP)
OUTBIND: Final[int] = int(_Command.OUTBIND)
ENQUIRE_LINK: Final[int] = int(_Command.ENQUIRE_LINK)
ENQUIRE_LINK_RESP: Final[int] = int(_Command.ENQUIRE_LINK_RESP)
SUBMIT_MULTI: Final[int] = int(_Command.SUBMIT_MULTI)
SUBMIT_MULTI_RESP: Final[int] = int(_Command.SUBMIT_MULTI_RESP)
ALERT_NOTIFICATION: Final[int] = int(_Command.ALERT_NOTIFICATION)
DATA_SM: Final[int] = int(_Command.DATA_SM)
DATA_SM_RESP: Final[int] = int(_Command.DATA_SM_RESP)
BROADCAST_SM: Final = 0x00000111  # this and the next five: SMPP 5.0 §4.4
BROADCAST_SM_RESP: Final = BROADCAST_SM | RESPONSE
QUERY_BROADCAST_SM: Final = 0x00000112
QUERY_BROADCAST_SM_RESP: Final = QUERY_BROADCAST_SM | RESPONSE
CANCEL_BROADCAST_SM: Final = 0x00000113
CANCEL_BROADCAST_SM_RESP: Final = CANCEL_BROADCAST_SM | RESPONSE

# ── command_status (SMPP 3.4 §5.1.3): those that this project sends or decides on ────────────
ESME_ROK: Final[int] = int(_Status.ESME_ROK)
ESME_RINVMSGLEN: Final[int] = int(_Status.ESME_RINVMSGLEN)
ESME_RINVCMDLEN: Final[int] = int(_Status.ESME_RINVCMDLEN)
ESME_RINVCMDID: Final[int] = int(_Status.ESME_RINVCMDID)
ESME_RINVBNDSTS: Final[int] = int(_Status.ESME_RINVBNDSTS)
ESME_RALYBND: Final[int] = int(_Status.ESME_RALYBND)
ESME_RSYSERR: Final[int] = int(_Status.ESME_RSYSERR)
ESME_RINVSRCADR: Final[int] = int(_Status.ESME_RINVSRCADR)
ESME_RINVDSTADR: Final[int] = int(_Status.ESME_RINVDSTADR)
ESME_RINVMSGID: Final[int] = int(_Status.ESME_RINVMSGID)
ESME_RBINDFAIL: Final[int] = int(_Status.ESME_RBINDFAIL)
ESME_RINVPASWD: Final[int] = int(_Status.ESME_RINVPASWD)
ESME_RINVSYSID: Final[int] = int(_Status.ESME_RINVSYSID)
ESME_RCANCELFAIL: Final[int] = int(_Status.ESME_RCANCELFAIL)
ESME_RREPLACEFAIL: Final[int] = int(_Status.ESME_RREPLACEFAIL)
ESME_RMSGQFUL: Final[int] = int(_Status.ESME_RMSGQFUL)
ESME_RINVNUMDESTS: Final[int] = int(_Status.ESME_RINVNUMDESTS)
ESME_RINVDLNAME: Final[int] = int(_Status.ESME_RINVDLNAME)
ESME_RINVDESTFLAG: Final[int] = int(_Status.ESME_RINVDESTFLAG)
ESME_RSUBMITFAIL: Final[int] = int(_Status.ESME_RSUBMITFAIL)
ESME_RINVSYSTYP: Final[int] = int(_Status.ESME_RINVSYSTYP)
ESME_RTHROTTLED: Final[int] = int(_Status.ESME_RTHROTTLED)
ESME_RINVSCHED: Final[int] = int(_Status.ESME_RINVSCHED)
ESME_RINVEXPIRY: Final[int] = int(_Status.ESME_RINVEXPIRY)
ESME_RX_T_APPN: Final[int] = int(_Status.ESME_RX_T_APPN)
ESME_RQUERYFAIL: Final[int] = int(_Status.ESME_RQUERYFAIL)
ESME_RUNKNOWNERR: Final[int] = int(_Status.ESME_RUNKNOWNERR)
ESME_RINVOPTPARSTREAM: Final[int] = int(_Status.ESME_RINVOPTPARSTREAM)
ESME_RINVPARLEN: Final[int] = int(_Status.ESME_RINVPARLEN)
ESME_RINVOPTPARAMVAL: Final[int] = int(_Status.ESME_RINVOPTPARAMVAL)

# ── TLV tags (SMPP 3.4 §5.3.2) ───────────────────────────────────────────────────────────────
TAG_RECEIPTED_MESSAGE_ID: Final[int] = int(_library.RECEIPTED_MESSAGE_ID)
TAG_USER_MESSAGE_REFERENCE: Final[int] = int(_library.USER_MESSAGE_REFERENCE)
TAG_SAR_MSG_REF_NUM: Final[int] = int(_library.SAR_MSG_REF_NUM)
TAG_SAR_TOTAL_SEGMENTS: Final[int] = int(_library.SAR_TOTAL_SEGMENTS)
TAG_SAR_SEGMENT_SEQNUM: Final[int] = int(_library.SAR_SEGMENT_SEQNUM)
TAG_SC_INTERFACE_VERSION: Final[int] = int(_library.SC_INTERFACE_VERSION)
TAG_NETWORK_ERROR_CODE: Final[int] = int(_library.NETWORK_ERROR_CODE)
TAG_MESSAGE_PAYLOAD: Final[int] = int(_library.MESSAGE_PAYLOAD)
TAG_MORE_MESSAGES_TO_SEND: Final[int] = int(_library.MORE_MESSAGES_TO_SEND)
TAG_MESSAGE_STATE: Final[int] = int(_library.MESSAGE_STATE)

# ── esm_class, registered_delivery (SMPP 3.4 §5.2.12, §5.2.17) ───────────────────────────────
ESM_CLASS_RECEIPT: Final = 0x04
ESM_CLASS_INTERMEDIATE: Final = 0x20
ESM_CLASS_TYPE_MASK: Final = 0x3C
ESM_CLASS_UDHI: Final = 0x40
RECEIPT_NONE: Final = 0
RECEIPT_ALWAYS: Final = 1
RECEIPT_ON_FAILURE: Final = 2
RECEIPT_ON_SUCCESS: Final = 3  # SMPP 5.0 §4.7.21
RECEIPT_MASK: Final = 0x03
RECEIPT_INTERMEDIATE: Final = 0x10

INTERFACE_VERSION_34: Final = 0x34
INTERFACE_VERSION_TLVS: Final = 0x34
"""Below it a peer is sent no TLVs (SMPP 3.4 §2.8)."""

_COMMANDS: Final[dict[int, str]] = {int(c): str(c.name).lower() for c in _Command} | {
    BROADCAST_SM: "broadcast_sm",
    BROADCAST_SM_RESP: "broadcast_sm_resp",
    QUERY_BROADCAST_SM: "query_broadcast_sm",
    QUERY_BROADCAST_SM_RESP: "query_broadcast_sm_resp",
    CANCEL_BROADCAST_SM: "cancel_broadcast_sm",
    CANCEL_BROADCAST_SM_RESP: "cancel_broadcast_sm_resp",
}
_STATUSES: Final[dict[int, str]] = {int(s): str(s.name) for s in _Status} | {
    0x0101: "ESME_RSERTYPUNAUTH",  # this and the rest: SMPP 5.0 §4.7.6
    0x0102: "ESME_RPROHIBITED",
    0x0103: "ESME_RSERTYPUNAVAIL",
    0x0104: "ESME_RSERTYPDENIED",
    0x0105: "ESME_RINVDCS",
    0x0106: "ESME_RINVSRCADDRSUBUNIT",
    0x0107: "ESME_RINVDSTADDRSUBUNIT",
    0x0108: "ESME_RINVBCASTFREQINT",
    0x0109: "ESME_RINVBCASTALIAS_NAME",
    0x010A: "ESME_RINVBCASTAREAFMT",
    0x010B: "ESME_RINVNUMBCAST_AREAS",
    0x010C: "ESME_RINVBCASTCNTTYPE",
    0x010D: "ESME_RINVBCASTMSGCLASS",
    0x010E: "ESME_RBCASTFAIL",
    0x010F: "ESME_RBCASTQUERYFAIL",
    0x0110: "ESME_RBCASTCANCELFAIL",
    0x0111: "ESME_RINVBCAST_REP",
    0x0112: "ESME_RINVBCASTSRVGRP",
    0x0113: "ESME_RINVBCASTCHANIND",
}
_TONS: Final[dict[int, str]] = {int(t): str(t.name).lower() for t in _library.TON}
_NPIS: Final[dict[int, str]] = {int(n): str(n.name).lower() for n in _library.NPI}
_DATA_CODINGS: Final[dict[int, str]] = {
    int(c): str(c.name).lower() for c in _library.SmppDataCoding
}


def command_name(command_id: int) -> str:
    """Return the command's name in the specification, or its number in hexadecimal."""
    return _COMMANDS.get(command_id) or f"0x{command_id:08x}"


def status_name(status: int) -> str:
    """Return the status's name in the specification, or its number in hexadecimal."""
    return _STATUSES.get(status) or f"0x{status:08x}"


def ton_name(ton: int) -> str:
    return _TONS.get(ton) or f"0x{ton:02x}"


def npi_name(npi: int) -> str:
    return _NPIS.get(npi) or f"0x{npi:02x}"


def data_coding_name(data_coding: int) -> str:
    return _DATA_CODINGS.get(data_coding) or f"0x{data_coding:02x}"
