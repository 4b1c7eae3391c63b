"""What the SMPP codec costs: microseconds of CPU a PDU, beside two other libraries.

    python -m bench.codec [--rounds 7] [--json]

Each round measures everything once, one after the other, so that a slow moment of the machine
falls on all alike; the median of the rounds is printed. What is compared is what each library
needs for the same work: from values to octets, from octets to values.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import aiosmpplib
import msgspec
from aiosmpplib.protocol import SmppMessage
from aiosmpplib.state import NPI, TON, OptionalParam, PhoneNumber
from smpplib import smpp as smpplib

from gateway.dlr.dialects import DEFAULT
from gateway.dlr.parse import Receipt, parse_receipt
from gateway.smpp import vocabulary as v
from gateway.smpp.events import Delivered, Responded
from gateway.smpp.pdu import (
    HEADER_SIZE,
    DeliverSm,
    Pdu,
    SubmitTemplate,
    decode_deliver_sm,
    decode_submit_sm,
    decode_submit_sm_resp,
    encode,
    encode_deliver_sm,
    encode_header,
    encode_submit_sm_resp,
    encode_tlv_value,
)
from gateway.smpp.protocol import Session
from gateway.smpp.states import Role
from gateway.smpp.timers import Timings

SLICE_S = 0.05
"""CPU time of one measurement: long enough for the clock, short enough for seven rounds."""
BATCH = 50
"""PDUs that share a read, as under load."""

TEXT = "Your code is 123456. It is valid for ten minutes; do not give it to anyone."
MESSAGE_ID = "0123456789"
RECEIPT_TEXT = (
    f"id:{MESSAGE_ID} sub:001 dlvrd:001 submit date:2401020304 done date:2401020305 "
    "stat:DELIVRD err:000 text:Your code is 123456."
)

TEMPLATE = SubmitTemplate()
CONTENT = TEXT.encode("ascii")
VALIDITY = "000001000000000R"
RECEIPT = DeliverSm(
    source_addr_ton=1,
    source_addr_npi=1,
    source_addr="447700900123",
    dest_addr_ton=5,
    destination_addr="Brand",
    esm_class=v.ESM_CLASS_RECEIPT,
    short_message=RECEIPT_TEXT.encode("ascii"),
    tlvs={
        v.TAG_RECEIPTED_MESSAGE_ID: encode_tlv_value(v.TAG_RECEIPTED_MESSAGE_ID, MESSAGE_ID),
        v.TAG_MESSAGE_STATE: encode_tlv_value(v.TAG_MESSAGE_STATE, 2),
    },
)
SUBMIT_BODY = TEMPLATE.body(
    5, 0, "Brand", "447700900123", CONTENT, validity_period=VALIDITY, data_coding=0
)
SUBMIT_WIRE = encode_header(v.SUBMIT_SM, 7, 0, len(SUBMIT_BODY)) + SUBMIT_BODY
RESP_WIRE = encode_submit_sm_resp(7, 0, MESSAGE_ID)
RESP_BODY = RESP_WIRE[HEADER_SIZE:]
DELIVER_WIRE = encode_deliver_sm(7, RECEIPT)
DELIVER_BODY = DELIVER_WIRE[HEADER_SIZE:]


class Work(msgspec.Struct, frozen=True):
    """One thing to measure: `run` does it `per_run` times."""

    name: str
    who: str
    run: Callable[[], object]
    per_run: int = 1


# ── ours ─────────────────────────────────────────────────────────────────────────────────────


def encode_submit_sm_here() -> bytes:
    body = TEMPLATE.body(
        5, 0, "Brand", "447700900123", CONTENT, validity_period=VALIDITY, data_coding=0
    )
    return encode_header(v.SUBMIT_SM, 7, 0, len(body)) + body


def parse_receipt_here() -> object:
    return parse_receipt(
        esm_class=RECEIPT.esm_class,
        short_message=RECEIPT.short_message,
        data_coding=RECEIPT.data_coding,
        tlvs=RECEIPT.tlvs,
        source=RECEIPT.source_addr,
        destination=RECEIPT.destination_addr,
        dialect=DEFAULT,
    )


class Carried:
    """A bound session: what a PDU costs with framing, window, state and events around it."""

    def __init__(self) -> None:
        self.session = Session(Role.ESME, 0.0, window_size=BATCH, timings=Timings())
        self.session.send_bind(v.BIND_TRANSCEIVER, system_id="us", password="secret")  # noqa: S106  # of nobody
        self.session.receive_data(encode(Pdu(v.BIND_TRANSCEIVER_RESP, 1)), 0.0)
        self.session.data_to_send()
        self.deliveries = b"".join(encode_deliver_sm(1 + n, RECEIPT) for n in range(BATCH))

    def submit_and_hear(self) -> None:
        # The carrier's writing of the answer is in it as well: its number is not known before.
        session = self.session
        answers = [
            encode_submit_sm_resp(session.send_submit(SUBMIT_BODY, None, 1.0), 0, MESSAGE_ID)
            for _ in range(BATCH)
        ]
        session.data_to_send()
        events = session.receive_data(b"".join(answers), 2.0)
        assert len(events) == BATCH
        assert isinstance(events[0], Responded)

    def hear_and_acknowledge(self) -> None:
        session = self.session
        for event in session.receive_data(self.deliveries, 2.0):
            assert isinstance(event, Delivered)
            session.send_deliver_resp(event.sequence)
        session.data_to_send()


# ── theirs ───────────────────────────────────────────────────────────────────────────────────


def encode_submit_sm_by_aiosmpplib() -> object:
    return aiosmpplib.SubmitSm(
        sequence_num=7,
        short_message=TEXT,
        source=PhoneNumber("Brand", TON.ALPHANUMERIC, NPI.UNKNOWN),
        destination=PhoneNumber("447700900123", TON.INTERNATIONAL, NPI.ISDN),
        validity_period=timedelta(days=1),
        registered_delivery=1,
    ).pdu()


def encode_submit_sm_by_smpplib() -> object:
    pdu = smpplib.make_pdu(
        "submit_sm",
        sequence=7,
        source_addr_ton=5,
        source_addr="Brand",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr="447700900123",
        validity_period=VALIDITY,
        registered_delivery=1,
        short_message=CONTENT,
    )
    pdu.sequence = 7
    return pdu.generate()


def decode_by_aiosmpplib(kind: type[Any], wire: bytes) -> Callable[[], object]:
    return lambda: kind.from_pdu(wire, SmppMessage.parse_header(wire), "gsm0338")


def decode_by_smpplib(wire: bytes) -> Callable[[], object]:
    return lambda: smpplib.parse_pdu(wire, sequence=0)


def parse_receipt_by_aiosmpplib() -> Callable[[], object]:
    # It keeps what it parsed, so each run needs a message of its own.
    wire = DELIVER_WIRE
    header = SmppMessage.parse_header(wire)
    message = aiosmpplib.DeliverSm.from_pdu(wire, header, "gsm0338")
    assert message.optional_params == [
        OptionalParam(v.TAG_RECEIPTED_MESSAGE_ID, MESSAGE_ID),
        OptionalParam(v.TAG_MESSAGE_STATE, 2),
    ]

    def parse() -> object:
        message._parsed_receipt = None
        return message.parse_receipt()

    return parse


# ── measuring ────────────────────────────────────────────────────────────────────────────────


def list_work() -> list[Work]:
    carried = Carried()
    ours, aio, smpp = "gateway", "aiosmpplib", "smpplib"
    return [
        Work("submit_sm encode", ours, encode_submit_sm_here),
        Work("submit_sm encode", aio, encode_submit_sm_by_aiosmpplib),
        Work("submit_sm encode", smpp, encode_submit_sm_by_smpplib),
        Work("submit_sm decode", ours, lambda: decode_submit_sm(SUBMIT_BODY)),
        Work("submit_sm decode", aio, decode_by_aiosmpplib(aiosmpplib.SubmitSm, SUBMIT_WIRE)),
        Work("submit_sm decode", smpp, decode_by_smpplib(SUBMIT_WIRE)),
        Work("submit_sm_resp decode", ours, lambda: decode_submit_sm_resp(RESP_BODY)),
        Work(
            "submit_sm_resp decode", aio, decode_by_aiosmpplib(aiosmpplib.SubmitSmResp, RESP_WIRE)
        ),
        Work("submit_sm_resp decode", smpp, decode_by_smpplib(RESP_WIRE)),
        Work("deliver_sm decode", ours, lambda: decode_deliver_sm(DELIVER_BODY)),
        Work("deliver_sm decode", aio, decode_by_aiosmpplib(aiosmpplib.DeliverSm, DELIVER_WIRE)),
        Work("deliver_sm decode", smpp, decode_by_smpplib(DELIVER_WIRE)),
        Work("receipt text parse", ours, parse_receipt_here),
        Work("receipt text parse", aio, parse_receipt_by_aiosmpplib()),
        Work("submit_sm and its answer, session", ours, carried.submit_and_hear, BATCH),
        Work("deliver_sm and its answer, session", ours, carried.hear_and_acknowledge, BATCH),
    ]


def check_work() -> None:
    """Stop when what is measured would not be the work that it is called."""
    receipt = parse_receipt_here()
    assert isinstance(receipt, Receipt)
    assert receipt.carrier_message_id == MESSAGE_ID
    assert encode_submit_sm_here() == SUBMIT_WIRE
    assert encode_submit_sm_by_aiosmpplib() == SUBMIT_WIRE
    assert encode_submit_sm_by_smpplib() == SUBMIT_WIRE
    assert decode_deliver_sm(DELIVER_BODY) == RECEIPT


def measure(work: Work) -> float:
    """Return microseconds of CPU for one of what `work` does."""
    runs = 0
    started = time.process_time()
    deadline = started + SLICE_S
    while (now := time.process_time()) < deadline:
        for _ in range(20):
            work.run()
        runs += 20
    return (now - started) / (runs * work.per_run) * 1e6


def measure_all(rounds: int) -> dict[str, dict[str, float]]:
    """Return the median of each measurement, by what is done and who does it."""
    works = list_work()
    samples: dict[tuple[str, str], list[float]] = {(work.name, work.who): [] for work in works}
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for work in works:
            samples[work.name, work.who].append(measure(work))
    figures: dict[str, dict[str, float]] = {}
    for (name, who), taken in samples.items():
        figures.setdefault(name, {})[who] = round(statistics.median(taken), 2)
    return figures


def print_table(figures: dict[str, dict[str, float]]) -> None:
    names = ["gateway", "aiosmpplib", "smpplib"]
    print(f"{'CPU µs each, median':<36}" + "".join(f"{name:>12}" for name in names))
    for what, by_whom in figures.items():
        cells = (f"{by_whom[name]:>12.2f}" if name in by_whom else f"{'–':>12}" for name in names)
        print(f"{what:<36}" + "".join(cells))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.codec", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds to take the median of")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    options = parser.parse_args(arguments)
    check_work()
    figures = measure_all(max(1, options.rounds))
    if options.json:
        print(json.dumps(figures))
    else:
        print_table(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
