"""Settings: one frozen, typed tree. Every limit stands here with its unit and reason.

Not here: reading and checking the file (`config_file.py`), and what is changed by other commands
(accounts, keys, credit: `gateway account`).
"""

from __future__ import annotations

import os
import typing
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PositiveInt = Annotated[int, Meta(ge=1)]
NonNegativeInt = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Octet = Annotated[int, Meta(ge=0, le=255)]
Share = Annotated[float, Meta(gt=0, le=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
NumberType = Literal[
    "fixed_line",
    "mobile",
    "fixed_line_or_mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
]
"""As `routing.plan.NumberType` (a test holds them together), but for what has no known use."""

Secret = Annotated[str, Meta(extra={"secret": True})]
"""Written `env:NAME`, `file:/path` or as it is; never printed (`config_file.py`)."""


TlsVersion = Literal["1.2", "1.3"]
"""The oldest that is spoken; what is older than 1.2 is broken."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""

    def __repr__(self) -> str:
        # Settings end up in tracebacks; their secrets must not.
        hints = typing.get_type_hints(type(self), include_extras=True)
        shown = []
        for key in self.__struct_fields__:
            value = getattr(self, key)
            private = hints[key] == Secret or key == "database_url"
            shown.append(f"{key}={'•••' if private and value else repr(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


class Node(Section, frozen=True, kw_only=True):
    data_dir: str = ".gateway"
    """Where the gateway's own PostgreSQL keeps its files when `database_url` is empty."""
    database_url: str = ""
    """postgresql://… (15 or later); the environment's DATABASE_URL wins over it."""
    database_connections: Annotated[int, Meta(ge=4, le=200)] = 10
    """Readers and maintenance share these; the two writers have one each."""
    metrics_host: str = ""
    """Of the ports below; empty: as `http.host`."""
    metrics_port: Port = 8090
    """The first of several nodes on this machine answers /metrics for itself here, the second on
    the port after it, and so on; 0: any that are free. They share the ports of `http`."""
    migrate_at_start: bool = True
    """Whether a start brings the schema up to date; else it ends where `gateway migrate` is due."""


class ListenTls(Section, frozen=True, kw_only=True):
    """A port that speaks TLS, beside the plain one or instead of it."""

    enabled: bool = False
    port: Port = 8443
    cert_file: str = ""
    key_file: str = ""
    min_version: TlsVersion = "1.2"
    client_ca_file: str = ""
    """Who vouches for clients' certificates; empty: they need none."""
    client_cert: Literal["required", "optional"] = "required"
    """optional: who shows none gets in, who shows a wrong one does not."""


class SmppTls(ListenTls, frozen=True, kw_only=True):
    port: Port = 3550
    client_names: Literal["any", "system_id"] = "any"
    """system_id: a customer's certificate has to name the system_id that it binds as."""


class Http(Section, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    plain: bool = True
    """Whether to listen on `port` without TLS, where keys and texts travel in the clear."""
    port: Port = 8080
    tls: ListenTls = ListenTls()
    body_bytes_max: PositiveInt = 8 * 1024 * 1024
    """A batch of 10,000 messages with 400-character texts is about 5 MB."""
    batch_messages_max: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    text_chars_max: PositiveInt = 39_015
    """255 segments x 153 septets: what SMS can carry at all."""
    intake_waiting_max: PositiveInt = 20_000
    """Messages that wait for their commit; beyond it 503, so that memory is bounded."""
    commit_timeout_s: Seconds = 10.0
    """How long a request waits for its commit before it is told 503."""
    login_failures_per_min: PositiveInt = 30
    """Wrong keys from one address before it is told to wait."""
    trusted_proxies: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    """Addresses and networks of proxies of ours; whose requests they pass on they are asked."""
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    """The one that they write. The other one, and either from anybody else, is a client's word."""
    peers: tuple[Literal["kannel", "jasmin"], ...] = ("kannel", "jasmin")
    """Whose HTTP calls are answered besides our own (docs/compatibility.md)."""


class Log(Section, frozen=True, kw_only=True):
    format: Literal["auto", "json", "console"] = "auto"
    """auto: console on a terminal, JSON elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    redact: bool = True
    """Numbers keep their first four digits, texts only their length."""


class Messages(Section, frozen=True, kw_only=True):
    validity_s: PositiveInt = 172_800
    """How long a message may wait and be retried when it names no validity: two days."""
    validity_max_s: PositiveInt = 604_800
    schedule_max_s: PositiveInt = 3_024_000
    """35 days ahead, the longest that users of hosted services know."""
    schedule_past_s: NonNegativeInt = 900
    """What was due so long ago leaves at once; older is refused. Clocks differ by less, and time
    zones by more."""
    receipt_timeout_s: PositiveInt = 259_200
    """A submitted message without a receipt becomes `unknown` after three days."""
    receipt_parked_s: PositiveInt = 3_600
    """How long a receipt without a submission waits for it before it is set aside."""
    reassembly_s: Seconds = 1_800.0
    """How long the parts of a message from a phone wait for those that are missing."""
    retention_days: PositiveInt = 30
    """Messages and their events are dropped, a partition at once, after this."""
    text_retention_days: NonNegativeInt = 0
    """Texts are erased after this; 0: they are kept as long as their messages."""
    statement_days: PositiveInt = 400
    """What was used is known so long; by tag only as long as messages are kept."""
    idempotency_s: PositiveInt = 86_400
    """How long an Idempotency-Key or client_ref names its message."""
    default_country: Annotated[str, Meta(pattern=r"^([A-Z]{2})?$")] = ""
    """For numbers in national form; empty: only international form is taken."""
    recipient_per_minute: Count = 0
    """Messages of one account to one number, as a fence against loops and pumping; 0: no limit.
    Accounts may have ceilings of their own (`gateway account ceilings`)."""
    recipient_per_hour: Count = 0
    refuse_types: tuple[NumberType, ...] = (
        *("fixed_line", "premium_rate", "toll_free", "shared_cost"),
        *("personal_number", "pager", "uan", "voicemail"),
    )
    """Kinds of numbers that no text is sent to: no phone shows it, or somebody earns by it."""


class Privacy(Section, frozen=True, kw_only=True):
    hash_key: Secret = ""
    """What erased numbers are hashed with in the list of erasures; empty: a key that the database
    made and keeps."""


class Dispatch(Section, frozen=True, kw_only=True):
    queue_messages_max: Annotated[int, Meta(ge=1_000)] = 50_000
    """Waiting messages held in memory, about 1 KB each; the rest waits in the database."""
    outcomes_waiting_max: Annotated[int, Meta(ge=1_000)] = 50_000
    """Unwritten outcomes; beyond it nothing more is sent, so that a stalled database is safe."""
    retry_attempts_max: PositiveInt = 20
    """Submissions of one segment before the message ends `rejected`."""
    retry_first_s: Seconds = 5.0
    retry_max_s: Seconds = 600.0
    stop_timeout_s: Seconds = 20.0
    """How long a graceful stop waits for windows to empty."""
    references_max: Annotated[int, Meta(ge=1_000)] = 100_000
    """Submitted segments whose receipt is matched from memory; older ones through the database."""


class Webhooks(Section, frozen=True, kw_only=True):
    timeout_s: Seconds = 10.0
    batch_events_max: Annotated[int, Meta(ge=1, le=1000)] = 100
    connections_per_account: Annotated[int, Meta(ge=1, le=64)] = 4
    retry_first_s: Seconds = 5.0
    retry_max_s: Seconds = 3_600.0
    give_up_after_s: Seconds = 86_400.0
    allow_private: bool = False
    """Whether targets in private, loopback or link-local networks may be called."""


class Email(Section, frozen=True, kw_only=True):
    """The mail server of email fallbacks."""

    host: str = ""
    """Empty: no email; messages that ask for a fallback are refused."""
    port: Port = 587
    security: Literal["starttls", "tls", "plain"] = "starttls"
    ca_file: str = ""
    """Empty: the system's authorities."""
    verify: bool = True
    username: str = ""
    password: Secret = ""
    sender: str = ""
    """Whom emails are from: "no-reply@shop.example" or "Shop <no-reply@shop.example>"."""
    bounce_address: str = ""
    """The envelope's sender, where `{id}` becomes the message's id. Empty: the sender's address."""
    hello_name: str = ""
    """How the gateway calls itself in EHLO. Empty: the sender's domain."""
    rate_per_s: Annotated[float, Meta(gt=0, le=1_000)] = 10.0
    connections_max: Annotated[int, Meta(ge=1, le=64)] = 4
    emails_per_connection: PositiveInt = 100
    timeout_s: Seconds = 30.0
    """For each answer of the server; a whole email may take three times as long."""
    retry_first_s: Seconds = 60.0
    retry_max_s: Seconds = 3_600.0
    give_up_after_s: Seconds = 86_400.0


class Tls(Section, frozen=True, kw_only=True):
    """How a carrier is connected to."""

    enabled: bool = False
    ca_file: str = ""
    """Empty: the system's authorities."""
    cert_file: str = ""
    key_file: str = ""
    """Empty: the key is in cert_file."""
    verify: bool = True
    server_name: str = ""
    """The name that the carrier's certificate has to have; empty: the carrier's host."""
    min_version: TlsVersion = "1.2"


class Bind(Section, frozen=True, kw_only=True):
    mode: Literal["transceiver", "transmitter", "receiver"] = "transceiver"
    count: Annotated[int, Meta(ge=1, le=64)] = 1
    rate_per_s: Annotated[float, Meta(ge=0)] = 0.0
    """Segments a second over each of them, besides the carrier's rate; 0: no limit."""
    burst: PositiveInt = 1
    """Segments above that rate that any one second may see."""


class CarrierCeiling(Section, frozen=True, kw_only=True):
    """A ceiling of a carrier for some destinations, together."""

    rate_per_s: Annotated[float, Meta(gt=0)]
    """Segments a second."""
    burst: PositiveInt = 1
    """Segments above that rate that any one second may see."""
    prefixes: tuple[Annotated[str, Meta(pattern=r"^\d{1,15}$")], ...] = ()
    """Of numbers; the longest one that fits counts, before any operator or country."""
    operators: tuple[Annotated[str, Meta(pattern=r"^\d{3}-?\d{2,3}$")], ...] = ()
    """By MCC and MNC; before any country."""
    countries: tuple[Annotated[str, Meta(pattern=r"^[A-Z]{2}$")], ...] = ()


class Ids(Section, frozen=True, kw_only=True):
    """How the carrier writes one message id in its response and in its receipt."""

    response: Literal["string", "hex", "decimal"] = "string"
    receipt: Literal["string", "hex", "decimal"] = "string"
    strip_zeros: bool = False
    """Whether zeros in front of a string are padding."""


class NotBilled(Section, frozen=True, kw_only=True):
    """What the carrier does not bill, so that what was posted for it is refunded."""

    states: tuple[
        Literal["delivered", "undelivered", "expired", "rejected", "deleted", "unknown"], ...
    ] = ()
    """As receipts end; unknown: none came."""
    errors: tuple[str, ...] = ()
    """Receipts' `err`, whatever their state; zeros in front don't matter."""


class Health(Section, frozen=True, kw_only=True):
    """When a carrier is avoided, where its routes have another one."""

    window_s: Seconds = 20.0
    """Answers count for at least half of this and never longer."""
    outcomes_min: PositiveInt = 20
    """Fewer in the window say nothing."""
    failed_share: Share = 0.5
    """Of the submissions, by the carrier's own fault: system errors, lost sessions."""
    slow_s: Annotated[float, Meta(ge=0)] = 10.0
    """An answer that takes longer is slow; 0: none is."""
    slow_share: Share = 0.5
    """Of the answers: 0.5 is a bound on their median, 0.05 on the 95th percentile."""
    silent_s: Annotated[float, Meta(ge=0)] = 15.0
    """So long without any answer while something is in flight; 0: however long."""
    pause_first_s: Seconds = 5.0
    pause_max_s: Seconds = 300.0
    """It is tried again after a pause that doubles as long as trials fail."""
    trials: PositiveInt = 5
    """Submissions that all have to succeed before it is trusted again."""
    receipts_share: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Of the share that it used to deliver; 0: receipts are not judged. Off unless asked for: what
    is not delivered may be the numbers' fault, and other carriers cost something else."""
    receipts_min: PositiveInt = 200
    """In the window, and in the past that it is compared with."""
    receipts_window_s: Seconds = 600.0
    receipts_pause_s: Seconds = 300.0
    receipts_trials: PositiveInt = 50
    """Receipts of trials by which it is trusted again."""


class Carrier(Section, frozen=True, kw_only=True):
    name: Name
    host: str
    port: Port = 2775
    system_id: str
    password: Secret = ""
    system_type: str = ""
    interface_version: Literal[0x33, 0x34, 0x50] = 0x34
    address_range: str = ""
    binds: tuple[Bind, ...] = (Bind(),)
    tls: Tls = Tls()
    window_size: Annotated[int, Meta(ge=1, le=10_000)] = 10
    """Unanswered submissions a bind. 10 is what carriers commonly allow."""
    rate_per_s: Annotated[float, Meta(ge=0)] = 0.0
    """Segments a second over all binds; 0: no limit."""
    burst: PositiveInt = 1
    """Segments above the rate that any one second may see."""
    throttle_pause_s: Seconds = 1.0
    """Nothing is sent for so long after ESME_RTHROTTLED or ESME_RMSGQFUL."""
    queue_max: Count = 0
    """Messages of one lane that may wait for it; beyond it submissions are told to come back. 0:
    any number, in the database."""
    ceilings: tuple[CarrierCeiling, ...] = ()
    """How fast it takes messages for parts of the world."""
    enquire_link_s: Seconds = 30.0
    response_timeout_s: Seconds = 60.0
    connect_timeout_s: Seconds = 10.0
    inactivity_s: Seconds = 300.0
    reconnect_first_s: Seconds = 1.0
    reconnect_max_s: Seconds = 60.0
    lost: Literal["resend", "hold"] = "resend"
    """A submission whose bind was lost before its answer: sent again (at least once) or not
    (at most once; the message ends `unknown`)."""
    ids: Ids = Ids()
    dialect: str = "default"
    """The name of the carrier's receipt dialect (gateway/dlr/dialects.py)."""
    source_ton: Annotated[int, Meta(ge=-1, le=7)] = -1
    """-1: from the sender's form (alphanumeric 5, short code 3, number 1)."""
    source_npi: Annotated[int, Meta(ge=-1, le=18)] = -1
    destination_ton: Annotated[int, Meta(ge=0, le=7)] = 1
    destination_npi: Annotated[int, Meta(ge=0, le=18)] = 1
    service_type: str = ""
    protocol_id: Annotated[int, Meta(ge=0, le=255)] = 0
    data_coding_gsm7: Octet = 0
    """Of the default alphabet, whichever `alphabet` says that it is."""
    data_coding_ucs2: Octet = 8
    data_coding_binary: Octet = 4
    data_coding_class: Literal["general", "class"] = "general"
    """How a message class is told: 0x10 to 0x1B, or 0xF0 to 0xF7 (but UCS-2)."""
    data_codings: dict[str, Octet] = {}
    """What it wants instead of a data_coding, whoever chose that: "0x18" = 0x08."""
    alphabet: Literal["gsm7", "latin-1", "ascii", "utf-8"] = "gsm7"
    """The carrier's default alphabet, in both directions. Latin-1 is counted in octets (140 and
    134 a segment); ASCII and UTF-8 in the septets that the SMSC makes of them."""
    national: tuple[Literal["turkish", "spanish", "portuguese"], ...] = ()
    """Languages whose shift tables may save a text from UCS-2. Only with alphabet "gsm7"."""
    packed: bool = False
    """Septets eight in seven octets, in both directions. Only with alphabet "gsm7"."""
    smart: bool = False
    """Whether typographic characters are replaced where that saves a text from UCS-2, unless the
    request says otherwise."""
    sender_alphabet: Literal["latin-1", "gsm7", "ascii"] = "latin-1"
    """How letters beyond ASCII are written in a sender's name; "ascii": replaced."""
    send_validity: bool = True
    """Whether the rest of a message's validity is passed on in `validity_period`."""
    wide_reference: bool = False
    """16-bit concatenation references (152 and 66 a segment) instead of 8-bit (153 and 67)."""
    long: Literal["udh", "sar", "payload"] = "udh"
    """What ties long messages together: headers, SAR's TLVs, or one message_payload."""
    tlvs: Literal["pass", "drop"] | tuple[str, ...] = "pass"
    """Which TLVs of customers go with their submissions, besides those that the gateway writes
    itself: all, none, or these (0x1401, or a name of SMPP)."""
    constant_tlvs: dict[str, str] = {}
    """What goes with each submission that does not bring it itself, such as an entity's id:
    "0x1400" = "1101234567890". A text, or octets in hex behind 0x."""
    health: Health = Health()
    statuses: dict[str, Literal["throttle", "retry", "reroute", "permanent"]] = {}
    """What this carrier's statuses mean where it differs from the table: "0x45" = "permanent"."""
    not_billed: NotBilled = NotBilled()


Amount = str
"""A decimal text of the account's unit, at most six places: "0.0075"."""
Prefix = Annotated[str, Meta(pattern=r"^\d{0,15}$")]
Operator = Annotated[str, Meta(pattern=r"^(\d{3}-?\d{2,3})?$")]
"""MCC and MNC, instead of a prefix."""
Moment = str
"""A date (its midnight in UTC) or a time with its offset; empty: the beginning of all times."""


AnyNumber = Annotated[str, Meta(pattern=r"^\d{1,15}$")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]
Network = Annotated[str, Meta(pattern=r"^\d{3}-?\d{2,3}$")]
SenderKind = Literal["alphanumeric", "short_code", "number"]


class Route(Section, frozen=True, kw_only=True):
    """Which carriers, for messages that meet every condition by any one of its values."""

    carriers: Annotated[tuple[Name, ...], Meta(min_length=1)]
    """In the order in which they are tried."""
    name: Annotated[str, Meta(max_length=64)] = ""
    """For `gateway route explain`; empty: its place in the file."""
    rank: int = 0
    """Of the routes that hold only those of the highest rank count."""
    prefixes: tuple[AnyNumber, ...] = ()
    countries: tuple[Country, ...] = ()
    operators: tuple[Network, ...] = ()
    accounts: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    """As they leave, after the rules of [[sender]]."""
    sender_kinds: tuple[SenderKind, ...] = ()
    texts: tuple[Literal["url", "otp", "phone"], ...] = ()
    pattern: str = ""
    """RE2; looked for in the first 1,600 characters."""
    tags: tuple[str, ...] = ()
    lanes: tuple[Literal["otp", "transactional", "marketing"], ...] = ()
    encodings: tuple[Literal["gsm7", "ucs2", "binary"], ...] = ()
    """As a carrier without a style of its own is sent the text, as are the segments."""
    segments_min: Count = 0
    segments_max: Count = 0
    """0: no bound."""
    hours: tuple[str, ...] = ()
    """"mon-fri 08:00-20:00"; of the time at which the message may leave."""
    time_zone: str = "UTC"
    """A zone's name, or "recipient": the one of the recipient's number."""
    choose: Literal["order", "weights", "round_robin", "least_cost", "sticky_sender"] = "order"
    """How the first carrier is chosen; the others follow as they stand here, or by cost."""
    weights: tuple[Count, ...] = ()
    margin_min: str = ""
    """Instead of [margin] min."""
    allow_loss: bool = False


class Sender(Section, frozen=True, kw_only=True):
    """Whom messages may come from, by recipient's country and account."""

    name: Annotated[str, Meta(max_length=64)] = ""
    countries: tuple[Country, ...] = ()
    accounts: tuple[str, ...] = ()
    kinds: tuple[SenderKind, ...] = ()
    """Empty: all."""
    senders: tuple[str, ...] = ()
    """Those that are registered; empty: any of the kinds."""
    rewrite: dict[str, str] = {}
    """What is sent in another's place, allowed or not."""
    pool: tuple[str, ...] = ()
    """Who stands in for a sender that is not allowed or missing; empty: it is refused."""


class Margin(Section, frozen=True, kw_only=True):
    """What has to be left of a segment's price where carriers' costs are known."""

    min: str = "0"
    """A decimal text of the unit of prices; with a minus: what may be lost."""
    unknown_cost: Literal["sell", "refuse"] = "sell"
    loss_accounts: tuple[str, ...] = ()
    """Accounts that may be sold to below cost."""


class Plan(Section, frozen=True, kw_only=True):
    """What several accounts are sold by; an account is on one with `gateway account update`."""

    name: Name
    currency: str = ""
    """The unit that its accounts must have; empty: any."""
    bill: Literal["submitted", "delivered"] = "submitted"
    """Whether segments that were not delivered are refunded."""


class Price(Section, frozen=True, kw_only=True):
    price: Amount
    """Of a segment; "none": not sold."""
    prefix: Prefix = ""
    """Destination prefix; the longest match counts. Empty: everything else."""
    operator: Operator = ""
    lane: Literal["", "otp", "transactional", "marketing"] = ""
    """Empty: every lane."""
    effective_from: Moment = ""
    segments_from: Count = 0
    """Segments accepted of the account this month from which it holds."""
    account: str = ""
    plan: str = ""
    currency: str = ""
    """Whose list it is in: an account's, a plan's, a unit's; all empty: everyone's."""


class PriceList(Section, frozen=True, kw_only=True):
    """A CSV file with prices."""

    file: str
    """Relative to where the gateway starts."""
    effective_from: Moment = ""
    """For lines that have none of their own."""
    account: str = ""
    plan: str = ""
    currency: str = ""


class Cost(Section, frozen=True, kw_only=True):
    """What a carrier charges for a segment, in the unit that prices are in."""

    carrier: Name
    cost: Amount
    prefix: Prefix = ""
    operator: Operator = ""
    effective_from: Moment = ""


class CostList(Section, frozen=True, kw_only=True):
    """A CSV file with what a carrier charges."""

    carrier: Name
    file: str
    effective_from: Moment = ""


class Smpp(Section, frozen=True, kw_only=True):
    """Where customers bind; their credentials are made with `gateway account smpp`."""

    enabled: bool = False
    host: str = "127.0.0.1"
    plain: bool = True
    """Whether to listen on `port` without TLS, where passwords travel in the clear."""
    port: Port = 2775
    tls: SmppTls = SmppTls()
    system_id: Annotated[str, Meta(max_length=15)] = "gateway"
    """How the gateway calls itself towards them."""
    connections_max: PositiveInt = 1_000
    unbound_per_address_max: PositiveInt = 20
    """Connections of one address that are not bound: a flood of them gets no further."""
    session_init_s: Seconds = 15.0
    """From the connection to the bind's answer."""
    enquire_link_s: Seconds = 30.0
    response_timeout_s: Seconds = 30.0
    """For customers' answers; a delivery without one is tried again later."""
    inactivity_s: Seconds = 300.0
    binds_max: PositiveInt = 4
    """For accounts that have no number of their own, as is window_size."""
    window_size: Annotated[int, Meta(ge=1, le=10_000)] = 100
    """Unanswered requests a bind, in each direction."""
    login_wait_first_s: Seconds = 1.0
    """After wrong credentials the address waits before the next are looked at; it doubles."""
    login_wait_max_s: Seconds = 10.0
    stop_timeout_s: Seconds = 10.0
    """How long a stop waits for the answers that are owed in both directions."""


class Config(Section, frozen=True, kw_only=True):
    node: Node = Node()
    http: Http = Http()
    smpp: Smpp = Smpp()
    log: Log = Log()
    messages: Messages = Messages()
    privacy: Privacy = Privacy()
    dispatch: Dispatch = Dispatch()
    webhooks: Webhooks = Webhooks()
    email: Email = Email()
    carrier: tuple[Carrier, ...] = ()
    route: tuple[Route, ...] = ()
    sender: tuple[Sender, ...] = ()
    margin: Margin = Margin()
    plan: tuple[Plan, ...] = ()
    price: tuple[Price, ...] = ()
    price_list: tuple[PriceList, ...] = ()
    cost: tuple[Cost, ...] = ()
    cost_list: tuple[CostList, ...] = ()

    @property
    def database_url(self) -> str:
        return os.environ.get("DATABASE_URL", "") or self.node.database_url
