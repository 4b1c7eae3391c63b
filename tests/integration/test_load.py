"""The load generator against an HTTP server of a few lines."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bench import load
from bench.generator.driver import NoProgress

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 20.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))

Reply = tuple[int, dict[str, str], bytes]
CUT: Reply = (0, {}, b"")
"""Close the connection instead of an answer."""


class Gateway:
    """Answers like the gateway; `answer` may be replaced. Keeps what it was sent."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.searches: list[dict[str, list[str]]] = []
        self.connections = 0
        self.answer: Callable[[str, str, Any], Reply] = self.accept
        self.under_way: list[int] = []
        """Messages that the searches find under way, one a poll; then none."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    def accept(self, method: str, target: str, body: Any) -> Reply:
        if method == "GET":
            return self.search(target)
        if target.endswith("/batch"):
            self.messages += body["messages"]
            results = [{"id": "1", "segments": 1} for _ in body["messages"]]
            return 202, {}, json.dumps({"results": results}).encode()
        self.messages.append(body)
        return 202, {}, b'{"id":"1","status":"accepted","segments":1}'

    def search(self, target: str) -> Reply:
        query = parse_qs(urlsplit(target).query)
        self.searches.append(query)
        status, limit = query["status"][0], int(query["limit"][0])
        found = 0
        if status == "submitted" and self.under_way:
            found = self.under_way.pop(0)
        elif status == "delivered" and "cursor" not in query:
            # An empty page with a cursor: the gateway looked at as many as it may.
            return 200, {}, b'{"messages":[],"next_cursor":"more"}'
        elif status == "delivered":
            found = len(self.messages)
        page = {"messages": [{"id": str(n)} for n in range(min(found, limit))], "next_cursor": ""}
        return 200, {}, json.dumps(page).encode()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                method, target, _ = lines[0].split(" ")
                fields = dict(line.split(": ", 1) for line in lines[1:] if line)
                assert fields["Authorization"] == "Bearer secret"
                body = await reader.readexactly(int(fields.get("Content-Length", 0)))
                reply = self.answer(method, target, json.loads(body) if body else None)
                if reply is CUT:
                    break
                status, headers, content = reply
                shown = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{shown}\r\n".encode()
                    + content
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    server = Gateway()
    await server.start()
    yield server
    await server.stop()


async def run(gateway: Gateway, **options: Any) -> dict[str, Any]:
    values = {"url": f"http://127.0.0.1:{gateway.port}", "key": "secret"} | options
    async with asyncio.timeout(TIMEOUT_S):
        return await load.run_load(load.Options(**values))


def refs(gateway: Gateway) -> set[str]:
    return {message["client_ref"].rpartition("-")[2] for message in gateway.messages}


async def test_singles_arrive_once_each_over_connections_that_stay(gateway: Gateway) -> None:
    result = await run(gateway, messages=200, connections=8)
    assert (result["accepted"], result["segments"], result["requests"]) == (200, 200, 200)
    assert len(gateway.messages) == 200
    assert refs(gateway) == {str(number) for number in range(1, 201)}
    assert gateway.connections == 8
    assert result["statuses"] == {"202": 200}
    assert set(result["latency_ms"]) == {"p50", "p90", "p99", "p99.9", "max", "mean"}
    assert load.is_success(result)


async def test_batches_hold_what_they_are_asked_to(gateway: Gateway) -> None:
    result = await run(gateway, messages=250, mode="batch", batch=100)
    assert (result["accepted"], result["requests"], result["connections"]) == (250, 3, 3)
    assert refs(gateway) == {str(number) for number in range(1, 251)}


async def test_an_open_loop_keeps_its_rate(gateway: Gateway) -> None:
    result = await run(gateway, messages=50, rate=500, connections=4)
    assert (result["loop"], result["accepted"]) == ("open", 50)
    assert result["elapsed_s"] >= 49 / 500


async def test_an_open_loop_counts_what_a_stall_delays(gateway: Gateway) -> None:
    first = True

    def stall_once(method: str, target: str, body: Any) -> Reply:
        nonlocal first
        if first:
            first = False
            return 503, {"Retry-After": "1"}, b""
        return gateway.accept(method, target, body)

    gateway.answer = stall_once
    result = await run(gateway, messages=20, rate=200, connections=1)
    assert result["accepted"] == 20
    # The other 19 were due within the next 0.1 s and had to wait for it too.
    assert result["latency_ms"]["p50"] > 800


@pytest.mark.parametrize("status", [429, 503])
async def test_not_now_is_heeded_and_the_message_sent_again(gateway: Gateway, status: int) -> None:
    refused: list[float] = []
    taken: list[float] = []
    loop = asyncio.get_running_loop()

    def refuse_once(method: str, target: str, body: Any) -> Reply:
        if not refused:
            refused.append(loop.time())
            return status, {"Retry-After": "1"}, b'{"code":"busy"}'
        taken.append(loop.time())
        return gateway.accept(method, target, body)

    gateway.answer = refuse_once
    result = await run(gateway, messages=5, connections=1)
    assert (result["accepted"], result["retried"]) == (5, {str(status): 1})
    assert taken[0] - refused[0] >= 0.9
    assert refs(gateway) == {"1", "2", "3", "4", "5"}


async def test_items_of_a_batch_that_must_wait_go_again_alone(gateway: Gateway) -> None:
    sizes: list[int] = []

    def take_half(method: str, target: str, body: Any) -> Reply:
        sizes.append(len(body["messages"]))
        if len(sizes) > 1:
            return gateway.accept(method, target, body)
        kept = body["messages"][::2]
        gateway.messages += kept
        later = {"error": {"code": "queue_full", "status": 503, "field": "", "detail": ""}}
        results = [{"segments": 1} if item in kept else later for item in body["messages"]]
        return 202, {"Retry-After": "1"}, json.dumps({"results": results}).encode()

    gateway.answer = take_half
    result = await run(gateway, messages=10, mode="batch", batch=10)
    assert (sizes, result["accepted"]) == ([10, 5], 10)
    assert refs(gateway) == {str(number) for number in range(1, 11)}


async def test_refusals_are_counted_and_the_run_is_no_success(gateway: Gateway) -> None:
    gateway.answer = lambda *_: (402, {}, b'{"code":"no_credit"}')
    result = await run(gateway, messages=5)
    assert (result["accepted"], result["rejected"]) == (0, {"402 no_credit": 5})
    assert not load.is_success(result)


async def test_what_a_broken_connection_takes_with_it_is_sent_again(gateway: Gateway) -> None:
    calls = 0

    def cut_often(method: str, target: str, body: Any) -> Reply:
        nonlocal calls
        calls += 1
        # Taken, but the answer is lost: only the reference keeps it from being a second message.
        reply = gateway.accept(method, target, body)
        return CUT if calls % 10 == 3 else reply

    gateway.answer = cut_often
    result = await run(gateway, messages=50, connections=3)
    assert result["accepted"] == 50
    assert result["retried"]["lost"] == len(gateway.messages) - 50 > 0
    assert refs(gateway) == {str(number) for number in range(1, 51)}


async def test_without_references_what_is_lost_is_not_repeated(gateway: Gateway) -> None:
    calls = 0

    def cut_third(method: str, target: str, body: Any) -> Reply:
        nonlocal calls
        calls += 1
        return CUT if calls == 3 else gateway.accept(method, target, body)

    gateway.answer = cut_third
    result = await run(gateway, messages=10, connections=1, client_ref=False)
    assert (result["accepted"], result["lost"]) == (9, 1)
    assert all("client_ref" not in message for message in gateway.messages)


async def test_a_server_that_closes_after_each_answer_is_followed(gateway: Gateway) -> None:
    def close_after(method: str, target: str, body: Any) -> Reply:
        status, _, content = gateway.accept(method, target, body)
        return status, {"Connection": "close"}, content

    gateway.answer = close_after
    result = await run(gateway, messages=10, connections=2)
    assert (result["accepted"], len(gateway.messages)) == (10, 10)
    assert gateway.connections >= 10


async def test_bytes_that_are_no_http_do_not_count_as_an_answer(gateway: Gateway) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SMTP ready\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    gateway_port, gateway.port = gateway.port, server.sockets[0].getsockname()[1]
    try:
        result = await run(gateway, messages=3, connections=1, client_ref=False)
    finally:
        gateway.port = gateway_port
        server.close()
        await server.wait_closed()
    assert (result["accepted"], result["lost"], result["statuses"]) == (0, 3, {})


async def test_a_gateway_that_stops_answering_ends_the_run(gateway: Gateway) -> None:
    gateway.answer = lambda *_: CUT
    with pytest.raises(NoProgress):
        await run(gateway, messages=3, give_up=0.3)


async def test_waiting_for_finals_polls_until_nothing_is_under_way(gateway: Gateway) -> None:
    gateway.under_way = [30, 3, 0]
    result = await run(gateway, messages=30, wait_final=True)
    assert result["final"]["complete"] is True
    assert result["final"]["statuses"] == {"delivered": 30}
    assert result["final"]["elapsed_s"] >= 0.5
    assert {"from"} <= set(gateway.searches[0])
    assert load.is_success(result)


async def test_finals_that_the_search_does_not_find_are_not_complete(gateway: Gateway) -> None:
    def find_nothing(method: str, target: str, body: Any) -> Reply:
        if method == "GET":
            return 200, {}, b'{"messages":[],"next_cursor":""}'
        return gateway.accept(method, target, body)

    gateway.answer = find_nothing
    result = await run(gateway, messages=3, wait_final=True)
    assert (result["accepted"], result["final"]["complete"]) == (3, False)


async def test_waiting_for_finals_ends_with_its_timeout(gateway: Gateway) -> None:
    gateway.under_way = [1] * 1_000
    result = await run(gateway, messages=3, wait_final=True, timeout=0.3)
    assert result["final"]["complete"] is False
    assert not load.is_success(result)


@pytest.mark.parametrize(
    "options", [{"url": "https://x"}, {"to_prefix": "x"}, {"text": "x" * 400, "segments": 2}]
)
async def test_options_that_can_not_be_used_are_refused(
    gateway: Gateway, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="--"):
        await run(gateway, **options)


async def test_the_command_writes_its_result_without_the_key(
    gateway: Gateway, tmp_path: Path
) -> None:
    written = tmp_path / "result.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load", "--url", f"http://127.0.0.1:{gateway.port}"),
        *("--key", "secret", "--messages", "20", "--json", str(written)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with asyncio.timeout(TIMEOUT_S):
        said, _ = await process.communicate()
    assert process.returncode == 0
    result = json.loads(said)
    assert result == json.loads(written.read_text())
    assert (result["accepted"], result["machine"]["cores"] > 0) == (20, True)
    assert "secret" not in said.decode()


async def test_an_address_where_nobody_listens_is_said(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load", "--url", "http://127.0.0.1:9", "--key", "secret"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with asyncio.timeout(TIMEOUT_S):
        _, said = await process.communicate()
    assert process.returncode == 2
    assert said.startswith(b"bench.load: ")
