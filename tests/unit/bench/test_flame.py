from __future__ import annotations

import xml.etree.ElementTree as xml

import pytest

from bench.flame import WIDTH, Frame, read_folded, write_svg

FOLDED = [
    "run (gateway/app.py);commit (asyncpg/connection.py) 30",
    "run (gateway/app.py);encode <fast> (gateway/smpp/pdu.py) 10",
    "",
    "wait (threading.py) 60",
]
SVG = "{http://www.w3.org/2000/svg}"


def boxes(picture: str) -> dict[str, float]:
    """Return the width of each frame in a picture, by the first word of its title."""
    found = {}
    for group in xml.fromstring(picture).iter(f"{SVG}g"):  # noqa: S314 (our own, above)
        title, box = group.findtext(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title and box is not None
        found[title.split()[0]] = float(box.attrib["width"])
    return found


def test_stacks_that_begin_alike_share_their_frames() -> None:
    root = read_folded(FOLDED)
    assert root.samples == 100
    run = root.calls["run (gateway/app.py)"]
    assert (run.samples, sorted(each.samples for each in run.calls.values())) == (40, [10, 30])


def test_within_a_frame_what_stands_above_it_is_left_and_nothing_else() -> None:
    root = read_folded(FOLDED, "run")
    assert (root.name, root.samples) == ("run", 40)
    assert set(root.calls) == {
        "commit (asyncpg/connection.py)",
        "encode <fast> (gateway/smpp/pdu.py)",
    }


def test_a_line_that_is_no_stack_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a stack"):
        read_folded(["alone"])


def test_frames_are_as_wide_as_their_share() -> None:
    found = boxes(write_svg(read_folded(FOLDED), "title"))
    assert found == {"all": WIDTH, "run": 480.0, "commit": 360.0, "encode": 120.0, "wait": 720.0}


def test_a_frame_of_less_than_two_pixels_is_left_out() -> None:
    found = boxes(write_svg(read_folded(["wide 10000", "narrow 1"]), "title"))
    assert set(found) == {"all", "wide"}


def test_nothing_that_was_sampled_is_still_a_picture() -> None:
    assert boxes(write_svg(Frame("all"), "none <here>")) == {"all": 0.0}
