"""A whole gateway with TLS at both doors and to its carrier, and certificates renewed under it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.smpp import vocabulary as v

Start = Callable[..., Awaitable[Any]]

TIMEOUT_S = 20.0


def listening(issued: Any, **settings: Any) -> dict[str, Any]:
    return {"enabled": True, "port": 0, **issued.settings, **settings}


async def ask(port: int, context: ssl.SSLContext) -> int:
    connector = aiohttp.TCPConnector(ssl=context)
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.get(f"https://127.0.0.1:{port}/healthz", server_hostname="gw.test") as answer,
    ):
        return answer.status


async def test_a_customer_binds_as_what_its_certificate_names_and_as_nobody_else(
    start: Start, authority: Any, make_authority: Callable[[str], Any]
) -> None:
    theirs = make_authority("theirs")
    tls = listening(
        authority.issue("server.test"),
        client_ca_file=str(theirs.file),
        client_names="system_id",
    )
    running = await start(smpp={"plain": False, "tls": tls})
    for names, status in (
        (["shop"], v.ESME_ROK),
        (["Shop Ltd", "shop"], v.ESME_ROK),
        (["bank"], v.ESME_RBINDFAIL),
    ):
        customer = await running.connect(tls=authority.trusted(theirs.issue(*names)))
        assert (await customer.bind()).status == status
    refused = "gateway_upstream_binds_refused_total"
    assert running.metric(refused, reason="certificate") == 1
    stranger = authority.trusted(make_authority("strangers").issue("shop"))
    with pytest.raises(OSError):
        await running.connect(v.BIND_TRANSCEIVER, tls=stranger)


async def test_http_is_served_with_tls_alone_and_a_renewed_certificate_is_taken_when_told(
    start: Start, authority: Any, make_authority: Callable[[str], Any]
) -> None:
    issued, newer = authority.issue("gw.test"), make_authority("newer")
    running = await start(http={"plain": False, "tls": listening(issued)})
    gateway = running.gateway
    assert gateway.port == 0
    assert await ask(gateway.https_port, authority.trusted()) == 200
    renewed = newer.issue("gw.test", days=90)
    issued.cert.write_bytes(renewed.cert.read_bytes())
    issued.key.write_bytes(renewed.key.read_bytes())
    gateway.renew_certificates()
    async with asyncio.timeout(TIMEOUT_S):
        while not running.metric("gateway_certificates_total", outcome="renewed"):
            await asyncio.sleep(0.01)
    assert await ask(gateway.https_port, newer.trusted()) == 200
    left_s = running.metric("gateway_certificate_left_seconds", setting="http.tls.cert_file")
    assert left_s == pytest.approx(90 * 86_400, abs=120)


async def test_a_carriers_next_session_shows_the_renewed_certificate(
    start: Start, settings: dict[str, Any], authority: Any, make_authority: Callable[[str], Any]
) -> None:
    theirs = make_authority("theirs")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=theirs.file)
    server.load_cert_chain(*authority.issue("smsc.test"))
    server.verify_mode = ssl.CERT_REQUIRED
    shown: asyncio.Queue[str] = asyncio.Queue()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peercert")
        shown.put_nowait(dict(pair[0] for pair in peer["subject"])["commonName"])
        writer.close()  # it binds again, and again

    listener = await asyncio.start_server(take, "127.0.0.1", 0, ssl=server)
    issued = theirs.issue("first")
    [carrier] = settings["carrier"]
    settings["carrier"] = [
        carrier
        | {
            "port": listener.sockets[0].getsockname()[1],
            "reconnect_max_s": 0.2,
            "tls": {
                "enabled": True,
                "ca_file": str(authority.file),
                "server_name": "smsc.test",
                **issued.settings,
            },
        }
    ]
    running = await start()
    assert await asyncio.wait_for(shown.get(), TIMEOUT_S) == "first"
    renewed = theirs.issue("second")
    Path(issued.cert).write_bytes(renewed.cert.read_bytes())
    Path(issued.key).write_bytes(renewed.key.read_bytes())
    running.gateway.renew_certificates()
    async with asyncio.timeout(TIMEOUT_S):
        while await shown.get() != "second":
            pass
    await running.stop()
    listener.close()
