"""Customers bind: who is let in, what the others are told, and when somebody is shown out."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.model import Account
from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import encode_header
from gateway.store.accounts import update_account
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import remove_smpp_account, save_smpp_account
from gateway.upstream import roster

Start = Callable[..., Awaitable[Any]]

SERVER = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgwRs0oHnjoAZRjkwr
6lTyTrV7DZ5hKkUSOG/m2f8jMLuhRANCAASuXdKndVMtjc60jJc72s54dueCyw6N
7zkO5ClqcONFoYcNSNZNGS4/krwLdR63kRI/Ko4CVIlQRgsPUAT8QAHx
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBdjCCAR2gAwIBAgIBATAKBggqhkjOPQQDAjAWMRQwEgYDVQQDDAtzZXJ2ZXIu
dGVzdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFjEUMBIGA1UE
AwwLc2VydmVyLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASuXdKndVMt
jc60jJc72s54dueCyw6N7zkO5ClqcONFoYcNSNZNGS4/krwLdR63kRI/Ko4CVIlQ
RgsPUAT8QAHxo1owWDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIChDAd
BgNVHQ4EFgQUGefcIJrKIWmUSPNJlFHT/zGsyxMwFgYDVR0RBA8wDYILc2VydmVy
LnRlc3QwCgYIKoZIzj0EAwIDRwAwRAIgPpsOErm9bvGt+EfhiUOntNV/7bvPAgmY
0uz0IEd60dkCIDKQHD5aPagVsW+xjP5v06jDgs1ipJpUh8PYhvtNC6yR
-----END CERTIFICATE-----
"""
CLIENT = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggm6fr6D+HDWcTixZ
K/4OXSjE39ZnqEUWwYIlAgqUoKWhRANCAARc+VSfh/ljpDr8pGENwg97/n/viRhO
7fqhYwfZwxLdqViaBr4l8qpNRdssW00I18iDb1i03RLxdscU3+QZwTsP
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBdjCCAR2gAwIBAgIBATAKBggqhkjOPQQDAjAWMRQwEgYDVQQDDAtjbGllbnQu
dGVzdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFjEUMBIGA1UE
AwwLY2xpZW50LnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARc+VSfh/lj
pDr8pGENwg97/n/viRhO7fqhYwfZwxLdqViaBr4l8qpNRdssW00I18iDb1i03RLx
dscU3+QZwTsPo1owWDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIChDAd
BgNVHQ4EFgQUxfRgs51OOKxkZ4YrWVuRbyFPlf8wFgYDVR0RBA8wDYILY2xpZW50
LnRlc3QwCgYIKoZIzj0EAwIDRwAwRAIgA9ULxKF68dH45d2VADZpQSBcYCaoGNR0
K92hw/fNTUACIBarxsxkjFFCElWRd+4fOyqw3Aup1ROLyW6urlVK62bT
-----END CERTIFICATE-----
"""
"""Certificates of server.test and client.test that sign themselves, made for this file alone."""


@pytest.fixture(autouse=True)
def fresh_roster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is changed in the store known at once."""
    monkeypatch.setattr(roster, "REFRESH_S", 0.05)


@pytest.mark.parametrize(
    "command_id", [v.BIND_TRANSMITTER, v.BIND_RECEIVER, v.BIND_TRANSCEIVER], ids=v.command_name
)
async def test_a_customer_binds_in_each_mode(running: Any, command_id: int) -> None:
    customer = await running.connect()
    answer = await customer.bind(command_id)
    assert (answer.status, answer.text("system_id")) == (0, "gateway")
    assert answer.tlv(v.TAG_SC_INTERFACE_VERSION) == b"\x34"
    mode = v.command_name(command_id).removeprefix("bind_")
    assert running.metric("gateway_upstream_binds", mode=mode) == 1
    await customer.unbind()
    assert running.metric("gateway_upstream_binds", mode=mode) == 0
    assert running.metric("gateway_upstream_sessions_ended_total", reason="peer_unbound") == 1


async def test_a_customer_of_smpp_3_3_is_sent_no_tlvs(running: Any) -> None:
    customer = await running.connect()
    answer = await customer.bind(interface_version=0x33)
    assert (answer.status, answer.tlvs) == (0, ())
    customer.submit()
    await customer.submitted()
    receipt = await customer.receive_delivery()
    assert (receipt.tlvs, receipt.short_message[:3]) == ({}, b"id:")


@pytest.mark.parametrize(
    ("credentials", "status", "reason"),
    [
        ({"password": "wrong"}, v.ESME_RINVPASWD, "credentials"),
        ({"system_id": "nobody"}, v.ESME_RINVPASWD, "credentials"),
        ({"password": "x" * 64}, v.ESME_RINVPASWD, "credentials"),
        ({"system_id": ""}, v.ESME_RINVSYSID, "system_id"),
        ({"system_id": "sh\top"}, v.ESME_RINVSYSID, "system_id"),
    ],
)
async def test_wrong_credentials_are_answered_and_counted(
    running: Any, credentials: dict[str, str], status: int, reason: str
) -> None:
    customer = await running.connect()
    assert (await customer.bind(**credentials)).status == status
    assert running.metric("gateway_upstream_binds_refused_total", reason=reason) == 1
    # The same connection may try again.
    assert (await customer.bind()).status == 0


async def test_an_unknown_customer_is_told_the_same_after_the_same_time(running: Any) -> None:
    async def refuse(system_id: str) -> float:
        customer = await running.connect()
        loop = asyncio.get_running_loop()
        started = loop.time()
        answer = await customer.bind(system_id=system_id, password="wrong")
        assert answer.status == v.ESME_RINVPASWD
        return loop.time() - started

    running.gateway.parts.customers._door._pace._first_s = (
        0.0  # the work itself is what is measured
    )
    known = min([await refuse("shop") for _ in range(5)])
    unknown = min([await refuse("nobody") for _ in range(5)])
    assert known > 0.01  # a slow hash
    assert unknown > known / 2


async def test_guesses_from_one_address_are_slowed_and_what_worked_is_not(start: Start) -> None:
    running = await start(smpp={"login_wait_first_s": 0.5, "login_wait_max_s": 2.0})
    loop = asyncio.get_running_loop()
    await running.connect(v.BIND_TRANSMITTER)  # its password has worked
    guesser = await running.connect()
    started = loop.time()
    for _ in range(3):
        assert (await guesser.bind(password="wrong")).status == v.ESME_RINVPASWD
    assert loop.time() - started >= 0.5 + 1.0
    started = loop.time()
    await running.connect(v.BIND_RECEIVER)
    assert loop.time() - started < 1.0


async def test_a_flood_of_guesses_is_answered_or_sent_away_and_stalls_nobody(start: Start) -> None:
    running = await start(smpp={"login_wait_first_s": 0.1, "login_wait_max_s": 0.5})
    await running.connect(v.BIND_TRANSMITTER)
    guessers = [await running.connect() for _ in range(15)]
    await asyncio.gather(*(guesser.bind(password="wrong") for guesser in guessers[:1]))
    answers = await asyncio.gather(*(guesser.bind(password="wrong") for guesser in guessers))
    statuses = {answer.status for answer in answers}
    assert statuses <= {v.ESME_RINVPASWD, v.ESME_RBINDFAIL}
    assert running.metric("gateway_upstream_binds_refused_total", reason="hurried") > 0
    await running.connect(v.BIND_RECEIVER)


async def test_an_address_that_is_not_allowed_is_refused_with_the_right_password(
    start: Start, database: Database, shop: Account
) -> None:
    await save_smpp_account(database, shop.id, networks=["192.0.2.0/24"])
    running = await start()
    customer = await running.connect()
    assert (await customer.bind(password="wrong")).status == v.ESME_RINVPASWD
    assert (await customer.bind()).status == v.ESME_RBINDFAIL
    assert running.metric("gateway_upstream_binds_refused_total", reason="address") == 1


async def test_more_binds_than_allowed_are_refused_until_one_leaves(
    start: Start, database: Database, shop: Account
) -> None:
    await save_smpp_account(database, shop.id, binds_max=2)
    running = await start()
    first = await running.connect(v.BIND_TRANSMITTER)
    await running.connect(v.BIND_RECEIVER)
    third = await running.connect()
    assert (await third.bind()).status == v.ESME_RBINDFAIL
    await first.unbind()
    assert (await third.bind()).status == 0


async def test_a_second_bind_on_one_session_is_refused_and_the_first_stays(running: Any) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    assert (await customer.bind()).status == v.ESME_RALYBND
    customer.submit()
    assert (await customer.submitted())[0] == 0


async def test_without_a_bind_nothing_is_taken_but_enquire_link(running: Any) -> None:
    customer = await running.connect()
    customer.submit()
    assert (await customer.submitted())[0] == v.ESME_RINVBNDSTS
    assert (await customer.ask(v.ENQUIRE_LINK)).status == 0


async def test_a_receiver_may_not_submit_and_a_transmitter_gets_nothing(running: Any) -> None:
    receiver = await running.connect(v.BIND_RECEIVER)
    receiver.submit()
    assert (await receiver.submitted())[0] == v.ESME_RINVBNDSTS
    transmitter = await running.connect(v.BIND_TRANSMITTER)
    transmitter.submit()
    assert (await transmitter.submitted())[0] == 0
    assert (await receiver.receive_delivery()).esm_class == v.ESM_CLASS_RECEIPT
    await transmitter.receive_silence()


@pytest.mark.parametrize("change", ["password", "networks", "inactive", "removed"])
async def test_who_would_not_be_let_in_any_more_is_shown_out(
    running: Any, database: Database, shop: Account, change: str
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    match change:
        case "password":
            await save_smpp_account(database, shop.id, password="changed")
        case "networks":
            await save_smpp_account(database, shop.id, networks=["192.0.2.1"])
        case "inactive":
            await update_account(database, shop.id, active=False)
        case "removed":
            assert await remove_smpp_account(database, shop.id)
    frame = await customer.receive(v.UNBIND)
    customer.submit()  # our goodbye and its submission cross
    assert (await customer.submitted())[0] == v.ESME_RSYSERR
    customer.send(encode_header(v.UNBIND_RESP, frame.sequence))
    await customer.receive_end()
    again = await running.connect()
    assert (await again.bind()).status in (v.ESME_RINVPASWD, v.ESME_RBINDFAIL)


async def test_other_terms_hold_at_once_for_binds_that_stand(
    running: Any, database: Database, shop: Account
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    await save_smpp_account(database, shop.id, id_form="hex", rate_per_s=1_000)
    door = running.gateway.parts.customers._door
    async with asyncio.timeout(10):
        while door._customers[shop.id].terms.rate_per_s != 1_000:
            await asyncio.sleep(0.01)
    customer.submit()
    status, message_id = await customer.submitted()
    assert status == 0
    assert int(message_id, 16) > 2**50
    assert (await customer.receive_delivery()).short_message.startswith(
        b"id:" + message_id.encode()
    )


async def test_a_new_customer_binds_without_a_restart(
    running: Any, database: Database, make_account: Callable[..., Awaitable[Account]]
) -> None:
    bank = await make_account("bank")
    await save_smpp_account(database, bank.id, system_id="bank", password="money")
    door = running.gateway.parts.customers._door
    async with asyncio.timeout(10):
        while door._roster.of_system_id("bank") is None:
            await asyncio.sleep(0.01)
    await running.connect(v.BIND_TRANSCEIVER, system_id="bank", password="money")


async def test_a_stop_finishes_what_is_owed_and_says_goodbye(running: Any) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    stranger = await running.connect()
    customer.submit()
    stopping = asyncio.create_task(running.stop())
    status, _ = await customer.submitted()
    assert status in (0, v.ESME_RSYSERR)
    frame = await customer.receive(v.UNBIND)
    customer.send(encode_header(v.UNBIND_RESP, frame.sequence))
    await customer.receive_end()
    await stranger.receive_end()
    await stopping
    with pytest.raises(OSError):
        await running.connect()


async def test_a_stop_does_not_wait_for_ever_for_customers_that_answer_nothing(
    start: Start,
) -> None:
    running = await start(smpp={"stop_timeout_s": 0.5}, dispatch={"stop_timeout_s": 0.5})
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit()
    await customer.receive(v.DELIVER_SM)  # and never answers it
    await running.stop()
    assert (await customer.receive(v.UNBIND)).command_id == v.UNBIND


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────


def client_context(folder: Path, *, with_certificate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=SERVER[SERVER.index("-----BEGIN CERT") :])
    if with_certificate:
        (folder / "client.pem").write_text(CLIENT)
        context.load_cert_chain(folder / "client.pem")
    return context


def tls_settings(folder: Path, *, clients: bool) -> dict[str, Any]:
    (folder / "server.pem").write_text(SERVER)
    (folder / "clients.pem").write_text(CLIENT[CLIENT.index("-----BEGIN CERT") :])
    return {
        "enabled": True,
        "port": 0,
        "cert_file": str(folder / "server.pem"),
        "key_file": str(folder / "server.pem"),
        "client_ca_file": str(folder / "clients.pem") if clients else "",
    }


async def test_a_customer_binds_over_tls(start: Start, tmp_path: Path) -> None:
    running = await start(smpp={"plain": False, "tls": tls_settings(tmp_path, clients=False)})
    assert running.gateway.smpp_port == 0
    context = client_context(tmp_path, with_certificate=False)
    customer = await running.connect(v.BIND_TRANSCEIVER, tls=context)
    customer.submit()
    assert (await customer.submitted())[0] == 0
    assert (await customer.receive_delivery()).esm_class == v.ESM_CLASS_RECEIPT
    await customer.unbind()


async def test_a_customer_without_a_certificate_is_kept_out_where_one_is_asked_for(
    start: Start, tmp_path: Path
) -> None:
    running = await start(smpp={"tls": tls_settings(tmp_path, clients=True)})
    stranger = client_context(tmp_path, with_certificate=False)
    with pytest.raises(OSError):  # in the handshake, or with the first octets after it
        await running.connect(v.BIND_TRANSCEIVER, tls=stranger)
    known = client_context(tmp_path, with_certificate=True)
    await running.connect(v.BIND_TRANSCEIVER, tls=known)
    await running.connect(v.BIND_TRANSMITTER)  # the plain port is another matter


async def test_strangers_on_the_tls_port_are_counted_before_their_handshake(
    start: Start, tmp_path: Path
) -> None:
    running = await start(
        smpp={
            "tls": tls_settings(tmp_path, clients=False),
            "unbound_per_address_max": 3,
            "session_init_s": 1.0,
            "login_wait_max_s": 0.5,
        }
    )
    port = running.gateway.smpp_tls_port
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
    readers = [asyncio.ensure_future(reader.read()) for reader, _ in silent]
    done, waiting = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 2:
        more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    server = running.gateway.parts.customers._server
    assert server.connections == 3
    # A handshake that never comes, and one that is none, end by themselves.
    silent[2][1].write(b"GET / HTTP/1.1\r\n\r\n")
    await asyncio.wait(waiting)
    async with asyncio.timeout(10):
        while server.connections:
            await asyncio.sleep(0.01)
    assert running.metric("gateway_upstream_connections_refused_total", reason="unbound") == 2
    assert running.metric("gateway_upstream_connections_refused_total", reason="tls") == 3
    for reader, (_, writer) in zip(readers, silent, strict=True):
        assert reader.exception() is None or isinstance(reader.exception(), ConnectionError)
        writer.close()
    context = client_context(tmp_path, with_certificate=False)
    await running.connect(v.BIND_TRANSCEIVER, tls=context)


async def test_a_stop_ends_handshakes_that_are_under_way(start: Start, tmp_path: Path) -> None:
    running = await start(smpp={"tls": tls_settings(tmp_path, clients=False)})
    reader, writer = await asyncio.open_connection("127.0.0.1", running.gateway.smpp_tls_port)
    async with asyncio.timeout(10):
        while not running.gateway.parts.customers._server._secure.handshakes:
            await asyncio.sleep(0.01)
    await running.stop()
    assert await reader.read() == b""
    writer.close()


async def test_tls_files_that_cannot_be_used_keep_the_gateway_from_starting(
    start: Start, tmp_path: Path
) -> None:
    broken = tls_settings(tmp_path, clients=False) | {"key_file": str(tmp_path / "absent")}
    with pytest.raises(ConfigError, match=r"smpp\.tls"):
        await start(smpp={"tls": broken})


async def test_where_it_is_off_nobody_can_connect(start: Start) -> None:
    running = await start(smpp={"enabled": False})
    assert (running.gateway.smpp_port, running.gateway.smpp_tls_port) == (0, 0)
