"""From settings to the objects that speak to carriers. Builds; connects to nobody."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from gateway.carrier_line import Line
from gateway.carrier_state import CarrierState, Policy
from gateway.carriers import CarrierDesk
from gateway.ceilings import CarrierDestinations, Ceiling
from gateway.config import Bind, Carrier, Config
from gateway.credit.costs import NO_COSTS
from gateway.dlr.dialects import DIALECTS
from gateway.dlr.ids import IdForm, IdRule
from gateway.errors import ConfigError
from gateway.intake import Tables
from gateway.metrics import Metrics
from gateway.model import AccountId, CarrierId
from gateway.route_tables import (
    assume_accounts,
    build_floor,
    build_loss_accounts,
    build_routes,
    build_senders,
    find_route_problems,
)
from gateway.routing.deliveries import DeliveryBreaker, DeliveryLimits
from gateway.routing.health import Breaker, BreakerLimits
from gateway.routing.operators import parse_code
from gateway.routing.sender_rules import NO_RULES
from gateway.smpp.client import CarrierBind
from gateway.smpp.errors import InvalidField
from gateway.smpp.passing import TlvRule, build_tlv_rule, read_tag, read_value
from gateway.smpp.settings import BindMode, BindSettings, Pace
from gateway.smpp.shapes import SubmitTemplate
from gateway.smpp.status import StatusClass
from gateway.smpp.timers import Timings
from gateway.tariffs import build_costs, build_prices
from gateway.text.coding import ClassForm
from gateway.text.national import LANGUAGES
from gateway.text.sender import SenderForm
from gateway.text.style import DefaultAlphabet, LongForm, TextStyle
from gateway.throttle.adaptive import AdaptiveLimits, AdaptiveRate
from gateway.throttle.pacer import Pacer
from gateway.tls.contexts import TlsContext, build_connecting
from gateway.writing import Writing


def build_line(carrier: Carrier, carrier_id: CarrierId, metrics: Metrics) -> Line:
    """Return one carrier's line, without its binds; raises ConfigError."""
    check_carrier(carrier)
    dialect = DIALECTS[carrier.dialect]
    return Line(
        id=carrier_id,
        name=carrier.name,
        writing=Writing(
            template=SubmitTemplate(
                service_type=carrier.service_type,
                dest_addr_ton=carrier.destination_ton,
                dest_addr_npi=carrier.destination_npi,
                protocol_id=carrier.protocol_id,
            ),
            style=build_style(carrier),
            source_ton=carrier.source_ton,
            source_npi=carrier.source_npi,
            sender_form=SenderForm(carrier.sender_alphabet),
            data_codings=(
                carrier.data_coding_gsm7,
                carrier.data_coding_ucs2,
                carrier.data_coding_binary,
                carrier.data_coding_gsm7,
            ),
            class_form=ClassForm(carrier.data_coding_class),
            other_codings={int(k, 0): v for k, v in carrier.data_codings.items()},
            send_validity=carrier.send_validity,
            tlvs=build_carriers_tlvs(carrier),
        ),
        dialect=dialect,
        ids=build_id_rule(carrier),
        metrics=metrics.carrier(carrier.name),
        hold=carrier.lost == "hold",
    )


def build_id_rule(carrier: Carrier) -> IdRule:
    """Return how a carrier writes its ids: as its settings say, else as its dialect does."""
    ids = carrier.ids
    named = IdRule(IdForm(ids.response), IdForm(ids.receipt), ids.strip_zeros)
    dialect = DIALECTS.get(carrier.dialect)
    return dialect.ids if named == IdRule() and dialect is not None else named


def find_table_problems(config: Config) -> list[ConfigError]:
    """Return what can be seen to be wrong with carriers, routes, senders, prices and costs where
    there is no database: every problem of those, and of each list of prices the first."""
    carrier_ids = {each.name: CarrierId(id) for id, each in enumerate(config.carrier, start=1)}
    account_ids = assume_accounts(config)
    problems = [*find_route_problems(config, carrier_ids, account_ids)]
    checks: list[Callable[[], object]] = [
        *(partial(check_carrier, carrier) for carrier in config.carrier),
        lambda: build_prices(config, account_ids),
        lambda: build_costs(config, carrier_ids),
        lambda: build_floor(config),
        lambda: build_loss_accounts(config, account_ids),
    ]
    for check in checks:
        try:
            check()
        except ConfigError as error:
            problems.append(error)
    return problems


def check_carrier(carrier: Carrier) -> None:
    """Raise ConfigError for what can be seen to be wrong wherever the settings are read."""
    if carrier.dialect not in DIALECTS:
        raise ConfigError(
            f"carrier.{carrier.name}.dialect",
            f"{carrier.dialect!r} is none of {', '.join(sorted(DIALECTS))}",
        )
    build_carriers_tlvs(carrier)


def build_carriers_tlvs(carrier: Carrier) -> TlvRule:
    """Return what goes with a carrier's submissions; raises ConfigError."""
    named = () if isinstance(carrier.tlvs, str) else carrier.tlvs
    key = "tlvs"
    try:
        allowed = None if carrier.tlvs == "pass" else [read_tag(name) for name in named]
        key = "constant_tlvs"
        tags = {read_tag(name): value for name, value in carrier.constant_tlvs.items()}
        constant = {tag: read_value(tag, value) for tag, value in tags.items()}
        return build_tlv_rule(allowed, constant)
    except InvalidField as error:
        raise ConfigError(f"carrier.{carrier.name}.{key}", str(error)) from error


def build_style(carrier: Carrier) -> TextStyle:
    """Return how a carrier wants text written."""
    return TextStyle(
        alphabet=DefaultAlphabet(carrier.alphabet),
        national=tuple(LANGUAGES[name] for name in carrier.national),
        packed=carrier.packed,
        long=LongForm(carrier.long),
        wide_reference=carrier.wide_reference,
        smart=carrier.smart,
    )


def build_state(carrier: Carrier, carrier_id: CarrierId, started_at: float) -> CarrierState:
    """Return what the dispatcher keeps of one carrier, from `started_at` (monotonic) on."""
    return CarrierState(
        carrier_id,
        Policy(
            name=carrier.name,
            hold=carrier.lost == "hold",
            whole=carrier.long == "payload",
            statuses={int(k, 0): StatusClass(v) for k, v in carrier.statuses.items()},
        ),
        AdaptiveRate(carrier.rate_per_s, carrier.burst, _limits_of(carrier), started_at=started_at),
        window_size=carrier.window_size
        * sum(bind.count for bind in carrier.binds if bind.mode != "receiver"),
        queue_max=carrier.queue_max,
        destinations=build_destinations(carrier, started_at),
        breaker=build_breaker(carrier),
    )


def build_breaker(carrier: Carrier) -> Breaker:
    """Return what judges a carrier by its answers and, where that is asked for, its receipts."""
    health = carrier.health
    limits = BreakerLimits(
        window_s=health.window_s,
        outcomes_min=health.outcomes_min,
        failed_share=health.failed_share,
        slow_s=health.slow_s,
        slow_share=health.slow_share,
        silent_s=health.silent_s,
        open_first_s=health.pause_first_s,
        open_max_s=health.pause_max_s,
        trials=health.trials,
        trial_timeout_s=max(BreakerLimits().trial_timeout_s, 1.5 * carrier.response_timeout_s),
    )
    if not health.receipts_share:
        return Breaker(limits)
    deliveries = DeliveryLimits(
        share=health.receipts_share,
        receipts_min=health.receipts_min,
        window_s=health.receipts_window_s,
        open_first_s=health.receipts_pause_s,
        open_max_s=max(DeliveryLimits(share=0.0).open_max_s, health.receipts_pause_s),
        trials=health.receipts_trials,
    )
    return Breaker(limits, DeliveryBreaker(deliveries))


def build_destinations(carrier: Carrier, started_at: float) -> CarrierDestinations | None:
    """Return a carrier's ceilings for parts of the world, None when it has none."""
    prefixes: dict[str, Ceiling] = {}
    operators: dict[str, Ceiling] = {}
    countries: dict[str, Ceiling] = {}
    for each in carrier.ceilings:
        ceiling = Ceiling(each.rate_per_s, each.burst)
        prefixes |= dict.fromkeys(each.prefixes, ceiling)
        operators |= dict.fromkeys(map(parse_code, each.operators), ceiling)
        countries |= dict.fromkeys(each.countries, ceiling)
    if not carrier.ceilings:
        return None
    return CarrierDestinations(prefixes, countries, operators, started_at=started_at)


def agree_rate(carrier: Carrier, rate: AdaptiveRate, now: float) -> None:
    """Have a rate go on as the carrier's settings say; what has left already counts on."""
    rate.agree(carrier.rate_per_s, carrier.burst, now, _limits_of(carrier))


def _limits_of(carrier: Carrier) -> AdaptiveLimits:
    return AdaptiveLimits(pause_s=carrier.throttle_pause_s)


def add_binds(carrier: Carrier, line: Line, desk: CarrierDesk, started_at: float) -> None:
    """Give the line its binds, named `carrier/1` and so on, and the rates that they have of their
    own from `started_at` (monotonic) on."""
    each = [bind for bind in carrier.binds for _ in range(bind.count)]
    line.binds = _build_binds(carrier, each, line, desk)
    line.pacers = {
        bind: Pacer(settings.rate_per_s, settings.burst, started_at=started_at)
        for bind, settings in zip(line.binds, each, strict=True)
        if settings.rate_per_s
    }


def check_binds(carrier: Carrier, line: Line, desk: CarrierDesk) -> None:
    """Raise what building a carrier's binds would raise."""
    _build_binds(carrier, [bind for bind in carrier.binds for _ in range(bind.count)], line, desk)


def _build_binds(
    carrier: Carrier, each: Sequence[Bind], line: Line, desk: CarrierDesk
) -> list[CarrierBind]:
    tls = build_carriers_tls(carrier) if carrier.tls.enabled else None
    return [
        CarrierBind(
            f"{carrier.name}/{number}",
            line.id,
            BindSettings(
                host=carrier.host,
                port=carrier.port,
                system_id=carrier.system_id,
                password=carrier.password,
                system_type=carrier.system_type,
                mode=BindMode(bind.mode),
                interface_version=carrier.interface_version,
                address_range=carrier.address_range,
                window_size=carrier.window_size,
                timings=Timings(
                    enquire_link_s=carrier.enquire_link_s,
                    response_s=carrier.response_timeout_s,
                    inactivity_s=carrier.inactivity_s,
                ),
                pace=Pace(first_s=carrier.reconnect_first_s, max_s=carrier.reconnect_max_s),
                connect_timeout_s=carrier.connect_timeout_s,
                tls=tls.fingerprint if tls else "",
                tls_server_name=carrier.tls.server_name,
            ),
            desk,
            random=random.random,
            tls=tls.context if tls else None,
        )
        for number, bind in enumerate(each, start=1)
    ]


def build_carriers_tls(carrier: Carrier) -> TlsContext:
    """Return what a carrier is connected to with; raises ConfigError."""
    return build_connecting(carrier.tls, f"carrier.{carrier.name}.tls")


def build_tables(
    config: Config,
    carrier_ids: Mapping[str, CarrierId],
    account_ids: Mapping[str, AccountId],
) -> Tables:
    """Return what intake looks up; raises ConfigError for what can't be used."""
    return Tables(
        routes=build_routes(config, carrier_ids, account_ids),
        prices=build_prices(config, account_ids),
        styles={carrier_ids[carrier.name]: build_style(carrier) for carrier in config.carrier},
        senders=build_senders(config, account_ids) or NO_RULES,
        costs=build_costs(config, carrier_ids) or NO_COSTS,
        floor=build_floor(config),
        loss_accounts=build_loss_accounts(config, account_ids),
    )
