"""Customers over SMPP while the gateway is killed: what was answered is sent, and told of."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from typing import Any

from gateway.smpp import vocabulary as v
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    decode_deliver_sm,
    decode_message_resp,
    encode,
    encode_deliver_sm_resp,
    encode_header,
    encode_submit_sm,
)
from gateway.smpp.shapes import Frame, Pdu, SubmitSm

MESSAGES = 6_000
CUSTOMERS = 2
WINDOW = 50
KILLS = 2
FORGOTTEN_AT_ONCE = 500
FINISH_TIMEOUT_S = 180.0


class Book:
    """What all binds of the customer know together."""

    def __init__(self) -> None:
        self.to_send = list(range(MESSAGES))
        self.accepted: dict[str, int] = {}
        self.receipts: Counter[str] = Counter()
        self.changed = asyncio.Event()

    @property
    def complete(self) -> bool:
        return len(self.accepted) >= MESSAGES and self.accepted.keys() <= self.receipts.keys()


class Customer:
    """Binds again and again, submits what has no answer yet, and answers every receipt."""

    def __init__(self, port: int, book: Book) -> None:
        self._port = port
        self._book = book
        self._under_way: dict[int, int] = {}
        self._sequence = 1

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                await self._hold()
            # Nobody knows what became of these: they go again, as a careful client does.
            self._book.to_send += self._under_way.values()
            self._under_way.clear()
            await asyncio.sleep(0.1)

    async def _hold(self) -> None:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        framer = Framer()
        fields: dict[str, Any] = {
            "system_id": "shop",
            "password": "secret",
            "interface_version": 0x34,
        }
        self._writer.write(encode(Pdu(v.BIND_TRANSCEIVER, 1, 0, fields)))
        try:
            while data := await reader.read(65_536):
                for frame in framer.receive(data):
                    self._hear(frame)
                self._book.changed.set()
        finally:
            self._writer.close()

    def _hear(self, frame: Frame) -> None:
        if frame.command_id == v.DELIVER_SM:
            receipt = decode_deliver_sm(frame.body)
            name = receipt.tlvs[v.TAG_RECEIPTED_MESSAGE_ID].rstrip(b"\0").decode()
            self._book.receipts[name] += 1
            self._writer.write(encode_deliver_sm_resp(frame.sequence))
        elif frame.command_id == v.ENQUIRE_LINK:
            self._writer.write(encode_header(v.ENQUIRE_LINK_RESP, frame.sequence))
        elif frame.command_id == v.SUBMIT_SM_RESP:
            number = self._under_way.pop(frame.sequence)
            if frame.status:
                self._book.to_send.append(number)
            else:
                name = decode_message_resp(frame.octets).message_id
                self._book.accepted[name] = number
            self._fill()
        elif frame.command_id == v.BIND_TRANSCEIVER_RESP and not frame.status:
            self._fill()

    def _fill(self) -> None:
        while len(self._under_way) < WINDOW and self._book.to_send:
            number = self._book.to_send.pop(0)
            self._sequence += 1
            self._under_way[self._sequence] = number
            submit = SubmitSm(
                source_addr="Shop",
                destination_addr=f"4474{number:08d}",
                registered_delivery=1,
                short_message=b"Message #%d" % number,
            )
            self._writer.write(encode_submit_sm(self._sequence, submit))


async def until(book: Book, holds: Any) -> None:
    async with asyncio.timeout(FINISH_TIMEOUT_S):
        while not holds():
            book.changed.clear()
            await book.changed.wait()


async def test_a_kill_loses_no_answered_submission_and_no_receipt(world: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = f"[smpp]\nenabled = true\nport = {port}\n"
    world.config.write_text(world.config.read_text() + settings)
    await world.start_smsc()
    await world.make_account()
    await world.run(
        *("account", "smpp", "set", "shop", "--password", "-", "--window", str(WINDOW)),
        said="secret\n",
    )
    await world.start_gateway()
    book = Book()
    async with asyncio.TaskGroup() as group:
        customers = [group.create_task(Customer(port, book).run()) for _ in range(CUSTOMERS)]
        for kill in range(1, KILLS + 1):
            await until(book, lambda: len(book.accepted) >= MESSAGES * kill // (KILLS + 1))  # noqa: B023
            await world.kill_gateway()
            await world.start_gateway()
        await until(book, lambda: book.complete)
        for customer in customers:
            customer.cancel()
    stats = await world.carrier()
    assert stats["distinct"] == MESSAGES
    # Told twice is at most, at every kill, what was under way and what one commit had to forget.
    again = [name for name, count in book.receipts.items() if count > 1]
    assert len(again) <= KILLS * (CUSTOMERS * WINDOW + FORGOTTEN_AT_ONCE)
    # Taken without an answer is at most what was under way.
    assert len(book.receipts) <= MESSAGES + KILLS * CUSTOMERS * WINDOW
    await world.run("audit")
