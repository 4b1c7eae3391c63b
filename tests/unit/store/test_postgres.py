from __future__ import annotations

import asyncpg
import pytest

from gateway.errors import Rejected, StoreUnavailable
from gateway.store.postgres import describe, is_unavailable, unavailable_as_503

AWAY = [
    ConnectionRefusedError("refused"),
    ConnectionResetError("reset"),
    FileNotFoundError("no socket"),
    TimeoutError(),
    EOFError(),
    StoreUnavailable("said so already"),
    asyncpg.ConnectionDoesNotExistError("closed in the middle"),
    asyncpg.ConnectionFailureError("lost"),
    asyncpg.AdminShutdownError("terminating connection"),
    asyncpg.CrashShutdownError("crash"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.TooManyConnectionsError("too many clients"),
    asyncpg.DiskFullError("no space left"),
    asyncpg.OutOfMemoryError("out of memory"),
    asyncpg.ReadOnlySQLTransactionError("a standby"),
    asyncpg.QueryCanceledError("statement timeout"),
    asyncpg.LockNotAvailableError("lock timeout"),
    asyncpg.DeadlockDetectedError("deadlock"),
    asyncpg.SerializationError("lost race"),
    asyncpg.PostgresIOError("disk"),
    asyncpg.InterfaceError("cannot perform operation: connection is closed"),
    asyncpg.InterfaceError("pool is closing"),
    asyncpg.InterfaceError("connection has been released back to the pool"),
    asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
    asyncpg.TargetServerAttributeNotMatched("none of the hosts match"),
]

OURS = [
    ValueError("x"),
    asyncpg.UniqueViolationError("duplicate key"),
    asyncpg.CheckViolationError("no partition"),
    asyncpg.UndefinedTableError("no table"),
    asyncpg.PostgresSyntaxError("syntax"),
    asyncpg.DataError("invalid input"),
    asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    asyncpg.RaiseError("GW001"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_an_error_of_a_database_that_is_away_is_known(error: BaseException) -> None:
    assert is_unavailable(error)


@pytest.mark.parametrize("error", OURS, ids=repr)
def test_an_error_of_ours_is_not_taken_for_the_database_being_away(error: BaseException) -> None:
    assert not is_unavailable(error)


def test_the_context_names_what_happened_and_keeps_the_cause() -> None:
    cause = ConnectionRefusedError("refused by 127.0.0.1")
    with pytest.raises(StoreUnavailable, match=r"away: refused by 127\.0\.0\.1") as raised:
        with unavailable_as_503():
            raise cause
    assert raised.value.__cause__ is cause


@pytest.mark.parametrize("error", [Rejected("code", "detail"), ValueError("x")], ids=repr)
def test_the_context_lets_everything_else_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, unavailable_as_503():
        raise error
    assert raised.value is error


def test_unavailable_passes_unchanged() -> None:
    error = StoreUnavailable("away", retry_after_s=7)
    with pytest.raises(StoreUnavailable) as raised, unavailable_as_503():
        raise error
    assert raised.value is error


def test_an_error_without_text_is_described_by_its_name() -> None:
    assert describe(TimeoutError()) == "the database is away: TimeoutError"
    assert describe(OSError("first line\nsecond")) == "the database is away: first line"
