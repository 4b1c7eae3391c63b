"""Messages that don't reach their phone, and the emails in their place, in real processes."""

from __future__ import annotations

import asyncio
import email
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP

TIMEOUT_S = 60.0
MESSAGES = 200
CONNECTIONS = 4

EMAIL = """
[email]
host = "127.0.0.1"
port = {port}
security = "plain"
sender = "Shop <no-reply@shop.example>"
bounce_address = "bounce+{{id}}@shop.example"
rate_per_s = 1000.0
connections_max = {connections}
timeout_s = 2.0
retry_first_s = 0.5
retry_max_s = 1.0
[webhooks]
allow_private = true
"""

SCRIPT = """
identity = "tag"
[[rule]]
suffix = "1"
receipts = [{ state = "UNDELIV", err = "021" }]
[[rule]]
suffix = "2"
missing_share = 1.0
[[rule]]
suffix = "3"
refuse = [{ status = 0x0B, share = 1.0 }]
[[rule]]
suffix = "4"
receipts = [{ state = "EXPIRED" }]
"""


class MailServer:
    """Takes emails, slowly if asked to, and counts them by Message-ID."""

    def __init__(self) -> None:
        self.port = 0
        self.taken: Counter[str] = Counter()
        self.letters: list[tuple[Any, Any]] = []
        self.delay_s = 0.0
        self.refuse = ""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuse:
            return self.refuse
        message = email.message_from_bytes(envelope.original_content)
        self.taken[message["Message-ID"]] += 1
        self.letters.append((envelope, message))
        # It has taken the email and is slow to say so: what a kill makes double.
        await asyncio.sleep(self.delay_s)
        return "250 taken"

    def to(self, address: str) -> list[Any]:
        return [message for envelope, message in self.letters if envelope.rcpt_tos == [address]]


@pytest.fixture
async def mail(world: Any) -> AsyncIterator[MailServer]:
    mail = MailServer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(mail, hostname="mx.example", loop=loop), "127.0.0.1", 0
    )
    mail.port = server.sockets[0].getsockname()[1]
    settings = EMAIL.format(port=mail.port, connections=CONNECTIONS)
    world.config.write_text(world.config.read_text() + settings)
    yield mail
    server.close()
    await server.wait_closed()


def wanting_email(to: str, address: str, **terms: Any) -> dict[str, Any]:
    wanted = {"to": address, "subject": "For {{ to }}", "text": "{{ text }} {{ reason }}", **terms}
    return {"to": to, "text": "Your code is 1234", "fallback": {"email": wanted}}


async def submit(world: Any, http: aiohttp.ClientSession, body: dict[str, Any]) -> str:
    async with http.post(f"{world.url}/v1/messages", json=body) as answer:
        assert answer.status == 202, await answer.text()
        message_id: str = (await answer.json())["id"]
        return message_id


async def until_settled(world: Any, http: aiohttp.ClientSession, message_id: str) -> Any:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            async with http.get(f"{world.url}/v1/messages/{message_id}") as answer:
                view = await answer.json()
            if view["fallback"]["state"] != "waiting":
                return view
            await asyncio.sleep(0.05)


async def test_each_bad_end_has_its_email_and_a_good_one_has_none(
    world: Any, mail: MailServer
) -> None:
    await world.start_smsc(SCRIPT)
    await world.start_gateway()
    await world.make_account()
    async with aiohttp.ClientSession(headers=world.headers) as http:
        sent: dict[str, tuple[str, dict[str, Any]]] = {
            "delivered": ("447400000000", {"after_s": 2}),
            "undelivered": ("447400000001", {}),
            "silent": ("447400000002", {"after_s": 1}),
            "rejected": ("447400000003", {}),
            "expired": ("447400000004", {"on": ["expired"]}),
            "unwanted": ("447400000014", {"on": ["rejected"]}),
        }
        ids = {
            name: await submit(world, http, wanting_email(to, f"{name}@example.com", **terms))
            for name, (to, terms) in sent.items()
        }
        views = {
            name: await until_settled(world, http, message_id)
            for name, message_id in ids.items()
            if name != "unwanted"
        }
        assert views["delivered"]["fallback"]["state"] == "not_needed"
        for name, reason in [
            ("undelivered", "undelivered"),
            ("silent", "no_receipt"),
            ("rejected", "rejected"),
            ("expired", "expired"),
        ]:
            (message,) = mail.to(f"{name}@example.com")
            assert message.get_payload().strip() == f"Your code is 1234 {reason}"
            assert views[name]["fallback"]["reason"] == reason
            assert views[name]["events"][-1]["kind"] == "email_sent"
            assert views[name]["events"][-1]["error"] == "250 taken"
        assert len(mail.letters) == 4
        envelope, message = mail.letters[0]
        assert envelope.mail_from.startswith("bounce+")
        assert message["Subject"].startswith("For 4474000000")
        async with http.get(f"{world.url}/v1/messages/{ids['unwanted']}") as answer:
            unwanted = await answer.json()
        assert (unwanted["status"], unwanted["fallback"]["state"]) == ("expired", "waiting")


async def test_a_rule_a_batch_and_a_webhook(world: Any, mail: MailServer) -> None:
    events: list[Any] = []

    async def hear(request: web.Request) -> web.Response:
        events.extend((await request.json())["events"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    await world.start_smsc(SCRIPT)
    await world.start_gateway()
    await world.make_account()
    await world.run("account", "update", "shop", "--webhook-url", f"http://127.0.0.1:{port}/hook")
    await world.run(
        *("account", "fallback", "set", "shop", "--to", "{{ client_ref }}", "--on", "undelivered"),
        *("--subject", "Sorry", "--text", "{{ text|upper }}"),
    )
    assert "sent: 250" in await world.run("email", "test", "ops@example.com")
    async with aiohttp.ClientSession(headers=world.headers) as http:
        by_rule = await submit(
            world, http, {"to": "447400000001", "text": "a", "client_ref": "rule@example.com"}
        )
        defaults = {"text": "b", "fallback": {"email": {"to": "{{ to }}@sms.example"}}}
        body = {"defaults": defaults, "to": ["447400000011", "447400000021", "447400000020"]}
        async with http.post(f"{world.url}/v1/messages/batch", json=body) as answer:
            results = (await answer.json())["results"]
        mail.refuse = ""
        await until_settled(world, http, by_rule)
        for result in results[:2]:
            await until_settled(world, http, result["id"])
        assert mail.to("rule@example.com")[0].get_payload().strip() == "A"
        assert mail.to("447400000011@sms.example")[0]["Subject"] == "Sorry"
        assert not mail.to("447400000020@sms.example")
        mail.refuse = "550 5.1.1 nobody here"
        failed = await submit(
            world, http, {"to": "447400000031", "text": "a", "client_ref": "none@example.com"}
        )
        view = await until_settled(world, http, failed)
        assert view["events"][-1]["kind"] == "email_failed"
        assert view["fallback"]["reply"] == "550 5.1.1 nobody here"
    async with asyncio.timeout(TIMEOUT_S):
        while not any(event["type"] == "message.email_failed" for event in events):
            await asyncio.sleep(0.05)
    told = {(event["message_id"], event["type"]) for event in events}
    assert (by_rule, "message.email_sent") in told
    assert (failed, "message.undelivered") in told
    (event,) = [event for event in events if event["type"] == "message.email_failed"]
    assert event["email"] == {
        "to": "none@example.com",
        "reason": "undelivered",
        "reply": "550 5.1.1 nobody here",
    }
    await runner.cleanup()


async def test_a_kill_loses_no_email_and_doubles_only_those_under_way(
    world: Any, mail: MailServer
) -> None:
    await world.start_smsc(SCRIPT)
    await world.start_gateway()
    await world.make_account()
    mail.delay_s = 0.2
    async with aiohttp.ClientSession(headers=world.headers) as http:
        messages = [
            wanting_email(f"4474{number:07d}1", f"anna{number}@example.com")
            for number in range(MESSAGES)
        ]
        async with http.post(
            f"{world.url}/v1/messages/batch", json={"messages": messages}
        ) as answer:
            ids = [result["id"] for result in (await answer.json())["results"]]
        async with asyncio.timeout(TIMEOUT_S):
            while len(mail.taken) < MESSAGES // 10:
                await asyncio.sleep(0.01)
        await world.kill_gateway()
        assert len(mail.taken) < MESSAGES, "the kill came too late to show anything"
        mail.delay_s = 0.0
        await world.start_gateway()
        for message_id in ids:
            view = await until_settled(world, http, message_id)
            assert view["fallback"]["state"] == "sent"
    assert len(mail.taken) == MESSAGES
    assert set(mail.taken) == {f"<{message_id}.sms@shop.example>" for message_id in ids}
    doubled = sum(count - 1 for count in mail.taken.values())
    assert doubled <= CONNECTIONS
    verdict = json.loads(await world.run("audit", "--json"))
    assert verdict["agrees"] is True, verdict
