"""Logging: one stream of events, as JSON or for a console, with people's data taken out.

An event is a past fact in snake_case with fixed keys: `log.info("bind_lost", carrier="alpha",
reason="timeout")`. Numbers keep their first four digits and texts only their length, unless
`[log] redact` is off; secrets never appear. The standard library's loggers (asyncio, uvicorn) go
the same way.

Not here: counters of what happens to messages (`metrics.py`). One line a message is for `debug`
only, and on the hot path there is none.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from gateway.config import Log

BLANK = "•••"
_DIGITS_KEPT = 4
_DEPTH_MAX = 4

_NUMBER_KEYS = frozenset(
    {"to", "from", "from_", "number", "sender", "recipient", "source_addr", "destination_addr"}
)
_TEXT_KEYS = frozenset({"text", "body", "data", "udh", "short_message", "message_payload"})
_SECRET_KEY = re.compile(r"password|secret|token|authorization|credential|(^|_)key$")
_SAFE_KEYS = frozenset({"event", "level", "logger", "time"})

# E.164 allows 15 digits and nobody's number has fewer than 7; shorter ones are ports and counts.
_NUMBER_IN_PROSE = re.compile(r"(?<![\d.:-])\+?(\d{4})\d{3,11}(?![\d.:-])")
_USERINFO_OR_QUERY = re.compile(r"(?<=//)[^/@\s]*@|\?\S*")
_ADDRESS_IN_PROSE = re.compile(r"(\w://)(?:[^/@\s'\"]*@)?([^\s'\"?]*)(?:\?[^\s'\"]*)?")
"""Passwords and tokens are what stands before a host and in a query."""


def get_logger(name: str) -> FilteringBoundLogger:
    """Return a logger whose lines carry `logger=name`; `bind()` adds keys to all that follow."""
    return cast(FilteringBoundLogger, structlog.get_logger(name))


def setup_logging(settings: Log, stream: TextIO | None = None) -> None:
    """Send every event of this process to `stream` (standard error) in the form that is set.

    May be called again; the last call counts.
    """
    out = stream if stream is not None else sys.stderr
    as_json = settings.format == "json" or (settings.format == "auto" and not out.isatty())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared = _shared_processors(redact=settings.redact)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        # Levels that are off cost one call of an empty function.
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _json_renderer if as_json else _console_renderer(colors=out.isatty()),
        ],
    )
    _replace_handler(_GatewayHandler(out), formatter, level)


def redact_number(number: str) -> str:
    """Return a phone number's first four digits and how many follow; names stay as they are."""
    digits = number.removeprefix("+")
    if not digits.isdigit() or len(digits) <= _DIGITS_KEPT:
        return number
    return f"{digits[:_DIGITS_KEPT]}…{len(digits) - _DIGITS_KEPT}"


def redact_text(text: str | bytes) -> str:
    """Return only how long a text is."""
    return f"<{len(text)} {'bytes' if isinstance(text, bytes) else 'chars'}>"


def redact_event(event: Mapping[str, Any], *, people: bool = True) -> dict[str, Any]:
    """Return the event without secrets and, when `people` is set, without people's data."""
    return {key: _redact_value(key, value, people, _DEPTH_MAX) for key, value in event.items()}


def _redact_value(key: str, value: Any, people: bool, depth: int) -> Any:
    if _SECRET_KEY.search(key.lower()):
        return BLANK if value else value
    if isinstance(value, Mapping):
        if depth == 0:
            return BLANK
        return {str(k): _redact_value(str(k), v, people, depth - 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return BLANK if depth == 0 else [_redact_value(key, v, people, depth - 1) for v in value]
    if isinstance(value, BaseException):
        value = f"{type(value).__name__}: {value}"
    if isinstance(value, bytes) and not (people and key in _TEXT_KEYS):
        value = value.hex()
    if isinstance(value, str | bytes):
        return _redact_words(key, value, people)
    return value


def _redact_words(key: str, value: str | bytes, people: bool) -> str:
    if key in _TEXT_KEYS:
        return redact_text(value) if people else str(value)
    words = str(value)
    if key == "url" or key.endswith("_url"):
        words = _USERINFO_OR_QUERY.sub("", words)
    elif "://" in words:
        words = _ADDRESS_IN_PROSE.sub(r"\1\2", words)
    if not people or key in _SAFE_KEYS:
        return words
    if key in _NUMBER_KEYS:
        return redact_number(words)
    # An id of ours has 18 digits and more, so it is not taken for a number.
    return _NUMBER_IN_PROSE.sub(lambda found: redact_number(found.group()), words)


# ── How a line is made ──────────────────────────────────────────────────────────────────────


def _shared_processors(*, redact: bool) -> list[Processor]:
    def redacted(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        # `_record` and `_from_structlog` are structlog's own and leave before rendering.
        own = {key: value for key, value in event.items() if key.startswith("_")}
        told = {key: value for key, value in event.items() if not key.startswith("_")}
        if "_record" in event and redact:  # prose of another library
            told["event"] = _redact_words("", str(told["event"]), people=True)
        return {**redact_event(told, people=redact), **own}

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redacted,
    ]


def _json_renderer(logger: WrappedLogger, name: str, event: EventDict) -> str:
    ordered = {key: event.pop(key) for key in ("time", "level", "logger", "event") if key in event}
    return msgspec.json.encode({**ordered, **event}, enc_hook=repr).decode()


def _console_renderer(*, colors: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=colors,
        timestamp_key="time",
        exception_formatter=structlog.dev.plain_traceback,
    )


class _GatewayHandler(logging.StreamHandler[TextIO]):
    """Told from other handlers by its type, so that setting up again replaces only ours."""


def _replace_handler(handler: _GatewayHandler, formatter: logging.Formatter, level: int) -> None:
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _GatewayHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True
    # Requests are counted in metrics; their lines would quote query strings with numbers and keys.
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL)
    # It says which selector it uses, in every process that starts.
    logging.getLogger("asyncio").setLevel(max(level, logging.INFO))
