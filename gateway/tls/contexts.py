"""TLS contexts from settings: for the ports that we listen on, and for carriers."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gateway.config import Config, ListenTls, Tls
from gateway.errors import ConfigError
from gateway.tls.files import AnyTls, check_files, fingerprint_of

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsContext(NamedTuple):
    """What connections are made with."""

    context: ssl.SSLContext
    fingerprint: str
    """Another one when the settings are, or the content of any of their files."""
    ends: Mapping[str, float]
    """When (wall) what each file holds ends, by the setting's whole key."""


def build_listening(settings: ListenTls, table: str, protocols: Sequence[str] = ()) -> TlsContext:
    """Return what a port listens with; raises ConfigError, naming the setting.

    `protocols` are what ALPN answers with.
    """

    def make() -> ssl.SSLContext:
        authorities = settings.client_ca_file
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authorities or None)
        # Each one costs us a handshake for one packet of theirs.
        context.options |= ssl.OP_NO_RENEGOTIATION
        if protocols:
            context.set_alpn_protocols(list(protocols))
        if authorities:
            required = settings.client_cert == "required"
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        return context

    return _build(settings, table, make)


def build_connecting(settings: Tls, table: str) -> TlsContext:
    """Return what a carrier is connected to with; raises ConfigError, naming the setting."""

    def make() -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if not settings.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    return _build(settings, table, make)


def find_tls_problems(config: Config) -> list[ConfigError]:
    """Return what is wrong with the files that settings name, a problem a table at most."""
    problems: list[ConfigError] = []
    for table, settings in tables_with_tls(config):
        try:
            if isinstance(settings, Tls):
                build_connecting(settings, table)
            else:
                build_listening(settings, table)
        except ConfigError as error:
            problems.append(error)
    return problems


def tables_with_tls(config: Config) -> list[tuple[str, AnyTls]]:
    """Return the tables in which TLS is switched on, by their keys."""
    tables: list[tuple[str, AnyTls]] = [("http.tls", config.http.tls)]
    if config.smpp.enabled:
        tables.append(("smpp.tls", config.smpp.tls))
    tables += [(f"carrier.{each.name}.tls", each.tls) for each in config.carrier]
    return [(table, settings) for table, settings in tables if settings.enabled]


def _build(settings: AnyTls, table: str, make: Callable[[], ssl.SSLContext]) -> TlsContext:
    ends = check_files(settings, table, time.time())
    try:
        context = make()
        context.minimum_version = _VERSIONS[settings.min_version]
        if settings.cert_file:
            # Without a word for it, OpenSSL would ask for a passphrase on the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file or None, lambda: "")
        return TlsContext(context, fingerprint_of(settings), ends)
    except (OSError, ValueError) as error:  # OSError: of ssl too, as for a key that is too short
        raise ConfigError(table, f"can't use these files: {error}") from error
