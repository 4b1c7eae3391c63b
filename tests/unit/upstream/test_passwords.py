"""Passwords as the store keeps them."""

from __future__ import annotations

from base64 import b64encode

from gateway.upstream.passwords import NOBODYS_HASH, SALT_BYTES, check_password, hash_password

SALT = bytes(range(SALT_BYTES))
KEPT = hash_password("secret", SALT)


def test_only_the_password_itself_passes() -> None:
    assert check_password("secret", KEPT)
    assert not check_password("Secret", KEPT)
    assert not check_password("", KEPT)


def test_the_same_password_with_another_salt_is_kept_otherwise() -> None:
    assert hash_password("secret", bytes(SALT_BYTES)) != KEPT
    assert "secret" not in KEPT


def test_what_is_kept_is_scrypt_by_its_published_vector() -> None:
    # RFC 7914 §12, its first 32 octets.
    digest = bytes.fromhex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")
    salt, kept = b64encode(b"SodiumChloride").decode(), b64encode(digest).decode()
    assert check_password("pleaseletmein", f"scrypt$16384$8$1${salt}${kept}")


def test_nobodys_hash_takes_the_same_work_and_fits_no_password() -> None:
    assert NOBODYS_HASH.split("$")[:4] == KEPT.split("$")[:4]
    assert len(NOBODYS_HASH.split("$")[4]) == len(KEPT.split("$")[4])
    assert not check_password("", NOBODYS_HASH)
    assert not check_password("secret", NOBODYS_HASH)
