"""What texts are taken for, and that no pattern takes longer than its text."""

from __future__ import annotations

import pytest

from gateway.errors import ConfigError
from gateway.routing.texts import (
    PATTERN_CHARS_MAX,
    TEXT_CHARS_SEEN,
    TextClass,
    belongs,
    compile_pattern,
    matches,
)


@pytest.mark.parametrize(
    "text",
    [
        "Your parcel: https://dhl.example/t/1?x=2",
        "see WWW.shop.example for more",
        "track it at bit.ly/3xYz",
        "go to my-shop.co.uk.",
        "shop.com",
        "Sale!shop.com/now",
    ],
)
def test_web_addresses_are_seen(text: str) -> None:
    assert belongs(text, TextClass.URL)


@pytest.mark.parametrize(
    "text",
    ["See you at 10.30", "mail me: jo@shop.com", "Hello.World", "e.g. this", "v1.2.3", "$4.50"],
)
def test_what_only_looks_like_an_address_is_none(text: str) -> None:
    assert not belongs(text, TextClass.URL)


@pytest.mark.parametrize(
    "text",
    [
        "Your code is 123456",
        "123-456 is your verification code.",
        "G-123456 is your Google verification code",
        "Ihr Bestätigungscode: 4711",
        "Votre mot de passe: 12345678",
        "Ваш код: 1234",
        "您的验证码是 123456",
        "OTP 9021.",
        "Use 12 34 56 to log in? No: code 1234",
    ],
)
def test_one_time_codes_are_seen(text: str) -> None:
    assert belongs(text, TextClass.OTP)


@pytest.mark.parametrize(
    "text",
    [
        "Your order 123456 has left",
        "Enter the code that we sent",
        "Promo code SPRING saves $1234.50",
        "decode 1234 messages",
        "code 123456789012",
    ],
)
def test_what_only_looks_like_a_code_is_none(text: str) -> None:
    assert not belongs(text, TextClass.OTP)


@pytest.mark.parametrize("text", ["Call +44 7400 123-456", "0800 123 4567!", "(030) 1234567"])
def test_phone_numbers_are_seen(text: str) -> None:
    assert belongs(text, TextClass.PHONE)


@pytest.mark.parametrize("text", ["order 12345", "at 10.30 on 12.05.", "123456 is your code"])
def test_shorter_digits_are_no_phone_number(text: str) -> None:
    assert not belongs(text, TextClass.PHONE)


def test_a_text_without_characters_is_of_no_class() -> None:
    assert not any(belongs("", text_class) for text_class in TextClass)


@pytest.mark.parametrize("written", ["(a+)+$", "(a|aa)+$", "^(a?){50}a{50}$", "a*a*a*a*a*a*b"])
def test_patterns_that_stop_others_end_at_once(written: str) -> None:
    # Backtracking would take longer than the universe lasts: that this test ends is what it shows.
    assert not matches(compile_pattern(written), "a" * (TEXT_CHARS_SEEN - 1) + "!")


def test_only_the_beginning_of_a_text_is_looked_at() -> None:
    pattern = compile_pattern("needle")
    assert matches(pattern, "x" * (TEXT_CHARS_SEEN - 6) + "needle")
    assert not matches(pattern, "x" * (TEXT_CHARS_SEEN - 5) + "needle")


@pytest.mark.parametrize(
    "written",
    [
        "(",
        "(?=x)",
        r"(a)\1",
        "a{1,5000}",
        "x" * (PATTERN_CHARS_MAX + 1),
        "((((a{99}){99}){99}){99})",
    ],
)
def test_what_is_no_pattern_is_named(written: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_pattern(written, "route[3].pattern")
    assert caught.value.key == "route[3].pattern"


def test_patterns_know_letters_beyond_ascii() -> None:
    assert matches(compile_pattern("(?i)größe"), "GRÖSSE? GRÖßE!")
