"""What a supervisor and its nodes say to each other arrives as it was said."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from gateway.config_file import parse_config
from gateway.listening import Seat
from gateway.supervisor.children import name_seat
from gateway.supervisor.orders import Orders, Ready

EXAMPLE = Path(__file__).parents[3] / "gateway.example.toml"


def test_every_setting_arrives_on_one_line() -> None:
    config = parse_config(tomllib.loads(EXAMPLE.read_text(encoding="utf-8")))
    said = Orders(seat=Seat(1, 3), config=config, author="cli:root")
    line = msgspec.json.encode(said)
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=Orders) == said


def test_that_a_node_serves_arrives() -> None:
    said = Ready(node=1_023, port=8_080, https_port=0, metrics_port=8_091)
    assert msgspec.json.decode(msgspec.json.encode(said), type=Ready) == said


def test_seats_are_counted_as_people_do() -> None:
    assert [name_seat(Seat(index, 2)) for index in range(2)] == ["1/2", "2/2"]
