"""Somebody who looks while others push: one-time passwords of another account, and health."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import aiohttp

PROBE_S: Final = 0.5
PROBE_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a one-time password, and one of `/healthz` at the same time."""

    asked_s: float
    """On the monotonic clock."""
    status: int
    """0: no answer within `PROBE_TIMEOUT_S`."""
    seconds: float
    retry_after: str
    health_status: int
    health_s: float

    @property
    def taken(self) -> bool:
        return self.status == 202


class Probe:
    """Asks on its own connections, which are open before anybody pushes."""

    def __init__(self, url: str, key: str) -> None:
        self.answers: list[Answer] = []
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._number = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while True:
                began_s = time.monotonic()
                self.answers.append(await self._ask(http))
                await asyncio.sleep(max(0.05, began_s + PROBE_S - time.monotonic()))

    async def _ask(self, http: aiohttp.ClientSession) -> Answer:
        self._number += 1
        body = {
            "to": f"+447982{self._number:06d}",
            "from": "Bank",
            "text": f"#{900_000_000 + self._number} is your code",
            "priority": "otp",
        }
        asked_s = time.monotonic()
        password, health = await asyncio.gather(
            self._time(http.post(f"{self._url}/v1/messages", json=body, headers=self._headers)),
            self._time(http.get(f"{self._url}/healthz")),
        )
        return Answer(asked_s, *password, *health[:2])

    @staticmethod
    async def _time(
        call: AbstractAsyncContextManager[aiohttp.ClientResponse],
    ) -> tuple[int, float, str]:
        began_s = time.monotonic()
        try:
            async with call as answer:
                await answer.read()
                later = answer.headers.get("Retry-After", "")
                return answer.status, time.monotonic() - began_s, later
        except (aiohttp.ClientError, TimeoutError):
            return 0, time.monotonic() - began_s, ""
