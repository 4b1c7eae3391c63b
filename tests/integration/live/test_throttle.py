"""What throttles, on a gateway that runs: who waits, who does not, and who is told so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from gateway.store import accounts, keys
from gateway.store.ceilings import save_ceilings

Operators = Callable[..., Awaitable[list[Any]]]
Settings = Callable[..., str]

QUICK = "[[rule]]\nlatency = 0.002\n"
SMALL_SHELVES = "queue_messages_max = 1000\n"
"""In [dispatch], where the settings of these tests begin: 500 messages of a lane in memory."""


class Customer:
    """An account that submits over HTTP; its texts begin with its name."""

    def __init__(self, node: Any, name: str, key: str, http: aiohttp.ClientSession) -> None:
        self.name = name
        self.sent = 0
        self._node = node
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"}

    async def submit(self, priority: str, to: str = "") -> None:
        status, answer, _ = await self.try_to_submit(priority, to)
        assert status == 202, answer

    async def try_to_submit(self, priority: str, to: str = "") -> tuple[int, Any, int]:
        """Return the status, what was said, and the Retry-After (0: none)."""
        url = f"{self._node.url}/v1/messages"
        body = self._message(priority, to)
        async with self._http.post(url, json=body, headers=self._headers) as answer:
            retry_after = int(answer.headers.get("Retry-After", "0"))
            return answer.status, await answer.json(), retry_after

    async def flood(self, count: int, priority: str) -> None:
        url = f"{self._node.url}/v1/messages/batch"
        body = {"messages": [self._message(priority) for _ in range(count)]}
        async with self._http.post(url, json=body, headers=self._headers) as answer:
            assert answer.status == 202, await answer.text()

    def _message(self, priority: str, to: str = "") -> dict[str, str]:
        self.sent += 1
        to = to or f"447400{self.sent:06d}"
        return {"to": to, "text": f"{self.name} {self.sent} {priority}", "priority": priority}


@pytest.fixture
async def customers(node: Any) -> Any:
    """Make `await customers("bank")`; `shop` exists."""
    async with aiohttp.ClientSession() as http:

        async def make(name: str) -> Customer:
            if name == "shop":
                return Customer(node, name, node.key, http)
            made = await accounts.create_account(node.database, name, default_sender="Other")
            await accounts.deposit(node.database, made.id, 10**9, reason="test", author="test")
            key = (await keys.create_key(node.database, made.id)).plaintext
            return Customer(node, name, key, http)

        yield make


def texts(operator: Any) -> list[str]:
    return [submit.content.decode("latin-1") for _, submit in operator.came]


def of(operator: Any, name: str, priority: str = "") -> list[int]:
    """Return the numbers of an account's messages in the order in which the carrier got them."""
    words = [text.split() for text in texts(operator)]
    return [int(number) for who, number, lane in words if who == name and priority in ("", lane)]


async def _limit(node: Any, name: str, **ceilings: Any) -> None:
    """Give an account ceilings, as `gateway account ceilings` does, and wait until they hold."""
    standing = await accounts.find_account(node.database, name)
    assert standing is not None
    await save_ceilings(node.database, standing.account.id, **ceilings)
    await node.gateway.parts.directory.refresh()


async def _fetch(node: Any, path: str) -> Any:
    headers = {"Authorization": f"Bearer {node.key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.get(node.url + path) as answer:
            return await (answer.text() if path == "/metrics" else answer.json())


# ── lanes ────────────────────────────────────────────────────────────────────────────────────


async def test_a_flood_of_one_account_delays_nobodys_one_time_passwords(
    node: Any, operators: Operators, settings: Settings, customers: Any
) -> None:
    (alpha,) = await operators(QUICK)
    await node.start(settings({"alpha": alpha}, [["alpha"]], alpha="rate_per_s = 200"))
    shop, bank = await customers("shop"), await customers("bank")
    await shop.flood(3_000, "marketing")
    await node.until(lambda: len(alpha.came) >= 20)
    passed = []
    for customer in (bank, shop) * 10:
        await customer.submit("otp")
        number, taken = customer.sent, len(alpha.came)
        await node.until(lambda: number in of(alpha, customer.name, "otp"))  # noqa: B023
        place = texts(alpha).index(f"{customer.name} {number} otp")
        passed.append(max(0, place - taken))
    # Strict lanes: what was under way when it was accepted, and at most one for the share.
    assert max(passed) <= 10, passed
    assert sum(passed) / len(passed) <= 5
    assert len(of(alpha, "shop", "marketing")) < 3_000, "the flood was over before"
    await node.apply(settings({"alpha": alpha}, [["alpha"]]))  # the rest may leave at once
    await node.until_final()
    assert of(alpha, "shop", "marketing") == [*range(1, 3_001)]


async def test_in_one_lane_accounts_take_turns_however_much_one_has(
    node: Any, operators: Operators, settings: Settings, customers: Any
) -> None:
    (alpha,) = await operators(QUICK)
    text = settings({"alpha": alpha}, [["alpha"]], SMALL_SHELVES, alpha="rate_per_s = 300")
    await node.start(text)
    shop, bank = await customers("shop"), await customers("bank")
    await shop.flood(2_500, "marketing")
    await node.until(lambda: len(alpha.came) >= 20)
    await bank.flood(100, "marketing")
    before = len(of(alpha, "shop"))
    await node.until(lambda: len(of(alpha, "bank")) == 100)
    # As many as its own, and what leaves until memory is looked after, four times a second.
    assert len(of(alpha, "shop")) - before <= 100 + 150, "it waited behind the flood"
    await node.apply(settings({"alpha": alpha}, [["alpha"]], SMALL_SHELVES))  # no rate any more
    await node.until_final()
    assert of(alpha, "shop") == [*range(1, 2_501)]
    assert of(alpha, "bank") == [*range(1, 101)]


# ── ceilings ─────────────────────────────────────────────────────────────────────────────────


async def test_what_an_accounts_ceiling_holds_keeps_nobody_else_even_when_memory_is_full(
    node: Any, operators: Operators, settings: Settings, customers: Any
) -> None:
    (alpha,) = await operators(QUICK)
    await node.start(settings({"alpha": alpha}, [["alpha"]], SMALL_SHELVES))
    node.note_leaving()
    shop, bank = await customers("shop"), await customers("bank")
    await _limit(node, "shop", segments_per_s=20.0)
    await shop.flood(1_500, "marketing")
    await bank.flood(100, "marketing")
    await node.until(lambda: len(of(alpha, "bank")) == 100)
    assert len(of(alpha, "shop")) < 150, "nothing was held"
    (carrier,) = (await _fetch(node, "/v1/carriers"))["carriers"]
    assert carrier["held_back_by"] == ["account"]
    assert carrier["waiting"] > 1_000, "what waits in the database counts"
    since, so_far = asyncio.get_running_loop().time(), len(of(alpha, "shop"))
    await asyncio.sleep(2.0)
    took_s = asyncio.get_running_loop().time() - since
    assert len(of(alpha, "shop")) - so_far == pytest.approx(20 * took_s, abs=8)
    assert node.busiest_second("alpha", since) <= 21
    metrics = await _fetch(node, "/metrics")
    (line,) = [each for each in metrics.splitlines() if 'by="account"' in each]
    assert float(line.split()[-1]) >= 1.0
    await _limit(node, "shop", segments_per_s=0.0)
    await node.until(lambda: len(of(alpha, "shop")) == 1_500)
    assert of(alpha, "shop") == [*range(1, 1_501)]


async def test_a_destination_that_is_full_lets_the_rest_pass(
    node: Any, operators: Operators, settings: Settings, customers: Any
) -> None:
    (alpha,) = await operators(QUICK)
    ceiling = '[[carrier.ceilings]]\nprefixes = ["353"]\nrate_per_s = 10.0\n'
    await node.start(settings({"alpha": alpha}, [["alpha"]], alpha=ceiling))
    shop = await customers("shop")
    for number in range(40):
        await shop.submit("transactional", to=f"35387123{4000 + number}" if number % 2 else "")
    await node.until(lambda: len(alpha.came) >= 20)
    to_ireland = [to for to in alpha.recipients if to.startswith("353")]
    assert len(alpha.recipients) - len(to_ireland) == 20
    assert len(to_ireland) <= 12
    (carrier,) = (await _fetch(node, "/v1/carriers"))["carriers"]
    assert carrier["held_back_by"] == ["destination"]
    await node.until(lambda: len(alpha.came) == 40)
    to_ireland = [to for to in alpha.recipients if to.startswith("353")]
    assert to_ireland == sorted(to_ireland)


async def test_a_number_that_gets_too_much_is_told_when_it_may_have_more(
    node: Any, operators: Operators, settings: Settings, customers: Any
) -> None:
    (alpha,) = await operators(QUICK)
    fence = "[messages]\nrecipient_per_minute = 2\n"
    await node.start(
        settings({"alpha": alpha}, [["alpha"]]).replace("[dispatch]", f"{fence}[dispatch]")
    )
    shop, bank = await customers("shop"), await customers("bank")
    for _ in range(2):
        await shop.submit("otp", to="447400999999")
    status, said, retry_after = await shop.try_to_submit("otp", to="447400999999")
    assert (status, said["code"], said["field"]) == (429, "recipient_rate_exceeded", "to")
    assert 55 <= retry_after <= 60
    await shop.submit("otp", to="447400999998")
    await bank.submit("otp", to="447400999999")
    await _limit(node, "shop", recipient_per_minute=3)
    await shop.submit("otp", to="447400999999")
    status, _, _ = await shop.try_to_submit("otp", to="447400999999")
    assert status == 429


# ── back-pressure ────────────────────────────────────────────────────────────────────────────


async def test_a_full_queue_sends_away_with_a_time_and_takes_again_when_it_has_emptied(
    node: Any, operators: Operators, settings: Settings, customers: Any
) -> None:
    (alpha,) = await operators(QUICK)
    limits = "rate_per_s = 100\nqueue_max = 300"
    await node.start(settings({"alpha": alpha}, [["alpha"]], alpha=limits))
    shop = await customers("shop")
    await shop.flood(299, "marketing")
    await node.until(lambda: len(alpha.came) >= 120)  # it is known how fast the queue empties
    await shop.flood(800, "marketing")
    status, said, retry_after = await shop.try_to_submit("marketing")
    assert (status, said["code"]) == (503, "queue_full")
    too_many = 299 + 800 - len(alpha.came) - 300
    assert retry_after == pytest.approx(too_many / 100, rel=0.6)
    await shop.submit("otp")
    await asyncio.sleep(retry_after)
    async with asyncio.timeout(20.0):
        while (await shop.try_to_submit("marketing"))[0] != 202:
            await asyncio.sleep(0.2)
    await node.until_final()
    counted = Counter(texts(alpha))
    assert set(counted.values()) == {1}


# ── rates ────────────────────────────────────────────────────────────────────────────────────


async def test_a_rate_is_reached_without_turning_the_loop_for_nothing(
    node: Any, operators: Operators, settings: Settings, customers: Any
) -> None:
    """700 a second, with a burst of one, is a segment each 1.43 ms of a clock in whole ones."""
    (alpha,) = await operators(QUICK)
    limits = "rate_per_s = 700\nwindow_size = 200"
    await node.start(settings({"alpha": alpha}, [["alpha"]], alpha=limits))
    node.note_leaving()
    desk, turns = node.gateway.parts.desk, Counter[str]()
    pump = desk._pump_again

    def count(line: Any) -> None:
        turns["timers"] += 1
        pump(line)

    desk._pump_again = count
    shop = await customers("shop")
    await shop.flood(3_000, "marketing")
    await node.until(lambda: len(alpha.came) >= 500)
    since, sent = asyncio.get_running_loop().time(), len(node.left["alpha"])
    turns.clear()
    await asyncio.sleep(2.0)
    took_s = asyncio.get_running_loop().time() - since
    assert len(node.left["alpha"]) - sent >= 0.9 * 700 * took_s
    assert node.busiest_second("alpha") <= 701
    assert turns["timers"] <= 1_000 * took_s


async def test_binds_keep_rates_of_their_own(
    node: Any, operators: Operators, settings: Settings, customers: Any
) -> None:
    (alpha,) = await operators(QUICK)
    binds = "[[carrier.binds]]\ncount = 2\nrate_per_s = 20.0\n"
    await node.start(settings({"alpha": alpha}, [["alpha"]], alpha=binds))
    await node.until(lambda: alpha.stats["binds"]["open"] == 2)
    node.note_leaving()
    shop = await customers("shop")
    await shop.flood(150, "marketing")
    await asyncio.sleep(1.0)
    (carrier,) = (await _fetch(node, "/v1/carriers"))["carriers"]
    assert carrier["held_back_by"] == ["bind_rate"]
    await node.until(lambda: len(alpha.came) == 150)
    assert node.busiest_second("alpha") <= 42
    shares = [bind["submit_sm"] for bind in alpha.stats["bind"]]
    assert min(shares) >= 60, shares
