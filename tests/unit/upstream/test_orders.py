"""From submissions to orders."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import record
from gateway.errors import Rejected
from gateway.message import Message, Order
from gateway.model import Account, AccountId, Encoding, Lane, MessageId
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import DistributionList, SmeAddress
from gateway.smpp.passing import PASSED_OCTETS_MAX
from gateway.smpp.pdu import build_frame, decode, encode
from gateway.smpp.shapes import Pdu, SubmitSm
from gateway.smpp.tlvs import encode_tlvs
from gateway.text.style import DefaultAlphabet
from gateway.upstream.content import Unusable
from gateway.upstream.orders import read_replacement, read_submission, read_submit_multi
from gateway.upstream.terms import Terms

NOW = 1_800_000_000.0
TERMS = Terms(
    account=Account(id=AccountId(7), name="shop"), system_id="shop", password_hash="scrypt$"
)


def read(terms: Terms = TERMS, **fields: Any) -> Order | Unusable:
    usual = {"destination_addr": "447400123456", "short_message": b"Hello"}
    return read_submission(SubmitSm(**(usual | fields)), terms, NOW)


def order(**fields: Any) -> Order:
    found = read(**fields)
    assert isinstance(found, Order), found
    return found


def refused(**fields: Any) -> int:
    found = read(**fields)
    assert isinstance(found, Unusable)
    return found.status


def test_a_submission_is_an_order() -> None:
    assert order(source_addr="Shop", registered_delivery=0x11) == Order(
        to="447400123456",
        sender="Shop",
        text="Hello",
        encoding=Encoding.GSM7,
        registered_delivery=0x11,
    )


def test_a_segment_is_an_order_of_its_octets() -> None:
    udh = bytes.fromhex("0500032a0201")
    found = order(short_message=udh + b"part", esm_class=0x40)
    assert (found.text, found.data, found.udh) == ("", b"part", udh)


def test_tlvs_that_are_not_ours_to_read_are_ordered_with_it() -> None:
    tlvs = {
        0x1401: b"template",
        v.TAG_USER_MESSAGE_REFERENCE: b"\0\7",
        v.TAG_MORE_MESSAGES_TO_SEND: b"\1",
        v.TAG_SC_INTERFACE_VERSION: b"\x34",
    }
    assert order(tlvs=tlvs).tlvs == encode_tlvs(list(tlvs.items())[:2])
    sar = {v.TAG_SAR_TOTAL_SEGMENTS: b"\1", v.TAG_SAR_SEGMENT_SEQNUM: b"\1"}
    assert order(tlvs=sar).tlvs == b""
    payload = {v.TAG_MESSAGE_PAYLOAD: b"Hello"}
    assert order(short_message=b"", tlvs=payload).tlvs == b""


def test_more_tlvs_than_are_kept_are_refused() -> None:
    assert order(tlvs={0x1401: bytes(PASSED_OCTETS_MAX - 4)}).tlvs
    assert refused(tlvs={0x1401: bytes(PASSED_OCTETS_MAX - 3)}) == v.ESME_RINVPARLEN


def test_the_accounts_alphabet_reads_data_coding_0() -> None:
    latin = record.replace(TERMS, alphabet=DefaultAlphabet.LATIN1)
    found = read(latin, short_message=b"caf\xe9")
    assert isinstance(found, Order)
    assert found.text == "café"


@pytest.mark.parametrize(
    ("priority_flag", "lane"),
    [(0, Lane.MARKETING), (1, Lane.TRANSACTIONAL), (2, Lane.OTP), (3, Lane.OTP), (9, Lane.OTP)],
)
def test_a_priority_flag_chooses_the_lane(priority_flag: int, lane: Lane) -> None:
    bulk = record.replace(TERMS, lane=Lane.MARKETING)
    found = read(bulk, priority_flag=priority_flag)
    assert isinstance(found, Order)
    assert found.lane is lane


def test_times_are_read() -> None:
    found = order(schedule_delivery_time="000000010000000R", validity_period="000001000000000R")
    assert (found.send_at, found.expires_at) == (NOW + 3_600, NOW + 86_400)
    assert (order().send_at, order().expires_at) == (None, None)


def test_what_cannot_be_read_has_a_status() -> None:
    assert refused(schedule_delivery_time="tomorrow") == v.ESME_RINVSCHED
    assert refused(validity_period="a while") == v.ESME_RINVEXPIRY
    assert refused(short_message=b"") == v.ESME_RINVMSGLEN


def submit_multi(*destinations: SmeAddress | DistributionList, **fields: Any) -> Pdu:
    """A submit_multi as it comes off the wire."""
    values: dict[str, Any] = {
        "source_addr": "Shop",
        "short_message": b"Hello",
        "priority_flag": 1,
    } | fields
    octets = encode(Pdu(v.SUBMIT_MULTI, 1, 0, {"dest_addresses": destinations, **values}))
    return decode(build_frame(v.SUBMIT_MULTI, 0, 1, octets[16:]))


def test_each_destination_of_a_submit_multi_is_an_order() -> None:
    addresses = [SmeAddress(1, 1, "447400123456"), SmeAddress(1, 1, "447400123457")]
    found = read_submit_multi(submit_multi(*addresses, registered_delivery=1), TERMS, NOW)
    assert isinstance(found, list)
    assert [destination.address for destination in found] == addresses
    assert [destination.order.to for destination in found] == ["447400123456", "447400123457"]
    assert {(d.order.text, d.order.sender, d.order.registered_delivery) for d in found} == {
        ("Hello", "Shop", 1)
    }


@pytest.mark.parametrize(
    ("destinations", "fields", "status"),
    [
        ((), {}, v.ESME_RINVNUMDESTS),
        ((DistributionList("staff"),), {}, v.ESME_RINVDLNAME),
        ((SmeAddress(1, 1, "1"),), {"short_message": b""}, v.ESME_RINVMSGLEN),
    ],
)
def test_a_submit_multi_that_orders_nothing_is_refused(
    destinations: tuple[SmeAddress | DistributionList, ...], fields: dict[str, Any], status: int
) -> None:
    found = read_submit_multi(submit_multi(*destinations, **fields), TERMS, NOW)
    assert isinstance(found, Unusable)
    assert found.status == status


def message(**fields: Any) -> Message:
    usual: dict[str, Any] = {
        "id": MessageId(42),
        "account_id": AccountId(7),
        "accepted_at": NOW - 60,
        "sender": "Shop",
        "recipient": "447400123456",
        "country": "GB",
        "text": "first",
        "encoding": Encoding.GSM7,
        "segments": 1,
        "lane": Lane.OTP,
        "price_micros": 10,
        "routes": (1,),
        "send_at": NOW + 600,
        "expires_at": NOW + 900,
        "registered_delivery": 1,
    }
    return Message(**(usual | fields))


def replace(
    old: Message, octets: bytes = b"second", *, terms: Terms = TERMS, **fields: Any
) -> Order | str:
    """Read a replace_sm: an order, or the code that refuses it."""
    values = {"message_id": "42", "short_message": octets} | fields
    request = encode(Pdu(v.REPLACE_SM, 1, 0, values))
    read = read_replacement(decode(build_frame(v.REPLACE_SM, 0, 1, request[16:])), old, terms, NOW)
    return read.code if isinstance(read, Rejected) else read


def test_what_a_replacement_leaves_empty_stays() -> None:
    assert replace(message(), registered_delivery=1) == Order(
        to="447400123456",
        sender="Shop",
        text="second",
        encoding=Encoding.GSM7,
        send_at=NOW + 600,
        expires_at=NOW + 900,
        registered_delivery=1,
    )


def test_a_replacement_of_what_was_due_already_is_not_late() -> None:
    found = replace(message(send_at=NOW - 86_400, expires_at=NOW + 900))
    assert isinstance(found, Order)
    assert (found.send_at, found.expires_at) == (None, NOW + 900)


def test_a_replacement_changes_times_and_receipts() -> None:
    found = replace(
        message(),
        schedule_delivery_time="000000010000000R",
        validity_period="000001000000000R",
        registered_delivery=0,
    )
    assert isinstance(found, Order)
    assert (found.send_at, found.expires_at) == (NOW + 3_600, NOW + 86_400)
    assert found.registered_delivery == 0


def test_a_replacement_reads_by_the_encoding_of_what_it_replaces() -> None:
    ucs2 = message(encoding=Encoding.UCS2, data_coding=0x18)
    found = replace(ucs2, "щ".encode("utf-16-be"))
    assert isinstance(found, Order)
    assert (found.text, found.encoding, found.data_coding) == ("щ", Encoding.UCS2, 0x18)
    binary = replace(message(text="", data=b"\x01", encoding=Encoding.BINARY), b"\x02\xff")
    assert isinstance(binary, Order)
    assert (binary.text, binary.data, binary.encoding) == ("", b"\x02\xff", Encoding.BINARY)
    latin = record.replace(TERMS, alphabet=DefaultAlphabet.LATIN1)
    found = replace(message(), "á".encode("latin-1"), terms=latin)
    assert isinstance(found, Order)
    assert (found.text, found.encoding) == ("á", None)


@pytest.mark.parametrize(
    ("old", "octets", "fields", "code"),
    [
        ({}, b"", {}, "text_empty"),
        ({}, b"\xff", {}, "text_not_encodable"),
        ({}, b"x", {"schedule_delivery_time": "soon"}, "send_at_not_a_time"),
        ({}, b"x", {"validity_period": "long"}, "validity_out_of_range"),
        ({"udh": b"\x05\0\3\1\2\1", "data": b"x"}, b"x", {}, "replacement_not_possible"),
        ({"text": "", "data": b"\xff"}, b"x", {}, "replacement_not_possible"),
    ],
)
def test_a_replacement_that_cannot_be_is_refused(
    old: dict[str, Any], octets: bytes, fields: dict[str, Any], code: str
) -> None:
    assert replace(message(**old), octets, **fields) == code
