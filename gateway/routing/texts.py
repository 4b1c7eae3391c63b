"""What a text is about, as far as a pattern tells: classes that are known here, and patterns of
the settings.

Patterns are RE2's: their time grows with the text and no faster, whatever is written in them, so
neither a careless pattern nor a clever text stops the gateway. What RE2 can't promise that for
(look-around, back-references) does not exist in it. And only the beginning of a text is looked at.
"""

from __future__ import annotations

import enum
from typing import Final, Protocol

import re2

from gateway.errors import ConfigError

TEXT_CHARS_SEEN: Final = 1_600
"""Ten segments of GSM 7-bit: nothing that a route could be about begins later. 10 to 30 µs."""
PATTERN_CHARS_MAX: Final = 1_000
PATTERN_MEMORY_BYTES_MAX: Final = 1 << 20
"""What one pattern may grow to; RE2 refuses larger ones when it is compiled."""


class Pattern(Protocol):
    """A compiled pattern."""

    def search(self, text: str) -> object | None:
        """Return something where the text contains what is looked for, else None."""
        ...


class TextClass(enum.StrEnum):
    """Kinds of text that can be told by a pattern. Guesses: for routes, not for judgement."""

    URL = "url"
    """A web address, also one without https://."""
    OTP = "otp"
    """A code of four to eight digits beside a word that announces one."""
    PHONE = "phone"
    """A phone number to call: nine digits or more, however grouped."""


def compile_pattern(written: str, key: str = "pattern") -> Pattern:
    """Return the pattern of a setting; raises ConfigError with `key`."""
    if len(written) > PATTERN_CHARS_MAX:
        raise ConfigError(key, f"a pattern has at most {PATTERN_CHARS_MAX} characters")
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY_BYTES_MAX
    options.log_errors = False
    try:
        compiled: Pattern = re2.compile(written, options)
    except re2.error as error:
        detail = error.args[0]
        words = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        raise ConfigError(key, f"not a pattern of RE2's syntax: {words}") from error
    return compiled


def matches(pattern: Pattern, text: str) -> bool:
    """Say whether the beginning of a text contains what the pattern looks for."""
    return pattern.search(text[:TEXT_CHARS_SEEN]) is not None


def belongs(text: str, text_class: TextClass) -> bool:
    """Say whether a text is of a class."""
    return all(matches(pattern, text) for pattern in _CLASSES[text_class])


_ANNOUNCES: Final = (
    "code|codes|otp|pin|tan|mtan|passcode|password|passwort|verification|verify|verifizierung"
    "|bestätigungscode|authenticat\\w*|login|log-in|2fa|one-time|einmal\\w*|código|codigo|clave"
    "|contraseña|senha|codice|mot de passe|kod|kodu|kód|hasło|код|пароль|رمز|कोड"
)
_CLASSES: Final = {
    TextClass.URL: (
        compile_pattern(
            r"(?i)https?://[^\s]|(?:^|[^\w@.-])(?:www\.[^\s]|(?:[a-z0-9-]+\.)+"
            r"(?:com|net|org|info|biz|app|dev|io|co|me|ly|gl|gg|to|tv|cc|link|click|xyz|online|shop"
            r"|site|store|top|eu|uk|de|fr|es|it|nl|pl|pt|ru|tr|us|ca|br|mx|in|cn|jp|au|za)"
            r"(?:[/?:#]|$|[^\w@.-]|\.(?:\s|$)))"
        ),
    ),
    TextClass.OTP: (
        compile_pattern(r"(?:^|[^\d.,€$£])\d{2,4}[ -]?\d{2,4}(?:$|[^\d.,%€$£]|[.,](?:\s|$))"),
        compile_pattern(rf"(?i)(?:^|[^\pL])(?:{_ANNOUNCES})(?:$|[^\pL])|验证码|驗證碼|認証|인증"),
    ),
    TextClass.PHONE: (compile_pattern(r"(?:^|[^\w])\+?\(?\d(?:[ ().-]{0,2}\d){8,14}(?:$|[^\w])"),),
}
