"""What PostgreSQL prints when it can't work, as sentences. The texts are its own."""

from __future__ import annotations

import pytest

from gateway.store.embedded_tools import explain_failure


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            "running bootstrap script ... 2026-11-21 23:05:01 UTC [9] FATAL:  could not write to "
            'file "pg_wal/xlogtemp.9": No space left on device\nchild process exited with exit '
            "code 1\n",
            'the disk is full: could not write to file "pg_wal/xlogtemp.9": '
            "No space left on device",
        ),
        (
            "2026-11-21 UTC [9] FATAL:  pre-existing shared memory block (key 1, ID 2) is still "
            "in use\n2026-11-21 UTC [9] LOG:  database system is shut down\n",
            "processes of a killed PostgreSQL still run on this data: "
            "pre-existing shared memory block (key 1, ID 2) is still in use",
        ),
        (
            'LOG:  invalid value for parameter "work_mem": "much"\n'
            'FATAL:  configuration file "/d/local.conf" contains errors\n',
            'a start failed: invalid value for parameter "work_mem": "much"',
        ),
        (
            'initdb: error: could not access directory "/d": Permission denied\n',
            'a start failed: could not access directory "/d": Permission denied',
        ),
        (
            'ERROR:  database "x" already exists\n',
            'a start failed: database "x" already exists',
        ),
        (
            "pg_ctl: could not start server\nExamine the log output.\n",
            "a start failed: Examine the log output.",
        ),
        ("", "a start failed: no output"),
    ],
)
def test_a_failure_is_said_by_its_first_complaint(output: str, sentence: str) -> None:
    assert explain_failure("a start", output) == sentence
