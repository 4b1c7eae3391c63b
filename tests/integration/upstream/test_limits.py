"""Size, depth and time of requests are limited at every address of a running gateway.

The addresses are the OpenAPI's and the peers', so that a new one is tried by itself; single
submits go all their ways: direct, by the bypass (in pieces), and what is beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import aiohttp
import pytest

import gateway.app as app_module
from gateway.api import serve
from gateway.api.document import operations
from gateway.api.patience import Limits
from gateway.api.serve import HttpServer
from gateway.model import Account
from gateway.scopes import ADMIN, ALL
from gateway.store.keys import create_key
from gateway.store.postgres import Database

BODY_BYTES_MAX = 1_000_000
DEPTH = 100_000
HASTY = Limits(
    head_bytes_max=4_096,
    head_timeout_s=0.5,
    body_idle_s=0.5,
    body_timeout_s=1.0,
    discard_s=0.3,
    keep_alive_s=30,
    write_stalled_s=1.0,
)
TIMEOUT_S = 20.0

DEEP = {
    "lists": b"[" * DEPTH,
    "closed lists": b"[" * DEPTH + b"]" * DEPTH,
    "objects": b'{"to":' * DEPTH,
    "in a known field": b'{"to":"447400900001","text":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "in an unknown field": b'{"zzz":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "in a batch": b'{"messages":[{"to":' + b"[" * DEPTH,
    "in TLVs": b'{"tlvs":{"0x1400":' + b'{"a":' * DEPTH,
    "in a fallback": b'{"fallback":{"email":' + b'{"email":' * DEPTH,
}


class World(NamedTuple):
    running: Any
    port: int
    key: str
    addresses: list[tuple[str, str]]
    """Method and path of every call that takes a body."""

    @property
    def authorization(self) -> str:
        return f"Authorization: Bearer {self.key}\r\n"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def is_well(self) -> bool:
        """Say whether it still answers, within a second."""
        async with asyncio.timeout(TIMEOUT_S), aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{self.port}/healthz") as answer:
                return answer.status == 200


@pytest.fixture
async def world(
    start: Callable[..., Awaitable[Any]],
    database: Database,
    shop: Account,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    monkeypatch.setattr(app_module, "HttpServer", partial(HttpServer, limits=HASTY))
    monkeypatch.setattr(serve, "TICK_S", 0.05)
    running = await start(http={"body_bytes_max": BODY_BYTES_MAX})
    key = (await create_key(database, shop.id, scopes=ALL | ADMIN)).plaintext
    port = running.gateway.port
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/openapi.json") as answer:
            document = await answer.json()
    addresses = [
        (method.upper(), path.replace("{name}", "shop"))
        for path, method, operation in operations(document)
        if "requestBody" in operation
    ]
    addresses += [("POST", path) for path in running.gateway.parts.api.peer_paths]
    assert len(addresses) > 12
    return World(running, port, key, addresses)


async def read_status(reader: asyncio.StreamReader) -> int:
    """Return the status of the answer that comes; 0 when the connection is closed without."""
    async with asyncio.timeout(TIMEOUT_S):
        line = await reader.readline()
    return int(line.split()[1]) if line else 0


def head_of(world: World, method: str, path: str, *more: str, secret: bool = True) -> bytes:
    authorization = world.authorization if secret else ""
    if path.startswith("/secure/") and secret:
        authorization = f"Authorization: {aiohttp.encode_basic_auth('shop', world.key)}\r\n"
    lines = "".join(f"{line}\r\n" for line in more)
    return (
        f"{method} {path} HTTP/1.1\r\nHost: here\r\n{authorization}"
        f"Content-Type: application/json\r\n{lines}\r\n"
    ).encode()


@pytest.mark.parametrize("kind", sorted(DEEP))
async def test_json_without_end_is_refused_and_costs_nothing(world: World, kind: str) -> None:
    body = DEEP[kind]
    assert len(body) < BODY_BYTES_MAX
    for method, path in world.addresses:
        reader, writer = await world.connect()
        head = head_of(world, method, path, f"Content-Length: {len(body)}", "Connection: close")
        writer.write(head + body)
        status = await read_status(reader)
        assert 400 <= status < 500 or (path in FORMS and status == 200), (path, status)
        writer.close()
    assert await world.is_well()
    assert world.running.gateway.parts.api.bodies.held == 0


FORMS = {"/ping"}


async def test_a_body_that_stalls_or_drips_ends_at_every_address(world: World) -> None:
    async def drip(method: str, path: str, announced: str) -> int:
        reader, writer = await world.connect()
        writer.write(head_of(world, method, path, announced))
        dripping = asyncio.create_task(_drip(writer, chunked="chunked" in announced))
        try:
            return await read_status(reader)
        finally:
            dripping.cancel()
            writer.close()

    ways = [
        drip(method, path, announced)
        for method, path in world.addresses
        for announced in (
            "Content-Length: 900",
            "Content-Length: 900000",
            "Transfer-Encoding: chunked",
        )
    ]
    statuses = await asyncio.gather(*ways)
    # Either it is told that it is late, or it was answered without waiting for its body.
    assert all(400 <= status < 500 for status in statuses), statuses
    assert statuses.count(408) > len(statuses) / 2
    assert await world.is_well()


async def _drip(writer: asyncio.StreamWriter, *, chunked: bool) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"1\r\n \r\n" if chunked else b" ")
            await writer.drain()
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("way", ["announced", "chunked"])
async def test_a_body_above_the_limit_is_refused_before_it_is_kept(world: World, way: str) -> None:
    for method, path in world.addresses:
        reader, writer = await world.connect()
        if way == "announced":
            writer.write(head_of(world, method, path, "Content-Length: 900000000"))
            status = await read_status(reader)
        else:
            writer.write(head_of(world, method, path, "Transfer-Encoding: chunked"))
            pouring = asyncio.create_task(_pour(writer))
            status = await read_status(reader)
            pouring.cancel()
        assert status in (405, 413), (path, status)
        writer.close()


async def _pour(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        for _ in range(10 * BODY_BYTES_MAX // 10_000):
            writer.write(b"2710\r\n" + b" " * 10_000 + b"\r\n")
            await writer.drain()


async def test_heads_are_limited_at_every_address(world: World) -> None:
    async def ask(sent: bytes) -> int:
        reader, writer = await world.connect()
        writer.write(sent)
        status = await read_status(reader)
        writer.close()
        return status

    large = [
        ask(head_of(world, method, path, "X: " + "x" * 5_000, "Content-Length: 2") + b"{}")
        for method, path in world.addresses
    ]
    assert set(await asyncio.gather(*large)) == {431}
    endless = [ask(head_of(world, *each, "Content-Length: 2")[:-20]) for each in world.addresses]
    assert set(await asyncio.gather(*endless)) == {408}


async def test_nobody_without_a_key_has_more_than_a_message_read_into_memory(
    world: World,
) -> None:
    for method, path in world.addresses:
        if path in KEY_IN_BODY:
            continue
        reader, writer = await world.connect()
        head = head_of(world, method, path, "Content-Length: 900000", secret=False)
        writer.write(head + b" " * 100)
        assert await read_status(reader) in (401, 405), path  # with the body still to come
        writer.close()


async def test_large_bodies_share_a_bounded_room_and_small_ones_are_taken_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = world.running.gateway.parts.api
    for room, path in ((api.bodies, "/v1/messages/batch"), (api.strangers, "/send")):
        monkeypatch.setattr(room, "_bytes_max", 500_000)
        first, second = await world.connect(), await world.connect()
        for _, writer in (first, second):
            writer.write(head_of(world, "POST", path, "Content-Length: 900000") + b" " * 400_000)
        statuses = {await read_status(reader) for reader, _ in (first, second)}
        assert statuses == {408, 503}, "one waited for the rest, the other found no room"
        small = b'{"to":"447400900001","from":"Shop","text":"Hello"}'
        reader, writer = await world.connect()
        writer.write(head_of(world, "POST", "/v1/messages", f"Content-Length: {len(small)}"))
        writer.write(small)
        assert await read_status(reader) == 202
        for connection in (first, second, (reader, writer)):
            connection[1].close()
        async with asyncio.timeout(TIMEOUT_S):
            while room.held:
                await asyncio.sleep(0.01)


KEY_IN_BODY = {"/cgi-bin/sendsms", "/send", "/rate", "/balance", "/ping"}
"""Calls of peers whose credentials may stand in the body itself."""
