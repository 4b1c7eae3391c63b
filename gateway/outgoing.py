"""From a segment to the octets of its `submit_sm`, as one carrier wants them.

Not here: when it leaves (`dispatch.py`), its sequence number (the session's).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from gateway.jobs import Job
from gateway.lifecycle import Status
from gateway.message import Message
from gateway.model import Encoding, MessageId
from gateway.routing.numbers import Ineligible
from gateway.routing.sender import parse_sender
from gateway.smpp import vocabulary as v
from gateway.smpp.errors import InvalidField
from gateway.smpp.pdu import encode_submission
from gateway.smpp.shapes import NO_TLVS
from gateway.text.coding import adapt_coding
from gateway.text.errors import TextError
from gateway.text.segment import Cut, split, split_binary, write_segment
from gateway.text.sender import write_sender
from gateway.text.style import LongForm, TextStyle
from gateway.writing import Writing

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


def build_cut(message: Message, style: TextStyle) -> Cut:
    """Return the octets of each segment as a carrier wants them: as many as were counted.

    They were counted by the style of the first carrier of the route. Raises InvalidField when
    this one can't do with as many, or can't write the text at all.
    """
    try:
        return _cut(message, style)
    except TextError as error:
        raise InvalidField("short_message", str(error)) from error


def _cut_as_counted(message: Message, writing: Writing) -> Cut:
    try:
        return build_cut(message, writing.style)
    except InvalidField:
        if writing.former is None:
            raise
        return build_cut(message, writing.former)


def _cut(message: Message, style: TextStyle) -> Cut:
    encoding, segments = message.encoding, message.segments
    if message.data:
        if encoding is not Encoding.BINARY:
            return write_segment(message.data, message.udh, encoding, style)
        reference = reference_of(message.id)
        return split_binary(message.data, message.udh, reference, style, segments)
    # What is not UCS-2 is in the default alphabet, which is another one at each carrier: where it
    # lacks a character, UCS-2 may carry the text in as many segments.
    asked = encoding if encoding is Encoding.UCS2 else None
    return split(message.text, asked, reference_of(message.id), style, segments)


def reference_of(message_id: MessageId) -> int:
    """Return the 16 bits that tie a message's parts together on the handset.

    Made of the id and not of a counter: what is sent again after a crash completes the parts
    that arrived before it.
    """
    return ((message_id * _GOLDEN) & _WORD) >> 48


def build_submission(job: Job, index: int, writing: Writing, wall: float) -> bytes:
    """Return the body of the `submit_sm` of one segment; raises InvalidField.

    The message is cut when its first one leaves.
    """
    message, cut = job.message, job.cut
    if cut is None:
        cut = job.cut = _cut_as_counted(message, writing)
    ton, npi = writing.source_ton, writing.source_npi
    if ton < 0 or npi < 0:
        natural_ton, natural_npi = _address_type(message.sender)
        ton = natural_ton if ton < 0 else ton
        npi = natural_npi if npi < 0 else npi
    data_coding = message.data_coding
    if data_coding is None:
        data_coding = writing.data_codings[cut.encoding]
    else:
        data_coding = adapt_coding(data_coding, cut.encoding, writing.class_form)
    if writing.other_codings:
        data_coding = writing.other_codings.get(data_coding, data_coding)
    if cut.long is LongForm.UDH:
        payload, tlvs = cut.payloads[index], NO_TLVS
    else:
        payload, tlvs = _by_tlvs(job, cut, index)
    body = encode_submission(
        writing.template,
        ton,
        npi,
        write_sender(message.sender, writing.sender_form),
        message.recipient,
        payload,
        esm_class=v.ESM_CLASS_UDHI if cut.has_header else 0,
        validity_period=_relative_time(message.expires_at - wall) if writing.send_validity else "",
        # We need every segment's end; what happens on the way, only where the customer asked.
        registered_delivery=v.RECEIPT_ALWAYS | message.registered_delivery & v.RECEIPT_INTERMEDIATE,
        data_coding=data_coding,
        tlvs=tlvs,
    )
    if message.tlvs:
        body += writing.tlvs.write(message.tlvs)
    elif writing.tlvs.constant_octets:
        body += writing.tlvs.constant_octets
    return body


def _by_tlvs(job: Job, cut: Cut, index: int) -> tuple[bytes, Mapping[int, bytes]]:
    """Return the short_message and the TLVs of a long message that no header ties together."""
    if cut.long is LongForm.PAYLOAD:
        if any(state is not Status.ACCEPTED for state in job.states):
            # Some of it left in parts, before the carrier's settings were changed.
            raise InvalidField("message_payload", "a part of it was sent by itself")
        return b"", {v.TAG_MESSAGE_PAYLOAD: cut.payloads[0]}
    return cut.payloads[index], {
        v.TAG_SAR_MSG_REF_NUM: reference_of(job.message.id).to_bytes(2, "big"),
        v.TAG_SAR_TOTAL_SEGMENTS: bytes((len(cut.payloads),)),
        v.TAG_SAR_SEGMENT_SEQNUM: bytes((index + 1,)),
    }


@functools.lru_cache(maxsize=4096)
def _address_type(sender: str) -> tuple[int, int]:
    parsed = parse_sender(sender)
    return (5, 0) if isinstance(parsed, Ineligible) else (parsed.ton, parsed.npi)


def _relative_time(left_s: float) -> str:
    """Return a validity_period from now on (SMPP 3.4 §7.1.1.2), at least a second."""
    return _write_relative(max(1, int(left_s)))


@functools.lru_cache(maxsize=4096)
def _write_relative(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    months, day = divmod(days, 30)
    years, month = divmod(months, 12)
    return f"{years:02d}{month:02d}{day:02d}{hour:02d}{minute:02d}{second:02d}000R"
