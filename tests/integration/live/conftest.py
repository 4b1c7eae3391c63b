"""A gateway that runs in this loop on its own database, simulated carriers, and the command."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from bench.simulator.script import Script, parse_script
from bench.simulator.submit import Submit
from bench.smsc import Smsc
from gateway.app import Gateway
from gateway.config_file import build_config
from gateway.jobs import Submission
from gateway.live.settings import Given
from gateway.model import CarrierId
from gateway.smpp.pdu import decode_submit_sm
from gateway.smpp.shapes import HEADER_SIZE, ShortMessage
from gateway.store import accounts, keys
from gateway.store.postgres import Database
from gateway.store.settings import NodeInfo, list_nodes

TIMEOUT_S = 60.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))


PACE_S = 0.02
"""Between two messages of a worker: a load that a busy machine carries as well."""


class Operator:
    """A simulated carrier that keeps what came to it, and when."""

    def __init__(self, script: Script) -> None:
        self.smsc = Smsc(script)
        self.came: list[tuple[float, ShortMessage]] = []

    async def start(self) -> None:
        await self.smsc.start()
        self._listen()

    def _listen(self) -> None:
        intake = self.smsc.carrier.intake
        judge = intake.judge

        def note(submit: Submit, in_flight: int, now: float) -> Any:
            self.came.append((now, decode_submit_sm(submit.octets, HEADER_SIZE)))
            return judge(submit, in_flight, now)

        intake.judge = note  # type: ignore[method-assign]

    @property
    def port(self) -> int:
        return self.smsc.port

    @property
    def stats(self) -> dict[str, Any]:
        return self.smsc.stats()

    @property
    def recipients(self) -> list[str]:
        return [submit.destination_addr for _, submit in self.came]

    def follow(self, script: str) -> None:
        self.smsc.carrier.follow(parse_script(script))
        self._listen()  # it judges by another script now


class Load:
    """Messages sent by the API until it is stopped; each recipient once."""

    numbers = itertools.count(1)

    def __init__(self, url: str, key: str, *, text: str = "Hello", workers: int = 8) -> None:
        self.accepted: list[str] = []
        self._url, self._text = url, text
        self._headers = {"Authorization": f"Bearer {key}"}
        self._going = True
        self._tasks: list[asyncio.Task[None]] = []
        self._workers = workers

    def start(self) -> Load:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        return self

    async def reach(self, count: int) -> None:
        """Wait until so many more messages are accepted."""
        count += len(self.accepted)
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.accepted) < count:
                await asyncio.sleep(0.01)

    async def stop(self) -> list[str]:
        """Stop, and return the recipients of everything that was accepted."""
        self._going = False
        await asyncio.gather(*self._tasks)
        return self.accepted

    async def _work(self) -> None:
        async with aiohttp.ClientSession(headers=self._headers) as http:
            while self._going:
                to = f"447400{next(self.numbers):06d}"
                body = {"to": to, "text": self._text}
                async with http.post(f"{self._url}/v1/messages", json=body) as answer:
                    if answer.status == 202:
                        self.accepted.append(to)
                    else:
                        assert answer.status in (429, 503), await answer.text()
                await asyncio.sleep(PACE_S)


class Said(NamedTuple):
    """What the command has printed."""

    stdout: str
    output: str
    """That, and what it said besides."""


class Node:
    """One gateway, its database, its account, and the command on both."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.key = ""
        self.gateway: Gateway
        self.left: dict[str, list[float]] = {}
        """When each segment left, by carrier's name."""
        self._running: asyncio.Task[None] | None = None

    async def start(self, text: str | None, *, live: bool = True) -> None:
        """Start the gateway with these settings, or without a file."""
        tree = None if text is None else tomllib.loads(text)
        config = build_config({"http": {"port": 0}} | (tree or {}))
        given = Given(tree, "/etc/gateway.toml", "cli:root") if live else None
        self.gateway = Gateway(config, given)
        ready = asyncio.Event()
        self._running = asyncio.create_task(self.gateway.run(ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait((self._running, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not ready.is_set():
            waiting.cancel()
            await self._running

    def note_leaving(self) -> None:
        """Keep from now on when segments leave: the loop that both ends share in these tests may
        hold them up on their way, and bring more of them in one second than left in one."""
        dispatcher = self.gateway.parts.dispatcher
        take = dispatcher.take

        def note(
            carrier_id: CarrierId, room: int, now: float, wall: float
        ) -> tuple[list[Submission], float | None]:
            taken, until = take(carrier_id, room, now, wall)
            times = self.left.setdefault(dispatcher.carriers[carrier_id].policy.name, [])
            times += [each.sent_at for each in taken for _ in each.indexes]
            return taken, until

        dispatcher.take = note  # type: ignore[method-assign]

    def busiest_second(self, carrier: str, since: float = 0.0) -> int:
        """Return the most segments that left for a carrier within any one second."""
        times = [at for at in self.left[carrier] if at >= since]
        first = busiest = 0
        for last, at in enumerate(times):
            while times[first] <= at - 1.0:
                first += 1
            busiest = max(busiest, last - first + 1)
        return busiest

    async def stop(self) -> None:
        if self._running is not None and not self._running.done():
            self.gateway.stop()
            await asyncio.wait_for(self._running, TIMEOUT_S)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"

    def load(self, **wanted: Any) -> Load:
        return Load(self.url, self.key, **wanted).start()

    async def run(self, *words: object, expect: int = 0) -> Said:
        """Run the command as a process of its own."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *map(str, words)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S * 2)
        said = Said(out.decode(), out.decode() + err.decode())
        assert process.returncode == expect, f"{words}: {said.output}"
        return said

    async def apply(self, text: str, *options: object, expect: int = 0) -> dict[str, Any]:
        """Apply settings and return what the command says as JSON."""
        file = self.folder / "gateway.toml"
        file.write_text(text)
        result = await self.run("apply", file, "--yes", "--json", *options, expect=expect)
        said: dict[str, Any] = json.loads(result.stdout)
        return said

    async def post(self, to: str, **fields: object) -> str:
        """Send one message and return its id."""
        headers = {"Authorization": f"Bearer {self.key}"}
        body = {"to": to, "text": "Hello"} | fields
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(f"{self.url}/v1/messages", json=body) as answer,
        ):
            assert answer.status == 202, await answer.text()
            return str((await answer.json())["id"])

    async def until(self, done: Callable[[], bool | Awaitable[bool]]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                so = done()
                if so if isinstance(so, bool) else await so:
                    return
                await asyncio.sleep(0.02)

    async def info(self) -> NodeInfo:
        """Return what the running node says of itself."""
        async with asyncio.timeout(TIMEOUT_S):
            while not (nodes := await list_nodes(self.database)):
                await asyncio.sleep(0.02)
        found: NodeInfo = nodes[0]
        return found

    async def until_final(self) -> dict[int, int]:
        """Wait until no message is open any more; return how many ended in which status."""
        ended: dict[int, int] = {}

        async def all_final() -> bool:
            async with self.database.acquire() as connection:
                rows = await connection.fetch(
                    "SELECT status, count(*) FROM message_states GROUP BY status"
                )
            ended.clear()
            ended.update({row["status"]: row["count"] for row in rows})
            return all(status >= 10 for status in ended)

        await self.until(all_final)
        return ended

    async def check_money(self) -> None:
        audit = await self.run("audit", "--json")
        assert json.loads(audit.stdout)["agrees"] is True


@pytest.fixture
async def node(
    database_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Node]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    node = Node(database, tmp_path)
    shop = await accounts.create_account(database, "shop", default_sender="Shop")
    await accounts.deposit(database, shop.id, 10**9, reason="test", author="test")
    node.key = (await keys.create_key(database, shop.id)).plaintext
    yield node
    await node.stop()


@pytest.fixture
async def operators() -> AsyncIterator[Callable[..., Awaitable[list[Operator]]]]:
    """Start simulated carriers: `alpha, beta = await operators(script, script)`."""
    started: list[Operator] = []

    async def start(*scripts: str) -> list[Operator]:
        fresh = [Operator(parse_script('identity = "content"\n' + script)) for script in scripts]
        for operator in fresh:
            await operator.start()
        started.extend(fresh)
        return fresh

    yield start
    for operator in started:
        await operator.smsc.stop()


def write_settings(
    operators: dict[str, Operator], routes: Sequence[Sequence[str]], *more: str, **keys: str
) -> str:
    """Write settings with these carriers; `keys` are lines of the carrier of that name."""
    parts = ["[http]\nport = 0\n[dispatch]\nstop_timeout_s = 5\n", *more]
    for name, operator in operators.items():
        parts.append(
            f'[[carrier]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {operator.port}\n'
            f'system_id = "us"\nreconnect_first_s = 0.1\n{keys.get(name, "")}\n'
        )
    parts += [f"[[route]]\ncarriers = {json.dumps(list(route))}\n" for route in routes]
    return "\n".join(parts)


@pytest.fixture
def settings() -> Callable[..., str]:
    return write_settings
