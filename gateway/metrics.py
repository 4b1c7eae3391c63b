"""What is counted and measured, and its names. Passed by value; there is no global registry.

Names begin with `gateway_`, are in base units, and only counters end in `_total`. Labels have few
values: carriers, lanes, statuses by name, our own words. Nothing of an account's is ever a label,
and a label that is fed from outside (a carrier's status) becomes `other` past a bound.

Children are bound once. What happens per message is told in counts, or to `Distribution.observe`.
Gauges are read from their owners when Prometheus asks.

Not here: who asks and where (`api/`), what the figures mean (`ops/runbook.md`).
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Final

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from gateway import __version__, samples
from gateway.model import Lane
from gateway.samples import Count, Counter, Histogram
from gateway.samples import Distribution as Distribution

COMPILED: Final = not samples.__file__.endswith(".py")
"""Whether the files of the hot path run as C (`make compiled`)."""

Reading = Callable[[], float]
"""Returns a gauge's value now. Called within the event loop, so it must not wait."""

_WORDS_MAX = 64
"""Values that a label fed from outside takes before the rest is `other`; SMPP names 60."""

_QUICK_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RESPONSE_S = (*_QUICK_S, 30.0, 60.0)
_RECEIPT_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
_BATCH = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0)


class _WordCounter:
    """A counter whose last label is a word that may come from outside."""

    __slots__ = ("_children", "_counter", "_first")

    def __init__(self, counter: Counter, *first: str) -> None:
        self._counter = counter
        self._first = first
        self._children: dict[str, Count] = {}

    def add(self, word: str, count: float = 1) -> None:
        child = self._children.get(word)
        if child is None:
            if len(self._children) >= _WORDS_MAX:
                word = "other"
            child = self._counter.labels(*self._first, word)
            if word != "other":
                self._children[word] = child
        child.inc(count)


class _Families:
    """Every metric by name, in one place; `ops/` uses these names and no others."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(registry, f"gateway_{name}", help_text, labels)

        def gauge(name: str, help_text: str, *labels: str) -> Gauge:
            return Gauge(f"gateway_{name}", help_text, labels, registry=registry)

        def histogram(
            name: str, help_text: str, bounds: Sequence[float], *labels: str
        ) -> Histogram:
            return Histogram(registry, f"gateway_{name}", help_text, bounds, labels)

        self.build = gauge(
            "build_info", "The running code; always 1.", "version", "python", "compiled"
        )
        self.database_up = gauge("database_up", "Whether the database answers.")
        self.tasks = gauge("tasks", "Tasks of the event loop.")

        self.settings = counter(
            "settings_total", "Settings that came in while it ran, by outcome.", "outcome"
        )
        self.certificate_left = gauge(
            "certificate_left_seconds", "Until what a file of TLS holds ends.", "setting"
        )
        self.certificates = counter(
            "certificates_total", "Files of TLS that changed, by what became of them.", "outcome"
        )
        self.settings_version = gauge("settings_version", "Version of the settings; 0: none kept.")
        self.messages = counter("messages_accepted_total", "Messages committed.", "lane")
        self.segments = counter("segments_accepted_total", "Their segments.", "lane")
        self.rejections = counter("rejections_total", "Requests refused, by code.", "code")
        self.recipients_forgotten = counter(
            "recipients_forgotten_total",
            "Numbers forgotten while their messages still counted.",
        )
        self.intake_waiting = gauge("intake_waiting_messages", "Messages awaiting their commit.")
        self.http_seconds = histogram(
            "http_request_seconds", "Answering a request.", _QUICK_S, "route", "status"
        )

        self.refused_logins = counter(
            "http_logins_refused_total", "Requests not let in, by reason.", "reason"
        )

        self.commit_seconds = histogram("commit_seconds", "One commit.", _QUICK_S, "writer")
        self.commit_items = histogram("commit_items", "Rows a commit took.", _BATCH, "writer")
        self.commit_failures = counter("commit_failures_total", "Commits that failed.", "writer")
        self.outcomes_waiting = gauge("outcomes_waiting", "Outcomes not yet written.")

        self.submissions = counter(
            "submissions_total", "Answered submissions, by command_status.", "carrier", "status"
        )
        self.response_seconds = histogram(
            "response_seconds", "From submit_sm to its response.", _RESPONSE_S, "carrier"
        )
        self.receipt_seconds = histogram(
            "receipt_seconds", "From submit_sm to the final receipt.", _RECEIPT_S, "carrier"
        )
        self.receipts = counter("receipts_total", "Receipts, by state.", "carrier", "state")
        self.odd_receipts = counter(
            "receipts_odd_total", "Receipts parked, unmatched or duplicate.", "carrier", "oddity"
        )
        self.inbound = counter("inbound_messages_total", "Messages from phones.", "carrier")
        self.odd_inbound = counter(
            "inbound_odd_total",
            "Of them partial, nobody's or not readable; and parts repeated.",
            "carrier",
            "oddity",
        )
        self.inbound_parts = gauge("inbound_parts_waiting", "Parts without the rest.", "carrier")
        self.health = gauge("carrier_health", "0 trusted, 1 tried, 2 avoided.", "carrier")
        self.health_changes = counter(
            "carrier_health_changes_total",
            "Breakers' changes, by new state and reason.",
            *("carrier", "state", "reason"),
        )
        self.drained = gauge("carrier_drained", "Whether it is drained by hand.", "carrier")
        self.owned = gauge("carrier_owned", "Whether this node has the carrier.", "carrier")
        self.node = gauge("node", "The number that this node has claimed.")
        self.node_epoch = gauge("node_epoch", "Which claim of its number it is.")
        self.takeovers = counter("node_takeovers_total", "Claims of others that this node ended.")
        self.bind_losses = counter("bind_losses_total", "Sessions lost.", "carrier", "reason")
        self.held_back = counter(
            "held_back_seconds_total", "Time in which a limit held messages back.", "carrier", "by"
        )
        self.binds = gauge("binds", "Sessions that should stand.", "carrier")
        self.bound = gauge("binds_bound", "Sessions that stand.", "carrier")
        self.window_size = gauge("window_size", "Submissions that may be open.", "carrier")
        self.in_flight = gauge("window_in_use", "Submissions without an answer.", "carrier")
        self.waiting = gauge("queue_messages", "Messages waiting in memory.", "carrier", "lane")
        self.oldest = gauge(
            "queue_oldest_age_seconds", "Age of the oldest that waits.", "carrier", "lane"
        )

        self.connections = gauge("upstream_connections", "Customers' connections, bound or not.")
        self.refused_connections = counter(
            "upstream_connections_refused_total", "Connections closed unheard.", "reason"
        )
        self.customers = gauge("upstream_accounts_bound", "Accounts with a session or more.")
        self.customer_binds = gauge("upstream_binds", "Customers' sessions, by mode.", "mode")
        self.refused_binds = counter(
            "upstream_binds_refused_total", "Customers' binds refused.", "reason"
        )
        self.customer_endings = counter(
            "upstream_sessions_ended_total", "Customers' sessions that ended.", "reason"
        )
        self.upstream_submissions = counter(
            "upstream_submissions_total", "Customers' submissions, by command_status.", "status"
        )
        self.upstream_seconds = histogram(
            "upstream_submit_seconds", "From a customer's submission to its answer.", _QUICK_S
        )
        self.deliveries = counter(
            "upstream_deliveries_total", "Deliveries to customers, by outcome.", "outcome"
        )
        self.deliveries_sent = counter("upstream_deliveries_sent_total", "deliver_sm sent up.")
        self.delivery_answers = counter(
            "upstream_delivery_answers_total", "Their answers, by command_status.", "status"
        )
        self.deliveries_held = gauge(
            "upstream_deliveries_held", "Deliveries in memory, to receivers that are bound."
        )
        self.deliveries_waiting = gauge(
            "upstream_deliveries_waiting", "Deliveries in the store, not answered.", "receivers"
        )
        self.deliveries_oldest = gauge(
            "upstream_delivery_oldest_age_seconds", "Age of the oldest of them.", "receivers"
        )

        self.credit = counter(
            "credit_micros_total",
            "Millionths moved: reserved, posted …",
            "move",
            "currency",
        )
        self.low_balances = gauge("accounts_low_balance", "Accounts below their threshold.")
        self.low_balance_events = counter(
            "low_balance_events_total", "Accounts that fell below their threshold."
        )
        self.webhook_events = counter("webhook_events_total", "Events, by outcome.", "outcome")
        self.webhook_seconds = histogram("webhook_call_seconds", "One call.", _QUICK_S)
        self.webhooks_pending = gauge("webhook_events_pending", "Events not yet delivered.")
        self.webhooks_oldest = gauge(
            "webhook_oldest_age_seconds", "Age of the oldest event not yet delivered."
        )
        self.emails = counter("emails_total", "Email fallbacks, by outcome.", "outcome")
        self.email_seconds = histogram("email_seconds", "Handing over one email.", _RESPONSE_S)
        self.emails_due = gauge("emails_due", "Emails that are due and not sent.")
        self.emails_oldest = gauge(
            "email_oldest_age_seconds", "For how long the oldest of them has been due."
        )
        self.mail_server_up = gauge("mail_server_up", "Whether the mail server could be used last.")


class CommitMetrics:
    """One writer's commits."""

    __slots__ = ("_failures", "_items", "_seconds")

    def __init__(self, families: _Families, writer: str) -> None:
        self._seconds = families.commit_seconds.child(writer)
        self._items = families.commit_items.child(writer)
        self._failures = families.commit_failures.labels(writer)

    def committed(self, items: int, seconds: float) -> None:
        self._seconds.observe(seconds)
        self._items.observe(items)

    def failed(self) -> None:
        self._failures.inc()


class WebhookMetrics:
    """Calls to customers' endpoints."""

    __slots__ = ("_dead", "_delivered", "_failed", "_families", "call_seconds")

    def __init__(self, families: _Families) -> None:
        self._families = families
        self._delivered = families.webhook_events.labels("delivered")
        self._failed = families.webhook_events.labels("failed")
        self._dead = families.webhook_events.labels("dead")
        self.call_seconds = families.webhook_seconds.child()

    def delivered(self, events: int) -> None:
        self._delivered.inc(events)

    def failed(self, events: int) -> None:
        """Count events whose call failed and that will be tried again."""
        self._failed.inc(events)

    def dead(self, events: int) -> None:
        """Count events that were given up."""
        self._dead.inc(events)

    def watch(self, *, pending: Reading, oldest_age_s: Reading) -> None:
        _watch(self._families.webhooks_pending, pending)
        _watch(self._families.webhooks_oldest, oldest_age_s)


class EmailMetrics:
    """Emails in place of messages that did not reach their phone."""

    OUTCOMES: ClassVar = ("sent", "retried", "failed", "not_needed")

    def __init__(self, families: _Families) -> None:
        self._families = families
        self._outcomes = {word: families.emails.labels(word) for word in self.OUTCOMES}
        self.seconds = families.email_seconds.child()
        """From the first octet to the server's answer."""

    def count(self, outcome: str) -> None:
        self._outcomes[outcome].inc()

    def watch(self, *, due: Reading, oldest_age_s: Reading) -> None:
        _watch(self._families.emails_due, due)
        _watch(self._families.emails_oldest, oldest_age_s)

    def watch_server(self, up: Reading) -> None:
        _watch(self._families.mail_server_up, up)


class UpstreamMetrics:
    """Customers who bind to the gateway."""

    MODES: ClassVar = ("transmitter", "receiver", "transceiver")
    OUTCOMES: ClassVar = ("delivered", "refused", "overdue", "lost", "given_up")
    UNHEARD: ClassVar = ("full", "unbound", "tls")
    REFUSALS: ClassVar = (
        "system_id",
        "credentials",
        "inactive",
        "address",
        "certificate",
        "too_many",
    )
    """Of binds, beside those that a start or a flood leads to; each is there before it happens."""

    def __init__(self, families: _Families, rejected: Callable[[str], None]) -> None:
        self._families = families
        self.rejected = rejected
        """Counts a refusal by `Rejected.code`, as those over HTTP."""
        self.submit_seconds = families.upstream_seconds.child()
        self._sent = families.deliveries_sent
        self._refused = _WordCounter(families.refused_binds)
        for word in self.REFUSALS:
            self._refused.add(word, 0)
        self._endings = _WordCounter(families.customer_endings)
        self._submissions = _WordCounter(families.upstream_submissions)
        self._unheard = {word: families.refused_connections.labels(word) for word in self.UNHEARD}
        self._answers = _WordCounter(families.delivery_answers)
        self._deliveries = {word: families.deliveries.labels(word) for word in self.OUTCOMES}

    def bind_refused(self, reason: str) -> None:
        self._refused.add(reason)

    def connection_refused(self, reason: str) -> None:
        """Count a connection that was closed before anything was heard on it: all are taken
        (full), too many of its address are not bound (unbound), or it shook no hands (tls)."""
        self._unheard[reason].inc()

    def session_ended(self, reason: str) -> None:
        self._endings.add(reason)

    def submitted(self, status: str, count: int) -> None:
        """Count answers to submissions by command_status; a submit_multi's one a destination."""
        self._submissions.add(status, count)

    def sent_up(self, count: int) -> None:
        """Count deliver_sm that left; what goes up again counts again."""
        self._sent.inc(count)

    def delivery_answered(self, status: str) -> None:
        """Count an answer to one by command_status, which is the customer's word."""
        self._answers.add(status)

    def delivered(self, outcome: str, count: int = 1) -> None:
        """Count deliveries by what became of them; refused, overdue and lost ones go up again."""
        self._deliveries[outcome].inc(count)

    def watch(
        self,
        *,
        connections: Reading,
        accounts: Reading,
        binds: Callable[[str], float],
        held: Reading,
    ) -> None:
        """Name who is asked for the gauges; `binds` by mode."""
        _watch(self._families.connections, connections)
        _watch(self._families.customers, accounts)
        for mode in self.MODES:
            _watch(self._families.customer_binds.labels(mode), partial(binds, mode))
        _watch(self._families.deliveries_held, held)

    def watch_waiting(self, receivers: str, *, waiting: Reading, oldest_age_s: Reading) -> None:
        """Name who is asked about deliveries of accounts whose receivers are `receivers`."""
        _watch(self._families.deliveries_waiting.labels(receivers), waiting)
        _watch(self._families.deliveries_oldest.labels(receivers), oldest_age_s)


class InboundMetrics:
    """What phones sent through one carrier."""

    __slots__ = ("_messages", "_oddities", "_parts")

    def __init__(self, families: _Families, name: str) -> None:
        self._messages = families.inbound.labels(name)
        self._oddities = {
            oddity: families.odd_inbound.labels(name, oddity)
            for oddity in ("partial", "unowned", "unreadable", "repeated")
        }
        self._parts = families.inbound_parts.labels(name)

    def received(self, *, partial: bool, unowned: bool, unreadable: bool) -> None:
        """Count a message that was handed over, and what is odd about it."""
        self._messages.inc()
        self._oddities["partial"].inc(partial)
        self._oddities["unowned"].inc(unowned)
        self._oddities["unreadable"].inc(unreadable)

    def repeated(self) -> None:
        """Count a part that had come before."""
        self._oddities["repeated"].inc()

    def watch(self, parts_waiting: Reading) -> None:
        _watch(self._parts, parts_waiting)


class SettingsMetrics:
    """The settings that the node runs by."""

    __slots__ = ("_families", "applied", "refused")

    def __init__(self, families: _Families) -> None:
        self._families = families
        self.applied = families.settings.labels("applied").inc
        self.refused = families.settings.labels("refused").inc

    def watch(self, version: Reading) -> None:
        _watch(self._families.settings_version, version)


class NodeMetrics:
    """This node's place among those of its database."""

    __slots__ = ("_families", "took_over")

    def __init__(self, families: _Families) -> None:
        self._families = families
        self.took_over = families.takeovers.inc

    def watch(self, *, number: Reading, epoch: Reading) -> None:
        _watch(self._families.node, number)
        _watch(self._families.node_epoch, epoch)


class TlsMetrics:
    """Certificates in use; of a refused one, the former is."""

    __slots__ = ("_left", "_settings", "refused", "renewed")

    def __init__(self, families: _Families) -> None:
        self._left = families.certificate_left
        self._settings: set[str] = set()
        self.renewed = families.certificates.labels("renewed").inc
        self.refused = families.certificates.labels("refused").inc

    def watch_ends(self, ends: Mapping[str, float], now: Reading) -> None:
        """Read how long each holds, by its setting, and of no others."""
        for setting in self._settings.difference(ends):
            self._left.remove(setting)
        self._settings = set(ends)
        for setting, end in ends.items():
            _watch(self._left.labels(setting), partial(_left_until, end, now))


class CarrierMetrics:
    """One carrier: its binds, submissions and receipts, and what phones send through it."""

    __slots__ = (
        "_families",
        "_held_back",
        "_losses",
        "_name",
        "_odd_receipts",
        "_receipts",
        "_submissions",
        "inbound",
        "receipt_seconds",
        "response_seconds",
    )

    def __init__(self, families: _Families, name: str) -> None:
        self._families = families
        self._name = name
        self._submissions = _WordCounter(families.submissions, name)
        self._receipts = _WordCounter(families.receipts, name)
        self._odd_receipts = _WordCounter(families.odd_receipts, name)
        self._losses = _WordCounter(families.bind_losses, name)
        self._held_back = _WordCounter(families.held_back, name)
        self.inbound = InboundMetrics(families, name)
        self.response_seconds = families.response_seconds.child(name)
        """From submit_sm to its response."""
        self.receipt_seconds = families.receipt_seconds.child(name)
        """From submit_sm to the segment's final receipt."""
        for word in ("parked", "unmatched", "duplicate"):
            self._odd_receipts.add(word, 0)

    def submitted(self, status: str, count: int = 1) -> None:
        """Count answered submissions by SMPP's name of the status (a number has none)."""
        self._submissions.add(status, count)

    def received(self, state: str, count: int = 1) -> None:
        """Count receipts by the state that they report."""
        self._receipts.add(state, count)

    def receipts_parked(self, count: int = 1) -> None:
        """Count receipts that came before their submission's id was known."""
        self._odd_receipts.add("parked", count)

    def receipts_unmatched(self, count: int = 1) -> None:
        """Count parked receipts that were set aside: no submission with their id appeared."""
        self._odd_receipts.add("unmatched", count)

    def receipts_duplicate(self, count: int = 1) -> None:
        """Count receipts that changed nothing."""
        self._odd_receipts.add("duplicate", count)

    def bind_lost(self, reason: str) -> None:
        """Count a lost session by its reason's class, which is a word of ours."""
        self._losses.add(reason)

    def held_back(self, by: str, seconds: float) -> None:
        """Add the time in which a limit (`throttle/limits.py`) held back what was waiting."""
        self._held_back.add(by, seconds)

    def watch(
        self,
        *,
        binds: Reading,
        bound: Reading,
        window_size: Reading,
        in_flight: Reading,
        drained: Reading,
        health: Reading,
        owned: Reading,
    ) -> None:
        _watch(self._families.owned.labels(self._name), owned)
        _watch(self._families.health.labels(self._name), health)
        _watch(self._families.drained.labels(self._name), drained)
        _watch(self._families.binds.labels(self._name), binds)
        _watch(self._families.bound.labels(self._name), bound)
        _watch(self._families.window_size.labels(self._name), window_size)
        _watch(self._families.in_flight.labels(self._name), in_flight)

    def health_changed(self, state: str, reason: str) -> None:
        """Count that its breaker has another state, and why."""
        self._families.health_changes.labels(self._name, state, reason).inc()

    def unwatch(self) -> None:
        """Read none of the carrier's gauges any more; its counters stay."""
        families = self._families
        for gauge in (families.binds, families.bound, families.window_size, families.in_flight):
            gauge.remove(self._name)
        families.drained.remove(self._name)
        families.owned.remove(self._name)
        families.health.remove(self._name)
        for gauge in (families.waiting, families.oldest):
            for lane in Lane:
                gauge.remove(self._name, lane.wire)

    def watch_lane(self, lane: Lane, *, waiting: Reading, oldest_age_s: Reading) -> None:
        _watch(self._families.waiting.labels(self._name, lane.wire), waiting)
        _watch(self._families.oldest.labels(self._name, lane.wire), oldest_age_s)


class Metrics:
    """All metrics of one node."""

    LOGIN_REFUSALS: ClassVar = ("no_key", "key", "slowed", "inactive", "address", "scope")

    def __init__(self) -> None:
        # A gauge with its birthday beside every counter would double what is scraped.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no type for it
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._families = families = _Families(self._registry)
        families.build.labels(
            __version__, platform.python_version(), "yes" if COMPILED else "no"
        ).set(1)
        self._accepted = {
            lane: (families.messages.labels(lane.wire), families.segments.labels(lane.wire))
            for lane in Lane
        }
        self._rejections = _WordCounter(families.rejections)
        self._refused_logins = {
            word: families.refused_logins.labels(word) for word in self.LOGIN_REFUSALS
        }
        self._credit = {
            move: _WordCounter(families.credit, move)
            for move in ("reserved", "posted", "voided", "refunded")
        }
        self._requests: dict[tuple[str, int], Distribution] = {}
        self._carriers: dict[str, CarrierMetrics] = {}
        self.intake_commits = CommitMetrics(families, "intake")
        self.outcome_commits = CommitMetrics(families, "outcomes")
        self.settings = SettingsMetrics(families)
        self.node = NodeMetrics(families)
        self.tls = TlsMetrics(families)
        self.webhooks = WebhookMetrics(families)
        self.email = EmailMetrics(families)
        self.upstream = UpstreamMetrics(families, self.rejected)

    def carrier(self, name: str) -> CarrierMetrics:
        """Return the carrier's own metrics: the same object for the same name."""
        found = self._carriers.get(name)
        if found is None:
            found = self._carriers[name] = CarrierMetrics(self._families, name)
        return found

    def accepted(self, lane: Lane, messages: int, segments: int) -> None:
        """Count messages of one commit."""
        counts = self._accepted[lane]
        counts[0].inc(messages)
        counts[1].inc(segments)

    def rejected(self, code: str, count: int = 1) -> None:
        """Count refusals by `Rejected.code`."""
        self._rejections.add(code, count)

    def recipients_forgotten(self, count: int) -> None:
        """Count numbers that the fence against loops had no room for."""
        self._families.recipients_forgotten.labels().inc(count)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one HTTP answer; `route` is the route's pattern, never a path."""
        key = (route, status // 100)
        child = self._requests.get(key)
        if child is None:
            child = self._families.http_seconds.child(route, f"{status // 100}xx")
            self._requests[key] = child
        child.observe(seconds)

    def login_refused(self, reason: str) -> None:
        """Count an HTTP request that was not let in."""
        self._refused_logins[reason].inc()

    def balances_fell_low(self, accounts: int) -> None:
        """Count accounts that fell below their threshold."""
        self._families.low_balance_events.inc(accounts)

    def watch_low_balances(self, below: Reading) -> None:
        """Read how many accounts are below theirs at each scrape."""
        _watch(self._families.low_balances, below)

    def credit_moved(self, currency: str, **moved: int) -> None:
        """Count micros `reserved`, `posted`, `voided` or `refunded` in one commit."""
        for move, micros in moved.items():
            if micros:
                self._credit[move].add(currency, micros)

    def watch(
        self,
        *,
        database_up: Reading,
        tasks: Reading,
        intake_waiting: Reading,
        outcomes_waiting: Reading,
    ) -> None:
        """Name who is asked for the node's own gauges."""
        _watch(self._families.database_up, database_up)
        _watch(self._families.tasks, tasks)
        _watch(self._families.intake_waiting, intake_waiting)
        _watch(self._families.outcomes_waiting, outcomes_waiting)

    def render(self) -> bytes:
        """Return everything in Prometheus's text form."""
        return generate_latest(self._registry)


def _left_until(end: float, now: Reading) -> float:
    return end - now()


def _watch(gauge: Gauge, reading: Reading) -> None:
    def read() -> float:
        try:
            return reading()
        except Exception:
            # One owner that is going away must not blind the operator to everything else.
            return math.nan

    gauge.set_function(read)
