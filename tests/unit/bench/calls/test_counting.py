from __future__ import annotations

from collections import Counter

from bench.calls.counting import Calls, Counting


def called() -> int:
    return len("four")


def test_calls_between_start_and_stop_are_counted() -> None:
    called()
    counting = Counting()
    counting.start()
    for _ in range(7):
        called()
    calls = counting.stop()
    called()
    assert sum(n for name, n in calls.python.items() if name.endswith(":called")) == 7
    assert calls.builtin >= 7, "len"


def test_a_coroutine_counts_each_time_it_is_resumed() -> None:
    def step() -> object:
        yield
        yield

    counting = Counting()
    counting.start()
    list(step())  # type: ignore[call-overload]
    calls = counting.stop()
    assert sum(n for name, n in calls.python.items() if name.endswith("<locals>.step")) == 3


def test_rooms_are_the_gateways_folders_and_files_and_libraries_are_one() -> None:
    calls = Calls(
        Counter(
            {
                "gateway/smpp/pdu.py:decode": 2,
                "gateway/smpp/window.py:Window.take": 3,
                "gateway/jobs.py:Job.next": 4,
                "asyncpg/connection.py:Connection.execute": 5,
                "asyncio/tasks.py:wait": 1,
            }
        ),
        builtin=9,
    )
    assert calls.total == 15
    assert calls.by_room() == {"gateway/smpp/": 5, "gateway/jobs.py": 4, "(libraries)": 6}
