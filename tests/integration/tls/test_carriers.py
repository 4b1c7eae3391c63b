"""Which carriers' servers a bind speaks to over TLS, and to which it says nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, cast

import pytest

from gateway.config import Tls
from gateway.smpp.client import BindListener, CarrierBind
from gateway.smpp.settings import BindSettings, Pace
from gateway.tls.contexts import build_connecting

TIMEOUT_S = 20.0


class Carrier:
    """A server that notes what is said to it, and then closes."""

    def __init__(self) -> None:
        self.heard = b""
        self.closed = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard += await reader.read(16)
        writer.close()
        self.closed.set()


async def try_bind(server: ssl.SSLContext, tls: Tls) -> bytes:
    """Have a bind connect once; return what the server heard of it."""
    carrier = Carrier()
    listener = await asyncio.start_server(carrier.take, "127.0.0.1", 0, ssl=server)
    bind = CarrierBind(
        "alpha/1",
        1,
        BindSettings(
            host="127.0.0.1",
            port=listener.sockets[0].getsockname()[1],
            system_id="us",
            pace=Pace(first_s=60.0),
            tls_server_name=tls.server_name,
        ),
        cast(BindListener, None),  # which never hears of a session that was not bound
        random=lambda: 1.0,
        tls=build_connecting(tls, "carrier.alpha.tls").context,
    )
    running = asyncio.create_task(bind.run())
    async with asyncio.timeout(TIMEOUT_S):
        while not bind.failures:
            await asyncio.sleep(0.005)
        await bind.stop(0.0)
        await running
        listener.close()
    return carrier.heard


def serving(issued: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*issued)
    return context


@pytest.fixture
def trusting(authority: Any) -> Tls:
    """Settings that expect smsc.test of our authority."""
    return Tls(enabled=True, ca_file=str(authority.file), server_name="smsc.test")


async def test_a_carrier_that_is_who_it_says_hears_the_bind(authority: Any, trusting: Tls) -> None:
    heard = await try_bind(serving(authority.issue("smsc.test")), trusting)
    assert heard[4:8] == bytes.fromhex("00000009"), "bind_transceiver"


async def test_without_a_server_name_the_hosts_is_expected(authority: Any) -> None:
    tls = Tls(enabled=True, ca_file=str(authority.file))
    assert await try_bind(serving(authority.issue("smsc", "127.0.0.1")), tls)
    assert await try_bind(serving(authority.issue("smsc.test")), tls) == b""


@pytest.mark.parametrize(
    ("names", "days"), [(["other.test"], 30), (["smsc.test"], -1)], ids=["name", "expired"]
)
async def test_a_carrier_with_a_wrong_certificate_hears_nothing(
    authority: Any, trusting: Tls, names: list[str], days: float
) -> None:
    assert await try_bind(serving(authority.issue(*names, days=days)), trusting) == b""


async def test_a_carrier_whom_somebody_else_vouches_for_hears_nothing(
    make_authority: Callable[[str], Any], trusting: Tls
) -> None:
    theirs = make_authority("theirs").issue("smsc.test")
    assert await try_bind(serving(theirs), trusting) == b""


async def test_a_carrier_that_speaks_older_tls_than_is_set_hears_nothing(
    authority: Any, trusting: Tls
) -> None:
    server = serving(authority.issue("smsc.test"))
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await try_bind(server, trusting)
    strict = Tls(
        enabled=True,
        ca_file=trusting.ca_file,
        server_name=trusting.server_name,
        min_version="1.3",
    )
    assert await try_bind(server, strict) == b""


async def test_a_carrier_that_asks_for_a_certificate_takes_ours_and_no_other(
    authority: Any, make_authority: Callable[[str], Any], trusting: Tls
) -> None:
    ours, strangers = make_authority("clients"), make_authority("strangers")
    server = serving(authority.issue("smsc.test"))
    server.load_verify_locations(ours.file)
    server.verify_mode = ssl.CERT_REQUIRED

    def showing(issued: Any) -> Tls:
        return Tls(
            enabled=True,
            ca_file=trusting.ca_file,
            server_name=trusting.server_name,
            **issued.settings,
        )

    assert await try_bind(server, trusting) == b""
    assert await try_bind(server, showing(strangers.issue("us"))) == b""
    assert await try_bind(server, showing(ours.issue("us")))
