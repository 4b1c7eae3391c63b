"""The tables of PDUs and TLVs."""

from aiosmpplib import state as library

from gateway.smpp import vocabulary as v
from gateway.smpp.specification import PDUS, TLVS, Kind, tlv_name
from gateway.smpp.states import REQUESTS, UNANSWERED


def test_every_command_of_the_specification_has_its_fields() -> None:
    assert {command.value for command in library.SmppCommand} <= PDUS.keys()


def test_every_request_with_an_answer_has_its_response() -> None:
    for command_id in REQUESTS - UNANSWERED:
        assert command_id | v.RESPONSE in PDUS, v.command_name(command_id)


def test_field_names_are_unique_within_a_pdu() -> None:
    for command_id, fields in PDUS.items():
        names = [field.name for field in fields]
        assert len(names) == len(set(names)), v.command_name(command_id)


def test_every_tag_of_the_library_has_a_form_of_the_same_kind() -> None:
    tags = {
        value
        for name, value in vars(library).items()
        if name.isupper() and isinstance(value, int) and not name.startswith("DLR_")
    }
    assert tags <= TLVS.keys()
    ussd_service_op = 0x0501  # one octet: text to the library, a number to everybody else
    for tag in tags - {ussd_service_op}:
        is_integer = library.tag_data_type(tag) is int
        assert (TLVS[tag].kind is Kind.INTEGER) == is_integer, TLVS[tag].name
        if is_integer:
            assert library.OptionalParam(tag, 0).length == TLVS[tag].size, TLVS[tag].name


def test_vendor_tags_are_named_by_themselves() -> None:
    assert tlv_name(0x1401) == "0x1401"
    assert tlv_name(0x001E) == "receipted_message_id"
