"""`gateway account smpp set` beside a running gateway, whose customers are bound meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.root import cli
from gateway.smpp import vocabulary as v
from gateway.upstream import roster

Run = Callable[..., Awaitable[str]]


@pytest.fixture
async def change(
    running: Any, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> Run:
    """Run the command with these arguments, as another process would."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(roster, "REFRESH_S", 0.05)

    async def change(*arguments: str) -> str:
        words = ["account", "smpp", *arguments]
        result = await asyncio.to_thread(CliRunner().invoke, cli, words, input="another\n")
        assert result.exit_code == 0, result.output
        return result.stdout

    return change


async def bind_when_known(running: Any, **credentials: str) -> Any:
    """Bind by terms that the gateway is about to learn."""
    async with asyncio.timeout(20):
        while True:
            customer = await running.connect()
            answer = await customer.bind(**credentials)
            if answer.status == 0:
                return customer
            await customer.close()
            await asyncio.sleep(0.3)


@pytest.mark.parametrize(
    ("arguments", "now"),
    [
        (("--password", "-"), {"password": "another"}),
        (("--system-id", "store"), {"system_id": "store"}),
        (("--network", "192.0.2.0/24"), None),
    ],
    ids=["password", "system_id", "network"],
)
async def test_whoever_would_not_be_let_in_any_more_is_unbound(
    running: Any, change: Run, arguments: tuple[str, ...], now: dict[str, str] | None
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    await change("set", "shop", *arguments)
    await customer.receive(v.UNBIND)
    old = await running.connect()
    assert (await old.bind()).status in (v.ESME_RINVPASWD, v.ESME_RBINDFAIL)
    if now is not None:
        await bind_when_known(running, **now)


async def test_access_that_is_taken_away_ends_the_bind(running: Any, change: Run) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    await change("remove", "shop")
    await customer.receive(v.UNBIND)


async def test_other_changes_hold_at_once_and_end_no_bind(running: Any, change: Run) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    await change("set", "shop", "--alphabet", "latin-1", "--id-form", "hex", "--binds-max", "1")
    # Who is in may stay, whatever the new ceiling.
    async with asyncio.timeout(20):
        while True:
            customer.submit("caf\xe9".encode("latin-1"))
            status, message_id = await customer.submitted()
            assert status == 0
            if not message_id.isdecimal():
                break
            await asyncio.sleep(0.02)
    second = await running.connect()
    assert (await second.bind()).status == v.ESME_RBINDFAIL
    assert running.metric("gateway_upstream_binds_refused_total", reason="too_many") == 1


async def test_a_lower_window_holds_for_what_comes_next(running: Any, change: Run) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    await change("set", "shop", "--rate-per-s", "1")
    async with asyncio.timeout(20):
        while True:
            customer.submit()
            if (await customer.submitted())[0] == v.ESME_RTHROTTLED:
                break
    await change("set", "shop", "--rate-per-s", "0")
    async with asyncio.timeout(20):
        while True:
            customer.submit()
            customer.submit()
            answers = [await customer.submitted(), await customer.submitted()]
            if [status for status, _ in answers] == [v.ESME_ROK] * 2:
                break
            await asyncio.sleep(0.1)
