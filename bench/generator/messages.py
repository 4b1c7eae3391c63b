"""What is sent: messages by number, and requests around them, as bytes.

Message n has its own recipient, a text that begins with `#n` and the reference `<run>-n`, so that
whatever comes out at the other end can be counted. JSON is written from a template: encoding it
anew for each message would make the generator the limit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bench.generator.answers import Verdict, judge

NUMBER_DIGITS: Final = 12
"""Digits of a recipient: a British mobile number with its country code."""
_PLACE: Final = "{n}"
TEXT: Final = "#{n} Your parcel is on its way and comes today before noon."
_FILLER: Final = " It waits for you at the front door, and the neighbours know of it."
_PART: Final = 153
"""Characters of one part of a long GSM 03.38 text."""
_INTO_LAST_PART: Final = 40
"""How far a text of several segments reaches into its last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for."""

    host: str
    key: str
    mode: Literal["single", "batch"] = "single"
    to_prefix: str = "4479111"
    sender: str = "Bench"
    text: str = ""
    segments: int = 1
    run: str = ""
    """Names the run in every `client_ref`; empty: messages have none."""


class Messages:
    """The gateway's own dialect: writes requests for messages by their numbers, reads answers."""

    def __init__(self, wanted: Wanted) -> None:
        self._batch = wanted.mode == "batch"
        to_digits = NUMBER_DIGITS - len(wanted.to_prefix)
        if to_digits < 1 or not wanted.to_prefix.isdigit():
            raise ValueError(f"--to-prefix is 1 to {NUMBER_DIGITS - 1} digits")
        before, after = _split_text(wanted.text, wanted.segments)
        # Doubled, because the parts go through the % operator.
        sender, before, after, run = (
            json.dumps(each)[1:-1].replace("%", "%%")
            for each in (wanted.sender, before, after, wanted.run)
        )
        reference = f',"client_ref":"{run}-%d"' if run else "%.0s"
        recipient = f"{wanted.to_prefix}%0{to_digits}d"
        self._recipients = 10**to_digits
        self._item = (
            f'{{"to":"{recipient}","from":"{sender}","text":"{before}%d{after}"{reference}}}'
        )
        path = "/v1/messages/batch" if self._batch else "/v1/messages"
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {wanted.host}\r\n"
            f"Authorization: Bearer {wanted.key}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode("latin-1")

    def write_request(self, numbers: Sequence[int]) -> bytes:
        """Write one whole HTTP request; a single one has one number."""
        item, recipients = self._item, self._recipients
        if self._batch:
            items = [item % (number % recipients, number, number) for number in numbers]
            body = f'{{"messages":[{",".join(items)}]}}'.encode()
        else:
            (number,) = numbers
            body = (item % (number % recipients, number, number)).encode()
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def judge(self, status: int, body: bytes, numbers: Sequence[int]) -> Verdict:
        """See `answers.judge`."""
        return judge(status, body, numbers, batch=self._batch)


def _split_text(text: str, segments: int) -> tuple[str, str]:
    """Return what comes before and after the message's number in its text.

    The number stands in front where the text does not say where, so that it is in the first
    segment. Raises ValueError for a text that can't have as many segments.
    """
    text = text or TEXT
    if _PLACE not in text:
        text = f"#{_PLACE} {text}"
    if segments > 1:
        missing = _PART * (segments - 1) + _INTO_LAST_PART - len(text)
        if missing < 0:
            raise ValueError(f"--text is too long for --segments {segments}")
        text += (_FILLER * (missing // len(_FILLER) + 1))[:missing]
    before, _, after = text.partition(_PLACE)
    return before, after
