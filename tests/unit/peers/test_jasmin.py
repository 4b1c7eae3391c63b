"""Jasmin's calls: parameters → requests, results → answers."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from gateway.errors import Rejected
from gateway.message import Accepted
from gateway.model import Encoding, MessageId, Micros, SendRequest
from gateway.peers import jasmin
from gateway.peers.forms import read_form
from gateway.views import QuoteItem

NOW = 1_769_850_000.0  # 2026-01-31T09:00:00Z
WEEK_S = 604_800
WHO = "username=shop&password=key&to=4917012345678"


def read(query: str) -> SendRequest:
    return jasmin.read_send(read_form(query.encode()), NOW, WEEK_S)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("content=Hello+world", {"text": "Hello world"}),
        ("content=%E4%BD%A0+%E2%82%AC", {"text": "? €"}),  # coding 0 replaces
        ("content=x&from=Shop", {"text": "x", "sender": "Shop"}),
        ("coding=8&content=%4F%60", {"text": "你", "encoding": "ucs2"}),
        ("coding=8&hex-content=0623063106460628", {"text": "أرنب", "encoding": "ucs2"}),
        ("coding=3&content=gr%FCn", {"text": "grün"}),
        ("coding=1&content=abc", {"text": "abc"}),
        ("coding=6&hex-content=BFE0", {"text": "Пр"}),
        ("coding=2&hex-content=00ff", {"data": "00ff"}),
        ("coding=4&content=%01%02", {"data": "0102"}),
        ("hex-content=4100", {"text": "A@"}),
        ("content=x&priority=3", {"text": "x", "priority": "otp"}),
        ("content=x&priority=0", {"text": "x"}),
        ("content=x&validity-period=10", {"text": "x", "validity_s": 600}),
        ("content=x&validity-period=999999", {"text": "x", "validity_s": WEEK_S}),
        ("content=x&sdt=000000000100000R", {"text": "x", "send_at": "2026-01-31T09:01:00+00:00"}),
        ("content=x&sdt=260131100000000%2B", {"text": "x", "send_at": "2026-01-31T10:00:00+00:00"}),
        ("content=x&tags=a,b-1", {"text": "x", "tag": "a,b-1"}),
        ("content=x&dlr=no", {"text": "x"}),
        ("content=x&dlr=yes", {"text": "x"}),
        (
            "content=x&dlr-url=http://a.example/d",
            {"text": "x", "callback_url": "jasmin:1:POST:http://a.example/d"},
        ),
        (
            "content=x&dlr=yes&dlr-url=http://a.example/d?x=1&dlr-level=3&dlr-method=get",
            {"text": "x", "callback_url": "jasmin:3:GET:http://a.example/d?x=1"},
        ),
        ("content=x&custom_tlvs=[]", {"text": "x"}),
    ],
)
def test_parameters_become_a_request(query: str, expected: dict[str, Any]) -> None:
    assert read(f"{WHO}&{query}") == SendRequest(to="4917012345678", **expected)


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("", 400, jasmin.NOTHING),
        (f"{WHO}&content=x&frm=x", 400, "Argument [frm] is unknown."),
        (
            "username=u&password=p&to=abc&content=x",
            400,
            "Argument [to] has an invalid value: [abc].",
        ),
        ("username=u&to=1&content=x", 400, "Mandatory argument [password] is not found."),
        ("username=u&password=p&content=x", 400, "Mandatory argument [to] is not found."),
        (WHO, 400, "content or hex-content not present."),
        (
            f"{WHO}&content=x&hex-content=00",
            400,
            "content and hex-content cannot be used both in same request.",
        ),
        (f"{WHO}&content=x&coding=11", 400, "Argument [coding] has an invalid value: [11]."),
        (f"{WHO}&content=x&coding=9", 400, "coding 9 is not supported."),
        (f"{WHO}&content=x&coding=8", 400, "the content is not utf-16-be."),
        (f"{WHO}&hex-content=0", 400, "Argument [hex-content] has an invalid value: [0]."),
        (f"{WHO}&content=x&priority=4", 400, "Argument [priority] has an invalid value: [4]."),
        (f"{WHO}&content=x&dlr=maybe", 400, "Argument [dlr] has an invalid value: [maybe]."),
        (
            f"{WHO}&content=x&dlr-url=ftp://x",
            400,
            "Argument [dlr-url] has an invalid value: [ftp://x].",
        ),
        (f"{WHO}&content=x&sdt=soon", 400, "Argument [sdt] has an invalid value: [soon]."),
        (f"{WHO}&content=x&sdt=269931100000000%2B", 400, "Argument [sdt] has an invalid value."),
        (f"{WHO}&content=x&tags=" + "a" * 65, 400, "tags have at most 64 characters."),
        (
            f"{WHO}&content=x&custom_tlvs=[[1]]",
            400,
            "Argument [custom_tlvs] has an invalid value: [[[1]]].",
        ),
    ],
)
def test_what_is_wrong_is_refused_in_its_words(query: str, status: int, text: str) -> None:
    with pytest.raises(jasmin.Refused) as raised:
        read(query)
    assert (raised.value.status, raised.value.text) == (status, text)


def test_json_is_read_as_a_form_would_be() -> None:
    body = {
        "username": "shop",
        "password": "key",
        "to": 4917012345678,
        "hex_content": "0623",
        "coding": 8,
        "dlr_level": 2,
        "dlr-url": "http://a.example/d",
        "custom_tlvs": [],
    }
    request = jasmin.read_send(jasmin.read_json(json.dumps(body).encode()), NOW, WEEK_S)
    assert (request.to, request.text) == ("4917012345678", "أ")
    assert request.callback_url == "jasmin:2:POST:http://a.example/d"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(jasmin.Refused) as raised:
        jasmin.read_json(body)
    assert raised.value.status == 412


def test_a_rate_needs_no_content() -> None:
    request = jasmin.read_rate(read_form(WHO.encode()), NOW, WEEK_S)
    assert request.text == "-"
    with pytest.raises(jasmin.Refused, match="dlr-url"):
        jasmin.read_rate(read_form(f"{WHO}&dlr-url=http://x".encode()), NOW, WEEK_S)


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        (b"Basic " + base64.b64encode(b"foo:bar"), ("foo", "bar")),
        (b"basic " + base64.b64encode(b"foo:b:r"), ("foo", "b:r")),
        (b"Basic " + base64.b64encode(b"foo"), ("foo", "")),
        (b"Bearer x", None),
        (b"Basic !!!", None),
        (b"Basic " + base64.b64encode(b"\xff"), None),
        (None, None),
    ],
)
def test_basic_credentials(header: bytes | None, credentials: tuple[str, str] | None) -> None:
    assert jasmin.read_basic(header) == credentials


# ── batches ─────────────────────────────────────────────────────────────────────────────────


def read_batch(**batch: Any) -> jasmin.BatchCall:
    return jasmin.read_batch(json.dumps(batch).encode(), NOW, WEEK_S)


def test_a_batch_is_messages_over_globals_for_each_receiver() -> None:
    call = read_batch(
        globals={"from": "Shop", "dlr-level": 3, "dlr": "yes", "dlr-url": "http://a.example/d"},
        batch_config={"callback_url": "http://a.example/ok", "errback_url": "http://a.example/no"},
        messages=[
            {"from": "Other", "to": ["1", "2"], "content": "many"},
            {"to": 3, "content": "one"},
            {"to": "4"},
            {"content": "nobody"},
            {"to": "x", "content": "bad"},
        ],
    )
    assert [(r.to, r.sender, r.text) for r in call.requests] == [
        ("1", "Other", "many"),
        ("2", "Other", "many"),
        ("3", "Shop", "one"),
    ]
    assert call.requests[0].callback_url == "jasmin:3:POST:http://a.example/d"
    assert call.refused == [("x", "Argument [to] has an invalid value: [x].")]
    assert call.count == 4
    assert call.callback_url == "http://a.example/ok"


@pytest.mark.parametrize(
    ("at", "send_at"),
    [("90s", "2026-01-31T09:01:30+00:00"), ("2026-02-01 00:00:00", "2026-02-01T00:00:00+00:00")],
)
def test_a_batch_may_be_scheduled(at: str, send_at: str) -> None:
    call = read_batch(batch_config={"schedule_at": at}, messages=[{"to": "1", "content": "x"}])
    assert call.requests[0].send_at == send_at


@pytest.mark.parametrize(
    "batch",
    [
        {"messages": {}},
        {"messages": ["x"]},
        {"globals": []},
        {"batch_config": 1},
        {"batch_config": {"schedule_at": "soon"}},
        {"batch_config": {"schedule_at": 5}},
        {"batch_config": {"schedule_at": "2020-01-01 00:00:00"}},
        {"batch_config": {"callback_url": "ftp://x"}},
        {"batch_config": {"errback_url": 1}},
    ],
)
def test_a_batch_of_another_shape_is_refused(batch: dict[str, Any]) -> None:
    with pytest.raises(jasmin.Refused) as raised:
        read_batch(**batch)
    assert raised.value.status == 412


def test_a_batch_is_bounded() -> None:
    receivers = ["1"] * (jasmin.BATCH_MAX + 1)
    with pytest.raises(jasmin.Refused) as raised:
        read_batch(messages=[{"to": receivers, "content": "x"}])
    assert raised.value.status == 413


# ── answers ─────────────────────────────────────────────────────────────────────────────────


def accepted() -> Accepted:
    return Accepted(
        id=MessageId(263546872340938752),
        status="accepted",
        recipient="1",
        segments=1,
        encoding=Encoding.GSM7,
        price_micros=Micros(0),
        currency="EUR",
    )


@pytest.mark.parametrize(
    ("rejected", "status", "text"),
    [
        (Rejected("no_route", "x", field="to"), 412, "No route found"),
        (Rejected("no_credit", "too dear", status=402), 403, "Cannot charge submit_sm: too dear"),
        (Rejected("rate_exceeded", "x", status=429), 403, "User throughput exceeded"),
        (Rejected("invalid_number", "not a number", field="to"), 400, "not a number"),
        (Rejected("queue_full", "full", status=503), 503, "full"),
    ],
)
def test_refusals_have_their_statuses(rejected: Rejected, status: int, text: str) -> None:
    refused = jasmin.write_refusal(rejected)
    assert (refused.status, refused.text) == (status, text)


def test_results_are_told_in_a_line() -> None:
    assert jasmin.describe(accepted()) == 'Success "263546872340938752"'
    assert jasmin.describe(Rejected("x", 'not "it"')) == "Error \"not 'it'\""


def test_every_message_of_a_batch_has_its_word() -> None:
    call = jasmin.BatchCall([SendRequest(to="1"), SendRequest(to="2")], [("x", "bad")])
    told = jasmin.answer_batch_results([accepted(), Rejected("y", "no")], call)
    assert told == [
        ("1", True, 'Success "263546872340938752"'),
        ("2", False, 'Error "no"'),
        ("x", False, 'Error "bad"'),
    ]


def test_a_rate_is_exact() -> None:
    item = QuoteItem(to="1", segments=3, price="0.0225")
    assert msgspec.json.encode(jasmin.describe_rate(item)) == (
        b'{"unit_rate":0.0075,"submit_sm_count":3}'
    )
