"""smpplib as a customer that binds to our server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm

from gateway.dlr.dialects import DEFAULT
from gateway.dlr.parse import parse_receipt
from gateway.dlr.receipt import Receipt
from gateway.smpp import vocabulary as v
from gateway.smpp.shapes import DeliverSm

TIMEOUT_S = 20.0
ESME_RINVPASWD, ESME_RINVDSTADR = 0x0E, 0x0B


def feature(name: str) -> pytest.MarkDecorator:
    return pytest.mark.interop("smpplib 2.2", "client of our server", name)


class Peer:
    """One smpplib client, and what it heard."""

    def __init__(self, port: int) -> None:
        self.answers: list[Any] = []
        self.deliveries: list[Any] = []
        self.others: list[Any] = []
        self.client = smpplib.client.Client(
            "127.0.0.1", port, timeout=TIMEOUT_S, allow_unknown_opt_params=True
        )
        self.client.set_message_sent_handler(lambda pdu: self.answers.append(pdu))
        self.client.set_message_received_handler(self._receive)
        self.client.set_query_resp_handler(lambda pdu: self.others.append(pdu))
        self.client.set_error_pdu_handler(lambda pdu: self.answers.append(pdu))
        self.client.connect()

    def submit(self, to: str, octets: bytes, **fields: Any) -> str:
        """Submit, and return the id that was answered."""
        pdu = self.client.send_message(
            **{
                "source_addr_ton": smpplib.consts.SMPP_TON_ALNUM,
                "source_addr": "Shop",
                "dest_addr_ton": smpplib.consts.SMPP_TON_INTL,
                "dest_addr_npi": smpplib.consts.SMPP_NPI_ISDN,
                "destination_addr": to,
                "short_message": octets,
                "registered_delivery": True,
            }
            | fields
        )
        self.wait_for(lambda: any(a.sequence == pdu.sequence for a in self.answers))
        [answer] = [a for a in self.answers if a.sequence == pdu.sequence]
        assert answer.status == 0, answer.status
        message_id: str = answer.message_id.decode()
        return message_id

    def wait_for_receipt(self, message_id: str) -> Receipt:
        def find() -> Any:
            wanted = message_id.encode()
            return next((d for d in self.deliveries if d.receipted_message_id == wanted), None)

        self.wait_for(lambda: find() is not None)
        pdu = find()
        by_its_text = DeliverSm(
            source_addr=pdu.source_addr.decode(),
            destination_addr=pdu.destination_addr.decode(),
            esm_class=pdu.esm_class,
            data_coding=pdu.data_coding,
            short_message=pdu.short_message,
        )
        parsed = parse_receipt(by_its_text, DEFAULT)
        assert isinstance(parsed, Receipt)
        assert parsed.carrier_message_id == message_id
        return parsed

    def texts(self) -> list[Any]:
        """Return what came from phones; receipts of those who left early come to anybody."""
        return [d for d in self.deliveries if not d.esm_class & v.ESM_CLASS_TYPE_MASK]

    def wait_for(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not holds():
            assert time.monotonic() < deadline
            self.client.read_once()

    def close(self) -> None:
        if self.client.state != smpplib.consts.SMPP_CLIENT_STATE_OPEN:
            self.client.unbind()
        self.client.disconnect()

    def _receive(self, pdu: Any) -> int:
        self.deliveries.append(pdu)
        return 0


@pytest.fixture
def unbound(world: Any) -> Iterator[Peer]:
    peer = Peer(world.port)
    yield peer
    peer.close()


@pytest.fixture
def peer(unbound: Peer) -> Peer:
    unbound.client.bind_transceiver(system_id="shop", password="secret")
    return unbound


@feature("bind in each mode, unbind")
@pytest.mark.parametrize("mode", ["transmitter", "receiver", "transceiver"])
def test_it_binds_in_each_mode_and_leaves(unbound: Peer, mode: str) -> None:
    getattr(unbound.client, f"bind_{mode}")(system_id="shop", password="secret")
    assert unbound.client.state != smpplib.consts.SMPP_CLIENT_STATE_OPEN


@feature("wrong password, then the right one on the same connection")
def test_a_wrong_password_is_read_as_one(unbound: Peer) -> None:
    with pytest.raises(smpplib.exceptions.PDUError) as raised:
        unbound.client.bind_transceiver(system_id="shop", password="wrong")
    assert raised.value.args[1] == ESME_RINVPASWD
    unbound.client.bind_transceiver(system_id="shop", password="secret")


@feature("GSM-7 with its extension, and its receipt")
def test_gsm_7_passes_through(world: Any, peer: Peer) -> None:
    to = world.number()
    octets = smpplib.gsm.gsm_encode("Price: 5 € {ok} [~] ^| @£ñ ÄÖÜ Δ")
    message_id = peer.submit(to, octets)
    [left] = world.take(to)
    assert (left.short_message, left.data_coding, left.source_addr) == (octets, 0, "Shop")
    receipt = peer.wait_for_receipt(message_id)
    assert receipt.status.wire == "delivered"


@feature("UCS-2 with surrogate pairs")
def test_ucs_2_passes_through(world: Any, peer: Peer) -> None:
    to = world.number()
    octets = "Привет 😀👍🏽".encode("utf-16-be")
    message_id = peer.submit(to, octets, data_coding=smpplib.consts.SMPP_ENCODING_ISO10646)
    [left] = world.take(to)
    assert (left.short_message, left.data_coding) == (octets, 8)
    peer.wait_for_receipt(message_id)


@feature("long texts cut by the client with UDH")
@pytest.mark.parametrize(
    ("text", "data_coding"), [("long and plain " * 20, 0), ("длинно и сложно " * 10, 8)]
)
def test_parts_stay_the_parts_that_they_are(
    world: Any, peer: Peer, text: str, data_coding: int
) -> None:
    to = world.number()
    parts, coding, esm_class = smpplib.gsm.make_parts(text, data_coding)
    ids = [peer.submit(to, part, data_coding=coding, esm_class=esm_class) for part in parts]
    left = world.take(to, len(parts))
    assert [each.short_message for each in left] == parts
    assert {(each.esm_class, each.data_coding) for each in left} == {(0x40, data_coding)}
    for message_id in ids:
        peer.wait_for_receipt(message_id)


@feature("long texts cut by the client with SAR parameters")
def test_sar_parts_leave_with_the_header_that_they_mean(world: Any, peer: Peer) -> None:
    to = world.number()
    parts, _, _ = smpplib.gsm.make_parts("cut with parameters " * 20, 0, use_udhi=False)
    for number, part in enumerate(parts, start=1):
        peer.submit(
            to,
            part,
            sar_msg_ref_num=0x0142,
            sar_total_segments=len(parts),
            sar_segment_seqnum=number,
        )
    left = world.take(to, len(parts))
    heads = [bytes((5, 0, 3, 0x42, len(parts), number + 1)) for number in range(len(parts))]
    assert [each.short_message for each in left] == [
        head + part for head, part in zip(heads, parts, strict=True)
    ]


@feature("long text in message_payload")
def test_a_message_payload_is_cut_here(world: Any, peer: Peer) -> None:
    to = world.number()
    message_id = peer.submit(to, b"", message_payload=b"y" * 400)
    left = world.take(to, 3)
    assert b"".join(each.short_message[6:] for each in left) == b"y" * 400
    peer.wait_for_receipt(message_id)


@feature("binary, and binary with a port header")
@pytest.mark.parametrize("header", [b"", bytes.fromhex("0605040b8423f0")])
def test_binary_content_passes_through(world: Any, peer: Peer, header: bytes) -> None:
    to = world.number()
    octets = header + bytes(range(100, 200))
    esm_class = smpplib.consts.SMPP_GSMFEAT_UDHI if header else 0
    peer.submit(to, octets, data_coding=4, esm_class=esm_class)
    [left] = world.take(to)
    assert (left.short_message, left.data_coding, left.esm_class) == (octets, 4, esm_class)


@feature("flash")
@pytest.mark.parametrize(
    ("octets", "data_coding"), [(b"look", 0x10), ("щ".encode("utf-16-be"), 0x18)]
)
def test_a_flash_message_stays_one(world: Any, peer: Peer, octets: bytes, data_coding: int) -> None:
    to = world.number()
    peer.submit(to, octets, data_coding=data_coding)
    [left] = world.take(to)
    assert (left.short_message, left.data_coding) == (octets, data_coding)


@feature("receipts of what failed, with its error")
def test_a_failure_is_told_with_its_error(world: Any, peer: Peer) -> None:
    receipt = peer.wait_for_receipt(peer.submit(world.number("1"), b"Hello"))
    assert (receipt.status.wire, receipt.error) == ("undelivered", "027")


@feature("a refused submission, and the next one taken")
def test_a_wrong_number_is_refused_by_status(world: Any, peer: Peer) -> None:
    pdu = peer.client.send_message(destination_addr="12", short_message=b"x", source_addr="Shop")
    peer.wait_for(lambda: any(a.sequence == pdu.sequence for a in peer.answers))
    assert peer.answers[-1].status == ESME_RINVDSTADR
    peer.submit(world.number(), b"Hello")


@feature("query_sm")
def test_a_query_tells_the_state(world: Any, peer: Peer) -> None:
    message_id = peer.submit(world.number(), b"Hello")
    peer.wait_for_receipt(message_id)
    peer.client.query_message(message_id=message_id, source_addr="Shop")
    peer.wait_for(lambda: bool(peer.others))
    [answer] = peer.others
    assert answer.message_id.decode() == message_id
    assert answer.message_state == smpplib.consts.SMPP_MESSAGE_STATE_DELIVERED


@feature("messages from phones: GSM-7, UCS-2, long")
def test_phones_messages_arrive(world: Any, peer: Peer) -> None:
    texts = ["Hi there €", "Привет 😀", "long " * 60]
    for text in texts:
        world.phone("447400111222", text)
    peer.wait_for(lambda: len(peer.texts()) == 4)
    plain, cyrillic, *parts = peer.texts()
    assert plain.source_addr == b"447400111222"
    assert plain.short_message == smpplib.gsm.gsm_encode(texts[0])
    assert (cyrillic.data_coding, cyrillic.short_message.decode("utf-16-be")) == (8, texts[1])
    assert b"".join(part.short_message[6:] for part in parts).decode() == texts[2]
    assert {part.esm_class for part in parts} == {v.ESM_CLASS_UDHI}


@feature("messages from phones: binary with a header, flash")
def test_phones_octets_and_classes_arrive(world: Any, peer: Peer) -> None:
    header = bytes.fromhex("0605040b8423f0")
    sent = [
        (header + b"\x00\xff\x80", 4, v.ESM_CLASS_UDHI),
        (b"Look 5 \x1be", 0x10, 0),
        ("щ😀".encode("utf-16-be"), 0x18, 0),
    ]
    for octets, data_coding, esm_class in sent:
        world.phone_octets("447400111333", octets, data_coding, has_header=bool(esm_class))
    peer.wait_for(lambda: len(peer.texts()) == len(sent))
    came = [(d.short_message, d.data_coding, d.esm_class) for d in peer.texts()]
    assert came == sent


@feature("enquire_link, asked by us")
def test_it_answers_when_it_is_asked(world: Any, peer: Peer) -> None:
    # An enquire_link that stayed unanswered would end the session before the third.
    asked = 0
    while asked < 3:
        pdu = peer.client.read_pdu()
        if pdu.command == "enquire_link":
            peer.client._enquire_link_received(pdu)
            asked += 1
    peer.submit(world.number(), b"still here")
