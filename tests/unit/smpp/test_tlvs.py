"""Optional parameters by themselves; in PDUs they are in `test_pdu.py`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp.errors import InvalidField, MalformedPdu
from gateway.smpp.specification import TLVS
from gateway.smpp.tlvs import (
    decode_tlv_value,
    decode_tlvs,
    encode_tlv_value,
    encode_tlvs,
    map_tlvs,
)


@pytest.mark.parametrize(
    ("tag", "value", "wire"),
    [
        (0x0427, 2, b"\2"),
        (0x020C, 0x1234, b"\x12\x34"),
        (0x0017, 60, b"\0\0\0\x3c"),
        (0x001E, "id", b"id\0"),
        (0x0424, b"any", b"any"),
        (0x1401, b"vendor", b"vendor"),
    ],
)
def test_a_tlv_s_value_has_the_form_of_its_tag(
    tag: int, value: int | str | bytes, wire: bytes
) -> None:
    assert encode_tlv_value(tag, value) == wire
    assert decode_tlv_value(tag, wire) == value


def test_tlv_values_of_other_widths_and_without_nul_are_read() -> None:
    assert decode_tlv_value(0x0427, b"\0\0\0\2") == 2
    assert decode_tlv_value(0x001E, b"id") == "id"
    assert decode_tlv_value(0x001E, b"id\0\0\0") == "id"
    assert decode_tlv_value(0x0427, b"") == 0


@pytest.mark.parametrize(
    ("tag", "value"), [(0x0427, 256), (0x0427, "2"), (0x001E, 7), (0x001E, "x" * 65), (0x1401, 1)]
)
def test_a_tlv_value_that_does_not_fit_is_refused_by_its_name(tag: int, value: int | str) -> None:
    with pytest.raises(InvalidField) as refused:
        encode_tlv_value(tag, value)
    assert refused.value.field == (TLVS[tag].name if tag in TLVS else "0x1401")


@pytest.mark.parametrize("pair", [(-1, b""), (0x10000, b""), (0x0424, bytes(0x10000))])
def test_a_tlv_that_its_header_can_t_hold_is_refused(pair: tuple[int, bytes]) -> None:
    with pytest.raises(InvalidField):
        encode_tlvs([pair])


@given(st.binary(max_size=40))
def test_a_mapping_holds_the_same_as_the_list(octets: bytes) -> None:
    try:
        expected = dict(decode_tlvs(octets, 0, lenient=False))
    except MalformedPdu as fault:
        with pytest.raises(MalformedPdu) as refused:
            map_tlvs(octets, 0)
        assert refused.value.status == fault.status
    else:
        assert map_tlvs(octets, 0) == expected
