"""The node's carriers as settings add, change and take them out, without a restart.

    add      line, queue, gauges, sessions
    change   at once: rates, windows, how receipts are read
             when nothing is in flight: how messages are written, what is done with lost ones
             one session after another: where and as whom it is bound
    remove   nothing new ─► what has begun leaves ─► sessions unbind ─► gone

Not here: where waiting messages go meanwhile (`gateway/fleet.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from gateway.carrier_line import Line
from gateway.carrier_state import CarrierState
from gateway.carriers import CarrierDesk
from gateway.condition import Condition
from gateway.config import Carrier
from gateway.errors import ConfigError
from gateway.fleet import Fleet
from gateway.inbound.book import Origin
from gateway.inbound.desk import InboundDesk
from gateway.lines import (
    add_binds,
    agree_rate,
    build_carriers_tls,
    build_destinations,
    build_line,
    build_state,
    build_style,
)
from gateway.live.binds import exchange_binds
from gateway.logs import get_logger
from gateway.metrics import Metrics
from gateway.model import CarrierId
from gateway.routing.health import Gone
from gateway.smpp.client import CarrierBind
from gateway.tls.contexts import TlsContext
from gateway.tls.keeper import Source

log = get_logger("live")

CHECK_S = 0.02
"""How often it is looked whether a carrier has answered everything."""

NOT_ITS_FORM = frozenset(
    {
        # at once
        *(
            "name",
            "rate_per_s",
            "burst",
            "throttle_pause_s",
            "window_size",
            "dialect",
            "ids",
            "not_billed",
        ),
        *("ceilings", "health", "queue_max"),
        # with other sessions
        *("host", "port", "system_id", "password", "system_type", "interface_version"),
        *("address_range", "binds", "tls", "enquire_link_s", "response_timeout_s"),
        *("connect_timeout_s", "inactivity_s", "reconnect_first_s", "reconnect_max_s"),
    }
)
"""Keys that say nothing of how a message is written or what follows its answer."""


class Prepared(msgspec.Struct, frozen=True):
    """A carrier as it is to be, built and connected to nobody."""

    carrier: Carrier
    line: Line
    state: CarrierState


class Plan(msgspec.Struct, frozen=True):
    """What new settings mean for the carriers."""

    added: list[Prepared]
    changed: list[Prepared]
    removed: list[CarrierId]


class LiveCarriers:
    """Owns the lines' sessions, and what is done to them meanwhile."""

    def __init__(
        self,
        configured: Mapping[CarrierId, Carrier],
        lines: dict[CarrierId, Line],
        fleet: Fleet,
        desk: CarrierDesk,
        inbound: InboundDesk,
        condition: Condition,
        metrics: Metrics,
    ) -> None:
        self._configured = dict(configured)
        self._lines = lines
        self._fleet = fleet
        self._desk = desk
        self._inbound = inbound
        self._condition = condition
        self._metrics = metrics
        self._forms = {id_: _form_of(carrier) for id_, carrier in configured.items()}
        """How each carrier is spoken to at this moment."""
        self._drained: Mapping[CarrierId, str] = {}
        self._work: dict[CarrierId, asyncio.Task[None]] = {}
        self._words: dict[CarrierId, str] = {}
        self._served: set[CarrierId] = set()
        """Those that this node has sessions with, also such as are to be added still."""
        self.stop_timeout_s = 0.0
        """How long answers are awaited before a session ends."""
        self._group: asyncio.TaskGroup

    @property
    def under_way(self) -> list[str]:
        """What is not so yet, in words."""
        return [f"{self._lines[id_].name}: {words}" for id_, words in self._words.items()]

    def begin(self, group: asyncio.TaskGroup, stop_timeout_s: float) -> None:
        """Start sessions as tasks of this group from now on, as carriers come to this node."""
        self._group, self.stop_timeout_s = group, stop_timeout_s

    def serve(self, carrier_id: CarrierId) -> None:
        """Begin sessions with a carrier, as its settings say by now."""
        if carrier_id in self._served:
            return
        self._served.add(carrier_id)
        carrier = self._configured.get(carrier_id)
        if carrier is None:
            return  # it is in the settings no more, or not yet
        try:
            wanted = self._prepare(carrier_id, carrier)
        except ConfigError as error:  # a file of its settings is not what it was
            log.error("carrier_not_served", carrier=carrier.name, error=str(error))
            return
        line = self._lines[carrier_id]
        line.writing, line.hold = wanted.line.writing.after(line.writing), wanted.line.hold
        line.binds, line.pacers = wanted.line.binds, wanted.line.pacers
        self._forms[carrier_id] = _form_of(carrier)
        self._fleet.change(carrier_id, wanted.state.policy)
        for bind in line.binds:
            self._start(bind)

    async def leave(self, carrier_id: CarrierId) -> None:
        """End the sessions with a carrier, once it has answered or `stop_timeout_s` is over."""
        self._served.discard(carrier_id)
        work = self._work.get(carrier_id)
        if work is not None and carrier_id in self._configured:
            work.cancel()  # who serves it next has the settings as they are by then
            await asyncio.wait([work])
        line = self._lines.get(carrier_id)
        if line is None:
            return
        await asyncio.gather(*(bind.stop(self.stop_timeout_s) for bind in line.binds))
        line.binds, line.pacers = [], {}

    async def stop(self, deadline_s: float) -> None:
        """Let answers come in and unbind; whatever was under way ends where it is."""
        for task in self._work.values():
            task.cancel()
        binds = [bind for line in self._lines.values() for bind in line.binds]
        await asyncio.gather(*(bind.stop(deadline_s) for bind in binds))

    # ── drained by hand ──────────────────────────────────────────────────────────────────────

    def drain(self, drained: Mapping[CarrierId, str]) -> None:
        """Have these carriers drained, for the reasons given, and no others."""
        self._drained = dict(drained)
        for carrier_id in self._fleet.carriers:
            self._obey_drain(carrier_id)
        self._desk.pump_soon()

    def _obey_drain(self, carrier_id: CarrierId) -> None:
        state, now = self._fleet.carriers[carrier_id], asyncio.get_running_loop().time()
        if state.leaving:
            return
        reason = self._drained.get(carrier_id)
        if reason is None:
            if state.gone is not None:
                self._fleet.resume(carrier_id, now)
                log.info("carrier_resumed", carrier=state.policy.name)
        elif state.gone != Gone(reason):
            self._fleet.drain(carrier_id, reason, now, time.time())
            log.warning("carrier_drained", carrier=state.policy.name, reason=reason)

    # ── other settings ───────────────────────────────────────────────────────────────────────

    def plan(self, carriers: Sequence[Carrier], ids: Mapping[str, CarrierId]) -> Plan:
        """Build what is new; raises ConfigError for what can't be, before anything is changed."""
        wanted = {ids[carrier.name]: carrier for carrier in carriers}
        prepared = {id_: self._prepare(id_, carrier) for id_, carrier in wanted.items()}
        return Plan(
            added=[each for id_, each in prepared.items() if id_ not in self._configured],
            changed=[
                each
                for id_, each in prepared.items()
                if id_ in self._configured and not self._is_so(id_, each)
            ],
            removed=[id_ for id_ in self._configured if id_ not in wanted],
        )

    def _prepare(self, carrier_id: CarrierId, carrier: Carrier) -> Prepared:
        now = asyncio.get_running_loop().time()
        line = build_line(carrier, carrier_id, self._metrics)
        add_binds(carrier, line, self._desk, now)
        return Prepared(carrier, line, build_state(carrier, carrier_id, now))

    def _is_so(self, carrier_id: CarrierId, wanted: Prepared) -> bool:
        """Say whether a carrier is as it is to be already, its sessions with their files too."""
        return (
            self._configured[carrier_id] == wanted.carrier
            and carrier_id not in self._words
            and (carrier_id not in self._served or self._has_binds(carrier_id, wanted))
        )

    def _has_binds(self, carrier_id: CarrierId, wanted: Prepared) -> bool:
        return [bind.settings for bind in self._lines[carrier_id].binds] == [
            bind.settings for bind in wanted.line.binds
        ]

    async def add(self, added: Sequence[Prepared]) -> None:
        """Begin to serve carriers; one that is on its way out still is waited for."""
        for each in added:
            leaving = self._work.get(each.line.id)
            if leaving is not None:
                await asyncio.wait([leaving])
            self._add(each)

    def _add(self, prepared: Prepared) -> None:
        line, carrier = prepared.line, prepared.carrier
        self._configured[line.id] = carrier
        self._forms[line.id] = _form_of(carrier)
        self._fleet.add(prepared.state, asyncio.get_running_loop().time())
        self._lines[line.id] = line
        self._inbound.use(line.id, Origin(carrier.name, build_style(carrier)))
        self._condition.watch_line(line, self._metrics)
        self._obey_drain(line.id)
        if line.id in self._served:
            for bind in line.binds:
                self._start(bind)
        else:
            line.binds, line.pacers = [], {}
        log.info("carrier_added", carrier=carrier.name)

    def change(self, changed: Sequence[Prepared]) -> None:
        """Begin to serve carriers in another way. What changes at once has, on return."""
        for each in changed:
            line, carrier = self._lines[each.line.id], each.carrier
            before, self._configured[line.id] = self._configured[line.id], carrier
            self._change_at_once(line, before, each)
            self._do(line.id, self._change(line, each))
            log.info("carrier_changed", carrier=carrier.name)
        self._desk.pump_soon()

    def _change_at_once(self, line: Line, before: Carrier, wanted: Prepared) -> None:
        carrier, state = wanted.carrier, self._fleet.carriers[line.id]
        now = asyncio.get_running_loop().time()
        agree_rate(carrier, state.rate, now)
        state.breaker.use(wanted.state.breaker)
        if before.ceilings != carrier.ceilings:
            state.change_destinations(build_destinations(carrier, now))
        state.window_size = wanted.state.window_size
        state.queue_max = wanted.state.queue_max
        for bind in line.binds:
            if bind.settings.window_size != carrier.window_size:
                bind.resize_window(carrier.window_size)
        ids_changed = line.ids != wanted.line.ids
        line.dialect, line.ids = wanted.line.dialect, wanted.line.ids
        line.former_ids = wanted.line.former_ids
        if ids_changed:
            self._desk.ids_changed()
        self._inbound.use(line.id, Origin(carrier.name, build_style(carrier)))
        self._desk.wake(line.id)

    async def _change(self, line: Line, wanted: Prepared) -> None:
        await self._speak_anew(line, wanted)
        if line.id not in self._served:
            return
        async for words in exchange_binds(line, wanted.line, self._start, self.stop_timeout_s):
            self._words[line.id] = words

    async def _speak_anew(self, line: Line, wanted: Prepared) -> None:
        """Change how messages are written once all that left in the old form is answered."""
        form, state = _form_of(wanted.carrier), self._fleet.carriers[line.id]
        if form == self._forms[line.id] and not state.paused:
            return
        self._fleet.pause(line.id)
        self._words[line.id] = f"waits for {state.in_flight} answers to change its form"
        await _until(lambda: self._fleet.quiet(line.id))
        line.writing, line.hold = wanted.line.writing.after(line.writing), wanted.line.hold
        self._forms[line.id] = form
        self._fleet.change(line.id, wanted.state.policy)
        self._desk.pump_soon()

    # ── renewed certificates ────────────────────────────────────────────────────────────────

    def tls_sources(self) -> Iterator[Source]:
        """Yield what is made of files for TLS, of every carrier that is bound with it."""
        for carrier_id, carrier in self._configured.items():
            # Sessions that are being exchanged have what was read when that began.
            if carrier.tls.enabled and carrier_id not in self._work:
                yield Source(
                    f"carrier.{carrier.name}.tls",
                    carrier.tls,
                    partial(build_carriers_tls, carrier),
                    partial(self._use_tls, carrier_id),
                )

    def _use_tls(self, carrier_id: CarrierId, built: TlsContext) -> bool:
        """Have a carrier's sessions connect with this from their next connection on."""
        line = self._lines.get(carrier_id)
        if line is None or carrier_id in self._work:
            return False
        former = [bind for bind in line.binds if bind.settings.tls != built.fingerprint]
        for bind in former:
            bind.use_tls(built.context, built.fingerprint)
        return bool(former)

    # ── taking out ───────────────────────────────────────────────────────────────────────────

    def remove(self, removed: Sequence[CarrierId]) -> None:
        """Begin to take carriers out; their waiting messages have moved, on return."""
        for carrier_id in removed:
            del self._configured[carrier_id]
            self._fleet.retire(carrier_id, asyncio.get_running_loop().time(), time.time())
            self._do(carrier_id, self._remove(self._lines[carrier_id]))
        self._desk.pump_soon()

    async def _remove(self, line: Line) -> None:
        state = self._fleet.carriers[line.id]
        self._words[line.id] = "is taken out once all is answered"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.stop_timeout_s
        await _until(lambda: self._fleet.idle(line.id) or loop.time() >= deadline)
        left_s = max(deadline - loop.time(), 1.0)
        await asyncio.gather(*(bind.stop(left_s) for bind in line.binds))
        await _until(lambda: self._fleet.quiet(line.id))
        del self._lines[line.id]
        self._fleet.remove(line.id, loop.time())
        self._condition.forget_line(line, self._metrics)
        self._words.pop(line.id, None)
        self._desk.pump_soon()
        log.info("carrier_removed", carrier=line.name, begun=len(state.queue))

    # ── tasks ────────────────────────────────────────────────────────────────────────────────

    def _start(self, bind: CarrierBind) -> None:
        self._group.create_task(bind.run(), name=f"bind {bind.name}")

    def _do(self, carrier_id: CarrierId, work: Coroutine[None, None, None]) -> None:
        """Do this to a carrier, in the place of what was done to it."""
        before = self._work.get(carrier_id)
        if before is not None:
            before.cancel()
        task = self._group.create_task(self._guard(carrier_id, work))
        self._work[carrier_id] = task

    async def _guard(self, carrier_id: CarrierId, work: Coroutine[None, None, None]) -> None:
        """A fault in changing one carrier must not take down the node."""
        name = self._lines[carrier_id].name
        try:
            await work
        except Exception as error:
            log.exception("carrier_not_changed", carrier=name)
            self._words[carrier_id] = f"ended by an error of its own: {error}"
        else:
            self._words.pop(carrier_id, None)
        finally:
            if self._work.get(carrier_id) is asyncio.current_task():
                del self._work[carrier_id]


async def _until(done: Callable[[], bool]) -> None:
    """Wait for what carriers and commits bring about."""
    while True:
        if done():
            return
        await asyncio.sleep(CHECK_S)


def _form_of(carrier: Carrier) -> tuple[object, ...]:
    """Return what has to be the same for all that is in flight at once."""
    return tuple(
        getattr(carrier, key) for key in Carrier.__struct_fields__ if key not in NOT_ITS_FORM
    )
