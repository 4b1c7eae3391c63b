"""Peers that mean harm, or are broken: each gets its answer, and nobody else notices."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog

from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import encode, encode_header, encode_submit_sm
from gateway.smpp.shapes import Pdu, SubmitSm
from gateway.smpp.specification import PDUS
from gateway.store.postgres import Database

Start = Callable[..., Awaitable[Any]]

SUBMIT = SubmitSm(source_addr="Shop", destination_addr="447400123456", short_message=b"Hello")
HASTY = {
    "session_init_s": 0.5,
    "login_wait_max_s": 0.4,
    "enquire_link_s": 0.3,
    "response_timeout_s": 0.3,
}


def ended(running: Any, reason: str) -> float:
    count: float = running.metric("gateway_upstream_sessions_ended_total", reason=reason)
    return count


async def check_still_serving(running: Any) -> None:
    """A customer binds, submits and gets its receipt as if nothing had happened."""
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit()
    assert (await customer.submitted())[0] == v.ESME_ROK
    await customer.receive_delivery()
    await customer.unbind()


def check_nothing_is_left(running: Any) -> None:
    """Nothing of any connection that has ended is held on to."""
    front = running.gateway.parts.customers
    assert front._server.connections == 0
    assert not front._server._by_address
    assert not front._door.binds
    assert all(not office.receivers for office in front.postman._offices.values())
    assert not front._server._desk._errands._waiting


async def wait_until_left(running: Any) -> None:
    server = running.gateway.parts.customers._server
    async with asyncio.timeout(20):
        # An errand that is asked of the store ends with its answer.
        while server.connections or server._desk._errands._waiting:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("bound", [False, True], ids=["stranger", "customer"])
@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60),
        encode_header(v.SUBMIT_SM, 5, 0, 1 << 20),
        b"\x00\x00\x00\x0f" + bytes(12),
        b"\xff" * 64,
    ],
    ids=["http", "tls", "oversized", "undersized", "noise"],
)
async def test_a_stream_that_is_no_smpp_is_nacked_and_closed(
    running: Any, octets: bytes, bound: bool
) -> None:
    peer = await running.connect(v.BIND_TRANSCEIVER if bound else None)
    peer.send(octets)
    await peer.receive_end()
    nack = await peer.receive()
    assert (nack.command_id, nack.status) == (v.GENERIC_NACK, v.ESME_RINVCMDLEN)
    await wait_until_left(running)
    assert ended(running, "garbage") == 1
    await check_still_serving(running)
    check_nothing_is_left(running)


async def test_a_stranger_that_says_nothing_is_closed(start: Start) -> None:
    running = await start(smpp=HASTY)
    stranger = await running.connect()
    await stranger.receive_end()
    assert ended(running, "session_init_expired") == 1
    check_nothing_is_left(running)


async def test_a_stranger_that_dribbles_its_bind_is_closed(start: Start) -> None:
    running = await start(smpp=HASTY)
    stranger = await running.connect()
    octets = encode(Pdu(v.BIND_TRANSCEIVER, 1, 0, {"system_id": "shop", "password": "secret"}))
    closed = asyncio.create_task(stranger.receive_end())
    for octet in octets[:-1]:
        stranger.send(bytes((octet,)))
        await asyncio.wait([closed], timeout=0.05)
        if closed.done():
            break
    await closed
    assert ended(running, "session_init_expired") == 1


async def test_a_stranger_that_is_refused_again_and_again_is_closed(start: Start) -> None:
    running = await start(smpp=HASTY | {"login_wait_first_s": 0.1})
    stranger = await running.connect()
    with pytest.raises(ConnectionError):
        for _ in range(100):
            await stranger.bind(password="wrong")


async def test_a_customer_that_dribbles_a_pdu_for_ever_is_closed(start: Start) -> None:
    running = await start(smpp=HASTY)
    customer = await running.connect(v.BIND_TRANSCEIVER)
    octets = encode_submit_sm(9, SUBMIT) * 1_000
    closed = asyncio.create_task(customer.receive_end())
    # The first PDU never ends, so whatever follows is a part of it.
    customer.send(encode_header(v.SUBMIT_SM, 8, 0, 60_000))
    for octet in octets:
        if closed.done():
            break
        customer.send(bytes((octet,)))
        await asyncio.wait([closed], timeout=0.05)
    await closed
    assert ended(running, "peer_silent") == 1
    check_nothing_is_left(running)


async def test_a_customer_whose_other_end_is_gone_is_asked_and_closed(start: Start) -> None:
    running = await start(smpp=HASTY)
    customer = await running.connect(v.BIND_TRANSCEIVER)
    assert (await customer.receive()).command_id == v.ENQUIRE_LINK  # never answered
    assert (await customer.receive()).command_id == v.UNBIND
    await customer.receive_end()
    assert ended(running, "peer_silent") == 1


async def test_a_customer_that_answers_when_asked_stays(start: Start) -> None:
    running = await start(smpp=HASTY)
    customer = await running.connect(v.BIND_TRANSCEIVER)
    for _ in range(3):
        asked = await customer.receive(v.ENQUIRE_LINK)
        customer.send(encode_header(v.ENQUIRE_LINK_RESP, asked.sequence))
    customer.submit()
    assert (await customer.submitted())[0] == v.ESME_ROK


async def test_a_flood_of_connections_that_never_bind_gets_no_further_than_its_limit(
    start: Start,
) -> None:
    running = await start(smpp={"unbound_per_address_max": 5})
    customer = await running.connect(v.BIND_TRANSCEIVER)
    peers = [await running.connect() for _ in range(12)]
    for peer in peers[5:]:
        await peer.receive_end()
    assert running.gateway.parts.customers._server.connections == 6
    assert running.metric("gateway_upstream_connections_refused_total", reason="unbound") == 7
    customer.submit()  # a customer of the same address is none the worse
    assert (await customer.submitted())[0] == v.ESME_ROK
    await peers[0].close()
    async with asyncio.timeout(10):
        while running.gateway.parts.customers._server.connections > 5:
            await asyncio.sleep(0.01)
    assert (await (await running.connect()).bind()).status == 0


async def test_there_are_only_so_many_connections(start: Start) -> None:
    running = await start(smpp={"connections_max": 2})
    await running.connect(v.BIND_TRANSMITTER)
    await running.connect(v.BIND_TRANSMITTER)
    third = await running.connect()
    await third.receive_end()
    assert running.metric("gateway_upstream_connections_refused_total", reason="full") == 1


async def test_sequence_numbers_of_any_order_and_size_are_answered_as_they_came(
    running: Any,
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    numbers = [9, 3, 0x7FFFFFFF, 0xFFFFFFFF, 0, 9, 1]
    for number in numbers:
        customer.send(encode_submit_sm(number, SUBMIT))
    answers = [await customer.receive(v.SUBMIT_SM_RESP) for _ in numbers]
    assert sorted(answer.sequence for answer in answers) == sorted(numbers)
    assert {answer.status for answer in answers} == {v.ESME_ROK}


async def test_answers_to_nothing_are_passed_over(running: Any) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    for command_id in (v.DELIVER_SM_RESP, v.ENQUIRE_LINK_RESP, v.UNBIND_RESP, v.GENERIC_NACK):
        customer.send(encode_header(command_id, 4_711))
    customer.send(encode_header(v.SUBMIT_SM_RESP, 1) + encode_header(0x80001234, 1))
    await customer.receive_silence()
    customer.submit()
    assert (await customer.submitted())[0] == v.ESME_ROK


async def test_what_a_receiver_nacks_is_a_refusal(running: Any, database: Database) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.submit()
    await customer.submitted()
    delivery = await customer.receive(v.DELIVER_SM)
    customer.send(encode_header(v.GENERIC_NACK, delivery.sequence, v.ESME_RINVCMDID))
    await customer.receive_silence()
    assert running.metric("gateway_upstream_deliveries_total", outcome="refused") == 1
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM deliveries") == 1


async def test_commands_that_nobody_knows_or_may_not_send_are_refused_one_by_one(
    running: Any,
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    customer.send(encode_header(0x00001234, 5))
    unknown = await customer.receive()
    assert (unknown.command_id, unknown.status) == (v.GENERIC_NACK, v.ESME_RINVCMDID)
    customer.send(encode_header(v.BROADCAST_SM, 6, 0, 22) + bytes(22))
    broadcast = await customer.receive()
    assert (broadcast.command_id, broadcast.status) == (v.BROADCAST_SM_RESP, v.ESME_RINVCMDID)
    customer.send(encode_header(v.OUTBIND, 7, 0, 2) + bytes(2))
    outbind = await customer.receive()
    assert (outbind.command_id, outbind.status) == (v.GENERIC_NACK, v.ESME_RINVBNDSTS)


async def test_a_submission_that_cannot_be_read_is_refused_and_the_next_one_taken(
    running: Any,
) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    whole = encode_submit_sm(5, SUBMIT)
    for size in range(16, len(whole) - 1, 5):
        customer.send(encode_header(v.SUBMIT_SM, 5, 0, size - 16) + whole[16:size])
        status, _ = await customer.submitted()
        assert status in (v.ESME_RINVCMDLEN, v.ESME_RINVMSGLEN)
    customer.submit()
    assert (await customer.submitted())[0] == v.ESME_ROK


async def test_more_questions_than_the_window_are_sent_away(
    start: Start, database: Database, shop: Any
) -> None:
    running = await start(smpp={"window_size": 3})
    customer = await running.connect(v.BIND_TRANSCEIVER)
    for _ in range(10):
        customer.request(v.QUERY_SM, message_id="1")
    statuses = [(await customer.receive(v.QUERY_SM_RESP)).status for _ in range(10)]
    assert set(statuses) == {v.ESME_RINVMSGID, v.ESME_RTHROTTLED}
    assert statuses.count(v.ESME_RINVMSGID) == 3


async def test_a_customer_that_never_reads_is_cut_off_and_memory_with_it(running: Any) -> None:
    customer = await running.connect(v.BIND_TRANSCEIVER)
    enquiries = b"".join(encode_header(v.ENQUIRE_LINK, number) for number in range(1, 5_000))
    with pytest.raises((ConnectionError, TimeoutError)):
        for _ in range(2_000):  # 160 MB of answers that nobody reads
            customer.send(enquiries)
            await asyncio.wait_for(customer._writer.drain(), 5.0)
    await wait_until_left(running)
    assert ended(running, "abandoned") == 1
    await check_still_serving(running)


async def test_a_customer_that_leaves_in_the_middle_of_everything_leaves_nothing_behind(
    running: Any, database: Database
) -> None:
    for _ in range(5):
        customer = await running.connect(v.BIND_TRANSCEIVER)
        for _ in range(10):
            customer.submit()
            customer.request(v.QUERY_SM, message_id="1")
        await customer.submitted()
        customer._writer.transport.abort()
    await wait_until_left(running)
    check_nothing_is_left(running)
    receiver = await running.connect(v.BIND_RECEIVER)
    async with database.acquire() as connection:
        stored = await connection.fetchval("SELECT count(*) FROM messages")
    assert stored >= 5
    for _ in range(stored):  # whatever was taken is told of, to whoever binds next
        await receiver.receive_delivery()


@pytest.mark.parametrize("seed", range(3))
async def test_pdus_of_chance_yield_only_answers_and_endings(running: Any, seed: int) -> None:
    chance = random.Random(seed)
    commands = [*PDUS, 0x00009999]
    with structlog.testing.capture_logs() as lines:
        for _ in range(12):
            customer = await running.connect(v.BIND_TRANSCEIVER)
            for _ in range(40):
                command_id = chance.choice(commands)
                body = chance.randbytes(chance.choice((0, 1, 5, 33, 80)))
                if chance.random() < 0.3:
                    body = mutate(encode_submit_sm(1, SUBMIT)[16:], chance)
                number = chance.randrange(1 << 32)
                customer.send(encode_header(command_id, number, 0, len(body)) + body)
            customer.send(encode_header(v.UNBIND, 1))
            await customer.receive_end()
        await wait_until_left(running)
    assert [line for line in lines if line["log_level"] in ("error", "critical")] == []
    check_nothing_is_left(running)
    await check_still_serving(running)


def mutate(octets: bytes, chance: random.Random) -> bytes:
    changed = bytearray(octets)
    for _ in range(chance.randrange(1, 6)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)
