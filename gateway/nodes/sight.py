"""What the other nodes last said of themselves: their carriers, their customers, their queues.

It is seconds old, and what is decided by it can be so much out. What has to be exact is decided by
leases (`keeper.py`) or by the database.

Not here: saying and hearing it (`gateway/live/watch.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.model import AccountId, CarrierId, Lane
from gateway.store.settings import NodeInfo, NodeReport
from gateway.views import CarrierView

ELSEWHERE: Final = "elsewhere"
"""The state of a carrier that another node has, as this one shows it."""
SEEN_S: Final = 5.0
"""What a node said longer ago is not gone by: it says something every other second."""


class Sight:
    """One node's view of the others; empty as long as it is alone."""

    def __init__(self) -> None:
        self._reports: Mapping[str, NodeReport] = {}
        self._looks: list[Callable[[Mapping[str, NodeReport]], None]] = []

    def join(self, look: Callable[[Mapping[str, NodeReport]], None]) -> None:
        """Have `look` told what there is to see, by node, whenever it was looked."""
        self._looks.append(look)

    def see(self, others: Sequence[NodeInfo]) -> None:
        """Take what the other nodes say."""
        self._reports = {f"{each.node} {each.started_at}": each.report for each in others}
        for look in self._looks:
            look(self._reports)

    def binds_of(self, account_id: AccountId) -> int:
        """Return how many binds an account has at other nodes."""
        if not self._reports:
            return 0
        return sum(report.binds.get(account_id, 0) for report in self._reports.values())

    def carriers(self, here: list[CarrierView]) -> list[CarrierView]:
        """Return carriers as whoever has them sees them."""
        if not self._reports:
            return here
        told = {view.name: view for report in self._reports.values() for view in report.carriers}
        return [told.get(v.name, v) if v.state == ELSEWHERE else v for v in here]

    def full_queues(self) -> dict[tuple[CarrierId, Lane], float]:
        """Return the queues at other nodes that have no room, and for how many seconds."""
        return {
            (CarrierId(queue.carrier_id), Lane(queue.lane)): queue.wait_s
            for report in self._reports.values()
            for queue in report.full
        }
