"""The data that ship: enough of them, balanced, alike on both sides, and clean."""

import inspect
import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from caa_nnsight.registry import get_behavior

NAMES = ("hallucination", "refusal", "sycophancy")

pytestmark = pytest.mark.parametrize("name", NAMES)


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


def sides(pairs):
    """Return the choices as (matching, other) texts."""
    return [(p.choices[p.positive_letter], p.choices[p.negative_letter]) for p in pairs]


def parts(name):
    behavior = get_behavior(name)
    return behavior.load_pairs(), behavior.load_held_out(), behavior.load_open_ended()


def test_is_complete_and_has_nothing_to_complain_of(name):
    behavior = get_behavior(name)
    assert behavior.check() == []
    for attribute in (
        "positive_system_prompt",
        "negative_system_prompt",
        "judge_rubric",
        "source",
        "license",
    ):
        assert getattr(behavior, attribute)
    assert "\n" not in behavior.description
    assert "positive" in behavior.polarity.lower()
    assert "negative" in behavior.polarity.lower()


def test_there_are_enough_of_each_kind(name):
    generation, held_out, prompts = parts(name)
    assert len(generation) >= 100
    assert len(held_out) >= 50
    assert len(set(prompts)) == len(prompts) >= 10


def test_letters_are_exactly_balanced(name):
    for pairs in parts(name)[:2]:
        assert sum(pair.positive_letter == "A" for pair in pairs) == len(pairs) / 2


def test_the_two_sides_are_of_like_length(name):
    for pairs in parts(name)[:2]:
        for measure in (len, lambda text: len(words(text))):
            lengths = [(measure(matching), measure(other)) for matching, other in sides(pairs)]
            matching, other = (sum(column) for column in zip(*lengths, strict=True))
            assert abs(matching - other) < 0.1 * max(matching, other)
        longer = Counter((m > o) - (m < o) for m, o in lengths)
        assert max(longer[1], longer[-1]) <= 0.6 * len(pairs)


def test_no_question_resembles_another_within_or_across_the_parts(name):
    generation, held_out, prompts = parts(name)
    stems = [pair.stem for pair in generation + held_out] + prompts
    sets = [set(words(stem)) for stem in stems]
    for (i, one), (j, other) in itertools.combinations(enumerate(sets), 2):
        assert len(one & other) <= 0.6 * len(one | other), (stems[i], stems[j])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_opening_gives_the_answer_away(name, count):
    generation, held_out, _ = parts(name)
    pairs = sides(generation + held_out)
    matching, other = (
        Counter(tuple(words(text)[:count]) for text in column)
        for column in zip(*pairs, strict=True)
    )
    for opening in matching.keys() | other.keys():
        seen = matching[opening] + other[opening]
        if seen >= 0.1 * len(pairs):
            assert max(matching[opening], other[opening]) < 0.8 * seen, opening


def test_no_frequent_word_gives_the_answer_away(name):
    generation, held_out, _ = parts(name)
    pairs = [(set(words(m)), set(words(o))) for m, o in sides(generation + held_out)]
    matching = Counter(word for m, o in pairs for word in m - o)
    other = Counter(word for m, o in pairs for word in o - m)
    for word in matching.keys() | other.keys():
        seen = matching[word] + other[word]
        if seen >= 0.06 * len(pairs):
            assert max(matching[word], other[word]) < 0.85 * seen, word


def test_the_card_has_its_sections_and_true_counts(name):
    generation, held_out, prompts = parts(name)
    card = Path(inspect.getfile(type(get_behavior(name)))).with_name("README.md").read_text("utf-8")
    for heading in (
        "## What is in the data",
        "## What is not",
        "## How it was written",
        "## Known weaknesses",
        "## Measured steerability",
    ):
        assert heading in card
    assert f"`generation.jsonl` | {len(generation)} |" in card
    assert f"`held_out.jsonl` | {len(held_out)} |" in card
    assert f"`open_ended.jsonl` | {len(prompts)} |" in card
