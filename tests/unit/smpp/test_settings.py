"""A bind's settings."""

from gateway.smpp import vocabulary as v
from gateway.smpp.settings import BindMode, BindSettings


def test_a_password_is_not_printed() -> None:
    settings = BindSettings(host="smsc.example", system_id="us", password="hunter2")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in f"{settings}"


def test_each_mode_has_its_command() -> None:
    assert {mode: mode.command_id for mode in BindMode} == {
        BindMode.TRANSCEIVER: v.BIND_TRANSCEIVER,
        BindMode.TRANSMITTER: v.BIND_TRANSMITTER,
        BindMode.RECEIVER: v.BIND_RECEIVER,
    }


def test_modes_are_read_by_their_names_in_the_configuration() -> None:
    assert BindMode("transceiver") is BindMode.TRANSCEIVER
