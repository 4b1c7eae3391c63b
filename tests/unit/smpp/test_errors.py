"""The error tree, split by blame."""

import pytest

from gateway.errors import GatewayError
from gateway.smpp import errors
from gateway.smpp import vocabulary as v


@pytest.mark.parametrize(
    "error",
    [errors.InvalidField("source_addr", "too long"), errors.IllegalSend(), errors.WindowFull()],
)
def test_ours_are_local(error: errors.SmppError) -> None:
    assert isinstance(error, errors.LocalError)
    assert isinstance(error, GatewayError)
    assert not isinstance(error, errors.RemoteError)


@pytest.mark.parametrize(
    "error", [errors.MalformedPdu(""), errors.LengthTooSmall(""), errors.LengthTooLarge("")]
)
def test_the_peer_s_carry_the_status_that_tells_it(error: errors.RemoteError) -> None:
    assert error.status == v.ESME_RINVCMDLEN
    assert not isinstance(error, errors.LocalError)


def test_a_malformed_pdu_may_carry_a_more_exact_status() -> None:
    assert errors.MalformedPdu("", v.ESME_RINVOPTPARSTREAM).status == v.ESME_RINVOPTPARSTREAM


def test_an_invalid_field_is_named() -> None:
    error = errors.InvalidField("source_addr", "21 characters, 20 at most")
    assert error.field == "source_addr"
    assert str(error) == "source_addr: 21 characters, 20 at most"
