"""Kannel's call: parameters → requests, results → answers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import Rejected
from gateway.message import Accepted
from gateway.model import Account, AccountId, Encoding, MessageId, Micros, SendRequest
from gateway.peers import kannel
from gateway.peers.forms import read_form

NOW = 1_769_850_000.0  # 2026-01-31T09:00:00Z
WEEK_S = 604_800
SHOP = Account(id=AccountId(1), name="shop")


def read(query: str | bytes) -> kannel.Call | kannel.Reply:
    octets = query.encode() if isinstance(query, str) else query
    return kannel.read_call(read_form(octets), SHOP, NOW, WEEK_S)


def request_of(query: str | bytes) -> SendRequest:
    call = read(query)
    assert isinstance(call, kannel.Call), call
    (request,) = call.requests
    return request


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("to=4917012345678&text=Hello+world", {"text": "Hello world"}),
        ("to=4917012345678&from=Shop&text=x", {"sender": "Shop", "text": "x"}),
        ("to=%2B4917012345678&text=x", {"to": "+4917012345678", "text": "x"}),
        ("to=1&text=gr%C3%BC%C3%9Fe", {"text": "grüße"}),
        ("to=1&text=%E4%BD%A0", {"text": "你"}),
        # Seven bits that were asked for are what is sent.
        ("to=1&coding=0&text=%E4%BD%A0+%E2%82%AC", {"text": "? €"}),
        ("to=1&charset=latin-1&text=gr%FCn", {"text": "grün"}),
        ("to=1&coding=2&text=%4F%60", {"text": "你", "encoding": "ucs2"}),
        ("to=1&coding=2&charset=UTF-8&text=%E4%BD%A0", {"text": "你", "encoding": "ucs2"}),
        ("to=1&coding=1&text=%00%FF", {"data": "00ff"}),
        ("to=1&udh=%06%05%04%0B%84%23%F0&text=%01", {"data": "01", "udh": "0605040b8423f0"}),
        ("to=1&text=x&mclass=0", {"text": "x", "message_class": 0}),
        ("to=1&text=x&flash=1", {"text": "x", "message_class": 0}),
        ("to=1&text=x&validity=10", {"text": "x", "validity_s": 600}),
        ("to=1&text=x&validity=0", {"text": "x", "validity_s": 60}),
        ("to=1&text=x&validity=99999999", {"text": "x", "validity_s": WEEK_S}),
        ("to=1&text=x&deferred=90", {"text": "x", "send_at": "2026-01-31T10:30:00+00:00"}),
        ("to=1&text=x&deferred=0", {"text": "x"}),
        ("to=1&text=x&priority=1", {"text": "x"}),
        ("to=1&text=x&priority=3", {"text": "x", "priority": "otp"}),
        ("to=1&text=x&account=spring", {"text": "x", "tag": "spring"}),
        ("to=1&text=x&smsc=north", {"text": "x", "tag": "north"}),
        ("to=1&text=x&account=spring&smsc=north", {"text": "x", "tag": "spring"}),
        (
            "to=1&text=x&pid=0&compress=0&rpi=0&mwi=-1&alt-dcs=1&binfo=x&meta-data=%3F",
            {"text": "x"},
        ),
        ("to=1&text=x&dlr-url=http://a.example/d", {"text": "x"}),  # nothing was asked for
        (
            "to=1&text=x&dlr-mask=31&dlr-url=http://a.example/d?t=%25d%26i=%25I",
            {"text": "x", "callback_url": "kannel:31:http://a.example/d?t=%d&i=%I"},
        ),
        (
            "to=1&text=x&dlrmask=3&dlrurl=HTTPS://a.example/d",
            {"text": "x", "callback_url": "kannel:3:https://a.example/d"},
        ),
        (
            "to=1&text=x&account=o&dlr-mask=1&dlr-url=http://a.example/%25n/%25o/%25c/%25%25/%25d",
            {"text": "x", "tag": "o", "callback_url": "kannel:1:http://a.example/shop/o/0/%%/%d"},
        ),
        # What an address can't show is encoded so that it is no escape of theirs.
        (
            "to=1&text=x&dlr-mask=1&dlr-url=http://a.example/%C3%BC%20%25d",
            {"text": "x", "callback_url": "kannel:1:http://a.example/%%C3%%BC%%20%d"},
        ),
    ],
)
def test_parameters_become_a_request(query: str, expected: dict[str, Any]) -> None:
    assert request_of(query) == SendRequest(
        **{"to": "1" if "to=1&" in query else "4917012345678"} | expected
    )


def test_every_receiver_gets_a_message_once() -> None:
    call = read("to=1+2++3+2&text=x")
    assert isinstance(call, kannel.Call)
    assert [request.to for request in call.requests] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("text=x", "Missing receiver number, rejected"),
        ("to=&text=x", "Empty receiver number not allowed, rejected"),
        ("to=abc&text=x", kannel.DENIED),
        (
            "to=" + "+".join(str(n) for n in range(1_001)) + "&text=x",
            "More than 1000 receivers, rejected",
        ),
        ("to=1&udh=%05&text=x", "UDH field misformed, rejected"),
        ("to=1&coding=0&udh=%00&text=x", "UDH before 7-bit text is not supported, rejected"),
        ("to=1&coding=2&udh=%00&text=xx", "UDH before UCS-2 text is not supported, rejected"),
        ("to=1&coding=3&text=x", "Coding field misformed, rejected"),
        ("to=1&coding=two&text=x", "Coding field misformed, rejected"),
        ("to=1&mclass=4&text=x", "MClass field misformed, rejected"),
        ("to=1&validity=-5&text=x", "Validity field misformed, rejected"),
        ("to=1&deferred=soon&text=x", "Deferred field misformed, rejected"),
        ("to=1&priority=4&text=x", "Priority field misformed, rejected"),
        ("to=1&dlr-mask=64&dlr-url=http://a.example&text=x", "DLR-Mask field misformed, rejected"),
        ("to=1&dlr-mask=1&dlr-url=ftp://a.example&text=x", "DLR-URL field misformed, rejected"),
        ("to=1&dlr-mask=1&dlr-url=http://&text=x", "DLR-URL field misformed, rejected"),
        ("to=1&account=" + "x" * 65 + "&text=x", "Account field misformed or too long, rejected"),
        ("to=1&charset=klingon&text=x", "Charset or body misformed, rejected"),
        ("to=1&coding=2&text=x", "Charset or body misformed, rejected"),
        ("to=1&text=%FF", "Charset or body misformed, rejected"),
        ("to=1&mwi=1&text=x", "mwi is not supported, rejected"),
        ("to=1&compress=1&text=x", "compress is not supported, rejected"),
        ("to=1&pid=64&text=x", "pid is not supported, rejected"),
        ("to=1&rpi=1&text=x", "rpi is not supported, rejected"),
    ],
)
def test_what_is_misformed_is_refused_with_its_sentence(query: str, text: str) -> None:
    assert read(query) == kannel.Reply(400, text)


def test_a_post_may_have_its_parameters_as_headers() -> None:
    headers = [
        (b"host", b"a"),
        (b"x-kannel-username", b"shop"),
        (b"x-kannel-password", b"key"),
        (b"x-kannel-to", b"1 2"),
        (b"x-kannel-coding", b"1"),
        (b"x-kannel-udh", b"06 05 04 0B 84 23 F0"),
        (b"x-kannel-dlr-mask", b"1"),
        (b"x-kannel-dlr-url", b"http://a.example/%d"),
    ]
    parameters = kannel.read_headers(headers, b"\x01\x02")
    assert kannel.read_credentials(parameters) == ("shop", "key")
    call = kannel.read_call(parameters, SHOP, NOW, WEEK_S)
    assert isinstance(call, kannel.Call)
    assert [(r.to, r.data, r.udh) for r in call.requests] == [
        ("1", "0102", "0605040b8423f0"),
        ("2", "0102", "0605040b8423f0"),
    ]
    assert call.requests[0].callback_url == "kannel:1:http://a.example/%d"


@pytest.mark.parametrize(
    ("query", "credentials"),
    [
        ("username=u&password=p", ("u", "p")),
        ("user=u&pass=p", ("u", "p")),
        ("username=u&user=x&password=", ("u", "")),
        ("", ("", "")),
    ],
)
def test_credentials_have_two_names_each(query: str, credentials: tuple[str, str]) -> None:
    assert kannel.read_credentials(read_form(query.encode())) == credentials


# ── answers ─────────────────────────────────────────────────────────────────────────────────


def accepted(status: str = "accepted") -> Accepted:
    return Accepted(
        id=MessageId(7),
        status=status,
        recipient="1",
        segments=1,
        encoding=Encoding.GSM7,
        price_micros=Micros(0),
        currency="EUR",
    )


BAD_NUMBER = Rejected("invalid_number", "not a number", field="to")
NO_CREDIT = Rejected("no_credit", "the message costs more than is available", status=402)


@pytest.mark.parametrize(
    ("results", "up", "reply"),
    [
        ([accepted()], True, (202, "0: Accepted for delivery")),
        ([accepted()], False, (202, "3: Queued for later delivery")),
        ([accepted("scheduled")], True, (202, "3: Queued for later delivery")),
        (
            [accepted(), BAD_NUMBER, NO_CREDIT],
            True,
            (202, "0: Accepted for delivery Denied receivers are: n1 n2"),
        ),
        ([BAD_NUMBER, NO_CREDIT], True, (400, kannel.DENIED)),
        ([NO_CREDIT], True, (402, "the message costs more than is available, rejected")),
    ],
)
def test_results_become_an_answer(
    results: list[Accepted | Rejected], up: bool, reply: tuple[int, str]
) -> None:
    requests = [SendRequest(to=f"n{place}") for place in range(len(results))]
    answer = kannel.answer_results(results, requests, carriers_up=up)
    assert (answer.status, answer.text) == reply


@pytest.mark.parametrize(
    ("rejected", "reply"),
    [
        (
            Rejected("unauthorized", "x", status=401),
            (403, "Authorization failed for sendsms", None),
        ),
        (
            Rejected("account_inactive", "x", status=403),
            (403, "Authorization failed for sendsms", None),
        ),
        (
            Rejected("rate_exceeded", "x", status=429, retry_after_s=2.0),
            (503, "Temporal failure, try again later.", 2.0),
        ),
        (
            Rejected("sender_missing", "x", field="from"),
            (400, "Sender missing and no global set, rejected", None),
        ),
        (Rejected("text_too_long", "too long", field="text"), (400, "too long, rejected", None)),
    ],
)
def test_a_refusal_is_told_in_its_words(
    rejected: Rejected, reply: tuple[int, str, float | None]
) -> None:
    answer = kannel.answer_rejected(rejected)
    assert (answer.status, answer.text, answer.retry_after_s) == reply
