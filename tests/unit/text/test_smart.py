"""Typographic characters: replaced where that saves the text from UCS-2, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Encoding
from gateway.text.alphabet import GSM7
from gateway.text.forms import choose_form
from gateway.text.national import Language
from gateway.text.segment import measure
from gateway.text.smart import REPLACEMENTS, replace_typographic
from gateway.text.style import PLAIN, DefaultAlphabet, TextStyle

TURKISH = TextStyle(national=(Language.TURKISH,))
LATIN1 = TextStyle(alphabet=DefaultAlphabet.LATIN1)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("“It’s here” – „so“ ‚it‘ is…", '"It\'s here" - "so" \'it\' is...'),
        ("«été» ‹so›", '"été" <so>'),
        ("1\u00a0000\u202f€\u2009—\u2003now", "1 000 € - now"),
        ("zero\u200bwidth\ufeff, soft\u00adhyphen", "zerowidth, softhyphen"),
        ("tab\tstop\u2028line", "tab stop\nline"),
        ("ﬁne aﬃrmation ﬂew", "fine affirmation flew"),
        ("• first\n• second", "* first\n* second"),
        ("`code` and 5′ 6″", "'code' and 5' 6\""),
        # accents written behind their letters
        ("re\u0301sume\u0301", "résumé"),
        ("A\u030angstro\u0308m", "Ångström"),
    ],
)
def test_typographic_characters_become_plain_ones(text: str, plain: str) -> None:
    assert replace_typographic(text, PLAIN) == plain


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "",
        "GSM has its own: ¡¿§¤ {}",
        # UCS-2 is needed all the same, so it stays as it was written
        "“Привет” …",
        "it’s 😀",
        "“coração”",
        # nothing would be left
        "\u200b\u200b",
        # half a pair is refused later, by its place
        "’\ud83d",
    ],
)
def test_a_text_that_gains_nothing_stays_as_it_was_written(text: str) -> None:
    assert replace_typographic(text, PLAIN) == text


def test_what_the_carrier_can_write_is_not_replaced() -> None:
    assert replace_typographic("ığş", TURKISH) == "ığş"
    assert replace_typographic("ığş’", TURKISH) == "ığş'"
    assert replace_typographic("«à»\u00a0", LATIN1) == "«à»\u00a0"
    assert replace_typographic("«à»…", LATIN1) == '"à"...'


def test_every_replacement_is_in_the_default_alphabet_and_what_it_replaces_is_not() -> None:
    for character, plain in REPLACEMENTS.items():
        assert len(character) == 1
        assert GSM7.try_encode(plain) is not None
        assert GSM7.try_encode(character) is None, f"U+{ord(character):04X}"


def test_no_letter_is_changed() -> None:
    for character in REPLACEMENTS:
        ligature = "ﬀ" <= character <= "ﬆ"
        modifier = "\u02b0" <= character <= "\u02ff" or character == "ǃ"
        assert not character.isalpha() or ligature or modifier


@given(
    st.text(st.sampled_from("aé €“’…\u00a0\u200bшş😀\u0301")),
    st.sampled_from([PLAIN, TURKISH, LATIN1]),
)
def test_a_text_is_replaced_exactly_when_that_saves_it_from_ucs2(
    text: str, style: TextStyle
) -> None:
    replaced = replace_typographic(text, style)
    before, after = measure(text, style=style), measure(replaced, style=style)
    if replaced != text:
        assert before.encoding is Encoding.UCS2
        assert after.encoding is not Encoding.UCS2
        assert choose_form(replaced, None, style)[0].encoding is after.encoding
    assert replace_typographic(replaced, style) == replaced
