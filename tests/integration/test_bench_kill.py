"""`python -m bench.kill` on our own gateway: what it counts is what the gateway promises."""

from __future__ import annotations

import pytest

from bench import kill
from bench.peers.ours import list_ours
from bench.settings import WINDOW


def test_a_killed_gateway_loses_nothing_and_repeats_at_most_its_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kill, "QUIET_S", 6.0)
    # Until it is killed only one window leaves: what is accepted beyond it waits.
    monkeypatch.setattr(kill, "LATENCY_S", 3.0)
    left = kill.kill_once(list_ours(kill.CONNECTIONS, 1, WINDOW)[0], 6 * WINDOW, 2.0 * WINDOW)
    assert left.accepted > WINDOW
    assert left.waiting > 0, "it was killed with a backlog"
    assert (left.lost, left.receipts_lost) == (0, 0)
    assert left.sent_twice <= WINDOW
