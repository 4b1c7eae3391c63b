"""Templates of emails: a small part of Jinja2, of which every use ends quickly and can't fail.

What is taken: `{{ variable }}` with filters, `{% if %}` with comparisons, `and`, `or`, `not`, `in`,
and conditional expressions. There are no loops, calls, attributes, assignments or arithmetic: a
customer writes templates and the gateway runs them in its event loop. The tree is checked node by
node before anything is compiled, and the sandbox stands behind that.

Text from outside is escaped in HTML and stays as it is elsewhere. Pure.
"""

from __future__ import annotations

import functools
import re
import urllib.parse
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping

from jinja2 import Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

TAG_CHARS_MAX = 4_000
"""Characters within tags in one template; Jinja2 takes some 3 ms to compile as many."""
DEPTH_MAX = 30
TEMPLATES_KEPT_MAX = 500
"""Compiled templates in memory, some 10 KB each."""

_TAG = re.compile(r"\{[{%#].*?(?:[}%#]\}|\Z)", re.DOTALL)


class TemplateFault(ValueError):
    """A template can't be used, or its result is too long; says why."""


def _shorten(value: str, length: int = 80) -> str:
    return value if len(value) <= length else value[: max(0, length - 1)] + "…"


def _break_lines(value: str) -> Markup:
    """Return a text for HTML with its line ends kept."""
    return Markup("<br>\n").join(escape(value).splitlines())


_FILTERS: dict[str, tuple[Callable[..., str], tuple[type, ...]]] = {
    "upper": (str.upper, ()),
    "lower": (str.lower, ()),
    "title": (str.title, ()),
    "capitalize": (str.capitalize, ()),
    "trim": (str.strip, ()),
    "default": (lambda value, other: value or other, (str,)),
    "truncate": (_shorten, (int,)),
    "urlencode": (functools.partial(urllib.parse.quote, safe=""), ()),
    "nl2br": (_break_lines, ()),
}
"""Filter → what it does to a text, and the types of its arguments, each a constant."""
_OPTIONAL_ARGUMENTS = frozenset({"truncate"})

_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Filter),
    *(nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand),
    *(nodes.And, nodes.Or, nodes.Not, nodes.Tuple, nodes.List),
)
_OPERATORS = frozenset({"eq", "ne", "in", "notin"})


class Templates:
    """Compiles templates and keeps what was used lately. Its results depend on nothing else."""

    def __init__(self, kept_max: int = TEMPLATES_KEPT_MAX) -> None:
        self._environments = {html: _build_environment(html) for html in (False, True)}
        self._kept_max = kept_max
        self._kept: OrderedDict[tuple[str, bool], tuple[Template, frozenset[str]]] = OrderedDict()
        self.compiled = 0
        """How often one had to be compiled."""

    def check(self, source: str, variables: Collection[str], *, html: bool = False) -> None:
        """Raise TemplateFault unless `source` can be rendered with these variables."""
        if "{" in source and _TAG.search(source):
            _, used = self._find(source, html)
            for name in sorted(used.difference(variables)):
                raise TemplateFault(f"there is no {name}; it can say {', '.join(variables)}")

    def render(
        self, source: str, values: Mapping[str, str], chars_max: int, *, html: bool = False
    ) -> str:
        """Return the text that a template makes of these values.

        Raises TemplateFault when it needs others, or when the result is longer than `chars_max`.
        """
        if "{" not in source or not _TAG.search(source):
            rendered = source
        else:
            self.check(source, values, html=html)
            template, _ = self._find(source, html)
            rendered = _join(template, values, chars_max)
        if len(rendered) > chars_max:
            raise TemplateFault(f"it becomes longer than {chars_max} characters")
        return rendered

    def _find(self, source: str, html: bool) -> tuple[Template, frozenset[str]]:
        key = (source, html)
        known = self._kept.get(key)
        if known is None:
            known = self._kept[key] = self._compile(source, html)
            if len(self._kept) > self._kept_max:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return known

    def _compile(self, source: str, html: bool) -> tuple[Template, frozenset[str]]:
        if sum(len(tag) for tag in _TAG.findall(source)) > TAG_CHARS_MAX:
            raise TemplateFault(f"it has more than {TAG_CHARS_MAX} characters in tags")
        self.compiled += 1
        environment = self._environments[html]
        used: set[str] = set()
        try:
            tree = environment.parse(source)
            _check_node(tree, used, 0)
            return environment.from_string(tree), frozenset(used)
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            where = f" in line {line}" if line else ""
            raise TemplateFault(f"{str(error).rstrip('.')}{where}") from None
        except (RecursionError, SyntaxError, ValueError) as error:
            if isinstance(error, TemplateFault):
                raise
            raise TemplateFault("it is nested too deeply") from None


def _build_environment(html: bool) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        autoescape=html, keep_trailing_newline=True, newline_sequence="\n"
    )
    environment.globals.clear()
    environment.tests.clear()
    environment.filters.clear()
    environment.filters.update({name: function for name, (function, _) in _FILTERS.items()})
    if not html:
        del environment.filters["nl2br"]
    return environment


def _join(template: Template, values: Mapping[str, str], chars_max: int) -> str:
    pieces: list[str] = []
    length = 0
    for piece in template.generate(values):
        pieces.append(piece)
        length += len(piece)
        if length > chars_max:
            break
    return "".join(pieces)


def _check_node(node: nodes.Node, used: set[str], depth: int) -> None:
    """Raise TemplateFault for what is not taken; note the variables."""
    if depth > DEPTH_MAX:
        raise TemplateFault("it is nested too deeply")
    if not isinstance(node, _ALLOWED):
        what = type(node).__name__.lower()
        raise TemplateFault(f"line {node.lineno}: {what} is not taken in a template")
    match node:
        case nodes.Name():
            used.add(node.name)
        case nodes.Filter():
            _check_filter(node)
        case nodes.Compare():
            _check_comparison(node)
        case _:
            pass
    for child in node.iter_child_nodes():
        _check_node(child, used, depth + 1)


def _check_filter(node: nodes.Filter) -> None:
    known = _FILTERS.get(node.name)
    if known is None:
        raise TemplateFault(f"there is no filter {node.name}; there are {', '.join(_FILTERS)}")
    _, types = known
    if not _is_text(node.node):
        raise TemplateFault(f"the filter {node.name} goes behind a variable, a text or a filter")
    given = [arg.value for arg in node.args if isinstance(arg, nodes.Const)]
    fits = (
        not (node.kwargs or node.dyn_args or node.dyn_kwargs)
        and len(given) == len(node.args)
        and [type(value) for value in given] == list(types)
    )
    if not fits and not (node.name in _OPTIONAL_ARGUMENTS and not node.args):
        wanted = ", ".join("a text" if kind is str else "a number" for kind in types) or "nothing"
        raise TemplateFault(f"the filter {node.name} takes {wanted}")


def _check_comparison(node: nodes.Compare) -> None:
    if not _is_text(node.expr):
        raise TemplateFault(f"line {node.lineno}: compare a variable, a text or a filter's result")
    for operand in node.ops:
        if operand.op not in _OPERATORS:
            raise TemplateFault(f"line {node.lineno}: compare with ==, !=, in or not in")
        right = operand.expr
        if operand.op in ("in", "notin") and not _can_hold(right):
            raise TemplateFault(f"line {node.lineno}: in takes a text or a list")


def _is_text(node: nodes.Node | None) -> bool:
    if isinstance(node, nodes.Const):
        return isinstance(node.value, str)
    # What nl2br returns is HTML: cut or changed, it would be broken HTML.
    return isinstance(node, nodes.Name) or (isinstance(node, nodes.Filter) and node.name != "nl2br")


def _can_hold(node: nodes.Expr) -> bool:
    return _is_text(node) or isinstance(node, nodes.Tuple | nodes.List)
