"""npm's `smpp` as a customer that binds to our server; its messages go on to an SMSC of the same
make, so that every octet between is read by code that this project did not write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.peers.processes import find_free_ports

PEER = "node smpp 0.5"
ROLE = "client of our server"

CONFIG = """
[smpp]
enabled = true
port = {port}
enquire_link_s = 1.0
login_wait_first_s = 0.1
login_wait_max_s = 0.2
[smpp.tls]
enabled = true
port = {tls_port}
cert_file = "{cert_file}"
key_file = "{key_file}"
[[carrier]]
name = "node"
host = "127.0.0.1"
port = {smsc_port}
system_id = "gateway"
window_size = 100
reconnect_first_s = 0.1
[[route]]
carriers = ["node"]
[[price]]
price = "0.01"
"""
OWN_NUMBER = "447700900002"
PHONE = "447911123456"
PASSWORD = "longer than eight"
ESME_RINVPASWD, ESME_RINVBNDSTS, ESME_RALYBND = 0x0E, 0x04, 0x05


def feature(name: str) -> pytest.MarkDecorator:
    return pytest.mark.interop(PEER, ROLE, name)


class World:
    """A customer, the gateway and a carrier."""

    def __init__(self, gateway: Any, esme: Any, smsc: Any, port: int, tls_port: int) -> None:
        self.gateway = gateway
        self.esme = esme
        self.smsc = smsc
        self._port = port
        self._tls_port = tls_port
        self._last = 0
        self._sessions = 0

    def connect(self, *, tls: bool = False) -> str:
        """Connect once more and return the session's name; `ask` speaks through the newest."""
        self._sessions += 1
        name = f"session-{self._sessions}"
        port = self._tls_port if tls else self._port
        self.esme.tell("connect", port=port, tls=tls, name=name)
        self.esme.expect("connected", session=name)
        return name

    def bind(self, mode: str = "transceiver", *, tls: bool = False, system_id: str = "shop") -> str:
        """Bind through a new connection, and return its name."""
        name = self.connect(tls=tls)
        answer = self.ask(f"bind_{mode}", system_id=system_id, password=PASSWORD)
        assert answer["command_status"] == 0, answer
        return name

    def leave(self, name: str) -> None:
        self.esme.tell("unbind", session=name)
        self.esme.expect("closed", session=name)

    def number(self) -> str:
        """A number that no other test sends to."""
        self._last += 1
        return f"4479111{self._last:05d}"

    def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """Have the customer send a request, and return the answer that it got."""
        self.esme.tell("send", command=command, fields=fields)
        sent = self.esme.expect("sent", command=command)
        same = {name: sent[name] for name in ("session", "sequence_number")}
        answer: dict[str, Any] = self.esme.expect("response", **same)
        return answer

    def submit(self, **fields: Any) -> tuple[str, str]:
        """Submit a message that is taken; return its number and the id that was answered."""
        to = fields.setdefault("destination_addr", self.number())
        answer = self.ask(
            "submit_sm", **{"source_addr": "Shop", "registered_delivery": 1, **fields}
        )
        assert (answer["command"], answer["command_status"]) == ("submit_sm_resp", 0), answer
        return to, answer["message_id"]

    def take(self, to: str) -> dict[str, Any]:
        """Return the submission that reached the carrier for a number."""
        submission: dict[str, Any] = self.smsc.expect("submit_sm", destination_addr=to)
        return submission

    def report(self, submission: dict[str, Any], word: str = "DELIVRD", error: str = "000") -> None:
        """Let the carrier send the receipt of a submission."""
        message_id = submission["answer"]["message_id"]
        text = (
            f"id:{message_id} sub:001 dlvrd:001 submit date:2611220900 done date:2611220901 "
            f"stat:{word} err:{error} text:"
        )
        fields = {
            "source_addr": submission["destination_addr"],
            "destination_addr": submission["source_addr"],
            "esm_class": 4,
            "short_message": text,
        }
        self.smsc.tell("send", command="deliver_sm", fields=fields)

    def wait_for_receipt(self, message_id: str) -> dict[str, Any]:
        receipt: dict[str, Any] = self.esme.expect("deliver_sm", receipted_message_id=message_id)
        return receipt


@pytest.fixture(scope="module")
def world(
    start_node: Callable[..., Any],
    make_gateway: Callable[[str], Any],
    ca_file: Path,
) -> World:
    smsc = start_node("listen")
    port, tls_port = find_free_ports(2)
    config = CONFIG.format(
        port=port,
        tls_port=tls_port,
        smsc_port=smsc.expect("listening")["port"],
        cert_file=ca_file,
        key_file=ca_file.with_name("key.pem"),
    )
    gateway = make_gateway(config)
    gateway.give_smpp("shop", PASSWORD)
    # An account whose client leaves the data_coding to npm's `smpp`.
    gateway.make_account("plain")
    gateway.give_smpp("plain", PASSWORD, "--ia5-alphabet", "gsm7", name="plain")
    gateway.run("number", "add", OWN_NUMBER, "--account", "shop")
    gateway.start()
    smsc.expect("bind_transceiver")
    return World(gateway, start_node("connect"), smsc, port, tls_port)


@pytest.fixture
def bound(world: World) -> Iterator[World]:
    """The world with the customer bound as a transceiver."""
    world.esme.forget()
    world.smsc.forget()
    name = world.bind()
    yield world
    world.leave(name)


@pytest.fixture
def unbound(world: World) -> Iterator[World]:
    """The world with a connection that is not bound."""
    world.esme.forget()
    name = world.connect()
    yield world
    world.esme.tell("destroy", session=name)
    world.esme.expect("closed", session=name)


# ── binds ────────────────────────────────────────────────────────────────────────────────────


@feature("bind_transceiver, and a password of any length")
def test_a_bind_is_answered_with_who_we_are(unbound: World) -> None:
    answer = unbound.ask("bind_transceiver", system_id="shop", password=PASSWORD)
    assert (answer["command"], answer["command_status"]) == ("bind_transceiver_resp", 0)
    assert (answer["system_id"], answer["sc_interface_version"]) == ("gateway", 0x34)


@feature("wrong password, then the right one on the same connection")
def test_a_wrong_password_is_refused_and_the_right_one_taken(unbound: World) -> None:
    answer = unbound.ask("bind_transceiver", system_id="shop", password="wrong")
    assert answer["command_status"] == ESME_RINVPASWD
    answer = unbound.ask("bind_transceiver", system_id="shop", password=PASSWORD)
    assert answer["command_status"] == 0


@feature("submission before the bind, second bind: refused")
def test_what_the_state_forbids_is_refused(unbound: World) -> None:
    answer = unbound.ask("submit_sm", destination_addr=unbound.number(), short_message="x")
    assert answer["command_status"] == ESME_RINVBNDSTS
    unbound.ask("bind_transmitter", system_id="shop", password=PASSWORD)
    again = unbound.ask("bind_transmitter", system_id="shop", password=PASSWORD)
    assert again["command_status"] == ESME_RALYBND


@feature("bind_transmitter and bind_receiver: each its own direction")
def test_submissions_go_by_the_transmitter_and_receipts_by_the_receiver(world: World) -> None:
    world.esme.forget()
    receiver = world.bind("receiver")
    refused = world.ask("submit_sm", destination_addr=world.number(), short_message="x")
    assert refused["command_status"] == ESME_RINVBNDSTS
    transmitter = world.bind("transmitter")
    to, message_id = world.submit(short_message="Hello")
    world.report(world.take(to))
    assert world.wait_for_receipt(message_id)["session"] == receiver
    world.leave(transmitter)
    world.leave(receiver)


@feature("TLS")
def test_a_customer_may_bind_over_tls(world: World) -> None:
    name = world.bind(tls=True)
    to, message_id = world.submit(short_message="In private")
    world.report(world.take(to))
    world.wait_for_receipt(message_id)
    world.leave(name)


@feature("enquire_link, asked by either")
def test_each_side_answers_enquire_link(bound: World) -> None:
    assert bound.ask("enquire_link")["command"] == "enquire_link_resp"
    bound.esme.expect("enquire_link")
    bound.esme.expect("enquire_link")  # a second one comes only when the first was answered


@feature("unknown command: generic_nack, and the session goes on")
def test_an_unknown_command_gets_a_nack(bound: World) -> None:
    bound.esme.tell("raw", hex=f"{16:08x}{0x0ABC:08x}{0:08x}{77:08x}")
    nack = bound.esme.expect("response", command="generic_nack")
    assert (nack["sequence_number"], nack["command_status"]) == (77, 0x03)
    assert bound.ask("enquire_link")["command"] == "enquire_link_resp"


@feature("damaged PDU: refused by its own response, and the session goes on")
def test_a_damaged_submission_is_refused_and_the_next_one_taken(bound: World) -> None:
    body = "00" * 10
    bound.esme.tell("raw", hex=f"{16 + 10:08x}{4:08x}{0:08x}{78:08x}{body}")
    refused = bound.esme.expect("response", sequence_number=78)
    assert (refused["command"], refused["command_status"]) == ("submit_sm_resp", 0x02)
    bound.submit(short_message="Sound again")


# ── content ──────────────────────────────────────────────────────────────────────────────────


@feature("GSM-7 with its extension")
def test_gsm_7_passes_through(bound: World) -> None:
    text = "Price: 5 € {ok} [~] ^| @£ñ ÄÖÜ Δ"
    to, message_id = bound.submit(short_message={"message": text}, data_coding=0)
    submission = bound.take(to)
    assert (submission["short_message"], submission["data_coding"]) == ({"message": text}, 0)
    assert submission["source_addr"] == "Shop"
    bound.report(submission)
    bound.wait_for_receipt(message_id)


@feature("its own choice of data_coding: 1 beside the GSM alphabet")
def test_what_it_means_by_data_coding_1_is_a_setting_of_the_account(world: World) -> None:
    world.esme.forget()
    name = world.bind(system_id="plain")
    text = "Grüße für 5 € an user@example.com {ok} _$ Ñ"
    to, message_id = world.submit(short_message=text)
    submission = world.take(to)
    assert (submission["short_message"], submission["data_coding"]) == ({"message": text}, 0)
    world.report(submission)
    world.wait_for_receipt(message_id)
    parts = {"udh": {"hex": "050003470201"}, "message": "50 €, user@example.com"}
    to, _ = world.submit(short_message=parts)
    submission = world.take(to)
    assert (submission["short_message"]["message"], submission["data_coding"]) == (
        parts["message"],
        0,
    )
    world.leave(name)


@feature("UCS-2 with surrogate pairs")
def test_ucs_2_passes_through(bound: World) -> None:
    text = "Ваш код 你好 😀"
    to, message_id = bound.submit(short_message={"message": text}, data_coding=8)
    submission = bound.take(to)
    assert (submission["short_message"], submission["data_coding"]) == ({"message": text}, 8)
    bound.report(submission)
    bound.wait_for_receipt(message_id)


@feature("flash message")
@pytest.mark.parametrize(("data_coding", "text"), [(0x10, "Alarm"), (0x18, "Тревога")])
def test_a_flash_message_keeps_its_class(bound: World, data_coding: int, text: str) -> None:
    octets = text.encode("ascii" if data_coding == 0x10 else "utf-16-be")
    to, _ = bound.submit(short_message={"hex": octets.hex()}, data_coding=data_coding)
    submission = bound.take(to)
    assert (submission["short_message"], submission["data_coding"]) == (
        {"message": text},
        data_coding,
    )


@feature("long message in message_payload: cut for the carrier, one receipt")
def test_a_message_payload_is_cut_into_parts(bound: World) -> None:
    text = "0123456789" * 40
    to, message_id = bound.submit(message_payload={"message": text}, data_coding=0)
    parts = [bound.take(to) for _ in range(3)]
    contents = [_octets_of(part) for part in parts]
    assert b"".join(contents).decode() == text
    for part in parts:
        bound.report(part)
    bound.wait_for_receipt(message_id)


@feature("long message that the client cut, by UDH and by SAR: parts stay what they are")
@pytest.mark.parametrize("form", ["8-bit", "16-bit", "SAR"])
def test_the_clients_own_parts_stay_parts(bound: World, form: str) -> None:
    to = bound.number()
    for number in (1, 2):
        fields: dict[str, Any] = {"short_message": {"message": f"part {number}"}}
        match form:
            case "8-bit":
                fields["short_message"]["udh"] = {"hex": f"05000347{2:02x}{number:02x}"}
            case "16-bit":
                fields["short_message"]["udh"] = {"hex": f"0608044711{2:02x}{number:02x}"}
            case _:
                fields |= {"sar_msg_ref_num": 0x47, "sar_total_segments": 2}
                fields["sar_segment_seqnum"] = number
        _, message_id = bound.submit(destination_addr=to, **fields)
        submission = bound.take(to)
        assert _octets_of(submission) == f"part {number}".encode()
        expected = f"0804471102{number:02x}" if form == "16-bit" else f"00034702{number:02x}"
        assert submission["short_message"]["udh"] == [{"hex": expected}]
        bound.report(submission)
        bound.wait_for_receipt(message_id)


@feature("binary with a user data header")
def test_binary_content_and_its_header_pass_through(bound: World) -> None:
    udh, data = "0605040b8423f0", bytes(range(0x80, 0xC0)).hex()
    content = {"udh": {"hex": udh}, "message": {"hex": data}}
    to, message_id = bound.submit(short_message=content, data_coding=4, esm_class=0x40)
    submission = bound.take(to)
    assert submission["data_coding"] == 4
    assert submission["short_message"] == {
        "udh": [{"hex": udh[2:]}],
        "message": {"hex": data},
    }
    bound.report(submission)
    bound.wait_for_receipt(message_id)


def _octets_of(submission: dict[str, Any]) -> bytes:
    message = submission["short_message"]["message"]
    return bytes.fromhex(message["hex"]) if isinstance(message, dict) else message.encode("ascii")


# ── what is asked of a message ───────────────────────────────────────────────────────────────


@feature("validity_period and schedule_delivery_time, absolute and relative")
def test_times_are_honoured(bound: World) -> None:
    to, _ = bound.submit(short_message="Soon", validity_period="000000020000000R")
    assert 7_000 < bound.take(to)["validity_period"]["date"] - time.time() < 7_300
    later = bound.number()
    answer = bound.ask(
        "submit_sm",
        source_addr="Shop",
        destination_addr=later,
        short_message="Later",
        schedule_delivery_time="000000000002000R",
    )
    assert answer["command_status"] == 0
    asked_at = time.monotonic()
    bound.take(later)
    assert time.monotonic() - asked_at > 1.0


@feature("unusable address, time and content: each its own status")
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"destination_addr": "12"}, 0x0B),
        ({"destination_addr": ""}, 0x0B),
        ({"source_addr": "x" * 12}, 0x0A),
        ({"short_message": ""}, 0x01),
        ({"validity_period": "not a time at all"[:16]}, 0x62),
        ({"schedule_delivery_time": "991399999999999+"}, 0x61),
    ],
)
def test_what_cannot_be_sent_is_refused_by_its_name(
    bound: World, fields: dict[str, Any], status: int
) -> None:
    usual = {"source_addr": "Shop", "destination_addr": bound.number(), "short_message": "x"}
    assert bound.ask("submit_sm", **(usual | fields))["command_status"] == status


@feature("data_sm")
def test_a_message_may_come_as_data_sm(bound: World) -> None:
    to = bound.number()
    answer = bound.ask(
        "data_sm",
        source_addr="Shop",
        destination_addr=to,
        registered_delivery=1,
        data_coding=0,  # left alone, node calls octets of GSM-7 IA5
        message_payload={"message": "By data_sm"},
    )
    assert (answer["command"], answer["command_status"]) == ("data_sm_resp", 0)
    submission = bound.take(to)
    assert submission["short_message"] == {"message": "By data_sm"}
    bound.report(submission)
    bound.wait_for_receipt(answer["message_id"])


@feature("submit_multi, with the addresses that are refused")
def test_a_submit_multi_goes_to_each_address(bound: World) -> None:
    numbers = [bound.number(), bound.number()]
    addresses = [
        {"dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": to} for to in (*numbers, "12")
    ]
    answer = bound.ask(
        "submit_multi", source_addr="Shop", dest_address=addresses, short_message="To all"
    )
    assert (answer["command"], answer["command_status"]) == ("submit_multi_resp", 0)
    assert answer["message_id"]
    failed = [
        (each["destination_addr"], each["error_status_code"]) for each in answer["unsuccess_sme"]
    ]
    assert failed == [("12", 0x0B)]
    for to in numbers:
        assert bound.take(to)["short_message"] == {"message": "To all"}


@feature("query_sm")
def test_a_message_can_be_asked_for(bound: World) -> None:
    to, message_id = bound.submit(short_message="Where is it")
    submission = bound.take(to)
    on_its_way = bound.ask("query_sm", message_id=message_id)
    assert (on_its_way["command_status"], on_its_way["message_state"]) == (0, 1)
    bound.report(submission)
    bound.wait_for_receipt(message_id)
    there = bound.ask("query_sm", message_id=message_id)
    assert (there["message_id"], there["message_state"]) == (message_id, 2)
    assert abs(there["final_date"]["date"] - time.time()) < 60
    assert bound.ask("query_sm", message_id="4711")["command_status"] == 0x0C


@feature("replace_sm: before it leaves, and too late")
def test_a_message_can_be_replaced_until_it_leaves(bound: World) -> None:
    to, waiting = bound.submit(
        short_message="First thought", schedule_delivery_time="000000000003000R"
    )
    answer = bound.ask(
        "replace_sm", message_id=waiting, source_addr="Shop", short_message="Second thought"
    )
    assert (answer["command"], answer["command_status"]) == ("replace_sm_resp", 0)
    assert bound.take(to)["short_message"] == {"message": "Second thought"}
    late = bound.ask(
        "replace_sm", message_id=waiting, source_addr="Shop", short_message="Third thought"
    )
    assert late["command_status"] == 0x13


@feature("cancel_sm: before it leaves, and too late")
def test_a_message_can_be_cancelled_until_it_leaves(bound: World) -> None:
    waiting = bound.ask(
        "submit_sm",
        source_addr="Shop",
        destination_addr=bound.number(),
        short_message="Never",
        schedule_delivery_time="000000010000000R",
    )["message_id"]
    assert bound.ask("cancel_sm", message_id=waiting)["command_status"] == 0
    assert bound.ask("query_sm", message_id=waiting)["message_state"] == 4
    to, gone = bound.submit(short_message="Gone")
    bound.take(to)
    assert bound.ask("cancel_sm", message_id=gone)["command_status"] == 0x11


# ── receipts ─────────────────────────────────────────────────────────────────────────────────


@feature("receipt: text and TLVs, addresses swapped")
def test_a_receipt_says_the_same_in_its_text_and_its_tlvs(bound: World) -> None:
    to, message_id = bound.submit(short_message="Hello")
    bound.report(bound.take(to))
    receipt = bound.wait_for_receipt(message_id)
    assert (receipt["source_addr"], receipt["destination_addr"]) == (to, "Shop")
    assert (receipt["esm_class"], receipt["message_state"]) == (4, 2)
    text = receipt["short_message"]["message"]
    assert text.startswith(f"id:{message_id} sub:001 dlvrd:001 submit date:")
    assert " stat:DELIVRD err:000 " in text


@feature("receipt of failure, with the carrier's error")
def test_a_receipt_of_failure_names_the_carriers_error(bound: World) -> None:
    to, message_id = bound.submit(short_message="Hello", registered_delivery=2)
    bound.report(bound.take(to), "UNDELIV", "034")
    receipt = bound.wait_for_receipt(message_id)
    assert receipt["message_state"] == 5
    assert " stat:UNDELIV err:034 " in receipt["short_message"]["message"]


@feature("receipt that the carrier's refusal makes")
def test_a_carriers_refusal_becomes_a_receipt(bound: World) -> None:
    to = bound.number()
    bound.smsc.tell("plan", to=to, statuses=[0x0B])
    _, message_id = bound.submit(destination_addr=to, short_message="Hello")
    assert bound.wait_for_receipt(message_id)["message_state"] == 8


@feature("receipts wait while nobody is bound, and come in order")
def test_receipts_are_kept_until_a_receiver_binds(world: World) -> None:
    world.esme.forget()
    name = world.bind("transmitter")
    sent = [world.submit(short_message="Hello") for _ in range(5)]
    for to, _ in sent:
        world.report(world.take(to))
    for _, message_id in sent:
        world.gateway.wait_for_status(message_id, "delivered")
    world.leave(name)
    name = world.bind("receiver")
    came = [world.esme.expect("deliver_sm")["receipted_message_id"] for _ in sent]
    assert came == [message_id for _, message_id in sent]
    world.leave(name)


@feature("refused deliver_sm comes again")
def test_a_delivery_that_is_refused_comes_again(bound: World) -> None:
    to, message_id = bound.submit(short_message="Hello", source_addr="Again")
    bound.esme.tell("plan", to="Again", statuses=[0x64])
    bound.report(bound.take(to))
    first = bound.wait_for_receipt(message_id)
    assert first["answer"]["command_status"] == 0x64
    assert bound.wait_for_receipt(message_id)["answer"]["command_status"] == 0


# ── messages from phones ─────────────────────────────────────────────────────────────────────


@feature("message from a phone: GSM-7, UCS-2")
@pytest.mark.parametrize(("text", "data_coding"), [("Yes, 5 € {please}", 0), ("Да 😀", 8)])
def test_a_text_from_a_phone_goes_up(bound: World, text: str, data_coding: int) -> None:
    _write(bound, short_message={"message": text}, data_coding=data_coding)
    came = bound.esme.expect("deliver_sm", source_addr=PHONE)
    assert came["short_message"] == {"message": text}
    assert (came["destination_addr"], came["data_coding"]) == (OWN_NUMBER, data_coding)
    assert came["esm_class"] == 0


@feature("message from a phone: flash, GSM-7 and UCS-2")
@pytest.mark.parametrize(("text", "data_coding"), [("Look 5 €", 0x10), ("Да 😀", 0x18)])
def test_a_flash_message_from_a_phone_keeps_its_class(
    bound: World, text: str, data_coding: int
) -> None:
    octets = text.encode("utf-16-be") if data_coding == 0x18 else b"Look 5 \x1be"
    _write(bound, short_message={"hex": octets.hex()}, data_coding=data_coding)
    came = bound.esme.expect("deliver_sm", source_addr=PHONE)
    assert (came["short_message"], came["data_coding"]) == ({"message": text}, data_coding)


@feature("message from a phone: binary with a user data header")
def test_octets_from_a_phone_go_up_behind_their_header(bound: World) -> None:
    content = {"udh": {"hex": "0605040b8423f0"}, "message": {"hex": "00ff801b65"}}
    _write(bound, short_message=content, data_coding=4)
    came = bound.esme.expect("deliver_sm", source_addr=PHONE)
    assert (came["data_coding"], came["esm_class"]) == (4, 0x40)
    assert came["short_message"] == {
        "udh": [{"hex": "05040b8423f0"}],
        "message": {"hex": "00ff801b65"},
    }


@feature("message from a phone: long, put together and cut again")
def test_a_long_text_from_a_phone_goes_up_in_numbered_parts(bound: World) -> None:
    halves = ("a" * 100, "b" * 100)
    for part in (2, 1):
        udh = {"hex": f"0500035e02{part:02x}"}
        _write(bound, short_message={"udh": udh, "message": halves[part - 1]}, data_coding=0)
    parts = [bound.esme.expect("deliver_sm", source_addr=PHONE) for _ in range(2)]
    assert [part["short_message"]["udh"][0]["hex"][6:] for part in parts] == ["0201", "0202"]
    assert b"".join(map(_octets_of, parts)).decode() == "".join(halves)


def _write(world: World, **fields: Any) -> None:
    phone = {"source_addr": PHONE, "destination_addr": OWN_NUMBER, **fields}
    world.smsc.tell("send", command="deliver_sm", fields=phone)
