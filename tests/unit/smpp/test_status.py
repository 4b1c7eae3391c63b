"""What a status asks for."""

import pytest
from aiosmpplib.state import SmppCommandStatus

from gateway.smpp.status import (
    SUBMIT_CLASSES,
    BindOutcome,
    StatusClass,
    classify,
    classify_bind,
)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x00, StatusClass.OK),
        (0x58, StatusClass.THROTTLE),
        (0x14, StatusClass.THROTTLE),
        (0x08, StatusClass.RETRY),
        (0x45, StatusClass.RETRY),
        (0x66, StatusClass.REROUTE),
        (0x101, StatusClass.REROUTE),
        (0x0B, StatusClass.PERMANENT),
        (0xC4, StatusClass.PERMANENT),
        (0x04, StatusClass.SESSION_FAULT),
        (0x03, StatusClass.SESSION_FAULT),
    ],
)
def test_each_class_is_found_by_its_status(status: int, expected: StatusClass) -> None:
    assert classify(status) is expected


@pytest.mark.parametrize("status", [0x400, 0x4FF, 0x412, 0xDEADBEEF, 0x09])
def test_vendor_and_unknown_statuses_are_worth_a_retry(status: int) -> None:
    assert classify(status) is StatusClass.RETRY


def test_a_carrier_s_own_meaning_goes_before_the_table() -> None:
    overrides = {0x45: StatusClass.PERMANENT, 0x412: StatusClass.THROTTLE}
    assert classify(0x45, overrides) is StatusClass.PERMANENT
    assert classify(0x412, overrides) is StatusClass.THROTTLE
    assert classify(0x58, overrides) is StatusClass.THROTTLE


def test_every_status_of_a_submission_in_the_specification_was_thought_of() -> None:
    of_other_requests = {
        "ESME_RALYBND",
        "ESME_RBINDFAIL",
        "ESME_RINVPASWD",
        "ESME_RINVSYSID",
        "ESME_RINVSYSTYP",
        "ESME_RCANCELFAIL",
        "ESME_RREPLACEFAIL",
        "ESME_RQUERYFAIL",
    }
    for status in SmppCommandStatus:
        if status.name not in of_other_requests:
            assert status.value in SUBMIT_CLASSES, status.name


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x00, BindOutcome.BOUND),
        (0x05, BindOutcome.BOUND),
        (0x0E, BindOutcome.BAD_CREDENTIALS),
        (0x0F, BindOutcome.BAD_CREDENTIALS),
        (0x53, BindOutcome.BAD_CREDENTIALS),
        (0x0D, BindOutcome.RETRY),
        (0x08, BindOutcome.RETRY),
        (0x412, BindOutcome.RETRY),
    ],
)
def test_a_bind_s_answer_has_one_of_three_outcomes(status: int, expected: BindOutcome) -> None:
    assert classify_bind(status) is expected
