"""PEM files: read, and found fit for use or not, with the setting that names them.

OpenSSL's own words for a wrong file ("[SSL] PEM lib") name neither the file nor the fault.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config import ListenTls, Tls
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

AnyTls = Tls | ListenTls

AUTHORITIES = ("ca_file", "client_ca_file")


def files_of(settings: AnyTls) -> dict[str, str]:
    """Return the files that TLS settings name, by their keys."""
    fields = {key: getattr(settings, key) for key in settings.__struct_fields__}
    return {key: path for key, path in fields.items() if key.endswith("_file") and path}


def fingerprint_of(settings: AnyTls) -> str:
    """Return what is another one when the settings are, or the content of any of their files.

    Raises OSError.
    """
    digest = hashlib.sha256(repr(settings).encode())
    for path in files_of(settings).values():
        digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return digest.hexdigest()


def check_files(settings: AnyTls, table: str, now: float) -> Mapping[str, float]:
    """Return when (wall) what each file holds ends, by the setting's whole key.

    Of a chain that is its own certificate, of authorities the one that lasts longest. Raises
    ConfigError for what can't be read, is no PEM, does not fit together, or holds not at `now`.
    """
    files = files_of(settings)
    ends: dict[str, float] = {}
    for key, path in files.items():
        where = f"{table}.{key}"
        if key in AUTHORITIES:
            ends[where] = _check_authorities(_read_certificates(path, where), path, where, now)
        elif key == "cert_file":
            own = _read_certificates(path, where)[0]
            ends[where] = _check_dates(own, path, where, now)
            key_path = files.get("key_file") or path
            _check_key(own, path, key_path, f"{table}.key_file" if "key_file" in files else where)
    return ends


def _read(path: str, where: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(where, f"can't read {path}: {error.strerror}") from error


def _read_certificates(path: str, where: str) -> Sequence[Certificate]:
    from cryptography import x509  # 70 ms, for those who use TLS

    content = _read(path, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old authorities break rules of today
            return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise ConfigError(where, f"{path} holds no certificate in PEM") from error


def _check_dates(certificate: Certificate, path: str, where: str, now: float) -> float:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends.timestamp() <= now:
        raise ConfigError(where, f"the certificate in {path} has expired: it ended {_day(ends)}")
    if begins.timestamp() > now:
        raise ConfigError(where, f"the certificate in {path} begins only {_day(begins)}")
    return ends.timestamp()


def _check_authorities(
    authorities: Sequence[Certificate], path: str, where: str, now: float
) -> float:
    """Return when the last one ends: old ones stay in bundles for a while."""
    last = max(authorities, key=lambda each: each.not_valid_after_utc)
    return _check_dates(last, path, where, now)


def _check_key(own: Certificate, cert_path: str, key_path: str, where: str) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read(key_path, where)
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as error:
        raise ConfigError(
            where, f"the key in {key_path} is encrypted, and nobody is there to type its passphrase"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(where, f"{key_path} holds no key in PEM that can be used") from error
    if key.public_key() != own.public_key():
        raise ConfigError(where, f"{key_path} is not the key of the certificate in {cert_path}")


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
