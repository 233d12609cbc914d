"""The program itself, in processes of its own: help, version and errors."""

import re
from importlib.metadata import version

import pytest

from tests.cli.calling import caa, finish, start


def test_version_is_the_package_s():
    assert caa("--version").out.strip() == f"caa_nnsight {version('caa_nnsight')}"


@pytest.mark.parametrize(
    "command",
    [[], ["run"], ["extract"], ["score"], ["generate"], ["report"], ["behaviors"]],
    ids=lambda command: " ".join(["caa", *command]),
)
def test_help_of_every_command_says_what_it_does(command):
    outcome = caa(*command, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith("Usage: caa")
    assert outcome.err == ""


def test_run_help_names_every_setting():
    shown = caa("run", "--help").out
    for option in (
        "--model",
        "--limit",
        "--layers",
        "--multipliers",
        "--seed",
        "--device",
        "--dtype",
        "--out",
        "--held-out",
        "--controls",
        "--method",
        "--balance",
        "--pairs",
        "--held-out-pairs",
    ):
        assert re.search(rf"^\s+(-\w, )?{option}\b", shown, re.MULTILINE), option


def test_an_error_is_one_sentence_on_standard_error_and_exit_code_two(tmp_path):
    outcome = finish(start("run", "refusual", folder=tmp_path))
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err == "Error: There is no behavior 'refusual'. Did you mean 'refusal'?\n"


def test_a_console_that_lacks_a_character_shows_the_rest(tmp_path):
    text = """from caa_nnsight import Behavior
class Tea(Behavior):
    name, description, polarity = "tea", "A → B", "+ is →"
    pairs = [{"question": "What?", "positive": "Tea", "negative": "No"}]
"""
    (tmp_path / "tea.py").write_text(text, encoding="utf-8")
    shown = finish(
        start("behaviors", "show", "./tea.py", folder=tmp_path, PYTHONIOENCODING="latin-1")
    )
    assert (shown.code, shown.err) == (0, "")
    assert "polarity: + is ?\n" in shown.out


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    process = start("behaviors", "show", "refusal", folder=tmp_path)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(timeout=60)
