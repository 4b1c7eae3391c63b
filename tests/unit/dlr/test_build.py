"""Receipts that we write: for the field's readers, not for ours alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from aiosmpplib.protocol import DeliverSm
from aiosmpplib.state import PhoneNumber

from gateway.dlr.build import build_receipt, build_receipt_text
from gateway.dlr.dialects import DEFAULT, Dialect
from gateway.dlr.parse import parse_receipt
from gateway.dlr.receipt import Receipt
from gateway.lifecycle import Status
from gateway.smpp import shapes

SUBMITTED_AT = datetime(2026, 11, 22, 9, 15, 59, tzinfo=UTC).timestamp()
DONE_AT = datetime(2026, 11, 22, 23, 59, 1, tzinfo=UTC).timestamp()

WORDS = {
    Status.ACCEPTED: "ENROUTE",
    Status.SENDING: "ENROUTE",
    Status.SUBMITTED: "ENROUTE",
    Status.DELIVERED: "DELIVRD",
    Status.UNDELIVERED: "UNDELIV",
    Status.EXPIRED: "EXPIRED",
    Status.REJECTED: "REJECTD",
    Status.DELETED: "DELETED",
    Status.CANCELED: "DELETED",
    Status.UNKNOWN: "UNKNOWN",
}


def text_of(status: Status, *, error: str = "000", text: str = "", offset: int = 0) -> bytes:
    return build_receipt_text(
        message_id="1234567890",
        status=status,
        submitted_at=SUBMITTED_AT,
        done_at=DONE_AT,
        error=error,
        text=text,
        utc_offset_minutes=offset,
    )


def test_the_text_is_the_field_s_usual_one() -> None:
    assert text_of(Status.DELIVERED) == (
        b"id:1234567890 sub:001 dlvrd:001 submit date:2611220915 done date:2611222359"
        b" stat:DELIVRD err:000 text:"
    )
    assert text_of(Status.UNDELIVERED, error="027", text="Your code is 123456, don't share") == (
        b"id:1234567890 sub:001 dlvrd:000 submit date:2611220915 done date:2611222359"
        b" stat:UNDELIV err:027 text:Your code is 123456,"
    )


def test_dates_are_in_the_client_s_zone() -> None:
    assert b"submit date:2611221445 done date:2611230529" in text_of(Status.DELIVERED, offset=330)
    assert b"submit date:2611220415 done date:2611221859" in text_of(Status.DELIVERED, offset=-300)


def test_text_that_is_not_ascii_does_not_break_the_receipt() -> None:
    assert text_of(Status.DELIVERED, text="Grüße 😀").endswith(b" text:Gr??e ?")


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_its_word(status: Status) -> None:
    assert f" stat:{WORDS[status]} err:".encode() in text_of(status)


@pytest.mark.parametrize("status", list(Status))
def test_an_independent_client_reads_the_text(status: Status) -> None:
    theirs = DeliverSm(
        short_message=text_of(status, error="012", text="Hi").decode(),
        source=PhoneNumber("1"),
        destination=PhoneNumber("2"),
        esm_class=4,
    ).parse_receipt()
    assert theirs == {
        "id": "1234567890",
        "sub": 1,
        "dlvrd": int(status is Status.DELIVERED),
        "submit date": datetime(2026, 11, 22, 9, 15),  # noqa: DTZ001  theirs has no zone
        "done date": datetime(2026, 11, 22, 23, 59),  # noqa: DTZ001
        "stat": WORDS[status],
        "err": 12,
        "text": "Hi",
    }


def test_the_tlvs_say_the_same_as_the_text() -> None:
    built = build_receipt(
        message_id="ab-12",
        status=Status.UNDELIVERED,
        submitted_at=SUBMITTED_AT,
        done_at=DONE_AT,
        network_error=(3, 0x010D),
    )
    assert built.esm_class == 0x04
    assert built.tlvs == {0x001E: b"ab-12\0", 0x0427: b"\x05", 0x0423: b"\x03\x01\x0d"}
    assert built.short_message.startswith(b"id:ab-12 ")


@pytest.mark.parametrize("status", [s for s in Status if s.final and s is not Status.CANCELED])
@pytest.mark.parametrize("offset", [0, 330, -300])
def test_what_is_built_is_read_with_and_without_its_tlvs(status: Status, offset: int) -> None:
    built = build_receipt(
        message_id="1234567890",
        status=status,
        submitted_at=SUBMITTED_AT,
        done_at=DONE_AT,
        utc_offset_minutes=offset,
    )
    dialect = DEFAULT if not offset else Dialect(name="zone", utc_offset_minutes=offset)
    for tlvs in ({}, built.tlvs):
        deliver = shapes.DeliverSm(
            source_addr="4915100001",
            destination_addr="ACME",
            esm_class=built.esm_class,
            short_message=built.short_message,
            tlvs=tlvs,
        )
        receipt = parse_receipt(deliver, dialect)
        assert isinstance(receipt, Receipt)
        assert receipt.carrier_message_id == "1234567890"
        assert receipt.status is status
        assert receipt.submitted_at == SUBMITTED_AT - 59
        assert receipt.done_at == DONE_AT - 1
