"""The shape of the tree, held by its import lines: who decides, who waits, who may know whom.

    errors model scopes lifecycle  ←  ids views outcomes config
                            ←  rooms that decide: text smpp◆ throttle routing dlr credit
                            ←  use cases
                            ←  shells: store api hooks smpp.client … and what joins them
                            ←  app cli

A new file of a room is picked up by itself. A new file beside `app.py` counts as a shell until it
is listed among VALUES or USE_CASES here, so that nothing further in can come to lean on it.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

INNERMOST = {"errors", "model", "message", "record", "lifecycle", "scopes"}
VALUES = {
    *("ids", "views", "reports", "personal", "outcomes", "config", "config_file", "email_address"),
    "settling",
}
DECIDING_ROOMS = {"text", "throttle", "routing", "dlr", "credit", "smpp"}
SMPP_SHELLS = {"client", "link", "server"}
"""Files of `smpp/` that hold sockets; everything else there decides."""
USE_CASES = {
    *("intake", "ways", "particulars", "content", "outgoing", "receipts", "references", "refunds"),
    *("dispatch", "carrier_state", "ceilings", "expiry", "fleet", "jobs", "retry", "shelves"),
    *("notices", "quotes", "lease", "passed", "foreign", "ownership"),
    *("journal", "withdrawn", "assessed", "tables", "writing", "arrived"),
}
USE_CASE_ROOMS = {
    "upstream": {
        "roster",
        "logins",
        "bind",
        "door",
        "desk",
        "errands",
        "postman",
        "server",
        "front",
        "depth",
    },
    "inbound": {"desk"},
    "fallback": {"sender", "smtp", "depth"},
    "live": {"binds", "carriers", "settings", "watch"},
    "nodes": {
        *("arrivals", "claim", "duties", "elsewhere", "errands", "holdings", "keeper"),
        *("bell", "receivers", "shares", "sight"),
    },
    "peers": set(),
}
"""Use cases with a room of their own → its files that wait; everything else there decides."""
SHELL_ROOMS = {"store", "api", "hooks", "smpp"}
COMPOSITION = {"app", "parts", "cli", "demo", "serve", "supervisor", "__main__"}

UNDECIDING = {"config", "config_file"}
"""They read the environment and the file; use cases import the types alone."""

WAITING_MODULES = {
    # I/O and what leads to it
    *("asyncio", "concurrent", "multiprocessing", "os", "select", "selectors", "signal"),
    *("socket", "ssl", "subprocess", "tempfile", "threading", "uvloop"),
    # the clock and chance
    *("time", "random", "secrets", "uuid"),
    # saying what happens instead of returning it
    *("logging", "structlog", "prometheus_client"),
    # the outside
    *("aiohttp", "aiosmtplib", "asyncpg", "httptools", "litestar", "uvicorn"),
}

LINES_MAX = 400
LONG_FILES = {
    "gateway/dispatch.py": (
        770,
        "one queue, its timers and what is in flight change together; its values, the retry"
        " decision and the shelves stand in files of their own already",
    ),
    "gateway/parts.py": (620, "every part beside the ones that it meets, which is what it is for"),
    "gateway/config.py": (600, "one tree of settings, each with its reason beside it"),
    "gateway/smpp/protocol.py": (
        600,
        "one session's verbs over one state; tables, timers, window and events stand apart",
    ),
    "gateway/smpp/pdu.py": (560, "each command's encoder beside its decoder, hot ones by hand"),
    "gateway/store/intake_writer.py": (
        450,
        "the statement that commits a batch and the slow way that repeats it one by one have to"
        " be read together",
    ),
    "gateway/store/outcome_writer.py": (450, "one batch, and the one statement that it becomes"),
    "gateway/metrics.py": (670, "every metric's name in one place, beside who counts it"),
    "gateway/api/serve.py": (450, "the server and its connections, which stop hand in hand"),
    "gateway/receipts.py": (
        430,
        "what waits, what is parked and what is remembered change together",
    ),
    "gateway/carriers.py": (460, "a carrier's callbacks, each a few lines over the same state"),
}
"""Path → how long it may become, and why it isn't split."""


def _files(*patterns: str) -> list[Path]:
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)})


def _module(path: Path) -> str:
    """The dotted name of a file: `gateway.text.udh`; a room's `__init__` is the room."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Every module that the code may come to import, wherever the line stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + is_package]
                origin = ".".join([*above, origin]) if origin else ".".join(above)
            yield origin
            # `from gateway.smpp import pdu` imports a file, not a name of the package.
            yield from (f"{origin}.{alias.name}" for alias in node.names)


@functools.cache
def _our_modules() -> frozenset[str]:
    return frozenset(map(_module, _files("gateway/**/*.py", "bench/**/*.py")))


@functools.cache
def _imports_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    found = set(_imports(tree, _module(path), path.name == "__init__.py"))
    ours = _our_modules()
    return frozenset(n for n in found if not n.startswith(("gateway.", "bench.")) or n in ours)


def _clock_reads(tree: ast.AST) -> Iterator[str]:
    """`datetime` is a value type that also reads the clock: those verbs only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
            owner = ast.unparse(node.value)
            if owner.rpartition(".")[2] in {"datetime", "date"}:
                yield f"{owner}.{node.attr}"


def _decides(path: Path) -> bool:
    parts = path.relative_to(ROOT / "gateway").with_suffix("").parts
    if len(parts) == 1:
        return parts[0] in (INNERMOST | VALUES | USE_CASES) - UNDECIDING
    if parts[0] in USE_CASE_ROOMS:
        return parts[1] not in USE_CASE_ROOMS[parts[0]]
    return parts[0] in DECIDING_ROOMS and not (parts[0] == "smpp" and parts[1] in SMPP_SHELLS)


def _deciding_files() -> list[Path]:
    return [path for path in _files("gateway/**/*.py") if _decides(path)]


def _layer(module: str) -> str:
    """Where a module of the gateway stands."""
    parts = module.split(".")[1:]
    if not parts:
        return "root"
    name = parts[0]
    if name in COMPOSITION:
        return "composition"
    if len(parts) == 1 and name in INNERMOST | VALUES | USE_CASES:
        return "innermost" if name in INNERMOST else "values" if name in VALUES else "use case"
    if name in USE_CASE_ROOMS:
        return "shell" if parts[1:2] and parts[1] in USE_CASE_ROOMS[name] else "use case"
    if name == "smpp" and len(parts) > 1 and parts[1] in SMPP_SHELLS:
        return "shell"
    return "room" if name in DECIDING_ROOMS else "shell"


MAY_IMPORT = {
    "innermost": {"innermost"},
    "values": {"innermost", "values"},
    "room": {"innermost"},  # and its own files
    "use case": {"innermost", "values", "room", "use case"},
    "shell": {"innermost", "values", "room", "use case", "shell"},
}


def _room(module: str) -> str:
    """The folder that a module stands in; "" beside `app.py`."""
    path = ROOT.joinpath(*module.split("."))
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or (len(parts) == 2 and path.is_dir()) else ""


def _outward(importer: str, imported: str) -> str | None:
    """Say why `importer` may not import `imported`; None when it may."""
    here, there = _layer(importer), _layer(imported)
    if here == "composition" or there == "root":
        return None
    if there == "composition":
        return "only the composition root knows everything"
    if here == "room":
        own = there == "room" and _room(importer) == _room(imported)
        return None if own or there == "innermost" else "a room knows values and itself alone"
    if there not in MAY_IMPORT[here]:
        return f"a {here} file may not lean on a {there}"
    rooms = {_room(importer), _room(imported)}
    if here == there == "shell" and len(rooms) == 2 and rooms <= SHELL_ROOMS:
        return "shell rooms meet in the files that join them"
    return None


def test_the_globs_find_every_part_of_the_tree() -> None:
    deciding = {path.relative_to(ROOT / "gateway").parts[0] for path in _deciding_files()}
    assert deciding >= DECIDING_ROOMS
    assert deciding >= {f"{name}.py" for name in (INNERMOST | VALUES | USE_CASES) - UNDECIDING}
    layers = {_layer(_module(path)) for path in _files("gateway/**/*.py")}
    assert layers >= {"innermost", "values", "room", "use case", "shell"}
    assert len(_files("tests/unit/**/*.py")) > 10


@pytest.mark.parametrize("path", _deciding_files(), ids=_module)
def test_a_deciding_file_imports_nothing_that_waits(path: Path) -> None:
    waiting = {name for name in _imports_of(path) if name.partition(".")[0] in WAITING_MODULES}
    assert waiting == set()


@pytest.mark.parametrize("path", _deciding_files(), ids=_module)
def test_a_deciding_file_reads_no_clock(path: Path) -> None:
    assert list(_clock_reads(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", _files("gateway/**/*.py"), ids=_module)
def test_imports_point_inward(path: Path) -> None:
    importer = _module(path)
    wrong = {
        imported: why
        for imported in _imports_of(path)
        if imported.partition(".")[0] == "gateway"
        and (why := _outward(importer, imported)) is not None
    }
    assert wrong == {}


@pytest.mark.parametrize("path", _files("gateway/**/*.py"), ids=_module)
def test_the_gateway_does_not_lean_on_its_bench_or_tests(path: Path) -> None:
    if _layer(_module(path)) == "composition":
        return  # `gateway simulate` and `gateway demo` start the simulator
    tools = {name for name in _imports_of(path) if name.partition(".")[0] in {"bench", "tests"}}
    assert tools == set()


def test_only_routing_and_the_vocabulary_read_facts_from_libraries() -> None:
    found = {
        (_module(path), name)
        for path in _deciding_files()
        for name in (imported.partition(".")[0] for imported in _imports_of(path))
        if name in {"phonenumbers", "aiosmpplib", "smpplib"}
    }
    assert found <= {
        ("gateway.routing.numbers", "phonenumbers"),
        ("gateway.routing.plan", "phonenumbers"),
        ("gateway.smpp.vocabulary", "aiosmpplib"),
    }


def test_a_long_file_says_why_it_is_not_split() -> None:
    too_long = {}
    for path in _files("gateway/**/*.py", "bench/**/*.py"):
        name = path.relative_to(ROOT).as_posix()
        lines = len(path.read_text(encoding="utf-8").splitlines())
        allowed, _ = LONG_FILES.get(name, (LINES_MAX, ""))
        if lines > allowed:
            too_long[name] = f"{lines} lines, allowed {allowed}"
    assert too_long == {}


def test_every_long_file_that_is_excused_exists() -> None:
    assert [name for name in LONG_FILES if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize(
    ("source", "module", "is_package", "expected"),
    [
        ("import asyncio.events", "gateway.x", False, {"asyncio.events"}),
        ("def f():\n    from socket import socket", "gateway.x", False, {"socket"}),
        ("from gateway.smpp import pdu", "gateway.x", False, {"gateway.smpp", "gateway.smpp.pdu"}),
        ("from .udh import walk", "gateway.text.segment", False, {"gateway.text.udh"}),
        ("from . import udh", "gateway.text", True, {"gateway.text", "gateway.text.udh"}),
        ("from ..store import rows", "gateway.text.segment", False, {"gateway.store.rows"}),
        ("if TYPE_CHECKING:\n    import asyncpg", "gateway.x", False, {"asyncpg"}),
    ],
)
def test_every_way_of_importing_is_seen(
    source: str, module: str, is_package: bool, expected: set[str]
) -> None:
    assert set(_imports(ast.parse(source), module, is_package)) >= expected


@pytest.mark.parametrize(
    "source", ["datetime.now(UTC)", "datetime.datetime.utcnow", "date.today()"]
)
def test_reading_the_clock_through_datetime_is_seen(source: str) -> None:
    assert list(_clock_reads(ast.parse(source)))


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("gateway.text.segment", "gateway.smpp.pdu"),
        ("gateway.routing.table", "gateway.throttle.bucket"),
        ("gateway.routing.table", "gateway.config"),
        ("gateway.smpp.protocol", "gateway.smpp.client"),
        ("gateway.dlr.parse", "gateway.receipts"),
        ("gateway.model", "gateway.text.segment"),
        ("gateway.views", "gateway.intake"),
        ("gateway.intake", "gateway.store.intake_writer"),
        ("gateway.dispatch", "gateway.smpp.client"),
        ("gateway.dispatch", "gateway.metrics"),
        ("gateway.dispatch", "gateway.a_new_file"),
        ("gateway.upstream.orders", "gateway.upstream.bind"),
        ("gateway.inbound.book", "gateway.inbound.desk"),
        ("gateway.inbound.book", "gateway.store.inbound"),
        ("gateway.upstream.mailbox", "gateway.store.deliveries"),
        ("gateway.store.reader", "gateway.api.ports"),
        ("gateway.store.reader", "gateway.app"),
        ("gateway.carriers", "gateway.cli"),
    ],
)
def test_an_import_that_points_outward_is_refused(importer: str, imported: str) -> None:
    assert _outward(importer, imported) is not None


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("gateway.text.segment", "gateway.text.udh"),
        ("gateway.routing.table", "gateway.errors"),
        ("gateway.intake", "gateway.config"),
        ("gateway.dispatch", "gateway.throttle.lanes"),
        ("gateway.smpp.client", "gateway.smpp.protocol"),
        ("gateway.store.reader", "gateway.views"),
        ("gateway.api.app", "gateway.metrics"),
        ("gateway.carriers", "gateway.store.outcome_writer"),
        ("gateway.app", "gateway.api.serve"),
        ("gateway.cli", "gateway.app"),
        ("gateway.upstream.orders", "gateway.smpp.pdu"),
        ("gateway.upstream.bind", "gateway.smpp.link"),
        ("gateway.inbound.desk", "gateway.store.inbound"),
        ("gateway.store.inbound", "gateway.inbound.parts"),
        ("gateway.store.smpp_accounts", "gateway.upstream.terms"),
    ],
)
def test_an_import_that_points_inward_is_allowed(importer: str, imported: str) -> None:
    assert _outward(importer, imported) is None
