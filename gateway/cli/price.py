"""`gateway price find`: what an account pays for a segment, and which line says so."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from gateway.cli import values
from gateway.cli.output import print_fields, print_json
from gateway.cli.session import Session, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.credit.prices import format_micros
from gateway.credit.rates import Rate
from gateway.errors import Rejected
from gateway.model import LANES, Account, AccountId
from gateway.routing.numbers import Ineligible, parse_number
from gateway.store import accounts
from gateway.tariffs import build_prices


class PriceJson(msgspec.Struct, frozen=True, kw_only=True):
    """A price as scripts read it."""

    price: str | None
    """None where nothing is sold."""
    currency: str
    to: str
    country: str
    line: str
    """Where it is written; empty when no list has a line."""
    prefix: str = ""
    operator: str = ""
    lane: str = ""
    effective_from: str = ""
    segments_from: int = 0


class _GivenVolume(msgspec.Struct, frozen=True):
    """The volume that the command line names."""

    count: int

    def segments(self, account_id: AccountId, at_s: int) -> int:
        return self.count


@click.group()
def price() -> None:
    """Prices: what a message costs an account, and why."""


@price.command(
    epilog=examples(
        "gateway price find --account shop --to +447400123456",
        "gateway price find --account shop --to +4915112345678 --operator 26202 --lane otp",
        "gateway price find --account shop --to +447400123456 --at 2026-03-01 --volume 250000",
    )
)
@click.option("--account", "name", required=True, help="Who sends.")
@click.option("--to", required=True, help="The recipient's number.")
@click.option("--operator", default="", help="MCC and MNC of the recipient's operator.")
@click.option("--lane", type=click.Choice(tuple(LANES)), default="transactional", show_default=True)
@click.option("--at", type=values.time, help="When it is accepted; now if it isn't given.")
@click.option(
    "--volume", type=click.IntRange(0), default=0, help="Segments accepted this month before it."
)
@json_option
@config_option
@pass_session
def find(
    session: Session,
    name: str,
    to: str,
    operator: str,
    lane: str,
    at: datetime | None,
    volume: int,
    as_json: bool,
) -> None:
    """Show what a segment costs, and the line of the list that decides it."""
    number = parse_number(to, default_country=session.config.messages.default_country)
    if isinstance(number, Ineligible):
        raise click.BadParameter(number.detail, param_hint="--to")
    standings = session.run(accounts.list_accounts)
    account = next((s.account for s in standings if s.account.name == name), None)
    if account is None:
        raise Rejected("account_unknown", f"there is no account {name!r}", status=404)
    book = build_prices(session.config, {s.account.name for s in standings})
    moment = at or datetime.now(UTC)
    rate = None
    if book is not None:
        at_s, given = int(moment.timestamp()), _GivenVolume(volume)
        operator = operator.replace("-", "")
        rate = book.find(account, number.e164, operator, LANES[lane], at_s, given)
    found = _json_of(account, number.e164, number.country, rate, free=book is None)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _json_of(
    account: Account, to: str, country: str, rate: Rate | None, *, free: bool
) -> PriceJson:
    if rate is None:
        price = "0" if free else None
        return PriceJson(price=price, currency=account.currency, to=to, country=country, line="")
    since = datetime.fromtimestamp(rate.since_s, UTC).isoformat() if rate.since_s else ""
    return PriceJson(
        price=None if rate.micros is None else format_micros(rate.micros),
        currency=account.currency,
        to=to,
        country=country,
        line=rate.where,
        prefix=rate.prefix,
        operator=rate.operator,
        lane="" if rate.lane is None else rate.lane.wire,
        effective_from=since,
        segments_from=rate.segments_from,
    )


def _print(found: PriceJson) -> None:
    if not found.line and found.price is not None:
        says = "no prices are configured: everything is free"
    elif found.price is None:
        says = "not sold" if found.line else "no list has a line for it: not sold"
    else:
        says = f"{found.price} {found.currency} a segment"
    print_fields(
        [
            ("to", f"{found.to} {found.country}"),
            ("price", says),
            ("line", found.line),
            ("prefix", found.prefix),
            ("operator", found.operator),
            ("lane", found.lane),
            ("since", found.effective_from),
            ("from segment", found.segments_from or ""),
        ]
    )
