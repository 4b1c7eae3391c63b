"""What is different between two sets of settings, in the words that an operator reads."""

from __future__ import annotations

import msgspec
import pytest

from gateway.config import (
    Bind,
    Carrier,
    Config,
    Cost,
    Http,
    Messages,
    Node,
    Price,
    Route,
    Tls,
)
from gateway.live.difference import compare_settings
from gateway.live.effect import AT_ONCE, AT_START, waits_for_start

ALPHA = Carrier(name="alpha", host="a.example", system_id="us", password="env:ALPHA")
BETA = Carrier(name="beta", host="b.example", system_id="us", password="word", rate_per_s=7.5)
DE = Route(carriers=("alpha", "beta"), countries=("DE",))
ELSE = Route(carriers=("beta",))


def replaced(carrier: Carrier, **keys: object) -> Carrier:
    return msgspec.structs.replace(carrier, **keys)


def told(old: Config, new: Config) -> list[str]:
    return [str(change) for change in compare_settings(old, new)]


def test_the_same_settings_are_no_difference() -> None:
    config = Config(carrier=(ALPHA, BETA), route=(DE, ELSE), price=(Price(price="1"),))
    assert told(config, config) == []


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (
            Config(carrier=(ALPHA,)),
            Config(carrier=(ALPHA, BETA)),
            ["+ carrier beta: host b.example, system_id us, password •••, rate_per_s 7.5"],
        ),
        (
            Config(carrier=(ALPHA,)),
            Config(),
            ["- carrier alpha: host a.example, system_id us, password env:ALPHA"],
        ),
        (
            Config(carrier=(ALPHA, BETA)),
            Config(carrier=(replaced(ALPHA, rate_per_s=50.0, lost="hold"), BETA)),
            ["~ carrier alpha rate_per_s: 0 → 50", "~ carrier alpha lost: resend → hold"],
        ),
        (
            Config(carrier=(ALPHA,)),
            Config(carrier=(replaced(ALPHA, tls=Tls(enabled=True), statuses={"0x45": "retry"}),)),
            [
                "~ carrier alpha tls.enabled: false → true",
                "~ carrier alpha statuses.0x45: none → retry",
            ],
        ),
        (
            Config(carrier=(ALPHA,)),
            Config(carrier=(replaced(ALPHA, binds=(Bind(count=2), Bind(mode="receiver"))),)),
            ["~ carrier alpha binds: as usual → count 2; mode receiver"],
        ),
        (
            Config(route=(DE, ELSE)),
            Config(route=(msgspec.structs.replace(DE, carriers=("beta",)), ELSE)),
            ["~ route countries DE carriers: alpha, beta → beta"],
        ),
        (
            Config(route=(DE,)),
            Config(route=(DE, ELSE)),
            ["+ route for all else: carriers beta"],
        ),
        (
            Config(price=(Price(price="0.05", prefix="49"), Price(price="0.1"))),
            Config(price=(Price(price="0.06", prefix="49"),)),
            ["~ price prefix 49 price: 0.05 → 0.06", "- price for all else: price 0.1"],
        ),
        (
            Config(cost=(Cost(carrier="alpha", cost="0.01"),)),
            Config(cost=(Cost(carrier="alpha", cost="0.02"),)),
            ["~ cost carrier alpha cost: 0.01 → 0.02"],
        ),
        (
            Config(),
            Config(http=Http(port=8081), messages=Messages(validity_s=60)),
            [
                "~ http port: 8080 → 8081 (at the next start)",
                "~ messages validity_s: 172800 → 60",
            ],
        ),
        (
            Config(node=Node(database_url="postgresql://me:one@db/x")),
            Config(node=Node(database_url="postgresql://me:two@db/x")),
            [
                "~ node database_url: postgresql://me:•••@db/x →"
                " postgresql://me:•••@db/x (another) (at the next start)"
            ],
        ),
    ],
)
def test_each_difference_is_a_line(old: Config, new: Config, lines: list[str]) -> None:
    assert told(old, new) == lines


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("word", "other", "••• → ••• (another)"),
        ("env:ALPHA", "env:BETA", "env:ALPHA → env:BETA"),
        ("env:ALPHA", "word", "env:ALPHA → •••"),
        ("", "word", "none → •••"),
        ("•••", "word", "••• → ••• (another)"),
    ],
)
def test_a_secret_is_not_shown_but_where_it_is_kept_is(old: str, new: str, line: str) -> None:
    before, after = (Config(carrier=(replaced(ALPHA, password=each),)) for each in (old, new))
    assert told(before, after) == [f"~ carrier alpha password: {line}"]


def test_another_order_is_a_difference() -> None:
    france = Route(carriers=("alpha",), countries=("FR",))
    assert told(Config(route=(DE, france, ELSE)), Config(route=(france, DE, ELSE))) == [
        "~ route order: countries DE, countries FR, for all else →"
        " countries FR, countries DE, for all else"
    ]


def test_two_of_one_name_are_two() -> None:
    twice = Price(price="1", prefix="49")
    assert told(Config(price=(twice,)), Config(price=(twice, twice))) == [
        "+ price prefix 49: price 1"
    ]


# ── when ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "late"),
    [
        ("node.data_dir", True),
        ("smpp.tls.port", True),
        ("dispatch.references_max", True),
        ("dispatch.retry_first_s", False),
        ("messages.validity_s", False),
        ("carrier.host", False),
    ],
)
def test_some_settings_wait_for_the_next_start(key: str, late: bool) -> None:
    assert waits_for_start(key) is late


def test_every_table_says_when_it_takes_effect() -> None:
    late = {key for key in AT_START if "." not in key}
    assert late | AT_ONCE == set(Config.__struct_fields__)
    assert not late & AT_ONCE


def test_what_waits_for_the_next_start_is_there() -> None:
    for key in AT_START:
        section: type[msgspec.Struct] = Config
        for name in key.split("."):
            assert name in section.__struct_fields__, key
            default = getattr(Config(), name, None)
            section = type(default) if isinstance(default, msgspec.Struct) else section
