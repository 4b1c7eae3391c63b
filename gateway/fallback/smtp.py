"""Pooled connections to one mail server; an answer or a break comes back as a value.

Not here: how many emails at once and how fast (`sender.py`), what an answer means (`outcome.py`).
"""

from __future__ import annotations

import asyncio
import ssl
import time

from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPTimeoutError

from gateway.config import Email
from gateway.errors import ConfigError
from gateway.fallback.letter import Letter
from gateway.fallback.outcome import SmtpOutcome, Stage, decide_break, decide_reply

IDLE_MAX_S = 30.0
"""Servers close idle connections after some minutes, and their number is limited."""
QUIT_TIMEOUT_S = 2.0
TRANSACTION_TIMEOUTS = 3
"""A whole transaction may take as many times `timeout_s` as this; each single answer, one."""
CLOSING = 421


class _Connection:
    """One session, what it was used for and where it stands."""

    __slots__ = ("client", "idle_since", "letters", "stage")

    def __init__(self, client: SMTP) -> None:
        self.client = client
        self.stage = Stage.CONNECT
        self.letters = 0
        self.idle_since = 0.0


class SmtpPool:
    """Sends letters, each over a connection of its own for as long as that takes."""

    def __init__(self, settings: Email, hello_name: str) -> None:
        """Raise ConfigError when `ca_file` can't be used."""
        self._settings = settings
        self._hello_name = hello_name
        self._idle: list[_Connection] = []
        self._tls = _build_context(settings)

    @property
    def transaction_timeout_s(self) -> float:
        """How long `send` takes at most, finding out that a kept connection is dead included."""
        return (TRANSACTION_TIMEOUTS + 1) * self._settings.timeout_s

    async def send(self, letter: Letter) -> SmtpOutcome:
        """Hand a letter to the server and return what came of it."""
        kept = self._take_idle()
        if kept is not None:
            outcome = await self._send_over(kept, letter, kept=True)
            if outcome is not None:
                return outcome
        outcome = await self._send_over(_Connection(self._build_client()), letter)
        assert outcome is not None
        return outcome

    async def close_idle(self, *, all_of_them: bool = False) -> None:
        """End the sessions that nobody has used for a while."""
        now = time.monotonic()
        old = [c for c in self._idle if all_of_them or now - c.idle_since > IDLE_MAX_S]
        self._idle = [c for c in self._idle if c not in old]
        await asyncio.gather(*(_quit(connection.client) for connection in old))

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.client.is_connected:
                return connection
            connection.client.close()
        return None

    async def _send_over(
        self, connection: _Connection, letter: Letter, *, kept: bool = False
    ) -> SmtpOutcome | None:
        """Return the outcome; None when a connection that was kept turns out to be dead.

        Those are often closed at the other end by the time that they are used again.
        """
        client = connection.client
        try:
            async with asyncio.timeout(TRANSACTION_TIMEOUTS * self._settings.timeout_s):
                return await self._transact(connection, letter)
        except SMTPResponseException as error:
            stage = connection.stage
            if kept and stage is Stage.MAIL and error.code == CLOSING:
                client.close()
                return None
            await self._after_refusal(connection)
            return decide_reply(stage, error.code, error.message)
        except (SMTPException, OSError, ValueError) as error:
            client.close()
            if kept and connection.stage is Stage.MAIL:
                return None
            return decide_break(connection.stage, _describe(error))
        except BaseException:
            client.close()
            raise

    async def _transact(self, connection: _Connection, letter: Letter) -> SmtpOutcome:
        client = connection.client
        connection.stage = Stage.CONNECT
        if not client.is_connected:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        connection.stage = Stage.MAIL
        await client.mail(letter.envelope_from)
        connection.stage = Stage.RCPT
        await client.rcpt(letter.to)
        connection.stage = Stage.DATA
        reply = await client.data(letter.content)
        self._keep(connection)
        return decide_reply(Stage.DATA, reply.code, reply.message)

    async def _after_refusal(self, connection: _Connection) -> None:
        """Keep a session whose transaction was refused, if it can be brought back to its start."""
        client = connection.client
        if connection.stage is Stage.CONNECT or not client.is_connected:
            client.close()
            return
        try:
            await client.rset()
        except (SMTPException, OSError):
            client.close()
        else:
            self._keep(connection)

    def _keep(self, connection: _Connection) -> None:
        connection.letters += 1
        connection.idle_since = time.monotonic()
        if connection.letters < self._settings.emails_per_connection:
            self._idle.append(connection)
        else:
            connection.client.close()

    def _build_client(self) -> SMTP:
        settings = self._settings
        return SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username or None,
            password=settings.password or None,
            local_hostname=self._hello_name,
            timeout=settings.timeout_s,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=self._tls,
        )


async def _quit(client: SMTP) -> None:
    try:
        await client.quit(timeout=QUIT_TIMEOUT_S)
    except (SMTPException, OSError):
        pass
    finally:
        client.close()


def _build_context(settings: Email) -> ssl.SSLContext | None:
    if settings.security == "plain":
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise ConfigError("email.ca_file", f"can't be used: {error}") from error
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _describe(error: BaseException) -> str:
    if isinstance(error, SMTPTimeoutError | TimeoutError):
        return "the mail server did not answer in time"
    return f"{type(error).__name__}: {error}"
