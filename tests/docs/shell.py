"""Shell blocks of the pages: their lines checked without running them, or run on a tiny model."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import typer

from caa_nnsight.cli.app import app
from tests.cli.calling import Outcome, caa
from tests.docs.pages import Block
from tests.packaging.project import PYPROJECT, ROOT

# Makes a command quick. A later option takes the place of an earlier one.
FEW = "--limit=8 --held-out=4 --controls=2"
ONE_LAYER = "--layers=1 --quiet"
SHORT = "--multipliers=-1,0,1 --open-ended=1 --max-new-tokens=2"
ADDED = {
    "caa run": f"--model={{model}} {FEW} {ONE_LAYER} {SHORT}",
    "caa experiment": f"--model={{model}} {FEW} {ONE_LAYER} {SHORT} --texts={{texts}}",
    "caa reproduce": f"--model={{model}} {FEW} {ONE_LAYER} {SHORT} --texts={{texts}}",
    "caa extract": f"--model={{model}} --limit=8 {ONE_LAYER}",
    "caa score": f"--model={{model}} --held-out=4 {ONE_LAYER}",
    "caa generate": f"--model={{model}} --max-new-tokens=2 {ONE_LAYER}",
    "caa vectors export": "--layers=1",
    "caa vectors bake": "--model={model} --layers=1",
}
# Takes no model, and no more than a moment.
CHEAP = re.compile(r"caa (--\w+|experiment list|behaviors (list|show|check)\b)")
# Programs of others, whose words we don't know.
OTHERS = ("export", "cd", "git", "vllm", "ndif", "inspect", "lm-eval")


def lines(block: Block) -> list[list[str]]:
    """The words of each command of a block; a line that ends in a backslash goes on."""
    text = block.text.replace("\\\n", " ")
    found = (shlex.split(line, comments=True) for line in text.splitlines())
    return [words for words in found if words]


def check(words: list[str]) -> None:
    """Fail where a command can't be right: an unknown option, target, module, extra or file."""
    program, *rest = words
    program = program.removeprefix(".venv/bin/")
    if program == "caa":
        parse(rest)
    elif program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert {word for word in rest if "=" not in word} <= set(targets), words
    elif program == "pip":
        check_install(rest)
    elif program == "python":
        assert rest[0] == "-m", words
        check_module(rest[1], rest[2:])
    elif "/" in program:
        assert (ROOT / program).exists(), words
    else:
        assert program in OTHERS, f"{shlex.join(words)}: say in tests/docs/shell.py what checks it"


def check_module(name: str, words: list[str]) -> None:
    """Options have to stand in the module's own source; of other people's, we know only names."""
    spec = find_spec(name)
    assert spec, name
    if ROOT in Path(spec.origin).parents:
        folder = spec.submodule_search_locations
        files = Path(folder[0]).glob("*.py") if folder else [Path(spec.origin)]
        source = "".join(path.read_text("utf-8") for path in files)
        options = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert {option for option in options if f'"{option}"' not in source} == set(), name


def check_install(words: list[str]) -> None:
    assert words[0] == "install", words
    ours = (re.fullmatch(r"caa_nnsight\[([\w,]+)\]", word) for word in words)
    extras = {extra for match in ours if match for extra in match[1].split(",")}
    assert extras <= set(PYPROJECT["project"]["optional-dependencies"]), words
    for option, file in pairwise(words):
        if option in ("-c", "-r"):
            assert (ROOT / file).exists(), words


def parse(words: list[str]) -> None:
    """Parse a command line with the parsers of `caa`, without running it."""
    command, name = typer.main.get_command(app), "caa"
    while hasattr(command, "commands"):
        flags = {option for parameter in command.params for option in parameter.opts}
        # A group's own options take no value.
        while words[0].startswith("-"):
            assert words[0] in {*flags, "--help"}, words
            if words[0] in ("--help", "--version"):
                return
            words = words[1:]
        name, *words = words
        assert name in command.commands, f"caa has no command {name}"
        command = command.commands[name]
    command.make_context(name, list(words))


def run(words: list[str], folder: Path) -> Outcome:
    """Run `caa` with what makes it quick, in a folder with `model/` and `texts.txt`."""
    line = shlex.join(words)
    added = [more for start, more in ADDED.items() if f"{line} ".startswith(f"{start} ")]
    if CHEAP.match(line):
        added = []
    more = " ".join(added).format(model=folder / "model", texts=folder / "texts.txt")
    outcome = caa(*words[1:], *shlex.split(more), folder=folder)
    assert outcome.code == 0, f"{line}\n{outcome.out}{outcome.err}"
    return outcome
