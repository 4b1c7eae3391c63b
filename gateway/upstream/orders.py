"""From a customer's submit_sm, data_sm, submit_multi or replace_sm to orders, or why not.

Lenient where the field is: TON and NPI are not believed (too many clients send one pair for
everything; the address itself tells), nor is an esm_class mode, a service_type or a
protocol_id of any use here.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import Rejected
from gateway.message import Message, Order
from gateway.model import Encoding, Lane
from gateway.record import Record, replace
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import DistributionList, SmeAddress
from gateway.smpp.passing import PASSED_OCTETS_MAX, SUBMITTED, pick_tlvs
from gateway.smpp.shapes import NO_TLVS, Pdu, SubmitSm
from gateway.smpp.specification import PDUS, Kind
from gateway.smpp.tlvs import encode_tlvs
from gateway.text.style import DefaultAlphabet
from gateway.upstream.content import Unusable, read_content, read_text
from gateway.upstream.terms import Terms
from gateway.upstream.times import NotATime, parse_time

_SHARED_FIELDS = [
    field.name for field in PDUS[v.SUBMIT_MULTI] if field.kind is not Kind.DESTINATIONS
]
_URGENT = 2
"""priority_flag 2 and 3 are what every network's table calls urgent (SMPP 3.4 §5.2.14)."""


class Destination(Record):
    """One of a submit_multi's addresses and what is ordered for it."""

    __slots__ = ("address", "order")

    def __init__(self, address: SmeAddress, order: Order) -> None:
        self.address: Final = address
        self.order: Final = order


def read_submission(pdu: SubmitSm, terms: Terms, now: float) -> Order | Unusable:
    """Return what a submit_sm or data_sm orders; `now` is wall-clock time."""
    content = read_content(pdu, terms.alphabet, terms.ia5_alphabet)
    if isinstance(content, Unusable):
        return content
    tlvs = b""
    if pdu.tlvs:
        tlvs = encode_tlvs(pick_tlvs(pdu.tlvs, SUBMITTED).items())
        if len(tlvs) > PASSED_OCTETS_MAX:
            return Unusable(v.ESME_RINVPARLEN, f"{len(tlvs)} octets of TLVs to pass on")
    send_at = _read_time(pdu.schedule_delivery_time, now)
    if isinstance(send_at, NotATime):
        return Unusable(v.ESME_RINVSCHED, "schedule_delivery_time is not a time")
    expires_at = _read_time(pdu.validity_period, now)
    if isinstance(expires_at, NotATime):
        return Unusable(v.ESME_RINVEXPIRY, "validity_period is not a time")
    return Order(
        to=pdu.destination_addr,
        sender=pdu.source_addr,
        text=content.text,
        data=content.data,
        udh=content.udh,
        encoding=content.encoding,
        data_coding=content.data_coding,
        lane=_lane(pdu.priority_flag, terms.lane),
        send_at=send_at,
        expires_at=expires_at,
        registered_delivery=pdu.registered_delivery,
        tlvs=tlvs,
    )


def read_submit_multi(pdu: Pdu, terms: Terms, now: float) -> list[Destination] | Unusable:
    """Return what a submit_multi orders, one a destination, in its order."""
    addresses = pdu.fields["dest_addresses"]
    assert isinstance(addresses, tuple)
    if not addresses:
        return Unusable(v.ESME_RINVNUMDESTS, "no destination")
    if any(isinstance(address, DistributionList) for address in addresses):
        return Unusable(v.ESME_RINVDLNAME, "no distribution lists are kept here")
    order = read_submission(_message_of(pdu), terms, now)
    if isinstance(order, Unusable):
        return order
    return [
        Destination(address, replace(order, to=address.address))
        for address in addresses
        if isinstance(address, SmeAddress)
    ]


def read_replacement(request: Pdu, old: Message, terms: Terms, now: float) -> Order | Rejected:
    """Return what a replace_sm puts in the place of a message; what it leaves empty stays.

    It has no data_coding: its octets are of the same encoding as the first ones.
    """
    if old.udh or (old.data and old.encoding is not Encoding.BINARY):
        return Rejected("replacement_not_possible", "a part of a message can't be replaced")
    octets = request.fields["short_message"] or request.tlv(v.TAG_MESSAGE_PAYLOAD) or b""
    assert isinstance(octets, bytes)
    if not octets:
        return Rejected("text_empty", "the message is empty")
    text = ""
    if old.encoding is not Encoding.BINARY:
        read = read_text(octets, old.encoding, terms.alphabet)
        if read is None:
            return Rejected("text_not_encodable", "the octets do not read as text")
        text = read
    send_at = _read_time(request.text("schedule_delivery_time"), now)
    if isinstance(send_at, NotATime):
        return Rejected("send_at_not_a_time", "schedule_delivery_time is not a time")
    expires_at = _read_time(request.text("validity_period"), now)
    if isinstance(expires_at, NotATime):
        return Rejected("validity_out_of_range", "validity_period is not a time")
    return Order(
        to=old.recipient,
        sender=old.sender,
        text=text,
        data=b"" if text else octets,
        # An account that writes an alphabet of its own leaves the choice to us, as at first.
        encoding=old.encoding if terms.alphabet is DefaultAlphabet.GSM7 or not text else None,
        data_coding=old.data_coding,
        send_at=_still_to_come(old.send_at, now) if send_at is None else send_at,
        expires_at=old.expires_at if expires_at is None else expires_at,
        registered_delivery=request.number("registered_delivery"),
        tlvs=old.tlvs,
    )


def _still_to_come(send_at: float | None, now: float) -> float | None:
    """Return the hour that a message waits for; one whose hour has come waits for its turn."""
    return send_at if send_at is not None and send_at > now else None


def _read_time(raw: str, now: float) -> float | NotATime | None:
    return parse_time(raw, now) if raw else None


def _message_of(pdu: Pdu) -> SubmitSm:
    """Return a submit_multi as a submit_sm to nobody."""
    shared = {name: pdu.fields[name] for name in _SHARED_FIELDS}
    return SubmitSm(**shared, tlvs=dict(pdu.tlvs) or NO_TLVS)  # type: ignore[arg-type]


def _lane(priority_flag: int, usual: Lane) -> Lane:
    if not priority_flag:
        return usual
    return Lane.OTP if priority_flag >= _URGENT else Lane.TRANSACTIONAL
