"""`caa behaviors`: list, show and check, for those installed and for one in a file."""

import json

import pytest

from caa_nnsight.registry import behavior_names, get_behavior
from tests.cli.calling import caa
from tests.core.examples import made_up_pairs, write_pairs

TEA = """
from caa_nnsight import Behavior


class Tea(Behavior):
    name = "tea"
    description = "Whether the assistant prefers tea."
    polarity = "Positive means that it prefers tea."
    pairs = "tea.jsonl"
    held_out = "tea_held_out.jsonl"
    open_ended = ["What will you have?"]
    positive_system_prompt = "You love tea."
    source = "made up for a test"
    license = "CC0-1.0"
"""


@pytest.fixture
def tea(tmp_path):
    """A folder with a behavior of the user's own."""
    (tmp_path / "tea.py").write_text(TEA, encoding="utf-8")
    write_pairs(tmp_path / "tea.jsonl", made_up_pairs(20))
    write_pairs(tmp_path / "tea_held_out.jsonl", made_up_pairs(6, first=20))
    return tmp_path


def test_list_has_every_installed_behavior_with_its_counts():
    outcome = caa("behaviors", "list")
    assert outcome.code == 0, outcome.err
    words = outcome.out.split()
    assert {"hallucination", "refusal", "sycophancy"} <= set(behavior_names())
    for name in behavior_names():
        assert name in words
        assert str(len(get_behavior(name).load_pairs())) in words


def test_list_shows_a_broken_behavior_as_a_row_and_goes_on(monkeypatch):
    def broken(name):
        if name == "refusal":
            from caa_nnsight.errors import BehaviorError

            raise BehaviorError("it fell apart")
        return get_behavior(name)

    monkeypatch.setattr("caa_nnsight.registry.get_behavior", broken)
    outcome = caa("behaviors", "list")
    assert outcome.code == 0, outcome.err
    text = " ".join(outcome.out.split())
    assert "broken:" in text
    assert "sycophancy" in text


def test_show_says_what_positive_means_and_shows_a_pair(tea):
    outcome = caa("behaviors", "show", "./tea.py", folder=tea)
    assert outcome.code == 0, outcome.err
    for line in (
        "name: tea",
        "polarity: Positive means that it prefers tea.",
        "license: CC0-1.0",
        "positive system prompt: You love tea.",
        "first pair, answer (A) shows the behavior:",
        " (A) Yes, tea it is",
    ):
        assert line in outcome.out.splitlines()


def test_check_of_the_shipped_behaviors_finds_no_errors():
    outcome = caa("behaviors", "check")
    assert outcome.code == 0, outcome.out
    assert {f"{name}: 0 errors" for name in behavior_names()} <= {
        line.split(",")[0] for line in outcome.out.splitlines() if not line.startswith(" ")
    }


def test_check_names_each_bad_item_and_its_line_and_exits_with_one(tea):
    records = [pair.to_record() for pair in made_up_pairs(20)]
    records[2]["answer_matching_behavior"] = "(C)"
    records[7]["question"] = ""
    lines = "\n".join(json.dumps(record) for record in records)
    (tea / "tea.jsonl").write_text(lines, encoding="utf-8")
    outcome = caa("behaviors", "check", "./tea.py", folder=tea)
    assert outcome.code == 1
    assert "./tea.py: 2 errors" in outcome.out
    assert "tea.jsonl:3: " in outcome.out
    assert "tea.jsonl:8: " in outcome.out


def test_check_finds_a_held_out_question_among_the_pairs(tea):
    write_pairs(tea / "tea_held_out.jsonl", made_up_pairs(6, first=19))
    outcome = caa("behaviors", "check", "./tea.py", folder=tea)
    assert outcome.code == 1
    assert "tea_held_out.jsonl:1: " in outcome.out


def test_warnings_alone_do_not_fail_a_check(tea):
    write_pairs(tea / "tea.jsonl", made_up_pairs(40)[::2])
    write_pairs(tea / "tea_held_out.jsonl", made_up_pairs(6, first=40))
    outcome = caa("behaviors", "check", "./tea.py", folder=tea)
    assert outcome.code == 0
    assert "20 of 20 pairs" in outcome.out
