"""The short way through receipts: whatever it reads, the scan reads the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.dlr.scan import scan
from gateway.dlr.usual import read_usual

digits = st.text("0123456789", min_size=10, max_size=14)
ids = st.text("0123456789abcdefXYZ-_./{}", min_size=1, max_size=64)
words = st.sampled_from(["DELIVRD", "UNDELIV", "EXPIRED", "BOGUS", "DELIVERED"])
errors = st.text("0123456789aZ", min_size=1, max_size=4)
quoted = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=30),
    st.sampled_from(["", "id:5 stat:REJECTD", " text: text:", "a Text:b text:c", "\n", "err:9"]),
)


@st.composite
def usual_texts(draw: st.DrawFn) -> str:
    parts = [f"id:{draw(ids)}"]
    if draw(st.booleans()):
        parts.append(f"sub:{draw(st.integers(0, 999)):03d}")
    if draw(st.booleans()):
        parts.append(f"dlvrd:{draw(st.integers(0, 999))}")
    parts.append(f"submit date:{draw(digits)} done date:{draw(digits)} stat:{draw(words)}")
    if draw(st.booleans()):
        parts.append(f"err:{draw(errors)}")
    if draw(st.booleans()):
        parts.append(f"{draw(st.sampled_from(['text', 'Text']))}:{draw(quoted)}")
    return " ".join(parts)


@st.composite
def nearly_usual_texts(draw: st.DrawFn) -> str:
    """One of those with a few of its characters gone, repeated or replaced."""
    text = draw(usual_texts())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        to = at + draw(st.integers(0, 3))
        text = text[:at] + draw(st.sampled_from(["", " ", ":", "\0", "é", "id:", "9"])) + text[to:]
    return text


@given(usual_texts())
def test_every_receipt_of_the_usual_shape_is_read_and_as_the_scan_reads_it(text: str) -> None:
    fields = read_usual(text)
    assert fields is not None
    assert fields == scan(text, has_id=False)


@given(nearly_usual_texts())
def test_what_is_taken_for_usual_is_read_as_the_scan_reads_it(text: str) -> None:
    fields = read_usual(text)
    if fields is None or not fields[0].isalnum():
        return  # the scan takes punctuation around an id for the carrier's, and keys in it for keys
    if "ext:" in text and " text:" not in text and " Text:" not in text:
        return  # where nothing separates it from the error, it is a part of the error for the scan
    assert fields == scan(text, has_id=False)


def test_receipts_that_say_the_same_of_other_messages_are_told_apart() -> None:
    text = "id:{} sub:001 dlvrd:001 submit date:2611220915 done date:2611220916 stat:DELIVRD err:0"
    first, second = read_usual(text.format(1)), read_usual(text.format(2) + " text:Hello")
    assert first is not None and second is not None
    assert (first[0], second[0]) == ("1", "2")
    assert first[1:5] == second[1:5]
    assert (first[5], second[5]) == ("", "Hello")


def test_other_shapes_are_left_to_the_scan() -> None:
    for text in ("", "id:1", "id:1 ", "ID:1 stat:DELIVRD", "id:1 stat:DELIVRD err:000 text:x"):
        assert read_usual(text) is None
