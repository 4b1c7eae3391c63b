"""The errors of this room: a content that can't travel as it was asked to.

    TextError
    ├── NotInAlphabet        a character has no place in the alphabet that was asked for
    ├── NotEncodable         a lone surrogate: no encoding can carry it
    ├── TooManySegments      longer than what one concatenated message can hold
    ├── PayloadTooLong       more octets than message_payload can hold
    ├── MalformedUdh         a user data header whose lengths don't agree
    ├── HeaderTooLong        a user data header that leaves no room for content
    └── AlreadyConcatenated  the client numbered this part itself, and it is too long for one

All of them blame the content, so a caller refuses the request and stores nothing.
"""

from __future__ import annotations

from gateway.errors import GatewayError


class TextError(GatewayError):
    """This content can't travel; refuse it."""


class NotInAlphabet(TextError):
    """`character`, at index `position` of the text, is not in the alphabet; UCS-2 has it."""

    def __init__(self, character: str, position: int, alphabet: str = "GSM 7-bit") -> None:
        super().__init__(
            f"character {character!r} (U+{ord(character):04X}) at position {position} "
            f"is not in the {alphabet} alphabet"
        )
        self.character = character
        self.position = position


class NotEncodable(TextError):
    """The text holds half of a surrogate pair at index `position`."""

    def __init__(self, character: str, position: int) -> None:
        super().__init__(
            f"lone surrogate U+{ord(character):04X} at position {position} is not a character"
        )
        self.character = character
        self.position = position


class TooManySegments(TextError):
    """The content needs `segments` segments, more than the one octet of a total can say."""

    def __init__(self, segments: int, segments_max: int) -> None:
        super().__init__(f"{segments} segments needed, {segments_max} are possible")
        self.segments = segments
        self.segments_max = segments_max


class PayloadTooLong(TextError):
    """The content takes `octets`, more than the one TLV that it should travel in."""

    def __init__(self, octets: int, octets_max: int) -> None:
        super().__init__(f"{octets} octets for message_payload, which holds {octets_max}")
        self.octets = octets


class MalformedUdh(TextError):
    """A user data header that can't be walked to its end."""


class HeaderTooLong(TextError):
    """A user data header of `header_octets` leaves no room for content beside it."""

    def __init__(self, header_octets: int, payload_octets_max: int) -> None:
        super().__init__(
            f"a user data header of {header_octets} octets leaves no room for content "
            f"in {payload_octets_max}"
        )
        self.header_octets = header_octets


class AlreadyConcatenated(TextError):
    """The user data header numbers this content as one part, yet it does not fit into one."""

    def __init__(self) -> None:
        super().__init__(
            "the user data header already numbers a part, and the content is longer than one part"
        )
