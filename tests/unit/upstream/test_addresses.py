"""TON and NPI by an address's form."""

import pytest

from gateway.upstream.addresses import address_type


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("447400123456", (1, 1)),
        ("40404", (3, 0)),
        ("Shop", (5, 0)),
        ("", (5, 0)),
        ("12", (5, 0)),
        ("?????", (5, 0)),
    ],
)
def test_an_address_tells_its_type(address: str, expected: tuple[int, int]) -> None:
    assert address_type(address) == expected
