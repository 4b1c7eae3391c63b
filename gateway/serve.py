"""`gateway serve`: one node as a process, from its settings to its exit status.

Signals, logging, what is printed for people, and which sentence and status each failure ends
with. What a node consists of and in which order it stops is `app.py`'s; several nodes as processes
of one are `supervisor/`'s.

    0   stopped in order
    2   a setting has to be changed before it can start
    1   anything else
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import os
import shlex
import signal
import sys
import time
import tomllib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from gateway.app import Gateway
from gateway.config import Config
from gateway.config_file import build_config, printable_config
from gateway.demo.carriers import CURRENCY, Simulator
from gateway.demo.customer import provide_account
from gateway.errors import ConfigError, GatewayError, StoreUnavailable
from gateway.listening import Seat
from gateway.live.settings import Given
from gateway.logs import get_logger, setup_logging
from gateway.store.embedded_start import join_embedded

log = get_logger("serve")

STOPPED = 0
FAILED = 1
MISCONFIGURED = 2

HURRY_S = 3.0
"""What a second signal leaves for closing connections and our own PostgreSQL."""
DEMO_ACCOUNT = "demo"
DEMO_CREDIT_UNITS = 10_000
DEMO_NUMBER = "+491713920010"
"""From a range that is kept for films."""

Tell = Callable[[Gateway], Awaitable[None]]
"""Told of a gateway that serves."""

_CANT_LISTEN = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES})


def main(config: Config, given: Given | None) -> int:
    """Run a node until a signal stops it; return the exit status.

    `given` is where the settings come from. With None it has two simulated carriers in place of
    theirs, and an account that can send; nothing can leave for a real carrier, also not by what
    is applied meanwhile.
    """
    simulated = given is None
    started_at = time.monotonic()
    begin_log(config)

    async def announce_node(gateway: Gateway) -> None:
        key = await provide_key(gateway.config) if simulated else ""
        announce(gateway.config, gateway.port, gateway.https_port, key)

    with ended_in_words(config) as end, carriers_of(config, simulated=simulated) as complete:
        gateway = Gateway(complete, given, started_at=started_at)
        end.status = _run(gateway, announce_node)
    return end.status


def serve_seat(
    config: Config, given: Given | None, seat: Seat, tell: Callable[[Gateway], None]
) -> int:
    """As `main`, for one of several nodes that share what `config` says of listening.

    `tell` is called once it serves. With `given` None its carriers are those of `config`.
    """
    started_at = time.monotonic()
    setup_logging(config.log)

    async def tell_once(gateway: Gateway) -> None:
        tell(gateway)

    with ended_in_words(config) as end:
        end.status = _run(Gateway(config, given, started_at=started_at, seat=seat), tell_once)
    return end.status


def begin_log(config: Config) -> None:
    """Set up logging, and begin with the settings."""
    setup_logging(config.log)
    log.info("settings", **_changed(config, printable_config(config)))


def _run(gateway: Gateway, tell: Tell) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(gateway, tell))
    return STOPPED


@contextlib.contextmanager
def carriers_of(config: Config, *, simulated: bool) -> Iterator[Config]:
    """Yield the settings with their carriers, simulated ones for as long as this lasts."""
    if not simulated:
        yield config
        return
    with Simulator() as simulator:
        simulator.wait_ready()
        theirs = build_config(tomllib.loads(simulator.settings()))
        yield msgspec.structs.replace(
            config, carrier=theirs.carrier, route=theirs.route, price=theirs.price
        )


async def _serve(gateway: Gateway, tell: Tell) -> None:
    ready = asyncio.Event()
    running = asyncio.create_task(gateway.run(ready.set), name="gateway")
    _obey_signals(gateway, running)
    announcing = asyncio.create_task(_tell_when_ready(gateway, ready, tell), name="announce")
    announcing.add_done_callback(_report_silence)
    try:
        await running
    finally:
        announcing.cancel()


def _report_silence(announcing: asyncio.Task[None]) -> None:
    """A node that can't say where it listens, its output being closed, listens all the same."""
    if not announcing.cancelled() and (error := announcing.exception()) is not None:
        log.error("announcement_failed", exc_info=error)


def _obey_signals(gateway: Gateway, running: asyncio.Task[None]) -> None:
    """Stop in order at the first signal, at once at the second; read certificates at SIGHUP."""
    loop = asyncio.get_running_loop()
    asked = False

    def obey(name: str) -> None:
        nonlocal asked
        if not asked:
            asked = True
            log.info("stop_asked", signal=name)
            gateway.stop()
        else:
            log.warning("stop_hurried", signal=name)
            running.cancel()
            # Whatever does not let itself be cancelled: nothing that was promised is in memory.
            loop.call_later(HURRY_S, os._exit, FAILED)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, obey, number.name)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup
        return
    if has_terminal():
        loop.add_signal_handler(signal.SIGHUP, obey, "SIGHUP")
    else:
        loop.add_signal_handler(signal.SIGHUP, gateway.renew_certificates)


def has_terminal() -> bool:
    """Whether SIGHUP would mean that somebody's terminal is gone; to a service it means: reload."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def _tell_when_ready(gateway: Gateway, ready: asyncio.Event, tell: Tell) -> None:
    await ready.wait()
    _settle_collector()
    await tell(gateway)


def announce(
    config: Config, port: int, https_port: int, key: str, metrics_ports: Sequence[int] = ()
) -> None:
    """Say where a gateway listens, and how to send a message; with a key, its carriers are
    simulated. `metrics_ports` are of its nodes, where it has several."""
    host = _reachable(config.http.host)
    base = f"http://{host}:{port}" if port else f"https://{host}:{https_port}"
    lines = [
        f"The gateway listens on {base}",
        f"  reference  {base}/docs",
    ]
    if metrics_ports:
        own = _reachable(config.node.metrics_host or config.http.host)
        lines += [f"  metrics    http://{own}:{each}/metrics" for each in metrics_ports]
    else:
        lines.append(f"  metrics    {base}/metrics")
    authorization = '"Authorization: Bearer $GATEWAY_KEY"'
    if key:
        authorization = shlex.quote(f"Authorization: Bearer {key}")
        lines += [
            "Its carriers are simulated: numbers that end in 13 are refused,",
            "and those that end in 27 come back undelivered.",
        ]
    else:
        lines.append("For a key: gateway account create NAME --credit 100 --with-key")
    lines += ["Send a message:", "", f"  {write_curl(base, authorization)}", ""]
    print("\n".join([*lines, "Ctrl-C stops it in order."]), flush=True)


async def provide_key(config: Config) -> str:
    """Return a key of an account with credit, made on the database that the gateway uses; "" with
    a word in the log when that can't be."""
    try:
        return await _provide_key(config)
    except GatewayError as error:
        log.error("demo_account_missing", error=str(error))
        return ""


async def _provide_key(config: Config) -> str:
    if config.database_url:
        return await provide_account(config.database_url, DEMO_ACCOUNT, CURRENCY, DEMO_CREDIT_UNITS)
    server = await join_embedded(Path(config.node.data_dir))
    try:
        return await provide_account(server.url, DEMO_ACCOUNT, CURRENCY, DEMO_CREDIT_UNITS)
    finally:
        await asyncio.to_thread(server.stop)


def write_curl(base: str, authorization: str) -> str:
    """Return the command that sends a message; `authorization` is a header, quoted for a shell."""
    body = json.dumps({"to": DEMO_NUMBER, "from": "Demo", "text": "Hello from the gateway"})
    return (
        f"curl -sS {base}/v1/messages -H {authorization}"
        f" -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )


def _reachable(host: str) -> str:
    """Return where this machine reaches a server that listens on `host`, as URLs write it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def _changed(section: msgspec.Struct, printed: dict[str, Any]) -> dict[str, Any]:
    """Return what differs from the defaults, as it may be `printed`.

    The whole tree is three thousand characters, of which an operator looks for ten.
    """
    changed: dict[str, Any] = {}
    for field in msgspec.structs.fields(section):
        value, shown = getattr(section, field.name), printed[field.name]
        made = field.default_factory
        if value == (field.default if made is msgspec.NODEFAULT else made()):
            continue
        if isinstance(value, msgspec.Struct):
            shown = _changed(value, shown)
        elif isinstance(value, tuple):
            pairs = zip(value, shown, strict=True)
            shown = [_changed(v, s) if isinstance(v, msgspec.Struct) else s for v, s in pairs]
        changed[field.name] = shown
    return changed


def _settle_collector() -> None:
    """Take what start-up made out of the garbage collector's rounds, and make rounds rare.

    Messages are let go by reference counts; a round only looks at those that wait. With Python's
    own settings 8,000 single submits took 190 rounds, 0.3 s together, the longest 58 to 175 ms
    in which nothing is answered; with these 3 rounds, 0.01 s, the longest 4 to 13 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


# ── How it ends ─────────────────────────────────────────────────────────────────────────────


class End:
    """How a process ends."""

    status = FAILED


@contextlib.contextmanager
def ended_in_words(config: Config) -> Iterator[End]:
    """Turn what ends this process into a sentence and an exit status."""
    end = End()
    try:
        yield end
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say("stopped at once; what was accepted is in the database and goes on at the next start")
        end.status = FAILED
    except BaseExceptionGroup as group:
        end.status = _give_up(_first_cause(group), config)
    except Exception as error:
        end.status = _give_up(error, config)


def _first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what brought a group of tasks down: the first error that is not a group itself."""
    first = group.exceptions[0]
    return _first_cause(first) if isinstance(first, BaseExceptionGroup) else first


def _give_up(error: BaseException, config: Config) -> int:
    """Say in a sentence why the node ends, and return its exit status."""
    match error:
        case ConfigError():
            _say(str(error))
            return MISCONFIGURED
        case StoreUnavailable():
            _say(f"{error}; is PostgreSQL running, and node.database_url or DATABASE_URL right?")
        case GatewayError():
            _say(str(error))
        case OSError(errno=number) if number in _CANT_LISTEN:
            where = f"{config.http.host}:{config.http.port}"
            _say(f"can't listen on {where}: {os.strerror(number)}; [http] host and port say where")
        case _:
            log.error("gateway_failed", exc_info=error)
            _say(f"ended by an error of its own: {type(error).__name__}: {error}")
    return FAILED


def _say(sentence: str) -> None:
    print(f"gateway: {sentence}", file=sys.stderr, flush=True)
