"""How a carrier wants submissions written, as it changes."""

from __future__ import annotations

import pytest

from gateway.smpp.shapes import SubmitTemplate
from gateway.text.national import Language
from gateway.text.style import PLAIN, DefaultAlphabet, LongForm, TextStyle
from gateway.writing import Writing

PAYLOAD = TextStyle(long=LongForm.PAYLOAD)
TURKISH = TextStyle(national=(Language.TURKISH,))
LATIN1 = TextStyle(alphabet=DefaultAlphabet.LATIN1)


@pytest.mark.parametrize(
    ("styles", "former"),
    [
        ([PLAIN, PLAIN], None),
        ([PLAIN, LATIN1], PLAIN),
        ([PLAIN, LATIN1, LATIN1], PLAIN),
        ([PLAIN, LATIN1, TURKISH], LATIN1),
        ([PLAIN, PAYLOAD], None),
        ([PAYLOAD, PLAIN], None),
    ],
)
def test_the_style_before_is_remembered_where_it_can_be_used(
    styles: list[TextStyle], former: TextStyle | None
) -> None:
    writing = Writing(template=SubmitTemplate(), style=styles[0])
    for style in styles[1:]:
        writing = Writing(template=SubmitTemplate(), style=style).after(writing)
    assert writing.former == former
