"""How a refusal of the gateway is written in a customer's response: the table, and nothing else.

Documented in `docs/smpp.md`. No status of SMPP says "no credit": ESME_RSUBMITFAIL is what the
field takes for it, and clients try again later, when there may be some.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.routing.numbers import TYPE_REASONS
from gateway.smpp import vocabulary as v

STATUS_OF_CODE: Final[Mapping[str, int]] = MappingProxyType(
    {
        "number_empty": v.ESME_RINVDSTADR,
        "number_not_digits": v.ESME_RINVDSTADR,
        "number_too_short": v.ESME_RINVDSTADR,
        "number_too_long": v.ESME_RINVDSTADR,
        "number_unknown_calling_code": v.ESME_RINVDSTADR,
        "number_impossible_length": v.ESME_RINVDSTADR,
        "number_not_valid": v.ESME_RINVDSTADR,
        **{reason.value: v.ESME_RINVDSTADR for reason in TYPE_REASONS.values()},
        # Nobody takes messages there, so the address can't be used, and trying again is no use.
        "no_route": v.ESME_RINVDSTADR,
        "no_price": v.ESME_RINVDSTADR,
        "no_margin": v.ESME_RINVDSTADR,
        "sender_missing": v.ESME_RINVSRCADR,
        "sender_empty": v.ESME_RINVSRCADR,
        "sender_too_short": v.ESME_RINVSRCADR,
        "sender_too_long": v.ESME_RINVSRCADR,
        "sender_alphabet": v.ESME_RINVSRCADR,
        "sender_at_sign": v.ESME_RINVSRCADR,
        "sender_kind_not_allowed": v.ESME_RINVSRCADR,
        "sender_not_registered": v.ESME_RINVSRCADR,
        "text_empty": v.ESME_RINVMSGLEN,
        "text_too_long": v.ESME_RINVMSGLEN,
        "too_many_segments": v.ESME_RINVMSGLEN,
        "data_not_sendable": v.ESME_RINVMSGLEN,
        "text_not_encodable": v.ESME_RSUBMITFAIL,
        "send_at_too_far": v.ESME_RINVSCHED,
        "send_at_past": v.ESME_RINVSCHED,
        "send_at_not_a_time": v.ESME_RINVSCHED,
        "validity_out_of_range": v.ESME_RINVEXPIRY,
        "no_credit": v.ESME_RSUBMITFAIL,
        "recipient_rate_exceeded": v.ESME_RTHROTTLED,
        "queue_full": v.ESME_RMSGQFUL,
        "not_found": v.ESME_RINVMSGID,
        "node_unavailable": v.ESME_RSYSERR,
        "replacement_not_possible": v.ESME_RREPLACEFAIL,
    }
)


def status_of(code: str) -> int:
    """Return the command_status for a `Rejected.code`; codes to come read as ESME_RSUBMITFAIL."""
    return STATUS_OF_CODE.get(code, v.ESME_RSUBMITFAIL)
