"""Emails through a real SMTP server: one that takes them, and all those that don't."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from gateway.config import Email
from gateway.errors import ConfigError, StoreUnavailable
from gateway.fallback.letter import DueEmail
from gateway.fallback.sender import EmailSender
from gateway.fallback.smtp import SmtpPool
from gateway.fallback.template import Templates
from gateway.fallback.terms import ALL_TRIGGERS, EmailContent, FallbackState
from gateway.lifecycle import Status
from gateway.metrics import Metrics
from gateway.model import AccountId, MessageId
from gateway.store.fallbacks import Orphan, PutOffEmail, SettledEmail

CERT = Path(__file__).parents[2] / "interop/peers/cert.pem"
KEY = CERT.with_name("key.pem")
TIMEOUT_S = 60.0
FIRST_ID = 263_546_872_340_938_752

pytestmark = pytest.mark.filterwarnings(
    # The server's own: it looks at a session's login in an old way.
    "ignore:Session.login_data is deprecated:DeprecationWarning"
)


class MemoryEmails:
    """The store's promise, kept in a dict; `away` makes it the database's absence."""

    def __init__(self) -> None:
        self.waiting: dict[int, DueEmail | Orphan] = {}
        self.due_at: dict[int, float] = {}
        self.ends: dict[int, SettledEmail] = {}
        self.put_off: list[PutOffEmail] = []
        self.away = False
        self.claims: list[int] = []
        self._changed = asyncio.Event()

    def add(self, count: int = 1, **fields: Any) -> list[int]:
        ids = [FIRST_ID + len(self.due_at) + n for n in range(count)]
        for number in ids:
            self.waiting[number] = DueEmail(
                **{
                    "account_id": AccountId(1),
                    "account": "shop",
                    "message_id": MessageId(number),
                    "address": "anna@example.com",
                    "content": EmailContent("Code for {{ to }}", "{{ text }}"),
                    "triggers": ALL_TRIGGERS,
                    "began_at": time.time(),
                    "attempts": 0,
                    "sender": "Shop",
                    "recipient": "447400000001",
                    "country": "GB",
                    "text": "Your code is 1234",
                    "client_ref": "",
                    "tag": "",
                    "callback_url": "https://shop.example/hook",
                    "segments": 1,
                    "status": Status.UNDELIVERED,
                    "error": "001",
                    "hooked": False,
                    **fields,
                }
            )
            self.due_at[number] = 0.0
        return ids

    async def claim_due(
        self, now: float, limit: int, lease_until: float
    ) -> list[DueEmail | Orphan]:
        self._answer()
        due = [number for number in self.waiting if self.due_at[number] <= now][:limit]
        self.claims += due
        for number in due:
            self.due_at[number] = lease_until
        return [self.waiting[number] for number in due]

    async def record(self, settled: Sequence[SettledEmail], put_off: Sequence[PutOffEmail]) -> None:
        self._answer()
        for end in settled:
            if self.waiting.pop(end.message_id, None) is not None:
                self.ends[end.message_id] = end
        for later in put_off:
            self.put_off.append(later)
            self.due_at[later.message_id] = later.due_at

    async def bring_forward(self, now: float, seconds: float) -> int:
        self._answer()
        put_off = [number for number in self.waiting if self.due_at[number] > now]
        for number in put_off:
            self.due_at[number] = max(now, self.due_at[number] - seconds)
        return len(put_off)

    def _answer(self) -> None:
        self._changed.set()
        if self.away:
            raise StoreUnavailable("the database is away")

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def wait_until_empty(self) -> None:
        await self.wait_for(lambda: not self.waiting)

    def states(self) -> list[FallbackState]:
        return [end.state for end in self.ends.values()]


class MailServer:
    """A mail server's decisions, and what it took."""

    def __init__(self) -> None:
        self.port = 0
        self.letters: list[tuple[str, list[str], bytes]] = []
        self.sessions = 0
        self.open = 0
        self.open_max = 0
        self.on_mail: list[str] = []
        """What MAIL is answered with, in order; then 250."""
        self.on_rcpt: list[str] = []
        self.on_data: list[str] = []
        self.delay_s = 0.0
        self.times: list[float] = []

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.on_mail:
            return self.on_mail.pop(0)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.on_rcpt:
            return self.on_rcpt.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        await asyncio.sleep(self.delay_s)
        self.times.append(time.monotonic())
        if self.on_data:
            answer = self.on_data.pop(0)
            if answer == "drop":
                server.transport.abort()
            return answer
        self.letters.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 2.0.0 taken as 42"

    def message_ids(self) -> list[str]:
        parsed = [email.message_from_bytes(content) for _, _, content in self.letters]
        return [message["Message-ID"] for message in parsed]


@asynccontextmanager
async def serving(mail: MailServer, *, tls: bool = False, **options: Any) -> AsyncIterator[None]:
    """Let it listen until left; `tls` from the first byte."""

    class Counting(SMTP):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            mail.sessions += 1
            mail.open += 1
            mail.open_max = max(mail.open, mail.open_max)

        def connection_lost(self, error: Exception | None) -> None:
            mail.open -= 1
            super().connection_lost(error)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Counting(mail, hostname="mx.example", loop=loop, **options),
        "127.0.0.1",
        mail.port,
        ssl=server_context() if tls else None,
    )
    mail.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERT, KEY)
    return context


def settings(mail: MailServer, **changes: Any) -> Email:
    plain: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": mail.port,
        "security": "plain",
        "sender": "Shop <no-reply@shop.example>",
        "bounce_address": "bounces@shop.example",
        "rate_per_s": 1_000.0,
        "timeout_s": 2.0,
        "retry_first_s": 0.05,
        "retry_max_s": 0.2,
        "give_up_after_s": 60.0,
    }
    return Email(**(plain | changes))


class Running:
    """A sender at work."""

    def __init__(self, store: MemoryEmails, config: Email) -> None:
        self.metrics = Metrics()
        self.woken = 0
        self.sender = EmailSender(
            store,
            config,
            Templates(),
            self.metrics.email,
            wake_hooks=self._wake,
            jitter=lambda: 0.0,
            poll_s=0.02,
        )
        self.task = asyncio.create_task(self.sender.run())

    def _wake(self) -> None:
        self.woken += 1

    def counted(self, outcome: str) -> float:
        for line in self.metrics.render().decode().splitlines():
            if line.startswith(f'gateway_emails_total{{outcome="{outcome}"}}'):
                return float(line.split()[-1])
        raise AssertionError(outcome)

    def server_up(self) -> bool:
        return b"gateway_mail_server_up 1.0" in self.metrics.render()

    async def stop(self, timeout_s: float = 5.0) -> None:
        await self.sender.stop(timeout_s)
        await self.task


Run = Callable[..., Awaitable[Running]]


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    mail = MailServer()
    async with serving(mail):
        yield mail


@pytest.fixture
def store() -> MemoryEmails:
    return MemoryEmails()


@pytest.fixture
async def run(store: MemoryEmails) -> AsyncIterator[Run]:
    running: list[Running] = []

    async def start(mail: MailServer, **changes: Any) -> Running:
        running.append(Running(store, settings(mail, **changes)))
        return running[-1]

    yield start
    for each in running:
        if not each.task.done():
            await each.stop()


# ── what goes well ──────────────────────────────────────────────────────────────────────────


async def test_an_email_is_sent_and_its_end_recorded_with_its_notice(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    (number,) = store.add()
    running = await run(mail)
    await store.wait_until_empty()
    ((sender, to, content),) = mail.letters
    assert (sender, to) == ("bounces@shop.example", ["anna@example.com"])
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message["Subject"] == "Code for 447400000001"
    assert message["From"] == "Shop <no-reply@shop.example>"
    end = store.ends[number]
    assert (end.state, end.reply) == (FallbackState.SENT, "250 2.0.0 taken as 42")
    assert end.notice is not None
    assert end.notice.url == "https://shop.example/hook"
    await running.stop()
    assert running.woken == 1
    assert (running.counted("sent"), running.counted("failed")) == (1, 0)


async def test_many_emails_share_few_connections(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    store.add(60)
    running = await run(mail, connections_max=3)
    await store.wait_until_empty()
    assert len(mail.letters) == 60
    assert len(set(mail.message_ids())) == 60
    assert mail.sessions <= 3
    await running.stop()
    async with asyncio.timeout(TIMEOUT_S):
        while mail.open:
            await asyncio.sleep(0.01)


async def test_a_connection_is_renewed_after_its_emails(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    store.add(10)
    await run(mail, connections_max=1, emails_per_connection=3)
    await store.wait_until_empty()
    assert mail.sessions == 4


async def test_the_rate_is_kept(store: MemoryEmails, mail: MailServer, run: Run) -> None:
    store.add(24)
    await run(mail, rate_per_s=20.0, connections_max=4)
    await store.wait_until_empty()
    spans = [after - before for before, after in zip(mail.times, mail.times[10:], strict=False)]
    # Ten more than the burst of four take at least 6/20 s, whenever one begins to count.
    assert min(spans) >= 0.25
    assert mail.times[-1] - mail.times[0] >= 0.9


async def test_an_email_that_is_not_needed_any_more_is_not_sent(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    store.add(status=Status.DELIVERED)
    store.add(status=Status.CANCELED)
    running = await run(mail)
    await store.wait_until_empty()
    assert store.states() == [FallbackState.NOT_NEEDED] * 2
    assert not mail.letters
    assert mail.sessions == 0
    assert all(end.notice is None for end in store.ends.values())
    assert running.counted("not_needed") == 2


# ── TLS and credentials ─────────────────────────────────────────────────────────────────────


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    good = LoginPassword(b"gateway", b"s3cret")
    return AuthResult(success=data == good, handled=False)


async def test_starttls_with_credentials(store: MemoryEmails, run: Run) -> None:
    mail = MailServer()
    options: dict[str, Any] = {
        "tls_context": server_context(),
        "require_starttls": True,
        "authenticator": authenticate,
        "auth_required": True,
    }
    async with serving(mail, **options):
        store.add()
        await run(
            mail, security="starttls", ca_file=str(CERT), username="gateway", password="s3cret"
        )
        await store.wait_until_empty()
        assert len(mail.letters) == 1


async def test_tls_from_the_first_byte(store: MemoryEmails, run: Run) -> None:
    mail = MailServer()
    async with serving(mail, tls=True):
        store.add()
        await run(mail, security="tls", host="localhost", ca_file=str(CERT))
        await store.wait_until_empty()
        assert len(mail.letters) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"security": "starttls"}, "certificate verify failed"),
        ({"security": "starttls", "ca_file": str(CERT), "host": "127.0.0.2"}, ""),
        (
            {
                "security": "starttls",
                "ca_file": str(CERT),
                "username": "gateway",
                "password": "wrong",
            },
            "535",
        ),
        ({"security": "tls", "ca_file": str(CERT)}, ""),
    ],
)
async def test_what_is_wrong_with_the_server_costs_no_email_its_life(
    store: MemoryEmails, run: Run, changes: dict[str, Any], words: str
) -> None:
    mail = MailServer()
    options: dict[str, Any] = {
        "tls_context": server_context(),
        "authenticator": authenticate,
    }
    async with serving(mail, **options):
        (number, _) = store.add(2)
        running = await run(mail, **changes)
        await store.wait_for(lambda: any(later.reply for later in store.put_off))
        assert not running.server_up()
        assert not store.ends
        assert all(not later.failed for later in store.put_off)
        assert any(words in (later.reply or "") for later in store.put_off)
        assert number in store.waiting
        assert not mail.letters
        await running.stop()


async def test_a_certificate_that_is_not_checked_is_taken(store: MemoryEmails, run: Run) -> None:
    mail = MailServer()
    async with serving(mail, tls_context=server_context(), require_starttls=True):
        store.add()
        await run(mail, security="starttls", verify=False)
        await store.wait_until_empty()
        assert len(mail.letters) == 1


def test_authorities_that_are_no_file_are_said_so() -> None:
    with pytest.raises(ConfigError, match=r"email\.ca_file"):
        SmtpPool(settings(MailServer(), security="tls", ca_file="/nowhere.pem"), "shop.example")


# ── servers that don't take it ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stage", ["on_mail", "on_rcpt", "on_data"])
async def test_what_is_put_off_is_tried_again_until_it_is_taken(
    store: MemoryEmails, mail: MailServer, run: Run, stage: str
) -> None:
    getattr(mail, stage).extend(["451 4.7.1 greylisted", "452 4.2.2 full"])
    (number,) = store.add()
    running = await run(mail)
    await store.wait_until_empty()
    assert store.ends[number].state is FallbackState.SENT
    assert len(mail.letters) == 1
    failed = [later.reply for later in store.put_off if later.failed]
    assert failed == ["451 4.7.1 greylisted", "452 4.2.2 full"]
    assert running.counted("retried") == 2
    assert mail.sessions == 1


@pytest.mark.parametrize("stage", ["on_mail", "on_rcpt", "on_data"])
async def test_a_refusal_is_final(
    store: MemoryEmails, mail: MailServer, run: Run, stage: str
) -> None:
    getattr(mail, stage).append("550 5.1.1 no such user")
    refused, taken = store.add(2)
    running = await run(mail, connections_max=1)
    await store.wait_until_empty()
    end = store.ends[refused]
    assert (end.state, end.reply) == (FallbackState.FAILED, "550 5.1.1 no such user")
    assert end.notice is not None
    assert "message.email_failed" in end.notice.body
    assert store.ends[taken].state is FallbackState.SENT
    assert running.counted("failed") == 1
    assert mail.sessions == 1


async def test_retries_end(store: MemoryEmails, mail: MailServer, run: Run) -> None:
    mail.on_rcpt += ["451 not now"] * 100
    (number,) = store.add()
    await run(mail, give_up_after_s=0.5)
    await store.wait_until_empty()
    end = store.ends[number]
    assert (end.state, end.reply) == (FallbackState.FAILED, "451 not now")


async def test_a_connection_that_breaks_in_data_sends_the_same_email_again(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    mail.on_data += ["drop", "drop"]
    (number,) = store.add()
    await run(mail)
    await store.wait_until_empty()
    assert store.ends[number].state is FallbackState.SENT
    assert mail.message_ids() == [f"<{number}.sms@shop.example>"]
    assert [later.failed for later in store.put_off] == [True, True]


async def test_a_server_that_took_an_email_and_could_not_say_so_gets_it_again_under_one_name(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    take = mail.handle_DATA

    async def take_and_vanish(server: Any, session: Any, envelope: Any) -> str:
        answer = await take(server, session, envelope)
        if len(mail.letters) == 1:
            server.transport.abort()
        return answer

    mail.handle_DATA = take_and_vanish  # type: ignore[method-assign]
    (number,) = store.add()
    await run(mail)
    await store.wait_until_empty()
    assert mail.message_ids() == [f"<{number}.sms@shop.example>"] * 2
    assert mail.letters[0][2].split(b"Date:")[0] == mail.letters[1][2].split(b"Date:")[0]


async def test_a_slow_server_is_given_up_and_asked_again(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    mail.delay_s = 5.0
    (number,) = store.add()
    await run(mail, timeout_s=0.2)
    await store.wait_for(lambda: bool(store.put_off))
    assert store.put_off[0].reply == "the mail server did not answer in time"
    mail.delay_s = 0.0
    await store.wait_until_empty()
    assert store.ends[number].state is FallbackState.SENT


async def test_a_connection_that_was_closed_while_idle_costs_nothing(
    store: MemoryEmails, run: Run
) -> None:
    mail = MailServer()
    async with serving(mail, timeout=0.1):  # it hangs up on who says nothing
        running = await run(mail)
        for _ in range(3):
            store.add()
            await store.wait_until_empty()
            async with asyncio.timeout(TIMEOUT_S):
                while mail.open:
                    await asyncio.sleep(0.01)
        assert mail.sessions == 3
        assert not store.put_off
        await running.stop()


async def test_a_server_that_is_away_is_waited_for(store: MemoryEmails, run: Run) -> None:
    mail = MailServer()
    async with serving(mail):
        pass  # now there is a port on which nobody listens
    store.add(30)
    running = await run(mail, connections_max=2)
    await store.wait_for(lambda: bool(store.put_off))
    assert not running.server_up()
    async with serving(mail):
        await store.wait_until_empty()
        assert len(mail.letters) == 30
        assert set(store.states()) == {FallbackState.SENT}
        assert running.server_up()
        await running.stop()
    assert all(not later.failed for later in store.put_off)


async def test_while_the_server_is_away_it_is_asked_with_one_email_at_a_time(
    store: MemoryEmails, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.fallback.outcome.PAUSE_FIRST_S", 0.1)
    mail = MailServer()
    async with serving(mail):
        mail.on_mail += ["421 4.3.2 shutting down"] * 6
        store.add(50)
        await run(mail, connections_max=4)
        await store.wait_for(lambda: not mail.on_mail)
        # Four at first, then one each time.
        assert len([later for later in store.put_off if later.reply]) <= 6
        await store.wait_until_empty()


@pytest.mark.parametrize(
    "greeting", [b"554 go away\r\n", b"garbage\r\n", b"", b"220 x\r\n\xff\xfe\n"]
)
async def test_whatever_answers_on_the_port_the_sender_lives(
    store: MemoryEmails, run: Run, greeting: bytes
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    mail = MailServer()
    mail.port = server.sockets[0].getsockname()[1]
    (number,) = store.add()
    running = await run(mail, timeout_s=0.3)
    await store.wait_for(lambda: bool(store.put_off))
    assert number in store.waiting
    assert not running.task.done()
    await running.stop()
    server.close()
    await server.wait_closed()


# ── what is wrong on our side ───────────────────────────────────────────────────────────────


async def test_an_email_that_can_not_be_written_fails_alone(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    too_long = EmailContent("s", "{{ text }}" * 100)
    (bad,) = store.add(content=too_long, text="x" * 30_000)
    (good,) = store.add()
    await run(mail)
    await store.wait_until_empty()
    assert store.ends[bad].state is FallbackState.FAILED
    assert "could not be written" in store.ends[bad].reply
    assert store.ends[good].state is FallbackState.SENT


async def test_an_email_without_its_message_fails(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    (number,) = store.add()
    store.waiting[number] = Orphan(AccountId(1), MessageId(number))
    await run(mail)
    await store.wait_until_empty()
    assert store.ends[number].state is FallbackState.FAILED


async def test_what_was_sent_while_the_database_was_away_is_recorded_when_it_is_back(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    mail.delay_s = 0.2
    (number,) = store.add()
    await run(mail)
    await store.wait_for(lambda: bool(store.claims))
    store.away = True
    async with asyncio.timeout(TIMEOUT_S):
        while not mail.letters:
            await asyncio.sleep(0.01)
    store.away = False
    await store.wait_until_empty()
    assert store.ends[number].state is FallbackState.SENT
    assert len(mail.letters) == 1


async def test_a_stop_lets_what_is_under_way_end_and_gives_the_rest_back(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    mail.delay_s = 0.3
    store.add(20)
    running = await run(mail, connections_max=2)
    await store.wait_for(lambda: len(store.claims) >= 4)
    async with asyncio.timeout(TIMEOUT_S):
        while mail.open < 2:
            await asyncio.sleep(0.01)
    await running.stop()
    assert len(mail.letters) == len(store.ends)
    assert 0 < len(store.ends) < 20
    assert {number for number, at in store.due_at.items() if at > time.time()} <= set(store.ends)


async def test_a_stop_does_not_wait_longer_than_it_may(
    store: MemoryEmails, mail: MailServer, run: Run
) -> None:
    mail.delay_s = 30.0
    (number,) = store.add()
    running = await run(mail, timeout_s=30.0)
    async with asyncio.timeout(TIMEOUT_S):
        while not mail.open:
            await asyncio.sleep(0.01)
    began = time.monotonic()
    await running.stop(timeout_s=0.2)
    assert time.monotonic() - began < 15.0
    assert number in store.waiting
    assert store.put_off[-1].reply == "the gateway stopped before the mail server answered"
