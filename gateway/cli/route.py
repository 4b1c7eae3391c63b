"""`gateway route explain`: which way a message would take, and why."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from gateway.cli import values
from gateway.cli.output import print_fields, print_json, print_line
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.config import Config
from gateway.explain import Explainer, Told, ToldCarrier
from gateway.ids import IdGenerator
from gateway.intake import Intake
from gateway.lines import build_tables
from gateway.model import LANES, Account, AccountId, CarrierId, SendRequest
from gateway.route_tables import assume_accounts
from gateway.routing.numbers import Ineligible, parse_number
from gateway.routing.operators import Operator, OperatorBook, Operators, parse_code
from gateway.store.accounts import list_accounts
from gateway.store.operators import fetch_operators_for
from gateway.store.postgres import Database

ANYBODY = "anybody"
"""Stands for an account that no setting names."""


class _Known(msgspec.Struct, frozen=True):
    """What the database knows, or what is assumed where there is none."""

    account: Account
    account_ids: dict[str, AccountId]
    operators: Operators = Operators()


@click.group()
def route() -> None:
    """Routes: which carriers a message takes, and why."""


@route.command(
    epilog=examples(
        "gateway route explain --to +491713920010 --from Shop --account shop",
        "gateway route explain --to +491713920010 --text 'Your code is 1234' --lane otp",
        "gateway route explain --to +491713920010 --operator 262-02 --at 2026-01-31T22:00:00Z",
        "gateway route explain --to +491713920010 --account shop --json | jq .end",
    )
)
@click.option("--to", required=True, metavar="NUMBER", help="The recipient.")
@click.option("--from", "sender", metavar="SENDER", help="The sender; else the account's own.")
@click.option("--account", metavar="NAME", help="Who sends; else somebody whom no setting names.")
@click.option("--text", default="Hello", show_default=True, help="What it says.")
@click.option("--lane", type=click.Choice(tuple(LANES)), default="transactional", show_default=True)
@click.option("--tag", help="What the client would write into `tag`.")
@click.option("--at", type=values.time, help="When it is accepted and may leave; else now.")
@click.option("--operator", metavar="CODE", help="As if the number were this operator's (262-01).")
@click.option("--offline", is_flag=True, help="Go by the settings alone, without the database.")
@json_option
@config_option
@pass_session
def explain(
    session: Session,
    to: str,
    sender: str | None,
    account: str | None,
    text: str,
    lane: str,
    tag: str | None,
    at: datetime | None,
    operator: str | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Tell which way a message would take, rule by rule. Nothing is sent or kept.

    By the settings; a gateway need not run. Accounts and operators are the database's where there
    is one. Whether a carrier is well at the moment is what the running gateway knows:
    GET /v1/carriers.
    """
    config = session.config
    if offline or not session.has_database:
        known = _assume(config, account)
    else:
        known = session.run(lambda database: _fetch(database, config, account, to))
    if operator is not None:
        known = msgspec.structs.replace(known, operators=_only(operator, to, config, known))
    request = SendRequest(to=to, sender=sender, text=text, priority=lane, tag=tag)
    now = (at or datetime.now(UTC)).timestamp()
    told = _explain(config, known, request, now)
    if operator is not None and told.operator is not None:
        told.operator = msgspec.structs.replace(told.operator, found_by="given", prefix="")
    if as_json:
        print_json(told)
    else:
        _print(told, to)


def _explain(config: Config, known: _Known, request: SendRequest, now: float) -> Told:
    carrier_ids = {c.name: CarrierId(place) for place, c in enumerate(config.carrier, start=1)}
    text_chars_max = config.http.text_chars_max
    intake = Intake(
        config.messages,
        build_tables(config, carrier_ids, known.account_ids),
        IdGenerator(0),
        text_chars_max=text_chars_max,
        operators=OperatorBook(known.operators),
    )
    names = {number: name for name, number in carrier_ids.items()}
    explainer = Explainer(intake, names, text_chars_max=text_chars_max)
    return explainer.explain(known.account, request, now)


def _assume(config: Config, name: str | None) -> _Known:
    account_ids = assume_accounts(config, *([name] if name else []))
    account_id = account_ids[name] if name else AccountId(0)
    return _Known(Account(id=account_id, name=name or ANYBODY), account_ids)


async def _fetch(database: Database, config: Config, name: str | None, to: str) -> _Known:
    account = Account(id=AccountId(0), name=ANYBODY)
    if name is not None:
        account = (await get_account(database, name)).account
    account_ids = {s.account.name: s.account.id for s in await list_accounts(database)}
    number = parse_number(to, default_country=config.messages.default_country)
    if isinstance(number, Ineligible):
        return _Known(account, account_ids)
    return _Known(account, account_ids, await fetch_operators_for(database, number.e164))


def _only(code: str, to: str, config: Config, known: _Known) -> Operators:
    """Return a table in which the number is the named operator's."""
    number = parse_number(to, default_country=config.messages.default_country)
    if isinstance(number, Ineligible):
        return known.operators
    plain = parse_code(code, "--operator")
    named = known.operators.named(plain)
    return Operators({number.e164: Operator(plain[:3], plain[3:], named.name, named.country)})


def _print(told: Told, asked: str) -> None:
    print_fields(_summary(told, asked))
    if told.routes:
        print_line("")
        _print_routes(told)
    if told.carriers:
        print_line("")
        print_fields([("choose", told.choose)])
        for each in told.carriers:
            print_line(_carrier_line(each, max(len(c.carrier) for c in told.carriers)))
    print_line("")
    end = told.end
    if end.code:
        print_fields([("refused", f"{end.code} ({end.field}): {end.detail}")])
        return
    costs = f", {end.price} {told.currency}" if told.price is not None else ""
    segments = _counted(end.segments)
    print_fields([("goes", f"through {_then(end.carriers)}: {segments}, {end.encoding}{costs}")])


def _summary(told: Told, asked: str) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("account", told.account)]
    if (number := told.number) is None:
        return [*rows, ("to", asked)]
    known = (number.country, number.type, ", ".join(number.time_zones))
    rows.append(("to", f"+{number.number}: {', '.join(filter(None, known))}"))
    if (operator := told.operator) is not None:
        how = f"{operator.found_by} {operator.prefix}".rstrip()
        code = f"{operator.code[:3]}-{operator.code[3:]} {operator.name}".strip()
        rows.append(("operator", f"{code} ({how})"))
    if (sender := told.sender) is not None:
        rows.append(("from", f"{sender.sender}, {sender.kind}: {sender.why}"))
    if (text := told.text) is not None:
        rows.append(("text", f"{_counted(text.segments)}, {text.encoding}"))
    if told.price is not None:
        rows.append(("price", f"{told.price} {told.currency} a segment"))
    return rows


def _print_routes(told: Told) -> None:
    width = max(len(each.route) for each in told.routes)
    for place, each in enumerate(told.routes):
        says = "decides" if each.route == told.route else "holds" if each.matched else "no"
        head = "routes" if place == 0 else ""
        print_line(f"{head:8}{each.route:{width}}  {says:7}  {each.why}")


def _carrier_line(each: ToldCarrier, width: int) -> str:
    said = [
        f"cost {each.cost}" if each.cost is not None else "",
        f"margin {each.margin}" if each.margin is not None else "",
        each.why,
    ]
    place = "-" if each.place is None else str(each.place)
    return f"  {place}  {each.carrier:{width}}  {', '.join(filter(None, said))}".rstrip()


def _counted(segments: int) -> str:
    return f"{segments} segment{'' if segments == 1 else 's'}"


def _then(carriers: tuple[str, ...]) -> str:
    return ", then ".join(carriers)
