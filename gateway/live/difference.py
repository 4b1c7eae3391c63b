"""What is different between two sets of settings, in words.

    + carrier gamma: host smsc.example, system_id us
    - price prefix 49: price 0.05
    ~ carrier alpha rate_per_s: 100 → 50
    ~ http port: 8080 → 8081 (at the next start)

Tables that there are many of are matched by what names them: a name, or what they apply to.
Secrets are never shown; where they are kept (`env:`, `file:`) is.
"""

from __future__ import annotations

import enum
import re
import typing
from collections.abc import Iterator, Sequence

import msgspec

from gateway.config import Config, Secret, Section
from gateway.live.effect import waits_for_start

BLANK = "•••"
NOTHING = "none"
USUAL = "as usual"

VALUES = {
    "route": ("carriers", "rank", "choose", "weights", "margin_min", "allow_loss"),
    "sender": ("kinds", "senders", "rewrite", "pool"),
    "price": ("price",),
    "price_list": ("effective_from",),
    "cost": ("cost",),
    "cost_list": ("effective_from",),
}
"""Of tables without a name: the keys that say what, where all others say of what."""


class Kind(enum.Enum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference, as people read it."""

    kind: Kind
    where: str
    """The table, with what names it: "carrier alpha", "http"."""
    key: str = ""
    """Dotted, within the table; empty for a whole one."""
    old: str = ""
    new: str = ""
    at_start: bool = False
    """Whether it takes effect at the next start only."""

    def __str__(self) -> str:
        match self.kind:
            case Kind.ADDED:
                return f"+ {self.where}{_behind(self.new)}"
            case Kind.REMOVED:
                return f"- {self.where}{_behind(self.old)}"
            case Kind.CHANGED:
                late = " (at the next start)" if self.at_start else ""
                return f"~ {self.where} {self.key}: {self.old} → {self.new}{late}"


def compare_settings(old: Config, new: Config) -> list[Change]:
    """Return what is different, in the order of the settings."""
    changes: list[Change] = []
    for name in Config.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, Section):
            changes += _compare_tables(name, name, before, after)
        else:
            changes += _compare_many(name, before, after)
    return changes


def _compare_tables(table: str, where: str, old: Section, new: Section) -> Iterator[Change]:
    """Compare two tables key by key; `table` is the path by which effects are known."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for key in [*before, *(key for key in after if key not in before)]:
        was, is_now = before.get(key, NOTHING), after.get(key, NOTHING)
        if was != is_now:
            yield Change(
                kind=Kind.CHANGED,
                where=where,
                key=key,
                old=was.text if isinstance(was, _Hidden) else was,
                new=_shown_beside(is_now, was),
                at_start=waits_for_start(f"{table}.{key}"),
            )


def _compare_many(name: str, old: Sequence[Section], new: Sequence[Section]) -> Iterator[Change]:
    titles = [_title(name, item) for item in old], [_title(name, item) for item in new]
    before = _numbered(titles[0], old)
    after = _numbered(titles[1], new)
    for key, item in before.items():
        where = f"{name} {key[0]}".rstrip()
        if key not in after:
            yield Change(kind=Kind.REMOVED, where=where, old=_summary(name, item))
        else:
            yield from _compare_tables(name, where, item, after[key])
    for key, item in after.items():
        if key not in before:
            where = f"{name} {key[0]}".rstrip()
            yield Change(kind=Kind.ADDED, where=where, new=_summary(name, item))
    stayed = [key for key in before if key in after], [key for key in after if key in before]
    if stayed[0] != stayed[1]:
        yield Change(
            kind=Kind.CHANGED,
            where=name,
            key="order",
            old=", ".join(title for title, _ in stayed[0]),
            new=", ".join(title for title, _ in stayed[1]),
        )


def _numbered(titles: Sequence[str], items: Sequence[Section]) -> dict[tuple[str, int], Section]:
    """Return items by title; a second one of the same title is another one."""
    found: dict[tuple[str, int], Section] = {}
    for title, item in zip(titles, items, strict=True):
        number = 0
        while (title, number) in found:
            number += 1
        found[title, number] = item
    return found


def _title(table: str, item: Section) -> str:
    """Return what names one of many tables: its name, or what it applies to."""
    name = getattr(item, "name", "")
    if name:
        return str(name)
    says_what = VALUES.get(table, ())
    conditions = [
        f"{key} {_text(value)}" for key, value in _set_leaves(item) if _first(key) not in says_what
    ]
    return ", ".join(conditions) or "for all else"


def _summary(table: str, item: Section) -> str:
    """Return what the title does not say of a table that is there or not as a whole."""
    named = bool(getattr(item, "name", ""))
    says_what = VALUES.get(table, ())
    return ", ".join(
        f"{key} {_text(value)}"
        for key, value in _set_leaves(item)
        if key != "name" and (named or _first(key) in says_what)
    )


def _set_leaves(item: Section) -> Iterator[tuple[str, _Leaf]]:
    """Yield what is not as it is when nothing is said."""
    usual: dict[str, _Leaf] = {}
    for field in msgspec.structs.fields(type(item)):
        made = field.default_factory
        value = field.default if made is msgspec.NODEFAULT else made()
        if isinstance(value, Section):
            usual.update(_leaves(value, f"{field.name}."))
        elif value is not msgspec.NODEFAULT:
            usual[field.name] = _written(value)
    return ((key, leaf) for key, leaf in _leaves(item) if usual.get(key) != leaf)


class _Hidden(msgspec.Struct, frozen=True):
    """A secret: what it is counts in comparisons, and what is shown of it is `text`."""

    value: str
    text: str


_Leaf = str | _Hidden


def _leaves(section: Section, path: str = "") -> Iterator[tuple[str, _Leaf]]:
    """Yield every value by its dotted key, as it is shown."""
    hints = typing.get_type_hints(type(section), include_extras=True)
    for field in section.__struct_fields__:
        value, key = getattr(section, field), f"{path}{field}"
        if isinstance(value, Section):
            yield from _leaves(value, f"{key}.")
        elif isinstance(value, dict):
            yield from ((f"{key}.{inner}", _written(each)) for inner, each in value.items())
        elif hints[field] == Secret:
            yield key, _hide(value)
        elif key == "database_url":
            blanked = re.sub(r"//([^:/@]*):[^@]*@", rf"//\1:{BLANK}@", value)
            yield key, _Hidden(value, _written(blanked))
        else:
            yield key, _written(value)


def _hide(secret: str) -> _Leaf:
    if not secret or secret.startswith(("env:", "file:")):
        return _written(secret)
    return _Hidden(secret, BLANK)


def _written(value: object) -> str:
    """Return a value as people read it."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case Section():
            said = " ".join(f"{key} {_text(leaf)}" for key, leaf in _set_leaves(value))
            return said or USUAL
        case tuple() | list():
            inner = "; " if any(isinstance(each, Section) for each in value) else ", "
            return inner.join(_written(each) for each in value) or NOTHING
        case _:
            return str(value) or NOTHING


def _text(leaf: _Leaf) -> str:
    return leaf.text if isinstance(leaf, _Hidden) else leaf


def _shown_beside(new: _Leaf, old: _Leaf) -> str:
    text = _text(new)
    return f"{text} (another)" if text == _text(old) else text


def _first(key: str) -> str:
    return key.partition(".")[0]


def _behind(text: str) -> str:
    return f": {text}" if text else ""
