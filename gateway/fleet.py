"""Carriers as they come, are drained, change and go while messages wait for them.

What has not begun to leave moves to the other carriers of its route, and to those of the routes
as they are now when none of its own is left. What is in flight, and what has left in part, stays
where it is: all parts of a text travel one way.

    add ──► (drain ⇄ resume) ──► retire ──(idle)──► remove
             pause ──(quiet)──► change ──► resume sending

Not here: which of them takes a message (`routing/`), their binds (`live/`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from gateway.carrier_state import NOBODY, CarrierState, Policy
from gateway.dispatch import Dispatcher
from gateway.model import CarrierId
from gateway.routing.health import Away, Gone

TAKEN_OUT = Gone("taken out of the settings")


class Fleet:
    """The verbs by which a dispatcher's carriers change. Asking for what is already so is fine."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    @property
    def carriers(self) -> Mapping[CarrierId, CarrierState]:
        return self._dispatcher.carriers

    def add(self, state: CarrierState, now: float) -> None:
        """Take a carrier in; it gets messages once it is bound, or drained no more."""
        assert state.id not in self.carriers, "it is still on its way out"
        if state.id in self._dispatcher.foreign.carriers:
            state.elsewhere, state.begins_at = Away(math.inf), math.inf
        self._dispatcher.carriers[state.id] = state
        self._dispatcher.make_shelves([state.id])
        self._dispatcher.find_ways(now)

    def drain(self, carrier_id: CarrierId, reason: str, now: float, wall: float) -> None:
        """Let nothing new leave through a carrier, until `resume`."""
        carrier = self.carriers[carrier_id]
        if not carrier.leaving:
            self._close(carrier, Gone(reason), now, wall)

    def resume(self, carrier_id: CarrierId, now: float) -> None:
        """Let a drained carrier have messages again, those first that waited for it."""
        carrier = self.carriers[carrier_id]
        if carrier.gone is None or carrier.leaving:
            return
        carrier.gone = None
        self._dispatcher.look_again(carrier, now)

    def retire(self, carrier_id: CarrierId, now: float, wall: float) -> None:
        """Begin to take a carrier out: nobody waits for it any more."""
        carrier = self.carriers[carrier_id]
        if not carrier.leaving:
            carrier.leaving = True
            carrier.paused = False
            self._close(carrier, TAKEN_OUT, now, wall)

    def idle(self, carrier_id: CarrierId) -> bool:
        """Whether nothing is on its way to a carrier or has to follow what went there."""
        carrier = self.carriers[carrier_id]
        return self.quiet(carrier_id) and not (carrier.queue or carrier.returned or carrier.aside)

    def quiet(self, carrier_id: CarrierId) -> bool:
        """Whether nothing of a carrier is in flight, and everything that it took is committed."""
        carrier = self.carriers[carrier_id]
        return not (carrier.in_flight or carrier.unwritten)

    def remove(self, carrier_id: CarrierId, now: float) -> None:
        """Forget a retired carrier that is `quiet`. What has left in part waits for its return, or
        for its validity's end."""
        carrier = self.carriers[carrier_id]
        assert carrier.leaving and self.quiet(carrier_id), "something would come back to nobody"
        del self._dispatcher.carriers[carrier_id]
        self._dispatcher.make_shelves(())
        self._dispatcher.look_again(carrier, now)

    def pause(self, carrier_id: CarrierId) -> None:
        """Send nothing until `change`, so that the carrier becomes `quiet`."""
        self.carriers[carrier_id].paused = True

    def change(self, carrier_id: CarrierId, policy: Policy) -> None:
        """Go on sending by another policy, and in another form where that has changed."""
        carrier = self.carriers[carrier_id]
        assert carrier.policy == policy or self.quiet(carrier_id), "it left by the old policy"
        carrier.policy = policy
        carrier.paused = False
        self._dispatcher.cut_anew(carrier_id)
        self._dispatcher.ready.add(carrier_id)

    def reroute(self, now: float) -> None:
        """Look whether new routes have a way for what had none."""
        self._dispatcher.find_ways(now)

    def _close(self, carrier: CarrierState, why: Gone, now: float, wall: float) -> None:
        carrier.gone = why
        carrier.offered = NOBODY
        self._dispatcher.take_back_cleared(carrier, now, wall)
        self._dispatcher.look_again(carrier, now)
