"""Typographic characters replaced by plain ones, so that a text needs no UCS-2.

A word processor's quotation mark in an English text more than doubles its price. Whoever opts in
gets it replaced, but only where that is enough: a text that needs UCS-2 all the same stays as it
was written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from gateway.text.errors import NotEncodable
from gateway.text.forms import UCS2_FORM, choose_form
from gateway.text.style import TextStyle

_GROUPS = {
    "'": "‘’‚‛ʹʻʼʽˈˊˋ`´′‵＇",
    '"': "“”„‟«»ʺˮ˝″‶〃＂",
    "'''": "‴",
    "<": "‹",
    ">": "›",
    "-": "‐‑‒–—―⁃−﹘﹣－",
    "...": "…",
    ".": "․",
    "..": "‥",
    "*": "•‣∙●",
    "/": "⁄∕",
    "!": "ǃ",
    "!!": "‼",
    "??": "⁇",
    "?!": "⁈",
    "!?": "⁉",
    "~": "˜∼",
    # spaces of other widths, and the tab
    " ": "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u202f\u205f\u3000",
    "\n": "\u000b\u0085\u2028\u2029",
    # nothing to see: soft hyphen, zero width, joiners, marks of direction, variation selectors
    "": "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff",
    "ff": "ﬀ",
    "fi": "ﬁ",
    "fl": "ﬂ",
    "ffi": "ﬃ",
    "ffl": "ﬄ",
    "st": "ﬆ",
}

REPLACEMENTS: Mapping[str, str] = MappingProxyType(
    {character: plain for plain, characters in _GROUPS.items() for character in characters}
)
"""What is written for a typographic character. Letters keep their accents: what those change is
the word."""

_TABLE = str.maketrans(dict(REPLACEMENTS))


def replace_typographic(text: str, style: TextStyle) -> str:
    """Return `text` with typographic characters replaced, if the carrier's alphabet has it then.

    The alphabet's own characters are never touched when they are enough, and national tables go
    before replacing. Accents that stand behind their letters (as some systems write them) are
    joined with them.
    """
    if _fits(text, style):
        return text
    plain = unicodedata.normalize("NFC", text).translate(_TABLE)
    return plain if plain and _fits(plain, style) else text


def _fits(text: str, style: TextStyle) -> bool:
    try:
        return choose_form(text, None, style)[0] is not UCS2_FORM
    except NotEncodable:  # `measure` will say so
        return False
