"""What the values of the hot path have in common: they are equal, and shown, by their fields.

Such a value names its fields in `__slots__` and takes them in `__init__`, all of them under those
names. That is written out because a class like it is a structure of C where its file is compiled
(`setup.py`): making one and reading a field of it then cost next to nothing. Values that are read
from JSON or from settings are `msgspec.Struct`s, in files that are not compiled.
"""

from __future__ import annotations

from typing import Any, TypeVar

_Kind = TypeVar("_Kind", bound="Record")


class Record:
    """A value: its fields are all that it is, and nobody changes them."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return False
        return all(getattr(self, name) == getattr(other, name) for name in _fields(type(self)))

    def __hash__(self) -> int:
        return hash(tuple(asdict(self).values()))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in asdict(self).items())
        return f"{type(self).__name__}({said})"


def asdict(record: Record) -> dict[str, Any]:
    """Return the fields of a record by name."""
    return {name: getattr(record, name) for name in _fields(type(record))}


def replace(record: _Kind, **changes: object) -> _Kind:
    """Return a copy of a record in which these fields are others."""
    return type(record)(**{**asdict(record), **changes})


def _fields(kind: type[Record]) -> tuple[str, ...]:
    compiled: tuple[str, ...] | None = getattr(kind, "__mypyc_attrs__", None)
    if compiled is not None:  # where `__slots__` is left out
        return compiled
    return tuple(name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))
