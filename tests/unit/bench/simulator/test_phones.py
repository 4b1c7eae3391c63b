from __future__ import annotations

import pytest

from bench.simulator.phones import write_mobile
from gateway.smpp.pdu import decode_deliver_sm
from gateway.smpp.shapes import DeliverSm


def parts_of(text: str, **options: object) -> list[DeliverSm]:
    bodies = write_mobile("447911000001", "80800", text, **options)  # type: ignore[arg-type]
    return [decode_deliver_sm(body) for body in bodies]


def test_a_short_text_is_one_deliver_sm_from_the_phone() -> None:
    (part,) = parts_of("STOP")
    assert (part.source_addr, part.destination_addr) == ("447911000001", "80800")
    assert (part.esm_class, part.data_coding, part.short_message) == (0, 0, b"STOP")


@pytest.mark.parametrize(
    ("text", "bits", "sizes"),
    [
        ("a" * 160, 8, [160]),
        ("a" * 161, 8, [153, 8]),
        ("a" * 306, 8, [153, 153]),
        ("a" * 161, 16, [152, 9]),
        ("й" * 70, 8, [140]),
        ("й" * 71, 8, [134, 8]),
        ("й" * 71, 16, [132, 10]),
        ("й" * 66 + "😀" + "й" * 10, 8, [132, 24]),
    ],
)
def test_a_long_text_is_cut_where_the_network_cuts(text: str, bits: int, sizes: list[int]) -> None:
    parts = parts_of(text, reference_bits=bits)
    header = 0 if len(sizes) == 1 else 6 if bits == 8 else 7
    assert [len(part.short_message) - header for part in parts] == sizes
    coding = "utf-16-be" if "й" in text else "ascii"
    assert "".join(part.short_message[header:].decode(coding) for part in parts) == text


def test_parts_carry_reference_total_and_number() -> None:
    small = parts_of("a" * 161, reference=0x1234)
    assert [part.short_message[:6] for part in small] == [
        b"\x05\x00\x03\x34\x02\x01",
        b"\x05\x00\x03\x34\x02\x02",
    ]
    wide = parts_of("a" * 161, reference=0x1234, reference_bits=16)
    assert wide[1].short_message[:7] == b"\x06\x08\x04\x12\x34\x02\x02"
    assert all(part.esm_class == 0x40 for part in small + wide)


@pytest.mark.parametrize("text", ["€", "$5", "a@b", "_", "[x]", "naïve"])
def test_what_ascii_and_gsm_do_not_share_goes_as_ucs2(text: str) -> None:
    (part,) = parts_of(text)
    assert (part.data_coding, part.short_message) == (8, text.encode("utf-16-be"))


def test_more_than_255_parts_are_refused() -> None:
    assert len(parts_of("a" * 153 * 255)) == 255
    with pytest.raises(ValueError, match="256 parts"):
        parts_of("a" * (153 * 255 + 1))
