"""What `gateway serve` says, as far as it is only words."""

from __future__ import annotations

import json
import shlex

import pytest

from gateway.config import Config
from gateway.config_file import build_config, printable_config
from gateway.serve import _changed, _reachable, write_curl


def test_the_curl_command_survives_a_shell() -> None:
    words = shlex.split(write_curl("http://127.0.0.1:8080", "'Authorization: Bearer gw_1'"))
    assert words[0] == "curl"
    assert words[words.index("-H") + 1] == "Authorization: Bearer gw_1"
    assert json.loads(words[words.index("-d") + 1])["to"].startswith("+")


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104 - what operators write
        ("::", "[::1]"),
        ("fd00::7", "[fd00::7]"),
        ("sms.example.org", "sms.example.org"),
    ],
)
def test_the_command_reaches_what_is_listened_on(host: str, reached: str) -> None:
    assert _reachable(host) == reached


def test_defaults_are_not_logged() -> None:
    assert _changed(Config(), printable_config(Config())) == {}


def test_what_was_set_is_logged_without_secrets() -> None:
    config = build_config(
        {
            "node": {"database_url": "postgresql://gateway:hunter2@db/sms"},
            "carrier": [
                {
                    "name": "alpha",
                    "host": "smsc",
                    "system_id": "gw",
                    "password": "hunter2",
                    "binds": [{"count": 2}],
                }
            ],
        }
    )
    assert _changed(config, printable_config(config)) == {
        "node": {"database_url": "postgresql://gateway:•••@db/sms"},
        "carrier": [
            {
                "name": "alpha",
                "host": "smsc",
                "system_id": "gw",
                "password": "•••",
                "binds": [{"count": 2}],
            }
        ],
    }
