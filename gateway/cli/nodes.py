"""`gateway nodes`: which nodes run, what each of them has, and what nobody has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import click
import msgspec

from gateway.cli.output import moment, print_json, print_note, print_table
from gateway.cli.session import Session, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.lease import TTL_S
from gateway.model import CarrierId
from gateway.nodes.leases import CARRIER, Board, NodeRow, read_carrier_lease
from gateway.store.carriers import list_carriers
from gateway.store.leases import fetch_board
from gateway.store.postgres import Database
from gateway.store.settings import NodeInfo, fetch_settings, list_nodes

DUTY = "duty:"
COLUMNS = ("node", "state", "process", "since", "heard", "settings", "carriers", "duties", "pages")


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """A node, as scripts read it."""

    node: int
    state: str
    """starting, ready, stopping; or silent: its time has run out, and nobody has ended it yet."""
    process: str
    """The machine, and the process on it."""
    since: datetime
    heard_s: float
    """Since it renewed its claim last; it does so twice a second."""
    settings: int
    """The version that it runs; 0: none that was applied."""
    carriers: list[str]
    duties: list[str]
    pages: str
    """Where it alone answers /metrics, /healthz and /readyz; empty: where it serves."""


class NodesView(msgspec.Struct, frozen=True, kw_only=True):
    nodes: list[NodeView]
    carriers_of_nobody: list[str]
    """Of the settings that hold; nothing is sent to them now."""
    duties_of_nobody: list[str]


@click.command(
    epilog=examples(
        "gateway nodes",
        "gateway nodes --json | jq -e '.carriers_of_nobody == []'",
    )
)
@json_option
@config_option
@pass_session
def nodes(session: Session, as_json: bool) -> None:
    """List the nodes that run on the database, the carriers of each, and those of nobody."""
    view = session.run(fetch_view)
    if as_json:
        print_json(view)
        return
    print_table(
        COLUMNS,
        (
            (
                each.node,
                each.state,
                each.process,
                moment(each.since),
                f"{each.heard_s:.1f} s ago",
                each.settings or "",
                ", ".join(each.carriers),
                ", ".join(each.duties),
                each.pages,
            )
            for each in view.nodes
        ),
        right=("node", "settings"),
        spare=("pages", "since", "settings"),
        elastic=("duties", "carriers"),
    )
    if view.carriers_of_nobody:
        print_note(f"Nobody has: {', '.join(view.carriers_of_nobody)}")


async def fetch_view(database: Database) -> NodesView:
    """Return how it is at this moment."""
    known = {each.id: each.name for each in await list_carriers(database)}
    applied = await fetch_settings(database)
    configured = None
    if applied is not None:
        configured = [str(each.get("name", "")) for each in applied.tree.get("carrier", [])]
    infos = await list_nodes(database)
    async with database.acquire() as connection:
        board = await fetch_board(connection)
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return build_view(board, known, configured, infos, now)


def build_view(
    board: Board,
    known: Mapping[CarrierId, str],
    configured: Sequence[str] | None,
    infos: Sequence[NodeInfo],
    now: datetime,
) -> NodesView:
    """Join what the database says of nodes and leases with what nodes say of themselves.

    `now` is by the database's clock. `configured` are the carriers of the settings that hold;
    None: none were applied, and all carriers that somebody has or had count.
    """
    told = {info.node: info for info in infos}
    carriers: dict[int | None, list[str]] = {}
    duties: dict[int | None, list[str]] = {}
    for name, lease in sorted(board.leases.items()):
        owner = board.owner_of(lease)
        if name.startswith(CARRIER):
            carrier = known.get(read_carrier_lease(name), name)
            carriers.setdefault(owner, []).append(carrier)
        elif name.startswith(DUTY):
            duties.setdefault(owner, []).append(name.removeprefix(DUTY))
    owned = {name for owner, names in carriers.items() if owner is not None for name in names}
    wanted = carriers.get(None, []) if configured is None else configured
    return NodesView(
        nodes=[
            _view(row, told.get(row.node), carriers, duties, now)
            for row in board.nodes.values()
            if row.claimed
        ],
        carriers_of_nobody=sorted(name for name in wanted if name not in owned),
        duties_of_nobody=duties.get(None, []),
    )


def _view(
    row: NodeRow,
    info: NodeInfo | None,
    carriers: Mapping[int | None, list[str]],
    duties: Mapping[int | None, list[str]],
    now: datetime,
) -> NodeView:
    since = now - timedelta(seconds=row.age_s)
    # What a former claim of the number has said is not this one's.
    ours = info if info is not None and info.started_at >= since else None
    return NodeView(
        node=row.node,
        state=_state(row, ours is not None),
        process=row.place,
        since=since,
        # A first claim lasts longer than a renewal, and has just been made.
        heard_s=round(row.age_s if row.left_s > TTL_S else TTL_S - row.left_s, 2),
        settings=ours.version if ours is not None else 0,
        carriers=sorted(carriers.get(row.node, [])),
        duties=sorted(duties.get(row.node, [])),
        pages=ours.report.pages if ours is not None else "",
    )


def _state(row: NodeRow, has_served: bool) -> str:
    if row.left_s <= 0:
        return "silent"
    if row.ready:
        return "ready"
    return "stopping" if has_served else "starting"
