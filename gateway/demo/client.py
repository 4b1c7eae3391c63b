"""A customer of the gateway's HTTP API, as far as the demonstration needs one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
import msgspec

from gateway.api.shapes import CarrierList
from gateway.demo.cases import Case
from gateway.demo.journey import Answer
from gateway.views import Balance, MessageView

TIMEOUT_S: Final = 15.0

T = TypeVar("T")


class Client:
    """One connection pool and one key."""

    def __init__(self, base: str, key: str) -> None:
        self._http = aiohttp.ClientSession(
            base,
            headers={"Authorization": f"Bearer {key}"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )

    async def submit(self, case: Case) -> Answer:
        """Make the case's request and return what is answered, whatever it is."""
        body = {"to": case.to, "text": case.text}
        if case.send_in_s:
            body["send_at"] = (datetime.now(UTC) + timedelta(seconds=case.send_in_s)).isoformat()
        headers = {"Idempotency-Key": case.idempotency_key} if case.idempotency_key else {}
        async with self._http.post("/v1/messages", json=body, headers=headers) as response:
            said = await response.json(content_type=None)
            return Answer(
                http_status=response.status,
                message_id=said.get("id", ""),
                replayed=response.headers.get("Idempotency-Replayed") == "true",
                code=said.get("code", ""),
                field=said.get("field", ""),
            )

    async def cancel(self, message_id: str) -> None:
        """Withdraw a message; that it worked is seen in the message itself."""
        async with self._http.delete(f"/v1/messages/{message_id}") as response:
            await response.read()

    async def fetch_message(self, message_id: str) -> MessageView:
        """Return a message with its parts and events."""
        return await self._fetch(f"/v1/messages/{message_id}", MessageView)

    async def fetch_balance(self) -> Balance:
        return await self._fetch("/v1/balance", Balance)

    async def carriers_are_up(self) -> bool:
        """Return whether every carrier has all its binds."""
        listed = await self._fetch("/v1/carriers", CarrierList)
        return all(carrier.state == "up" for carrier in listed.carriers)

    async def _fetch(self, path: str, kind: type[T]) -> T:
        async with self._http.get(path) as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.read(), type=kind)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.close()
