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
        return type(self) is type(other) and asdict(self) == asdict(other)

    def __hash__(self) -> int:
        return hash(tuple(asdict(self).values()))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in asdict(self).items())
        return f"{type(self).__name__}({said})"


def asdict(record: Record) -> dict[str, Any]:
    """Return the fields of a record by name."""
    kind = type(record)
    names: tuple[str, ...] | None = getattr(kind, "__mypyc_attrs__", None)
    if names is None:  # not compiled
        names = tuple(name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))
    return {name: getattr(record, name) for name in names}


def replace(record: _Kind, **changes: object) -> _Kind:
    """Return a copy of a record in which these fields are others."""
    return type(record)(**{**asdict(record), **changes})
