"""The settings file: read, checked, its secrets looked up, printed without them.

Unknown keys are errors that name the nearest known one. Secrets may be written `env:NAME` or
`file:/path` and are never printed.

Not here: what can be set, and the defaults (`config.py`).
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from gateway.config import (
    Carrier,
    Config,
    Cost,
    CostList,
    Email,
    Http,
    ListenTls,
    Price,
    PriceList,
    Secret,
    Section,
    Smpp,
)
from gateway.email_address import BadAddress, parse_address, parse_mailbox
from gateway.errors import ConfigError, Rejected
from gateway.scopes import read_networks

S = TypeVar("S", bound=Section)
T = TypeVar("T")

BLANK = "•••"


def load_config(path: Path | None) -> Config:
    """Read and check the file; without one, every setting has its default.

    Raises ConfigError, naming the key, for anything that can't be used as it stands.
    """
    return Config() if path is None else build_config(read_tree(path))


def read_tree(path: Path) -> dict[str, Any]:
    """Return the file's tables as they are written; raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("", f"can't read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("", f"{path} is not TOML: {error}") from error


def build_config(raw: dict[str, Any]) -> Config:
    """Turn a parsed file into settings; see `load_config`."""
    return resolve_secrets(parse_config(raw))


def parse_config(raw: dict[str, Any]) -> Config:
    """As `build_config`, with secrets as they are written: references are not followed.

    That is for reading settings where the gateway that will use them does not run.
    """
    for problem in _find_unknown_keys(raw, Config, ""):
        raise problem
    config = _convert(raw, Config, "")
    for problem in _find_contradictions(config):
        raise problem
    return config


def find_problems(raw: dict[str, Any]) -> list[ConfigError]:
    """Return everything that `build_config` could raise, one after the other.

    What settings have to do with each other is looked at only where each by itself can be read.
    """
    problems = [*_find_unknown_keys(raw, Config, ""), *_find_wrong_values(raw, Config, "")]
    if problems:
        return problems
    try:
        config = _convert(raw, Config, "")
    except ConfigError as error:
        return [error]
    # One that concerns two places is found at both.
    problems = [*{str(problem): problem for problem in _find_contradictions(config)}.values()]

    def read(value: str, key: str) -> str:
        try:
            return _read_secret(value, key)
        except ConfigError as error:
            problems.append(error)
            return ""

    _change_secrets(config, "", read)
    return problems


def resolve_secrets(config: Config) -> Config:
    """Put what they refer to in the place of `env:NAME` and `file:/path`.

    Raises ConfigError, naming the key, for what is not there.
    """
    return _change_secrets(config, "", _read_secret)


def printable_config(config: Config) -> dict[str, Any]:
    """Return the tree as plain values with its secrets blanked, for a log line at start."""
    blanked = _change_secrets(config, "", lambda value, key: BLANK if value else "")
    tree: dict[str, Any] = msgspec.to_builtins(blanked)
    url = tree["node"]["database_url"]
    tree["node"]["database_url"] = re.sub(r"//([^:/@]*):[^@]*@", rf"//\1:{BLANK}@", url)
    return tree


def _check_listening(http: Http, smpp: Smpp) -> Iterator[ConfigError]:
    yield from _check_ports("http", http.plain, http.port, http.tls)
    yield from _check_proxies(http)
    if not smpp.enabled:
        return
    yield from _check_ports("smpp", smpp.plain, smpp.port, smpp.tls)
    if smpp.tls.enabled and smpp.tls.client_names == "system_id":
        key = "smpp.tls.client_names"
        if not smpp.tls.client_ca_file or smpp.tls.client_cert != "required":
            yield ConfigError(key, "needs client_ca_file, and certificates that are required")
        if smpp.plain:
            yield ConfigError(key, "smpp.plain lets customers in who show no certificate")
    if smpp.login_wait_max_s >= smpp.session_init_s:
        yield ConfigError(
            "smpp.login_wait_max_s", "must end before session_init_s, or no bind is ever answered"
        )


def _check_proxies(http: Http) -> Iterator[ConfigError]:
    try:
        networks = read_networks(http.trusted_proxies)
    except Rejected as error:
        yield ConfigError("http.trusted_proxies", error.detail)
        return
    if any(not network.prefixlen for network in networks):
        yield ConfigError(
            "http.trusted_proxies", "trusts everybody, who then may come from any address"
        )


def _check_ports(table: str, plain: bool, port: int, tls: ListenTls) -> Iterator[ConfigError]:
    if not plain and not tls.enabled:
        yield ConfigError(f"{table}.plain", "neither plain nor with TLS, nobody could connect")
    if not tls.enabled:
        return
    if not (tls.cert_file and tls.key_file):
        yield ConfigError(f"{table}.tls.cert_file", "TLS needs cert_file and key_file")
    if tls.client_cert == "optional" and not tls.client_ca_file:
        yield ConfigError(f"{table}.tls.client_cert", "needs client_ca_file, who vouches for them")
    if plain and port and port == tls.port:
        yield ConfigError(f"{table}.tls.port", f"{port} is the plain port already")


def _check_email(email: Email) -> Iterator[ConfigError]:
    if not email.host:
        return
    sender = parse_mailbox(email.sender)
    if isinstance(sender, BadAddress):
        yield ConfigError("email.sender", f"{email.sender!r} {sender.detail}")
    bounces = parse_address(email.bounce_address.replace("{id}", "1"))
    if email.bounce_address and isinstance(bounces, BadAddress):
        yield ConfigError("email.bounce_address", f"{email.bounce_address!r} {bounces.detail}")
    if email.username and email.security == "plain":
        yield ConfigError("email.security", "a password would travel in the clear")
    if email.hello_name and not email.hello_name.isascii():
        yield ConfigError("email.hello_name", f"{email.hello_name!r} is no host's name")


def _check_references(config: Config) -> Iterator[ConfigError]:
    names = [carrier.name for carrier in config.carrier]
    for name in names:
        if names.count(name) > 1:
            yield ConfigError(f"carrier.{name}", "two carriers have this name")
    for index, route in enumerate(config.route):
        for name in route.carriers:
            if name not in names:
                hint = _nearest(name, names)
                yield ConfigError(f"route[{index}].carriers", f"no carrier {name!r}{hint}")
    yield from _check_names_differ("route", [route.name for route in config.route])
    yield from _check_names_differ("sender", [rule.name for rule in config.sender])
    for carrier in config.carrier:
        yield from _check_numbers(carrier.statuses, f"carrier.{carrier.name}.statuses")
        yield from _check_numbers(carrier.data_codings, f"carrier.{carrier.name}.data_codings")
        if carrier.alphabet != "gsm7" and (carrier.national or carrier.packed):
            key = "national" if carrier.national else "packed"
            yield ConfigError(f"carrier.{carrier.name}.{key}", 'goes with alphabet = "gsm7" alone')
        if all(bind.mode == "receiver" for bind in carrier.binds):
            yield ConfigError(f"carrier.{carrier.name}.binds", "no bind can transmit")
        if carrier.tls.key_file and not carrier.tls.cert_file:
            yield ConfigError(f"carrier.{carrier.name}.tls.cert_file", "missing beside key_file")
        yield from _check_ceilings(carrier)
    yield from _check_price_lists(config)


def _check_ceilings(carrier: Carrier) -> Iterator[ConfigError]:
    named: set[str] = set()
    for index, ceiling in enumerate(carrier.ceilings):
        where = f"carrier.{carrier.name}.ceilings[{index}]"
        names = [*ceiling.prefixes, *ceiling.countries]
        names += [f"operator {code.replace('-', '')}" for code in ceiling.operators]
        if not names:
            yield ConfigError(where, "name prefixes, operators or countries that it is for")
        for name in names:
            if name in named:
                yield ConfigError(where, f"{name} has a ceiling already")
            named.add(name)


def _check_names_differ(section: str, names: Sequence[str]) -> Iterator[ConfigError]:
    for index, name in enumerate(names):
        if name and name in names[:index]:
            yield ConfigError(f"{section}[{index}].name", f"there is a {name!r} already")


def _check_price_lists(config: Config) -> Iterator[ConfigError]:
    plans = [plan.name for plan in config.plan]
    for name in plans:
        if plans.count(name) > 1:
            yield ConfigError(f"plan.{name}", "two plans have this name")
    priced: list[tuple[str, Price | PriceList]] = [
        *((f"price[{index}]", price) for index, price in enumerate(config.price)),
        *((f"price_list[{index}]", listed) for index, listed in enumerate(config.price_list)),
    ]
    for where, each in priced:
        if each.plan and each.plan not in plans:
            yield ConfigError(f"{where}.plan", f"no plan {each.plan!r}{_nearest(each.plan, plans)}")
        if sum(map(bool, (each.account, each.plan, each.currency))) > 1:
            yield ConfigError(where, "is for an account, a plan or a currency, not for two of them")
    carriers = [carrier.name for carrier in config.carrier]
    charged: list[tuple[str, Cost | CostList]] = [
        *((f"cost[{index}]", cost) for index, cost in enumerate(config.cost)),
        *((f"cost_list[{index}]", listed) for index, listed in enumerate(config.cost_list)),
    ]
    for where, charge in charged:
        if charge.carrier not in carriers:
            hint = _nearest(charge.carrier, carriers)
            yield ConfigError(f"{where}.carrier", f"no carrier {charge.carrier!r}{hint}")


def _check_numbers(table: Mapping[str, object], where: str) -> Iterator[ConfigError]:
    for number in table:
        try:
            int(number, 0)
        except ValueError:
            yield ConfigError(where, f"{number!r} is not a number like 0x45")


def _find_contradictions(config: Config) -> Iterator[ConfigError]:
    yield from _check_references(config)
    yield from _check_listening(config.http, config.smpp)
    yield from _check_email(config.email)


def _convert(raw: object, kind: type[T], path: str) -> T:
    """Return a value of the file as its type says; raises ConfigError with its key."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        where = re.search(r" - at `\$\.?(.*)`$", text)
        inside = where.group(1) if where else ""
        joint = "." if path and inside and not inside.startswith("[") else ""
        key = f"{path}{joint}{inside}"
        raise ConfigError(key, text[: where.start()] if where else text) from error


def _find_wrong_values(raw: object, kind: Any, path: str) -> Iterator[ConfigError]:
    """Yield what can't be converted, setting by setting: msgspec stops at the first."""
    section, many = _section_of(kind)
    if section is not None and many and isinstance(raw, list) and raw:
        for index, item in enumerate(raw):
            yield from _find_wrong_values(item, section, f"{path}[{index}]")
        return
    if section is None or not isinstance(raw, dict):
        try:
            _convert(raw, kind, path)
        except ConfigError as error:
            yield error
        return
    for field in msgspec.structs.fields(section):
        where = f"{path}.{field.encode_name}" if path else field.encode_name
        if field.encode_name in raw:
            yield from _find_wrong_values(raw[field.encode_name], field.type, where)
        elif field.required:
            yield ConfigError(path, f"Object missing required field `{field.encode_name}`")


def _find_unknown_keys(raw: object, kind: Any, path: str) -> Iterator[ConfigError]:
    """Walk the file beside the types; msgspec's own message would not name the nearest key."""
    kind, many = _section_of(kind)
    if kind is None:
        return
    if many:
        for index, item in enumerate(raw if isinstance(raw, list) else []):
            yield from _find_unknown_keys(item, kind, f"{path}[{index}]")
        return
    if not isinstance(raw, dict):
        return
    hints = typing.get_type_hints(kind, include_extras=False)
    known = [field.name for field in msgspec.structs.fields(kind)]
    for key, value in raw.items():
        where = f"{path}.{key}" if path else key
        if key not in known:
            yield ConfigError(where, f"unknown key{_nearest(key, known)}")
        else:
            yield from _find_unknown_keys(value, hints[key], where)


def _section_of(kind: Any) -> tuple[type[Section] | None, bool]:
    """Return the section class that `kind` holds, and whether it holds many of them."""
    origin = typing.get_origin(kind)
    if origin is Annotated:
        return _section_of(typing.get_args(kind)[0])
    if origin is tuple:
        inner, _ = _section_of(typing.get_args(kind)[0])
        return inner, True
    if origin is types.UnionType or origin is typing.Union:
        return None, False
    if isinstance(kind, type) and issubclass(kind, Section):
        return kind, False
    return None, False


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _change_secrets(section: S, path: str, change: Callable[[str, str], str]) -> S:
    """Return the section with every Secret in it changed; `change` takes its value and key."""
    hints = typing.get_type_hints(type(section), include_extras=True)
    changed: dict[str, Any] = {}
    for field in section.__struct_fields__:
        value, where = getattr(section, field), f"{path}{field}"
        if isinstance(value, Section):
            changed[field] = _change_secrets(value, f"{where}.", change)
        elif isinstance(value, tuple) and value and isinstance(value[0], Section):
            changed[field] = tuple(
                _change_secrets(item, f"{where}.{getattr(item, 'name', '') or index}.", change)
                for index, item in enumerate(value)
            )
        elif hints[field] == Secret:
            changed[field] = change(value, where)
    return msgspec.structs.replace(section, **changed)


def _read_secret(value: str, key: str) -> str:
    """Resolve `env:NAME` and `file:/path`; anything else is the secret itself."""
    kind, _, rest = value.partition(":")
    if kind == "env" and rest:
        if rest not in os.environ:
            raise ConfigError(key, f"the environment has no {rest}")
        return os.environ[rest]
    if kind == "file" and rest:
        try:
            return Path(rest).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(key, f"can't read {rest}: {error.strerror}") from error
    return value
