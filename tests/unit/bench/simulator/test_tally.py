from __future__ import annotations

import json

from bench.simulator.tally import BINDS_KEPT_MAX, BindFigures, Messages, Tally


def test_distinct_messages_and_duplicates_are_told_apart() -> None:
    messages = Messages()
    for key in (1, 2, 1, 3, 1):
        messages.note_taken(key)
    assert (messages.distinct, messages.duplicates) == (3, 2)


def test_a_refused_message_that_is_taken_later_is_no_duplicate() -> None:
    messages = Messages()
    messages.note_refused(1)
    messages.note_taken(1)
    assert (messages.distinct, messages.duplicates) == (1, 0)


def test_attempts_count_what_was_taken_and_what_was_refused() -> None:
    messages = Messages()
    seen = []
    for note in (messages.note_refused, messages.note_taken, messages.note_taken):
        seen.append(messages.attempts(1))
        note(1)
    assert [*seen, messages.attempts(1), messages.attempts(2)] == [0, 1, 2, 3, 0]


def test_the_most_in_flight_outlives_its_bind() -> None:
    tally = Tally()
    bind = BindFigures(1, "gw", "transceiver")
    tally.note_bound(bind)
    for _ in range(3):
        bind.note_submitted()
    bind.note_answered(3)
    bind.note_submitted()
    tally.note_closed(bind, unbound=False)
    for number in range(2, BINDS_KEPT_MAX + 10):
        other = BindFigures(number, "gw", "transceiver")
        tally.note_bound(other)
        tally.note_closed(other, unbound=True)
    report = tally.report()
    assert report["in_flight_max"] == 3
    assert len(report["bind"]) == BINDS_KEPT_MAX
    assert (report["binds"]["lost"], report["binds"]["unbound"]) == (1, BINDS_KEPT_MAX + 8)
    assert report["binds"]["open_max"] == 1


def test_a_report_is_json() -> None:
    tally = Tally()
    tally.note_bound(BindFigures(1, "gw", "transceiver"))
    tally.statuses[0x58] += 2
    report = json.loads(json.dumps(tally.report()))
    assert report["statuses"] == {"0x58": 2}
    assert report["bind"][0]["open"] is True


def test_messages_that_never_came_are_found() -> None:
    messages = Messages()
    messages.note_taken(2)
    messages.note_refused(3)
    assert messages.find_missing(range(1, 5)) == [1, 3, 4]
