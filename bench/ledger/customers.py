"""Customers: they send, cancel, are topped up, and ask again until they know what became of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import aiohttp

from bench.ledger.books import Books, told_of
from bench.ledger.setting import ACCOUNTS, LENGTHS, PREFIXES, AccountPlan
from bench.ledger.world import World
from gateway.credit.prices import format_micros

TAGS: Final = ("", "spring", "codes", "news")
COUNTRIES: Final = {"4474001": "GB", "346121": "ES", "336121": "FR", "4915112": "DE"}
GONE: Final = "4915112"
BATCH_MAX: Final = 150
ANSWER_TIMEOUT_S: Final = 60.0
UNSURE: Final = (429, 500, 502, 503, 504)
"""Answers after which the same is asked again: it may be done, or not."""


class Customers:
    """All accounts' senders, on one connection pool."""

    def __init__(
        self, world: World, books: Books, keys: Mapping[str, str], chance: Random, messages: int
    ) -> None:
        self._world = world
        self._books = books
        self._keys = keys
        self._chance = chance
        self._left = messages
        self._number = 0
        self._scheduled: list[tuple[str, str]] = []
        """Accounts and messages that wait for their hour."""
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
            connector=aiohttp.TCPConnector(limit=64),
        )

    async def close(self) -> None:
        await self._http.close()

    async def send_all(self, senders: int) -> None:
        """Send everything; return when each message is accepted or refused."""
        async with asyncio.TaskGroup() as group:
            for _ in range(senders):
                group.create_task(self._send_some())

    async def cancel_rest(self) -> None:
        """Withdraw what still waits for its hour: nobody else would end it."""
        waiting, self._scheduled = self._scheduled, []
        gate = asyncio.Semaphore(16)

        async def cancel(account: str, message_id: str) -> None:
            async with gate:
                await self._cancel(account, message_id)

        async with asyncio.TaskGroup() as group:
            for account, message_id in waiting:
                group.create_task(cancel(account, message_id))

    async def _send_some(self) -> None:
        while self._left > 0:
            account = self._chance.choices(ACCOUNTS, [a.weight for a in ACCOUNTS])[0]
            size = 1 if self._chance.random() < 0.3 else self._chance.randint(2, BATCH_MAX)
            size = min(size, self._left)
            self._left -= size
            messages = [self._draw_message() for _ in range(size)]
            if size == 1:
                await self._send_one(account, messages[0])
            else:
                await self._send_batch(account, messages)
            if self._chance.random() < 0.2:
                await self._cancel_some()

    def _draw_message(self) -> dict[str, Any]:
        chance = self._chance
        self._number += 1
        prefix = chance.choices([p for p, _ in PREFIXES], [share for _, share in PREFIXES])[0]
        digits = LENGTHS[prefix] - len(prefix)
        message: dict[str, Any] = {
            "to": f"+{prefix}{chance.randrange(10**digits):0{digits}d}",
            "from": "Ledger",
            "text": f"#{self._number} " + "x" * chance.choice((10, 10, 10, 200, 400)),
            "client_ref": f"ref-{self._number}",
            "priority": chance.choice(("otp", "transactional", "marketing")),
        }
        tag = chance.choice(TAGS)
        if tag:
            message["tag"] = tag
        if prefix == GONE:
            message["validity_s"] = chance.randint(1, 5)
        if chance.random() < 0.03:
            send_at = datetime.now(UTC) + timedelta(hours=1)
            message["send_at"] = send_at.isoformat(timespec="seconds")
        return message

    async def _send_one(self, account: AccountPlan, message: dict[str, Any]) -> None:
        status, answer = await self._ask("POST", "/v1/messages", account.name, message)
        self._note(account, message, answer if status == 202 else {"error": answer})

    async def _send_batch(self, account: AccountPlan, messages: list[dict[str, Any]]) -> None:
        body = {"messages": messages}
        _, answer = await self._ask("POST", "/v1/messages/batch", account.name, body)
        for message, result in zip(messages, answer["results"], strict=True):
            self._note(account, message, result)

    def _note(self, account: AccountPlan, message: dict[str, Any], result: dict[str, Any]) -> None:
        error = result.get("error")
        if error is not None:
            self._books.refuse(error["code"])
            return
        prefix = next(p for p, _ in PREFIXES if message["to"].startswith(f"+{p}"))
        told = told_of(account.name, COUNTRIES[prefix], message.get("tag", ""), result)
        self._books.accept(result["id"], told)
        if "send_at" in message or self._chance.random() < 0.02:
            self._scheduled.append((account.name, result["id"]))

    async def _cancel_some(self) -> None:
        for _ in range(min(len(self._scheduled), self._chance.randint(1, 5))):
            place = self._chance.randrange(len(self._scheduled))
            await self._cancel(*self._scheduled.pop(place))

    async def _cancel(self, account: str, message_id: str) -> None:
        status, _ = await self._ask("DELETE", f"/v1/messages/{message_id}", account, None)
        self._books.happened["canceled" if status == 200 else "canceled too late"] += 1

    async def _ask(
        self, method: str, path: str, account: str, body: dict[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        """Ask until there is an answer that says what is so."""
        headers = {"Authorization": f"Bearer {self._keys[account]}"}
        while True:
            await self._world.ready.wait()
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with self._http.request(
                    method, f"{self._world.url}{path}", json=body, headers=headers
                ) as answer:
                    if answer.status not in UNSURE:
                        told: dict[str, Any] = await answer.json(content_type=None)
                        return answer.status, told
            self._books.happened["asked again"] += 1
            await asyncio.sleep(0.1)


def draw_amount(chance: Random) -> str:
    """Draw a top-up, or now and then a correction."""
    micros = chance.randint(1, 20_000_000)
    return format_micros(-micros if chance.random() < 0.2 else micros)
