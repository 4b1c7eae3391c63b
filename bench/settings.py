"""Settings of the gateways that benches start, as text that more tables may follow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

WINDOW: Final = 500

_GATEWAY: Final = """
[node]
data_dir = "{folder}/data"
[http]
port = 0
{http}
[log]
format = "json"
[[carrier]]
name = "bench"
host = "127.0.0.1"
port = {carrier_port}
system_id = "bench"
window_size = {window}
{carrier}
[[route]]
carriers = ["bench"]
[[price]]
price = "0.0001"
"""
_SMPP: Final = """
[smpp]
enabled = true
port = {port}
"""
_NODE: Final = """
[node]
database_url = "{database_url}"
{node}
[http]
port = {port}
[dispatch]
retry_first_s = 0.5
retry_attempts_max = 500
{dispatch}
{carriers}
[[route]]
carriers = {names}
choose = "round_robin"
[[price]]
price = "0.0075"
"""
_IMPATIENT_CARRIER: Final = """
[[carrier]]
name = "{name}"
host = "127.0.0.1"
port = {port}
system_id = "{name}"
window_size = {window}
reconnect_first_s = 0.2
reconnect_max_s = 1.0
"""


def write_gateway(
    folder: Path,
    carrier_port: int,
    *,
    window: int = WINDOW,
    smpp_port: int = 0,
    http: str = "",
    carrier: str = "",
) -> str:
    """Return settings of a gateway with a database of its own and one carrier.

    Customers may bind if there is an `smpp_port`; `http` and `carrier` are more lines of those
    tables.
    """
    settings = _GATEWAY.format(
        folder=folder, carrier_port=carrier_port, window=window, http=http, carrier=carrier
    )
    return settings + (_SMPP.format(port=smpp_port) if smpp_port else "")


def write_node(
    database_url: str,
    carriers: Mapping[str, int],
    *,
    window: int,
    port: int = 0,
    node: str = "",
    dispatch: str = "",
) -> str:
    """Return settings of a gateway that is killed: it binds again, and sends again, at once.

    `carriers` are ports by name, used in turn; `node` and `dispatch` are more lines of those
    tables.
    """
    return _NODE.format(
        database_url=database_url,
        port=port,
        node=node,
        dispatch=dispatch,
        names=json.dumps(list(carriers)),
        carriers="".join(
            _IMPATIENT_CARRIER.format(name=name, port=port, window=window)
            for name, port in carriers.items()
        ),
    )
