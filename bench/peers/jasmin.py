"""Jasmin with RabbitMQ and Redis; two more processes of its own look receipts up and call back."""

from __future__ import annotations

import socket
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.generator.answers import RETRIED, Verdict
from bench.generator.messages import NUMBER_DIGITS, TEXT
from bench.peers.carrier import SimulatedCarrier
from bench.peers.processes import CannotRun, Program, find_free_ports, find_program
from bench.peers.sink import Sink
from bench.peers.system import HttpLoader, ReceiptsEnd, Running, System

HOME: Final = Path(__file__).resolve().parents[2] / ".peers" / "jasmin"
"""The environment that ops/install-jasmin makes."""
BROKER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's own program; the one in PATH around it changes the user and the folders."""
LOCK: Final = Path("/tmp/jasmind.lock")  # noqa: S108 (Jasmin's own, not ours to choose)
JCLI_TIMEOUT_S: Final = 15.0
_LEVEL: Final = "log_level = ERROR"
_SECTIONS: Final = (
    "smpp-server",
    "smpp-server-pb",
    "client-management",
    "service-smppclient",
    "sm-listener",
    "dlr",
    "amqp-broker",
    "http-api",
    "router",
    "deliversm-thrower",
    "dlr-thrower",
    "redis-client",
    "jcli",
)
_COMMANDS: Final = """\
jcliadmin
jclipwd
smppccm -a
cid bench
host 127.0.0.1
port {carrier_port}
username bench
password bench
submit_throughput 0
ok
group -a
gid bench
ok
user -a
username bench
password bench
gid bench
uid bench
ok
mtrouter -a
type DefaultRoute
connector smppc(bench)
rate 0.0
ok
smppccm -1 bench
"""

_PROMPTS: Final = (b"jcli : ", b"> ", b"Password: ")


def list_jasmins(connections: int) -> list[System]:
    return [
        System(
            name="jasmin",
            title="Jasmin, RabbitMQ, Redis",
            keeps="nothing: its queues are transient",
            configuration=(
                "0.11.1 with the lines corrected that read the carrier's answer from the request"
                " (as published it matches no receipt); submit_throughput 0, no limit; log_level"
                " ERROR, no access log; dlrlookupd and dlrd as processes of their own, as it"
                " recommends; Redis without snapshots; RabbitMQ without plugins. Receipts come"
                " after 1 s: one that comes with the response is looked up again only 10 s later"
            ),
            receipts_end=ReceiptsEnd.CALLBACK,
            check=_check,
            start=partial(_start, connections),
            receipt_delay_s=1.0,
        )
    ]


class Send:
    """The dialect of Jasmin's `/send`."""

    def __init__(self, callback: str) -> None:
        """`callback` is where receipts are sent, `{n}` in it the message's number."""
        text = urllib.parse.quote(TEXT).replace("%7Bn%7D", "{n}")
        callback = urllib.parse.quote(callback, safe="").replace("%7Bn%7D", "{n}")
        target = (
            "/send?username=bench&password=bench&from=Bench&to={to}"
            f"&content={text}&dlr=yes&dlr-level=2&dlr-method=GET&dlr-url={callback}"
        )
        self._request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    def write_request(self, numbers: Sequence[int]) -> bytes:
        (number,) = numbers
        to = f"4479111{number % 10 ** (NUMBER_DIGITS - 7):05d}"
        return self._request.replace("{to}", to).replace("{n}", str(number)).encode()

    def judge(self, status: int, body: bytes, numbers: Sequence[int]) -> Verdict:
        if status == 200 and body.startswith(b"Success"):
            return Verdict(accepted=1, segments=1)
        if status in RETRIED:
            return Verdict(again=numbers)
        return Verdict(rejected={f"{status} {body[:60].decode(errors='replace')}": 1})


@contextmanager
def _start(
    connections: int, folder: Path, carrier: SimulatedCarrier, sink: Sink
) -> Iterator[Running]:
    if LOCK.exists():
        raise CannotRun(f"{LOCK} says that a jasmind runs or was killed; if none runs, remove it")
    with ExitStack() as stack:
        stack.callback(LOCK.unlink, missing_ok=True)
        redis, redis_port = _start_redis(stack, folder)
        names, broker, broker_port = _start_broker(stack, folder)
        programs, http_port = _start_jasmin(stack, folder, redis_port, broker_port, carrier.port)
        yield Running(
            groups={
                "gateway": tuple(each.pid for each in programs),
                "brokers": (redis.pid, names.pid, broker.pid),
            },
            loader=HttpLoader(Send(sink.url("{n}")), http_port, connections=connections),
        )


def _start_redis(stack: ExitStack, folder: Path) -> tuple[Program, int]:
    (port,) = find_free_ports(1)
    words = f"--bind 127.0.0.1 --port {port} --dir {folder} --appendonly no --save".split()
    redis = stack.enter_context(
        Program("redis", [find_program("redis-server"), *words, ""], folder)
    )
    redis.wait_for_port(port)
    return redis, port


def _start_broker(stack: ExitStack, folder: Path) -> tuple[Program, Program, int]:
    """Start RabbitMQ and the name server that it would leave running behind it."""
    names_port, distribution_port, port = find_free_ports(3)
    (folder / "plugins").write_text("[].")
    environment = {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "bench@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
        ),
    }
    (folder / "rabbitmq.conf").write_text("log.console.level = error\n")
    names = stack.enter_context(
        Program("epmd", [find_program("epmd")], folder, environment=environment)
    )
    names.wait_for_port(names_port)
    broker = stack.enter_context(
        Program("rabbitmq", [str(BROKER)], folder, environment=environment)
    )
    broker.wait_for_port(port)
    return names, broker, port


def _start_jasmin(
    stack: ExitStack, folder: Path, redis_port: int, broker_port: int, carrier_port: int
) -> tuple[list[Program], int]:
    ports = dict(
        zip(
            ("smpp-server", "smpp-server-pb", "client-management", "http-api", "router", "jcli"),
            find_free_ports(6),
            strict=True,
        )
    )
    settings = folder / "jasmin.cfg"
    settings.write_text(_write_settings(folder, ports, redis_port, broker_port))
    environment = {
        "ROOT_PATH": str(folder),
        "CONFIG_PATH": str(folder),
        "LOG_PATH": str(folder / "log"),
        "STORE_PATH": str(folder / "store"),
    }
    for part in ("store", "log"):
        (folder / part).mkdir()
    programs = []
    for name in ("jasmind", "dlrlookupd", "dlrd"):
        command = [str(HOME / "bin/python"), str(HOME / f"bin/{name}.py"), "-c", str(settings)]
        program = Program(name, command, folder, environment=environment)
        programs.append(stack.enter_context(program))
        if name == "jasmind":
            program.wait_for_port(ports["jcli"])
            _configure(ports["jcli"], carrier_port)
    programs[0].wait_for_port(ports["http-api"])
    return programs, ports["http-api"]


def _write_settings(
    folder: Path, ports: Mapping[str, int], redis_port: int, broker_port: int
) -> str:
    sections: dict[str, list[str]] = {name: [_LEVEL] for name in _SECTIONS}
    for name, port in ports.items():
        sections[name] += [f"port = {port}", "bind = 127.0.0.1"]
    sections["http-api"].append("access_log = /dev/null")
    sections["redis-client"].append(f"port = {redis_port}")
    (specification,) = HOME.glob("lib/python3*/site-packages/txamqp/specs/standard/amqp0-9-1*.xml")
    sections["amqp-broker"] += [f"port = {broker_port}", f"spec = {specification}"]
    return "".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items())


def _configure(port: int, carrier_port: int) -> None:
    """Make the connector, the user and the route, as one does in Jasmin's console."""
    with socket.create_connection(("127.0.0.1", port), JCLI_TIMEOUT_S) as console:
        for command in _COMMANDS.format(carrier_port=carrier_port).splitlines():
            console.sendall(f"{command}\r\n".encode())
            said = _read_prompt(console)
            if any(word in said for word in ("Unknown", "Error", "Failed", "nvalid")):
                raise CannotRun(f"jasmin's console answers {command!r} with {said!r}")


def _read_prompt(console: socket.socket) -> str:
    said = b""
    while not said.endswith(_PROMPTS):
        more = console.recv(4096)
        if not more:
            raise CannotRun(f"jasmin's console closed: {said!r}")
        said += more
    return said.decode(errors="replace")


def _check() -> None:
    missing = [
        name
        for name, there in (
            ("RabbitMQ", BROKER.exists()),
            ("Jasmin", (HOME / "bin/jasmind.py").exists()),
        )
        if not there
    ]
    try:
        find_program("redis-server")
        find_program("epmd")
    except CannotRun as error:
        missing.append(str(error))
    if missing:
        raise CannotRun(f"missing: {', '.join(missing)}: run ops/install-jasmin")
