"""The demonstration itself: start everything, send, watch, settle up, and judge."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from gateway.demo.carriers import CURRENCY
from gateway.demo.cases import CASES, CREDIT, Case
from gateway.demo.checks import (
    Check,
    check_audit,
    check_balance,
    check_carriers,
    check_journeys,
    check_stop,
)
from gateway.demo.children import DidNotStart
from gateway.demo.client import Client
from gateway.demo.customer import provide_account
from gateway.demo.journey import Journey
from gateway.demo.screen import Screen
from gateway.demo.stage import Stage, set_up
from gateway.errors import ConfigError, GatewayError
from gateway.store.audit import AuditReport, audit
from gateway.store.postgres import Database
from gateway.views import Balance

AS_IT_SHOULD: Final = 0
FAILED: Final = 1
MISCONFIGURED: Final = 2
INTERRUPTED: Final = 130

SUBMIT_EVERY_S: Final = 0.15
"""Slow enough for people to see one message after the other begin."""
LOOK_EVERY_S: Final = 0.1
BIND_TIMEOUT_S: Final = 15.0
JOURNEY_TIMEOUT_S: Final = 60.0
"""Of the last message. The slowest takes its schedule and three seconds, a busy machine more."""


def run(folder: Path, cases: Sequence[Case] = CASES) -> int:
    """Play all cases and return the exit status: 0 only when everything came as expected."""
    screen = Screen()
    began_at = time.monotonic()
    try:
        with _ended_by_signals():
            checks = _play(folder, cases, screen)
    except KeyboardInterrupt:
        screen.say("Interrupted; everything that was started is stopped.")
        return INTERRUPTED
    except ConfigError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return MISCONFIGURED
    except (GatewayError, OSError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return FAILED
    failed = [check.label for check in checks if not check.holds]
    took = f"{time.monotonic() - began_at:.1f} s; settings and logs are in {folder}"
    if failed:
        screen.say(f"{len(failed)} of {len(checks)} checks fail: {', '.join(failed)}.", "bold red")
        screen.say(took)
        return FAILED
    screen.say(f"All {len(checks)} checks hold, after {took}", "bold green")
    return AS_IT_SHOULD


def _play(folder: Path, cases: Sequence[Case], screen: Screen) -> list[Check]:
    screen.say("Starting PostgreSQL, the gateway and two simulated carriers …")
    with set_up(folder) as stage:
        screen.say(f"The gateway listens on {stage.api_url}\n")
        journeys, balance = asyncio.run(_travel(stage, cases, screen))
        screen.show_table(journeys)
        exit_status = stage.stop_gateway()
        report = asyncio.run(_audit(stage.database_url))
        checks = [
            *check_journeys(journeys),
            check_balance(cases, balance),
            check_audit(cases, report),
            check_carriers(cases, stage.fetch_counts()),
            check_stop(exit_status),
        ]
    screen.say("")
    screen.show_checks(checks)
    screen.say("")
    return checks


async def _travel(
    stage: Stage, cases: Sequence[Case], screen: Screen
) -> tuple[list[Journey], Balance]:
    """Send all cases, and watch until nothing more can become of them."""
    key = await provide_account(stage.database_url, "demo", CURRENCY, int(CREDIT))
    journeys = [Journey(case=case) for case in cases]
    async with Client(stage.api_url, key) as client:
        await _until_bound(client)
        with screen:
            async with asyncio.TaskGroup() as group:
                group.create_task(_submit_all(client, journeys))
                group.create_task(_watch(client, journeys, screen.show))
        return journeys, await client.fetch_balance()


async def _until_bound(client: Client) -> None:
    give_up_at = time.monotonic() + BIND_TIMEOUT_S
    while True:
        if await client.carriers_are_up():
            return
        if time.monotonic() > give_up_at:
            raise DidNotStart("the gateway does not get its carriers bound")
        await asyncio.sleep(LOOK_EVERY_S)


async def _submit_all(client: Client, journeys: Sequence[Journey]) -> None:
    for journey in journeys:
        journey.answer = await client.submit(journey.case)
        if journey.case.cancel and journey.answer.message_id:
            await asyncio.sleep(SUBMIT_EVERY_S)
            await client.cancel(journey.answer.message_id)
        await asyncio.sleep(SUBMIT_EVERY_S)


async def _watch(
    client: Client, journeys: Sequence[Journey], show: Callable[[Sequence[Journey]], None]
) -> None:
    """Look at every message again and again, until all have ended or it takes too long."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + JOURNEY_TIMEOUT_S
    while True:
        await asyncio.gather(*(_look(client, j) for j in journeys if not j.ended))
        show(journeys)
        if all(journey.ended for journey in journeys) or loop.time() > give_up_at:
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def _look(client: Client, journey: Journey) -> None:
    if journey.answer is not None and journey.answer.message_id:
        journey.view = await client.fetch_message(journey.answer.message_id)


async def _audit(url: str) -> AuditReport:
    database = await Database.open(url, connections=1)
    try:
        return await audit(database, time.time())
    finally:
        await database.close()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end us as Ctrl-C does: everything is stopped on the way out."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
