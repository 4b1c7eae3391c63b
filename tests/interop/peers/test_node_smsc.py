"""npm's `smpp` as the SMSC that our gateway binds to."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PEER = "node smpp 0.5"
ROLE = "SMSC for our binds"

CONFIG = """
[dispatch]
retry_first_s = 0.3
retry_max_s = 0.5
[[price]]
price = "0.01"
"""
CARRIER = """
[[carrier]]
name = "{name}"
host = "localhost"
port = {port}
system_id = "{name}"
password = "longer than eight"
reconnect_first_s = 0.1
{settings}
[[route]]
carriers = ["{name}"]
prefixes = ["{prefix}"]
"""
# Each is another way of a carrier; the number's eighth digit chooses.
CARRIERS = {
    "plain": "enquire_link_s = 1.0",
    "hex": 'ids = {{ response = "hex", receipt = "decimal" }}\n'
    'binds = [{{ mode = "transmitter" }}, {{ mode = "receiver" }}]',
    "tls": 'wide_reference = true\ntls = {{ enabled = true, ca_file = "{ca_file}" }}',
    "slow": "",  # is throttled, and takes its time afterwards
    "national": 'national = ["turkish", "spanish", "portuguese"]',
    "sar": 'long = "sar"',
    "payload": 'long = "payload"',
    "packed": "packed = true",
    "latin": 'alphabet = "latin-1"\ndata_coding_gsm7 = 3',
    "smart": "smart = true",
}
PREFIXES = {name: f"4479111{digit}" for digit, name in enumerate(CARRIERS)}
OWN_NUMBER = "447700900001"
PHONE = "447911123456"


def feature(name: str) -> pytest.MarkDecorator:
    return pytest.mark.interop(PEER, ROLE, name)


class World:
    """The gateway with three carriers, all of them node's."""

    def __init__(self, gateway: Any, smsc: Any, tls: Any, hex_receiver: int) -> None:
        self.hex_receiver = hex_receiver
        self.gateway = gateway
        self.smsc = smsc
        self.tls = tls
        self._last = 0

    def number(self, carrier: str = "plain") -> str:
        """A number of a carrier that no other test sends to."""
        self._last += 1
        return f"{PREFIXES[carrier]}{self._last:04d}"

    def take(self, to: str, peer: Any = None, parts: int = 1) -> list[dict[str, Any]]:
        """Return the submissions that came to a number, in the order of their parts."""
        return [(peer or self.smsc).expect("submit_sm", destination_addr=to) for _ in range(parts)]

    def report(
        self, submission: dict[str, Any], *, peer: Any = None, session: Any = None, **changes: Any
    ) -> None:
        """Send the receipt of a submission, in text unless `changes` say otherwise."""
        message_id = submission["answer"]["message_id"]
        fields = {
            "source_addr": submission["destination_addr"],
            "destination_addr": submission["source_addr"],
            "esm_class": 4,
            "short_message": receipt_text(message_id),
            **changes,
        }
        session = submission["session"] if session is None else session
        (peer or self.smsc).tell("send", session=session, command="deliver_sm", fields=fields)


def receipt_text(message_id: str, word: str = "DELIVRD", error: str = "000") -> str:
    return (
        f"id:{message_id} sub:001 dlvrd:001 submit date:2611220900 done date:2611220901 "
        f"stat:{word} err:{error} text:"
    )


@pytest.fixture(scope="module")
def world(
    start_node: Callable[..., Any], make_gateway: Callable[[str], Any], ca_file: Path
) -> World:
    smsc, tls = start_node("listen"), start_node("listen", tls=True)
    ports = {"plain": smsc.expect("listening")["port"], "tls": tls.expect("listening")["port"]}
    carriers = [
        CARRIER.format(
            name=name,
            port=ports.get(name, ports["plain"]),
            prefix=PREFIXES[name],
            settings=settings.format(ca_file=ca_file),
        )
        for name, settings in CARRIERS.items()
    ]
    gateway = make_gateway(CONFIG + "".join(carriers))
    gateway.run("number", "add", OWN_NUMBER, "--account", "shop")
    gateway.start()
    tls.expect("bind_transceiver")
    for name in CARRIERS.keys() - {"hex", "tls"}:
        smsc.expect("bind_transceiver", session=name)
    return World(gateway, smsc, tls, smsc.expect("bind_receiver")["number"])


@pytest.fixture(autouse=True)
def forget(world: World) -> None:
    world.smsc.forget()


# ── binds ────────────────────────────────────────────────────────────────────────────────────


@feature("bind_transceiver, with a password of any length, after the SMSC's unbind")
def test_the_gateway_binds_again_after_an_unbind_and_after_a_cut(world: World) -> None:
    for cut in ("unbind", "destroy"):
        world.smsc.tell(cut, session="plain")
        bind = world.smsc.expect("bind_transceiver", session="plain")
        assert bind["password"] == "longer than eight"
        assert bind["interface_version"] == 0x34
        to = world.number()
        message_id = world.gateway.send(to, text="Still there")
        (submission,) = world.take(to)
        world.report(submission)
        world.gateway.wait_for_status(message_id, "delivered")


@feature("refused bind, then a bind that is taken")
def test_a_refused_bind_is_tried_again(world: World) -> None:
    world.smsc.tell("plan", to="plain", statuses=[0x0D])
    world.smsc.tell("destroy", session="plain")
    assert world.smsc.expect("bind_transceiver")["answer"]["command_status"] == 0x0D
    assert world.smsc.expect("bind_transceiver")["answer"]["command_status"] == 0


@feature("enquire_link, asked by either")
def test_each_side_answers_enquire_link(world: World) -> None:
    world.smsc.expect("enquire_link", session="plain")
    world.smsc.tell("send", session="plain", command="enquire_link")
    answer = world.smsc.expect("response", session="plain", command="enquire_link_resp")
    assert answer["command_status"] == 0


@feature("unknown command and alert_notification leave the session alone")
def test_what_nobody_asked_for_does_not_disturb_the_session(world: World) -> None:
    unknown = f"{16:08x}{0x00000ABC:08x}{0:08x}{77:08x}"
    world.smsc.tell("raw", session="plain", hex=unknown)
    nack = world.smsc.expect("response", command="generic_nack")
    assert (nack["sequence_number"], nack["command_status"]) == (77, 0x03)
    fields = {"source_addr": PHONE, "esme_addr": "plain"}
    world.smsc.tell("send", session="plain", command="alert_notification", fields=fields)
    world.smsc.tell("send", session="plain", command="enquire_link")
    world.smsc.expect("response", command="enquire_link_resp")


@feature("response to nothing, and twice the same response, are dropped")
def test_responses_to_nothing_do_not_disturb_the_session(world: World) -> None:
    stray = f"{19:08x}{0x80000004:08x}{0:08x}{0x7000:08x}{b'42'.hex()}00"
    world.smsc.tell("raw", session="plain", hex=stray * 2)
    world.smsc.tell("send", session="plain", command="enquire_link")
    world.smsc.expect("response", command="enquire_link_resp")


# ── messages to phones ───────────────────────────────────────────────────────────────────────


@feature("GSM-7 with its extension")
def test_gsm_7_reads_as_it_was_written(world: World) -> None:
    to = world.number()
    text = "Price: 5 € {ok} [~] ^|\\ @£ñ ÄÖÜ Δ"
    message_id = world.gateway.send(to, text=text)
    (submission,) = world.take(to)
    assert submission["short_message"] == {"message": text}
    assert submission["data_coding"] == 0
    assert (submission["source_addr"], submission["source_addr_ton"]) == ("Shop", 5)
    assert (submission["dest_addr_ton"], submission["dest_addr_npi"]) == (1, 1)
    assert submission["registered_delivery"] & 3 == 1
    world.report(submission)
    world.gateway.wait_for_status(message_id, "delivered")


@feature("UCS-2 with surrogate pairs")
def test_ucs_2_reads_as_it_was_written(world: World) -> None:
    to = world.number()
    text = "Ваш код 你好 😀"
    message_id = world.gateway.send(to, text=text)
    (submission,) = world.take(to)
    assert submission["short_message"] == {"message": text}
    assert submission["data_coding"] == 8
    world.report(submission)
    world.gateway.wait_for_status(message_id, "delivered")


@feature("long message by UDH, 8-bit reference")
@pytest.mark.parametrize(
    ("text", "parts"), [("0123456789" * 31 + "€€", 3), ("Длинный текст 😀 " * 10, 3)]
)
def test_a_long_text_comes_in_parts_that_make_the_text(world: World, text: str, parts: int) -> None:
    to = world.number()
    message_id = world.gateway.send(to, text=text)
    submissions = world.take(to, parts=parts)
    assert all(submission["esm_class"] & 0x40 for submission in submissions)
    headers = [submission["short_message"]["udh"][0]["hex"] for submission in submissions]
    assert [header[:4] for header in headers] == ["0003"] * parts
    assert len({header[4:6] for header in headers}) == 1
    assert [header[6:] for header in headers] == [f"{parts:02x}{n:02x}" for n in (1, 2, 3)]
    assert "".join(_text_of(submission) for submission in submissions) == text
    for submission in submissions:
        assert world.gateway.read(message_id)["status"] != "delivered"
        world.report(submission)
    world.gateway.wait_for_status(message_id, "delivered")


def _text_of(submission: dict[str, Any]) -> str:
    """What node made of a part: with a header, octets of data_coding 0 stay octets there."""
    message = submission["short_message"]["message"]
    if isinstance(message, str):
        return message
    octets = bytes.fromhex(message["hex"])
    if submission["data_coding"] == 8:
        return octets.decode("utf-16-be")
    return octets.replace(b"\x1b\x65", "€".encode("cp1252")).decode("cp1252")


@feature("long message by UDH, 16-bit reference, over TLS")
def test_a_long_text_with_wide_references_over_tls(world: World) -> None:
    to = world.number("tls")
    message_id = world.gateway.send(to, text="x" * 200)
    submissions = world.take(to, world.tls, parts=2)
    headers = [submission["short_message"]["udh"][0]["hex"] for submission in submissions]
    assert [header[:4] for header in headers] == ["0804"] * 2
    assert [header[8:] for header in headers] == ["0201", "0202"]
    assert [len(_octets_of(s)) for s in submissions] == [152, 48]
    for submission in submissions:
        world.report(submission, peer=world.tls)
    world.gateway.wait_for_status(message_id, "delivered")


def _octets_of(submission: dict[str, Any]) -> bytes:
    message = submission["short_message"]["message"]
    return bytes.fromhex(message["hex"]) if isinstance(message, dict) else message.encode("ascii")


@feature("binary with a user data header")
def test_binary_content_and_its_header_arrive_untouched(world: World) -> None:
    to = world.number()
    udh, data = "0605040b8423f0", bytes(range(0x80, 0xC0)).hex()
    message_id = world.gateway.send(to, data=data, udh=udh, encoding="binary")
    (submission,) = world.take(to)
    assert submission["data_coding"] == 4
    assert submission["esm_class"] & 0x40
    assert submission["short_message"]["udh"] == [{"hex": udh[2:]}]
    assert submission["short_message"]["message"] == {"hex": data}
    world.report(submission)
    world.gateway.wait_for_status(message_id, "delivered")


@feature("validity_period, relative")
def test_the_rest_of_the_validity_is_read_as_the_moment_it_ends(world: World) -> None:
    to = world.number()
    world.gateway.send(to, text="Soon", validity_s=7_200)
    (submission,) = world.take(to)
    assert 7_100 < submission["validity_period"]["date"] - time.time() < 7_300


@feature("message class")
@pytest.mark.parametrize(("text", "data_coding"), [("Alarm", 0x10), ("Тревога", 0x18)])
def test_a_flash_message_has_its_data_coding(world: World, text: str, data_coding: int) -> None:
    to = world.number()
    world.gateway.send(to, text=text, message_class=0)
    (submission,) = world.take(to)
    assert submission["short_message"] == {"message": text}
    assert submission["data_coding"] == data_coding


# ── carriers' own ways ───────────────────────────────────────────────────────────────────────


@feature("national shift tables: Turkish, Spanish, Portuguese")
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Güneşli bir gün, ığdır çok sıcak", 1),
        ("Mañana será otro día, ¿qué más da?", 2),
        ("Não há pães, só maçãs e limões", 3),
    ],
)
def test_a_national_table_is_named_and_read(world: World, text: str, language: int) -> None:
    to = world.number("national")
    world.gateway.send(to, text=text)
    (submission,) = world.take(to)
    elements = [element["hex"] for element in submission["short_message"]["udh"]]
    assert elements
    assert set(elements) <= {f"2401{language:02x}", f"2501{language:02x}"}
    assert submission["short_message"]["message"] == text


@feature("long message by SAR parameters")
def test_a_long_text_is_numbered_by_sar(world: World) -> None:
    to = world.number("sar")
    message_id = world.gateway.send(to, text="s" * 200)
    submissions = world.take(to, parts=2)
    numbers = [(s["sar_total_segments"], s["sar_segment_seqnum"]) for s in submissions]
    assert numbers == [(2, 1), (2, 2)]
    assert len({submission["sar_msg_ref_num"] for submission in submissions}) == 1
    assert not any(submission["esm_class"] & 0x40 for submission in submissions)
    assert "".join(s["short_message"]["message"] for s in submissions) == "s" * 200
    for submission in submissions:
        world.report(submission)
    world.gateway.wait_for_status(message_id, "delivered")


@feature("long message in message_payload")
def test_a_long_text_travels_as_one_payload(world: World) -> None:
    to = world.number("payload")
    message_id = world.gateway.send(to, text="p" * 400)
    (submission,) = world.take(to)
    assert submission["message_payload"]["message"] == "p" * 400
    world.report(submission)
    told = world.gateway.wait_for_status(message_id, "delivered")
    assert told["segments"] == 3


@feature("packed 7-bit")
def test_a_packed_text_is_shorter_by_an_octet_in_eight(world: World) -> None:
    to = world.number("packed")
    world.gateway.send(to, text="packed!!")
    (submission,) = world.take(to)
    # node knows no packed septets, but it says how long the PDU is: eight took seven octets.
    validity = "000000000000000R"
    assert submission["command_length"] == 33 + len("Shop" + to + validity) + 7


@feature("Latin-1 as the carrier's alphabet")
def test_latin_1_reads_as_it_was_written(world: World) -> None:
    to = world.number("latin")
    text = "Tschüß, señor: ¡olé! ©"
    world.gateway.send(to, text=text)
    (submission,) = world.take(to)
    assert (submission["short_message"], submission["data_coding"]) == ({"message": text}, 3)


@feature("typographic characters replaced")
def test_typographic_characters_cost_no_ucs_2(world: World) -> None:
    to = world.number("smart")
    world.gateway.send(to, text="“It’s here” – at last…")
    (submission,) = world.take(to)
    assert submission["short_message"] == {"message": '"It\'s here" - at last...'}
    assert submission["data_coding"] == 0


# ── answers ──────────────────────────────────────────────────────────────────────────────────


@feature("ESME_RTHROTTLED and ESME_RMSGQFUL: sent again")
@pytest.mark.parametrize("status", [0x58, 0x14])
def test_a_throttled_message_is_sent_again(world: World, status: int) -> None:
    to = world.number("slow")
    world.smsc.tell("plan", to=to, statuses=[status])
    message_id = world.gateway.send(to, text="Patience")
    refused, taken = world.take(to, parts=2)
    assert refused["answer"] == {"command_status": status}
    world.report(taken)
    world.gateway.wait_for_status(message_id, "delivered")


@feature("refusal for good: the message ends rejected")
def test_a_refusal_for_good_ends_the_message(world: World) -> None:
    to = world.number()
    world.smsc.tell("plan", to=to, statuses=[0x0B])
    message_id = world.gateway.send(to, text="Nowhere")
    world.gateway.wait_for_status(message_id, "rejected")


@feature("vendor's status: tried again")
def test_a_vendors_status_is_tried_again(world: World) -> None:
    to = world.number()
    world.smsc.tell("plan", to=to, statuses=[0x401])
    message_id = world.gateway.send(to, text="Whatever that means")
    _, taken = world.take(to, parts=2)
    world.report(taken)
    world.gateway.wait_for_status(message_id, "delivered")


# ── receipts ─────────────────────────────────────────────────────────────────────────────────

_RECEIPTS: dict[str, dict[str, str | int]] = {
    "text": {},
    "TLVs alone": {
        "short_message": "",
        "receipted_message_id": "{id}",
        "message_state": 2,
    },
    "text and TLVs": {"receipted_message_id": "{id}", "message_state": 2},
    "text in message_payload": {"short_message": "", "message_payload": "{text}"},
    "TLVs without esm_class": {
        "esm_class": 0,
        "short_message": "",
        "receipted_message_id": "{id}",
        "message_state": 2,
    },
}


@feature("receipt as text, as TLVs, as both, in message_payload")
@pytest.mark.parametrize("form", _RECEIPTS)
def test_a_receipt_is_read_in_every_form_and_acknowledged(world: World, form: str) -> None:
    to = world.number()
    message_id = world.gateway.send(to, text="Hello")
    (submission,) = world.take(to)
    carrier_id = submission["answer"]["message_id"]
    changes: dict[str, Any] = {
        key: value.format(id=carrier_id, text=receipt_text(carrier_id))
        if isinstance(value, str)
        else value
        for key, value in _RECEIPTS[form].items()
    }
    world.report(submission, **changes)
    answer = world.smsc.expect("response", command="deliver_sm_resp")
    assert answer["command_status"] == 0
    assert answer["message_id"] == ""
    world.gateway.wait_for_status(message_id, "delivered")


@feature("receipt as data_sm")
def test_a_receipt_may_come_as_data_sm(world: World) -> None:
    to = world.number()
    message_id = world.gateway.send(to, text="Hello")
    (submission,) = world.take(to)
    fields = {
        "source_addr": to,
        "destination_addr": "Shop",
        "esm_class": 4,
        "receipted_message_id": submission["answer"]["message_id"],
        "message_state": 2,
    }
    world.smsc.tell("send", session="plain", command="data_sm", fields=fields)
    assert world.smsc.expect("response", command="data_sm_resp")["command_status"] == 0
    world.gateway.wait_for_status(message_id, "delivered")


@feature("receipt of failure, with its error")
def test_a_receipt_of_failure_ends_the_message(world: World) -> None:
    to = world.number()
    message_id = world.gateway.send(to, text="Hello")
    (submission,) = world.take(to)
    text = receipt_text(submission["answer"]["message_id"], "UNDELIV", "034")
    world.report(submission, short_message=text)
    told = world.gateway.wait_for_status(message_id, "undelivered")
    assert "034" in str(told)


@feature("intermediate notification, then the final receipt")
def test_an_intermediate_notification_is_not_the_end(world: World) -> None:
    to = world.number()
    message_id = world.gateway.send(to, text="Hello")
    (submission,) = world.take(to)
    carrier_id = submission["answer"]["message_id"]
    world.report(submission, esm_class=0x20, short_message=receipt_text(carrier_id, "ENROUTE"))
    world.smsc.expect("response", command="deliver_sm_resp")
    assert world.gateway.read(message_id)["status"] == "submitted"
    world.report(submission)
    world.gateway.wait_for_status(message_id, "delivered")


@feature("id in hexadecimal in the answer, in decimal in the receipt, on the other bind")
def test_an_id_in_two_notations_is_one_id(world: World) -> None:
    world.smsc.tell("ids", base=16)
    try:
        to = world.number("hex")
        message_id = world.gateway.send(to, text="Hello")
        (submission,) = world.take(to)
    finally:
        world.smsc.tell("ids", base=10)
    decimal = str(int(submission["answer"]["message_id"], 16))
    world.report(submission, session=world.hex_receiver, short_message=receipt_text(decimal))
    world.gateway.wait_for_status(message_id, "delivered")


# ── messages from phones ─────────────────────────────────────────────────────────────────────


def _write(world: World, **fields: Any) -> None:
    phone = {"source_addr": PHONE, "destination_addr": OWN_NUMBER, **fields}
    world.smsc.tell("send", session="plain", command="deliver_sm", fields=phone)


def _wait_for_inbound(world: World, text: str) -> dict[str, Any]:
    def find() -> list[dict[str, Any]]:
        status, page = world.gateway.call("GET", f"/v1/inbound?to={OWN_NUMBER}")
        assert status == 200, page
        return [message for message in page["messages"] if message["text"] == text]

    world.gateway.wait_until(lambda: bool(find()), f"{text!r} from a phone")
    return find()[0]


@feature("message from a phone: GSM-7, UCS-2")
@pytest.mark.parametrize(("text", "data_coding"), [("Да, хочу 😀", 8), ("Yes, 5 € {please}", 0)])
def test_a_text_from_a_phone_is_kept_and_acknowledged(
    world: World, text: str, data_coding: int
) -> None:
    _write(world, short_message={"message": text}, data_coding=data_coding)
    answer = world.smsc.expect("response", command="deliver_sm_resp")
    assert answer["command_status"] == 0
    told = _wait_for_inbound(world, text)
    assert told["from"] == PHONE


@feature("message from a phone: flash, GSM-7 and UCS-2")
@pytest.mark.parametrize(("text", "data_coding"), [("Flash 5 €", 0x10), ("Вспышка 😀", 0x18)])
def test_a_flash_message_from_a_phone_is_read(world: World, text: str, data_coding: int) -> None:
    octets = text.encode("utf-16-be") if data_coding == 0x18 else b"Flash 5 \x1be"
    _write(world, short_message={"hex": octets.hex()}, data_coding=data_coding)
    answer = world.smsc.expect("response", command="deliver_sm_resp")
    assert answer["command_status"] == 0
    assert _wait_for_inbound(world, text)["from"] == PHONE


@feature("message from a phone: long, parts out of order")
def test_a_long_text_from_a_phone_is_put_together_in_any_order(world: World) -> None:
    for part, text in ((2, "and this is the end of it"), (1, "This is the beginning ")):
        udh = {"hex": f"0500034e02{part:02x}"}
        _write(world, short_message={"udh": udh, "message": text}, data_coding=0)
        answer = world.smsc.expect("response", command="deliver_sm_resp")
        assert answer["command_status"] == 0
    _wait_for_inbound(world, "This is the beginning and this is the end of it")


@feature("message from a phone: binary with a header")
def test_octets_from_a_phone_are_kept_as_octets(world: World) -> None:
    content = {"udh": {"hex": "0605040b8423f0"}, "message": {"hex": "00ff80"}}
    _write(world, short_message=content, data_coding=4, source_addr="447911123999")
    world.smsc.expect("response", command="deliver_sm_resp", command_status=0)

    def came() -> bool:
        page = world.gateway.call("GET", f"/v1/inbound?to={OWN_NUMBER}")[1]
        return any(message["from"] == "447911123999" for message in page["messages"])

    world.gateway.wait_until(came, "octets from a phone")
