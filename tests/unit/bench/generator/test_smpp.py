from __future__ import annotations

import pytest

from bench.generator.smpp import Login, SmppLoad
from gateway.smpp.pdu import encode_submit_sm
from gateway.smpp.shapes import SubmitSm


def written(number: int, *, receipts: bool, sender: str = "Bench") -> bytes:
    login = Login(port=1, system_id="bench", password="bench")
    load = SmppLoad(login, binds=1, window=1, receipts=receipts, sender=sender, to_prefix="4479")
    return load.write_submit(77, number)


@pytest.mark.parametrize(
    ("number", "recipient"),
    [(7, "447900000007"), (12_345_678, "447912345678"), (912_345_678, "447912345678")],
)
@pytest.mark.parametrize("receipts", [False, True])
def test_a_submit_sm_is_what_the_codec_writes(number: int, recipient: str, receipts: bool) -> None:
    expected = SubmitSm(
        source_addr_ton=5,
        source_addr="Bench",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=recipient,
        registered_delivery=int(receipts),
        short_message=b"#%d Your parcel is on its way and comes today before noon." % number,
    )
    assert written(number, receipts=receipts) == encode_submit_sm(77, expected)


def test_the_sender_may_need_escaping() -> None:
    submit = written(1, receipts=True, sender="All %d %")
    assert b"\x05\0All %d %\0\x01\x01447900000001\0" in submit
