"""`gateway carrier list`: the carriers of the settings, and those that the database knows.

`gateway carrier id-rule` stands in `id_rule.py`.
"""

from __future__ import annotations

import click
import msgspec

from gateway.cli.id_rule import id_rule
from gateway.cli.output import print_json, print_table
from gateway.cli.session import Session, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.config import Carrier
from gateway.store.reader import fetch_carrier_names


class CarrierRow(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: str
    """configured, new (never served yet) or removed (from the settings, messages name it still)."""
    address: str = ""
    system_id: str = ""
    binds: str = ""
    window_size: int = 0
    rate_per_s: float = 0.0
    tls: bool = False
    lost: str = ""


@click.group()
def carrier() -> None:
    """Look at carriers; they are set up in the settings."""


@carrier.command(
    name="list",
    epilog=examples("gateway carrier list", "gateway carrier list --json | jq '.[].name'"),
)
@json_option
@config_option
@pass_session
def list_carriers(session: Session, as_json: bool) -> None:
    """List carriers, those taken out of the settings too.

    Whether their binds are up is what the running gateway knows: GET /v1/carriers.
    """
    known = session.run(fetch_carrier_names) if session.has_database else {}
    rows = build_rows(session.config.carrier, set(known.values()))
    if as_json:
        print_json(rows)
        return
    print_table(
        ("name", "state", "address", "system_id", "binds", "window", "rate/s", "tls", "lost"),
        (
            (
                row.name,
                row.state,
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
        right=("window", "rate/s"),
    )


carrier.add_command(id_rule)


def build_rows(configured: tuple[Carrier, ...], known: set[str]) -> list[CarrierRow]:
    """Join the settings with the names in the database, the settings' order first."""
    rows = [
        CarrierRow(
            name=c.name,
            state="configured" if c.name in known else "new",
            address=f"{c.host}:{c.port}",
            system_id=c.system_id,
            binds=" + ".join(f"{bind.count} {bind.mode}" for bind in c.binds),
            window_size=c.window_size,
            rate_per_s=c.rate_per_s,
            tls=c.tls.enabled,
            lost=c.lost,
        )
        for c in configured
    ]
    removed = sorted(known - {c.name for c in configured})
    return rows + [CarrierRow(name=name, state="removed") for name in removed]
