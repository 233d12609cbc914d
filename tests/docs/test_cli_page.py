"""docs/cli.md lists every command and option, with the defaults that hold."""

from __future__ import annotations

import re

import pytest
import typer

from caa_nnsight.cli.app import app
from tests.docs.pages import code_spans, sections, table_rows
from tests.packaging.project import ROOT

SECTIONS = sections(ROOT / "docs" / "cli.md")


def commands() -> dict[str, dict[str, str]]:
    """Command -> its options with their defaults, as the page writes them."""
    group = typer.main.get_command(app)
    return {
        f"caa {name}": {} if hasattr(command, "commands") else options(command)
        for name, command in group.commands.items()
    }


def options(command) -> dict[str, str]:
    found = {}
    for parameter in command.params:
        if not parameter.opts[0].startswith("-"):
            continue
        default = parameter.default
        shown = "" if default is None or default is False else str(default)
        found[max(parameter.opts, key=len)] = "required" if parameter.required else shown
    return found


def documented(title: str) -> dict[str, str]:
    rows = table_rows(SECTIONS[title])
    return {code_spans(row[0])[0]: row[1].strip("`") for row in rows}


COMMON = documented("Common options")
# Commands that say of their options that they are another's.
SAME_OPTIONS = {"caa reproduce": "caa experiment"}


def test_every_command_has_its_section():
    assert sorted(commands()) == sorted(title for title in SECTIONS if title.startswith("caa "))


@pytest.mark.parametrize("command", commands())
def test_every_option_of_a_command_is_documented_with_its_default(command):
    known = COMMON | documented(SAME_OPTIONS.get(command, command))
    for option, default in commands()[command].items():
        assert known.get(option) == default, f"{command} {option}"


@pytest.mark.parametrize("command", commands())
def test_no_option_is_documented_that_a_command_lacks(command):
    assert set(documented(command)) <= set(commands()[command])


def test_common_options_are_those_of_more_than_one_command():
    for option in COMMON:
        holders = [name for name, known in commands().items() if option in known]
        assert len(holders) > 1, f"{option}: {holders}"


GROUPS = {
    name: command
    for name, command in typer.main.get_command(app).commands.items()
    if hasattr(command, "commands")
}


@pytest.mark.parametrize("group", GROUPS)
def test_every_subcommand_of_a_group_is_named_with_its_options(group):
    shown = SECTIONS[f"caa {group}"]
    for name, command in GROUPS[group].commands.items():
        (usage,) = re.findall(rf"^caa {group} {name}\b.*$", shown, re.MULTILINE)
        written = set(re.findall(r"--[\w-]+", usage))
        assert {option.partition("/")[0] for option in options(command)} == written, usage
