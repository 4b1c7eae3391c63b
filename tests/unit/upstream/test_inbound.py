"""Messages from phones, as the deliver_sm that an account's receivers get."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.model import Account, AccountId, CarrierId, MessageId
from gateway.outcomes import InboundMessage
from gateway.record import replace
from gateway.smpp.pdu import decode_deliver_sm
from gateway.smpp.shapes import DeliverSm
from gateway.smpp.tlvs import encode_tlvs
from gateway.text.style import DefaultAlphabet
from gateway.text.udh import concatenation
from gateway.upstream.inbound import build_inbound
from gateway.upstream.terms import Terms

TERMS = Terms(account=Account(id=AccountId(7), name="shop"), system_id="shop", password_hash="")
ESM_CLASS_UDHI = 0x40


def build(
    body: str = "", alphabet: DefaultAlphabet = DefaultAlphabet.GSM7, **fields: Any
) -> list[DeliverSm]:
    usual: dict[str, Any] = {
        "id": MessageId(0x1234_5678_9ABC),
        "carrier_id": CarrierId(1),
        "received_at": 0.0,
        "sender": "447400123456",
        "recipient": "447400999999",
        "data_coding": 0,
        "esm_class": 0,
        "content": b"",
    }
    message = InboundMessage(**(usual | {"body": body} | fields))
    terms = replace(TERMS, alphabet=alphabet)
    return [decode_deliver_sm(octets) for octets in build_inbound(terms, message)]


def test_a_short_text_is_one_delivery_from_the_phone_to_the_number() -> None:
    [delivery] = build("Hi €")
    assert (delivery.source_addr, delivery.source_addr_ton) == ("447400123456", 1)
    assert (delivery.destination_addr, delivery.dest_addr_ton) == ("447400999999", 1)
    assert (delivery.esm_class, delivery.data_coding) == (0, 0)
    assert delivery.short_message == b"Hi \x1be"


def test_tlvs_that_pass_go_up_with_every_part() -> None:
    packed = encode_tlvs([(0x1401, b"vendor's"), (0x0204, b"\0\7")])
    parts = build("a" * 161, tlvs=packed)
    assert [dict(part.tlvs) for part in parts] == [{0x1401: b"vendor's", 0x0204: b"\0\7"}] * 2


def test_an_empty_text_is_a_delivery_too() -> None:
    [delivery] = build("")
    assert delivery.short_message == b""


@pytest.mark.parametrize(
    ("text", "alphabet", "data_coding", "octets"),
    [
        ("é[", DefaultAlphabet.GSM7, 0, b"\x05\x1b<"),
        ("á", DefaultAlphabet.GSM7, 8, b"\x00\xe1"),
        ("á[", DefaultAlphabet.LATIN1, 0, b"\xe1["),
        ("€", DefaultAlphabet.LATIN1, 8, b"\x20\xac"),
        ("a[", DefaultAlphabet.ASCII, 0, b"a["),
        ("é", DefaultAlphabet.ASCII, 8, b"\x00\xe9"),
        ("é€", DefaultAlphabet.UTF8, 0, "é€".encode()),
    ],
)
def test_a_text_is_in_the_accounts_alphabet_or_in_ucs_2(
    text: str, alphabet: DefaultAlphabet, data_coding: int, octets: bytes
) -> None:
    [delivery] = build(text, alphabet)
    assert (delivery.data_coding, delivery.short_message) == (data_coding, octets)


@pytest.mark.parametrize(
    ("text", "alphabet", "sizes"),
    [
        ("x" * 161, DefaultAlphabet.GSM7, [6 + 153, 6 + 8]),
        ("щ" * 71, DefaultAlphabet.GSM7, [6 + 134, 6 + 8]),
        ("á" * 141, DefaultAlphabet.LATIN1, [6 + 134, 6 + 7]),
        ("щ" * 71, DefaultAlphabet.UTF8, [6 + 134, 6 + 8]),
    ],
)
def test_a_long_text_goes_up_as_numbered_parts(
    text: str, alphabet: DefaultAlphabet, sizes: list[int]
) -> None:
    deliveries = build(text, alphabet)
    assert [len(delivery.short_message) for delivery in deliveries] == sizes
    assert {delivery.esm_class for delivery in deliveries} == {ESM_CLASS_UDHI}
    numbered = [concatenation(delivery.short_message) for delivery in deliveries]
    assert [(part.sequence, part.total) for part in numbered if part] == [(1, 2), (2, 2)]
    assert len({part.reference for part in numbered if part}) == 1


@pytest.mark.parametrize(
    ("text", "came", "goes"),
    [
        ("Alarm", 0x10, 0x10),
        ("Alarm", 0xF1, 0x11),
        ("щ", 0x18, 0x18),
        ("щ", 0x10, 0x18),  # a carrier's own alphabet had it, GSM 7-bit has not
        ("Two wait", 0xC8, 0xC8),
        ("Two wait", 0xE8, 0xD8),
        ("Read and delete", 0x40, 0),
    ],
)
def test_a_message_class_goes_up_with_its_text(text: str, came: int, goes: int) -> None:
    for alphabet in DefaultAlphabet:
        [delivery] = build(text, alphabet, data_coding=came)
        octets = text.encode("ascii" if text.isascii() else "utf-16-be")
        assert (delivery.data_coding, delivery.short_message) == (goes, octets)


@pytest.mark.parametrize(
    ("text", "data_coding", "octets"),
    [("to a port €", 0, b"to a port \x1be"), ("щ", 8, "щ".encode("utf-16-be"))],
)
def test_a_text_keeps_the_header_that_its_reader_needs(
    text: str, data_coding: int, octets: bytes
) -> None:
    udh = bytes.fromhex("0605040b8423f0")
    for alphabet in DefaultAlphabet:
        [delivery] = build(text, alphabet, udh=udh)
        assert (delivery.data_coding, delivery.short_message) == (data_coding, udh + octets)
        assert delivery.esm_class == ESM_CLASS_UDHI
    parts = build("x" * 200, udh=udh)
    assert [part.short_message[:12].hex() for part in parts] == [
        f"0b0003{part.short_message[3]:02x}02{number:02x}05040b8423f0"
        for number, part in enumerate(parts, start=1)
    ]


def test_a_header_that_only_named_the_letters_has_done_its_work() -> None:
    [delivery] = build("ş", udh=bytes.fromhex("03240101"))
    assert (delivery.data_coding, delivery.esm_class) == (8, 0)


def test_what_could_not_be_read_goes_up_octet_by_octet() -> None:
    udh = bytes.fromhex("0605040b8423f0")
    [delivery] = build(exact=False, content=b"\x01\xff", udh=udh, data_coding=0xF5)
    assert (delivery.short_message, delivery.data_coding) == (udh + b"\x01\xff", 0xF5)
    assert delivery.esm_class == ESM_CLASS_UDHI
    long = build(exact=False, content=bytes(200), data_coding=4)
    assert b"".join(part.short_message[6:] for part in long) == bytes(200)


@pytest.mark.parametrize("udh", [b"\x05\x00\x03", bytes((139, 0x70, 137)) + bytes(137)])
def test_a_header_that_does_not_add_up_keeps_nothing_back(udh: bytes) -> None:
    [delivery] = build(exact=False, content=b"content of it", udh=udh, data_coding=4)
    assert delivery.content == udh + b"content of it"


def test_an_address_that_smpp_can_not_write_spoils_nothing() -> None:
    [delivery] = build("Hi", sender="ΔΕΛΤΑ", recipient="4" * 30)
    assert (delivery.source_addr, delivery.destination_addr) == ("?????", "4" * 20)
