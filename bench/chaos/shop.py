"""The customer of the run: one process that submits, and one that hears webhooks.

    CHAOS_KEY=… python -m bench.chaos.shop submit --url URL --rate 40 --journal FILE
    python -m bench.chaos.shop hear --port PORT --journal FILE

Either may be killed at any moment, and goes on when it is started again, from a journal: a batch is
noted before it is first sent, under an idempotency key, and an event before it is answered for. The
first begins nothing new after SIGTERM, and ends when everything that it began is accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import aiohttp
from aiohttp import web

BATCH = 20
TRY_TIMEOUT_S = 15.0
AGAIN_S = 0.5


@dataclass
class Journal:
    """What a customer's processes wrote down, of all their lives."""

    begun: set[int] = field(default_factory=set)
    """Batches: number 3 is of the messages 60 to 79."""
    accepted: dict[int, str] = field(default_factory=dict)
    """Ids by message."""
    told: dict[str, str] = field(default_factory=dict)
    """Final statuses by id, as webhooks told them."""
    put_off: int = 0
    """Batches that were answered 429 or 503."""
    unanswered: int = 0
    calls: int = 0

    @classmethod
    def read(cls, *files: Path) -> Journal:
        journal = cls()
        for file in files:
            if file.exists():
                for line in file.read_text().splitlines():
                    journal.take(line)
        return journal

    def take(self, line: str) -> None:
        word, *values = line.split(" ")
        match word:
            case "begun":
                self.begun.add(int(values[0]))
            case "accepted":
                first = int(values[0]) * BATCH
                self.accepted |= {first + place: i for place, i in enumerate(values[1:])}
            case "told":
                self.calls += 1
                self.told |= dict(value.split(":") for value in values)
            case "put_off":
                self.put_off += 1
            case "unanswered":
                self.unanswered += 1

    @property
    def open(self) -> list[int]:
        """Batches of which nobody has said that they are accepted."""
        return sorted(number for number in self.begun if number * BATCH not in self.accepted)


class Pen:
    """Writes a line so that it is there whatever happens to this process next."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()  # one write call: it is in whole or not at all


class Submitter:
    """Submits each batch until its acceptance is known, under one key."""

    def __init__(self, url: str, key: str, journal: Journal, pen: Pen) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._journal = journal
        self._pen = pen
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin no further batch; `run` ends when those begun are accepted."""
        self._stopping.set()

    async def run(self, rate_per_s: float) -> None:
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(headers=self._headers) as http, asyncio.TaskGroup() as all:
            for number in self._journal.open:
                all.create_task(self._submit(http, number))
            number = max(self._journal.begun, default=-1)
            due = loop.time()
            while not self._stopping.is_set():
                number += 1
                self._pen.write(f"begun {number}")
                all.create_task(self._submit(http, number))
                due += BATCH / rate_per_s
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, due - loop.time())):
                        await self._stopping.wait()

    async def _submit(self, http: aiohttp.ClientSession, number: int) -> None:
        numbers = range(number * BATCH, (number + 1) * BATCH)
        body = {"messages": [{"to": f"4474{n:08d}", "text": f"#{n} of a bad day"} for n in numbers]}
        # It comes to an end when the gateway is back; the run has a time limit of its own.
        while not await self._try(http, number, body):  # noqa: ASYNC110
            await asyncio.sleep(AGAIN_S)

    async def _try(self, http: aiohttp.ClientSession, number: int, body: Any) -> bool:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with http.post(
                f"{self._url}/v1/messages/batch",
                json=body,
                headers={"Idempotency-Key": f"batch-{number}"},
                timeout=aiohttp.ClientTimeout(TRY_TIMEOUT_S),
            ) as answer:
                if answer.status != 202:
                    self._pen.write("put_off")
                    return False
                ids = [result["id"] for result in (await answer.json())["results"]]
                self._pen.write(" ".join(("accepted", str(number), *ids)))
                return True
        self._pen.write("unanswered")
        return False


def build_receiver(pen: Pen) -> web.Application:
    """Return a server that notes each event before it answers for it."""

    async def hear(request: web.Request) -> web.Response:
        said = json.loads(await request.read())
        events = said if isinstance(said, list) else said.get("events", [said])
        told = (f"{event['message_id']}:{event['status']}" for event in events)
        pen.write(" ".join(("told", *told)))
        return web.Response()

    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_post("/", hear)
    return app


async def _submit(url: str, rate_per_s: float, journal: Path) -> None:
    with journal.open("a") as file:
        submitter = Submitter(url, os.environ["CHAOS_KEY"], Journal.read(journal), Pen(file))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, submitter.stop)
        print("submitting", flush=True)
        await submitter.run(rate_per_s)


async def _hear(port: int, journal: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with journal.open("a") as file:
        runner = web.AppRunner(build_receiver(Pen(file)), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        print("hearing", flush=True)
        await stop.wait()
        await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos.shop", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    verbs = parser.add_subparsers(dest="verb", required=True)
    submit, hear = verbs.add_parser("submit"), verbs.add_parser("hear")
    submit.add_argument("--url", required=True)
    submit.add_argument("--rate", type=float, required=True, help="messages a second")
    hear.add_argument("--port", type=int, required=True)
    for verb in (submit, hear):
        verb.add_argument("--journal", type=Path, required=True)
    options = parser.parse_args()
    if options.verb == "submit":
        asyncio.run(_submit(options.url, options.rate, options.journal))
    else:
        asyncio.run(_hear(options.port, options.journal))


if __name__ == "__main__":
    main()
