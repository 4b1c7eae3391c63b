"""From settings and the files that they name to price and cost lists, and to refunds' rules.

Not here: what a line means (`credit/rates.py`), whose list decides (`credit/prices.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path

from gateway.config import Config, Price, PriceList
from gateway.config import NotBilled as NotBilledTable
from gateway.credit import prices
from gateway.credit.costs import Costs
from gateway.credit.lists import parse_csv, parse_rate
from gateway.credit.prices import PriceBook
from gateway.credit.rates import Rate, RateTable
from gateway.credit.refunds import NotBilled, RefundRules, plain_error
from gateway.errors import ConfigError
from gateway.lifecycle import STATUSES
from gateway.model import AccountId, CarrierId

FILE_BYTES_MAX = 256 * 1024 * 1024

_Owner = tuple[str, str]
"""What kind of list (account, plan, currency or none), and whose."""


def build_prices(config: Config, accounts: Container[str] | None) -> PriceBook | None:
    """Return all price lists, None when there are none and everything is free.

    `accounts` are the names of those that there are, None when that can't be known here. Raises
    ConfigError for lines that can't hold, and for an account that does not exist: its prices
    would silently be nobody's.
    """
    if not (config.price or config.price_list):
        return None
    lines: defaultdict[_Owner, list[Rate]] = defaultdict(list)
    for where, section in _sections(config):
        if accounts is not None and section.account and section.account not in accounts:
            raise ConfigError(
                f"{where}.account",
                f"there is no account {section.account!r}; make it with: gateway account create",
            )
        if isinstance(section, Price):
            lines[_owner(section)].append(_rate_of(section, where))
        else:
            text = _read(section.file, f"{where}.file")
            lines[_owner(section)] += parse_csv(
                text, section.file, effective_from=section.effective_from
            )
    tables = {owner: RateTable(rates) for owner, rates in lines.items()}
    nothing = RateTable(())

    def of(kind: str) -> dict[str, RateTable]:
        return {name: table for (its_kind, name), table in tables.items() if its_kind == kind}

    return PriceBook(
        tables.get(("", ""), nothing),
        units=of("currency"),
        accounts=of("account"),
        plans={
            plan.name: prices.Plan(
                rates=tables.get(("plan", plan.name), nothing), currency=plan.currency
            )
            for plan in config.plan
        },
    )


def build_costs(config: Config, carrier_ids: Mapping[str, CarrierId]) -> Costs:
    """Return what carriers charge; raises ConfigError."""
    lines: defaultdict[str, list[Rate]] = defaultdict(list)
    for index, cost in enumerate(config.cost):
        lines[cost.carrier].append(
            parse_rate(
                f"cost[{index}]",
                cost.cost,
                amount_name="cost",
                prefix=cost.prefix,
                operator=cost.operator,
                effective_from=cost.effective_from,
            )
        )
    for index, listed in enumerate(config.cost_list):
        text = _read(listed.file, f"cost_list[{index}].file")
        lines[listed.carrier] += parse_csv(
            text, listed.file, amount_name="cost", effective_from=listed.effective_from
        )
    for name, rates in lines.items():
        for rate in rates:
            if rate.lane is not None or rate.segments_from:
                raise ConfigError(rate.where, "a cost has neither a lane nor a tier")
        if name not in carrier_ids:
            raise ConfigError(rates[0].where, f"no carrier {name!r}")
    return Costs({carrier_ids[name]: RateTable(rates) for name, rates in lines.items()})


def build_refund_rules(
    config: Config,
    carrier_ids: Mapping[str, CarrierId],
    pays_on_delivery: Callable[[AccountId], bool],
) -> RefundRules:
    """Return what is given back after it was posted."""
    return RefundRules(
        {
            carrier_ids[carrier.name]: NotBilled(
                frozenset(STATUSES[state] for state in carrier.not_billed.states),
                frozenset(plain_error(error) for error in carrier.not_billed.errors),
            )
            for carrier in config.carrier
            if carrier.not_billed != NotBilledTable()
        },
        pays_on_delivery,
    )


def _sections(config: Config) -> Iterator[tuple[str, Price | PriceList]]:
    for index, price in enumerate(config.price):
        yield f"price[{index}]", price
    for index, listed in enumerate(config.price_list):
        yield f"price_list[{index}]", listed


def _owner(section: Price | PriceList) -> _Owner:
    for kind in ("account", "plan", "currency"):
        if name := getattr(section, kind):
            return kind, name
    return "", ""


def _rate_of(price: Price, where: str) -> Rate:
    return parse_rate(
        where,
        price.price,
        prefix=price.prefix,
        operator=price.operator,
        lane=price.lane,
        effective_from=price.effective_from,
        segments_from=price.segments_from,
    )


def _read(file: str, key: str) -> str:
    """Return a file's text; raises ConfigError."""
    path = Path(file)
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(key, f"{file} has more than {FILE_BYTES_MAX:,} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(key, f"can't read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(key, f"{file} is not UTF-8: {error}") from error
