"""What the SMPP codec costs: microseconds of CPU a PDU, beside two other libraries.

    python -m bench.codec [--rounds 7] [--json]

Each round measures everything once, one after the other, so that a slow moment of the machine
falls on all alike; the median of the rounds is printed, less what the loop around it costs.
Compared is the same work, done by each library in its own documented way:

- encode: from values to the octets of a whole PDU.
- decode: from the octets of a whole PDU, header included, to values.
- receipt parse: from the octets of a whole deliver_sm to what the receipt in it says of which
  message. smpplib reads no texts of receipts: with it, as its README shows, they are told by
  their TLVs alone. The receipts are a few minutes' of one carrier, each with an id, a number and
  a text of its own.
- receipt text: the last step of that alone, on a PDU that is read already.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import aiosmpplib
import msgspec
from aiosmpplib.protocol import SmppMessage
from aiosmpplib.state import NPI, TON, PhoneNumber
from smpplib import smpp as smpplib

from gateway.dlr.dialects import DEFAULT
from gateway.dlr.parse import parse_receipt
from gateway.dlr.receipt import Malformed, NotAReceipt, Receipt
from gateway.smpp import vocabulary as v
from gateway.smpp.events import Delivered, Responded
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    decode_deliver_sm,
    decode_message_resp,
    decode_submit_sm,
    encode,
    encode_deliver_sm,
    encode_header,
    encode_submission,
    encode_submit_sm_resp,
)
from gateway.smpp.protocol import Session
from gateway.smpp.shapes import HEADER_SIZE, DeliverSm, Pdu, SubmitTemplate
from gateway.smpp.states import Role
from gateway.smpp.timers import Timings
from gateway.smpp.tlvs import encode_tlv_value

SLICE_S = 0.05
"""CPU time of one measurement: long enough for the clock, short enough for seven rounds."""
BATCH = 50
"""PDUs that share a read, as under load, and receipts that differ."""

TEXT = "Your code is 123456. It is valid for ten minutes; do not give it to anyone."
MESSAGE_ID = "0123456789"
TEMPLATE = SubmitTemplate()
CONTENT = TEXT.encode("ascii")
VALIDITY = "000001000000000R"
SUBMIT_BODY = encode_submission(
    TEMPLATE, 5, 0, "Brand", "447700900123", CONTENT, validity_period=VALIDITY, data_coding=0
)
SUBMIT_WIRE = encode_header(v.SUBMIT_SM, 7, 0, len(SUBMIT_BODY)) + SUBMIT_BODY
RESP_WIRE = encode_submit_sm_resp(7, 0, MESSAGE_ID)


def build_receipt(number: int) -> DeliverSm:
    """Return one of the receipts that a carrier sends within some minutes."""
    message_id = str(1_000_000_000 + number)
    word, state, error = ("UNDELIV", 5, "027") if number % 16 == 0 else ("DELIVRD", 2, "000")
    text = (
        f"id:{message_id} sub:001 dlvrd:001 submit date:24010203{number % 5:02d}"
        f" done date:24010203{5 + number % 7:02d} stat:{word} err:{error}"
        f" text:Your code is {number:06d}."
    )
    return DeliverSm(
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr=f"447700{number:06d}",
        dest_addr_ton=5,
        destination_addr="Brand",
        esm_class=v.ESM_CLASS_RECEIPT,
        short_message=text.encode("ascii"),
        tlvs={
            v.TAG_RECEIPTED_MESSAGE_ID: encode_tlv_value(v.TAG_RECEIPTED_MESSAGE_ID, message_id),
            v.TAG_MESSAGE_STATE: encode_tlv_value(v.TAG_MESSAGE_STATE, state),
        },
    )


RECEIPTS = [build_receipt(number) for number in range(BATCH)]
RECEIPT_WIRES = [encode_deliver_sm(7, receipt) for receipt in RECEIPTS]
RECEIPTS_READ = b"".join(RECEIPT_WIRES)


class Work(msgspec.Struct, frozen=True):
    """One thing to measure: `run` does it `per_run` times."""

    name: str
    who: str
    run: Callable[[], object]
    per_run: int = 1


# ── ours ─────────────────────────────────────────────────────────────────────────────────────


def encode_submit_sm_here() -> bytes:
    body = encode_submission(
        TEMPLATE, 5, 0, "Brand", "447700900123", CONTENT, validity_period=VALIDITY, data_coding=0
    )
    return encode_header(v.SUBMIT_SM, 7, 0, len(body)) + body


def decode_here(decode: Callable[[bytes, int], object], wire: bytes) -> Callable[[], object]:
    framer = Framer()

    def run() -> object:
        (frame,) = framer.receive(wire)
        return decode(frame.octets, HEADER_SIZE)

    return run


def decode_resp_here() -> object:
    return decode_message_resp(RESP_WIRE)


def parse_receipts_here() -> list[Receipt | NotAReceipt | Malformed]:
    framer = Framer()
    return [
        parse_receipt(decode_deliver_sm(frame.octets, HEADER_SIZE), DEFAULT)
        for frame in framer.receive(RECEIPTS_READ)
    ]


def parse_texts_here() -> object:
    return [parse_receipt(receipt, DEFAULT) for receipt in RECEIPTS]


class Carried:
    """A bound session: what a PDU costs with framing, window, state and events around it."""

    def __init__(self) -> None:
        self.session = Session(Role.ESME, 0.0, window_size=BATCH, timings=Timings())
        self.session.send_bind(v.BIND_TRANSCEIVER, system_id="us", password="secret")  # noqa: S106  # of nobody
        self.session.receive_data(encode(Pdu(v.BIND_TRANSCEIVER_RESP, 1)), 0.0)
        self.session.data_to_send()
        self.deliveries = b"".join(
            encode_deliver_sm(number, receipt) for number, receipt in enumerate(RECEIPTS, start=1)
        )

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


def read_by_aiosmpplib(wire: bytes) -> Any:
    return aiosmpplib.DeliverSm.from_pdu(wire, SmppMessage.parse_header(wire), "gsm0338")


def parse_receipts_by_aiosmpplib() -> list[dict[str, object]]:
    receipts = []
    for wire in RECEIPT_WIRES:
        deliver = read_by_aiosmpplib(wire)
        assert deliver.is_receipt()
        receipts.append(deliver.parse_receipt())
    return receipts


def parse_texts_by_aiosmpplib() -> Callable[[], object]:
    delivers = [read_by_aiosmpplib(wire) for wire in RECEIPT_WIRES]

    def parse() -> object:
        parsed = []
        for deliver in delivers:
            deliver._parsed_receipt = None  # it would be handed out again
            parsed.append(deliver.parse_receipt())
        return parsed

    return parse


def parse_receipts_by_smpplib() -> list[tuple[bytes, int]]:
    receipts = []
    for wire in RECEIPT_WIRES:
        deliver = smpplib.parse_pdu(wire, sequence=0)
        receipts.append((deliver.receipted_message_id, deliver.message_state))
    return receipts


# ── measuring ────────────────────────────────────────────────────────────────────────────────


def list_work() -> list[Work]:
    carried = Carried()
    ours, aio, smpp = "gateway", "aiosmpplib", "smpplib"
    return [
        Work("submit_sm encode", ours, encode_submit_sm_here),
        Work("submit_sm encode", aio, encode_submit_sm_by_aiosmpplib),
        Work("submit_sm encode", smpp, encode_submit_sm_by_smpplib),
        Work("submit_sm decode", ours, decode_here(decode_submit_sm, SUBMIT_WIRE)),
        Work("submit_sm decode", aio, decode_by_aiosmpplib(aiosmpplib.SubmitSm, SUBMIT_WIRE)),
        Work("submit_sm decode", smpp, decode_by_smpplib(SUBMIT_WIRE)),
        Work("submit_sm_resp decode", ours, decode_resp_here),
        Work(
            "submit_sm_resp decode", aio, decode_by_aiosmpplib(aiosmpplib.SubmitSmResp, RESP_WIRE)
        ),
        Work("submit_sm_resp decode", smpp, decode_by_smpplib(RESP_WIRE)),
        Work("receipt parse", ours, parse_receipts_here, BATCH),
        Work("receipt parse", aio, parse_receipts_by_aiosmpplib, BATCH),
        Work("receipt parse", smpp, parse_receipts_by_smpplib, BATCH),
        Work("receipt text", ours, parse_texts_here, BATCH),
        Work("receipt text", aio, parse_texts_by_aiosmpplib(), BATCH),
        Work("submit_sm and its answer, session", ours, carried.submit_and_hear, BATCH),
        Work("deliver_sm and its answer, session", ours, carried.hear_and_acknowledge, BATCH),
    ]


def check_work() -> None:
    """Stop when what is measured would not be the work that it is called."""
    assert encode_submit_sm_here() == SUBMIT_WIRE
    assert encode_submit_sm_by_aiosmpplib() == SUBMIT_WIRE
    assert encode_submit_sm_by_smpplib() == SUBMIT_WIRE
    answer = decode_message_resp(RESP_WIRE)
    assert (answer.sequence, answer.status, answer.message_id) == (7, 0, MESSAGE_ID)
    ours = [receipt for receipt in parse_receipts_here() if isinstance(receipt, Receipt)]
    aio = parse_receipts_by_aiosmpplib()
    names = [receipt.carrier_message_id for receipt in ours]
    assert names == [receipt["id"] for receipt in aio]
    assert names == [name.decode() for name, _ in parse_receipts_by_smpplib()]
    assert [receipt.text for receipt in ours] == [receipt["text"] for receipt in aio]
    for mine, theirs in zip(ours, aio, strict=True):
        assert isinstance(theirs["done date"], datetime)
        assert mine.done_at == theirs["done date"].replace(tzinfo=UTC).timestamp()


def do_nothing() -> None:
    """What a loop costs by itself."""


def measure(work: Work, less: float = 0.0) -> float:
    """Return microseconds of CPU for one of what `work` does, `less` a call."""
    run = work.run
    runs = 0
    started = time.process_time()
    deadline = started + SLICE_S
    while (now := time.process_time()) < deadline:
        for _ in range(20):
            run()
        runs += 20
    return ((now - started) / runs * 1e6 - less) / work.per_run


def measure_all(rounds: int) -> dict[str, dict[str, float]]:
    """Return the median of each measurement, by what is done and who does it."""
    works = list_work()
    nothing = Work("nothing", "nobody", do_nothing)
    samples: dict[tuple[str, str], list[float]] = {(work.name, work.who): [] for work in works}
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        loop = measure(nothing)
        for work in works:
            samples[work.name, work.who].append(measure(work, loop))
    figures: dict[str, dict[str, float]] = {}
    for (name, who), taken in samples.items():
        figures.setdefault(name, {})[who] = round(statistics.median(taken), 2)
    return figures


def print_table(figures: dict[str, dict[str, float]]) -> None:
    names = ["gateway", "aiosmpplib", "smpplib"]
    head = f"{'CPU µs each, median':<36}" + "".join(f"{name:>12}" for name in names)
    print(f"{head}{'cheaper by':>12}")
    for what, by_whom in figures.items():
        cells = (f"{by_whom[name]:>12.2f}" if name in by_whom else f"{'–':>12}" for name in names)
        others = [cost for name, cost in by_whom.items() if name != "gateway"]
        factor = f"{min(others) / by_whom['gateway']:>12.1f}" if others else ""
        print(f"{what:<36}" + "".join(cells) + factor)


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
