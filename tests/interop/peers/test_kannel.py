"""Kannel as a customer: its bearerbox binds to our server, its smsbox takes messages over HTTP,
and npm's `smpp` is the carrier behind the gateway. Nothing at either end is ours."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest

from bench.peers.processes import find_free_ports

PEER = "Kannel 1.4.5"
ROLE = "client of our server"

GATEWAY = """
[smpp]
enabled = true
port = {smpp_port}
login_wait_first_s = 0.1
login_wait_max_s = 0.2
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

KANNEL = """
group = core
admin-port = {admin_port}
admin-password = secret
smsbox-port = {smsbox_port}
box-allow-ip = 127.0.0.1
log-level = 0
dlr-storage = internal
sms-resend-freq = 1

group = smsc
smsc = smpp
smsc-id = gateway
host = 127.0.0.1
port = {smpp_port}
transceiver-mode = true
smsc-username = shop
smsc-password = longpass
system-type = ""
interface-version = 34
enquire-link-interval = 1
reconnect-delay = 1
max-pending-submits = 100
source-addr-autodetect = true
dest-addr-ton = 1
dest-addr-npi = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms_port}
log-level = 0
mo-recode = true

group = sendsms-user
username = tester
password = foobar
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
max-messages = 0
omit-empty = true
get-url = "http://127.0.0.1:{listen_port}/mo?from=%p&to=%P&text=%b&coding=%c&class=%m&udh=%u"
"""
PASSWORD = "longpass"
OWN_NUMBER = "447700900003"
PHONE = "447911123456"
ACCEPTED, DELIVERED, FAILED, REFUSED = 8, 1, 2, 16
"""Kinds of report, as bits of Kannel's dlr-mask."""


def feature(name: str) -> pytest.MarkDecorator:
    return pytest.mark.interop(PEER, ROLE, name)


class World:
    """A customer who speaks HTTP to Kannel, Kannel, the gateway, and a carrier."""

    def __init__(self, gateway: Any, kannel: Any, smsc: Any, listener: Any) -> None:
        self.gateway = gateway
        self.kannel = kannel
        self.smsc = smsc
        self.listener = listener
        self._last = 0

    def send(self, **parameters: Any) -> tuple[str, str]:
        """Have Kannel send a message; return its number and the path that its reports come to."""
        self._last += 1
        to, path = f"4479111{self._last:05d}", f"/dlr/{self._last}"
        report = f"{self.listener.url}{path}?kind=%d&id=%F&text=%A"
        query = urllib.parse.urlencode(
            {
                "username": "tester",
                "password": "foobar",
                "from": "Shop",
                "to": to,
                "dlr-mask": 31,
                "dlr-url": report,
                **parameters,
            }
        )
        answer = self.kannel.ask(f"/cgi-bin/sendsms?{query}")
        assert answer.startswith(("0: Accepted", "3: Queued")), answer
        return to, path

    def take(self, to: str) -> dict[str, Any]:
        """Return the submission that reached the carrier for a number."""
        submission: dict[str, Any] = self.smsc.expect("submit_sm", destination_addr=to)
        return submission

    def report(self, submission: dict[str, Any], word: str = "DELIVRD", error: str = "000") -> None:
        """Let the carrier send the receipt of a submission."""
        text = (
            f"id:{submission['answer']['message_id']} sub:001 dlvrd:001 "
            f"submit date:2611220900 done date:2611220901 stat:{word} err:{error} text:"
        )
        fields = {
            "source_addr": submission["destination_addr"],
            "destination_addr": submission["source_addr"],
            "esm_class": 4,
            "short_message": text,
        }
        self.smsc.tell("send", command="deliver_sm", fields=fields)

    def wait_for_report(self, path: str, kind: int) -> dict[str, str]:
        report: dict[str, str] = self.listener.expect(path, kind=str(kind))
        return report


@pytest.fixture(scope="module")
def world(
    start_node: Callable[..., Any],
    make_gateway: Callable[[str], Any],
    start_kannel: Callable[..., Any],
    listener: Any,
) -> World:
    smsc = start_node("listen")
    (smpp_port,) = find_free_ports(1)
    gateway = make_gateway(
        GATEWAY.format(smpp_port=smpp_port, smsc_port=smsc.expect("listening")["port"])
    )
    gateway.give_smpp("shop", PASSWORD, "--rate-per-s", "100")
    gateway.run("number", "add", OWN_NUMBER, "--account", "shop")
    gateway.start()
    smsc.expect("bind_transceiver")
    kannel = start_kannel(KANNEL, smpp_port=smpp_port, listen_port=listener.port)
    gateway.wait_until(lambda: "online" in kannel.status(), "Kannel's bind", 30.0)
    return World(gateway, kannel, smsc, listener)


# ── messages to phones ───────────────────────────────────────────────────────────────────────


@feature("bind_transceiver, enquire_link every second")
def test_kannel_stays_bound(world: World) -> None:
    assert "online" in world.kannel.status()
    world.kannel.wait_for_log("enquire_link_resp", 2)


@feature("GSM-7 with its extension")
def test_gsm_7_passes_through(world: World) -> None:
    text = "Price: 5 € {ok} [~] ^| @£ñ ÄÖÜ"
    to, path = world.send(text=text, coding=0, charset="UTF-8")
    submission = world.take(to)
    assert (submission["short_message"], submission["data_coding"]) == ({"message": text}, 0)
    assert submission["source_addr"] == "Shop"
    world.wait_for_report(path, ACCEPTED)
    world.report(submission)
    world.wait_for_report(path, DELIVERED)


@feature("UCS-2")
def test_ucs_2_passes_through(world: World) -> None:
    text = "Ваш код 你好"
    to, path = world.send(text=text, coding=2, charset="UTF-8")
    submission = world.take(to)
    assert (submission["short_message"], submission["data_coding"]) == ({"message": text}, 8)
    world.report(submission)
    world.wait_for_report(path, DELIVERED)


@feature("long message that Kannel cut: a receipt for it")
@pytest.mark.parametrize(("text", "coding"), [("0123456789" * 40, 0), ("Длинный текст " * 14, 2)])
def test_a_long_text_passes_through_in_kannels_parts(world: World, text: str, coding: int) -> None:
    to, path = world.send(text=text, coding=coding, charset="UTF-8")
    parts = [world.take(to) for _ in range(3)]
    parts.sort(key=lambda part: part["short_message"]["udh"][0]["hex"])
    assert "".join(map(_text_of, parts)) == text.strip() or "".join(map(_text_of, parts)) == text
    for part in parts:
        world.report(part)
    world.wait_for_report(path, DELIVERED)


@feature("binary with a user data header")
def test_binary_content_and_its_header_pass_through(world: World) -> None:
    udh, data = bytes.fromhex("0605040b8423f0"), bytes(range(0x80, 0xC0))
    to, path = world.send(text=data, udh=udh, coding=1)
    submission = world.take(to)
    assert submission["data_coding"] == 4
    assert submission["short_message"] == {
        "udh": [{"hex": udh[1:].hex()}],
        "message": {"hex": data.hex()},
    }
    world.report(submission)
    world.wait_for_report(path, DELIVERED)


@feature("flash message")
def test_a_flash_message_keeps_its_class(world: World) -> None:
    to, _ = world.send(text="Alarm", mclass=0, coding=0)
    submission = world.take(to)
    assert submission["short_message"] == {"message": "Alarm"}
    assert submission["data_coding"] in (0x10, 0xF0)


@feature("validity")
def test_a_validity_reaches_the_carrier(world: World) -> None:
    to, _ = world.send(text="Soon", validity=120)
    assert "date" in world.take(to)["validity_period"]


@feature("ESME_RTHROTTLED above the account's rate: Kannel slows down, none lost, none twice")
def test_messages_above_the_rate_all_arrive_once(world: World) -> None:
    sent = [world.send(text=f"Number {number}")[0] for number in range(300)]
    for number, to in enumerate(sent):
        assert world.take(to)["short_message"] == {"message": f"Number {number}"}
    world.kannel.wait_for_log("0x00000058", 1)
    world.smsc.tell("send", command="enquire_link")  # whatever came twice has come before this
    world.smsc.expect("response", command="enquire_link_resp")
    assert not world.smsc.has("submit_sm")


def _text_of(part: dict[str, Any]) -> str:
    message = part["short_message"]["message"]
    if isinstance(message, str):
        return message
    octets = bytes.fromhex(message["hex"])
    return octets.decode("utf-16-be" if part["data_coding"] == 8 else "ascii")


# ── reports ──────────────────────────────────────────────────────────────────────────────────


@feature("receipt of failure, with the carrier's error")
def test_a_failure_is_reported(world: World) -> None:
    to, path = world.send(text="Hello")
    world.report(world.take(to), "UNDELIV", "034")
    report = world.wait_for_report(path, FAILED)
    assert "err:034" in report["text"]


@feature("refusal of an unusable number")
def test_an_unusable_number_is_refused_at_once(world: World) -> None:
    _, path = world.send(text="Hello", to="12")
    world.wait_for_report(path, REFUSED)


# ── messages from phones ─────────────────────────────────────────────────────────────────────


@feature("message from a phone: GSM-7, UCS-2, long")
@pytest.mark.parametrize(
    ("text", "data_coding"), [("Yes, 5 please", 0), ("Да, хочу", 8), ("z" * 300, 0)]
)
def test_a_text_from_a_phone_reaches_kannels_service(
    world: World, text: str, data_coding: int
) -> None:
    chunks = [text[at : at + 150] for at in range(0, len(text), 150)]
    for number, chunk in enumerate(chunks, start=1):
        content: dict[str, Any] = {"message": chunk}
        if len(chunks) > 1:
            content["udh"] = {"hex": f"0500036d{len(chunks):02x}{number:02x}"}
        fields = {
            "source_addr": PHONE,
            "destination_addr": OWN_NUMBER,
            "short_message": content,
            "data_coding": data_coding,
        }
        world.smsc.tell("send", command="deliver_sm", fields=fields)
    came = world.listener.expect("/mo", text=text)
    # Kannel writes a + before what the gateway marks as international.
    assert came["from"].lstrip("+") == PHONE
    assert came["to"].lstrip("+") == OWN_NUMBER


@feature("message from a phone: flash, GSM-7 and UCS-2")
@pytest.mark.parametrize(
    ("text", "data_coding", "coding"), [("Look now", 0x10, "0"), ("Смотри", 0x18, "2")]
)
def test_a_flash_message_from_a_phone_keeps_its_class(
    world: World, text: str, data_coding: int, coding: str
) -> None:
    octets = text.encode("ascii" if text.isascii() else "utf-16-be")
    _write(world, short_message={"hex": octets.hex()}, data_coding=data_coding)
    came = world.listener.expect("/mo", text=text)
    assert came["class"] == "0"
    assert came["from"].lstrip("+") == PHONE


@feature("message from a phone: binary with a user data header")
def test_octets_from_a_phone_reach_kannels_service(world: World) -> None:
    udh, data = "0605040b8423f0", "00ff801b65"
    content = {"udh": {"hex": udh}, "message": {"hex": data}}
    _write(world, short_message=content, data_coding=4)
    came = world.listener.expect("/mo", coding="1")
    assert urllib.parse.unquote_to_bytes(came["raw udh"]).hex() == udh
    assert urllib.parse.unquote_to_bytes(came["raw text"].replace("+", " ")).hex() == data


def _write(world: World, **fields: Any) -> None:
    phone = {"source_addr": PHONE, "destination_addr": OWN_NUMBER, **fields}
    world.smsc.tell("send", command="deliver_sm", fields=phone)


# ── bad days ─────────────────────────────────────────────────────────────────────────────────


@feature("gateway restarts: Kannel binds again, and what waited goes on")
def test_kannel_outlives_a_restart_of_the_gateway(world: World) -> None:
    world.gateway.stop()
    to, path = world.send(text="Meanwhile")
    world.gateway.start()
    world.smsc.expect("bind_transceiver")
    world.report(world.take(to))
    world.wait_for_report(path, DELIVERED)
