"""One carrier's sessions, exchanged one after another while the others carry its traffic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec

from gateway.carrier_line import Line
from gateway.smpp.client import CarrierBind
from gateway.throttle.pacer import Pacer

CHECK_S = 0.05


async def exchange_binds(
    line: Line, wanted: Line, start: Callable[[CarrierBind], None], stop_timeout_s: float
) -> AsyncIterator[str]:
    """Give a line the sessions of another one; yield how far it is, in words, as it waits.

    A session goes on where nothing of its settings is new. One that is exchanged has its answers
    awaited first; and the next one's turn comes when its successor is bound, as long as any old
    one is: settings that a carrier refuses cost one session and not all.
    """
    count = len(wanted.binds)
    for place, bind in enumerate(wanted.binds):
        if place < len(line.binds) and _goes_on(line.binds[place], bind):
            _take_rate(line, line.binds[place], wanted.pacers.get(bind))
            continue
        yield f"{place} of {count} sessions are as they are to be"
        if place < len(line.binds):
            await line.binds[place].stop(stop_timeout_s)
            _inherit_rate(line, line.binds[place], bind, wanted.pacers.get(bind))
            line.binds[place] = bind
        else:
            _take_rate(line, bind, wanted.pacers.get(bind))
            line.binds.append(bind)
        start(bind)
        while not bind.bound and any(old.bound for old in line.binds[place + 1 :]):
            yield f"{place} of {count} sessions are as they are to be, {bind.name} is not bound"
            await asyncio.sleep(CHECK_S)
    for superfluous in line.binds[count:]:
        await superfluous.stop(stop_timeout_s)
        line.binds.remove(superfluous)
        line.pacers.pop(superfluous, None)


def _goes_on(present: CarrierBind, wanted: CarrierBind) -> bool:
    """Say whether a session may stay; windows change while it stands."""
    window_size = wanted.settings.window_size
    return msgspec.structs.replace(present.settings, window_size=window_size) == wanted.settings


def _take_rate(line: Line, bind: CarrierBind, wanted: Pacer | None) -> None:
    """Have a session keep its own rate as it is wanted, with what has left already counted on."""
    present = line.pacers.get(bind)
    if wanted is None:
        line.pacers.pop(bind, None)
    elif present is None:
        line.pacers[bind] = wanted
    else:
        present.change(wanted.rate_per_s, wanted.burst, asyncio.get_running_loop().time())


def _inherit_rate(
    line: Line, before: CarrierBind, after: CarrierBind, wanted: Pacer | None
) -> None:
    """Have a session's successor keep the rate that both have together."""
    present = line.pacers.pop(before, None)
    if present is not None:
        line.pacers[after] = present
    _take_rate(line, after, wanted)
