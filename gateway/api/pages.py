"""The pages of one node among several that share a port: how it is, and its metrics.

On an address of its own, because on the shared one any of them may answer. Nothing else is
answered there. What the pages say is `routes.py`'s too; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.api.answers import Answer, encode
from gateway.api.asgi import Receive, Scope, Send, send_answer
from gateway.api.ports import Condition
from gateway.api.problems import answer_not_ready, answer_problem
from gateway.api.shapes import Alive, Ready

METRICS_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
_METHODS: Final = {"GET", "HEAD"}


class NodePages:
    """An ASGI application of three pages."""

    def __init__(self, condition: Condition, metrics_text: Callable[[], bytes]) -> None:
        self._condition = condition
        self._metrics_text = metrics_text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send_answer(send, self._answer(scope["method"], scope["path"]))

    def _answer(self, method: str, path: str) -> Answer:
        if method not in _METHODS:
            return answer_problem(
                405,
                "method_not_allowed",
                "this address takes GET",
                headers=((b"allow", b"GET"),),
            )
        match path:
            case "/healthz":
                return Answer(200, encode(Alive()))
            case "/readyz":
                problems = self._condition.problems()
                return answer_not_ready(problems) if problems else Answer(200, encode(Ready()))
            case "/metrics":
                return Answer(200, self._metrics_text(), METRICS_TYPE)
            case _:
                return answer_problem(404, "route_not_found", "there is nothing at this address")
