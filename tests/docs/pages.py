"""Reading the Markdown pages: their code blocks, tables, sections and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.packaging.project import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
for _folder in ("api", "guides"):
    PAGES += sorted((ROOT / "docs" / _folder).glob("*.md"))

# A code block with a caption is a file that the reader is to write, of that name. A comment before
# a block says what it needs that isn't everywhere: a GPU, NDIF, the Hub.
_FENCE = re.compile(
    r"(?:^<!-- needs: (?P<needs>[^\n]+) -->\n)?"
    r"^```(?:\{code-block\} )?(?P<language>\S*)[^\n]*\n"
    r"(?::caption: (?P<file>\S+)\n)?(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the page where the text begins.

    `file` is where a reader is to write it, or empty; `needs` what it can't do without, or empty.
    """

    language: str
    text: str
    line: int
    file: str = ""
    needs: str = ""


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(
            match["language"],
            match["text"],
            text[: match.start("text")].count("\n") + 1,
            match["file"] or "",
            match["needs"] or "",
        )
        for match in _FENCE.finditer(text)
    ]


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python" and not block.file]


def run_blocks(page: Path, code: list[Block], replace: dict[str, str] | None = None) -> dict:
    """Run blocks one after the other in one namespace, with the page's own line numbers."""
    namespace = {"__name__": f"page_{page.stem}"}
    for block in code:
        text = block.text
        for old, new in (replace or {}).items():
            text = text.replace(old, new)
        run_python(page, text, block.line, namespace)
    return namespace


def run_python(page: Path, text: str, line: int, namespace: dict) -> None:
    """Run code as if it stood at this line of a file."""
    exec(compile("\n" * (line - 1) + text, str(page), "exec"), namespace)


def sections(page: Path) -> dict[str, str]:
    """Title -> text, for the headings of the second level."""
    parts = re.split(r"^## (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def table_rows(text: str) -> list[list[str]]:
    """Cells of every table row in a text, without headings and rules."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    rules = {index for index, row in enumerate(cells) if set("".join(row)) <= set("-: ")}
    return [row for index, row in enumerate(cells) if not {index, index + 1} & rules]


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)
