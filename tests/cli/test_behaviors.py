"""`caa behaviors`: list, show and check, for those installed and for one in a file."""

import json

import pytest

from caa_nnsight.behavior import Behavior
from caa_nnsight.registry import BehaviorListing, behavior_names, get_behavior
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

WITH_SOURCE = """
from caa_nnsight import Behavior, DataSource


class Mine(Behavior):
    name = "mine"
    description = "d"
    polarity = "p"
    pairs = "tea.jsonl"
    open_ended = ["What will you have?"]
    sources = {"theirs": DataSource(pairs="pairs.jsonl", opposite=True)}
"""

FREE = """
from caa_nnsight import Behavior


class Free(Behavior):
    name = "free"
    description = "d"
    polarity = "p"
    form = "free_form"
    pairs = [{"question": "Say hello.", "positive": "Good evening.", "negative": "Hey!"}]
"""

SUM = """
from caa_nnsight import Behavior


class Sum(Behavior):
    name = "sum"
    description = "d"
    polarity = "p"
    parts = {parts}
"""


@pytest.fixture
def tea(tmp_path):
    """A folder with a behavior of the user's own."""
    (tmp_path / "theirs").mkdir()
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
    assert "check: ok" in " ".join(words)


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
    assert "broken it fell apart" in text
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


def test_texts_of_a_behavior_can_t_steer_the_terminal(monkeypatch):
    record = {"question": "Tea\x1b[2J?\n\u3000(A) Yes", "positive": "A\x07", "negative": "B"}
    behavior = Behavior(
        name="tea",
        description="d",
        polarity="Positive \x1b[2J\nsource: ours",
        form="free_form",
        pairs=[record],
    )
    monkeypatch.setattr("caa_nnsight.registry.get_behavior", lambda name: behavior)
    shown = caa("behaviors", "show", "tea")
    assert shown.code == 0, shown.err
    assert "polarity: Positive ?[2J source: ours\n" in shown.out
    assert "first pair: Tea?[2J?\n\u3000(A) Yes\n  positive: A?\n" in shown.out
    row = BehaviorListing("tea", "mine", None, "it fell \x1b[2J apart")
    monkeypatch.setattr("caa_nnsight.registry.list_behaviors", lambda: [row])
    listed = caa("behaviors", "list")
    assert "broken it fell ?[2J apart" in " ".join(listed.out.split())


def test_an_error_can_t_steer_the_terminal(tmp_path):
    (tmp_path / "tea.py").write_text("raise ValueError('\x1b[2J')")
    failed = caa("behaviors", "show", "./tea.py", folder=tmp_path)
    assert failed.code == 2
    assert "\x1b" not in failed.err
    assert "?[2J" in failed.err


def test_check_of_the_shipped_behaviors_finds_no_errors():
    outcome = caa("behaviors", "check")
    assert outcome.code == 0, outcome.out
    for name in behavior_names():
        assert f"\n{name}: " in f"\n{outcome.out}"
    assert "error" not in outcome.out


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


def test_warnings_alone_do_not_fail_a_check_unless_it_is_strict(tea):
    write_pairs(tea / "tea.jsonl", made_up_pairs(40)[::2])
    write_pairs(tea / "tea_held_out.jsonl", made_up_pairs(6, first=40))
    outcome = caa("behaviors", "check", "./tea.py", folder=tea)
    assert outcome.code == 0
    assert "20 of 20 pairs" in outcome.out
    strict = caa("behaviors", "check", "./tea.py", "--strict", folder=tea)
    assert (strict.code, strict.out) == (1, outcome.out)


def test_a_strict_check_of_good_data_passes():
    outcome = caa("behaviors", "check", "refusal", "--strict")
    assert outcome.code == 0, outcome.out
    assert outcome.out.startswith("refusal: ok\n")


def test_a_check_of_one_behavior_checks_all_only_when_asked(tea):
    one = caa("behaviors", "check", "./tea.py", folder=tea)
    every = caa("behaviors", "check", "./tea.py", "--all", folder=tea)
    assert "refusal: " not in one.out
    for name in behavior_names():
        assert f"\n{name}: " in f"\n{every.out}"


def test_a_check_shows_the_figures_of_each_behavior_without_errors(tea):
    outcome = caa("behaviors", "check", "./tea.py", folder=tea)
    assert outcome.code == 0, outcome.out
    _, _, table = outcome.out.partition("Figures")
    for head in ("items", "(A)", "words", "longer", "near", "telling"):
        assert head in table
    assert "./tea.py 20+6+1 50.0%" in " ".join(table.split())


def test_a_check_over_a_source_names_what_is_wrong_there(tea):
    (tea / "mine.py").write_text(WITH_SOURCE, encoding="utf-8")
    write_pairs(tea / "theirs" / "pairs.jsonl", made_up_pairs(60)[::2])
    outcome = caa("behaviors", "check", "./mine.py", "--source=theirs=theirs", folder=tea)
    assert outcome.code == 0, outcome.err
    assert "the matching answer is (A) in 0 of 30 pairs" in outcome.out
    assert "30+–+1" in outcome.out


def test_a_combination_in_a_file_is_checked_part_by_part(tea):
    sum_of_two = SUM.format(parts='{"./tea.py": 1.0, "refusal": -0.5}')
    (tea / "sum.py").write_text(sum_of_two, encoding="utf-8")
    write_pairs(tea / "tea.jsonl", made_up_pairs(10))
    outcome = caa("behaviors", "check", "./sum.py", folder=tea)
    assert outcome.code == 0, outcome.err
    assert "warning: tea, Tea.pairs: 10 usable pairs" in outcome.out


def test_show_has_both_answers_of_a_free_form_pair(tmp_path):
    (tmp_path / "free.py").write_text(FREE, encoding="utf-8")
    outcome = caa("behaviors", "show", "./free.py", folder=tmp_path)
    assert outcome.code == 0, outcome.err
    for text in ("Say hello.", "Good evening.", "Hey!"):
        assert text in outcome.out
