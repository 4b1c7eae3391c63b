"""Templates: what can be said in them, what can't, and that rendering always ends."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fallback.template import TAG_CHARS_MAX, TemplateFault, Templates

VALUES = {"name": "Ann <b>", "status": "expired", "text": "one\ntwo & three", "empty": ""}


@pytest.fixture
def templates() -> Templates:
    return Templates()


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("Hello", "Hello"),
        ("Hello\n", "Hello\n"),
        ("{ not a tag }", "{ not a tag }"),
        ("{{ name }}", "Ann <b>"),
        ("{{ name|upper }} {{ name | lower }}", "ANN <B> ann <b>"),
        ("{{ empty|default('nobody') }}", "nobody"),
        ("{{ name|truncate(3) }}", "An…"),
        ("{{ name|truncate }}", "Ann <b>"),
        ("{{ '  x '|trim|title }}", "X"),
        ("{{ text|urlencode }}", "one%0Atwo%20%26%20three"),
        ("{% if status == 'expired' %}late{% else %}no{% endif %}", "late"),
        ("{% if status in ('expired', 'rejected') and not empty %}yes{% endif %}", "yes"),
        ("{% if status != 'expired' or name %}yes{% elif empty %}x{% endif %}", "yes"),
        ("{{ 'a' if empty else 'b' }}", "b"),
        ("{{ 'a' if empty }}", ""),
        ("{% if 'xpi' in status %}in{% endif %}", "in"),
        ("{# a comment #}x", "x"),
    ],
)
def test_what_a_template_says(templates: Templates, source: str, rendered: str) -> None:
    templates.check(source, VALUES)
    assert templates.render(source, VALUES, 1_000) == rendered


def test_html_escapes_what_comes_from_outside_and_nothing_else(templates: Templates) -> None:
    source = "<p>{{ name }}</p><p>{{ text|nl2br }}</p>"
    rendered = templates.render(source, VALUES, 1_000, html=True)
    assert rendered == "<p>Ann &lt;b&gt;</p><p>one<br>\ntwo &amp; three</p>"


@pytest.mark.parametrize(
    "source",
    [
        # what would run long, or reach the inside
        "{% for c in name %}{{ c }}{% endfor %}",
        "{% set x = name %}{{ x }}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% block b %}{% endblock %}",
        "{% filter upper %}x{% endfilter %}",
        "{{ name.__class__ }}",
        "{{ name['x'] }}",
        "{{ name[0] }}",
        "{{ name() }}",
        "{{ name.upper() }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ name ~ name }}",
        "{{ name + name }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ name|center(1000000000) }}",
        "{{ name|safe }}",
        "{{ name|nl2br }}",  # only in HTML
        "{{ name is defined }}",
        "{{ range(10) }}",
        "{{ {'a': 1} }}",
        # what could fail
        "{{ 5|upper }}",
        "{{ name|truncate('x') }}",
        "{{ name|truncate(1, 2) }}",
        "{{ name|default }}",
        "{{ name|default(1) }}",
        "{{ name|truncate(length=1) }}",
        "{{ name|truncate(name) }}",
        "{% if name in 5 %}x{% endif %}",
        "{% if 5 in name %}x{% endif %}",
        "{% if name < 5 %}x{% endif %}",
        "{% if (not name) in name %}x{% endif %}",
        # what is no template
        "{{ nobody }}",
        "{{ name",
        "{{ }}",
        "{% if name %}",
        "{% endif %}",
        "{% nonsense %}",
        "{{ name | nonsense }}",
        "{{ self }}",
        "{{ loop }}",
        "{{ caller }}",
        # what is too much
        "{{ " + "(" * 900 + "name" + ")" * 900 + " }}",
        "{% if " + "not " * 400 + "name %}x{% endif %}",
        "{% if name %}" * 60 + "{% endif %}" * 60,
        "{{ name }}" * (TAG_CHARS_MAX // 10 + 1),
        "{#" + "x" * TAG_CHARS_MAX + "#}",
    ],
)
def test_what_is_not_taken_is_refused_before_it_runs(templates: Templates, source: str) -> None:
    began = time.perf_counter()
    with pytest.raises(TemplateFault) as raised:
        templates.check(source, VALUES)
    assert str(raised.value)
    assert time.perf_counter() - began < 1.0


def test_html_made_by_a_filter_is_not_changed_any_more(templates: Templates) -> None:
    for source in ("{{ text|nl2br|truncate(4) }}", "{{ text|nl2br|upper }}"):
        with pytest.raises(TemplateFault):
            templates.check(source, VALUES, html=True)


def test_a_fault_names_what_there_is(templates: Templates) -> None:
    with pytest.raises(TemplateFault, match="there is no nam; it can say name, status"):
        templates.check("{{ nam }}", ("name", "status"))
    with pytest.raises(TemplateFault, match="there is no filter uper; there are upper, lower"):
        templates.check("{{ name|uper }}", ("name",))
    with pytest.raises(TemplateFault, match="line 2: for is not taken"):
        templates.check("\n{% for x in name %}{% endfor %}", ("name",))


def test_a_result_that_is_too_long_is_refused_without_being_made(templates: Templates) -> None:
    values = {"text": "x" * 40_000}
    with pytest.raises(TemplateFault, match="longer than 100000"):
        templates.render("{{ text }}" * 300, values, 100_000)
    assert len(templates.render("{{ text }}" * 2, values, 80_000)) == 80_000
    with pytest.raises(TemplateFault, match="longer than 3"):
        templates.render("Hello", values, 3)


def test_compiled_templates_are_kept_up_to_a_bound() -> None:
    templates = Templates(kept_max=2)
    for source in ("{{ a }}", "{{ b }}", "{{ a }}", "{{ c }}", "{{ a }}"):
        templates.render(source, {"a": "1", "b": "2", "c": "3"}, 10)
    assert templates.compiled == 3
    templates.render("{{ b }}", {"b": "2"}, 10)
    assert templates.compiled == 4
    templates.render("no tags", {}, 10)
    assert templates.compiled == 4


_PIECES = ["{{", "}}", "{%", "%}", "{#", "#}", "name", "|", "upper", "nl2br", "if", "else", "endif"]
_PIECES += [
    "in",
    "not",
    "==",
    "'",
    "(",
    ")",
    "1",
    ",",
    " ",
    "\n",
    "<b>",
    "~",
    "for",
    "default",
    "-",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=30).map(" ".join), st.booleans())
def test_garbage_is_refused_or_renders(source: str, html: bool) -> None:
    templates = Templates()
    try:
        templates.check(source, VALUES, html=html)
    except TemplateFault:
        return
    templates.render(source, VALUES, 100_000, html=html)
