"""The HTTP server: uvicorn's parser and transport handling, our own life cycle and limits.

uvicorn's `Server` owns signals, exits the process when a port is taken and polls for its end;
this one is started and stopped by the composition root, inside its event loop. uvicorn has no
limit for slow heads and bodies nor for a head's size: `GatewayProtocol` adds them, and answers
what it refuses with the same problem details as the API.

Not here: what is answered (`app.py`), how long is too long (`patience.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from email.utils import formatdate
from typing import cast

import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.api.answers import Answer, write_headers
from gateway.api.asgi import ASGIApp
from gateway.api.cycle import DirectCycle
from gateway.api.direct import PATH, DirectSubmit
from gateway.api.patience import Limits, Patience, Stage, Verdict
from gateway.api.problems import answer_problem
from gateway.api.proxies import TrustedProxies
from gateway.listening import port_of
from gateway.tls.listener import TlsListener

NO_PROXIES = TrustedProxies((), "x-forwarded-for")
BACKLOG = 2_048
ACCEPT_TURNS = 2
"""Of the event loop: in one it hears of the connections that wait, in the next it has them all."""
CUT_OFF_S = 1.0
"""What cancelled requests may take to end."""
TICK_S = 1.0
"""How often connections are looked at and the Date header is renewed."""


class State(ServerState):
    """What all connections of a server know."""

    leaving = False
    """Whether each connection's next answer is its last."""
    header_lines = b""
    """`default_headers` as they are written."""


class HttpServer:
    """Serves one ASGI application on one address."""

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits | None = None,
        *,
        submit: DirectSubmit | None = None,
        proxies: TrustedProxies = NO_PROXIES,
    ) -> None:
        """`submit` takes the requests that it accepts without the application."""
        self._submit = submit
        self._proxies = proxies
        self._limits = limits or Limits()
        self._config = uvicorn.Config(
            cast(ASGI3Application, app),
            interface="asgi3",
            lifespan="off",
            ws="none",
            # Logging is the gateway's: uvicorn configures none, and what it would say of clients'
            # garbage is answered and counted as a request instead.
            log_config=None,
            log_level="critical",
            access_log=False,
            # uvicorn's own way believes whatever stands in the header of an address; ours is
            # `proxies.py`.
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=self._limits.keep_alive_s,
        )
        self._state = State()
        self._server: asyncio.Server | None = None
        self._secure: TlsListener[GatewayProtocol] | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._lost = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that is listened on without TLS; of the first address, where the host has
        several; 0: none."""
        return 0 if self._server is None else port_of(self._server)

    @property
    def tls_port(self) -> int:
        """The port that is listened on with TLS; 0: none."""
        return self._secure.port if self._secure is not None else 0

    async def start(self, host: str, port: int, *, shared: bool = False) -> None:
        """Listen on `host` and `port` (0: any free one), `shared` with processes that do so too;
        raises OSError when that can't be."""
        assert self._server is None, "not started"
        self._begin()
        self._server = await asyncio.get_running_loop().create_server(
            self._make_protocol, host, port, backlog=BACKLOG, reuse_port=shared
        )

    async def start_tls(
        self,
        host: str,
        port: int,
        current: Callable[[], ssl.SSLContext],
        *,
        shared: bool = False,
    ) -> None:
        """As `start`, with TLS and the context that is `current` when a connection comes."""
        assert self._secure is None, "not started"
        self._begin()
        self._secure = TlsListener(
            current, self._greet, lambda _: None, handshake_s=self._limits.head_timeout_s
        )
        await self._secure.start(host, port, shared=shared)

    def _begin(self) -> None:
        if self._tick is None:
            self._config.load()
            self._on_tick(asyncio.get_running_loop())

    def _make_protocol(self) -> GatewayProtocol:
        loop = asyncio.get_running_loop()
        return GatewayProtocol(
            self._config,
            self._state,
            loop,
            self._limits,
            self._lost.set,
            self._submit,
            self._proxies,
        )

    def _greet(self, peer: object) -> GatewayProtocol | None:
        """Let a connection begin its handshake, where others leave room for being told 503."""
        assert self._secure is not None, "it is who asks"
        open_ones = len(self._state.connections) + self._secure.handshakes
        return self._make_protocol() if open_ones < 2 * self._limits.connections_max else None

    async def stop(self, timeout_s: float, *, linger_s: float = 0.0) -> int:
        """Stop accepting, finish the requests that are under way, close every connection.

        With `linger_s` a connection without a request has so long to bring one, whose answer says
        that it is the last: its client then goes to who still listens, and nothing has failed.
        Returns how many requests were cut off because they took longer than `timeout_s`.
        """
        if self._server is None and self._secure is None:
            return 0
        if linger_s:
            await self._see_off(linger_s)
        if self._server is not None:
            self._server.close()
        if self._secure is not None:
            await self._secure.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        cut = 0
        try:
            async with asyncio.timeout(timeout_s):
                await self._drain()
        except TimeoutError:
            direct = sum(cast(GatewayProtocol, c).awaits_commit for c in self._state.connections)
            cut = len(self._state.tasks) + direct
            await self._cut_off()
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        if self._server is not None:
            await self._server.wait_closed()
        self._server = self._secure = None
        return cut

    async def _see_off(self, linger_s: float) -> None:
        """Let in who is at the door already, close it, and answer what still comes from inside."""
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        if self._server is not None:
            self._server.close()
        if self._secure is not None:
            await self._secure.close_door()
        self._state.leaving = True
        for connection in self._state.connections:
            cast(GatewayProtocol, connection).end_with_this_answer()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(linger_s):
                if self._secure is not None:
                    await self._secure.settle()
                await self._drain()

    async def _drain(self) -> None:
        while self._state.tasks or self._state.connections:
            if self._state.tasks:
                await asyncio.wait(list(self._state.tasks))
            else:
                self._lost.clear()
                await self._lost.wait()

    async def _cut_off(self) -> None:
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CUT_OFF_S):
                await self._drain()

    def _on_tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        self._state.header_lines = write_headers(self._state.default_headers)
        now = loop.time()
        for connection in list(self._state.connections):
            cast(GatewayProtocol, connection).look_after(now)
        self._tick = loop.call_later(TICK_S, self._on_tick, loop)


class HeadTooLarge(Exception):
    """Stops the parser in the middle of what it was fed; its caller sees a parser's error."""


class GatewayProtocol(HttpToolsProtocol):
    """One connection: uvicorn's, with a bound on everything that a client can drag out.

    Where a request stands is read from uvicorn's own state once a second instead of noted down
    at each of its events: that costs 1 µs a request where noting cost 10.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: State,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        on_lost: Callable[[], None],
        submit: DirectSubmit | None = None,
        proxies: TrustedProxies = NO_PROXIES,
    ) -> None:
        super().__init__(config, state, app_state={}, _loop=loop)
        self._limits = limits
        self._state = state
        self._on_lost = on_lost
        self._submit = submit
        self._proxies = proxies
        self._proxied = False
        """Whether a proxy that we trust is at the other end."""
        self._patience = Patience()
        self._reads = 0
        self._read_bytes = 0
        self._head_bytes = 0
        """What earlier reads brought of the head that is still incomplete."""
        self._deaf = False
        """Whether what still arrives is thrown away."""
        self._refused = False

    @property
    def awaits_commit(self) -> bool:
        """Whether a request is under way that no task stands for."""
        cycle: object = self.cycle
        return type(cycle) is DirectCycle and not cycle.response_complete

    def end_with_this_answer(self) -> None:
        """Have the request under way be the last, if there is one."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def look_after(self, now: float) -> None:
        """Close or refuse what takes too long; called every TICK_S."""
        verdict = self._patience.judge(
            self._stage(),
            self.scope,
            self._reads,
            self._limits,
            now,
            paused=self.flow.read_paused,
            stalled=self.flow.write_paused,
        )
        match verdict:
            case Verdict.TELL:
                self._refuse(
                    answer_problem(408, "request_timeout", "the request did not arrive in time")
                )
            case Verdict.CLOSE:
                self.transport.close()
            case Verdict.ABORT:
                self.transport.abort()
            case Verdict.WAIT:
                pass

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._proxied = self.client is not None and self._proxies.trusts(self.client[0])
        excess = len(self.connections) - self._limits.connections_max
        if excess > self._limits.connections_max:
            transport.abort()
        elif excess > 0:
            self._refuse(
                answer_problem(
                    503, "too_many_connections", "too many connections are open", retry_after_s=1
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._submit is not None and self.awaits_commit and self.cycle.more_body:
            self._submit.left()
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._reads += 1
        self._read_bytes = len(data)
        request = self.scope
        super().data_received(data)
        if self._head_is_open():
            # The parser keeps what it has of an unfinished header without asking for its size.
            # Where in this read a new head began is not known: it counts from the next one on.
            same = self.scope is request
            self._head_bytes = self._head_bytes + len(data) if same else 0
            self._check_head_size(self._head_bytes)
        else:
            self._head_bytes = 0

    def on_headers_complete(self) -> None:
        if self._head_bytes + self._read_bytes > self._limits.head_bytes_max:
            self._check_head_size(len(self.url) + sum(len(n) + len(v) for n, v in self.headers))
            if self._deaf:
                raise HeadTooLarge
        if self._proxied and self.client is not None:
            self.scope["client"] = self._proxies.find_client(self.client[0], self.headers), 0
        if self.url == PATH and self._may_go_direct():
            self.cycle = DirectCycle(  # type: ignore[assignment]  # the same to uvicorn
                self.scope,
                self.transport,
                self._state.header_lines,
                self._on_direct_answer,
                keep_alive=self.parser.should_keep_alive() and not self._state.leaving,
            )
        else:
            super().on_headers_complete()
            if self._state.leaving and self.cycle is not None:
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        cycle: object = self.cycle
        if type(cycle) is DirectCycle:
            cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        cycle: object = self.cycle
        if type(cycle) is DirectCycle:
            assert self._submit is not None, "there is no such cycle without it"
            cycle.more_body = False
            client = self.scope["client"]
            address = client[0] if client else ""
            self._submit.begin(self.headers, address, cycle.body, cycle.reply)
        else:
            super().on_message_complete()

    def _on_direct_answer(self) -> None:
        """As `on_response_complete` where nothing waits behind, without a timer for each request:
        `look_after` sees what is kept too long."""
        if self.pipeline or self.flow.read_paused:
            self.on_response_complete()

    def _may_go_direct(self) -> bool:
        """Whether this request is a single submit that nothing stands before on its connection."""
        return (
            self._submit is not None
            and self.parser.get_method() == b"POST"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
            and self._submit.accepts(self.headers)
        )

    def send_400_response(self, msg: str) -> None:
        if not self._deaf:
            self._refuse(answer_problem(400, "bad_request", "this is not HTTP/1.1"))

    def _stage(self) -> Stage:
        if self._refused:
            return Stage.REFUSED
        if self._head_is_open():
            return Stage.SILENT if self.scope is None else Stage.HEAD
        if self.cycle.response_complete:
            # Of a body that ends after its answer uvicorn doesn't note the end.
            return Stage.REST if self.cycle.more_body else Stage.KEPT
        return Stage.BODY if self.cycle.more_body else Stage.WORK

    def _head_is_open(self) -> bool:
        """Whether the latest request has begun and its headers have not ended, or none came yet."""
        return self.cycle is None or self.cycle.scope is not self.scope

    def _check_head_size(self, size: int) -> None:
        if size > self._limits.head_bytes_max:
            limit = self._limits.head_bytes_max
            self._refuse(
                answer_problem(
                    431, "head_too_large", f"line and headers have at most {limit} bytes"
                )
            )

    def _refuse(self, answer: Answer) -> None:
        """Answer in the application's place, and read no further request from this connection."""
        self._deaf = True
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if not self.cycle.more_body or self.cycle.response_started:
                # What is refused came behind a whole request: that one is still answered.
                self.cycle.keep_alive = False
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._refused = True
        headers = [
            *self.server_state.default_headers,
            *answer.header_list(),
            (b"connection", b"close"),
        ]
        head = write_headers(headers)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[answer.status], head, answer.body))
        # Only our half is closed: see `discard_s`. TLS has no halves; it is closed after that.
        if self.transport.can_write_eof():
            self.transport.write_eof()
