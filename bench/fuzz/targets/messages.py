"""Messages of phones and of customers: from whatever PDU came to what would be stored."""

from __future__ import annotations

import functools
from collections import Counter

from bench.fuzz.source import Source
from bench.fuzz.target import Target
from bench.fuzz.wellformed import make_body
from gateway.errors import Rejected
from gateway.ids import IdGenerator
from gateway.inbound.book import InboundBook, Origin
from gateway.inbound.handover import Handover
from gateway.inbound.parts import InboundPart
from gateway.message import Message, Order
from gateway.model import Account, AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.outcomes import Acknowledge, Delivery, InboundMessage
from gateway.smpp import vocabulary as v
from gateway.smpp.errors import MalformedPdu
from gateway.smpp.pdu import build_frame, decode, decode_deliver_sm, decode_submit_sm
from gateway.smpp.shapes import DeliverSm, SubmitSm
from gateway.text.alphabet import decode_gsm7
from gateway.text.errors import MalformedUdh
from gateway.text.style import DefaultAlphabet, TextStyle
from gateway.text.udh import concatenation, header_size, parse_udh
from gateway.upstream.content import Unusable
from gateway.upstream.inbound import build_inbound
from gateway.upstream.orders import read_replacement, read_submission, read_submit_multi
from gateway.upstream.statuses import STATUS_OF_CODE
from gateway.upstream.terms import Terms

_UCS2_CODINGS = frozenset({0x08, *range(0x18, 0x1C), *range(0xE0, 0xF0)})
_NOW_S = 1_795_305_600.0
_CARRIER = CarrierId(1)
_REASSEMBLY_S = 10.0
_STORABLE_OCTETS_MAX = 65_536
"""No PDU is longer."""

_STYLES = (*(TextStyle(alphabet=alphabet) for alphabet in DefaultAlphabet), TextStyle(packed=True))

# ── from phones ──────────────────────────────────────────────────────────────────────────────


class _Rows:
    """A sink that keeps the books: which parts wait, and what is handed over."""

    def __init__(self) -> None:
        self.waiting: Counter[bytes] = Counter()
        self._kept: set[int] = set()

    def keep(self, part: InboundPart) -> None:
        assert part.id not in self._kept
        self._kept.add(part.id)
        self.waiting[part.content] += 1
        for text in (part.source, part.destination):
            _check_storable(text)

    def hand_over(self, handover: Handover) -> None:
        message = handover.message
        for part in handover.parts:
            self._kept.remove(part.id)
            self.waiting[part.content] -= 1
        assert message.content == b"".join(part.content for part in handover.parts) or (
            not handover.parts and message.segments == 1
        )
        assert len(message.missing) + len(handover.parts) in (0, message.segments)
        for text in (message.sender, message.recipient, message.body, message.encoding):
            _check_storable(text)
        assert len(handover.notices) == 1
        _check_storable(handover.notices[0].body)

    def after_commit(self, acknowledge: Acknowledge) -> None:
        acknowledge(True)


def check_inbound(case: bytes) -> None:
    """Whatever phones send, in whatever parts and order: each deliver_sm is acknowledged once, each
    part is kept until it is handed over once, whatever is stored can be, and what goes up to a
    customer reads as what came."""
    source = Source(case)
    rows = _Rows()
    terms = source.pick(_TERMS)
    book = InboundBook(
        rows,
        {_CARRIER: Origin("alpha", source.pick(_STYLES))},
        IdGenerator(0),
        reassembly_s=_REASSEMBLY_S,
        find_owner=lambda carrier, recipient: AccountId(1),
        wants_notice=lambda account: True,
        build_deliveries=functools.partial(_check_upward, terms),
    )
    answered: list[int] = []
    now = 0.0
    asked = 0
    while source.left:
        now += source.number() % 4
        book.expire(now, _NOW_S + now)
        asked += 1
        pdu = _make_deliver_sm(source)
        acknowledge = functools.partial(_note, answered, asked)
        book.arrived(_CARRIER, pdu, acknowledge, now, _NOW_S + now)
    assert answered == [*range(1, asked + 1)]
    book.expire(now + _REASSEMBLY_S, _NOW_S + now + _REASSEMBLY_S)
    assert book.waiting(_CARRIER) == 0
    assert not any(rows.waiting.values())


def _note(answered: list[int], number: int, kept: bool) -> None:
    assert kept
    answered.append(number)


def _check_upward(terms: Terms, message: InboundMessage) -> tuple[Delivery, ...]:
    """Read the deliver_sm that carry a message up, as a customer would."""
    pdus = [decode_deliver_sm(body) for body in build_inbound(terms, message)]
    assert len({(pdu.data_coding, pdu.esm_class) for pdu in pdus}) == 1
    headed = bool(pdus[0].esm_class & v.ESM_CLASS_UDHI)
    numbers = [concatenation(pdu.content) if headed else None for pdu in pdus]
    if len(pdus) > 1:
        assert [n.sequence for n in numbers if n is not None] == [*range(1, len(pdus) + 1)]
    octets = b"".join(_without_header(pdu.content) if headed else pdu.content for pdu in pdus)
    if not message.exact:
        assert octets.endswith(message.content)
    elif pdus[0].data_coding in _UCS2_CODINGS:
        assert octets.decode("utf-16-be") == message.body
    elif terms.alphabet is DefaultAlphabet.GSM7 or pdus[0].data_coding or _has_ports(message):
        assert decode_gsm7(octets) == message.body
    else:
        assert octets.decode(terms.alphabet.value) == message.body
    return ()


def _has_ports(message: InboundMessage) -> bool:
    """Say whether a header goes up with a text; such a text is in no alphabet of the account."""
    try:
        return any(element.iei not in (0x24, 0x25) for element in parse_udh(message.udh))
    except MalformedUdh:
        return False


def _without_header(octets: bytes) -> bytes:
    try:
        parse_udh(octets)
    except MalformedUdh:
        return octets  # it came so, and goes up as it came
    return octets[header_size(octets) :]


def _make_deliver_sm(source: Source) -> DeliverSm:
    sar = {}
    if source.flag():
        tags = (v.TAG_SAR_MSG_REF_NUM, v.TAG_SAR_TOTAL_SEGMENTS, v.TAG_SAR_SEGMENT_SEQNUM)
        sar = {tag: source.some(3) for tag in tags}
    return DeliverSm(
        source_addr=source.pick(("447911123456", "+447911123456", "", "Shop\u00e9")),
        destination_addr=source.pick(("40404", "00447700900001", "x" * 3_000)),
        esm_class=source.pick((0, v.ESM_CLASS_UDHI, 0xFF)),
        data_coding=source.number(),
        short_message=source.pick((b"", b"\x05\x00\x03\x07\x02\x01", b"\x05\x00\x03\x07\x02\x02"))
        + source.some(16) * source.pick((1, 1, 30)),
        tlvs=sar,
    )


# ── from customers ───────────────────────────────────────────────────────────────────────────

_TERMS = tuple(
    Terms(
        account=Account(id=AccountId(1), name="shop"),
        system_id="shop",
        password_hash="",
        alphabet=alphabet,
        ia5_alphabet=ia5,
    )
    for ia5 in (DefaultAlphabet.ASCII, DefaultAlphabet.GSM7)
    for alphabet in DefaultAlphabet
)


def check_order(case: bytes) -> None:
    """Whatever a customer submits is an order of what its octets say, or of the octets themselves,
    that can be stored; or it is refused with a status."""
    source = Source(case)
    terms = source.pick(_TERMS)
    body = make_body(source, v.SUBMIT_SM) if source.flag() else source.rest()
    try:
        submit = decode_submit_sm(body)
    except MalformedPdu:
        return
    read = read_submission(submit, terms, _NOW_S)
    if isinstance(read, Unusable):
        assert read.status != v.ESME_ROK
        assert read.reason
    else:
        _check_order(read, submit)


def check_replacement(case: bytes) -> None:
    """Whatever replace_sm comes for whatever message is an order that can be stored, or refused."""
    source = Source(case)
    pdu = decode(build_frame(v.REPLACE_SM, 0, 1, make_body(source, v.REPLACE_SM)))
    encoding = source.pick(tuple(Encoding))
    binary = encoding is Encoding.BINARY
    old = Message(
        id=MessageId(1),
        account_id=AccountId(1),
        accepted_at=_NOW_S,
        sender="Shop",
        recipient="447911123456",
        country="GB",
        text="" if binary else "Hello",
        data=b"\x01" if binary else b"",
        udh=source.pick((b"", b"", b"\x05\x00\x03\x07\x02\x01")),
        encoding=encoding,
        segments=1,
        lane=Lane.TRANSACTIONAL,
        price_micros=Micros(1),
        routes=(_CARRIER,),
        data_coding=source.pick((None, 0x10)),
        expires_at=_NOW_S + 60,
    )
    read = read_replacement(pdu, old, source.pick(_TERMS), _NOW_S)
    if isinstance(read, Rejected):
        assert read.code in STATUS_OF_CODE
        return
    for text in (read.to, read.sender, read.text):
        _check_storable(text)
    assert bool(read.text) != bool(read.data)


def check_multi_order(case: bytes) -> None:
    """Any submit_multi is one order a destination, all alike, or refused with a status."""
    source = Source(case)
    body = make_body(source, v.SUBMIT_MULTI)
    pdu = decode(build_frame(v.SUBMIT_MULTI, 0, 1, body))
    read = read_submit_multi(pdu, source.pick(_TERMS), _NOW_S)
    if isinstance(read, Unusable):
        assert read.status != v.ESME_ROK
        return
    assert read
    for destination in read:
        assert destination.order.to == destination.address.address
        assert destination.order.text == read[0].order.text
        assert destination.order.data == read[0].order.data


def _check_order(order: Order, submit: SubmitSm) -> None:
    for text in (order.to, order.sender, order.text):
        _check_storable(text)
    assert bool(order.text) != bool(order.data)
    if order.data:
        assert order.encoding is not None
        octets = submit.content
        assert octets == order.data or octets.endswith(order.data)
    assert order.data_coding is None or 0 <= order.data_coding <= 0xFF
    for at in (order.send_at, order.expires_at):
        assert at is None or 0 < at < 2 * 4_102_444_800


def _check_storable(text: str) -> None:
    """PostgreSQL takes no NUL and no half of a surrogate pair."""
    assert "\0" not in text
    assert len(text.encode()) <= 4 * _STORABLE_OCTETS_MAX


_PHONE_WORDS = (
    b"\x05\x00\x03\x07\x02\x01",
    b"\x06\x08\x04\x07\x07\x03\x01",
    b"\x03\x24\x01\x01",
    b"\xff\xfe",
    b"\x1b\x65",
)
_CUSTOMER_WORDS = (*_PHONE_WORDS, b"000000000100000R\0", b"261122090000000+\0", b"\x04\x24\0\x02hi")
_SUBMIT = b"\0\x05\0Shop\0\x01\x01447911123456\0" + b"\0\0\0\0\0\x01\0\0\0\x05hello"

TARGETS = (
    Target("inbound", check_inbound, _PHONE_WORDS, (b"\0\0\0\0\0\1\0\1\4text" * 3,)),
    Target("order", check_order, _CUSTOMER_WORDS, (b"\0\0" + _SUBMIT,)),
    Target("replacement", check_replacement, _CUSTOMER_WORDS, (bytes(8), b"\0" * 9 + b"\x02hi")),
    Target("multi_order", check_multi_order, _CUSTOMER_WORDS, (bytes(8), bytes(range(40)))),
)
