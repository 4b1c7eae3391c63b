"""Email addresses: what is one, and how it is written on the wire.

Only what every mail server takes: a dot-atom in ASCII, an @, a domain name of at least two labels
(RFC 5321 §4.1.2). No display names, comments, quoted strings or address literals, so an address
can't carry a second header or a second recipient.
"""

from __future__ import annotations

import re

import idna
import msgspec

ADDRESS_CHARS_MAX = 254
"""RFC 5321 §4.5.3.1.3: 256 with the angle brackets."""
LOCAL_CHARS_MAX = 64
NAME_CHARS_MAX = 100

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")


class BadAddress(msgspec.Struct, frozen=True):
    """Why a text is no address, as the end of a sentence that begins with it."""

    detail: str


class Mailbox(msgspec.Struct, frozen=True):
    """An address with the name that is shown beside it."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def parse_address(text: str) -> str | BadAddress:
    """Return the address in ASCII with its domain in small letters, or what is wrong with it."""
    local, at, domain = text.rpartition("@")
    if not at:
        return BadAddress("has no @")
    if len(local) > LOCAL_CHARS_MAX:
        return BadAddress(f"has more than {LOCAL_CHARS_MAX} characters before the @")
    if not _LOCAL.fullmatch(local):
        return BadAddress("has something before the @ that mail servers don't take everywhere")
    ascii_domain = _to_ascii(domain)
    if ascii_domain is None:
        return BadAddress("has no domain name after the @")
    address = f"{local}@{ascii_domain}"
    if len(address) > ADDRESS_CHARS_MAX:
        return BadAddress(f"has more than {ADDRESS_CHARS_MAX} characters")
    return address


def parse_mailbox(text: str) -> Mailbox | BadAddress:
    """Return what `Name <address>` or a mere address says, or what is wrong with it."""
    named = _NAMED.fullmatch(text.strip())
    name = named["name"].strip().strip('"').strip() if named else ""
    if len(name) > NAME_CHARS_MAX or not name.isprintable():
        return BadAddress(f"has a name that is not 1 to {NAME_CHARS_MAX} printable characters")
    address = parse_address(named["address"].strip() if named else text.strip())
    return address if isinstance(address, BadAddress) else Mailbox(address, name)


def _to_ascii(domain: str) -> str | None:
    """Return a domain name as DNS knows it, None when it is none."""
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            return None
    domain = domain.lower()
    labels = domain.split(".")
    fits = len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels)
    return domain if fits and not labels[-1].isdigit() else None
