"""Kannel 1.4.5: a bearerbox and a smsbox, with the store in memory, in one file, or in a spool."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from bench.generator.answers import RETRIED, Verdict
from bench.generator.messages import NUMBER_DIGITS, TEXT
from bench.peers.carrier import SimulatedCarrier
from bench.peers.processes import CannotRun, Program, find_free_ports, find_program
from bench.peers.sink import Sink
from bench.peers.system import HttpLoader, ReceiptsEnd, Running, System

WINDOW: Final = 500
_SETTINGS: Final = """
group = core
admin-interface = 127.0.0.1
admin-port = {admin_port}
admin-password = bench
smsbox-interface = 127.0.0.1
smsbox-port = {smsbox_port}
box-allow-ip = 127.0.0.1
log-level = 3
dlr-storage = internal
{store}

group = smsc
smsc = smpp
smsc-id = bench
host = 127.0.0.1
port = {carrier_port}
transceiver-mode = true
smsc-username = bench
smsc-password = bench
system-type = ""
max-pending-submits = {window}
source-addr-autodetect = true
dest-addr-ton = 1
dest-addr-npi = 1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {smsbox_port}
sendsms-interface = 127.0.0.1
sendsms-port = {sendsms_port}
log-level = 3

group = sendsms-user
username = bench
password = bench
max-messages = 1

group = sms-service
keyword = default
text = "none"
"""
_STORES: Final = {
    "memory": "",
    "file": "store-type = file\nstore-location = {folder}/store",
    "spool": "store-type = spool\nstore-location = {folder}/spool",
}
_KEEPS: Final = {
    "memory": "nothing",
    "file": "messages, to the last dump (10 s); no receipt that is awaited",
    "spool": "messages, without fsync; no receipt that is awaited",
}
_CONFIGURATION: Final = (
    "log-level 3, no log file, and only panics on stderr (logging halves it); dlr-storage internal,"
    f" its fastest; max-pending-submits {WINDOW} (the shipped 10 stalls on TCP's delayed"
    " acknowledgements); one transceiver; dlr-mask 3"
)
_CALLBACK: Final = "; each receipt is called back over HTTP as well"


def list_kannels(connections: int) -> list[System]:
    """Return Kannel with each of its stores, and in memory with receipts called back."""
    systems = [
        System(
            name=f"kannel-{store}",
            title=f"Kannel, {store}",
            keeps=_KEEPS[store],
            configuration=_CONFIGURATION,
            receipts_end=ReceiptsEnd.CARRIER,
            check=_check,
            start=partial(_start, store, connections, False),
        )
        for store in _STORES
    ]
    return [*systems, replace(list_with_callbacks(connections)[0], name="kannel-callback")]


def list_with_callbacks(connections: int) -> list[System]:
    """Return Kannel with each of its stores, where each receipt is called back over HTTP."""
    return [
        System(
            name=f"kannel-{store}",
            title=f"Kannel, {store}, callbacks",
            keeps=_KEEPS[store],
            configuration=_CONFIGURATION + _CALLBACK,
            receipts_end=ReceiptsEnd.CALLBACK,
            check=_check,
            start=partial(_start, store, connections, True),
        )
        for store in _STORES
    ]


class SendSms:
    """The dialect of smsbox's `/cgi-bin/sendsms`."""

    def __init__(self, callback: str = "") -> None:
        """`callback` is where receipts are sent, `{n}` in it the message's number."""
        text = urllib.parse.quote(TEXT).replace("%7Bn%7D", "{n}")
        callback = urllib.parse.quote(callback, safe="").replace("%7Bn%7D", "{n}")
        target = (
            "/cgi-bin/sendsms?username=bench&password=bench&from=Bench&to={to}"
            f"&text={text}&dlr-mask=3{'&dlr-url=' * bool(callback)}{callback}"
        )
        self._request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    def write_request(self, numbers: Sequence[int]) -> bytes:
        (number,) = numbers
        to = f"4479111{number % 10 ** (NUMBER_DIGITS - 7):05d}"
        return self._request.replace("{to}", to).replace("{n}", str(number)).encode()

    def judge(self, status: int, body: bytes, numbers: Sequence[int]) -> Verdict:
        if status == 202:
            return Verdict(accepted=1, segments=1)
        if status in RETRIED:
            return Verdict(again=numbers)
        return Verdict(rejected={f"{status} {body[:40].decode(errors='replace')}": 1})


@contextmanager
def _start(
    store: str,
    connections: int,
    callbacks: bool,
    folder: Path,
    carrier: SimulatedCarrier,
    sink: Sink,
) -> Iterator[Running]:
    admin_port, smsbox_port, sendsms_port = find_free_ports(3)
    if store == "spool":
        (folder / "spool").mkdir(exist_ok=True)
    settings = folder / "kannel.conf"
    settings.write_text(
        _SETTINGS.format(
            admin_port=admin_port,
            smsbox_port=smsbox_port,
            sendsms_port=sendsms_port,
            carrier_port=carrier.port,
            window=WINDOW,
            store=_STORES[store].format(folder=folder),
        )
    )
    with ExitStack() as stack:
        # -v: what is said on stderr; 4 is panics alone.
        boxes = []
        for name, port in (("bearerbox", admin_port), ("smsbox", sendsms_port)):
            command = [find_program(name), "-v", "4", str(settings)]
            box = stack.enter_context(Program(name, command, folder))
            box.wait_for_port(port)
            boxes.append(box)

        async def count_kept() -> int:
            return _count_receipts(admin_port)

        dialect = SendSms(sink.url("{n}") if callbacks else "")
        yield Running(
            groups={"gateway": tuple(box.pid for box in boxes)},
            loader=HttpLoader(dialect, sendsms_port, connections=connections),
            count_kept=count_kept,
        )


def _count_receipts(admin_port: int) -> int:
    """Return how many receipts the bearerbox says that it has received."""
    url = f"http://127.0.0.1:{admin_port}/status.txt?password=bench"
    with urllib.request.urlopen(url, timeout=10) as answer:
        status = answer.read().decode(errors="replace")
    found = re.search(r"^DLR: received (\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0


def _check() -> None:
    try:
        find_program("bearerbox")
        find_program("smsbox")
    except CannotRun as error:
        raise CannotRun(f"{error}: run ops/install-peers") from None
