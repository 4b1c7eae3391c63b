"""`gateway carrier list | drain | resume`: the settings' carriers, and those that the database
knows; keeping one from new messages by hand.

`gateway carrier id-rule` stands in `id_rule.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

import click
import msgspec

from gateway.cli.id_rule import id_rule
from gateway.cli.output import print_json, print_line, print_note, print_table
from gateway.cli.session import Session, pass_session
from gateway.cli.values import author, config_option, examples, json_option
from gateway.config import Carrier
from gateway.store.carriers import KnownCarrier, drain_carrier, list_carriers, resume_carrier
from gateway.store.postgres import Database
from gateway.store.settings import list_nodes
from gateway.views import CarrierView

HEARD_S = 5.0
"""How long a drain may take to be heard of; usually a fraction of a second."""
LOOK_S = 0.1

COLUMNS = (
    *("name", "state", "health", "drained", "in flight", "waiting"),
    *("address", "system_id", "binds", "window", "rate/s", "tls", "lost"),
)


class CarrierRow(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: str
    """up, degraded or down, where a gateway runs with it; else configured, new (never served yet)
    or removed (from the settings, messages name it still)."""
    health: str = ""
    """Why it is avoided by itself, and that it is tried again; empty: neither, or none runs."""
    drained: str = ""
    """By whom and why it gets no new messages; empty: it does."""
    in_flight: int = 0
    waiting: int = 0
    """In memory, as is what is in flight; both of the gateway that runs."""
    address: str = ""
    system_id: str = ""
    binds: str = ""
    window_size: int = 0
    rate_per_s: float = 0.0
    tls: bool = False
    lost: str = ""


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """What came of draining or resuming, as scripts read it."""

    carrier: str
    drained: bool
    heard: bool
    """Whether the gateway that runs knows of it."""
    in_flight: int = 0
    waiting: int = 0


@click.group()
def carrier() -> None:
    """Look at carriers, and keep one from new messages; they are set up in the settings."""


@carrier.command(
    name="list",
    epilog=examples("gateway carrier list", "gateway carrier list --json | jq '.[].name'"),
)
@json_option
@config_option
@pass_session
def list_them(session: Session, as_json: bool) -> None:
    """List carriers, those taken out of the settings too."""
    known, live = session.run(_fetch_known) if session.has_database else ([], {})
    rows = build_rows(session.parsed.carrier, known, live)
    if as_json:
        print_json(rows)
        return
    print_table(
        COLUMNS,
        (
            (
                row.name,
                row.state,
                row.health,
                row.drained,
                row.in_flight or "",
                row.waiting or "",
                row.address,
                row.system_id,
                row.binds,
                row.window_size or "",
                f"{row.rate_per_s:g}" if row.rate_per_s else "",
                "yes" if row.tls else "",
                row.lost,
            )
            for row in rows
        ),
        right=("in flight", "waiting", "window", "rate/s"),
        spare=("lost", "tls", "system_id", "window"),
        elastic=("drained", "binds"),
    )


carrier.add_command(id_rule)


@carrier.command(
    epilog=examples(
        "gateway carrier drain alpha --reason 'maintenance until 04:00'",
        "gateway carrier drain alpha --json",
    )
)
@click.argument("name")
@click.option("--reason", default="", help="Shown wherever it is seen that it is drained.")
@json_option
@config_option
@pass_session
def drain(session: Session, name: str, reason: str, as_json: bool) -> None:
    """Send no new messages through a carrier, until it is resumed, over restarts too.

    What waits for it goes by the rest of its route, or waits; what is in flight is answered.
    """

    async def work(database: Database) -> Drained:
        await drain_carrier(database, name, author=author(), reason=reason)
        return await _hear(database, name, drained=True)

    _print_drained(session.run(work), as_json)


@carrier.command(epilog=examples("gateway carrier resume alpha"))
@click.argument("name")
@json_option
@config_option
@pass_session
def resume(session: Session, name: str, as_json: bool) -> None:
    """Let a drained carrier have messages again."""

    async def work(database: Database) -> Drained:
        if not await resume_carrier(database, name) and not as_json:
            print_note(f"{name} was not drained")
        return await _hear(database, name, drained=False)

    _print_drained(session.run(work), as_json)


async def _hear(database: Database, name: str, *, drained: bool) -> Drained:
    """Wait until the nodes that run know of it."""
    deadline = time.monotonic() + HEARD_S
    while True:
        views = [
            view
            for node in await list_nodes(database)
            for view in node.report.carriers
            if view.name == name
        ]
        heard = all(bool(view.drained) == drained for view in views)
        if heard or time.monotonic() >= deadline:
            return Drained(
                carrier=name,
                drained=drained,
                heard=heard and bool(views),
                in_flight=sum(view.in_flight for view in views),
                waiting=sum(view.waiting for view in views),
            )
        await asyncio.sleep(LOOK_S)


def _print_drained(done: Drained, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    what = "is drained" if done.drained else "takes messages"
    print_line(f"{done.carrier} {what}: {done.in_flight} in flight, {done.waiting} waiting for it")
    if not done.heard:
        print_note("No gateway that runs has said so yet: it holds from its next look or start on.")


async def _fetch_known(database: Database) -> tuple[list[KnownCarrier], dict[str, CarrierView]]:
    nodes = await list_nodes(database)
    live = {view.name: view for node in nodes for view in node.report.carriers}
    return await list_carriers(database), live


def build_rows(
    configured: Sequence[Carrier],
    known: Iterable[KnownCarrier],
    live: dict[str, CarrierView] | None = None,
) -> list[CarrierRow]:
    """Join the settings with the names in the database, the settings' order first, and both with
    what a gateway that runs says of them."""
    stored = {each.name: each for each in known}
    names = [each.name for each in configured]
    settings = {each.name: each for each in configured}
    removed = sorted(stored.keys() - {*names})
    return [
        _build_row(name, settings.get(name), stored.get(name), (live or {}).get(name))
        for name in names + removed
    ]


def _health(live: CarrierView | None) -> str:
    if live is None or live.health == "closed":
        return ""
    return f"avoided: {live.health_reason}" if live.health_reason else "tried again"


def _build_row(
    name: str, configured: Carrier | None, known: KnownCarrier | None, live: CarrierView | None
) -> CarrierRow:
    if live is not None:
        state = live.state
    elif configured is None:
        state = "removed"
    else:
        state = "configured" if known is not None else "new"
    row = CarrierRow(
        name=name,
        state=state,
        health=_health(live),
        drained=str(known.drain) if known is not None and known.drain is not None else "",
        in_flight=live.in_flight if live is not None else 0,
        waiting=live.waiting if live is not None else 0,
    )
    if configured is None:
        return row
    return msgspec.structs.replace(
        row,
        address=f"{configured.host}:{configured.port}",
        system_id=configured.system_id,
        binds=" + ".join(f"{bind.count} {bind.mode}" for bind in configured.binds),
        window_size=configured.window_size,
        rate_per_s=configured.rate_per_s,
        tls=configured.tls.enabled,
        lost=configured.lost,
    )
