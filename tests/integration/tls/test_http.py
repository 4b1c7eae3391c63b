"""HTTP over TLS as clients meet it: who gets in, with what, and how long they may take."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.api.asgi import Receive, Scope, Send, read_body
from gateway.api.patience import Limits
from gateway.api.serve import HttpServer
from gateway.config import ListenTls
from gateway.tls.keeper import ListeningTls

LIMITS = Limits(
    connections_max=2,
    head_bytes_max=1_000,
    head_timeout_s=0.4,
    body_idle_s=0.4,
    body_timeout_s=0.9,
    discard_s=0.3,
)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

Serve = Callable[..., Awaitable["Harness"]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the scheme, and how long the body was."""
    body = await read_body(receive, 0, 1_000_000)
    answer = f"{scope['scheme']} {len(body)}".encode()
    headers = [(b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Harness:
    def __init__(self, tls: ListeningTls) -> None:
        self.tls = tls
        self.server = HttpServer(app, LIMITS)
        self._opened: list[asyncio.StreamWriter] = []

    async def connect(
        self, context: ssl.SSLContext | None, name: str = "gw.test"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.server.tls_port,
            ssl=context,
            server_hostname=name if context is not None else None,
        )
        self._opened.append(writer)
        return reader, writer

    async def ask(self, context: ssl.SSLContext, request: bytes = GET) -> str:
        """Return the answer's status line and body."""
        reader, writer = await self.connect(context)
        writer.write(request)
        return await read_answer(reader)

    async def close(self) -> None:
        for writer in self._opened:
            writer.transport.abort()
        await self.server.stop(2.0)


async def read_answer(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
        return f"{head.splitlines()[0]} {(await reader.readexactly(length)).decode()}"


async def read_end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(8):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
        return b""


@pytest.fixture
async def serve(authority: Any) -> AsyncIterator[Serve]:
    """Serve with a certificate of gw.test, and settings besides: `await serve(client_cert=…)`."""
    opened: list[Harness] = []

    async def serve(**settings: Any) -> Harness:
        files = authority.issue("gw.test", "127.0.0.1").settings
        tls = ListeningTls(ListenTls(enabled=True, **files | settings), "http.tls", "http/1.1")
        harness = Harness(tls)
        opened.append(harness)
        await harness.server.start_tls("127.0.0.1", 0, lambda: tls.context)
        return harness

    yield serve
    for harness in opened:
        await harness.close()


async def test_requests_are_answered_over_tls(serve: Serve, authority: Any) -> None:
    here = await serve()
    context = authority.trusted()
    context.set_alpn_protocols(["h2", "http/1.1"])
    reader, writer = await here.connect(context)
    for _ in range(2):
        writer.write(GET)
        assert await read_answer(reader) == "HTTP/1.1 200 OK https 0"
    found = writer.get_extra_info("ssl_object")
    assert found.version() == "TLSv1.3"
    assert found.selected_alpn_protocol() == "http/1.1"


async def test_a_client_that_trusts_another_authority_or_name_does_not_come_in(
    serve: Serve, authority: Any, make_authority: Callable[[str], Any]
) -> None:
    here = await serve()
    with pytest.raises(ssl.SSLCertVerificationError):
        await here.connect(make_authority("theirs").trusted())
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await here.connect(authority.trusted(), "other.test")
    assert await here.ask(authority.trusted()) == "HTTP/1.1 200 OK https 0"


@pytest.mark.parametrize(
    ("spoken", "least", "gets_in"),
    [
        (ssl.TLSVersion.TLSv1_1, "1.2", False),
        (ssl.TLSVersion.TLSv1_2, "1.2", True),
        (ssl.TLSVersion.TLSv1_2, "1.3", False),
        (ssl.TLSVersion.TLSv1_3, "1.3", True),
    ],
)
async def test_old_protocols_are_refused(
    serve: Serve, authority: Any, spoken: ssl.TLSVersion, least: str, gets_in: bool
) -> None:
    here = await serve(min_version=least)
    context = authority.trusted()
    context.set_ciphers("ALL:@SECLEVEL=0")  # a client that would speak anything
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = spoken
    if gets_in:
        assert await here.ask(context) == "HTTP/1.1 200 OK https 0"
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await here.connect(context)


async def test_whoever_shows_no_certificate_or_a_strangers_is_kept_out_where_one_is_required(
    serve: Serve, authority: Any, make_authority: Callable[[str], Any]
) -> None:
    theirs, strangers = make_authority("theirs"), make_authority("strangers")
    here = await serve(client_ca_file=str(theirs.file))
    shown = [
        None,
        strangers.issue("shop"),
        theirs.issue("shop", days=-1),
        theirs.issue("shop", begins_in=2),
    ]
    for certificate in shown:
        # The client learns of it in the handshake, or with the first octets after it.
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await here.ask(authority.trusted(certificate))
    known = theirs.issue("shop")
    assert await here.ask(authority.trusted(known)) == "HTTP/1.1 200 OK https 0"


async def test_an_optional_certificate_may_be_missing_and_not_wrong(
    serve: Serve, authority: Any, make_authority: Callable[[str], Any]
) -> None:
    theirs, strangers = make_authority("theirs"), make_authority("strangers")
    here = await serve(client_ca_file=str(theirs.file), client_cert="optional")
    for certificate in (None, theirs.issue("shop")):
        assert await here.ask(authority.trusted(certificate)) == "HTTP/1.1 200 OK https 0"
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await here.ask(authority.trusted(strangers.issue("shop")))


async def test_a_renewed_certificate_is_shown_to_the_next_and_the_present_stay(
    serve: Serve, authority: Any, make_authority: Callable[[str], Any]
) -> None:
    here = await serve()
    context = authority.trusted()
    reader, writer = await here.connect(context)
    source, renewed = here.tls.source(), make_authority("newer").issue("gw.test")
    Path(source.settings.cert_file).write_bytes(renewed.cert.read_bytes())
    Path(source.settings.key_file).write_bytes(renewed.key.read_bytes())
    assert source.use(source.build())
    with pytest.raises(ssl.SSLCertVerificationError):
        await here.connect(context)
    writer.write(GET)
    assert await read_answer(reader) == "HTTP/1.1 200 OK https 0"


# ── limits ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"])
async def test_a_handshake_that_does_not_come_about_is_closed(serve: Serve, said: bytes) -> None:
    here = await serve()
    reader, writer = await here.connect(None)
    writer.write(said)
    began = asyncio.get_running_loop().time()
    assert b"HTTP" not in await read_end(reader)
    assert asyncio.get_running_loop().time() - began < 4


async def test_handshakes_take_up_no_more_than_the_connections_that_there_may_be(
    serve: Serve, authority: Any
) -> None:
    here = await serve()
    silent = [await here.connect(None) for _ in range(2 * LIMITS.connections_max)]
    reader, _ = await here.connect(None)
    assert await read_end(reader) == b"", "closed unheard"
    for each, _ in silent:
        await read_end(each)
    assert await here.ask(authority.trusted()) == "HTTP/1.1 200 OK https 0"


async def test_connections_above_the_limit_are_told_to_wait(serve: Serve, authority: Any) -> None:
    here = await serve()
    context = authority.trusted()
    for _ in range(LIMITS.connections_max):
        await here.connect(context)
    reader, _ = await here.connect(context)
    assert (await read_answer(reader)).startswith("HTTP/1.1 503 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", 408),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", 408),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 2_000 + b"\r\n\r\n", 431),
        (b"no HTTP\r\n\r\n", 400),
    ],
    ids=["head", "body", "head_bytes", "garbage"],
)
async def test_limits_of_size_and_time_hold_over_tls(
    serve: Serve, authority: Any, request_: bytes, status: int
) -> None:
    here = await serve()
    reader, writer = await here.connect(authority.trusted())
    writer.write(request_)
    assert (await read_answer(reader)).startswith(f"HTTP/1.1 {status} ")
    assert await read_end(reader) == b""


async def test_a_stop_ends_handshakes_and_connections(serve: Serve, authority: Any) -> None:
    here = await serve()
    reader, _ = await here.connect(authority.trusted())
    shaking, _ = await here.connect(None)
    assert await here.server.stop(2.0) == 0
    assert await read_end(reader) == await read_end(shaking) == b""
    with pytest.raises(OSError):
        await here.connect(None)


async def test_a_client_that_is_cut_off_in_its_handshake_leaves_nothing(
    serve: Serve, authority: Any
) -> None:
    here = await serve()
    _, writer = await here.connect(None)
    writer.write(b"\x16\x03\x01")
    await writer.drain()
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    assert await here.ask(authority.trusted()) == "HTTP/1.1 200 OK https 0"
