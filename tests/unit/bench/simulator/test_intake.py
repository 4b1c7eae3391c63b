from __future__ import annotations

from bench.simulator.fate import Trouble
from bench.simulator.intake import Door, Intake
from bench.simulator.script import parse_script
from bench.simulator.submit import Submit, read_submit
from bench.simulator.tally import Tally
from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import encode_submit_sm
from gateway.smpp.shapes import SubmitSm


def submit(number: int, text: bytes = b"text", **fields: object) -> Submit:
    message = SubmitSm(
        source_addr="A",
        destination_addr=f"4479110{number:05d}",
        registered_delivery=1,
        short_message=text,
        **fields,  # type: ignore[arg-type]
    )
    return read_submit(encode_submit_sm(1, message))


def intake_of(text: str) -> tuple[Intake, Tally]:
    tally = Tally()
    return Intake(parse_script(text), tally), tally


def test_beyond_the_rate_messages_are_throttled_and_not_taken() -> None:
    intake, tally = intake_of("[server]\nrate_per_s = 10\nburst = 2")
    statuses = [intake.judge(submit(n), 1, 0.0).status for n in range(4)]
    assert statuses == [0, 0, v.ESME_RTHROTTLED, v.ESME_RTHROTTLED]
    assert intake.judge(submit(2), 1, 0.1).status == 0
    assert (tally.submit_sm, tally.messages.distinct, tally.messages.duplicates) == (5, 3, 0)


def test_beyond_the_window_messages_are_refused() -> None:
    intake, _ = intake_of("[server]\nwindow_max = 2")
    assert intake.judge(submit(1), 2, 0.0).status == 0
    assert intake.judge(submit(2), 3, 0.0).status == v.ESME_RMSGQFUL


def test_the_scripts_own_statuses_are_used_for_its_limits() -> None:
    intake, _ = intake_of(
        "[server]\nrate_per_s = 1\nburst = 1\nthrottle_status = 0x401\n"
        "window_max = 1\nwindow_status = 0x402"
    )
    assert intake.judge(submit(1), 2, 0.0).status == 0x402
    assert intake.judge(submit(1), 1, 0.0).status == 0
    assert intake.judge(submit(1), 1, 0.0).status == 0x401


def test_a_message_that_comes_again_is_a_duplicate() -> None:
    intake, tally = intake_of("")
    for number in (1, 2, 1, 1):
        intake.judge(submit(number), 1, 0.0)
    assert (tally.messages.distinct, tally.messages.duplicates) == (2, 2)


def test_segments_by_udh_by_sar_and_in_a_payload_are_messages_of_their_own() -> None:
    intake, tally = intake_of("")
    header = b"\x05\x00\x03\x07\x02"
    for part in (b"\x01", b"\x02"):
        intake.judge(submit(1, header + part + b"same", esm_class=0x40), 1, 0.0)
        intake.judge(submit(1, b"same", tlvs={v.TAG_SAR_SEGMENT_SEQNUM: part}), 1, 0.0)
        intake.judge(submit(1, b"", tlvs={v.TAG_MESSAGE_PAYLOAD: b"long" + part}), 1, 0.0)
    assert (tally.messages.distinct, tally.messages.duplicates) == (6, 0)


def test_by_tag_a_message_is_the_same_whatever_else_changes() -> None:
    intake, tally = intake_of("identity = 'tag'")
    intake.judge(submit(1, b"first #7"), 1, 0.0)
    intake.judge(submit(2, b"again #7"), 1, 0.0)
    assert (tally.messages.distinct, tally.messages.duplicates) == (1, 1)


def test_a_refused_message_draws_anew_when_it_comes_again() -> None:
    intake, tally = intake_of("[[rule]]\nrefuse = [{ status = 8, share = 0.5 }]")
    for number in range(50):
        tries = [intake.judge(submit(number), 1, 0.0).status for _ in range(40)]
        assert 0 in tries
        assert tries.count(0) < 40
    assert tally.messages.distinct == 50


def test_the_order_of_arrival_does_not_change_a_messages_fate() -> None:
    text = "[[rule]]\nrefuse = [{ status = 8, share = 0.5 }]"
    forwards, _ = intake_of(text)
    backwards, _ = intake_of(text)
    numbers = range(100)
    there = [forwards.judge(submit(n), 1, 0.0) for n in numbers]
    back = [backwards.judge(submit(n), 1, 0.0) for n in reversed(numbers)]
    assert there == list(reversed(back))


def test_every_nth_submission_meets_trouble() -> None:
    intake, _ = intake_of("[connection]\ndrop_every = 3\ngarbage_every = 4")
    troubles = [intake.judge(submit(n), 1, 0.0).trouble for n in range(1, 9)]
    assert troubles == [
        None,
        None,
        Trouble.DROP,
        Trouble.GARBAGE,
        None,
        Trouble.DROP,
        None,
        Trouble.GARBAGE,
    ]


def test_without_accounts_everybody_may_bind() -> None:
    assert Door(parse_script("")).judge("anyone", "anything", 99) == 0


def test_credentials_refusals_and_limits_of_binds_have_their_statuses() -> None:
    door = Door(
        parse_script(
            """
            [[account]]
            system_id = "gw"
            password = "secret"
            binds_max = 2
            [[account]]
            system_id = "closed"
            password = "secret"
            refuse_status = 0x0D
            """
        )
    )
    assert door.judge("gw", "secret", 0) == v.ESME_ROK
    assert door.judge("gw", "wrong", 0) == v.ESME_RINVPASWD
    assert door.judge("nobody", "secret", 0) == v.ESME_RINVSYSID
    assert door.judge("closed", "secret", 0) == v.ESME_RBINDFAIL
    assert door.judge("gw", "secret", 1) == v.ESME_ROK
    assert door.judge("gw", "secret", 2) == v.ESME_RALYBND


def test_the_first_binds_can_be_refused() -> None:
    door = Door(parse_script("[connection]\nrefuse_first = 2\nrefuse_status = 0x08"))
    assert [door.judge("gw", "", 0) for _ in range(3)] == [8, 8, 0]
