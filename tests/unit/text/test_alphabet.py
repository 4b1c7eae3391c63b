"""The 7-bit alphabet: encoding, tolerant decoding, packing."""

from __future__ import annotations

import pytest
from aiosmpplib.codec import GSM7BitCodec
from hypothesis import given
from hypothesis import strategies as st

from gateway.text.alphabet import (
    GSM7,
    Alphabet,
    decode_gsm7,
    encode_gsm7,
    fill_bits,
    pack_message,
    pack_septets,
    septet_count,
    unpack_message,
    unpack_septets,
)
from gateway.text.errors import NotInAlphabet
from gateway.text.tables import ESCAPE, GSM_DEFAULT, GSM_EXTENSION

CHARACTERS = [*GSM_DEFAULT.replace(chr(ESCAPE), ""), *GSM_EXTENSION.values()]
gsm_texts = st.text(st.sampled_from(CHARACTERS))
septet_strings = st.binary(max_size=170).map(lambda octets: bytes(o & 0x7F for o in octets))


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("", b""),
        ("Hello", b"Hello"),
        ("a@b", b"a\x00b"),
        ("$_", b"\x02\x11"),
        ("€", b"\x1b\x65"),
        ("{[~]}", b"\x1b\x28\x1b\x3c\x1b\x3d\x1b\x3e\x1b\x29"),
        ("\f^\\|", b"\x1b\x0a\x1b\x14\x1b\x2f\x1b\x40"),
        ("à la carte: 5€", b"\x7f la carte: 5\x1b\x65"),
        ("ΔΦΓ", b"\x10\x12\x13"),
        ("\r\n", b"\x0d\x0a"),
    ],
)
def test_a_text_becomes_these_septets_and_back(text: str, octets: bytes) -> None:
    assert encode_gsm7(text) == octets
    assert decode_gsm7(octets) == text
    assert septet_count(text) == len(octets)


@pytest.mark.parametrize(
    ("text", "character", "position"),
    [
        ("code `x`", "`", 5),
        ("tab\there", "\t", 3),
        ("\0", "\0", 0),
        ("é\0", "\0", 1),
        ("escape \x1b", "\x1b", 7),
        ("é \x1b", "\x1b", 2),
        ("Grüße, ça va", "ç", 7),
        ("5€ 😀", "😀", 3),
        ("half \ud83d", "\ud83d", 5),
        ("\x7f", "\x7f", 0),
    ],
)
def test_a_character_that_is_not_in_the_alphabet_is_named(
    text: str, character: str, position: int
) -> None:
    with pytest.raises(NotInAlphabet) as caught:
        encode_gsm7(text)
    assert (caught.value.character, caught.value.position) == (character, position)
    assert f"position {position}" in str(caught.value)
    assert septet_count(text) is None


def test_of_all_unicode_exactly_137_characters_are_in_the_alphabet() -> None:
    inside = {chr(i) for i in range(0x11000) if GSM7.try_encode(chr(i)) is not None}
    assert inside == set(CHARACTERS)
    assert len(inside) == 127 + 10


def test_every_character_survives_the_way_there_and_back_beside_any_other() -> None:
    for one in CHARACTERS:
        text = "".join(one + other for other in CHARACTERS)
        assert decode_gsm7(encode_gsm7(text)) == text


@given(gsm_texts)
def test_any_text_of_the_alphabet_survives_the_way_there_and_back(text: str) -> None:
    octets = encode_gsm7(text)
    assert octets.isascii()
    assert decode_gsm7(octets) == text
    assert septet_count(text) == len(octets) == sum(len(encode_gsm7(c)) for c in text)


@given(st.text())
def test_a_text_is_in_the_alphabet_when_each_of_its_characters_is(text: str) -> None:
    assert (septet_count(text) is not None) is (set(text) <= set(CHARACTERS))


@given(gsm_texts)
def test_an_independent_codec_writes_the_same_octets(text: str) -> None:
    assert GSM7BitCodec().encode(text)[0] == encode_gsm7(text)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\x1bA", "A"),
        (b"\x1b\x1b", " "),
        (b"\x1b\x1bA", " A"),
        (b"\x1b\x1b\x65", " e"),
        (b"end\x1b", "end "),
        (b"\x1b", " "),
        (b"\x1b\x00", "@"),
        (b"\x1b\x0a", "\f"),
        (b"\xe9", "\ufffd"),
        (b"\x1b\xe5", "\ufffd"),
        (b"\x9b", "\ufffd"),
        (b"a\x80b\x1b\x65", "a\ufffdb€"),
    ],
)
def test_octets_that_nobody_should_send_still_have_a_reading(octets: bytes, text: str) -> None:
    assert decode_gsm7(octets) == text


@given(st.binary())
def test_any_octets_can_be_read(octets: bytes) -> None:
    text = decode_gsm7(octets)
    assert len(text) <= len(octets)
    assert "\x1b" not in text


def test_a_shift_table_makes_another_alphabet_for_the_same_calls() -> None:
    # A few places of the Turkish tables, with a character that stands in both of them, and one
    # at place 0x7F of the extension, behind the code that would stand for "absent" elsewhere.
    locking = GSM_DEFAULT.replace("è", "€").replace("ì", "ı").replace("¡", "İ")
    turkish = Alphabet(locking, {**GSM_EXTENSION, 0x53: "Ş", 0x7F: "â"})
    text = "Ş€ıİâ@{"
    octets = encode_gsm7(text, turkish)
    assert octets == b"\x1b\x53\x04\x07\x40\x1b\x7f\x00\x1b\x28"
    assert decode_gsm7(octets, turkish) == text
    assert septet_count(text, turkish) == 10
    assert decode_gsm7(b"\x1b\x65", turkish) == "€"
    assert septet_count("è", turkish) is None


@pytest.mark.parametrize(
    ("septets", "packed"),
    [
        (b"", ""),
        (b"hello", "e8329bfd06"),
        (b"hellohello", "e8329bfd4697d9ec37"),
        (b"1234567", "31d98c56b3dd00"),
        (b"12345678", "31d98c56b3dd70"),
    ],
)
def test_septets_are_packed_from_the_lowest_bit_on(septets: bytes, packed: str) -> None:
    assert pack_septets(septets).hex() == packed
    assert unpack_septets(bytes.fromhex(packed), len(septets)) == septets


@given(septet_strings, st.integers(0, 6))
def test_packing_puts_bit_i_of_septet_n_at_7n_plus_i_after_the_fill(
    septets: bytes, fill: int
) -> None:
    packed = pack_septets(septets, fill)
    for n, septet in enumerate(septets):
        for i in range(7):
            at = fill + 7 * n + i
            assert packed[at // 8] >> at % 8 & 1 == septet >> i & 1
    assert len(packed) == (-(-(7 * len(septets) + fill) // 8) if septets else 0)


@given(septet_strings, st.integers(0, 6))
def test_unpacking_gives_back_what_was_packed(septets: bytes, fill: int) -> None:
    assert unpack_septets(pack_septets(septets, fill), len(septets), fill) == septets


@given(st.binary(max_size=20), st.integers(0, 200) | st.none(), st.integers(0, 6))
def test_unpacking_takes_no_more_than_is_there(octets: bytes, count: int | None, fill: int) -> None:
    septets = unpack_septets(octets, count, fill)
    assert septets.isascii()
    assert len(septets) <= len(octets) * 8 // 7
    assert count is None or len(septets) <= count


def test_without_a_count_every_whole_septet_is_unpacked() -> None:
    assert unpack_septets(bytes.fromhex("e8329bfd06")) == b"hello"
    assert unpack_septets(bytes.fromhex("31d98c56b3dd00")) == b"1234567\x00"


@pytest.mark.parametrize(
    ("header_octets", "bits"), [(0, 0), (4, 3), (6, 1), (7, 0), (9, 5), (12, 2), (13, 1)]
)
def test_fill_bits_end_at_a_septet_border(header_octets: int, bits: int) -> None:
    assert fill_bits(header_octets) == bits
    assert (header_octets * 8 + bits) % 7 == 0


@pytest.mark.parametrize(
    ("septets", "header_octets", "packed"),
    [
        (b"hellohello", 0, "e8329bfd4697d9ec37"),
        (b"12345678", 0, "31d98c56b3dd70"),
        # seven septets leave room for an eighth
        (b"1234567", 0, "31d98c56b3dd1a"),
        (b"a", 6, "c2"),
        # three bits up to the next septet, and again room for one more at the end
        (b"\x1b\x73", 4, "d8cc1b"),
        (b"", 0, ""),
        (b"", 6, ""),
    ],
)
def test_a_packed_message_says_its_length_in_octets(
    septets: bytes, header_octets: int, packed: str
) -> None:
    assert pack_message(septets, header_octets).hex() == packed
    assert unpack_message(bytes.fromhex(packed), header_octets) == septets


def test_zeros_that_fill_a_packed_message_are_no_at_sign() -> None:
    assert unpack_message(bytes.fromhex("31d98c56b3dd00")) == b"1234567"
    assert unpack_message(bytes.fromhex("d8cc01"), 4) == b"\x1b\x73"


@given(septet_strings, st.integers(0, 13))
def test_a_packed_message_comes_back_but_for_a_filler_at_its_end(
    septets: bytes, header_octets: int
) -> None:
    restored = unpack_message(pack_message(septets, header_octets), header_octets)
    assert restored == septets or (restored == septets[:-1] and septets[-1] in b"\0\r")


def test_packing_refuses_what_is_not_a_septet() -> None:
    with pytest.raises(IndexError):
        pack_septets(b"\x80")
