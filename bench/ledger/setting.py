"""The world of a run: its carriers and how they misbehave, prices, plans, and who has accounts.

Everything of it is drawn or fixed here; what happens in it, elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from gateway.credit.prices import parse_micros
from gateway.store.accounts import AccountSettings

RECEIPT_TIMEOUT_S: Final = 20
LATE_S: Final = 150
"""Past the time in which receipts are given up, and the sweep that does it."""

SETTINGS: Final = """
[node]
data_dir = "{folder}/data"
[http]
port = {port}
login_failures_per_min = 1000
[messages]
receipt_timeout_s = {receipt_timeout_s}
[dispatch]
retry_first_s = 0.5
retry_max_s = 2.0
stop_timeout_s = 5.0

[[carrier]]
name = "alpha"
host = "127.0.0.1"
port = {alpha}
system_id = "alpha"
window_size = 100
response_timeout_s = 5.0
reconnect_first_s = 0.2
reconnect_max_s = 1.0
[carrier.not_billed]
states = ["rejected"]
errors = ["045"]

[[carrier]]
name = "beta"
host = "127.0.0.1"
port = {beta}
system_id = "beta"
window_size = 50
lost = "hold"
response_timeout_s = 5.0
reconnect_first_s = 0.2
reconnect_max_s = 1.0

# Nobody answers: what is routed there waits until it is too late.
[[carrier]]
name = "gone"
host = "127.0.0.1"
port = 1
system_id = "gone"
reconnect_first_s = 5.0

[[route]]
prefixes = ["4474"]
carriers = ["alpha", "beta"]
[[route]]
prefixes = ["34"]
carriers = ["alpha"]
[[route]]
prefixes = ["336"]
carriers = ["beta"]
[[route]]
prefixes = ["4915"]
carriers = ["gone"]

[[plan]]
name = "delivered"
bill = "delivered"
[[plan]]
name = "tiers"

[[price]]
price = "0.033333"
[[price]]
price = "0.071"
prefix = "34"
[[price]]
price = "0.09"
prefix = "4474"
lane = "otp"
[[price]]
price = "0.0001"
prefix = "336"
currency = "EUR"
[[price]]
price = "0.05"
plan = "tiers"
[[price]]
price = "0.045001"
plan = "tiers"
segments_from = 2000
[[price]]
price = "0.04"
plan = "tiers"
segments_from = 20000
[[cost]]
carrier = "alpha"
cost = "0.00005"
"""

_ALPHA: Final = """
seed = {seed}
identity = "tag"
[server]
rate_per_s = 2500.0
burst = 500
[connection]
drop_every = 7001
garbage_every = 11003
[[rule]]
latency = {{ kind = "uniform", min_s = 0.0, max_s = 0.02 }}
refuse = [
    {{ status = 0x0B, share = 0.02 }},
    {{ status = 0x08, share = 0.01 }},
    {{ status = 0x66, share = 0.01 }},
]
receipts = [
    {{ state = "DELIVRD", share = 0.80 }},
    {{ state = "UNDELIV", share = 0.06, err = "045" }},
    {{ state = "UNDELIV", share = 0.06, err = "021" }},
    {{ state = "EXPIRED", share = 0.04 }},
    {{ state = "REJECTD", share = 0.04 }},
]
delay = {{ kind = "uniform", min_s = 0.0, max_s = 2.0 }}
early_share = 0.05
duplicate_share = 0.05
missing_share = {missing}
late_share = {late_share}
late = {late_s}
"""
_BETA: Final = """
seed = {seed}
identity = "tag"
[connection]
drop_every = 9001
[[rule]]
refuse = [{{ status = 0x45, share = 0.02 }}]
receipts = [
    {{ state = "DELIVRD", share = 0.9 }},
    {{ state = "UNDELIV", share = 0.1, err = "045" }},
]
delay = {{ kind = "uniform", min_s = 0.0, max_s = 1.0 }}
duplicate_share = 0.02
missing_share = {missing}
"""

PREFIXES: Final = (("4474001", 0.5), ("346121", 0.2), ("336121", 0.2), ("4915112", 0.1))
"""Beginnings of numbers, five or six more digits to come, and how often they are drawn."""
LENGTHS: Final = {"4474001": 12, "346121": 11, "336121": 11, "4915112": 13}


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """An account as it is made."""

    name: str
    credit: str
    currency: str = "credits"
    settings: AccountSettings = field(default_factory=AccountSettings)
    weight: int = 1
    """How often it sends."""
    topped_up: bool = False
    """Whether it is given more, now and then."""


def _account(name: str, credit: str, weight: int, **settings: Any) -> AccountPlan:
    currency = settings.pop("currency", "credits")
    topped_up = settings.pop("topped_up", False)
    floor = settings.pop("floor", "0")
    settings["floor_micros"] = parse_micros(floor, signed=True)
    # Names of the settings that accounts have.
    return AccountPlan(name, credit, currency, cast(AccountSettings, settings), weight, topped_up)


ACCOUNTS: Final = (
    _account("shop", "100000", 6),
    _account("bank", "100000", 6, plan="delivered"),
    _account("tiers", "100000", 4, plan="tiers"),
    _account("euro", "100000", 3, currency="EUR", bill="delivered"),
    _account("owing", "0", 2, floor="-700"),
    _account("owing-little", "0", 1, floor="-5.000001", topped_up=True),
    _account("poor", "3", 2, topped_up=True),
    _account("poor-delivered", "3", 2, plan="delivered", topped_up=True),
    _account("floor", "10", 1, floor="2.5", topped_up=True),
    _account("empty", "0", 1),
)


def write_settings(folder: Path, port: int, alpha: int, beta: int) -> Path:
    """Write the gateway's settings and return the file."""
    file = folder / "gateway.toml"
    file.write_text(
        SETTINGS.format(
            folder=folder, port=port, alpha=alpha, beta=beta, receipt_timeout_s=RECEIPT_TIMEOUT_S
        )
    )
    return file


def write_scripts(folder: Path, seed: int, *, silent: bool) -> list[Path]:
    """Write the carriers' scripts; with `silent`, some receipts never come, or past their time."""
    missing, late_share = (0.01, 0.005) if silent else (0.0, 0.0)
    files = []
    for name, script in (("alpha", _ALPHA), ("beta", _BETA)):
        file = folder / f"{name}.toml"
        file.write_text(
            script.format(seed=seed, missing=missing, late_share=late_share, late_s=LATE_S)
        )
        files.append(file)
    return files
