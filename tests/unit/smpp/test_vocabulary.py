"""Names for SMPP's numbers."""

import pytest
from aiosmpplib import state as library
from smpplib import command_codes, consts

from gateway.smpp import vocabulary as v
from gateway.smpp.specification import TLVS


def test_known_numbers_have_the_names_of_the_specification() -> None:
    assert v.status_name(0x58) == "ESME_RTHROTTLED"
    assert v.status_name(0x105) == "ESME_RINVDCS"
    assert v.command_name(0x04) == "submit_sm"
    assert v.command_name(0x80000009) == "bind_transceiver_resp"
    assert v.command_name(0x111) == "broadcast_sm"
    assert v.ton_name(5) == "alphanumeric"
    assert v.npi_name(1) == "isdn"
    assert v.data_coding_name(8) == "ucs2"


def test_vendor_numbers_are_named_by_themselves() -> None:
    assert v.status_name(0x412) == "0x00000412"
    assert v.command_name(0x00010200) == "0x00010200"
    assert v.ton_name(9) == "0x09"
    assert v.npi_name(0xFF) == "0xff"
    assert v.data_coding_name(0xF0) == "0xf0"


@pytest.mark.parametrize("command", library.SmppCommand)
def test_every_command_of_the_library_is_a_constant_here(command: library.SmppCommand) -> None:
    assert getattr(v, command.name) == command.value


def test_commands_agree_with_a_second_library() -> None:
    for name, number in command_codes.commands.items():
        assert v.command_name(number) == name


def test_tags_agree_with_a_second_library() -> None:
    for name, tag in consts.OPTIONAL_PARAMS.items():
        assert TLVS[tag].name == name


def test_tags_agree_with_the_library() -> None:
    for name in (name for name in dir(v) if name.startswith("TAG_")):
        tag = getattr(v, name)
        assert TLVS[tag].name == name.removeprefix("TAG_").lower()
        assert getattr(library, name.removeprefix("TAG_")) == tag


def test_statuses_agree_with_the_library() -> None:
    for name in (name for name in dir(v) if name.startswith("ESME_")):
        assert v.status_name(getattr(v, name)) == name
