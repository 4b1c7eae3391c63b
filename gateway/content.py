"""What a request or an order wants to have sent: read, made plain where asked to, and measured.

A carrier's style (`gateway/text/style.py`) decides what a text becomes and what it takes. Whether
an account may have so many segments, and what they cost, is `intake.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gateway.errors import Rejected
from gateway.message import Message, Order
from gateway.model import ENCODINGS, Encoding, SendRequest
from gateway.outgoing import build_cut
from gateway.record import Record
from gateway.smpp.errors import InvalidField
from gateway.text.coding import MESSAGE_CLASS_MAX
from gateway.text.errors import TextError, TooManySegments
from gateway.text.segment import Measured, measure, measure_binary, measure_segment
from gateway.text.smart import replace_typographic
from gateway.text.style import TextStyle

DATA_OCTETS_MAX = 255 * 140


class Content(Record):
    """A text, or `data` behind `udh`."""

    __slots__ = ("data", "text", "udh")

    def __init__(self, text: str = "", data: bytes = b"", udh: bytes = b"") -> None:
        self.text: Final = text
        self.data: Final = data
        self.udh: Final = udh

    @property
    def field(self) -> str:
        """Where in a request it stands."""
        return "data" if self.data else "text"


def read_content(request: SendRequest, text_chars_max: int) -> Content:
    """Return what a request wants sent; raises Rejected."""
    _check_class(request.message_class)
    if request.encoding != "auto" and request.encoding not in ENCODINGS:
        known = one_of(["auto", *ENCODINGS])
        raise Rejected("encoding_unknown", f"encoding is {known}", field="encoding")
    if request.data is None:
        if request.text is None:
            raise Rejected("text_missing", "a message needs text or data", field="text")
        if request.udh is not None:
            raise Rejected("udh_without_data", "udh goes with data", field="udh")
        if request.encoding == Encoding.BINARY.wire:
            raise Rejected("encoding_unknown", "text is gsm7 or ucs2", field="encoding")
        _check_text(request.text, text_chars_max)
        return Content(request.text)
    if request.text is not None:
        raise Rejected("text_and_data", "a message has text or data, not both", field="data")
    if request.encoding not in ("auto", Encoding.BINARY.wire):
        raise Rejected("encoding_unknown", "data is binary", field="encoding")
    data = _read_hex(request.data, "data", DATA_OCTETS_MAX)
    if not data:
        raise Rejected("data_empty", "data has no octets", field="data")
    return Content("", data, _read_hex(request.udh or "", "udh", 140))


def read_order(order: Order, text_chars_max: int) -> Content:
    """Return what an order wants sent; raises Rejected."""
    if not order.data:
        _check_text(order.text, text_chars_max)
    return Content(order.text, order.data, order.udh)


def measure_content(
    request: SendRequest, content: Content, style: TextStyle
) -> tuple[Content, Measured]:
    """Return a request's content as it will be sent, and what it takes; raises Rejected."""
    if request.data is not None:
        return content, _measure_data(content, style)
    asked = None if request.encoding == "auto" else ENCODINGS[request.encoding]
    smart = style.smart if request.smart is None else request.smart
    if smart and asked is not Encoding.UCS2:
        content = Content(replace_typographic(content.text, style))
    try:
        return content, measure(content.text, asked, style)
    except TextError as error:
        raise _refuse_text(error) from error


def measure_order(order: Order, content: Content, style: TextStyle) -> tuple[Content, Measured]:
    """Return an order's content as it will be sent, and what it takes; raises Rejected.

    GSM7 is how the customer happened to write a text, UCS-2 is taken as his wish: but where the
    carrier's style is smart, a text that needed UCS-2 for its typography alone needs it no more.
    """
    try:
        if not order.data:
            asked = order.encoding if order.encoding is Encoding.UCS2 else None
            if style.smart:
                plain = replace_typographic(order.text, style)
                if plain != order.text:
                    content, asked = Content(plain), None
            return content, measure(content.text, asked, style)
        if order.encoding is None or order.encoding is Encoding.BINARY:
            return content, measure_binary(order.data, order.udh, style)
        return content, measure_segment(order.data, order.udh, order.encoding, style)
    except TextError as error:
        if order.data:
            raise Rejected("data_not_sendable", str(error), field="data") from error
        raise _refuse_text(error) from error


def fits(message: Message, style: TextStyle, measured_by: TextStyle | None) -> bool:
    """Say whether a carrier of this style can send a message in the segments that were counted.

    `measured_by` is the style that counted them; None: nobody knows.
    """
    if style == measured_by:
        return True
    try:
        build_cut(message, style)
    except InvalidField:
        return False
    return True


def one_of(words: Collection[str]) -> str:
    """Write what may be chosen as a person would."""
    *most, last = words
    return f"{', '.join(most)} or {last}"


def _check_class(message_class: int | None) -> None:
    if message_class is not None and not 0 <= message_class <= MESSAGE_CLASS_MAX:
        raise Rejected(
            "message_class_unknown",
            f"message_class is 0 to {MESSAGE_CLASS_MAX}",
            field="message_class",
        )


def _check_text(text: str, chars_max: int) -> None:
    if not text:
        raise Rejected("text_empty", "the text is empty", field="text")
    if len(text) > chars_max:
        raise Rejected("text_too_long", f"a text has at most {chars_max} characters", field="text")
    if "\0" in text:
        raise Rejected("text_not_encodable", "the text holds a NUL character", field="text")


def _measure_data(content: Content, style: TextStyle) -> Measured:
    try:
        return measure_binary(content.data, content.udh, style)
    except TooManySegments as error:
        raise Rejected("too_many_segments", str(error), field="data") from error
    except TextError as error:
        field = "udh" if content.udh else "data"
        raise Rejected("data_not_sendable", str(error), field=field) from error


def _refuse_text(error: TextError) -> Rejected:
    too_long = isinstance(error, TooManySegments)
    code = "too_many_segments" if too_long else "text_not_encodable"
    return Rejected(code, str(error), field="text")


def _read_hex(raw: str, field: str, octets_max: int) -> bytes:
    if len(raw) > octets_max * 2:
        raise Rejected(f"{field}_too_long", f"{field} has at most {octets_max} octets", field=field)
    try:
        return bytes.fromhex(raw)
    except ValueError:
        raise Rejected(f"{field}_not_hex", f"{field} is not hexadecimal", field=field) from None
