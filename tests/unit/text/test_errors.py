"""What this room's errors say to whoever sent the content."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.text.errors import (
    AlreadyConcatenated,
    HeaderTooLong,
    MalformedUdh,
    NotEncodable,
    NotInAlphabet,
    PayloadTooLong,
    TextError,
    TooManySegments,
)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NotInAlphabet("ш", 4), "'ш' (U+0448) at position 4"),
        (NotInAlphabet("\ud83d", 0), "'\\ud83d' (U+D83D) at position 0"),
        (NotEncodable("\ud83d", 9), "U+D83D at position 9"),
        (NotInAlphabet("é", 2, "ascii"), "at position 2 is not in the ascii alphabet"),
        (PayloadTooLong(65_536, 65_535), "65536 octets for message_payload, which holds 65535"),
        (TooManySegments(300, 255), "300 segments needed, 255 are possible"),
        (HeaderTooLong(139, 140), "139 octets leaves no room for content in 140"),
        (MalformedUdh("6 octets and has 1"), "6 octets and has 1"),
        (AlreadyConcatenated(), "already numbers a part"),
    ],
)
def test_an_error_names_what_is_wrong_in_words_that_can_be_sent(
    error: TextError, says: str
) -> None:
    assert says in str(error)
    str(error).encode("utf-8")  # a lone surrogate would break the answer that quotes it
    assert isinstance(error, GatewayError)
