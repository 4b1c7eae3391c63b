"""Cuts SQL into statements without their comments, as far as migrations need it.

Quoted text is kept as it is. `BEGIN ATOMIC` bodies, whose semicolons stand in no quotes, are not
understood: a migration writes a function's body in $$.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)"
    r"|(?P<quoted>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<body>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"
    r"|(?P<space>\s+)"
    r"|(?P<end>;)"
    r"|(?P<word>\w+|.)",
    re.DOTALL,
)


def split_statements(sql: str, *, blank: bool = False) -> list[str]:
    """Return the statements of `sql`, each on one line, without comments and semicolons.

    With `blank`, what is quoted is emptied: '' for texts, $$$$ for bodies.
    """
    statements: list[str] = []
    written: list[str] = []
    for token in _TOKEN.finditer(sql):
        match token.lastgroup:
            case "comment" | "space":
                if written and written[-1] != " ":
                    written.append(" ")
            case "end":
                statements.append("".join(written).strip())
                written = []
            case "quoted" if blank and token[0][0] != '"':
                written.append("''")
            case "body" if blank:
                written.append("$$$$")
            case _:
                written.append(token[0])
    statements.append("".join(written).strip())
    return [statement for statement in statements if statement]
