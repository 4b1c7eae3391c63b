"""The HTTP server's own promises, byte by byte over sockets, on asyncio's loop and on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import uvloop

import gateway.api.serve as serve
from gateway.api.asgi import Receive, Scope, Send, read_body
from gateway.api.patience import Limits
from gateway.api.serve import HttpServer
from gateway.errors import Rejected

Run = Callable[[Coroutine[Any, Any, None]], None]

LIMITS = Limits(connections_max=3, head_bytes_max=1_000)
HASTY = Limits(
    connections_max=3,
    head_timeout_s=0.3,
    body_idle_s=0.3,
    body_timeout_s=0.9,
    discard_s=0.3,
    keep_alive_s=1,
    write_stalled_s=0.3,
)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class App:
    """Answers the length of what it read; `/wait` waits for `go`, `/big` answers a lot."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.entered = asyncio.Event()
        self.ended: list[str] = []
        self.cancelled = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered.set()
        try:
            await self._answer(scope, receive, send)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.ended.append(scope["path"])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, 0, 1_000_000)
        except Rejected:
            return
        if scope["path"] == "/wait":
            await self.go.wait()
        answer = b"%d" % len(body)
        if scope["path"] == "/big":
            answer = b"x" * 50_000_000
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


class Connection:
    """One raw client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one response."""
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split(" ")[1]), headers, body

    async def problem(self) -> tuple[int, str]:
        """Read one refusal, which ends the connection's use."""
        status, headers, body = await self.answer()
        told = json.loads(body)
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        assert told["status"] == status
        return status, told["code"]

    async def end(self) -> bytes:
        """Read until the server has closed its half."""
        async with asyncio.timeout(5):
            return await self.reader.read()


class Harness:
    def __init__(self, server: HttpServer, app: App) -> None:
        self.server = server
        self.app = app
        self._opened: list[Connection] = []

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.server.port))
        self._opened.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._opened:
            connection.writer.close()


@contextlib.asynccontextmanager
async def serving(limits: Limits = LIMITS) -> AsyncIterator[Harness]:
    app = App()
    server = HttpServer(app, limits)
    await server.start("127.0.0.1", 0)
    harness = Harness(server, app)
    try:
        yield harness
    finally:
        harness.close()
        await server.stop(2.0)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(serve, "TICK_S", 0.02)
    runner: Run = request.param
    return runner


def test_a_free_port_is_taken_and_named(run: Run) -> None:
    async def scenario() -> None:
        async with serving() as http:
            assert http.server.port > 0
            connection = await http.connect()
            connection.send(GET)
            status, headers, body = await connection.answer()
            assert (status, body) == (200, b"0")
            assert "date" in headers
            assert "server" not in headers

    run(scenario())


def test_a_port_that_is_taken_is_an_error_of_the_caller(run: Run) -> None:
    async def scenario() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            server = HttpServer(App())
            with pytest.raises(OSError, match="in use"):
                await server.start("127.0.0.1", taken.getsockname()[1])
            assert await server.stop(1.0) == 0

    run(scenario())


def test_signals_stay_as_they_were(run: Run) -> None:
    async def scenario() -> None:
        before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
        async with serving():
            assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before

    run(scenario())


def test_requests_follow_each_other_on_one_connection(run: Run) -> None:
    async def scenario() -> None:
        async with serving() as http:
            connection = await http.connect()
            for size in (0, 1, 100_000):
                connection.send(POST % size + b"x" * size)
                assert (await connection.answer())[2] == b"%d" % size
            connection.send(GET + POST % 3 + b"abc" + GET)
            assert [(await connection.answer())[2] for _ in range(3)] == [b"0", b"3", b"0"]

    run(scenario())


def test_stop_finishes_the_request_under_way_and_closes_idle_connections(run: Run) -> None:
    async def scenario() -> None:
        async with serving() as http:
            idle, busy = await http.connect(), await http.connect()
            idle.send(GET)
            await idle.answer()
            http.app.entered.clear()
            busy.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await http.app.entered.wait()
            port = http.server.port
            stopping = asyncio.create_task(http.server.stop(5.0))
            assert await idle.end() == b""
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await asyncio.open_connection("127.0.0.1", port)
            assert not stopping.done()
            http.app.go.set()
            status, headers, _ = await busy.answer()
            assert (status, headers["connection"]) == (200, "close")
            assert await stopping == 0
            assert http.app.ended == ["/", "/wait"]

    run(scenario())


def test_stop_finishes_a_body_that_is_still_arriving(run: Run) -> None:
    async def scenario() -> None:
        async with serving() as http:
            connection = await http.connect()
            connection.send(POST % 4 + b"ab")
            await http.app.entered.wait()
            stopping = asyncio.create_task(http.server.stop(5.0))
            await asyncio.sleep(0)
            connection.send(b"cd")
            assert (await connection.answer())[::2] == (200, b"4")
            assert await stopping == 0

    run(scenario())


def test_stop_cuts_off_what_takes_longer_and_says_how_many(run: Run) -> None:
    async def scenario() -> None:
        async with serving() as http:
            connection = await http.connect()
            connection.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await http.app.entered.wait()
            assert await http.server.stop(0.1) == 1
            assert http.app.cancelled == 1
            with contextlib.suppress(ConnectionError):
                assert not (await connection.end()).startswith(b"HTTP/1.1 200")

    run(scenario())


def test_stopping_twice_or_before_the_start_is_nothing(run: Run) -> None:
    async def scenario() -> None:
        server = HttpServer(App())
        assert await server.stop(1.0) == 0
        await server.start("127.0.0.1", 0)
        assert await server.stop(1.0) == 0
        assert await server.stop(1.0) == 0

    run(scenario())


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost:", b"GET /", b"POST / HTTP/1.1\r\n"])
def test_a_head_that_does_not_end_is_told_so(run: Run, sent: bytes) -> None:
    async def scenario() -> None:
        async with serving(HASTY) as http:
            connection = await http.connect()
            connection.send(sent)
            assert await connection.problem() == (408, "request_timeout")
            assert await connection.end() == b""
            assert not http.app.entered.is_set()

    run(scenario())


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_that_asks_nothing_is_closed_without_a_word(run: Run, sent: bytes) -> None:
    async def scenario() -> None:
        async with serving(HASTY) as http:
            connection = await http.connect()
            connection.send(sent)
            assert await connection.end() == b""

    run(scenario())


def test_a_head_that_drips_is_no_better_than_one_that_stops(run: Run) -> None:
    async def scenario() -> None:
        async with serving(HASTY) as http:
            connection = await http.connect()
            connection.send(b"GET / HTTP/1.1\r\nX: ")

            async def drip() -> None:
                while True:
                    connection.send(b"x")
                    await asyncio.sleep(0.02)

            dripping = asyncio.create_task(drip())
            assert await connection.problem() == (408, "request_timeout")
            dripping.cancel()

    run(scenario())


@pytest.mark.parametrize("part", [b"", b"abc"])
def test_a_body_that_stops_is_told_so_and_the_application_let_go(run: Run, part: bytes) -> None:
    async def scenario() -> None:
        async with serving(HASTY) as http:
            connection = await http.connect()
            connection.send(POST % 100 + part)
            assert await connection.problem() == (408, "request_timeout")
            assert await connection.end() == b""
            assert http.app.ended == ["/"]

    run(scenario())


def test_a_body_that_drips_is_told_so_after_its_whole_time(run: Run) -> None:
    async def scenario() -> None:
        async with serving(HASTY) as http:
            connection = await http.connect()
            connection.send(POST % 100_000)

            async def drip() -> None:
                while True:
                    connection.send(b"x")
                    await asyncio.sleep(0.05)

            dripping = asyncio.create_task(drip())
            began = asyncio.get_running_loop().time()
            assert await connection.problem() == (408, "request_timeout")
            assert asyncio.get_running_loop().time() - began >= HASTY.body_timeout_s
            dripping.cancel()

    run(scenario())


def test_a_slow_application_is_not_the_client_s_delay(run: Run) -> None:
    async def scenario() -> None:
        async with serving(HASTY) as http:
            connection = await http.connect()
            connection.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await http.app.entered.wait()
            await asyncio.sleep(HASTY.body_idle_s * 3)
            http.app.go.set()
            assert (await connection.answer())[0] == 200

    run(scenario())


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 1_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 1_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: x\r\n" % n for n in range(500)) + b"\r\n",
    ],
    ids=["value", "line", "many"],
)
def test_a_head_above_its_limit_is_refused(run: Run, head: bytes) -> None:
    async def scenario() -> None:
        async with serving() as http:
            connection = await http.connect()
            connection.send(head)
            assert await connection.problem() == (431, "head_too_large")
            assert not http.app.entered.is_set()

    run(scenario())


def test_a_head_without_end_is_refused_while_it_comes(run: Run) -> None:
    async def scenario() -> None:
        async with serving() as http:
            connection = await http.connect()
            connection.send(b"GET / HTTP/1.1\r\nX: ")

            async def pour() -> None:
                while True:
                    connection.send(b"x" * 600)
                    await asyncio.sleep(0.001)

            pouring = asyncio.create_task(pour())
            assert await connection.problem() == (431, "head_too_large")
            pouring.cancel()

    run(scenario())


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    ],
)
def test_what_is_not_http_is_told_so_and_read_no_further(run: Run, sent: bytes) -> None:
    async def scenario() -> None:
        async with serving() as http:
            connection = await http.connect()
            connection.send(sent)
            connection.send(GET)
            assert await connection.problem() == (400, "bad_request")
            assert await connection.end() == b""

    run(scenario())


def test_garbage_behind_a_request_does_not_cost_it_its_answer(run: Run) -> None:
    async def scenario() -> None:
        async with serving() as http:
            connection = await http.connect()
            connection.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + b"\x00garbage\r\n\r\n")
            await http.app.entered.wait()
            http.app.go.set()
            assert (await connection.answer())[0] == 200
            assert await connection.end() == b""

    run(scenario())


def test_an_idle_connection_is_closed_after_its_time(run: Run) -> None:
    async def scenario() -> None:
        async with serving(HASTY) as http:
            connection = await http.connect()
            connection.send(GET)
            await connection.answer()
            assert await connection.end() == b""

    run(scenario())


def test_bytes_that_begin_no_request_do_not_keep_a_connection(run: Run) -> None:
    async def scenario() -> None:
        async with serving(HASTY) as http:
            connection = await http.connect()
            connection.send(GET)
            await connection.answer()

            async def drip() -> None:
                while True:
                    connection.send(b"\r\n")
                    await asyncio.sleep(0.05)

            dripping = asyncio.create_task(drip())
            assert await connection.end() == b""
            dripping.cancel()

    run(scenario())


def test_connections_above_the_limit_are_told_to_wait(run: Run) -> None:
    async def scenario() -> None:
        limits = Limits(connections_max=2, head_timeout_s=5.0)
        async with serving(limits) as http:
            first, second = await http.connect(), await http.connect()
            for connection in (first, second):
                connection.send(GET)
                await connection.answer()
            third = await http.connect()
            third.send(GET)
            status, headers, body = await third.answer()
            assert (status, headers["retry-after"]) == (503, "1")
            assert json.loads(body)["code"] == "too_many_connections"
            first.writer.close()
            third.writer.close()
            await third.writer.wait_closed()
            second.send(GET)
            assert (await second.answer())[0] == 200
            fourth = await http.connect()
            fourth.send(GET)
            assert (await fourth.answer())[0] == 200

    run(scenario())


def test_a_client_that_does_not_read_its_answer_is_dropped(run: Run) -> None:
    async def scenario() -> None:
        async with serving(HASTY) as http:
            connection = await http.connect()
            connection.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            # The stream's own buffer fills, then nothing is read any more.
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.sleep(HASTY.write_stalled_s * 3)
                async with asyncio.timeout(5):
                    await connection.reader.readexactly(50_000_000)

    run(scenario())
