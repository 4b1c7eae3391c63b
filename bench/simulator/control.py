"""Counts and commands over TCP: one JSON object a line, one answer a line.

    {"do": "stats"}                                                counts of all carriers
    {"do": "missing", "first": 1, "last": 99}                      numbers (#n) that did not come
    {"do": "mobile", "source": …, "destination": …, "text": …}     a message from a phone
    {"do": "drop"}                                                 cut every connection
    {"do": "unbind"}                                               ask every bind to leave
    {"do": "script", "toml": …}                                    go on by another script
    {"do": "stop"}                                                 end the process

All but `stats` and `stop` take "port" to choose the carrier; without it the first one is meant.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from bench.simulator.carrier import Carrier
from bench.simulator.script import parse_script
from gateway.errors import ConfigError


class _Command(msgspec.Struct, tag_field="do", forbid_unknown_fields=True, kw_only=True):
    port: int | None = None


class Stats(_Command, tag="stats"):
    pass


class Missing(_Command, tag="missing", kw_only=True):
    first: int
    last: int


class Mobile(_Command, tag="mobile", kw_only=True):
    source: str
    destination: str
    text: str
    system_id: str = ""
    reference_bits: Literal[8, 16] = 8
    reversed: bool = False


class Drop(_Command, tag="drop"):
    pass


class Unbind(_Command, tag="unbind"):
    pass


class NewScript(_Command, tag="script", kw_only=True):
    toml: str


class Stop(_Command, tag="stop"):
    pass


_DECODER = msgspec.json.Decoder(Stats | Missing | Mobile | Drop | Unbind | NewScript | Stop)


class Controlled(Protocol):
    """A carrier with its socket (`bench.smsc.Smsc`)."""

    @property
    def port(self) -> int: ...
    @property
    def carrier(self) -> Carrier: ...
    def stats(self) -> dict[str, Any]: ...


class Control:
    """The control port of all carriers in this process. It listens on loopback only."""

    def __init__(self, carriers: Sequence[Controlled], stop: Callable[[], None]) -> None:
        self._carriers = carriers
        self._stop = stop
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(self.answer(line)) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # gone, or a line longer than a StreamReader takes
        finally:
            self._writers.discard(writer)
            writer.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """Carry out one command; what is wrong with it is said under "error"."""
        try:
            return self._carry_out(_DECODER.decode(line))
        except (msgspec.DecodeError, ConfigError, ValueError) as error:
            return {"error": str(error)}

    def _carry_out(
        self, command: Stats | Missing | Mobile | Drop | Unbind | NewScript | Stop
    ) -> dict[str, Any]:
        match command:
            case Stats():
                return {
                    "carriers": [smsc.stats() for smsc in self._carriers],
                    "process_cpu_s": time.process_time(),
                }
            case Missing():
                messages = self._carrier(command.port).tally.messages
                return {"numbers": messages.find_missing(range(command.first, command.last + 1))}
            case Mobile():
                parts = self._send_mobile(command)
                return {"parts": parts}
            case Drop():
                for line in list(self._carrier(command.port).lines.values()):
                    line.cut()
            case Unbind():
                carrier = self._carrier(command.port)
                for line in list(carrier.lines.values()):
                    line.unbind()
                carrier.flush()
            case NewScript():
                self._carrier(command.port).follow(parse_script(command.toml))
            case Stop():
                self._stop()
        return {"done": True}

    def _send_mobile(self, command: Mobile) -> int:
        carrier = self._carrier(command.port)
        parts = carrier.send_mobile(
            command.source,
            command.destination,
            command.text,
            system_id=command.system_id,
            reference_bits=command.reference_bits,
            backwards=command.reversed,
        )
        carrier.flush()
        return parts

    def _carrier(self, port: int | None) -> Carrier:
        for smsc in self._carriers:
            if port in (None, smsc.port):
                return smsc.carrier
        raise ValueError(f"no carrier listens on port {port}")
