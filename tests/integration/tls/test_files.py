"""What is said of files that can't be used for TLS, and how renewed ones are taken."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from gateway.config import ListenTls, Tls
from gateway.config_file import build_config
from gateway.errors import ConfigError
from gateway.metrics import Metrics
from gateway.tls.contexts import build_connecting, build_listening, find_tls_problems
from gateway.tls.keeper import ListeningTls, TlsKeeper

DAY_S = 86_400.0


@pytest.fixture
def listening(authority: Any) -> dict[str, Any]:
    """Settings of a port whose files are good."""
    return {"enabled": True, **authority.issue("gw.test").settings}


def complaint(settings: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as raised:
        build_listening(ListenTls(**settings), "http.tls")
    return str(raised.value)


def test_files_that_are_good_make_a_context_for_tls_1_2_and_later(
    listening: dict[str, Any],
) -> None:
    built = build_listening(ListenTls(**listening), "http.tls")
    assert built.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert built.ends.keys() == {"http.tls.cert_file"}
    assert built.ends["http.tls.cert_file"] == pytest.approx(time.time() + 30 * DAY_S, abs=60)


@pytest.mark.parametrize("key", ["cert_file", "key_file", "client_ca_file"])
def test_a_file_that_is_missing_is_named_with_its_setting(
    listening: dict[str, Any], key: str
) -> None:
    said = complaint(listening | {key: "/nowhere/x.pem"})
    assert said == f"http.tls.{key}: can't read /nowhere/x.pem: No such file or directory"


@pytest.mark.parametrize(
    ("key", "what"),
    [("cert_file", "certificate"), ("key_file", "key"), ("client_ca_file", "certificate")],
)
def test_a_file_that_holds_something_else_is_named(
    listening: dict[str, Any], tmp_path: Path, key: str, what: str
) -> None:
    (tmp_path / "x.pem").write_text("hello\n")
    said = complaint(listening | {key: str(tmp_path / "x.pem")})
    assert said.startswith(f"http.tls.{key}: {tmp_path}/x.pem holds no {what} in PEM")


def test_another_certificates_key_is_told_apart(authority: Any, listening: dict[str, Any]) -> None:
    other = authority.issue("other.test")
    said = complaint(listening | {"key_file": str(other.key)})
    assert said.startswith("http.tls.key_file: ")
    assert f"{other.key} is not the key of the certificate in {listening['cert_file']}" in said


def test_an_encrypted_key_is_refused_instead_of_asked_a_passphrase_for(
    listening: dict[str, Any], tmp_path: Path
) -> None:
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )
    (tmp_path / "locked.key").write_bytes(locked)
    said = complaint(listening | {"key_file": str(tmp_path / "locked.key")})
    assert said.startswith("http.tls.key_file: ")
    assert "encrypted" in said


def test_a_certificate_that_has_expired_or_not_begun_is_refused(
    authority: Any, listening: dict[str, Any]
) -> None:
    expired = authority.issue("gw.test", days=-1)
    said = complaint(listening | expired.settings)
    assert said.startswith("http.tls.cert_file: the certificate in ")
    assert "has expired: it ended 20" in said
    early = authority.issue("gw.test", begins_in=2)
    assert "begins only 20" in complaint(listening | early.settings)


def test_authorities_of_which_none_holds_any_more_are_refused(
    make_authority: Callable[[str], Any], listening: dict[str, Any], tmp_path: Path
) -> None:
    theirs, newer = make_authority("theirs"), make_authority("newer")
    theirs.renew(days=-1)
    listening["client_ca_file"] = str(theirs.file)
    assert complaint(listening).startswith("http.tls.client_ca_file: ")
    both = tmp_path / "both.pem"
    both.write_bytes(theirs.file.read_bytes() + newer.file.read_bytes())
    build_listening(ListenTls(**listening | {"client_ca_file": str(both)}), "http.tls")


def test_a_carriers_files_are_looked_at_too(authority: Any) -> None:
    mine, other = authority.issue("gw"), authority.issue("other")
    good = Tls(enabled=True, ca_file=str(authority.file), **mine.settings)
    assert build_connecting(good, "carrier.a.tls").ends.keys() == {
        "carrier.a.tls.ca_file",
        "carrier.a.tls.cert_file",
    }
    with pytest.raises(ConfigError, match=r"carrier\.a\.tls\.key_file: .* is not the key of"):
        build_connecting(
            Tls(enabled=True, cert_file=str(mine.cert), key_file=str(other.key)), "carrier.a.tls"
        )


def test_a_problem_of_every_table_is_told_and_of_none_that_is_off(authority: Any) -> None:
    absent = {"cert_file": "/nowhere/c", "key_file": "/nowhere/k"}
    carrier = {"host": "smsc.test", "system_id": "gw"}
    config = build_config(
        {
            "http": {"tls": {"enabled": True, **absent}},
            "smpp": {"enabled": True, "tls": {"enabled": True, **absent}},
            "carrier": [
                carrier | {"name": "alpha", "tls": {"enabled": True, "ca_file": "/nowhere/a"}},
                carrier | {"name": "beta", "tls": {"ca_file": "/nowhere/b"}},
            ],
        }
    )
    keys = [problem.key for problem in find_tls_problems(config)]
    assert keys == ["http.tls.cert_file", "smpp.tls.cert_file", "carrier.alpha.tls.ca_file"]


# ── renewed while it runs ────────────────────────────────────────────────────────────────────


def value_of(metrics: Metrics, sample: str) -> float:
    lines = metrics.render().decode().splitlines()
    return float(next(line for line in lines if line.startswith(sample)).rpartition(" ")[2])


async def test_a_renewed_certificate_is_taken_and_a_wrong_one_is_not(
    authority: Any, listening: dict[str, Any]
) -> None:
    metrics = Metrics()
    tls = ListeningTls(ListenTls(**listening), "http.tls")
    keeper = TlsKeeper(lambda: [tls.source()], metrics.tls)
    left = 'gateway_certificate_left_seconds{setting="http.tls.cert_file"}'
    cert, key = Path(listening["cert_file"]), Path(listening["key_file"])

    await keeper.look()
    assert value_of(metrics, left) == pytest.approx(30 * DAY_S, abs=60)
    first = tls.context
    await keeper.look()
    assert tls.context is first, "what did not change is not read again"

    renewed = authority.issue("gw.test", days=90)
    cert.write_bytes(renewed.cert.read_bytes())
    await keeper.look()  # between the two files
    assert tls.context is first
    assert value_of(metrics, 'gateway_certificates_total{outcome="refused"}') == 1
    assert value_of(metrics, left) == pytest.approx(30 * DAY_S, abs=60)

    key.write_bytes(renewed.key.read_bytes())
    await keeper.look()
    assert tls.context is not first
    assert value_of(metrics, 'gateway_certificates_total{outcome="renewed"}') == 1
    assert value_of(metrics, left) == pytest.approx(90 * DAY_S, abs=60)


async def test_what_no_table_names_any_more_is_measured_no_more(
    listening: dict[str, Any],
) -> None:
    metrics = Metrics()
    sources = [ListeningTls(ListenTls(**listening), "http.tls").source()]
    keeper = TlsKeeper(lambda: sources, metrics.tls)
    await keeper.look()
    assert b"gateway_certificate_left_seconds{" in metrics.render()
    sources.clear()
    await keeper.look()
    assert b"gateway_certificate_left_seconds{" not in metrics.render()
