from __future__ import annotations

from collections import Counter

import pytest

from bench.simulator.fate import Fate, Fates, Report, Trouble, is_asked_for
from bench.simulator.identity import draw
from bench.simulator.script import parse_script

ALL = 1
FAILURES_ONLY = 2
SUCCESS_ONLY = 3
INTERMEDIATE = 0x10

PLENTY = 4_000


def fates_of(text: str, destinations: list[str], registered_delivery: int = ALL) -> list[Fate]:
    script = parse_script(text)
    fates = Fates(script)
    return [
        fates.decide(
            destination.encode(),
            registered_delivery,
            lambda key=key: draw(script.seed, key, 0),  # type: ignore[misc]
        )
        for key, destination in enumerate(destinations)
    ]


def many(text: str, registered_delivery: int = ALL) -> list[Fate]:
    return fates_of(text, ["447911000000"] * PLENTY, registered_delivery)


def share(fates: list[Fate], count: int) -> float:
    return count / len(fates)


def test_without_rules_a_message_is_taken_at_once_and_delivered() -> None:
    (fate,) = fates_of("", ["447911000000"])
    assert (fate.status, fate.latency_s, fate.trouble, fate.taken) == (0, 0.0, None, True)
    assert fate.reports == (Report(0.0, "DELIVRD", "000"),)


def test_the_first_rule_that_fits_decides() -> None:
    fates = fates_of(
        """
        [[rule]]
        prefix = "44"
        suffix = "9"
        latency = 1
        [[rule]]
        prefix = "44"
        latency = 2
        [[rule]]
        suffix = "9"
        latency = 3
        """,
        ["44119", "44118", "33119", "33118"],
    )
    assert [fate.latency_s for fate in fates] == [1.0, 2.0, 3.0, 0.0]


def test_a_rule_with_a_share_leaves_the_others_to_the_next() -> None:
    fates = many(
        """
        [[rule]]
        share = 0.5
        latency = 1
        [[rule]]
        share = 0.5
        latency = 2
        [[rule]]
        latency = 3
        """
    )
    counted = Counter(fate.latency_s for fate in fates)
    assert share(fates, counted[1.0]) == pytest.approx(0.5, abs=0.03)
    assert share(fates, counted[2.0]) == pytest.approx(0.25, abs=0.03)
    assert share(fates, counted[3.0]) == pytest.approx(0.25, abs=0.03)


def test_the_same_seed_gives_the_same_fates_and_another_seed_others() -> None:
    text = """
        seed = {seed}
        [[rule]]
        latency = {{ kind = "exponential", mean_s = 0.1 }}
        refuse = [{{ status = 8, share = 0.3 }}]
        """
    assert many(text.format(seed=5)) == many(text.format(seed=5))
    assert many(text.format(seed=5)) != many(text.format(seed=6))


def test_a_share_of_messages_is_refused_with_each_status() -> None:
    fates = many(
        """
        [[rule]]
        refuse = [{ status = 0x58, share = 0.2 }, { status = 0x04A1, share = 0.1 }]
        """
    )
    statuses = Counter(fate.status for fate in fates)
    assert share(fates, statuses[0x58]) == pytest.approx(0.2, abs=0.03)
    assert share(fates, statuses[0x04A1]) == pytest.approx(0.1, abs=0.03)
    assert all(not fate.taken and not fate.reports for fate in fates if fate.status)


def test_trouble_comes_in_its_shares() -> None:
    fates = many("[[rule]]\nsilence_share = 0.2\ndrop_share = 0.1\ngarbage_share = 0.3")
    troubles = Counter(fate.trouble for fate in fates)
    assert share(fates, troubles[Trouble.SILENCE]) == pytest.approx(0.2, abs=0.03)
    assert share(fates, troubles[Trouble.DROP]) == pytest.approx(0.1, abs=0.03)
    assert share(fates, troubles[Trouble.GARBAGE]) == pytest.approx(0.3, abs=0.03)
    assert share(fates, troubles[None]) == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize(("unanswered", "taken"), [("taken", True), ("lost", False)])
def test_an_unanswered_message_may_or_may_not_reach_the_phone(unanswered: str, taken: bool) -> None:
    fates = many(f"[[rule]]\nsilence_share = 1\nunanswered = '{unanswered}'")
    assert all(fate.taken is taken and bool(fate.reports) is taken for fate in fates)


def test_receipts_end_in_each_state_by_its_share_with_its_own_delay() -> None:
    fates = many(
        """
        [[rule]]
        delay = 1
        receipts = [
            { share = 0.7 },
            { state = "UNDELIV", err = "021", share = 0.2 },
            { state = "EXPIRED", share = 0.1, delay = 5 },
        ]
        """
    )
    reports = Counter(fate.reports[0] for fate in fates)
    assert set(reports) == {
        Report(1.0, "DELIVRD", "000"),
        Report(1.0, "UNDELIV", "021"),
        Report(5.0, "EXPIRED", "000"),
    }
    delivered = reports[Report(1.0, "DELIVRD", "000")]
    assert share(fates, delivered) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("state", ["DELIVRD", "UNDELIV", "EXPIRED", "REJECTD", "UNKNOWN"])
@pytest.mark.parametrize(
    ("registered_delivery", "asks_success", "asks_failure"),
    [
        (0, False, False),
        (ALL, True, True),
        (FAILURES_ONLY, False, True),
        (SUCCESS_ONLY, True, False),
    ],
)
def test_registered_delivery_is_honoured(
    state: str, registered_delivery: int, asks_success: bool, asks_failure: bool
) -> None:
    asked = asks_success if state == "DELIVRD" else asks_failure
    assert is_asked_for(state, registered_delivery) is asked


def test_a_script_can_send_receipts_that_nobody_asked_for() -> None:
    assert many("[[rule]]", 0)[0].reports == ()
    assert len(many("[[rule]]\nforce_receipts = true", 0)[0].reports) == 1


def test_an_intermediate_notification_goes_first_when_it_is_asked_for() -> None:
    text = "[[rule]]\ndelay = 4\nreceipts = [{ state = 'EXPIRED', intermediate = true }]"
    assert many(text, ALL | INTERMEDIATE)[0].reports == (
        Report(2.0, "ENROUTE", "000", "", True),
        Report(4.0, "EXPIRED", "000"),
    )
    assert len(many(text, ALL)[0].reports) == 1


def test_receipts_are_missing_duplicated_late_or_early_by_their_shares() -> None:
    fates = many(
        """
        [[rule]]
        missing_share = 0.3
        duplicate_share = 0.2
        late_share = 0.1
        late = 60
        early_share = 0.4
        """
    )
    sent = [fate for fate in fates if fate.reports]
    assert share(fates, len(fates) - len(sent)) == pytest.approx(0.3, abs=0.03)
    doubled = sum(len(fate.reports) == 2 for fate in sent)
    assert share(sent, doubled) == pytest.approx(0.2, abs=0.03)
    late = sum(fate.reports[0].delay_s == 60.0 for fate in sent)
    assert share(sent, late) == pytest.approx(0.1, abs=0.03)
    assert share(fates, sum(fate.early for fate in fates)) == pytest.approx(0.4, abs=0.03)


def test_malformed_receipts_use_each_variant_as_often() -> None:
    fates = many("[[rule]]\nmalformed_share = 0.5\nmalformed = ['noise', 'cut']")
    variants = Counter(fate.reports[0].variant for fate in fates)
    assert share(fates, variants[""]) == pytest.approx(0.5, abs=0.03)
    assert share(fates, variants["noise"]) == pytest.approx(0.25, abs=0.03)
    assert share(fates, variants["cut"]) == pytest.approx(0.25, abs=0.03)


def test_a_script_without_chance_asks_for_no_draw() -> None:
    def refuse_to_draw() -> tuple[float, ...]:
        raise AssertionError("nothing here is left to chance")

    script = parse_script("[[rule]]\nprefix = '44'\nlatency = 1\nrefuse = [{ status = 8 }]")
    assert Fates(script).decide(b"4479", ALL, refuse_to_draw).status == 8
    assert Fates(script).decide(b"3360", ALL, refuse_to_draw).status == 0


@pytest.mark.parametrize(
    "line",
    [
        "latency = { kind = 'exponential', mean_s = 1 }",
        "delay = { kind = 'uniform', min_s = 1, max_s = 2 }",
        "late_share = 0.5",
        "late_share = 1\nlate = { kind = 'uniform', min_s = 1, max_s = 2 }",
        "receipts = [{ share = 0.5 }, { state = 'UNDELIV', share = 0.5 }]",
        "malformed_share = 1",
        "early_share = 0.5",
    ],
)
def test_every_kind_of_chance_is_drawn_for_each_message(line: str) -> None:
    assert len(set(many(f"[[rule]]\n{line}"))) > 1
