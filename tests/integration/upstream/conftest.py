"""A whole gateway in this process, a simulated carrier behind it, and customers in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any

import pytest
import uvloop

from bench.simulator.script import parse_script
from bench.simulator.submit import Submit
from bench.smsc import Smsc
from gateway.app import Gateway
from gateway.config import Config
from gateway.config_file import build_config
from gateway.model import Account
from gateway.record import replace
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import Value
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    decode,
    decode_deliver_sm,
    decode_message_resp,
    decode_submit_sm,
    encode,
    encode_deliver_sm_resp,
    encode_submit_sm,
)
from gateway.smpp.shapes import HEADER_SIZE, DeliverSm, Frame, Pdu, ShortMessage, SubmitSm
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import save_smpp_account

TIMEOUT_S = 60.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
NUMBER = "447400123456"


class Customer:
    """A customer's side of one connection, one PDU at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._framer = Framer()
        self._inbox: list[Frame] = []
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Customer:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def send(self, octets: bytes) -> None:
        self._writer.write(octets)

    def request(self, command_id: int, **fields: Value) -> int:
        sequence = next(self._numbers)
        self.send(encode(Pdu(command_id, sequence, 0, fields)))
        return sequence

    async def ask(self, command_id: int, **fields: Value) -> Pdu:
        """Send a request and return its response."""
        sequence = self.request(command_id, **fields)
        frame = await self.receive(command_id | v.RESPONSE)
        assert frame.sequence == sequence
        return decode(frame)

    async def ask_whatever(self, request: Pdu) -> Pdu:
        """Send a request and return whatever PDU answers its sequence_number."""
        sequence = next(self._numbers)
        self.send(encode(replace(request, sequence=sequence)))
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                for index, frame in enumerate(self._inbox):
                    if frame.sequence == sequence and frame.command_id & v.RESPONSE:
                        return decode(self._inbox.pop(index))
                await self._read()

    async def bind(
        self,
        command_id: int = v.BIND_TRANSCEIVER,
        system_id: str = "shop",
        password: str = "secret",  # noqa: S107 (of this test)
        *,
        interface_version: int = 0x34,
    ) -> Pdu:
        return await self.ask(
            command_id,
            system_id=system_id,
            password=password,
            interface_version=interface_version,
        )

    def submit(self, text: str | bytes = "Hello", to: str = NUMBER, **fields: Any) -> int:
        """Send a submit_sm that asks for a receipt; return its sequence_number."""
        sequence = fields.pop("sequence", None) or next(self._numbers)
        octets = text.encode() if isinstance(text, str) else text
        usual: dict[str, Any] = {"source_addr": "Shop", "registered_delivery": 1}
        submit = SubmitSm(destination_addr=to, short_message=octets, **(usual | fields))
        self.send(encode_submit_sm(sequence, submit))
        return sequence

    async def submitted(self) -> tuple[int, str]:
        """Return the next submit_sm_resp's status and message_id."""
        frame = await self.receive(v.SUBMIT_SM_RESP)
        return frame.status, decode_message_resp(frame.octets).message_id

    async def receive(self, *command_ids: int) -> Frame:
        """Return the next PDU of one of the commands; without any, the next PDU of all."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                for index, frame in enumerate(self._inbox):
                    if not command_ids or frame.command_id in command_ids:
                        return self._inbox.pop(index)
                await self._read()

    def answer(self, delivery: Frame, status: int = 0) -> None:
        """Answer a deliver_sm."""
        self.send(encode_deliver_sm_resp(delivery.sequence, status))

    async def receive_delivery(self, status: int = 0) -> DeliverSm:
        """Return the next deliver_sm, answered with `status`."""
        frame = await self.receive(v.DELIVER_SM)
        self.answer(frame, status)
        return decode_deliver_sm(frame.body)

    async def receive_silence(self) -> None:
        """Check that nothing comes: the answer to an enquire_link is the next thing."""
        sequence = self.request(v.ENQUIRE_LINK)
        frame = await self.receive()
        assert (frame.command_id, frame.sequence) == (v.ENQUIRE_LINK_RESP, sequence)

    async def receive_end(self) -> None:
        """Wait until the gateway has closed; what it sent before stays to be received."""
        async with asyncio.timeout(TIMEOUT_S):
            with contextlib.suppress(ConnectionError):
                while True:
                    await self._read()

    async def unbind(self) -> None:
        self.request(v.UNBIND)
        await self.receive(v.UNBIND_RESP)
        await self.receive_end()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 2.0)

    async def _read(self) -> None:
        data = await self._reader.read(65_536)
        if not data:
            raise ConnectionError("closed by the gateway")
        self._inbox += self._framer.receive(data)


class Running:
    """A gateway that runs in this loop."""

    def __init__(self, config: Config) -> None:
        self.gateway = Gateway(config)
        self._ready = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._customers: list[Customer] = []

    async def connect(
        self, bind: int | None = None, *, tls: ssl.SSLContext | None = None, **credentials: Any
    ) -> Customer:
        """Connect a customer; with a bind command, it is bound as well."""
        port = self.gateway.smpp_port if tls is None else self.gateway.smpp_tls_port
        name = None if tls is None else "server.test"
        streams = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
        customer = Customer(*streams)
        self._customers.append(customer)
        if bind is not None:
            answer = await customer.bind(bind, **credentials)
            assert answer.status == 0, v.status_name(answer.status)
        return customer

    async def start(self) -> None:
        self._running = asyncio.create_task(self.gateway.run(self._ready.set))
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait((self._running, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.is_set():
            waiting.cancel()
            await self._running  # raises what kept it from starting

    async def stop(self) -> None:
        """Stop in order; harmless when it is over."""
        self.gateway.stop()
        if self._running is not None and not self._running.done():
            await asyncio.wait_for(self._running, TIMEOUT_S * 3)

    async def leave(self) -> None:
        """Close all customers' connections."""
        for customer in self._customers:
            await customer.close()

    async def kill(self) -> None:
        """End it without any of the order of a stop."""
        assert self._running is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running

    def metric(self, name: str, **labels: str) -> float:
        """Return one sample's value as Prometheus reads it; 0 when it is not there yet."""
        wanted = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        for line in self.gateway.metrics.render().decode().splitlines():
            if line.startswith(f"{name}{{{wanted}}} " if labels else f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on the loop that the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def script() -> str:
    """What the carrier does: takes everything and sends a receipt at once."""
    return ""


class Carrier:
    """The simulated carrier, and what came to it."""

    def __init__(self, script: str) -> None:
        self.smsc = Smsc(parse_script(script))
        self._came: asyncio.Queue[ShortMessage] = asyncio.Queue()

    async def start(self) -> None:
        await self.smsc.start()
        intake = self.smsc.carrier.intake
        judge = intake.judge

        def note(submit: Submit, in_flight: int, now: float) -> Any:
            self._came.put_nowait(decode_submit_sm(submit.octets, HEADER_SIZE))
            return judge(submit, in_flight, now)

        intake.judge = note  # type: ignore[method-assign]

    def send(self, source: str, destination: str, text: str) -> None:
        """Send a message from a phone."""
        self.smsc.carrier.send_mobile(source, destination, text)
        self.smsc.carrier.flush()

    async def receive(self) -> ShortMessage:
        """Return the next submit_sm that came."""
        return await asyncio.wait_for(self._came.get(), TIMEOUT_S)


@pytest.fixture
async def carrier(script: str) -> AsyncIterator[Carrier]:
    carrier = Carrier(script)
    await carrier.start()
    yield carrier
    await carrier.smsc.stop()


@pytest.fixture
def settings(database_url: str, carrier: Carrier) -> dict[str, Any]:
    """Settings of a gateway with one carrier; tests change them before they use `running`."""
    return {
        "node": {"database_url": database_url},
        "http": {"port": 0},
        "smpp": {"enabled": True, "port": 0, "login_wait_first_s": 0.2, "stop_timeout_s": 2.0},
        "dispatch": {"stop_timeout_s": 2.0},
        "carrier": [
            {
                "name": "alpha",
                "host": "127.0.0.1",
                "port": carrier.smsc.port,
                "system_id": "gw",
                "password": "secret",
                "window_size": 100,
                "reconnect_first_s": 0.1,
            }
        ],
        "route": [{"carriers": ["alpha"]}],
        "price": [{"price": "0.01"}],
    }


@pytest.fixture
async def shop(database: Database, make_account: Callable[..., Awaitable[Account]]) -> Account:
    """An account that may bind as "shop" with the password "secret"."""
    account = await make_account("shop")
    await save_smpp_account(database, account.id, system_id="shop", password="secret")
    return account


@pytest.fixture
async def start(
    settings: dict[str, Any], shop: Account, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """Start gateways: `await start(smpp={…})`, with what differs from `settings` by section."""
    monkeypatch.delenv("DATABASE_URL", raising=False)  # it would win over the test's own
    started: list[Running] = []

    async def start(**sections: dict[str, Any]) -> Running:
        raw = settings | {name: settings.get(name, {}) | keys for name, keys in sections.items()}
        running = Running(build_config(raw))
        started.append(running)
        await running.start()
        return running

    yield start
    for running in started:
        await running.leave()
        await running.stop()


@pytest.fixture
async def running(start: Callable[..., Awaitable[Running]]) -> Running:
    """The gateway, with the account "shop"."""
    return await start()
