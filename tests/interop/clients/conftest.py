"""Our server for clients written in Python: a whole gateway with its own PostgreSQL and a simulated
carrier behind it, on a loop in a thread of its own, because one of the clients blocks."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bench.simulator.mailbox import Delivery
from bench.simulator.script import parse_script
from bench.simulator.submit import Submit
from bench.smsc import Smsc
from gateway.app import Gateway
from gateway.config_file import build_config
from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import decode_submit_sm, encode_short_message
from gateway.smpp.shapes import HEADER_SIZE, DeliverSm, ShortMessage
from gateway.store import accounts
from gateway.store.embedded import start_embedded
from gateway.store.inbound import add_number
from gateway.store.migrate import migrate
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import save_smpp_account

T = TypeVar("T")

TIMEOUT_S = 60.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
OWN_NUMBER = "447400999999"
SYSTEM_ID, PASSWORD = "shop", "secret"
SCRIPT = """
[[rule]]
suffix = "1"
receipts = [{ state = "UNDELIV", err = "027" }]
"""


class World:
    """The gateway, and what reached the carrier behind it."""

    def __init__(self, folder: Path) -> None:
        self.port = 0
        self._folder = folder
        self._smsc = Smsc(parse_script(SCRIPT))
        self._came: list[ShortMessage] = []
        self._told = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._last = 0

    def start(self) -> None:
        self._thread.start()
        self._call(self._start())

    def stop(self) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    def number(self, suffix: str = "0") -> str:
        """A number that no other test sends to."""
        self._last += 1
        return f"44740{self._last:06d}{suffix}"

    def take(self, to: str, count: int = 1) -> list[ShortMessage]:
        """Return the submissions that reached the carrier for a number, `count` of them."""
        deadline = time.monotonic() + TIMEOUT_S
        with self._told:
            while True:
                found = [each for each in self._came if each.destination_addr == to]
                if len(found) >= count:
                    return found
                assert self._told.wait(deadline - time.monotonic()), f"{len(found)} of {count}"

    def phone(self, source: str, text: str) -> None:
        """Send a text from a phone to the account's number."""
        self._loop.call_soon_threadsafe(self._phone, source, text)

    def phone_octets(
        self, source: str, octets: bytes, data_coding: int, *, has_header: bool = False
    ) -> None:
        """Send a message from a phone octet by octet."""
        body = encode_short_message(
            DeliverSm(
                source_addr=source,
                destination_addr=OWN_NUMBER,
                esm_class=v.ESM_CLASS_UDHI if has_header else 0,
                data_coding=data_coding,
                short_message=octets,
            )
        )
        self._loop.call_soon_threadsafe(self._phone_body, body)

    def _phone_body(self, body: bytes) -> None:
        carrier = self._smsc.carrier
        mailbox = carrier._mailbox_for_mobile("")
        mailbox.put(Delivery(v.DELIVER_SM, body, carrier.tally.mobile, 0))
        carrier.flush()

    def _phone(self, source: str, text: str) -> None:
        self._smsc.carrier.send_mobile(source, OWN_NUMBER, text)
        self._smsc.carrier.flush()

    async def _start(self) -> None:
        await self._smsc.start()
        intake = self._smsc.carrier.intake
        judge = intake.judge

        def note(submit: Submit, in_flight: int, now: float) -> Any:
            with self._told:
                self._came.append(decode_submit_sm(submit.octets, HEADER_SIZE))
                self._told.notify_all()
            return judge(submit, in_flight, now)

        intake.judge = note  # type: ignore[method-assign]
        self._postgres = await asyncio.to_thread(start_embedded, self._folder / "data")
        await migrate(self._postgres.url)
        database = await Database.open(self._postgres.url, 4)
        account = await accounts.create_account(database, "shop", segments_max=20)
        await accounts.deposit(database, account.id, 10**9, reason="test", author="test")
        await save_smpp_account(
            database, account.id, system_id=SYSTEM_ID, password=PASSWORD, binds_max=20
        )
        await add_number(database, account.id, OWN_NUMBER)
        await database.close()
        self._gateway = Gateway(self._config())
        ready = asyncio.Event()
        self._running = asyncio.create_task(self._gateway.run(ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait((self._running, waiting), return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            self._running.result()
        self.port = self._gateway.smpp_port

    async def _stop(self) -> None:
        self._gateway.stop()
        await self._running
        await self._smsc.stop()
        await asyncio.to_thread(self._postgres.stop)

    def _config(self) -> Any:
        return build_config(
            {
                "node": {"database_url": self._postgres.url},
                "http": {"port": 0},
                "smpp": {
                    "enabled": True,
                    "port": 0,
                    "enquire_link_s": 1.0,
                    "login_wait_first_s": 0.1,
                    "login_wait_max_s": 0.2,
                },
                "carrier": [
                    {
                        "name": "alpha",
                        "host": "127.0.0.1",
                        "port": self._smsc.port,
                        "system_id": "gateway",
                        "window_size": 100,
                    }
                ],
                "route": [{"carriers": ["alpha"]}],
                "price": [{"price": "0.01"}],
            }
        )

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT_S * 3)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    environment = pytest.MonkeyPatch()
    environment.delenv("DATABASE_URL", raising=False)  # its own PostgreSQL
    # The socket's path must stay below 108 bytes, so not pytest's own temporary folder.
    folder = Path(tempfile.mkdtemp(prefix="gwi"))
    folder.chmod(0o755)
    world = World(folder)
    try:
        world.start()
        yield world
        world.stop()
    finally:
        environment.undo()
        shutil.rmtree(folder, ignore_errors=True)
