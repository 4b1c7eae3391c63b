"""What one process could take for granted holds for several: on two gateways in this loop."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from gateway.errors import NotTheOwner
from gateway.model import MessageId
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import Value
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    decode_deliver_sm,
    decode_message_resp,
    encode,
    encode_deliver_sm_resp,
    encode_submit_sm,
)
from gateway.smpp.shapes import DeliverSm, Frame, Pdu, SubmitSm
from gateway.store.ceilings import save_ceilings
from gateway.store.erasures import Erasures
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import save_smpp_account

TIMEOUT_S = 60.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
SMPP = {"enabled": True, "port": 0, "login_wait_first_s": 0.1, "stop_timeout_s": 2.0}


async def ask(node: Any, method: str, path: str, body: object = None) -> tuple[int, Any, str]:
    """Ask a node over HTTP; return the status, the answer, and its Retry-After."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {node._key}"}) as http,
        http.request(method, f"http://127.0.0.1:{node.gateway.port}{path}", json=body) as answer,
    ):
        return answer.status, await answer.json(), answer.headers.get("Retry-After", "")


async def send(node: Any, to: str, **fields: Any) -> str:
    status, answer, _ = await ask(node, "POST", "/v1/messages", {"to": to, "text": "Hi"} | fields)
    assert status == 202, answer
    message_id: str = answer["id"]
    return message_id


class Customer:
    """A customer's bind to one node."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._framer = Framer()
        self._inbox: list[Frame] = []
        self._numbers = itertools.count(1)

    @classmethod
    async def bind(cls, node: Any, mode: int = v.BIND_TRANSCEIVER) -> Customer:
        port = node.gateway.smpp_port
        customer = cls(*await asyncio.open_connection("127.0.0.1", port))
        status = await customer.ask(
            mode, system_id="shop", password="secret", interface_version=0x34
        )
        if status:
            customer.close()
        assert status == 0, v.status_name(status)
        return customer

    async def ask(self, command_id: int, **fields: Value) -> int:
        """Send a request and return its answer's status."""
        self._writer.write(encode(Pdu(command_id, next(self._numbers), 0, fields)))
        return (await self.receive(command_id | v.RESPONSE)).status

    async def submit(self, to: str, text: bytes = b"Hello") -> str:
        submit = SubmitSm(
            source_addr="Shop", destination_addr=to, short_message=text, registered_delivery=1
        )
        self._writer.write(encode_submit_sm(next(self._numbers), submit))
        answer = await self.receive(v.SUBMIT_SM_RESP)
        assert answer.status == 0
        return decode_message_resp(answer.octets).message_id

    async def receive_receipt(self) -> DeliverSm:
        frame = await self.receive(v.DELIVER_SM)
        self._writer.write(encode_deliver_sm_resp(frame.sequence, 0))
        return decode_deliver_sm(frame.body)

    async def receive(self, command_id: int, timeout_s: float = TIMEOUT_S) -> Frame:
        async with asyncio.timeout(timeout_s):
            while True:
                for index, frame in enumerate(self._inbox):
                    if frame.command_id == command_id:
                        return self._inbox.pop(index)
                data = await self._reader.read(65_536)
                assert data, "closed by the gateway"
                self._inbox += self._framer.receive(data)

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
async def two(cluster: Any, database: Database) -> AsyncIterator[tuple[Any, Any]]:
    """The node that has the carrier, and the other one; the account may bind to both."""
    account_id = await database.pool.fetchval("SELECT id FROM accounts WHERE name = 'shop'")
    await save_smpp_account(database, account_id, system_id="shop", password="secret", binds_max=2)
    await cluster.add_carrier("alpha")
    nodes = [await cluster.start(smpp=SMPP) for _ in range(2)]
    await cluster.until(lambda: sorted(len(node.bound) for node in nodes) == [0, 1])
    nodes.sort(key=lambda node: -len(node.bound))
    await cluster.until(lambda: not any(node.gateway.parts.keeper.alone for node in nodes))
    yield nodes[0], nodes[1]


async def test_a_message_is_withdrawn_at_whichever_node_it_is_asked_for(
    cluster: Any, two: tuple[Any, Any]
) -> None:
    owner, other = two
    await cluster.operators["alpha"].smsc.stop()
    (number,) = cluster.numbers("alpha", 1)
    message_id = await send(other, number)
    await cluster.until(lambda: owner.gateway.parts.dispatcher.find(MessageId(int(message_id))))
    status, view, _ = await ask(other, "DELETE", f"/v1/messages/{message_id}")
    assert (status, view["status"]) == (200, "canceled")
    assert await cluster.fetch("SELECT count(*) FROM node_errands") == 0
    status, problem, _ = await ask(other, "DELETE", f"/v1/messages/{message_id}")
    assert (status, problem["code"]) == (409, "too_late")


async def test_where_the_node_that_has_it_does_not_answer_nothing_changes(
    cluster: Any, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, other = two
    monkeypatch.setattr("gateway.nodes.errands.ANSWER_S", 0.3)
    monkeypatch.setattr(owner.gateway.parts.errands, "_is_ours", lambda lease: False)
    (number,) = cluster.numbers("alpha", 1)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    message_id = await send(other, number, send_at=tomorrow)
    status, problem, retry_after = await ask(other, "DELETE", f"/v1/messages/{message_id}")
    assert (status, problem["code"]) == (503, "node_unavailable"), problem
    assert int(retry_after) >= 1
    _, view, _ = await ask(other, "GET", f"/v1/messages/{message_id}")
    assert view["status"] == "scheduled"


async def test_smpp_replaces_and_cancels_what_another_node_has(
    cluster: Any, two: tuple[Any, Any]
) -> None:
    owner, other = two
    await cluster.operators["alpha"].smsc.stop()
    customer = await Customer.bind(other)
    (number,) = cluster.numbers("alpha", 1)
    message_id = await customer.submit(number)
    await cluster.until(lambda: owner.gateway.parts.dispatcher.find(MessageId(int(message_id))))
    fields: dict[str, Value] = {"message_id": message_id, "source_addr": "Shop"}
    assert await customer.ask(v.REPLACE_SM, **fields, short_message=b"Bye") == 0
    (body,) = [
        await cluster.fetch(f"SELECT body FROM messages WHERE id = {message_id}")  # noqa: S608
    ]
    assert body == "Bye"
    job = owner.gateway.parts.dispatcher.find(MessageId(int(message_id)))
    assert job.message.text == "Bye"
    assert await customer.ask(v.CANCEL_SM, **fields) == 0
    assert await customer.ask(v.CANCEL_SM, **fields) == v.ESME_RCANCELFAIL
    customer.close()


async def test_receipts_go_up_at_the_node_that_the_customer_is_bound_to_once_and_in_order(
    cluster: Any, two: tuple[Any, Any]
) -> None:
    owner, other = two
    transmitter = await Customer.bind(owner, v.BIND_TRANSMITTER)
    receiver = await Customer.bind(other, v.BIND_RECEIVER)
    ids = [await transmitter.submit(number) for number in cluster.numbers("alpha", 30)]
    came = [await receiver.receive_receipt() for _ in ids]
    texts = [each.short_message.decode() for each in came]
    assert sorted(text.split()[0].removeprefix("id:") for text in texts) == sorted(ids)
    stored = "SELECT count(*) FROM deliveries"
    async with asyncio.timeout(TIMEOUT_S):
        while await cluster.fetch(stored):
            await asyncio.sleep(0.02)
    transmitter.close()
    receiver.close()


async def test_another_receiver_goes_on_when_the_one_that_had_the_deliveries_leaves(
    cluster: Any, two: tuple[Any, Any]
) -> None:
    owner, other = two
    first, second = await Customer.bind(other), await Customer.bind(owner)
    account_id = await cluster.fetch("SELECT id FROM accounts WHERE name = 'shop'")
    carries = other.gateway.parts.customers.postman.has_receiver
    await cluster.until(lambda: carries(account_id))
    message_id = await second.submit(*cluster.numbers("alpha", 1))
    assert message_id in (await first.receive_receipt()).short_message.decode()
    first.close()
    message_id = await second.submit(*cluster.numbers("alpha", 1))
    assert message_id in (await second.receive_receipt()).short_message.decode()
    second.close()


async def test_binds_count_over_all_nodes(cluster: Any, two: tuple[Any, Any]) -> None:
    owner, other = two
    customers = [await Customer.bind(owner), await Customer.bind(owner)]
    account_id = await cluster.fetch("SELECT id FROM accounts WHERE name = 'shop'")
    await cluster.until(lambda: other.gateway.parts.sight.binds_of(account_id) == 2)
    with pytest.raises(AssertionError, match="ESME_RBINDFAIL"):
        await Customer.bind(other)
    for customer in customers:
        customer.close()
    await cluster.until(lambda: other.gateway.parts.sight.binds_of(account_id) == 0)
    (await Customer.bind(other)).close()


async def test_each_duty_is_one_nodes_and_goes_over_when_that_one_stops(
    cluster: Any, two: tuple[Any, Any]
) -> None:
    def sending() -> list[Any]:
        return [node for node in two if node.gateway.parts.hooks.sending]

    await cluster.until(lambda: len(sending()) == 1)
    (sender,) = sending()
    (rest,) = [node for node in two if node is not sender]
    await sender.stop()
    cluster.nodes.remove(sender)
    await cluster.until(lambda: rest.gateway.parts.hooks.sending)


async def test_an_erased_number_is_in_no_nodes_memory(
    cluster: Any, two: tuple[Any, Any], database: Database
) -> None:
    owner, other = two
    (number,) = cluster.numbers("alpha", 1)
    message_id = MessageId(int(await send(other, number, callback_url="https://example.com/")))
    references = owner.gateway.parts.book.references
    await cluster.until_final()
    assert any(each.message_id == message_id for each in references._young.values())
    await database.pool.execute("DELETE FROM outbox")  # nobody is there to be told
    erasures = Erasures(database)
    erasure_id = await erasures.request(
        number, None, reason="asked", author="test", withdraw=False, now=time.time()
    )
    async with asyncio.timeout(TIMEOUT_S):
        while not (await erasures.list_erasures(erasure_id=erasure_id))[0].finished_at:
            await asyncio.sleep(0.05)
    for node in two:
        references = node.gateway.parts.book.references
        assert not any(each.message_id == message_id for each in references._young.values())
    assert number not in str(await database.pool.fetch("SELECT * FROM messages"))


async def test_a_carrier_is_shown_at_every_node_as_the_one_that_has_it_sees_it(
    cluster: Any, two: tuple[Any, Any]
) -> None:
    def shown(node: Any) -> list[tuple[str, str]]:
        return [(view.name, view.state) for view in node.gateway.parts.condition.carriers()]

    for node in two:
        await cluster.until(lambda node=node: shown(node) == [("alpha", "up")])


async def test_an_accounts_ceiling_holds_over_the_nodes_that_have_its_carriers(
    cluster: Any, database: Database
) -> None:
    account_id = await cluster.fetch("SELECT id FROM accounts WHERE name = 'shop'")
    await save_ceilings(database, account_id, segments_per_s=100.0, segments_burst=1)
    for name in ("alpha", "beta"):
        await cluster.add_carrier(name)
    first, second = await cluster.start(), await cluster.start()
    await cluster.until_shared()
    for name in ("alpha", "beta"):
        await first.post(cluster.numbers(name, 150))
    await cluster.until_final()
    assert [len(operator.came) for operator in cluster.operators.values()] == [150, 150]
    cluster.left["both"] = [*cluster.left["alpha"], *cluster.left["beta"]]
    assert cluster.busiest_second("both") <= 102, "the rate, and one of each node"
    shares = [
        node.gateway.parts.dispatcher.ceilings.shares()[account_id] for node in (first, second)
    ]
    assert sum(shares) <= 1.0


async def test_deliveries_go_up_at_another_node_when_theirs_is_cut_off_from_the_store(
    cluster: Any, database: Database, door: Any
) -> None:
    account_id = await cluster.fetch("SELECT id FROM accounts WHERE name = 'shop'")
    await save_smpp_account(database, account_id, system_id="shop", password="secret")
    await cluster.add_carrier("alpha")
    other, lost = await cluster.start(smpp=SMPP), await cluster.start(url=door.url, smpp=SMPP)
    stuck = await Customer.bind(lost, v.BIND_RECEIVER)
    await cluster.until(lambda: lost.gateway.parts.customers.postman.has_receiver(account_id))
    door.shut = True
    door.cut()
    customer = await Customer.bind(other)
    ids = [await customer.submit(number) for number in cluster.numbers("alpha", 10)]
    texts = [(await customer.receive_receipt()).short_message.decode() for _ in ids]
    assert sorted(text.split()[0].removeprefix("id:") for text in texts) == sorted(ids)
    with pytest.raises(TimeoutError):  # nothing went up twice
        await stuck.receive(v.DELIVER_SM, 0.2)
    stuck.close()
    customer.close()
    door.shut = False
    with pytest.raises(BaseExceptionGroup) as ended:
        await asyncio.wait_for(lost.task, TIMEOUT_S)
    assert ended.value.subgroup(NotTheOwner) is not None
    cluster.nodes.remove(lost)
