"""Fields read and written by their kind."""

import pytest

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import InvalidField, MalformedPdu
from gateway.smpp.fields import (
    DistributionList,
    Reader,
    SmeAddress,
    UnsuccessfulSme,
    Value,
    encode_field,
)
from gateway.smpp.specification import Field, Kind

FLAG = Field("esm_class", Kind.INTEGER, 1)
ADDRESS = Field("source_addr", Kind.TEXT, 21)
BODY = Field("short_message", Kind.OCTETS, 254)
DESTINATIONS = Field("dest_addresses", Kind.DESTINATIONS, 254)
FAILURES = Field("unsuccess_smes", Kind.FAILURES, 255)


@pytest.mark.parametrize(
    ("field", "value", "wire"),
    [
        (FLAG, 255, b"\xff"),
        (FLAG, None, b"\0"),
        (ADDRESS, "12345678901234567890", b"12345678901234567890\0"),
        (ADDRESS, None, b"\0"),
        (ADDRESS, "Café", b"Caf\xe9\0"),
        (BODY, b"a\0b", b"\x03a\0b"),
        (BODY, None, b"\0"),
        (BODY, bytes(254), b"\xfe" + bytes(254)),
        (DESTINATIONS, (SmeAddress(1, 1, "44"), DistributionList("all")), b"\2\1\1\x0144\0\2all\0"),
        (FAILURES, (UnsuccessfulSme(1, 2, "44", 0x0B),), b"\1\1\x0244\0\0\0\0\x0b"),
        (FAILURES, None, b"\0"),
    ],
)
def test_a_value_is_written_as_its_kind_and_read_back(
    field: Field, value: Value | None, wire: bytes
) -> None:
    assert encode_field(field, value) == wire
    reader = Reader(wire)
    read = reader.read(field, last=False)
    assert read == value or not (read or value)
    assert reader.at == len(wire)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (FLAG, 256),
        (FLAG, -1),
        (FLAG, "1"),
        (ADDRESS, "123456789012345678901"),
        (ADDRESS, "a\0b"),
        (ADDRESS, "€"),
        (ADDRESS, b"bytes"),
        (BODY, bytes(255)),
        (BODY, "text"),
        (DESTINATIONS, None),
        (DESTINATIONS, (DistributionList("x" * 21),)),
        (DESTINATIONS, (DistributionList("x"),) * 255),
    ],
)
def test_what_does_not_fit_is_refused_by_the_field_s_name(
    field: Field, value: Value | None
) -> None:
    with pytest.raises(InvalidField) as refused:
        encode_field(field, value)
    assert refused.value.field in (field.name, "dl_name")


@pytest.mark.parametrize(
    ("field", "wire"),
    [(FLAG, b""), (ADDRESS, b"1234"), (BODY, b""), (BODY, b"\x03ab"), (DESTINATIONS, b"\x02\x01")],
)
def test_a_body_that_ends_within_a_field_is_malformed(field: Field, wire: bytes) -> None:
    with pytest.raises(MalformedPdu):
        Reader(wire).read(field, last=False)


def test_a_short_message_that_is_cut_off_has_its_own_status() -> None:
    with pytest.raises(MalformedPdu) as malformed:
        Reader(b"\x03ab").read(BODY, last=True)
    assert malformed.value.status == v.ESME_RINVMSGLEN


def test_the_last_text_may_lack_its_nul() -> None:
    assert Reader(b"1234").read(ADDRESS, last=True) == "1234"
    assert Reader(b"").read(ADDRESS, last=True) == ""


def test_an_unknown_dest_flag_is_malformed() -> None:
    with pytest.raises(MalformedPdu) as malformed:
        Reader(b"\1\3").read(DESTINATIONS, last=False)
    assert malformed.value.status == v.ESME_RINVDESTFLAG
