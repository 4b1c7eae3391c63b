"""One port for several nodes: who gets a connection, who may have the port, and how one leaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import pytest
import uvloop

from gateway.api.asgi import Receive, Scope, Send
from gateway.api.pages import NodePages
from gateway.api.serve import HttpServer
from gateway.config import Config, ListenTls
from gateway.config_file import build_config
from gateway.errors import CannotListen, ConfigError
from gateway.listening import (
    Seat,
    check_addresses,
    check_seats,
    hold_addresses,
    keep_addresses,
)
from gateway.tls.keeper import ListeningTls
from gateway.views import CarrierView

Run = Callable[[Coroutine[Any, Any, None]], None]

HOST = "127.0.0.1"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    runner: Run = request.param
    return runner


class Named:
    """An application that answers its own name."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % len(self._name))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._name})


class Client:
    """One connection, read as octets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection(HOST, port))

    async def ask(self, request: bytes = GET) -> tuple[str, str]:
        """Return an answer's head and body."""
        async with asyncio.timeout(5):
            self.writer.write(request)
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
            return head, (await self.reader.readexactly(length)).decode()

    async def end(self) -> bytes:
        async with asyncio.timeout(5):
            rest = await self.reader.read()
        self.writer.close()
        return rest


async def ask_once(port: int) -> str:
    client = await Client.connect(port)
    _, body = await client.ask()
    client.writer.close()
    return body


def settings(port: int = 0, **node: Any) -> Config:
    return build_config({"node": {"metrics_port": 0, **node}, "http": {"port": port}})


def test_connections_go_to_all_who_share_a_port(run: Run) -> None:
    async def scenario() -> None:
        with ExitStack() as held:
            port = (await hold_addresses(settings(), held)).http.port
            servers = [HttpServer(Named(name)) for name in (b"one", b"two")]
            for server in servers:
                await server.start(HOST, port, shared=True)
            clients = [await Client.connect(port) for _ in range(64)]
            assert {(await client.ask())[1] for client in clients} == {"one", "two"}
            for client in clients:
                client.writer.close()
            for server in servers:
                await server.stop(1.0)

    run(scenario())


def test_one_that_leaves_answers_each_client_once_more_and_refuses_none(run: Run) -> None:
    async def scenario() -> None:
        with ExitStack() as held:
            port = (await hold_addresses(settings(), held)).http.port
            leaving, staying = HttpServer(Named(b"leaving")), HttpServer(Named(b"staying"))
            await leaving.start(HOST, port, shared=True)
            known = await Client.connect(port)
            assert "close" not in (await known.ask())[0]
            fresh = [await Client.connect(port) for _ in range(8)]  # and nothing asked yet
            await staying.start(HOST, port, shared=True)

            stopping = asyncio.create_task(leaving.stop(2.0, linger_s=2.0))
            await asyncio.sleep(0.05)  # it listens no more
            assert {await ask_once(port) for _ in range(16)} == {"staying"}
            for client in (known, *fresh):
                head, body = await client.ask()
                assert (body, "connection: close" in head) == ("leaving", True)
                assert await client.end() == b""
            assert await stopping == 0
            await staying.stop(0.5)

    run(scenario())


def test_one_that_leaves_does_not_wait_for_ever_for_a_last_request(run: Run) -> None:
    async def scenario() -> None:
        server = HttpServer(Named(b"x"))
        await server.start(HOST, 0, shared=True)
        idle = await Client.connect(server.port)
        await idle.ask()
        await server.stop(2.0, linger_s=0.1)
        assert await idle.end() == b""

    run(scenario())


async def test_over_tls_too_who_waits_at_the_door_is_let_in_and_answered(authority: Any) -> None:
    files = authority.issue("gw.test", HOST).settings
    tls = ListeningTls(ListenTls(enabled=True, **files), "http.tls", "http/1.1")
    server = HttpServer(Named(b"x"))
    await server.start_tls(HOST, 0, lambda: tls.context, shared=True)
    context = authority.trusted()
    port = server.tls_port
    waiting = [socket.create_connection((HOST, port)) for _ in range(4)]  # by the kernel alone

    async def ask_over(connection: socket.socket) -> str:
        reader, writer = await asyncio.open_connection(
            sock=connection, ssl=context, server_hostname="gw.test"
        )
        client = Client(reader, writer)
        head, _ = await client.ask()
        writer.close()
        return head

    stopping = asyncio.create_task(server.stop(2.0, linger_s=2.0))
    heads = await asyncio.gather(*map(ask_over, waiting))
    assert all("200 OK" in head and "connection: close" in head for head in heads)
    assert await stopping == 0


async def test_a_port_of_another_program_is_named_though_it_would_be_shared() -> None:
    with socket.create_server((HOST, 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"{HOST}:{port}: Address already in use; \[http\]"):
            await check_seats(settings(port), 2)


async def test_held_ports_are_kept_from_programs_that_do_not_share() -> None:
    with ExitStack() as held:
        config = await hold_addresses(settings(), held)
        assert config.http.port
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((HOST, config.http.port))
    await check_addresses(config)


async def test_ports_of_single_nodes_are_tried_one_by_one() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        config = settings(metrics_port=port - 1)
        with pytest.raises(CannotListen, match=rf"{HOST}:{port}: .* \[node\] metrics_host and"):
            await check_seats(config, 2)


@pytest.mark.parametrize(("port", "metrics_port"), [(8080, 8079), (8081, 8080), (9, 65_534)])
async def test_ports_that_would_meet_or_do_not_exist_are_a_matter_of_settings(
    port: int, metrics_port: int
) -> None:
    with pytest.raises(ConfigError) as raised:
        await check_seats(settings(port, metrics_port=metrics_port), 3)
    assert raised.value.key == "node.metrics_port"


def test_each_node_has_a_port_of_its_own() -> None:
    config = settings(metrics_port=9_000)
    assert [Seat(index, 3).metrics_address(config) for index in range(3)] == [
        (HOST, 9_000),
        (HOST, 9_001),
        (HOST, 9_002),
    ]
    free = settings(metrics_port=0, metrics_host="::1")
    assert Seat(2, 3).metrics_address(free) == ("::1", 0)


def test_settings_that_came_later_move_no_port() -> None:
    held, applied = settings(1_111), build_config({"http": {"port": 2_222}, "margin": {"min": "1"}})
    kept = keep_addresses(applied, held)
    assert (kept.http.port, kept.margin) == (1_111, applied.margin)


class Stopping:
    """A node on its way out."""

    def problems(self) -> list[str]:
        return ["not started, or stopping"]

    def carriers(self) -> list[CarrierView]:
        return []


async def test_a_node_s_own_pages_say_how_it_is_and_nothing_else() -> None:
    server = HttpServer(NodePages(Stopping(), lambda: b"gateway_database_up 1.0\n"))
    await server.start(HOST, 0)
    client = await Client.connect(server.port)

    async def get(path: str, method: str = "GET") -> tuple[str, str]:
        head, body = await client.ask(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return head.split(" ")[1], body

    assert await get("/healthz") == ("200", '{"status":"alive"}')
    status, body = await get("/readyz")
    assert (status, '"not started, or stopping"' in body) == ("503", True)
    assert await get("/metrics") == ("200", "gateway_database_up 1.0\n")
    assert (await get("/v1/messages"))[0] == "404"
    assert (await get("/metrics", "POST"))[0] == "405"
    client.writer.close()
    await server.stop(1.0)
