"""What a log line shows, and what it never shows."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from gateway.config import Log
from gateway.logs import get_logger, redact_event, redact_number, redact_text, setup_logging

JSON = Log(format="json")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines_of(settings: Log, write: Any) -> list[dict[str, Any]]:
    out = io.StringIO()
    setup_logging(settings, out)
    write()
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+491511234567", "4915…8"),
        ("491511234567", "4915…8"),
        ("12345", "1234…1"),
        ("1234", "1234"),
        ("BANK", "BANK"),
        ("4U2", "4U2"),
        ("", ""),
    ],
)
def test_a_number_keeps_its_first_four_digits(number: str, shown: str) -> None:
    assert redact_number(number) == shown


def test_a_text_keeps_only_its_length() -> None:
    assert redact_text("your code is 1234") == "<17 chars>"
    assert redact_text(b"\x00\x01") == "<2 bytes>"


def test_peoples_data_is_taken_out_at_any_depth() -> None:
    shown = redact_event(
        {
            "event": "message_refused",
            "to": "+491511234567",
            "text": "secret meeting",
            "messages": [{"recipient": "491511234567", "body": b"abc", "segments": 3}],
        }
    )
    assert shown == {
        "event": "message_refused",
        "to": "4915…8",
        "text": "<14 chars>",
        "messages": [{"recipient": "4915…8", "body": "<3 bytes>", "segments": 3}],
    }


def test_numbers_in_prose_are_found_and_ids_and_times_are_not() -> None:
    prose = "no route to +491511234567 at 2026-11-21T10:00:00 for 73312345678901234567, port 12775"
    assert redact_event({"detail": prose})["detail"] == (
        "no route to 4915…8 at 2026-11-21T10:00:00 for 73312345678901234567, port 12775"
    )


@pytest.mark.parametrize("people", [True, False])
@pytest.mark.parametrize(
    "key", ["password", "api_key", "key", "webhook_secret", "Authorization", "access_token"]
)
def test_secrets_never_appear(key: str, people: bool) -> None:
    assert redact_event({key: "s3cret"}, people=people) == {key: "•••"}
    assert redact_event({"carrier": {key: "s3cret"}}, people=people) == {"carrier": {key: "•••"}}


def test_an_empty_secret_is_seen_to_be_empty() -> None:
    assert redact_event({"password": ""}) == {"password": ""}


def test_an_address_loses_its_password_and_its_query() -> None:
    shown = redact_event({"callback_url": "https://u:p@example.com/in?token=abc&to=491511234567"})
    assert shown == {"callback_url": "https://example.com/in"}
    said = "ClientError: 'https://u:p@example.com/in?token=abc', postgresql://gw:pw@db/gateway?a=b"
    assert redact_event({"error": said}) == {
        "error": "ClientError: 'https://example.com/in', postgresql://db/gateway"
    }


def test_an_endless_nesting_is_cut() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(50):
        inner["a"] = inner = {}
    assert redact_event(deep) == {"a": {"a": {"a": {"a": {"a": "•••"}}}}}


def test_redaction_of_people_can_be_turned_off() -> None:
    [line] = lines_of(
        Log(format="json", redact=False),
        lambda: get_logger("gateway.test").info("sent", to="+491511234567", text="hi"),
    )
    assert (line["to"], line["text"]) == ("+491511234567", "hi")


def test_a_line_is_json_with_time_level_logger_and_event_first() -> None:
    [line] = lines_of(JSON, lambda: get_logger("gateway.smpp").info("bound", carrier="alpha"))
    assert list(line) == ["time", "level", "logger", "event", "carrier"]
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"], line["event"]) == ("info", "gateway.smpp", "bound")


def test_levels_below_the_set_one_are_silent() -> None:
    def write() -> None:
        get_logger("a").debug("unseen")
        get_logger("a").info("unseen")
        get_logger("a").warning("seen")

    assert [line["event"] for line in lines_of(Log(format="json", level="warning"), write)] == [
        "seen"
    ]


def test_bound_keys_are_on_every_line() -> None:
    def write() -> None:
        log = get_logger("a").bind(carrier="alpha")
        log.info("bound")
        log.info("bind_lost", reason="timeout")

    assert [line["carrier"] for line in lines_of(JSON, write)] == ["alpha", "alpha"]


def test_the_standard_librarys_lines_come_the_same_way_and_redacted() -> None:
    [line] = lines_of(
        JSON, lambda: logging.getLogger("some.library").warning("bad peer %s", "491511234567")
    )
    assert (line["logger"], line["level"]) == ("some.library", "warning")
    assert line["event"] == "bad peer 4915…8"


def test_access_lines_with_their_query_strings_are_not_written() -> None:
    assert lines_of(JSON, lambda: logging.getLogger("uvicorn.access").warning("GET /send?")) == []


def test_an_exceptions_trace_is_one_field_and_redacted() -> None:
    def write() -> None:
        try:
            raise ValueError("no route to 491511234567")
        except ValueError:
            get_logger("a").exception("intake_failed")

    [line] = lines_of(JSON, write)
    assert "ValueError: no route to 4915…8" in line["exception"]
    assert "491511234567" not in json.dumps(line)


def test_an_error_given_as_a_value_is_words() -> None:
    [line] = lines_of(JSON, lambda: get_logger("a").info("lost", error=OSError("to 491511234567")))
    assert line["error"] == "OSError: to 4915…8"


def test_setting_up_again_replaces_the_first() -> None:
    first = io.StringIO()
    setup_logging(JSON, first)
    assert len(lines_of(JSON, lambda: get_logger("a").info("once"))) == 1
    assert first.getvalue() == ""


def test_the_console_form_is_for_reading() -> None:
    out = io.StringIO()
    setup_logging(Log(format="console"), out)
    get_logger("gateway.smpp").info("bound", carrier="alpha", password="x")
    assert "bound" in out.getvalue()
    assert "carrier=alpha" in out.getvalue()
    assert "password=•••" in out.getvalue()
    assert "\x1b[" not in out.getvalue()


def test_auto_is_json_where_nobody_watches() -> None:
    assert len(lines_of(Log(), lambda: get_logger("a").info("once"))) == 1
