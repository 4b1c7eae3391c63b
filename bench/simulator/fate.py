"""What becomes of a message: decided once, from the script and the message's own draws.

A fate says everything: how it is answered and when, and which receipts follow. The session only
carries it out.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from bench.simulator.identity import (
    DRAW_DELAY,
    DRAW_DUPLICATE,
    DRAW_EARLY,
    DRAW_LATE,
    DRAW_LATENCY,
    DRAW_MALFORMED,
    DRAW_MISSING,
    DRAW_REFUSE,
    DRAW_RULE,
    DRAW_STATE,
    DRAW_TROUBLE,
    DRAW_VARIANT,
    DRAWS,
)
from bench.simulator.script import Duration, Outcome, Rule, Script, duration

RECEIPTS_ALL = 1
RECEIPTS_FAILURE = 2
RECEIPTS_SUCCESS = 3
RECEIPTS_MASK = 0x03
RECEIPTS_INTERMEDIATE = 0x10

_FAILURES = frozenset({"UNDELIV", "EXPIRED", "REJECTD", "DELETED", "UNKNOWN"})

# The multiplier and increment of a full-period generator modulo 2**32. A rule's share takes the
# next number of the message's own sequence, so that the shares of two rules are independent.
_MULTIPLIER = 0x2C9277B5
_INCREMENT = 0xAC564B05
_MODULUS = 2**32


class Trouble(Enum):
    """What happens instead of an answer."""

    SILENCE = "silence"
    DROP = "drop"
    GARBAGE = "garbage"


class Report(msgspec.Struct, frozen=True):
    """One receipt: when after the response, and what it says."""

    delay_s: float
    state: str
    err: str
    variant: str = ""
    """How it is malformed; empty when it is not."""
    intermediate: bool = False


class Fate(msgspec.Struct, frozen=True):
    """How one submission is answered, and what follows when it is taken."""

    status: int
    """0: taken, unless there is trouble."""
    latency_s: float
    trouble: Trouble | None
    taken: bool
    """Whether the message reaches the phone; an unanswered one may."""
    early: bool
    reports: tuple[Report, ...]
    rule: Rule


class Fates:
    """The script's rules, ready to be asked."""

    def __init__(self, script: Script) -> None:
        self._rules = [_Prepared(rule) for rule in script.rule]
        self._rules.append(_Prepared(Rule()))
        self.certain = all(rule.certain and rule.share >= 1.0 for rule in self._rules)
        """Whether no draw is ever needed."""

    def decide(
        self, destination: bytes, registered_delivery: int, draws: Callable[[], tuple[float, ...]]
    ) -> Fate:
        """Return the fate of a message; `draws` is only called where chance decides."""
        if self.certain:
            for rule in self._rules:
                if rule.fits_all or rule.fits(destination):
                    return rule.decide_certain(registered_delivery)
        numbers = draws()
        chance = numbers[DRAW_RULE]
        for rule in self._rules:
            if not rule.fits(destination):
                continue
            if chance < rule.share:
                if rule.certain:
                    return rule.decide_certain(registered_delivery)
                return rule.decide(registered_delivery, numbers)
            chance = _next(chance)
        raise AssertionError("the last rule fits every message")


class _Prepared:
    """One rule with everything computed that does not depend on the message."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.share = rule.share
        self.fits_all = not (rule.prefix or rule.suffix)
        self._prefix, self._suffix = rule.prefix.encode(), rule.suffix.encode()
        self._latency = duration(rule.latency)
        self._delay = duration(rule.delay)
        self._late = duration(rule.late)
        self._outcomes = [
            (outcome, self._delay if outcome.delay is None else duration(outcome.delay))
            for outcome in rule.receipts
        ]
        shares = (
            (Trouble.SILENCE, rule.silence_share),
            (Trouble.DROP, rule.drop_share),
            (Trouble.GARBAGE, rule.garbage_share),
        )
        self._troubles = tuple((trouble, share) for trouble, share in shares if share)
        self._certain: dict[int, Fate] = {}
        self.certain = _is_certain(rule, self._latency, [delay for _, delay in self._outcomes])

    def fits(self, destination: bytes) -> bool:
        return destination.startswith(self._prefix) and destination.endswith(self._suffix)

    def decide_certain(self, registered_delivery: int) -> Fate:
        """Return the one fate that this rule knows."""
        fate = self._certain.get(registered_delivery)
        if fate is None:
            fate = self.decide(registered_delivery, (0.5,) * DRAWS)
            self._certain[registered_delivery] = fate
        return fate

    def decide(self, registered_delivery: int, draws: tuple[float, ...]) -> Fate:
        rule = self.rule
        latency_s = self._latency.at(draws[DRAW_LATENCY])
        trouble = self._choose_trouble(draws[DRAW_TROUBLE])
        if trouble is not None:
            taken = rule.unanswered == "taken"
            reports = self._choose_reports(registered_delivery, draws) if taken else ()
            return Fate(0, latency_s, trouble, taken, False, reports, rule)
        status = self._choose_status(draws[DRAW_REFUSE])
        if status:
            return Fate(status, latency_s, None, False, False, (), rule)
        early = draws[DRAW_EARLY] < rule.early_share
        reports = self._choose_reports(registered_delivery, draws)
        return Fate(0, latency_s, None, True, early, reports, rule)

    def _choose_trouble(self, chance: float) -> Trouble | None:
        for trouble, share in self._troubles:
            if chance < share:
                return trouble
            chance -= share
        return None

    def _choose_status(self, chance: float) -> int:
        for refusal in self.rule.refuse:
            if chance < refusal.share:
                return refusal.status
            chance -= refusal.share
        return 0

    def _choose_outcome(self, chance: float) -> tuple[Outcome, Duration]:
        for pair in self._outcomes:
            if chance < pair[0].share:
                return pair
            chance -= pair[0].share
        return self._outcomes[-1]  # the shares add up to 1 only within rounding

    def _choose_reports(
        self, registered_delivery: int, draws: tuple[float, ...]
    ) -> tuple[Report, ...]:
        rule = self.rule
        if draws[DRAW_MISSING] < rule.missing_share:
            return ()
        outcome, delay = self._choose_outcome(draws[DRAW_STATE])
        if draws[DRAW_LATE] < rule.late_share:
            delay = self._late
        delay_s = delay.at(draws[DRAW_DELAY])
        variant = ""
        if draws[DRAW_MALFORMED] < rule.malformed_share:
            variant = rule.malformed[int(draws[DRAW_VARIANT] * len(rule.malformed))]
        reports: list[Report] = []
        if outcome.intermediate and (
            rule.force_receipts or registered_delivery & RECEIPTS_INTERMEDIATE
        ):
            reports.append(Report(delay_s / 2, "ENROUTE", "000", "", True))
        if rule.force_receipts or is_asked_for(outcome.state, registered_delivery):
            report = Report(delay_s, outcome.state, outcome.err, variant)
            reports.append(report)
            if draws[DRAW_DUPLICATE] < rule.duplicate_share:
                reports.append(report)
        return tuple(reports)


def is_asked_for(state: str, registered_delivery: int) -> bool:
    """Return whether a receipt of `state` was asked for (SMPP 3.4 §5.2.17, 3 from SMPP 5.0)."""
    match registered_delivery & RECEIPTS_MASK:
        case 1:
            return True
        case 2:
            return state in _FAILURES
        case 3:
            return state == "DELIVRD"
        case _:
            return False


def _is_certain(rule: Rule, latency: Duration, delays: list[Duration]) -> bool:
    chances = (
        rule.silence_share,
        rule.drop_share,
        rule.garbage_share,
        rule.late_share,
        rule.early_share,
        rule.duplicate_share,
        rule.missing_share,
        rule.malformed_share,
        *(refusal.share for refusal in rule.refuse),
    )
    return (
        all(share in (0.0, 1.0) for share in chances)
        and len(rule.receipts) == 1
        and not (rule.malformed_share and len(rule.malformed) > 1)
        and all(_is_fixed(each) for each in (latency, *delays))
        and not (rule.late_share and not _is_fixed(duration(rule.late)))
    )


def _is_fixed(value: Duration) -> bool:
    return value.at(0.0) == value.at(0.75)


def _next(chance: float) -> float:
    return (int(chance * _MODULUS) * _MULTIPLIER + _INCREMENT) % _MODULUS / _MODULUS
