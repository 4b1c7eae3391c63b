"""Request bodies: bytes in, typed requests out, or a refusal that says where and why.

Pure. `msgspec` decodes and checks shapes in one pass; this file turns its errors into the words
and the field paths that clients get. Its decoders skip no unknown value (unknown fields are
refused where they stand), so nesting can't exhaust the stack.
"""

from __future__ import annotations

import difflib
import re
import typing
from typing import Any, TypeVar

import msgspec

from gateway.api.requests import (
    BatchRequest,
    DepositRequest,
    ErasureRequest,
    ExportRequest,
    NumberSearch,
    QuoteRequest,
    ReplayRequest,
)
from gateway.errors import Rejected
from gateway.model import SendRequest

T = TypeVar("T")

_single = msgspec.json.Decoder(SendRequest)
_batch = msgspec.json.Decoder(BatchRequest)
_quote = msgspec.json.Decoder(QuoteRequest)
_replay = msgspec.json.Decoder(ReplayRequest)
_deposit = msgspec.json.Decoder(DepositRequest)
_erasure = msgspec.json.Decoder(ErasureRequest)
_export = msgspec.json.Decoder(ExportRequest)
_number = msgspec.json.Decoder(NumberSearch)

_NAME_SHOWN_MAX = 64
"""Characters of a client's own words that an error repeats."""

_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "array": "a list",
}

_AT = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_TYPES = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(.*)`$")
_BYTE = re.compile(r"^JSON is malformed: (.*) \(byte (\d+)\)$")


def decode_single(body: bytes) -> SendRequest:
    """Return one message from JSON; raises Rejected (400 not JSON, 422 not a message)."""
    return _decode(_single, body)


def decode_batch(body: bytes) -> BatchRequest:
    """Return a batch from JSON; raises Rejected (400 not JSON, 422 not a batch)."""
    return _decode(_batch, body)


def decode_quote(body: bytes) -> QuoteRequest:
    """Return what is to be priced from JSON; raises Rejected (400 not JSON, 422 not a quote)."""
    return _decode(_quote, body)


def decode_replay(body: bytes) -> ReplayRequest:
    """Return which dead events are meant; raises Rejected (400 not JSON, 422 not such a wish)."""
    return _decode(_replay, body)


def decode_deposit(body: bytes) -> DepositRequest:
    """Return what is to be deposited; raises Rejected (400 not JSON, 422 not a deposit)."""
    return _decode(_deposit, body)


def decode_erasure(body: bytes) -> ErasureRequest:
    """Return what is to be erased; raises Rejected (400 not JSON, 422 not such a wish)."""
    return _decode(_erasure, body)


def decode_export(body: bytes) -> ExportRequest:
    """Return what is to be written out; raises Rejected (400 not JSON, 422 not such a wish)."""
    return _decode(_export, body)


def decode_number(body: bytes) -> NumberSearch:
    """Return which number is meant; raises Rejected (400 not JSON, 422 no number)."""
    return _decode(_number, body)


def nearest(word: str, known: list[str]) -> str:
    """Return a hint at the known word that is most like this one, or nothing."""
    close = difflib.get_close_matches(word[:_NAME_SHOWN_MAX], known, n=1, cutoff=0.65)
    return f"; did you mean {close[0]!r}?" if close else ""


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        request = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain_shape(str(error), decoder.type) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _explain_syntax(error, body) from None
    # An escape is the only way to write NUL in JSON; PostgreSQL's text can't hold it.
    if b"\\u0000" in body:
        _refuse_nul(msgspec.to_builtins(request), "")
    return request


def _explain_syntax(error: Exception, body: bytes) -> Rejected:
    if isinstance(error, UnicodeDecodeError):
        return _not_json("not UTF-8", _first_bad_byte(body, error))
    if match := _BYTE.match(str(error)):
        return _not_json(match[1], int(match[2]))
    if not body.strip():
        return Rejected("invalid_json", "the body is empty", status=400)
    return _not_json("it ends in the middle of a value", len(body))


def _not_json(why: str, position: int) -> Rejected:
    return Rejected("invalid_json", f"the body is not JSON: {why} at byte {position}", status=400)


def _first_bad_byte(body: bytes, error: UnicodeDecodeError) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as whole:
        return whole.start
    return error.start  # within the one string that msgspec was at


def explain_value(problem: str, field: str) -> Rejected:
    """Return the refusal of one value from what msgspec says of it."""
    if problem.startswith("Expected `") and ", got `" in problem:
        return Rejected("invalid_type", _in_words(problem), field=field)
    if "out of range" in problem:
        return Rejected("out_of_range", "the number is out of range", field=field)
    if ">=" in problem or "<=" in problem:
        return Rejected("out_of_range", _in_words(problem), field=field)
    return Rejected("invalid_value", _in_words(problem), field=field)


def _explain_shape(text: str, kind: Any) -> Rejected:
    at = _AT.search(text)
    path = at[1].lstrip(".") if at else ""
    problem = text[: at.start()] if at else text
    if match := _UNKNOWN.match(problem):
        name = match[1][:_NAME_SHOWN_MAX]
        hint = nearest(name, _field_names_at(path, kind))
        return Rejected("unknown_field", f"no field {name!r}{hint}", field=_join(path, name))
    if match := _MISSING.match(problem):
        return Rejected("missing_field", f"{match[1]} is required", field=_join(path, match[1]))
    return explain_value(problem, path)


def _in_words(problem: str) -> str:
    """Return msgspec's sentence with the names of types as people say them."""

    def name(match: re.Match[str]) -> str:
        return " or ".join(_WORDS.get(word, word) for word in match[1].split(" | "))

    return problem[:1].lower() + _TYPES.sub(name, problem[1:])


def _field_names_at(path: str, kind: Any) -> list[str]:
    """Return the names that the object at a path takes, of a body of this kind."""
    for part in path.split("."):
        name = part.partition("[")[0]
        for field in msgspec.structs.fields(kind):
            if field.encode_name == name:
                kind = _struct_in(field.type)
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def _struct_in(kind: Any) -> Any:
    """Return the struct that a field's type holds, behind lists, options and annotations."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    found = (_struct_in(inner) for inner in typing.get_args(kind))
    return next((inner for inner in found if inner is not None), None)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _refuse_nul(value: Any, path: str) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise Rejected("invalid_character", "a NUL character can't be stored", field=path)
    elif isinstance(value, dict):
        for name, inner in value.items():
            _refuse_nul(inner, _join(path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_nul(inner, f"{path}[{index}]")
