"""From a segment to the octets of its `submit_sm`, as one carrier wants them.

Not here: when it leaves (`dispatch.py`), its sequence number (the session's).
"""

from __future__ import annotations

import functools

import msgspec

from gateway.jobs import Job
from gateway.model import Encoding, Message, MessageId
from gateway.routing.numbers import Ineligible
from gateway.routing.sender import parse_sender
from gateway.smpp.errors import InvalidField
from gateway.smpp.pdu import SubmitTemplate
from gateway.text.errors import TextError
from gateway.text.segment import split, split_binary

ESM_CLASS_UDHI = 0x40
_GOLDEN = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """How one carrier wants a submission written."""

    template: SubmitTemplate
    source_ton: int = -1
    """-1: from the sender's form."""
    source_npi: int = -1
    data_codings: tuple[int, int, int] = (0, 8, 4)
    """By Encoding."""
    send_validity: bool = True


def build_payloads(message: Message, wide_reference: bool) -> list[bytes]:
    """Return the octets of each segment: as many as were counted and paid for.

    They were counted for the first carrier of the route. Where another one's width of reference
    makes more or fewer of them, the parts are numbered in the width that was counted with.
    Raises InvalidField when neither makes as many.
    """
    detail = f"can't be cut into the {message.segments} segments that were counted"
    for wide in (wide_reference, not wide_reference):
        try:
            payloads = _cut(message, wide)
        except TextError as error:
            detail = str(error)
            continue
        if len(payloads) == message.segments:
            return payloads
    raise InvalidField("short_message", detail)


def _cut(message: Message, wide_reference: bool) -> list[bytes]:
    reference = reference_of(message.id)
    if message.data and message.encoding is not Encoding.BINARY:
        return [message.udh + message.data]
    if message.encoding is Encoding.BINARY:
        return split_binary(message.data, message.udh, reference, wide_reference)
    return split(message.text, message.encoding, reference, wide_reference)


def reference_of(message_id: MessageId) -> int:
    """Return the 16 bits that tie a message's parts together on the handset.

    Made of the id and not of a counter: what is sent again after a crash completes the parts
    that arrived before it.
    """
    return ((message_id * _GOLDEN) & _WORD) >> 48


def build_submission(job: Job, index: int, writing: Writing, wall: float) -> bytes:
    """Return the body of the `submit_sm` of one segment; raises InvalidField.

    `job.payloads` must be there.
    """
    message = job.message
    ton, npi = writing.source_ton, writing.source_npi
    if ton < 0 or npi < 0:
        natural_ton, natural_npi = _address_type(message.sender)
        ton = natural_ton if ton < 0 else ton
        npi = natural_npi if npi < 0 else npi
    data_coding = message.data_coding
    if data_coding is None:
        data_coding = writing.data_codings[message.encoding]
    return writing.template.body(
        ton,
        npi,
        message.sender,
        message.recipient,
        job.payloads[index],
        esm_class=ESM_CLASS_UDHI if message.segments > 1 or message.udh else 0,
        validity_period=_relative_time(message.expires_at - wall) if writing.send_validity else "",
        data_coding=data_coding,
    )


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
    return f"00{months:02d}{day:02d}{hour:02d}{minute:02d}{second:02d}000R"
