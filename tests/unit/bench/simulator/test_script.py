from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bench.simulator.script import (
    Account,
    Connection,
    Exponential,
    Fixed,
    Ids,
    Mobile,
    Outcome,
    Refusal,
    Rule,
    Script,
    Server,
    Uniform,
    duration,
    load_script,
    parse_script,
)
from gateway.errors import ConfigError

EXAMPLE = Path(__file__).parents[4] / "bench" / "carrier.example.toml"


def test_an_empty_script_takes_every_default() -> None:
    assert parse_script("") == Script()


def test_a_whole_script_is_read() -> None:
    script = parse_script(
        """
        seed = 9
        identity = "tag"
        [server]
        rate_per_s = 100
        [ids]
        response = "hex"
        [[account]]
        system_id = "gw"
        password = "secret"
        [[rule]]
        prefix = "4479"
        suffix = "00"
        share = 0.5
        latency = { kind = "uniform", min_s = 0.01, max_s = 0.02 }
        refuse = [{ status = 0x58, share = 0.1 }, { status = 0x400, share = 0.1 }]
        receipts = [{ share = 0.9 }, { state = "UNDELIV", err = "021", share = 0.1, delay = 2 }]
        [[mobile]]
        source = "447911123456"
        destination = "80800"
        text = "STOP"
        """
    )
    rule = script.rule[0]
    assert (script.seed, script.identity, script.server.rate_per_s) == (9, "tag", 100.0)
    assert (script.ids.response, script.account[0].password) == ("hex", "secret")
    assert [refusal.status for refusal in rule.refuse] == [0x58, 0x400]
    assert [outcome.state for outcome in rule.receipts] == ["DELIVRD", "UNDELIV"]
    assert duration(rule.latency) == Uniform(min_s=0.01, max_s=0.02)
    assert script.mobile[0].text == "STOP"


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("sed = 3", "sed", "did you mean 'seed'"),
        ("seed = 'x'", "seed", "int"),
        ("[serve]", "serve", "did you mean 'server'"),
        ("[server]\nrate_per_s = -1", "server.rate_per_s", ">= 0"),
        ("[server]\nreceipts_to = 'elsewhere'", "server.receipts_to", "elsewhere"),
        ("[connection]\ndrop_evry = 1", "connection.drop_evry", "did you mean 'drop_every'"),
        ("[[rule]]\nlatncy = 3", "rule[0].latncy", "did you mean 'latency'"),
        ("[[rule]]\n[[rule]]\nprefix = '+44'", "rule[1].prefix", "regex"),
        ("[[rule]]\nshare = 1.1", "rule[0].share", "<= 1"),
        ("[[rule]]\nlatency = -1", "rule[0].latency", "not between"),
        ("[[rule]]\nlatency = { kind = 'gauss' }", "rule[0].latency.kind", "gauss"),
        ("[[rule]]\nlatency = { kind = 'uniform', min_s = 1 }", "rule[0].latency.max_s", "missing"),
        (
            "[[rule]]\nlate = { kind = 'uniform', min_s = 2, max_s = 1 }",
            "rule[0].late.min_s",
            "more than max_s",
        ),
        ("[[rule]]\nreceipts = [{ state = 'LOST' }]", "rule[0].receipts[0].state", "LOST"),
        ("[[rule]]\nreceipts = [{ share = 0.4 }]", "rule[0].receipts", "add up to 0.4"),
        ("[[rule]]\nreceipts = []", "rule[0].receipts", "add up to 0"),
        ("[[rule]]\nreceipts = [{ delay = -2 }]", "rule[0].receipts[0].delay", "not between"),
        (
            "[[rule]]\nrefuse = [{ status = 8 }, { status = 88, share = 0.1 }]",
            "rule[0].refuse",
            "add up to 1.1",
        ),
        ("[[rule]]\nrefuse = [{ status = 0 }]", "rule[0].refuse[0].status", ">= 1"),
        (
            "[[rule]]\nsilence_share = 0.6\ndrop_share = 0.6",
            "rule[0].silence_share + drop_share + garbage_share",
            "add up to 1.2",
        ),
        ("[[rule]]\nmalformed = ['odd']", "rule[0].malformed[0]", "odd"),
        ("[[rule]]\nmalformed_share = 1\nmalformed = []", "rule[0].malformed", "no variant"),
        ("[ids]\nresponse = 'uuid'", "ids.receipt", "UUID"),
        ("[[account]]\npassword = 'x'", "account[0].system_id", "missing"),
        ("[[mobile]]\nsource = 'me'\ndestination = '1'\ntext = 'x'", "mobile[0].source", "regex"),
        ("seed =", "", "not TOML"),
    ],
)
def test_what_is_wrong_with_a_script_is_said_by_its_key(text: str, key: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_script(text)
    assert caught.value.key == key
    assert said in str(caught.value)


def test_a_script_that_can_not_be_read_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't read"):
        load_script(tmp_path / "absent.toml")


def test_a_bare_number_is_a_fixed_duration() -> None:
    assert duration(2) == Fixed(s=2.0)


@pytest.mark.parametrize(
    ("value", "at_start", "at_half", "at_end"),
    [
        (Fixed(s=0.2), 0.2, 0.2, 0.2),
        (Uniform(min_s=1, max_s=3), 1.0, 2.0, 3.0),
        (Exponential(mean_s=1.0, max_s=5.0), 0.0, 0.6931471805599453, 5.0),
    ],
)
def test_a_distribution_runs_from_its_least_to_its_most(
    value: Fixed | Uniform | Exponential, at_start: float, at_half: float, at_end: float
) -> None:
    almost_one = 1 - 2**-32
    assert value.at(0.0) == pytest.approx(at_start)
    assert value.at(0.5) == pytest.approx(at_half)
    assert value.at(almost_one) == pytest.approx(at_end)


def test_the_example_names_every_key_there_is() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    load_script(EXAMPLE)
    tables = (Script, Server, Connection, Ids, Account, Rule, Refusal, Outcome, Mobile)
    for table in tables:
        for field in msgspec.structs.fields(table):
            assert re.search(rf"\b{field.name}( =|\]| *\])", text), f"{table.__name__}.{field.name}"


def test_the_examples_defaults_are_the_defaults() -> None:
    example = load_script(EXAMPLE)
    assert (example.seed, example.identity) == (Script().seed, Script().identity)
    assert (example.server, example.connection, example.ids) == (Server(), Connection(), Ids())
