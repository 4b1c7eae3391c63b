"""Callbacks in peers' forms: which news is told, and how the call looks."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import id_at
from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId
from gateway.outcomes import Notice, Party
from gateway.peers.callbacks import (
    Form,
    JasminCallback,
    KannelCallback,
    Trail,
    Turn,
    build_batch_notice,
    build_peer_notice,
    fill_escapes,
    fill_for_later,
    is_peers,
    pack_jasmin,
    pack_kannel,
    split_target,
    unpack,
)

AT = 1_769_850_061.0  # 2026-01-31T09:01:01Z
ID = MessageId(id_at(AT - 61) + 1)
TRAIL = Trail(Turn.ENDED_THERE, "north", "abc/1", AT - 60)


def party(callback_url: str) -> Party:
    return Party("Shop", "4917012345678", "", "", callback_url, 1)


def tell(
    callback_url: str,
    status: Status = Status.DELIVERED,
    trail: Trail = TRAIL,
    error: str = "",
) -> Notice | None:
    return build_peer_notice(AccountId(1), ID, party(callback_url), status, error, AT, trail)


def call_of(notice: Notice | None) -> tuple[Form, str, dict[str, str]]:
    """Return how it is delivered, the address without its query, and the query or the body."""
    assert notice is not None
    form, url = split_target(notice.url)
    parts = urlsplit(url)
    values = parse_qs(notice.body or parts.query, keep_blank_values=True, strict_parsing=True)
    return (
        form,
        f"{parts.scheme}://{parts.netloc}{parts.path}",
        {k: v[0] for k, v in values.items()},
    )


@pytest.mark.parametrize(
    ("packed", "callback"),
    [
        ("kannel:19:http://a.example/%d", KannelCallback(19, "http://a.example/%d")),
        ("kannel:64:http://a.example/", None),
        ("kannel:x:http://a.example/", None),
        ("kannel:1:ftp://a.example/", None),
        ("jasmin:3:GET:https://a.example/", JasminCallback(3, "GET", "https://a.example/")),
        ("jasmin:4:GET:https://a.example/", None),
        ("jasmin:1:PUT:https://a.example/", None),
        ("http://a.example/", None),
        ("", None),
    ],
)
def test_what_is_packed_is_unpacked(
    packed: str, callback: KannelCallback | JasminCallback | None
) -> None:
    assert unpack(packed) == callback
    if isinstance(callback, KannelCallback):
        assert pack_kannel(callback.mask, callback.url) == packed
    elif isinstance(callback, JasminCallback):
        assert pack_jasmin(callback.level, callback.method, callback.url) == packed
    assert not callback or is_peers(packed)


def test_plain_addresses_are_nobodys() -> None:
    assert not is_peers("https://kannel.example/")
    assert split_target("https://a.example/") == (Form.EVENT, "https://a.example/")


# ── Kannel ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "turn", "news"),
    [
        (Status.SUBMITTED, Turn.TAKEN, 8),
        (Status.SUBMITTED, Turn.ON_ITS_WAY, 4),
        (Status.DELIVERED, Turn.ENDED_THERE, 1),
        (Status.UNDELIVERED, Turn.ENDED_THERE, 2),
        (Status.EXPIRED, Turn.ENDED_THERE, 2),
        (Status.DELETED, Turn.ENDED_THERE, 2),
        (Status.UNKNOWN, Turn.ENDED_THERE, 2),
        (Status.REJECTED, Turn.ENDED_THERE, 2),
        (Status.REJECTED, Turn.ENDED_HERE, 16),
        (Status.EXPIRED, Turn.ENDED_HERE, 16),
        (Status.CANCELED, Turn.ENDED_HERE, None),
    ],
)
def test_a_mask_chooses_the_news(status: Status, turn: Turn, news: int | None) -> None:
    trail = Trail(turn, "north", "abc", AT)
    for mask in range(64):
        notice = tell(f"kannel:{mask}:http://a.example/?d=%d", status, trail)
        if news is not None and mask & news:
            assert call_of(notice) == (Form.GET, "http://a.example/", {"d": str(news)})
        elif turn is Turn.ON_ITS_WAY and mask & 32:
            assert call_of(notice)[2] == {"d": "32"}
        else:
            assert notice is None


def test_every_escape_has_its_value() -> None:
    pattern = "&".join(f"{letter}=%{letter}" for letter in "dAabkrsFIipPqQtTB")
    notice = tell(
        f"kannel:2:http://a.example/?{pattern}&x=%z&p2=%%41", Status.UNDELIVERED, error="021"
    )
    _, _, values = call_of(notice)
    receipt = (
        "id:abc/1 sub:001 dlvrd:000 submit date:2601310900 done date:2601310901 stat:UNDELIV"
        " err:021 text:"
    )
    assert values == {
        "d": "2",
        "A": receipt,
        "a": receipt,
        "b": receipt,
        "k": "id:abc/1",
        "r": receipt.partition(" ")[2],
        "s": "sub:001",
        "F": "abc/1",
        "I": str(ID),
        "i": "north",
        "p": "4917012345678",
        "P": "Shop",
        "q": "4917012345678",
        "Q": "Shop",
        "t": "2026-01-31 09:01:01",
        "T": "1769850061",
        "B": "021",
        "x": "%z",
        "p2": "A",
    }


def test_a_refusal_is_told_with_its_status() -> None:
    trail = Trail(Turn.ENDED_HERE, "north", code=0x0B)
    _, _, values = call_of(tell("kannel:16:http://a.example/?A=%A", Status.REJECTED, trail))
    assert values == {"A": "NACK/0x0000000b/ESME_RINVDSTADR"}


def test_values_known_at_once_are_no_escapes_later() -> None:
    pattern = fill_for_later("http://a.example/%n/%d/%%", {"n": "Bücher %d"})
    assert pattern == "http://a.example/B%%C3%%BCcher%%20%%25d/%d/%%"
    notice = tell(f"kannel:1:{pattern}")
    assert notice is not None
    assert notice.url == "get:http://a.example/B%C3%BCcher%20%25d/1/%"


@given(st.text(alphabet=st.characters(exclude_characters="\0")))
def test_escapes_that_mean_nothing_stay(text: str) -> None:
    assert fill_escapes(text, {}) == text
    assert fill_for_later(text, {}) == text


# ── Jasmin ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("turn", "status", "level_told"),
    [
        (Turn.TAKEN, Status.SUBMITTED, {1: 1, 2: None, 3: 1}),
        (Turn.ON_ITS_WAY, Status.SUBMITTED, {1: None, 2: None, 3: None}),
        (Turn.ENDED_THERE, Status.DELIVERED, {1: None, 2: 2, 3: 2}),
        (Turn.ENDED_THERE, Status.UNDELIVERED, {1: None, 2: 2, 3: 2}),
        (Turn.ENDED_HERE, Status.REJECTED, {1: 1, 2: 2, 3: 1}),
        (Turn.ENDED_HERE, Status.CANCELED, {1: None, 2: None, 3: None}),
    ],
)
def test_a_level_chooses_the_news(
    turn: Turn, status: Status, level_told: dict[int, int | None]
) -> None:
    for level, told in level_told.items():
        notice = tell(f"jasmin:{level}:POST:http://a.example/d", status, Trail(turn, "north"))
        if told is None:
            assert notice is None
        else:
            assert call_of(notice)[2]["level"] == str(told)


def test_a_receipt_is_posted_as_a_form() -> None:
    form, url, values = call_of(tell("jasmin:3:POST:http://a.example/d?x=1"))
    assert (form, url) == (Form.POST_ACK, "http://a.example/d")
    assert values == {
        "id": str(ID),
        "level": "2",
        "connector": "north",
        "message_status": "DELIVRD",
        "id_smsc": "abc/1",
        "subdate": "2601310900",
        "donedate": "2601310901",
        "sub": "001",
        "dlvrd": "001",
        "err": "000",
        "text": "",
    }


def test_a_get_has_its_parameters_in_the_address() -> None:
    trail = Trail(Turn.TAKEN, "north", "abc")
    notice = tell("jasmin:1:GET:http://a.example/d?x=1", Status.SUBMITTED, trail)
    assert call_of(notice) == (
        Form.GET_ACK,
        "http://a.example/d",
        {
            "x": "1",
            "id": str(ID),
            "level": "1",
            "connector": "north",
            "message_status": "ESME_ROK",
        },
    )


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [(0x0B, Status.REJECTED, "ESME_RINVDSTADR"), (None, Status.EXPIRED, "EXPIRED")],
)
def test_a_refusal_is_told_by_name(code: int | None, status: Status, word: str) -> None:
    trail = Trail(Turn.ENDED_HERE, "north", code=code)
    _, _, values = call_of(tell("jasmin:1:POST:http://a.example/d", status, trail))
    assert values["message_status"] == word


def test_a_batch_tells_of_each_message() -> None:
    notice = build_batch_notice(
        AccountId(1), "http://a.example/b", "u-1", "491", 'Success "7"', True, AT
    )
    assert call_of(notice) == (
        Form.GET,
        "http://a.example/b",
        {"batchId": "u-1", "to": "491", "status": "1", "statusText": 'Success "7"'},
    )
