"""How Kannel and Jasmin are asked over HTTP, and what their answers mean."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from bench.generator.answers import Verdict
from bench.generator.driver import Dialect
from bench.peers.jasmin import Send
from bench.peers.kannel import SendSms

CALLBACK = "http://127.0.0.1:8000/{n}"


def read_query(request: bytes) -> tuple[str, dict[str, list[str]]]:
    """Return the path and the parameters of a GET."""
    head, _, rest = request.partition(b"\r\n")
    assert rest.endswith(b"\r\n\r\n"), "a whole request"
    method, target, version = head.decode("ascii").split(" ")
    assert (method, version) == ("GET", "HTTP/1.1")
    parts = urlsplit(target)
    return parts.path, parse_qs(parts.query, strict_parsing=True)


def test_kannel_is_asked_for_a_receipt_of_a_text_with_the_messages_number() -> None:
    path, query = read_query(SendSms().write_request([12]))
    assert path == "/cgi-bin/sendsms"
    assert query["text"] == ["#12 Your parcel is on its way and comes today before noon."]
    assert query["to"] == ["447911100012"]
    assert query["dlr-mask"] == ["3"] and "dlr-url" not in query


def test_jasmin_is_asked_for_the_final_receipt_of_the_same_text() -> None:
    path, query = read_query(Send(CALLBACK).write_request([12]))
    assert path == "/send"
    assert query["content"] == ["#12 Your parcel is on its way and comes today before noon."]
    assert query["to"] == ["447911100012"]
    assert (query["dlr"], query["dlr-level"]) == (["yes"], ["2"])


@pytest.mark.parametrize("dialect", [SendSms(CALLBACK), Send(CALLBACK)])
def test_a_callback_names_its_message(dialect: Dialect) -> None:
    _, query = read_query(dialect.write_request([70_007]))
    assert query["dlr-url"] == ["http://127.0.0.1:8000/70007"]


@pytest.mark.parametrize(
    ("dialect", "status", "body"),
    [
        (SendSms(), 202, b"0: Accepted for delivery"),
        (SendSms(), 202, b"3: Queued for later delivery"),
        (Send(CALLBACK), 200, b'Success "07033084-5cfd-4812-90a4-e4d24ffb6e3d"'),
    ],
)
def test_what_was_taken_counts_as_accepted(dialect: Dialect, status: int, body: bytes) -> None:
    assert dialect.judge(status, body, [1]) == Verdict(accepted=1, segments=1)


@pytest.mark.parametrize("dialect", [SendSms(), Send(CALLBACK)])
def test_not_now_means_again(dialect: Dialect) -> None:
    assert dialect.judge(503, b"Temporal failure, try again later.", [5]) == Verdict(again=[5])


@pytest.mark.parametrize(
    ("dialect", "status", "body"),
    [
        (SendSms(), 403, b"Authorization failed for sendsms"),
        (Send(CALLBACK), 412, b'Error "No route found"'),
        (Send(CALLBACK), 200, b"something else"),
    ],
)
def test_everything_else_is_rejected_with_its_words(
    dialect: Dialect, status: int, body: bytes
) -> None:
    assert dialect.judge(status, body, [5]).rejected == {f"{status} {body.decode()}": 1}
