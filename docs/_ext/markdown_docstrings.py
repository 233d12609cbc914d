"""What the package's docstrings take from Markdown, said in reStructuredText: code and tables."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

_RULE = re.compile(r"\s*\|[\s:|-]+\|\s*")
_CODE = re.compile(r"(?<![`:\w])`([^`]+)`(?!`)")


def convert(app: Sphinx, what, name, obj, options, lines: list[str]) -> None:
    """Rewrite a docstring in place, before napoleon reads its sections."""
    converted: list[str] = []
    index = 0
    while index < len(lines):
        if _is_row(lines[index]) and index + 1 < len(lines) and _RULE.fullmatch(lines[index + 1]):
            end = index + 2
            while end < len(lines) and _is_row(lines[end]):
                end += 1
            converted += _list_table([lines[index], *lines[index + 2 : end]])
            index = end
        else:
            converted.append(lines[index])
            index += 1
    # Single backticks would be a default role, inside of which napoleon looks for colons.
    lines[:] = [_CODE.sub(r"``\1``", line) for line in converted]


def _is_row(line: str) -> bool:
    return line.strip().startswith("|") and line.strip().endswith("|")


def _list_table(rows: list[str]) -> list[str]:
    indent = " " * (len(rows[0]) - len(rows[0].lstrip()))
    made = ["", f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
    for row in rows:
        for number, cell in enumerate(row.strip().strip("|").split("|")):
            bullet = "-" if number else "* -"
            made.append(f"{indent}   {bullet:>3} {cell.strip()}")
    return [*made, ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before napoleon, whose handler has the default priority of 500."""
    app.connect("autodoc-process-docstring", convert, priority=400)
    return {"parallel_read_safe": True}
