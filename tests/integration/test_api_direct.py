"""Single submits that go without a task, over raw sockets: order, lost clients, a stop.

What they are answered is compared with the other ways in `test_api_submit.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.api.app import build_api
from gateway.api.serve import HttpServer
from gateway.config import Http
from gateway.message import Accepted
from gateway.model import Account, AccountId, Encoding, MessageId, Micros, SendRequest

Done = Callable[[Accepted | Exception], None]


def post(text: str, *, path: str = "/v1/messages", extra: str = "") -> bytes:
    body = f'{{"to": "+4917012345678", "from": "Shop", "text": "{text}"}}'
    return (
        f"POST {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer good\r\n{extra}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class SlowGateway:
    """Takes messages and commits them when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, Done]] = []
        self.awaited: list[str] = []

    def recall(self, key: str) -> Account | None:
        return Account(id=AccountId(1), name="shop", currency="EUR")

    def submit_soon(self, account: Account, request: SendRequest, key: str, done: Done) -> None:
        self.waiting.append((request.text or "", done))

    async def submit(self, account: Account, request: SendRequest, key: str = "") -> Accepted:
        self.awaited.append(request.text or "")
        return accepted(request.text or "")

    def commit(self) -> None:
        waiting, self.waiting = self.waiting, []
        for text, done in waiting:
            done(accepted(text))


def accepted(text: str) -> Accepted:
    return Accepted(
        id=MessageId(7),
        status="accepted",
        recipient="4917012345678",
        segments=1,
        encoding=Encoding.GSM7,
        price_micros=Micros(0),
        currency="EUR",
        client_ref=text,
    )


class Bench:
    def __init__(self) -> None:
        self.gateway = SlowGateway()
        self.statuses: list[int] = []
        self.faults: list[BaseException] = []
        fake: Any = self.gateway
        api = build_api(
            Http(),
            submissions=fake,
            reading=fake,
            dead_events=fake,
            treasury=fake,
            personal=fake,
            keys=fake,
            condition=fake,
            metrics_text=lambda: b"",
            on_request=lambda route, status, seconds: self.statuses.append(status),
            on_fault=lambda route, error: self.faults.append(error),
        )
        self.server = HttpServer(api, submit=api.submit)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def until(self, count: int) -> None:
        """Wait until so many messages wait for their commit."""
        async with asyncio.timeout(5):
            while len(self.gateway.waiting) < count:
                await asyncio.sleep(0.001)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.server.start("127.0.0.1", 0)
    yield bench
    await bench.server.stop(1.0)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return int(head.split()[1]), await reader.readexactly(length)


async def test_a_submit_is_answered_after_its_commit_and_the_connection_goes_on(
    bench: Bench,
) -> None:
    reader, writer = await bench.connect()
    for text in ("one", "two"):
        writer.write(post(text))
        await bench.until(1)
        bench.gateway.commit()
        status, body = await read_answer(reader)
        assert (status, b'"client_ref":"%b"' % text.encode() in body) == (202, True)
    writer.close()
    assert bench.statuses == [202, 202]
    assert not bench.gateway.awaited


async def test_requests_that_come_at_once_are_answered_in_their_order(bench: Bench) -> None:
    reader, writer = await bench.connect()
    writer.write(post("first") + post("second") + post("third"))
    await bench.until(1)
    await asyncio.sleep(0.02)
    assert not bench.gateway.awaited, "what stands behind waits for the answer in front"
    bench.gateway.commit()
    texts = [(await read_answer(reader))[1] for _ in range(3)]
    for text, body in zip(("first", "second", "third"), texts, strict=True):
        assert f'"client_ref":"{text}"'.encode() in body
    writer.close()


async def test_a_body_in_pieces_is_put_together(bench: Bench) -> None:
    reader, writer = await bench.connect()
    whole = post("in pieces")
    for octet in range(0, len(whole), 7):
        writer.write(whole[octet : octet + 7])
        await asyncio.sleep(0)
    await bench.until(1)
    bench.gateway.commit()
    assert (await read_answer(reader))[0] == 202
    writer.close()


async def test_a_client_that_asked_to_close_is_answered_and_closed(bench: Bench) -> None:
    reader, writer = await bench.connect()
    writer.write(post("bye", extra="Connection: close\r\n"))
    await bench.until(1)
    bench.gateway.commit()
    async with asyncio.timeout(5):
        whole = await reader.read()
    assert b"202 Accepted" in whole
    assert b"connection: close" in whole
    writer.close()


async def test_a_client_that_left_is_committed_all_the_same(bench: Bench) -> None:
    _, writer = await bench.connect()
    writer.write(post("gone"))
    await bench.until(1)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    bench.gateway.commit()
    assert bench.statuses == [202]
    assert not bench.faults


async def test_what_asks_for_more_than_the_direct_way_knows_is_answered_by_the_application(
    bench: Bench,
) -> None:
    reader, writer = await bench.connect()
    writer.write(post("expected", extra="Expect: 100-continue\r\n"))
    async with asyncio.timeout(5):
        assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
    assert (await read_answer(reader))[0] == 202
    body = b'{"to": "+4917012345678", "text": "chunks"}'
    writer.write(
        b"POST /v1/messages HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer good\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    )
    assert (await read_answer(reader))[0] == 202
    writer.close()
    assert bench.gateway.awaited == ["expected", "chunks"]


async def test_a_stop_waits_for_the_commit_and_its_answer(bench: Bench) -> None:
    reader, writer = await bench.connect()
    writer.write(post("late"))
    await bench.until(1)
    stopping = asyncio.create_task(bench.server.stop(5.0))
    await asyncio.sleep(0.05)
    assert not stopping.done()
    bench.gateway.commit()
    assert await stopping == 0
    assert (await read_answer(reader))[0] == 202
    writer.close()


async def test_a_stop_says_how_many_it_cut_off(bench: Bench) -> None:
    _, writer = await bench.connect()
    writer.write(post("never"))
    await bench.until(1)
    assert await bench.server.stop(0.05) == 1
    bench.gateway.commit()
    writer.close()
