"""What a simulated carrier is told to do: one frozen tree, read from TOML.

Rules are tried in order; the first whose prefix, suffix and share fit a message decides its fate,
and a message that fits none is accepted at once and delivered. Every share is between 0 and 1.

Not here: how a fate is drawn from a rule (`fate.py`), how receipts look (`receipt.py`).
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gateway.errors import ConfigError

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Count = Annotated[int, Meta(ge=0, le=10_000_000)]
CommandStatus = Annotated[int, Meta(ge=1, le=0xFFFFFFFF)]
Digits = Annotated[str, Meta(pattern=r"^\d{0,20}$")]

State = Literal[
    "DELIVRD", "UNDELIV", "EXPIRED", "REJECTD", "DELETED", "UNKNOWN", "ACCEPTD", "ENROUTE"
]
IdForm = Literal["decimal", "hex", "hex_upper", "uuid", "uuid_upper"]
Variant = Literal[
    "no_stat_key",
    "no_sub_dlvrd",
    "no_text",
    "capital_text",
    "seconds_in_dates",
    "year_of_four_digits",
    "zero_done_date",
    "err_letters",
    "err_one_digit",
    "err_four_digits",
    "stat_of_six_letters",
    "other_order",
    "udh_in_text",
    "no_id",
    "cut",
    "noise",
    "empty",
]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Fixed(_Table, frozen=True, kw_only=True, tag_field="kind", tag="fixed"):
    s: Seconds

    def at(self, u: float) -> float:
        """Return the seconds at `u`, a draw from [0, 1)."""
        return self.s


class Uniform(_Table, frozen=True, kw_only=True, tag_field="kind", tag="uniform"):
    min_s: Seconds
    max_s: Seconds

    def at(self, u: float) -> float:
        """Return the seconds at `u`, a draw from [0, 1)."""
        return self.min_s + (self.max_s - self.min_s) * u


class Exponential(_Table, frozen=True, kw_only=True, tag_field="kind", tag="exponential"):
    mean_s: Seconds
    max_s: Seconds = 86_400.0

    def at(self, u: float) -> float:
        """Return the seconds at `u`, a draw from [0, 1)."""
        return min(self.max_s, -self.mean_s * math.log1p(-u))


Duration: TypeAlias = Fixed | Uniform | Exponential
"""How long something takes. A bare number in the file is a fixed one."""


class Server(_Table, frozen=True, kw_only=True):
    """Limits of the carrier as a whole."""

    system_id: Annotated[str, Meta(max_length=15)] = "smsc"
    """What it calls itself in a bind response."""
    rate_per_s: Annotated[float, Meta(ge=0)] = 0.0
    """Segments a second over all binds; beyond it `throttle_status`. 0: no limit."""
    burst: Count = 0
    """Segments above the rate that are taken at once; 0: a tenth of a second's worth."""
    throttle_status: CommandStatus = 0x58
    window_max: Count = 0
    """Unanswered submissions a bind; beyond it `window_status`. 0: no limit."""
    window_status: CommandStatus = 0x14
    receipts_to: Literal["same", "other", "receiver", "any"] = "same"
    """Which bind of the same system_id gets a receipt: the one that submitted, another one when
    there is another, a bind_receiver when there is one, or each in turn."""
    receipt_window: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    """Unacknowledged deliver_sm a bind; the rest waits, so that a slow client bounds itself."""
    waiting_max: Count = 1_000_000
    """Receipts waiting for a receiver, about 300 bytes each; beyond it they are dropped and
    counted."""
    redeliver_s: Seconds = 1.0
    """Pause before a deliver_sm that was refused for now is sent again."""


class Connection(_Table, frozen=True, kw_only=True):
    """How binds behave, and misbehave. Counts run over all binds of the carrier."""

    bind_delay_s: Seconds = 0.0
    refuse_first: Count = 0
    """Bind requests that are refused before the first one is taken."""
    refuse_status: CommandStatus = 0x0D
    drop_every: Count = 0
    """Cut the connection at every n-th submit_sm, unanswered. 0: never."""
    garbage_every: Count = 0
    """Send bytes that are no PDU at every n-th submit_sm. 0: never."""
    unbind_after_s: Seconds = 0.0
    """Send unbind after this long. 0: never."""
    enquire_link_s: Seconds = 0.0
    """Send enquire_link at this pace. 0: never."""
    answer_enquire_link: bool = True
    read_bytes_per_s: Count = 0
    """Read no faster than this. 0: as fast as it comes."""
    quick_ack: bool = False
    """Have TCP acknowledge what was read at once (Linux). Clients that leave Nagle's algorithm on
    otherwise wait up to 40 ms where two PDUs of theirs follow each other."""


class Ids(_Table, frozen=True, kw_only=True):
    """How one message id is written in the response and in the receipt."""

    first: Annotated[int, Meta(ge=0, le=2**62)] = 1
    response: IdForm = "decimal"
    response_width: Annotated[int, Meta(ge=0, le=64)] = 0
    """Padded to this many characters with zeros."""
    receipt: IdForm = "decimal"
    receipt_width: Annotated[int, Meta(ge=0, le=64)] = 0


class Account(_Table, frozen=True, kw_only=True):
    """Who may bind. Without any account in the script, everybody may."""

    system_id: Annotated[str, Meta(min_length=1, max_length=64)]
    password: str = ""
    refuse_status: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] = 0
    """Refuse this account's binds with it although the password is right. 0: take them."""
    binds_max: Count = 0
    """Binds at once; one more gets ESME_RALYBND. 0: no limit."""


class Refusal(_Table, frozen=True, kw_only=True):
    status: CommandStatus
    """Any command_status, vendors' own too."""
    share: Share = 1.0


class Outcome(_Table, frozen=True, kw_only=True):
    """One way in which accepted messages can end."""

    state: State = "DELIVRD"
    share: Share = 1.0
    err: Annotated[str, Meta(max_length=8)] = "000"
    delay: float | Duration | None = None
    """From the response to the receipt; absent: the rule's."""
    intermediate: bool = False
    """An ENROUTE notification goes first, after half of the delay."""


class Rule(_Table, frozen=True, kw_only=True):
    """What happens to messages whose destination fits."""

    prefix: Digits = ""
    suffix: Digits = ""
    share: Share = 1.0
    """Of the messages that fit; the others go on to the next rule."""
    latency: float | Duration = 0.0
    """From submit_sm to its response."""
    refuse: tuple[Refusal, ...] = ()
    silence_share: Share = 0.0
    """Never answered."""
    drop_share: Share = 0.0
    """The connection is cut instead of an answer."""
    garbage_share: Share = 0.0
    """Bytes that are no PDU come instead of an answer."""
    unanswered: Literal["taken", "lost"] = "taken"
    """Whether a message without an answer reaches the phone all the same."""
    receipts: tuple[Outcome, ...] = (Outcome(),)
    delay: float | Duration = 0.0
    late_share: Share = 0.0
    late: float | Duration = 10.0
    """The delay of late receipts."""
    early_share: Share = 0.0
    """Receipts that come before the response, in the same write."""
    duplicate_share: Share = 0.0
    missing_share: Share = 0.0
    malformed_share: Share = 0.0
    malformed: tuple[Variant, ...] = ("no_stat_key", "no_sub_dlvrd", "noise")
    """The ways in which malformed receipts are malformed, each as often."""
    force_receipts: bool = False
    """Send what the script says whatever registered_delivery asks for."""
    carriage: Literal["deliver_sm", "data_sm"] = "deliver_sm"
    form: Literal["both", "text", "tlv"] = "both"
    """Whether receipts carry Appendix B's text, TLVs, or both."""


class Mobile(_Table, frozen=True, kw_only=True):
    """Messages that phones send to the system_id's bound receivers."""

    source: Annotated[str, Meta(pattern=r"^\d{1,20}$")]
    destination: Annotated[str, Meta(min_length=1, max_length=20)]
    text: Annotated[str, Meta(min_length=1)]
    """`{n}` stands for the message's number; a text too long for one is concatenated."""
    system_id: str = ""
    """Whose receivers get them; empty: anyone's."""
    rate_per_s: Annotated[float, Meta(gt=0, le=100_000)] = 1.0
    count: Count = 0
    """How many; 0: without end."""
    reference_bits: Literal[8, 16] = 8
    reversed: bool = False
    """The last part goes first."""


class Script(_Table, frozen=True, kw_only=True):
    seed: Annotated[int, Meta(ge=0, le=2**62)] = 1
    identity: Literal["content", "tag"] = "content"
    """What makes two submissions the same message: source, destination and content, or the first
    `#<number>` in the text (the content, where there is none)."""
    server: Server = Server()
    connection: Connection = Connection()
    ids: Ids = Ids()
    account: tuple[Account, ...] = ()
    rule: tuple[Rule, ...] = ()
    mobile: tuple[Mobile, ...] = ()


def duration(value: float | Duration) -> Duration:
    """Return `value` as a Duration; a bare number is a fixed one."""
    return Fixed(s=float(value)) if isinstance(value, int | float) else value


def load_script(path: Path) -> Script:
    """Read and check a script. Raises ConfigError, naming the key."""
    try:
        return parse_script(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("", f"can't read {path}: {error}") from error


def parse_script(text: str) -> Script:
    """Check a script's text. Raises ConfigError, naming the key."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("", f"the script is not TOML: {error}") from error
    return build_script(raw)


def build_script(raw: dict[str, Any]) -> Script:
    """Turn a parsed file into a script. Raises ConfigError, naming the key."""
    try:
        script = msgspec.convert(raw, Script)
    except msgspec.ValidationError as error:
        raise _name_key(str(error)) from error
    _check_ids(script.ids)
    for index, rule in enumerate(script.rule):
        _check_rule(rule, f"rule[{index}]")
    return script


def _check_ids(ids: Ids) -> None:
    if ids.response.startswith("uuid") != ids.receipt.startswith("uuid"):
        raise ConfigError("ids.receipt", "a UUID in one place asks for a UUID in the other")


def _check_rule(rule: Rule, key: str) -> None:
    _check_sum(f"{key}.refuse", (item.share for item in rule.refuse), exact=False)
    trouble = (rule.silence_share, rule.drop_share, rule.garbage_share)
    _check_sum(f"{key}.silence_share + drop_share + garbage_share", trouble, exact=False)
    _check_sum(f"{key}.receipts", (item.share for item in rule.receipts), exact=True)
    if rule.malformed_share and not rule.malformed:
        raise ConfigError(f"{key}.malformed", "names no variant, and malformed_share asks for one")
    _check_duration(rule.latency, f"{key}.latency")
    _check_duration(rule.delay, f"{key}.delay")
    _check_duration(rule.late, f"{key}.late")
    for index, outcome in enumerate(rule.receipts):
        if outcome.delay is not None:
            _check_duration(outcome.delay, f"{key}.receipts[{index}].delay")


def _check_sum(key: str, shares: Iterable[float], *, exact: bool) -> None:
    total = math.fsum(shares)
    if total > 1 + 1e-9 or (exact and total < 1 - 1e-9):
        raise ConfigError(
            key, f"the shares add up to {total:g}, not {'' if exact else 'at most '}1"
        )


def _check_duration(value: float | Duration, key: str) -> None:
    match value:
        case Uniform(min_s=low, max_s=high) if low > high:
            raise ConfigError(f"{key}.min_s", f"{low:g} is more than max_s, {high:g}")
        case int() | float() if not 0 <= value <= 86_400:
            raise ConfigError(key, f"{value:g} s is not between 0 and 86400")


def _name_key(text: str) -> ConfigError:
    """Turn msgspec's sentence into the dotted key and what is wrong with it."""
    where = re.search(r" - at `\$\.?(.*)`$", text)
    key = where.group(1) if where else ""
    detail = text[: where.start()] if where else text
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", detail)
    if unknown:
        name = unknown.group(1)
        return ConfigError(f"{key}.{name}" if key else name, f"unknown key{_nearest(name)}")
    missing = re.fullmatch(r"Object missing required field `(.*)`", detail)
    if missing:
        name = missing.group(1)
        return ConfigError(f"{key}.{name}" if key else name, "is missing")
    return ConfigError(key, detail)


def _nearest(word: str) -> str:
    tables = (Script, Server, Connection, Ids, Account, Rule, Refusal, Outcome, Mobile)
    known = [field.name for table in tables for field in msgspec.structs.fields(table)]
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
