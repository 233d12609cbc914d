"""Doing what a page shows: writing its files, running its Python and its commands, in order."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import Block, blocks, run_python
from tests.docs.shell import lines, run
from tests.plugins.environment import Environment

# What makes a command quick, or saves it the way to the package index: its beginning, and what is
# put behind it.
ADDED = {
    "caa extract": "--model={folder}/model --limit=8",
    "caa run": "--model={folder}/model --limit=8 --held-out=4 --layers=1 --multipliers=-1,1 "
    "--controls=1 --open-ended=1 --max-new-tokens=2",
    "pip install -e": "--no-deps --no-build-isolation",
    "pip install --force-reinstall": "--no-deps --no-index",
    "python -m build": "--no-isolation",
}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Command:
    """A line after a `$`, what is shown below it, and its line on the page."""

    words: str
    shown: str
    line: int

    @property
    def fails(self) -> bool:
        """Whether what is shown is an error."""
        return bool(re.search(r"^\s*error: ", self.shown, re.MULTILINE | re.IGNORECASE))


def commands(block: Block) -> list[Command]:
    """The commands of a `console` block."""
    found: list[Command] = []
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        if line.startswith("$ "):
            found.append(Command(line[2:], "", number))
        else:
            last = found.pop()
            found.append(Command(last.words, f"{last.shown}{line}\n", last.line))
    return found


def has_commands(page: Path) -> bool:
    return any(block.language == "console" for block in blocks(page))


def run_page(
    page: Path,
    folder: Path,
    environment: Environment | None = None,
    *,
    shell: bool = False,
    having: str = "",
) -> None:
    """Do all that a page shows, in a folder that is the working directory.

    Args:
        page: whose blocks.
        folder: where its files are written; `{folder}/model` is taken for `caa run`.
        environment: runs the commands; None for a page without any.
        shell: run the `caa` commands of its shell blocks too, see `shell.run`.
        having: run the blocks that need this, too; others that need something are only compiled.
    """
    namespace = {"__name__": f"page_{page.stem}"}
    here = folder
    for block in blocks(page):
        if block.needs not in ("", having):
            if block.language == "python":
                compile(block.text, f"{page.name}:{block.line}", "exec")
        elif block.language == "sh":
            for words in lines(block) if shell else ():
                if words[0] == "caa":
                    run(words, folder)
        elif block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            run_python(page, block.text, block.line, namespace)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            for line in block.text.splitlines():
                json.loads(line)
        elif block.language == "console":
            for command in commands(block):
                if command.words.startswith("cd "):
                    here = (here / command.words[3:]).resolve()
                else:
                    run_command(command, page, here, folder, environment)


def run_command(
    command: Command, page: Path, here: Path, folder: Path, environment: Environment
) -> None:
    """Run one command, and compare what it prints with what the page shows.

    Skips the test where a package has to be fetched and the index can't be reached.
    """
    added = [more for start, more in ADDED.items() if command.words.startswith(start)]
    words = " ".join([command.words, *(more.format(folder=folder) for more in added)])
    done = subprocess.run(
        ["bash", "-c", words],
        cwd=here,
        env=environment.variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    where = f"{page.name}:{command.line}: {command.words}"
    if command.words.startswith("pip install") and done.returncode and not added:
        pytest.skip(f"{where}: the package index can't be reached")
    assert (done.returncode != 0) == command.fails, f"{where}\n{done.stdout}{done.stderr}"
    checker = doctest.OutputChecker()
    if command.shown and not checker.check_output(command.shown, done.stdout, OPTIONS):
        example = doctest.Example(command.words, command.shown)
        difference = checker.output_difference(example, done.stdout, OPTIONS)
        raise AssertionError(f"{where}\n{difference}\n{done.stderr}")
