"""What mail servers' answers mean, and when an email is tried again."""

from __future__ import annotations

import pytest

from gateway.config import Email
from gateway.fallback.outcome import (
    REPLY_CHARS_MAX,
    Failed,
    Later,
    Sent,
    ServerAway,
    SmtpOutcome,
    Stage,
    decide_break,
    decide_pause,
    decide_reply,
    decide_retry,
)

SETTINGS = Email(retry_first_s=60, retry_max_s=3600, give_up_after_s=86_400)


@pytest.mark.parametrize(
    ("stage", "code", "kind"),
    [
        (Stage.DATA, 250, Sent),
        (Stage.DATA, 451, Later),
        (Stage.DATA, 554, Failed),
        (Stage.DATA, 421, Later),
        (Stage.RCPT, 450, Later),
        (Stage.RCPT, 550, Failed),
        (Stage.RCPT, 421, Later),
        (Stage.RCPT, 530, Failed),
        (Stage.MAIL, 452, Later),
        (Stage.MAIL, 553, Failed),
        (Stage.MAIL, 421, ServerAway),
        (Stage.MAIL, 530, ServerAway),
        (Stage.CONNECT, 554, ServerAway),
        (Stage.CONNECT, 535, ServerAway),
        (Stage.CONNECT, 421, ServerAway),
        (Stage.CONNECT, -1, ServerAway),
        (Stage.RCPT, -1, Later),
        (Stage.RCPT, 250, Later),
    ],
)
def test_a_reply_is_about_the_email_or_the_server(
    stage: Stage, code: int, kind: type[SmtpOutcome]
) -> None:
    outcome = decide_reply(stage, code, "words")
    assert type(outcome) is kind
    assert outcome.reply == f"{code} words"


@pytest.mark.parametrize("stage", Stage)
def test_a_break_is_never_final(stage: Stage) -> None:
    kind = ServerAway if stage is Stage.CONNECT else Later
    assert type(decide_break(stage, "gone")) is kind


def test_what_a_server_says_becomes_one_bounded_line() -> None:
    outcome = decide_reply(Stage.DATA, 550, "no\r\n such\tuser\x00 \x1b[31m" + "x" * 1_000)
    assert outcome.reply.startswith("550 no such user [31mx")
    assert outcome.reply.isprintable()
    assert len(outcome.reply) == REPLY_CHARS_MAX


def test_retries_wait_twice_as_long_each_time_and_end() -> None:
    waits = [decide_retry(n, 0.0, 1_000.0, SETTINGS, 0.0) for n in range(1, 10)]
    expected = [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0, 3600.0]
    assert waits == [1_000.0 + wait for wait in expected]
    assert decide_retry(1, 0.0, 1_000.0, SETTINGS, 0.5) == 1_045.0
    assert decide_retry(1, 0.0, 86_340.0, SETTINGS, 0.0) == 86_400.0
    assert decide_retry(1, 0.0, 86_341.0, SETTINGS, 0.0) is None
    assert decide_retry(10_000, 0.0, 0.0, SETTINGS, 0.0) == 3_600.0


def test_a_server_is_left_alone_longer_each_time_up_to_a_minute() -> None:
    assert [decide_pause(n, 0.0) for n in (1, 2, 3, 7, 1_000)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert decide_pause(7, 0.9) == pytest.approx(33.0)
