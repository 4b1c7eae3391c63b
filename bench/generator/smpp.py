"""SMPP load: binds of a customer that keep their windows full, and take what comes back.

As `driver.py` for HTTP: sends what is due, counts what is answered. Receipts that come up are
acknowledged and counted; one message has one.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final, cast

from bench.generator.backlog import Backlog, Request, Wait
from bench.generator.driver import RECONNECT_S, TICK_S, NoProgress
from bench.generator.figures import Figures
from bench.generator.messages import NUMBER_DIGITS, TEXT
from bench.stream import HEADER, HEADER_SIZE, Stream
from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import encode, encode_header
from gateway.smpp.shapes import Pdu
from gateway.smpp.window import SEQUENCE_MAX

THROTTLED: Final = frozenset({v.ESME_RTHROTTLED, v.ESME_RMSGQFUL})
THROTTLE_PAUSE_S: Final = 0.1
BIND_TIMEOUT_S: Final = 30.0
_TEXT: Final = TEXT.replace("{n}", "%d").encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    port: int
    system_id: str
    password: str
    host: str = "127.0.0.1"


class SmppLoad:
    """Some binds of one customer, kept over several runs. Used in one event loop."""

    def __init__(
        self,
        login: Login,
        *,
        binds: int,
        window: int,
        receipts: bool,
        sender: str = "Bench",
        to_prefix: str = "4479111",
    ) -> None:
        self.receipts_taken = 0
        """deliver_sm that came up, since the first bind."""
        self.receipt_s = 0.0
        """When the last of them came, on the monotonic clock."""
        self._login = login
        self._count = binds
        self._window = window
        digits = NUMBER_DIGITS - len(to_prefix)
        self._recipients = 10**digits
        # SMPP 3.4 §4.4.1. A template, because most of it is the same in each; doubled percent signs
        # go through the % operator.
        self._body = (
            b"\0"  # service_type
            + b"\x05\0%b\0" % sender.encode("latin-1").replace(b"%", b"%%")
            + b"\x01\x01%b%%0%dd\0" % (to_prefix.encode("ascii"), digits)
            + b"\0\0\0"  # esm_class, protocol_id, priority_flag
            + b"\0\0"  # schedule_delivery_time, validity_period
            + bytes((v.RECEIPT_ALWAYS if receipts else 0,))  # registered_delivery
            + b"\0\0\0"  # replace_if_present_flag, data_coding, sm_default_msg_id
            + b"%c%b"
        )
        self._binds: list[_Bind] = []
        self._backlog: Backlog | None = None
        self._figures = Figures()
        self._finished = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._progressed_s = 0.0

    async def bind(self) -> None:
        """Bind as often as asked for. Raises TimeoutError when that is not granted in time."""
        async with asyncio.timeout(BIND_TIMEOUT_S):
            while len(self._binds) < self._count:
                bind = _Bind(self, self._window)
                if await bind.open(self._login):
                    self._binds.append(bind)
                else:
                    # An account that was made a moment ago is known a moment later.
                    await asyncio.sleep(RECONNECT_S)

    async def run(self, backlog: Backlog, figures: Figures, give_up_s: float) -> None:
        """Send everything; raises NoProgress when nothing was answered for `give_up_s`."""
        self._backlog, self._figures = backlog, figures
        self._finished.clear()
        self._progressed_s = time.perf_counter()
        self._pump()
        while not self._finished.is_set():
            try:
                async with asyncio.timeout(0.1):
                    await self._finished.wait()
            except TimeoutError:
                if time.perf_counter() - self._progressed_s > give_up_s:
                    raise NoProgress(f"nothing was answered for {give_up_s:g} s") from None
        self._backlog = None

    async def close(self) -> None:
        """Unbind, and close."""
        if self._timer is not None:
            self._timer.cancel()
        for bind in self._binds:
            bind.close()
        await asyncio.sleep(0)

    # ── for binds ────────────────────────────────────────────────────────────────────────────

    def take_accepted(self, requests: list[Request]) -> None:
        """Count what one read has brought."""
        now, figures, count = time.perf_counter(), self._figures, len(requests)
        self._progressed_s = now
        figures.statuses[v.ESME_ROK] += count
        figures.accepted += count
        figures.segments += count
        figures.latencies_s.extend([now - request.intended_s for request in requests])

    def take_refusal(self, request: Request, status: int) -> None:
        assert self._backlog is not None, "answers come to what a run has sent"
        self._progressed_s = time.perf_counter()
        self._figures.statuses[status] += 1
        if status in THROTTLED:
            self.take_throttled(request, status)
        else:
            self.count_refused(status)

    def take_throttled(self, request: Request, status: int) -> None:
        """Hold back for a moment, and send it again."""
        assert self._backlog is not None, "answers come to what a run has sent"
        self._figures.retried[f"{status:#x}"] += 1
        self._backlog.put_back(request, request.numbers)
        self._backlog.pause(time.perf_counter() + THROTTLE_PAUSE_S)

    def count_refused(self, status: int) -> None:
        self._figures.rejected[f"{status:#x}"] += 1

    def take_receipts(self, count: int) -> None:
        self.receipts_taken += count
        self.receipt_s = time.monotonic()

    def take_loss(self, requests: int) -> None:
        self._figures.lost += requests
        self._pump()

    def turn_ended(self) -> None:
        if self._backlog is not None:
            self._pump()

    def write_submit(self, sequence: int, number: int) -> bytes:
        text = _TEXT % number
        body = self._body % (number % self._recipients, len(text), text)
        return HEADER.pack(HEADER_SIZE + len(body), v.SUBMIT_SM, 0, sequence) + body

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    def _pump(self) -> None:
        """Fill every window with what is due."""
        assert self._backlog is not None
        now = time.perf_counter()
        for bind in self._binds:
            for _ in range(bind.room):
                request = self._backlog.take(now)
                if isinstance(request, Request):
                    self._figures.requests += 1
                    bind.submit(request)
                    continue
                bind.flush()
                if isinstance(request, Wait):
                    self._wake_at(request.until_s)
                elif not any(each.under_way for each in self._binds):
                    self._finished.set()
                return
            bind.flush()

    def _wake_at(self, when_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._progressed_s = max(self._progressed_s, when_s)
        delay_s = max(TICK_S, when_s - time.perf_counter())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.turn_ended)


class _Bind(asyncio.Protocol):
    """One bind_transceiver."""

    def __init__(self, load: SmppLoad, window: int) -> None:
        self._load = load
        self._window = window
        self._stream = Stream()
        self._transport: asyncio.Transport | None = None
        self._bound: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._sequence = 1
        self._written: list[bytes] = []
        self.under_way: dict[int, Request] = {}

    @property
    def room(self) -> int:
        if self._transport is None or self._transport.is_closing():
            return 0
        return self._window - len(self.under_way)

    async def open(self, login: Login) -> bool:
        """Return whether the bind was granted."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, login.host, login.port)
        assert self._transport is not None
        fields: dict[str, int | str] = {
            "system_id": login.system_id,
            "password": login.password,
            "interface_version": v.INTERFACE_VERSION_34,
        }
        self._transport.write(encode(Pdu(v.BIND_TRANSCEIVER, 1, 0, fields)))
        if not await self._bound:
            self._transport.close()
            return False
        return True

    def submit(self, request: Request) -> None:
        self._sequence = self._sequence % SEQUENCE_MAX + 1
        (number,) = request.numbers
        self.under_way[self._sequence] = request
        self._written.append(self._load.write_submit(self._sequence, number))

    def flush(self) -> None:
        if self._written and self._transport is not None:
            self._transport.write(b"".join(self._written))
        self._written.clear()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.write(encode_header(v.UNBIND, SEQUENCE_MAX))
            self._transport.close()

    # ── asyncio's side ───────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio.Transport by class, only by what they do.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._bound.done():
            self._bound.set_result(False)
        if self.under_way:
            lost = len(self.under_way)
            self.under_way.clear()
            self._load.take_loss(lost)

    def data_received(self, data: bytes) -> None:
        accepted: list[Request] = []
        receipts = 0
        for command_id, status, sequence, _ in self._stream.cut(data):
            if command_id == v.SUBMIT_SM_RESP:
                request = self.under_way.pop(sequence, None)
                if request is None:
                    continue
                if status:
                    self._load.take_refusal(request, status)
                else:
                    accepted.append(request)
            elif command_id == v.DELIVER_SM:
                receipts += 1
                self._written.append(_write_receipt_taken(sequence))
            else:
                self._take_other(command_id, status, sequence)
        if accepted:
            self._load.take_accepted(accepted)
        if receipts:
            self._load.take_receipts(receipts)
        self._load.turn_ended()
        self.flush()

    def _take_other(self, command_id: int, status: int, sequence: int) -> None:
        if command_id == v.BIND_TRANSCEIVER_RESP:
            self._bound.set_result(status == v.ESME_ROK)
        elif command_id == v.ENQUIRE_LINK:
            self._written.append(encode_header(v.ENQUIRE_LINK_RESP, sequence))


def _write_receipt_taken(sequence: int) -> bytes:
    """Write a deliver_sm_resp; its message_id is unused and NUL (SMPP 3.4 §4.6.2)."""
    return HEADER.pack(HEADER_SIZE + 1, v.DELIVER_SM_RESP, 0, sequence) + b"\0"
