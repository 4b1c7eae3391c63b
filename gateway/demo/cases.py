"""What the demonstration sends, and exactly what has to come of it. Data, and nothing else.

Not here: how it is sent (`play.py`), how it is compared (`checks.py`), what the simulated
carriers do with which number (`carriers.py`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.demo.carriers import NORTH, SOUTH

CREDIT: Final = "10"
"""What the account starts with; prices a segment are in `carriers.py`, 0.075 and 0.04."""

SCHEDULED_S: Final = 4.0
"""How far ahead the scheduled message is."""
CANCELED_S: Final = 600.0
"""How far ahead the one is that is withdrawn before its time."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a message, as a customer and the operator can see it."""

    status: str
    segments: int
    encoding: str
    carrier: str
    price: str
    """Of the whole message."""
    charged: bool = True
    """False: the price is given back."""
    refusal: str = ""
    """The command_status of a carrier that did not take it; another one may have."""
    receipt_error: str = ""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request that can't be taken: nothing is stored, nothing is charged."""

    http_status: int
    code: str
    field: str


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request that was made before: the same message, charged once."""

    of: str
    """The label of the first one."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and what it leads to."""

    label: str
    """What is special about it, in at most 18 characters."""
    to: str
    text: str
    expected: Outcome | Refusal | Replay
    send_in_s: float = 0.0
    """How far ahead it is scheduled; 0: it leaves at once."""
    cancel: bool = False
    """It is withdrawn as soon as it is accepted."""
    idempotency_key: str = ""


_LONG: Final = (
    "Dear customer, the water will be turned off on Tuesday from 9 to 12 because a main is being"
    " replaced in your street. Please fill a few bottles in time and keep the taps closed until it"
    " is over. Afterwards the first water may look brown; let it run for a minute. If you care for"
    " somebody who depends on water at that time, call us today and we will bring some along."
    " Thank you for your patience!"
)
_CHINESE: Final = (
    "尊敬的客户,您好!您预订的包裹今天下午三点到五点之间送达,请保持电话畅通。"
    "如果您届时不在家,可以在本短信的有效期内回复改期,也可以请邻居代收。"
    "感谢您一直以来的支持与信任,祝您生活愉快,万事如意!"
)

CASES: Final[tuple[Case, ...]] = (
    Case(
        label="plain text",
        to="+491713920010",
        text="Your parcel comes today before noon.",
        idempotency_key="parcel-1001",
        expected=Outcome(
            status="delivered", segments=1, encoding="gsm7", carrier=NORTH, price="0.075"
        ),
    ),
    Case(
        label="€ and {}",
        to="+12025550110",
        text="Your total is 25 € {VAT included}.",
        expected=Outcome(
            status="delivered", segments=1, encoding="gsm7", carrier=SOUTH, price="0.04"
        ),
    ),
    Case(
        label="three segments",
        to="+491713920011",
        text=_LONG,
        expected=Outcome(
            status="delivered", segments=3, encoding="gsm7", carrier=NORTH, price="0.225"
        ),
    ),
    Case(
        label="emoji",
        to="+12025550111",
        text="Thank you! 🎉 See you on Friday 👋",
        expected=Outcome(
            status="delivered", segments=1, encoding="ucs2", carrier=SOUTH, price="0.04"
        ),
    ),
    Case(
        label="long Chinese",
        to="+12025550112",
        text=_CHINESE,
        expected=Outcome(
            status="delivered", segments=2, encoding="ucs2", carrier=SOUTH, price="0.08"
        ),
    ),
    Case(
        label="second route",
        to="+491713920090",
        text="North does not want this number, so south takes it.",
        expected=Outcome(
            status="delivered",
            segments=1,
            encoding="gsm7",
            carrier=SOUTH,
            price="0.075",
            refusal="ESME_RX_R_APPN",
        ),
    ),
    Case(
        label="refused",
        to="+491713920013",
        text="The carrier says that this address is wrong.",
        expected=Outcome(
            status="rejected",
            segments=1,
            encoding="gsm7",
            carrier=NORTH,
            price="0.075",
            charged=False,
            refusal="ESME_RINVDSTADR",
        ),
    ),
    Case(
        label="undelivered",
        to="+12025550127",
        text="The carrier takes it and can't bring it to the phone.",
        expected=Outcome(
            status="undelivered",
            segments=1,
            encoding="gsm7",
            carrier=SOUTH,
            price="0.04",
            receipt_error="027",
        ),
    ),
    Case(
        label="scheduled",
        to="+491713920014",
        text="This one waits for its time.",
        send_in_s=SCHEDULED_S,
        expected=Outcome(
            status="delivered", segments=1, encoding="gsm7", carrier=NORTH, price="0.075"
        ),
    ),
    Case(
        label="canceled",
        to="+12025550114",
        text="This one is withdrawn before it leaves.",
        send_in_s=CANCELED_S,
        cancel=True,
        expected=Outcome(
            status="canceled", segments=1, encoding="gsm7", carrier="", price="0.04", charged=False
        ),
    ),
    Case(
        label="sent twice",
        to="+491713920010",
        text="Your parcel comes today before noon.",
        idempotency_key="parcel-1001",
        expected=Replay(of="plain text"),
    ),
    Case(
        label="impossible number",
        to="+447911",
        text="Nobody can ever get this.",
        expected=Refusal(http_status=422, code="number_too_short", field="to"),
    ),
)
