"""aiosmpplib as a customer that binds to our server."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import smpplib.client
from aiosmpplib import ESME, AbstractHook, BindMode, PhoneNumber, SubmitSm
from aiosmpplib.broker import SimpleBroker
from aiosmpplib.protocol import BindTransceiverResp, DeliverSm, SmppMessage, SubmitSmResp
from aiosmpplib.state import NPI, TON, SmppSessionState

from gateway.smpp import vocabulary as v
from gateway.text.udh import concatenation

TIMEOUT_S = 20.0


def feature(name: str) -> pytest.MarkDecorator:
    return pytest.mark.interop("aiosmpplib 0.7", "client of our server", name)


class Ears(AbstractHook):  # type: ignore[misc]  # the library is untyped
    """Hears everything that the client does."""

    def __init__(self) -> None:
        self.esme: Any = None
        self.writers: set[asyncio.StreamWriter] = set()
        """The library forgets its connections without closing them."""
        self.heard: list[SmppMessage | bytes] = []
        self._told = asyncio.Condition()

    async def sending(self, smpp_message: SmppMessage, pdu: bytes, client_id: str) -> None: ...

    async def received(self, smpp_message: SmppMessage | None, pdu: bytes, client_id: str) -> None:
        if self.esme._writer is not None:
            self.writers.add(self.esme._writer)
        async with self._told:
            self.heard.append(pdu if smpp_message is None else smpp_message)
            self._told.notify_all()

    async def send_error(self, smpp_message: SmppMessage, error: Exception, client_id: str) -> None:
        raise error

    async def expect(self, fits: Callable[[Any], bool], count: int = 1) -> list[Any]:
        """Return what fits of all that was heard, once it is `count`."""
        async with asyncio.timeout(TIMEOUT_S), self._told:
            while len(found := [each for each in self.heard if fits(each)]) < count:
                await self._told.wait()
        return found


_LATIN_1 = codecs.lookup("latin-1")
_OCTETS = codecs.CodecInfo(_LATIN_1.encode, _LATIN_1.decode, name="octet_unspecified_II")
"""What the library calls data_coding 4; how octets are written it leaves to its users."""


def is_text(message: Any) -> bool:
    return isinstance(message, DeliverSm) and not message.is_receipt()


class Peer:
    """One client, and what it heard."""

    def __init__(self, port: int, mode: BindMode, password: str) -> None:
        self.ears = Ears()
        self.broker = SimpleBroker()
        self.esme = ESME(
            smsc_host="127.0.0.1",
            smsc_port=port,
            system_id="shop",
            password=password,
            bind_mode=mode,
            hook=self.ears,
            broker=self.broker,
            log_level="CRITICAL",
            custom_codecs={_OCTETS.name: _OCTETS},
        )
        self.ears.esme = self.esme
        self._running = asyncio.create_task(self.esme.start())

    async def submit(self, to: str, text: str, **fields: Any) -> str:
        """Submit a text and return the id that was answered."""
        name = f"{to}/{len(self.ears.heard)}"
        await self.broker.enqueue(self._write(to, text, log_id=name, **fields))
        [answer] = await self.ears.expect(
            lambda m: isinstance(m, SubmitSmResp) and m.log_id == name
        )
        message_id: str = answer.message_id
        assert answer.command_status == 0
        return message_id

    async def cut(self, to: str, text: str) -> None:
        """Submit a text that the library cuts into parts with headers."""
        message = self._write(to, text, esm_class=v.ESM_CLASS_UDHI, auto_message_payload=False)
        await self.broker.enqueue(message)

    async def receipt(self, message_id: str) -> dict[str, Any]:
        """Return a message's receipt as the client reads it."""

        def fits(message: Any) -> bool:
            return (
                isinstance(message, DeliverSm)
                and message.is_receipt()
                and message.parse_receipt().get("id") == message_id
            )

        [delivery] = await self.ears.expect(fits)
        read: dict[str, Any] = delivery.parse_receipt()
        return read

    def _write(self, to: str, text: str, **fields: Any) -> SubmitSm:
        return SubmitSm(
            short_message=text,
            source=PhoneNumber("Shop", TON.ALPHANUMERIC, NPI.UNKNOWN),
            destination=PhoneNumber(to, TON.INTERNATIONAL, NPI.ISDN),
            **fields,
        )

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])
        for writer in self.ears.writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def peer(world: Any) -> AsyncIterator[Peer]:
    peer = Peer(world.port, BindMode.TRANSCEIVER, "secret")
    await peer.ears.expect(lambda m: isinstance(m, BindTransceiverResp))
    yield peer
    await peer.stop()


@feature("bind in each mode")
@pytest.mark.parametrize("mode", [BindMode.TRANSMITTER, BindMode.RECEIVER, BindMode.TRANSCEIVER])
async def test_it_binds_in_each_mode(world: Any, mode: BindMode) -> None:
    peer = Peer(world.port, mode, "secret")
    [answer] = await peer.ears.expect(lambda m: isinstance(m, BindTransceiverResp))
    assert (answer.command_status, answer.system_id) == (0, "gateway")
    await peer.stop()


@feature("wrong password")
async def test_a_wrong_password_is_read_as_one(world: Any) -> None:
    peer = Peer(world.port, BindMode.TRANSCEIVER, "wrong")
    # A refusal has no body (SMPP 3.4 §4.1.2), and then the library parses nothing.
    [answer, *_] = await peer.ears.expect(lambda m: isinstance(m, bytes))
    assert int.from_bytes(answer[8:12], "big") == 0x0E
    assert peer.esme.session_state is not SmppSessionState.BOUND_TRX
    await peer.stop()


@feature("GSM-7 with its extension, and its receipt")
async def test_gsm_7_passes_through(world: Any, peer: Peer) -> None:
    to = world.number()
    message_id = await peer.submit(to, "Price: 5 € {ok} [~] ^| @£ñ ÄÖÜ Δ")
    [left] = await asyncio.to_thread(world.take, to)
    assert left.short_message == (
        b"Price: 5 \x1be \x1b(ok\x1b) \x1b<\x1b=\x1b> \x1b\x14\x1b@ \0\1} [\\^ \x10"
    )
    receipt = await peer.receipt(message_id)
    assert (receipt["stat"], receipt["dlvrd"], receipt["err"]) == ("DELIVRD", 1, 0)


@feature("UCS-2 with surrogate pairs")
async def test_ucs_2_passes_through(world: Any, peer: Peer) -> None:
    to = world.number()
    message_id = await peer.submit(to, "Привет 😀👍🏽", encoding="ucs2")
    [left] = await asyncio.to_thread(world.take, to)
    assert (left.short_message.decode("utf-16-be"), left.data_coding) == ("Привет 😀👍🏽", 8)
    await peer.receipt(message_id)


@feature("Latin-1")
async def test_latin_1_is_read_as_such(world: Any, peer: Peer) -> None:
    to = world.number()
    await peer.submit(to, "café à la crème", encoding="latin_1")
    [left] = await asyncio.to_thread(world.take, to)
    assert (left.short_message, left.data_coding) == (b"caf\x05 \x7f la cr\x04me", 0)


@feature("long text in message_payload")
async def test_a_message_payload_is_cut_here(world: Any, peer: Peer) -> None:
    to = world.number()
    message_id = await peer.submit(to, "y" * 400)
    left = await asyncio.to_thread(world.take, to, 3)
    assert b"".join(each.short_message[6:] for each in left) == b"y" * 400
    assert (await peer.receipt(message_id))["stat"] == "DELIVRD"


@feature("receipts of what failed, with its error")
async def test_a_failure_is_told_with_its_error(world: Any, peer: Peer) -> None:
    receipt = await peer.receipt(await peer.submit(world.number("1"), "Hello"))
    assert (receipt["stat"], receipt["err"]) == ("UNDELIV", 27)


@feature("binary, and binary with a port header")
@pytest.mark.parametrize("header", [b"", bytes.fromhex("0605040b8423f0")])
async def test_binary_content_passes_through(world: Any, peer: Peer, header: bytes) -> None:
    to = world.number()
    octets = header + bytes(range(100, 200))
    message_id = await peer.submit(
        to,
        octets.decode("latin-1"),
        encoding=_OCTETS.name,
        esm_class=v.ESM_CLASS_UDHI if header else 0,
    )
    [left] = await asyncio.to_thread(world.take, to)
    assert (left.short_message, left.data_coding) == (octets, 4)
    assert left.esm_class == (v.ESM_CLASS_UDHI if header else 0)
    await peer.receipt(message_id)


@feature("long text cut by the client with UDH")
@pytest.mark.parametrize(("text", "parts"), [("plain and long " * 20, 2), ("длинно " * 20, 3)])
async def test_parts_stay_the_parts_that_they_are(
    world: Any, peer: Peer, text: str, parts: int
) -> None:
    to = world.number()
    await peer.cut(to, text)
    left = await asyncio.to_thread(world.take, to, parts)
    numbers = [concatenation(each.short_message) for each in left]
    assert [(n.sequence, n.total) for n in numbers if n] == [(n + 1, parts) for n in range(parts)]
    codec = "ascii" if text.isascii() else "utf-16-be"
    assert b"".join(each.short_message[6:] for each in left).decode(codec) == text


@feature("messages from phones: GSM-7, UCS-2, long")
async def test_phones_messages_arrive(world: Any, peer: Peer) -> None:
    texts = ["Hi there €", "Привет 😀", "long " * 60]
    for text in texts:
        world.phone("447400111222", text)
    found = await peer.ears.expect(is_text, len(texts))
    assert [message.short_message for message in found] == texts
    assert {message.source.number for message in found} == {"447400111222"}


@feature("messages from phones: binary")
async def test_phones_octets_arrive(world: Any, peer: Peer) -> None:
    octets = bytes.fromhex("00ff801b65")  # behind no header: it takes each for a part's
    world.phone_octets("447400111333", octets, 4)
    [came] = await peer.ears.expect(is_text)
    assert (came.short_message.encode("latin-1"), came.encoding) == (octets, _OCTETS.name)


@feature("message class, which it has no word for: its nack keeps the message, and others go on")
async def test_what_it_cannot_read_is_kept_for_whoever_can(world: Any, peer: Peer) -> None:
    world.phone_octets("447400111444", b"flash", 0x10)
    world.phone("447400111222", "after it")
    came = await peer.ears.expect(lambda m: is_text(m) and m.short_message == "after it")
    assert len(came) == 1
    await peer.stop()
    assert await asyncio.to_thread(take_next, world.port) == (b"flash", 0x10)


def take_next(port: int) -> tuple[bytes, int]:
    """Bind another library as a receiver and return what comes first."""
    came: list[Any] = []

    def take(pdu: Any) -> int:
        came.append(pdu)
        return 0

    client = smpplib.client.Client(
        "127.0.0.1", port, timeout=TIMEOUT_S, allow_unknown_opt_params=True
    )
    client.set_message_received_handler(take)
    client.connect()
    client.bind_receiver(system_id="shop", password="secret")
    while not came:
        client.read_once()
    client.unbind()
    client.disconnect()
    return came[0].short_message, came[0].data_coding


@feature("enquire_link, asked by us")
async def test_it_answers_when_it_is_asked(world: Any, peer: Peer) -> None:
    await peer.ears.expect(lambda m: type(m).__name__ == "EnquireLink", 3)
    await peer.submit(world.number(), "still here")
