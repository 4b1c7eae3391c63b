"""Each carrier gets text in its own style: octets on the wire, receipts, money, over a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import (
    decode_submit_sm,
    encode_deliver_sm,
    encode_header,
    encode_submit_sm_resp,
)
from gateway.smpp.shapes import DeliverSm, SubmitSm

TIMEOUT_S = 30.0

CONFIG = """
[node]
data_dir = "{folder}/data"
[http]
port = {http_port}
[dispatch]
stop_timeout_s = 5
{carriers}
[[price]]
price = "0.01"
"""
STYLES = {
    "turkish": ("90", 'national = ["turkish"]'),
    "sar": ("49", 'long = "sar"'),
    "payload": ("44", 'long = "payload"\nlost = "hold"'),
    "latin": ("34", 'alphabet = "latin-1"\nsender_alphabet = "ascii"'),
    "plain": ("1", 'smart = true\ndata_coding_class = "class"'),
}


class Smsc:
    """A carrier that keeps every submit_sm and reports it as delivered when it is told to."""

    def __init__(self) -> None:
        self.taken: dict[str, list[SubmitSm]] = {name: [] for name in STYLES}
        self.port = 0
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self._unreported: list[tuple[str, str]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers.values():
            writer.close()

    def report_all(self) -> None:
        for number, (name, message_id) in enumerate(self._unreported, start=1):
            text = f"id:{message_id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:"
            receipt = DeliverSm(esm_class=v.ESM_CLASS_RECEIPT, short_message=text.encode())
            self._writers[name].write(encode_deliver_sm(number, receipt))
        self._unreported.clear()

    def bound(self) -> bool:
        return len(self._writers) == len(STYLES)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = ""
        try:
            while True:
                header = await reader.readexactly(16)
                size, command, _, sequence = (
                    int.from_bytes(header[at : at + 4], "big") for at in range(0, 16, 4)
                )
                body = await reader.readexactly(size - 16)
                if command == v.BIND_TRANSCEIVER:
                    name = body.partition(b"\0")[0].decode()
                    self._writers[name] = writer
                    writer.write(encode_header(command | v.RESPONSE, sequence, 0, 1) + b"\0")
                elif command == v.SUBMIT_SM:
                    self._take(name, sequence, body)
                elif command < v.RESPONSE:
                    writer.write(encode_header(command | v.RESPONSE, sequence))
        except (asyncio.IncompleteReadError, ConnectionError):
            self._writers.pop(name, None)
        finally:
            writer.close()

    def _take(self, name: str, sequence: int, body: bytes) -> None:
        self.taken[name].append(decode_submit_sm(body))
        message_id = f"{name}-{len(self.taken[name])}"
        self._unreported.append((name, message_id))
        self._writers[name].write(encode_submit_sm_resp(sequence, 0, message_id))


@pytest.fixture
async def smsc() -> AsyncIterator[Smsc]:
    smsc = Smsc()
    await smsc.start()
    yield smsc
    await smsc.stop()


def configure(world: Any, smsc: Smsc) -> None:
    carriers = "".join(
        f'[[carrier]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {smsc.port}\n'
        f'system_id = "{name}"\nreconnect_first_s = 0.2\n{options}\n'
        f'[[route]]\ncarriers = ["{name}"]\nprefixes = ["{prefix}"]\n'
        for name, (prefix, options) in STYLES.items()
    )
    world.config.write_text(
        CONFIG.format(folder=world.folder, http_port=world.http_port, carriers=carriers)
    )


async def until(condition: Any) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not (await condition() if asyncio.iscoroutinefunction(condition) else condition()):
            await asyncio.sleep(0.02)


MESSAGES: list[dict[str, Any]] = [
    {"to": "905321234567", "text": "ş" * 150},
    {"to": "4915112345678", "text": "s" * 161},
    {"to": "447911123456", "text": "p" * 400, "message_class": 1},
    {"to": "34612345678", "text": "mañana, ¿sí?", "from": "España"},
    {"to": "12025550123", "text": "“It’s here” …", "message_class": 0},
]


async def test_each_carrier_gets_text_in_its_style_and_every_receipt_finds_its_segments(
    world: Any, smsc: Smsc
) -> None:
    configure(world, smsc)
    await world.start_gateway()
    await world.make_account()
    await until(smsc.bound)
    async with aiohttp.ClientSession(headers=world.headers) as http:
        async with http.post(
            f"{world.url}/v1/messages/batch", json={"messages": MESSAGES}
        ) as answer:
            results = (await answer.json())["results"]
    assert [(r["segments"], r["encoding"]) for r in results] == [
        (1, "gsm7"),
        (2, "gsm7"),
        (3, "gsm7"),
        (1, "latin-1"),
        (1, "gsm7"),
    ]
    await until(lambda: sum(map(len, smsc.taken.values())) == 6)

    [turkish] = smsc.taken["turkish"]
    assert turkish.short_message == bytes.fromhex("03250101") + b"\x1d" * 150
    assert (turkish.esm_class, turkish.data_coding) == (v.ESM_CLASS_UDHI, 0)
    first, second = smsc.taken["sar"]
    assert (first.short_message, second.short_message) == (b"s" * 153, b"s" * 8)
    assert first.tlvs[v.TAG_SAR_TOTAL_SEGMENTS] == second.tlvs[v.TAG_SAR_SEGMENT_SEQNUM] == b"\x02"
    assert first.esm_class == 0
    [payload] = smsc.taken["payload"]
    assert payload.tlvs == {v.TAG_MESSAGE_PAYLOAD: b"p" * 400}
    assert (payload.short_message, payload.data_coding) == (b"", 0x11)
    [latin] = smsc.taken["latin"]
    assert latin.short_message == "mañana, ¿sí?".encode("latin-1")
    assert latin.source_addr == "Espana"
    [plain] = smsc.taken["plain"]
    assert (plain.short_message, plain.data_coding) == (b'"It\'s here" ...', 0xF0)

    # Another process: what is known of the submissions is in the store alone.
    assert await world.stop_gateway() == 0
    await world.start_gateway()
    await until(smsc.bound)
    smsc.report_all()

    async with aiohttp.ClientSession(headers=world.headers) as http:

        async def read(message_id: str) -> Any:
            async with http.get(f"{world.url}/v1/messages/{message_id}") as answer:
                return await answer.json()

        for result, sent in zip(results, MESSAGES, strict=True):

            async def delivered(message_id: str = result["id"]) -> bool:
                return bool((await read(message_id))["status"] == "delivered")

            await until(delivered)
            view = await read(result["id"])
            assert [part["status"] for part in view["parts"]] == ["delivered"] * result["segments"]
            assert view["text"] == sent["text"] or sent["to"] == "12025550123"
        assert view["text"] == '"It\'s here" ...'
        balance = await (await http.get(f"{world.url}/v1/balance")).json()
    assert (balance["posted"], balance["reserved"]) == ("0.08", "0")
    assert json.loads(await world.run("audit", "--json"))["agrees"] is True
    assert await world.stop_gateway() == 0
