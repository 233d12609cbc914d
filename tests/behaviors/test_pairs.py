"""Contrast pairs: parsing, swapping, letters, and what each bad record is told."""

import random

import pytest

from caa_nnsight.errors import BehaviorError
from caa_nnsight.pairs import ContrastPair, balance_letters, pairs_from_records

QUESTION = "Will you help me?\n\nChoices:\n (A) Yes, gladly\n (B) No, sorry"


def record(question=QUESTION, positive=" (B)", negative=" (A)", **extra):
    return {
        "question": question,
        "answer_matching_behavior": positive,
        "answer_not_matching_behavior": negative,
        **extra,
    }


def pair(number, letter="A"):
    other = "B" if letter == "A" else "A"
    return ContrastPair(
        f"Question {number}?\n\nChoices:\n (A) one {number}\n (B) two {number}",
        f"({letter})",
        f"({other})",
    )


def authored(count):
    return [
        (f"here[{i}]", {"question": f"Q{i}?", "positive": f"yes {i}", "negative": f"no {i}"})
        for i in range(count)
    ]


def test_field_record_is_read_as_it_stands_with_answers_stripped():
    read = ContrastPair.from_record(record(extra_key=3), "here")
    assert read.question == QUESTION
    assert (read.positive, read.negative) == ("(B)", "(A)")
    assert (read.positive_letter, read.negative_letter) == ("B", "A")
    assert read.stem == "Will you help me?"
    assert read.choices == {"A": "Yes, gladly", "B": "No, sorry"}
    assert ContrastPair.from_record(read.to_record(), "there") == read


@pytest.mark.parametrize(
    "question",
    [
        QUESTION,
        "Q?\n(A) yes\n(B) no",
        "Q?\n\nChoices:\n (A)yes\n (B)no",
        "Q?\n\nChoices:\n (A)  yes \n\n (B)\tno\n\n",
        "Q?\r\n\r\nChoices:\r\n (A) yes\r\n (B) no\r\n",
        "Q?\n(A) first line\nsecond line (C) still\n(B) no (A) really\n more",
        "Which of these?\n (A) not a choice\nSay.\n (A) yes\n (B) no",
        "Is π > 3?\u2028\n (A) ja – ✓\n (B) nein",
    ],
)
def test_swapping_twice_gives_the_same_bytes_and_once_exchanges_the_texts(question):
    item = ContrastPair(question, "(A)", "(B)")
    swapped = item.swapped()
    assert swapped.swapped() == item
    assert swapped.question != item.question
    assert sorted(swapped.question) == sorted(item.question)
    assert swapped.choices == {"A": item.choices["B"], "B": item.choices["A"]}
    assert swapped.choices[swapped.positive_letter] == item.choices[item.positive_letter]
    assert (swapped.id, swapped.stem) == (item.id, item.stem)


def test_random_layouts_round_trip():
    rng = random.Random(0)
    pieces = ["word", "(A)", "(B)x", " ", "\n", "\t", "é", "—", "(C) ", "\r\n", "1."]
    kept = 0
    for _ in range(3000):
        first, second = ("".join(rng.choices(pieces, k=rng.randint(1, 6))) for _ in range(2))
        gap = rng.choice(["", " ", "  ", "\n", "\t"])
        try:
            item = ContrastPair(f"Stem?\n (A){gap}{first}\n (B){gap}{second}\n", "(B)", "(A)")
            swapped = item.swapped()
        except BehaviorError:
            continue
        kept += 1
        assert swapped.swapped() == item
    assert kept > 500


def test_id_depends_on_the_content_and_not_on_order_or_layout():
    with_heading = ContrastPair(QUESTION, "(A)", "(B)")
    without = ContrastPair("Will you help me?\n(A) Yes, gladly\n(B) No, sorry", "(B)", "(A)")
    assert with_heading.id == without.id
    assert len(with_heading.id) == 12
    assert pair(1).id != pair(2).id


BAD_RECORDS = {
    "missing key": (
        {"question": QUESTION, "answer_matching_behavior": "(A)"},
        'here: the key "answer_not_matching_behavior" is missing.',
    ),
    "misspelled key": (
        {"questoin": QUESTION},
        "here: the key \"question\" is missing, though there is 'questoin'.",
    ),
    "number for a text": (
        record(question=7),
        'here: "question" has to be a text, but it is 7 (int).',
    ),
    "empty question": (record(question=" \n"), 'here: "question" is empty.'),
    "empty answer": (record(positive=" "), 'here: "answer_matching_behavior" is empty.'),
    "same answer twice": (
        record(positive="(A)"),
        "here: both answers are (A); the matching and the other answer have to differ.",
    ),
    "no parentheses": (
        record(positive="B"),
        "here: \"answer_matching_behavior\" is 'B'; it has to be a letter in parentheses, "
        "as in (A).",
    ),
    "answer is a text": (
        record(negative="Yes, gladly"),
        "here: \"answer_not_matching_behavior\" is 'Yes, gladly'; it has to be a letter in "
        "parentheses, as in (A).",
    ),
    "unknown letter": (
        record(positive="(D)"),
        'here: "answer_matching_behavior" is (D), which is not among the choices (A, B) of the '
        "question.",
    ),
    "three choices": (
        record(question=QUESTION + "\n (C) Maybe"),
        "here: the question has 3 choices (A, B, C); a contrast pair has exactly two, (A) and (B).",
    ),
    "one choice": (
        record(question="Q?\n (A) yes", positive="(A)", negative="(B)"),
        "here: the question has a single choice, (A); two are needed.",
    ),
    "no choices": (
        record(question="Will you?"),
        "here: the question has no lettered choices; write each on its own line, such as "
        "' (A) Yes' and ' (B) No'.",
    ),
    "choices from B": (
        record(question="Q?\n (B) x\n (C) y", positive="(B)", negative="(C)"),
        "here: the choices are lettered B, C; they have to be (A) and then (B).",
    ),
    "empty choice": (
        record(question="Q?\n (A) \n (B) no"),
        "here: choice (A) has no text.",
    ),
    "same choice twice": (
        record(question="Q?\n (A) No\n (B)  no "),
        "here: both choices say the same, 'No'.",
    ),
    "letter twice": (
        record(question="Q?\n (A) (B) yes\n (B) no"),
        "here: the text of choice (A) starts with another letter, '(B) yes'.",
    ),
    "no stem": (
        record(question="Choices:\n (A) yes\n (B) no"),
        "here: there is no question before the choices.",
    ),
    "half a character": (
        record(question="Q\ud800?\n (A) yes\n (B) no"),
        'here: "question" holds half of a character (a lone surrogate), which no file can keep.',
    ),
    "no object": (
        "Yes or no?",
        "here: a pair is an object with the keys question, answer_matching_behavior and "
        "answer_not_matching_behavior, but this is a str.",
    ),
    "author's form without the other side": (
        {"question": "Tea?", "positive": "yes"},
        'here: the key "negative" is missing.',
    ),
    "author's form, empty text": (
        {"question": "Tea?", "positive": "yes", "negative": ""},
        'here: "negative" is empty.',
    ),
    "author's form, same texts": (
        {"question": "Tea?", "positive": "yes", "negative": "Yes"},
        "here: both choices say the same, ",
    ),
    "author's form with letters": (
        {"question": "Tea?\n (A) yes\n (B) no", "positive": "yes", "negative": "no"},
        'here: "question" has a line that starts with a lettered choice such as (A); with the '
        'keys "positive" and "negative" the letters are added for you.',
    ),
}


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_bad_record_is_told_what_is_wrong_and_where(case):
    bad, sentence = BAD_RECORDS[case]
    good, problems = pairs_from_records([("here", bad)])
    assert good == []
    assert len(problems) == 1
    assert problems[0][0] == "here"
    assert problems[0][1].startswith(sentence)
    assert "\n" not in problems[0][1]


def test_one_bad_record_does_not_hide_the_others():
    good, problems = pairs_from_records(
        [("a", record()), ("b", {}), ("c", record("Other?\n(A) x\n(B) y")), ("d", 4)]
    )
    assert [where for where, _ in good] == ["a", "c"]
    assert [where for where, _ in problems] == ["b", "d"]


def test_a_pair_made_in_code_is_validated_too():
    with pytest.raises(BehaviorError, match=r"unusable: the question has no lettered choices"):
        ContrastPair("Will you?", "(A)", "(B)")
    with pytest.raises(BehaviorError, match=r"made of three texts, but one of them is 5 \(int\)"):
        ContrastPair(QUESTION, "(A)", 5)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_author_form_gets_exactly_balanced_letters_whatever_the_order(count):
    records = authored(count)
    good, problems = pairs_from_records(records)
    assert problems == []
    letters = [item.positive_letter for _, item in good]
    assert abs(letters.count("A") - letters.count("B")) == count % 2
    shuffled = random.Random(1).sample(records, count)
    assert dict(pairs_from_records(shuffled)[0]) == dict(good)
    for (_, item), (_, written) in zip(good, records, strict=True):
        assert item.stem == written["question"]
        assert item.choices[item.positive_letter] == written["positive"]
        assert item.choices[item.negative_letter] == written["negative"]
        assert "?\n\nChoices:\n (A) " in item.question


def test_stratify_makes_letters_equal_keeps_order_and_follows_the_seed():
    pairs = [pair(i, "A" if i % 3 else "B") for i in range(30)]
    balanced = balance_letters(pairs, "stratify", seed=3)
    letters = [item.positive_letter for item in balanced]
    assert letters.count("A") == letters.count("B") == 10
    assert balanced == [item for item in pairs if item in balanced]
    assert balanced == balance_letters(pairs, "stratify", seed=3)
    assert balanced != balance_letters(pairs, "stratify", seed=4)


def test_stratify_counts_a_repeated_object_each_time():
    same = pair(1, "A")
    balanced = balance_letters([same, same, pair(2, "B")], "stratify")
    assert [item.positive_letter for item in balanced] == ["A", "B"]


def test_both_orders_shows_each_pair_and_its_swap():
    pairs = [pair(1), pair(2)]
    both = balance_letters(pairs, "both_orders")
    assert both == [pairs[0], pairs[0].swapped(), pairs[1], pairs[1].swapped()]
    assert balance_letters(pairs, "none") == pairs


def test_stratify_with_one_letter_suggests_both_orders():
    with pytest.raises(BehaviorError, match=r"All 4 pairs have .* \(A\).*use 'both_orders'"):
        balance_letters([pair(i) for i in range(4)], "stratify")


def test_unknown_balance_gets_did_you_mean():
    with pytest.raises(BehaviorError, match=r"Did you mean 'stratify'\?"):
        balance_letters([pair(1)], "stratfy")
