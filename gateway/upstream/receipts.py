"""Which news of a message goes up to its customer, and the deliver_sm that carries it.

Not here: the text and TLVs of a receipt (`gateway/dlr/build.py`), keeping and sending what is
built here (`mailbox.py`, `postman.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.dlr.build import build_receipt
from gateway.ids import accepted_at
from gateway.lifecycle import Status
from gateway.model import MessageId
from gateway.outcomes import Party
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import TEXT_ENCODING
from gateway.smpp.passing import REPORTED, pack_tlvs, pick_tlvs, unpack_tlvs
from gateway.smpp.pdu import encode_short_message
from gateway.smpp.shapes import NO_TLVS, DeliverSm
from gateway.upstream.addresses import address_type
from gateway.upstream.ids import format_id
from gateway.upstream.terms import Terms

_ERROR_CHARS_MAX = 4
_NO_ERROR = "000"


def wants_receipt(registered_delivery: int, status: Status) -> bool:
    """Say whether a customer asked to hear of a message's `status` (SMPP 3.4 §5.2.17)."""
    if not status.final:
        return bool(registered_delivery & v.RECEIPT_INTERMEDIATE)
    match registered_delivery & v.RECEIPT_MASK:
        case v.RECEIPT_ALWAYS:
            return True
        case v.RECEIPT_ON_FAILURE:
            return status is not Status.DELIVERED
        case v.RECEIPT_ON_SUCCESS:
            return status is Status.DELIVERED
    return False


def build_deliver_sm(
    terms: Terms,
    message_id: MessageId,
    party: Party,
    status: Status,
    error: str,
    at: float,
    tlvs: Mapping[int, bytes] = NO_TLVS,
) -> bytes:
    """Return the body of the deliver_sm that tells of a message; `at` is wall-clock time.

    It comes from where the message went, and goes to whom it came from. Of `tlvs`, the carrier's,
    it has those that pass, and of the message's own what the customer knows it by.
    """
    receipt = build_receipt(
        message_id=format_id(party.group_id or message_id, terms.id_form),
        status=status,
        submitted_at=accepted_at(message_id),
        done_at=at,
        error=_error_code(error, status),
        utc_offset_minutes=_offset_minutes(terms, at),
    )
    # An account's own sender may hold what SMPP's addresses can't (Greek capitals).
    sender = party.sender.encode(TEXT_ENCODING, "replace").decode(TEXT_ENCODING)
    ton, npi = address_type(party.sender)
    return encode_short_message(
        DeliverSm(
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=party.recipient,
            dest_addr_ton=ton,
            dest_addr_npi=npi,
            destination_addr=sender,
            esm_class=receipt.esm_class if status.final else v.ESM_CLASS_INTERMEDIATE,
            short_message=receipt.short_message,
            tlvs=receipt.tlvs | _passing(party.tlvs, tlvs),
        )
    )


def _passing(own: bytes, carriers: Mapping[int, bytes]) -> dict[int, bytes]:
    passing = unpack_tlvs(pack_tlvs(pick_tlvs(carriers, REPORTED))) if carriers else {}
    if own:
        reference = unpack_tlvs(own).get(v.TAG_USER_MESSAGE_REFERENCE)
        if reference is not None:
            passing[v.TAG_USER_MESSAGE_REFERENCE] = reference
    return passing


def _error_code(error: str, status: Status) -> str:
    """Return a carrier's error where it gave one as a code; ours are sentences, for people."""
    usable = len(error) <= _ERROR_CHARS_MAX and error.isascii() and error.isalnum()
    return error.rjust(3, "0") if usable and status is not Status.DELIVERED else _NO_ERROR


def _offset_minutes(terms: Terms, at: float) -> int:
    if terms.zone is UTC:
        return 0
    offset = datetime.fromtimestamp(at, terms.zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() // 60)
