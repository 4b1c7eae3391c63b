"""How this node is: what `/readyz`, the operators' pages and the gauges read. Decides nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial

from gateway.carrier_line import Line
from gateway.dispatch import Dispatcher
from gateway.logs import get_logger
from gateway.metrics import Metrics
from gateway.model import CarrierId, Lane
from gateway.routing.health import BreakerState, Cause
from gateway.store.intake_writer import IntakeWriter
from gateway.store.outcome_writer import OutcomeWriter
from gateway.views import CarrierView

log = get_logger("condition")

_HEALTH = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 1.0, BreakerState.OPEN: 2.0}


def _note_health(line: Line, state: BreakerState, cause: Cause) -> None:
    """Count and tell that a carrier is trusted, avoided or tried."""
    line.metrics.health_changed(state.value, cause.value)
    say = log.warning if state is BreakerState.OPEN else log.info
    say("carrier_health", carrier=line.name, state=state.value, reason=cause.value)


class Condition:
    """Implements the API's port of the same name."""

    def __init__(
        self,
        lines: Mapping[CarrierId, Line],
        dispatcher: Dispatcher,
        intake: IntakeWriter,
        outcomes: OutcomeWriter,
        database_away: Callable[[], bool],
        seen: Callable[[list[CarrierView]], list[CarrierView]] = lambda views: views,
    ) -> None:
        """`database_away` says whether any of the node's own connections has lost it; `seen` puts
        what other nodes see of their carriers in the place of what this one does."""
        self._seen = seen
        self._database_away = database_away
        self._lines = lines
        self._dispatcher = dispatcher
        self._intake = intake
        self._outcomes = outcomes
        self.serving = False
        """Whether the node has started and is not stopping."""

    def problems(self) -> list[str]:
        problems = [] if self.serving else ["not started, or stopping"]
        if self._away():
            problems.append("the database is away")
        served = [line for line in self._lines.values() if line.binds]
        if served and not any(line.bound for line in served):
            problems.append("no carrier is bound")
        return problems

    def _away(self) -> bool:
        return not self._intake.available or self._outcomes.away or self._database_away()

    def carriers(self) -> list[CarrierView]:
        return self._seen([self._view(line) for line in self._lines.values()])

    def served_carriers(self) -> list[CarrierView]:
        """Return those that this node has, and not another one."""
        return [
            self._view(line)
            for line in self._lines.values()
            if self._dispatcher.carriers[line.id].elsewhere is None
        ]

    def watch(self, metrics: Metrics) -> None:
        """Have the gauges read from here."""
        metrics.watch(
            database_up=lambda: float(not self._away()),
            tasks=lambda: float(len(asyncio.all_tasks())),
            intake_waiting=lambda: float(self._intake.waiting),
            outcomes_waiting=lambda: float(self._outcomes.waiting),
        )
        for line in self._lines.values():
            self.watch_line(line, metrics)

    def watch_line(self, line: Line, metrics: Metrics) -> None:
        """Have a carrier's gauges read from here."""
        metrics.carrier(line.name).watch(
            binds=lambda: float(len(line.binds)),
            bound=lambda: float(sum(bind.bound for bind in line.binds)),
            window_size=lambda: float(sum(bind.settings.window_size for bind in line.binds)),
            in_flight=lambda: float(sum(bind.in_flight for bind in line.binds)),
            drained=lambda: float(self._dispatcher.carriers[line.id].gone is not None),
            health=lambda: _HEALTH[self._condition_of(line)[0]],
            owned=lambda: float(self._dispatcher.carriers[line.id].elsewhere is None),
        )
        self._dispatcher.carriers[line.id].breaker.listen(partial(_note_health, line))
        for lane in Lane:
            self._watch_lane(line, lane, metrics)

    def forget_line(self, line: Line, metrics: Metrics) -> None:
        """Have no gauges of a carrier that is no more."""
        metrics.carrier(line.name).unwatch()

    def _watch_lane(self, line: Line, lane: Lane, metrics: Metrics) -> None:
        state = self._dispatcher.carriers[line.id]

        def age_s() -> float:
            oldest = state.queue.oldest(lambda job: job.message.accepted_at, lane)
            return 0.0 if oldest is None else max(0.0, time.time() - oldest)

        metrics.carrier(line.name).watch_lane(
            lane,
            waiting=lambda: float(state.lane_waiting(lane) + self._stored(line, lane)),
            oldest_age_s=age_s,
        )

    def _stored(self, line: Line, lane: Lane) -> int:
        """Return how many messages wait in the database alone."""
        return self._dispatcher.shelves[line.id, lane].stored

    def _condition_of(self, line: Line) -> tuple[BreakerState, Cause]:
        now = asyncio.get_running_loop().time()
        return self._dispatcher.carriers[line.id].breaker.condition(now)

    def _view(self, line: Line) -> CarrierView:
        bound = sum(bind.bound for bind in line.binds)
        health, cause = self._condition_of(line)
        state = self._dispatcher.carriers[line.id]
        up = "up" if bound == len(line.binds) else "degraded" if bound else "down"
        return CarrierView(
            name=line.name,
            binds=len(line.binds),
            bound=bound,
            window_size=sum(bind.settings.window_size for bind in line.binds),
            in_flight=sum(bind.in_flight for bind in line.binds),
            waiting=state.waiting + sum(self._stored(line, lane) for lane in Lane),
            rate_per_s=round(state.rate.rate_per_s, 3),
            held_back_by=[limit.wire for limit in state.limits.holding],
            state=up if state.elsewhere is None else "elsewhere",
            health=health.value,
            health_reason=cause.value if health is BreakerState.OPEN else "",
            drained=state.gone.reason if state.gone is not None else "",
        )
