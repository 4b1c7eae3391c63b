"""Settings: what is refused, in which words, and that the example explains all of them."""

from __future__ import annotations

import re
import tomllib
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config import Carrier, Config, NumberType
from gateway.config_file import (
    build_config,
    find_problems,
    load_config,
    parse_config,
    printable_config,
)
from gateway.errors import ConfigError
from gateway.routing.numbers import NumberType as RoutedType

TLS_FILES = {"enabled": True, "cert_file": "c.pem", "key_file": "k.pem"}
EXAMPLE = Path(__file__).parents[2] / "gateway.example.toml"


def carrier(**keys: Any) -> dict[str, Any]:
    return {"name": "alpha", "host": "smsc.example", "system_id": "id", **keys}


def email(**keys: Any) -> dict[str, Any]:
    return {"host": "mx.example", "sender": "Shop <no-reply@shop.example>", **keys}


def refusal(raw: dict[str, Any]) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        build_config(raw)
    return raised.value


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Config:
    (tmp_path / "beta").write_text("from a file\n")
    monkeypatch.setenv("ALPHA_PASSWORD", "from the environment")
    copied = tmp_path / "gateway.toml"
    copied.write_text(EXAMPLE.read_text().replace("/run/secrets/beta", str(tmp_path / "beta")))
    return load_config(copied)


# ── The example ─────────────────────────────────────────────────────────────────────────────


def test_the_example_loads_with_its_secrets(example: Config) -> None:
    assert [each.password for each in example.carrier] == ["from the environment", "from a file"]


def test_the_example_shows_the_defaults(example: Config) -> None:
    plain = Config()
    for name in ("node", "http", "smpp", "log", "messages", "dispatch", "webhooks", "email"):
        assert getattr(example, name) == getattr(plain, name), name
    alpha = example.carrier[0]
    shown = {"name", "host", "system_id", "password", "rate_per_s", "binds", "statuses"}
    shown |= {"data_codings", "constant_tlvs", "ceilings"}
    for field in Carrier.__struct_fields__:
        if field not in shown:
            default = getattr(Carrier(name="x", host="x", system_id="x"), field)
            assert getattr(alpha, field) == default, field


def sections(kind: Any, path: str = "") -> dict[str, type[msgspec.Struct]]:
    """Return every section by the table in which its keys stand."""
    found = {path: kind}
    for name, hint in typing.get_type_hints(kind).items():
        inner = hint
        while typing.get_origin(inner) is tuple:
            inner = typing.get_args(inner)[0]
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            found |= sections(inner, f"{path}.{name}".lstrip("."))
    return found


def test_the_example_names_every_setting() -> None:
    written: dict[str, set[str]] = {"": set()}
    table = ""
    for line in EXAMPLE.read_text().splitlines():
        if header := re.fullmatch(r"\[\[?([a-z._]+)\]\]?", line):
            table = header[1]
            written[table.rpartition(".")[0]].add(table.rpartition(".")[2])
            written.setdefault(table, set())
        elif key := re.match(r'"?(\w+)"? = ', line):
            written[table].add(key[1])
    known = {path: set(kind.__struct_fields__) for path, kind in sections(Config).items()}
    known["carrier.statuses"] = {"0x45"}
    known["carrier.data_codings"] = {"0x18"}
    known["carrier.constant_tlvs"] = {"0x1400"}
    known["sender.rewrite"] = {"Shop"}
    assert written == known


# ── Reading ─────────────────────────────────────────────────────────────────────────────────


def test_without_a_file_everything_has_its_default() -> None:
    assert load_config(None) == Config()


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    assert load_config(tmp_path / "empty.toml") == Config()


def test_a_file_that_is_not_there_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't read .*absent\.toml: No such file"):
        load_config(tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"[node", b"a = ", b"\xff\xfe", b"port = 1\nport = 2"])
def test_what_is_not_toml_is_said_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
        load_config(tmp_path / "broken.toml")


def test_the_environments_database_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    config = build_config({"node": {"database_url": "postgresql://file/db"}})
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert config.database_url == "postgresql://file/db"
    monkeypatch.setenv("DATABASE_URL", "postgresql://environment/db")
    assert config.database_url == "postgresql://environment/db"


# ── What is refused ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("raw", "key", "nearest"),
    [
        ({"nod": {}}, "nod", "node"),
        ({"http": {"prot": 1}}, "http.prot", "port"),
        ({"email": {"sendr": "x"}}, "email.sendr", "sender"),
        ({"carrier": [carrier(windows_size=1)]}, "carrier[0].windows_size", "window_size"),
        ({"carrier": [carrier(tls={"verfy": 1})]}, "carrier[0].tls.verfy", "verify"),
        (
            {"carrier": [carrier(), carrier(binds=[{"mod": "transceiver"}])]},
            "carrier[1].binds[0].mod",
            "mode",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    raw: dict[str, Any], key: str, nearest: str
) -> None:
    error = refusal(raw)
    assert error.key == key
    assert error.detail == f"unknown key; did you mean {nearest!r}?"


def test_an_unknown_key_like_no_other_is_just_refused() -> None:
    assert refusal({"zzzzzz": 1}).detail == "unknown key"


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({"http": {"port": 70_000}}, "http.port"),
        ({"http": {"port": "8080"}}, "http.port"),
        ({"http": {"batch_messages_max": 0}}, "http.batch_messages_max"),
        ({"node": {"database_connections": 3}}, "node.database_connections"),
        ({"log": {"level": "loud"}}, "log.level"),
        ({"messages": {"default_country": "Germany"}}, "messages.default_country"),
        ({"dispatch": {"retry_first_s": 0}}, "dispatch.retry_first_s"),
        ({"webhooks": {"allow_private": "yes"}}, "webhooks.allow_private"),
        ({"smpp": {"window_size": 0}}, "smpp.window_size"),
        ({"email": {"host": "mx.example"}}, "email.sender"),
        ({"email": {"host": "mx.example", "sender": "Shop"}}, "email.sender"),
        ({"email": email(sender="Shop <a@b\r\nBcc: c@d>")}, "email.sender"),
        ({"email": email(bounce_address="b+{id}@shop")}, "email.bounce_address"),
        ({"email": email(username="us", security="plain")}, "email.security"),
        ({"email": email(security="ssl")}, "email.security"),
        ({"email": email(rate_per_s=0)}, "email.rate_per_s"),
        ({"email": email(hello_name="büro")}, "email.hello_name"),
        ({"node": 1}, "node"),
        ({"carrier": carrier()}, "carrier"),
        ({"carrier": [carrier(name="Alpha!")]}, "carrier[0].name"),
        ({"carrier": [carrier(window_size=0)]}, "carrier[0].window_size"),
        ({"carrier": [carrier(interface_version=0x35)]}, "carrier[0].interface_version"),
        ({"carrier": [carrier(lost="maybe")]}, "carrier[0].lost"),
        ({"carrier": [carrier(alphabet="latin1")]}, "carrier[0].alphabet"),
        ({"carrier": [carrier(national=["klingon"])]}, "carrier[0].national[0]"),
        ({"carrier": [carrier(long="longer")]}, "carrier[0].long"),
        ({"carrier": [carrier(data_codings={"0x18": 256})]}, "carrier[0].data_codings[...]"),
        ({"carrier": [{"name": "alpha", "host": "h"}]}, "carrier[0]"),
        ({"route": [{"carriers": []}]}, "route[0].carriers"),
        ({"price": [{"price": 0.5}]}, "price[0].price"),
        ({"price": [{"price": "1", "prefix": "+49"}]}, "price[0].prefix"),
    ],
)
def test_a_value_out_of_range_or_of_the_wrong_type_is_refused_by_its_key(
    raw: dict[str, Any], key: str
) -> None:
    error = refusal(raw)
    assert error.key == key
    assert error.detail


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"carrier": [carrier(), carrier()]}, "two carriers have this name"),
        (
            {"carrier": [carrier()], "route": [{"carriers": ["alpa"]}]},
            "no carrier 'alpa'; did you mean 'alpha'?",
        ),
        ({"carrier": [carrier(binds=[{"mode": "receiver"}])]}, "no bind can transmit"),
        ({"carrier": [carrier(binds=[])]}, "no bind can transmit"),
        (
            {"carrier": [carrier(ceilings=[{"rate_per_s": 1.0}])]},
            "name prefixes, operators or countries that it is for",
        ),
        (
            {"carrier": [carrier(ceilings=[{"rate_per_s": 1.0, "prefixes": ["44"]}] * 2)]},
            "44 has a ceiling already",
        ),
        (
            {"carrier": [carrier(statuses={"ESME_RSYSERR": "retry"})]},
            "'ESME_RSYSERR' is not a number like 0x45",
        ),
        (
            {"carrier": [carrier(data_codings={"flash": 0xF0})]},
            "'flash' is not a number like 0x45",
        ),
        (
            {"carrier": [carrier(alphabet="latin-1", national=["spanish"])]},
            'goes with alphabet = "gsm7" alone',
        ),
        (
            {"carrier": [carrier(alphabet="ascii", packed=True)]},
            'goes with alphabet = "gsm7" alone',
        ),
        (
            {"plan": [{"name": "gold"}], "price": [{"price": "1", "plan": "gild"}]},
            "no plan 'gild'; did you mean 'gold'?",
        ),
        (
            {"plan": [{"name": "gold"}, {"name": "gold"}]},
            "two plans have this name",
        ),
        (
            {"price_list": [{"file": "x.csv", "account": "shop", "currency": "EUR"}]},
            "is for an account, a plan or a currency, not for two of them",
        ),
        (
            {"carrier": [carrier()], "cost_list": [{"file": "x.csv", "carrier": "alfa"}]},
            "no carrier 'alfa'; did you mean 'alpha'?",
        ),
        (
            {"http": {"trusted_proxies": ["10.0.0.0/8", "proxy.example"]}},
            "must be addresses or CIDR networks ('proxy.example' does not appear to be an IPv4 or"
            " IPv6 network)",
        ),
        (
            {"http": {"trusted_proxies": ["192.0.2.1/24"]}},
            "must be addresses or CIDR networks (192.0.2.1/24 has host bits set)",
        ),
        (
            {"http": {"trusted_proxies": ["::/0"]}},
            "trusts everybody, who then may come from any address",
        ),
        (
            {"smpp": {"enabled": True, "plain": False}},
            "neither plain nor with TLS, nobody could connect",
        ),
        (
            {"smpp": {"enabled": True, "tls": {"enabled": True, "cert_file": "c.pem"}}},
            "TLS needs cert_file and key_file",
        ),
        (
            {"smpp": {"enabled": True, "session_init_s": 5.0}},
            "must end before session_init_s, or no bind is ever answered",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(raw: dict[str, Any], words: str) -> None:
    assert refusal(raw).detail == words


# ── Secrets ─────────────────────────────────────────────────────────────────────────────────


def test_a_secret_that_is_not_there_is_said_without_showing_any(tmp_path: Path) -> None:
    missing = refusal({"carrier": [carrier(password="env:SURELY_NOT_SET")]})
    assert (missing.key, missing.detail) == (
        "carrier.alpha.password",
        "the environment has no SURELY_NOT_SET",
    )
    absent = refusal({"carrier": [carrier(password=f"file:{tmp_path}/absent")]})
    assert absent.detail == f"can't read {tmp_path}/absent: No such file or directory"


@pytest.mark.parametrize("password", ["pass:word", "env:", "file:", "environment", ""])
def test_a_password_that_only_looks_alike_is_itself(password: str) -> None:
    [made] = build_config({"carrier": [carrier(password=password)]}).carrier
    assert made.password == password


def test_what_is_printed_has_no_secrets() -> None:
    config = build_config(
        {
            "node": {"database_url": "postgresql://gateway:s3cret@db.example:5432/gateway"},
            "carrier": [carrier(password="s3cret"), carrier(name="beta")],
        }
    )
    printed = printable_config(config)
    assert "s3cret" not in repr(printed)
    assert printed["node"]["database_url"] == "postgresql://gateway:•••@db.example:5432/gateway"
    assert [each["password"] for each in printed["carrier"]] == ["•••", ""]


def test_the_tree_can_not_be_changed(example: Config) -> None:
    with pytest.raises(AttributeError):
        example.http.port = 1  # type: ignore[misc]  # what is tested


def test_the_example_is_toml_that_others_read_alike() -> None:
    assert set(tomllib.loads(EXAMPLE.read_text())) == set(Config.__struct_fields__)


def test_settings_can_be_read_where_their_secrets_are_not() -> None:
    raw = {"carrier": [carrier(password="env:NOT_HERE"), carrier(name="beta", password="plain")]}
    parsed = parse_config(raw)
    assert [each.password for each in parsed.carrier] == ["env:NOT_HERE", "plain"]
    assert refusal(raw).key == "carrier.alpha.password"


def test_the_types_of_numbers_are_those_that_routing_knows() -> None:
    assert set(typing.get_args(NumberType)) == set(RoutedType) - {RoutedType.UNKNOWN}


def test_everything_that_is_wrong_is_found() -> None:
    raw = {
        "htpp": {},
        "http": {"port": 99_999, "prot": 1},
        "messages": {"validity_s": "long", "retention_days": 0},
        "carrier": [carrier(window_size=0), {"name": "beta"}, carrier(binds=[{"mode": "both"}])],
    }
    assert [problem.key for problem in find_problems(raw)] == [
        "htpp",
        "http.prot",
        "http.port",
        "messages.validity_s",
        "messages.retention_days",
        "carrier[0].window_size",
        "carrier[1]",
        "carrier[1]",
        "carrier[2].binds[0].mode",
    ]
    assert {problem.detail for problem in find_problems(raw) if problem.key == "carrier[1]"} == {
        "Object missing required field `host`",
        "Object missing required field `system_id`",
    }


def test_everything_that_contradicts_something_is_found(tmp_path: Path) -> None:
    raw = {
        "carrier": [
            carrier(password=f"file:{tmp_path}/absent", statuses={"x": "retry"}),
            carrier(binds=[{"mode": "receiver"}]),
        ],
        "route": [{"carriers": ["aplha"]}, {"carriers": ["gamma"]}],
        "smpp": {"enabled": True, "plain": False},
    }
    keys = [problem.key for problem in find_problems(raw)]
    assert keys == [
        "carrier.alpha",
        "route[0].carriers",
        "route[1].carriers",
        "carrier.alpha.statuses",
        "carrier.alpha.binds",
        "smpp.plain",
        "carrier.alpha.password",
    ]


@pytest.mark.parametrize("raw", [{}, {"carrier": []}, {"http": {"port": 1}}])
def test_where_nothing_is_wrong_nothing_is_found(raw: dict[str, Any]) -> None:
    assert find_problems(raw) == []


def test_the_first_problem_is_the_one_that_ends_a_start() -> None:
    raw = {"http": {"port": 0.5}, "log": {"level": "loud"}}
    with pytest.raises(ConfigError) as raised:
        build_config(raw)
    assert str(raised.value) == str(find_problems(raw)[0])
