"""What a model can do beside a behavior: MMLU and TruthfulQA as items with two choices."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from caa_nnsight.errors import BehaviorError
from caa_nnsight.pairs import ContrastPair, folded, pairs_from_records, record_texts
from caa_nnsight.sources import HubDataset, Record, read_source
from caa_nnsight.splits import drop_duplicates, pick_balanced

MMLU = HubDataset(
    "cais/mmlu",
    revision="c30699e8356da336a370243923dbaf21066bb9fe",
    config="all",
    split="test",
    columns={key: key for key in ("question", "choices", "answer", "subject")},
)
# The configuration "generation", because "multiple_choice" says nothing of categories. Its best
# and incorrect answers are those of the latter's `mc1_targets`.
TRUTHFUL_QA = HubDataset(
    "truthfulqa/truthful_qa",
    revision="741b8276f2d1982aa3d5b832d3ee81ed3b896490",
    config="generation",
    split="validation",
    columns={key: key for key in ("question", "best_answer", "incorrect_answers", "category")},
)
NO_CATEGORY = "all"

# A question, its correct and its wrong answers, and its category.
_Question = tuple[str, str, Sequence[str], str]


@dataclass(frozen=True, slots=True)
class CapabilityItem:
    """A question with one right and one wrong choice.

    Attributes:
        pair: the two choices; the matching answer is the correct one.
        category: such as the subject; "all" where the data have none.
    """

    pair: ContrastPair
    category: str


@dataclass(frozen=True, slots=True)
class Capability:
    """Items that measure one capability.

    Attributes:
        name: such as "MMLU".
        items: those chosen, category by category.
        available: how many usable items the data have.
        left_out: how many of its records are no two different choices, or repeat another.
        source: the file, or the data set with its commit.
    """

    name: str
    items: tuple[CapabilityItem, ...]
    available: int
    left_out: int
    source: str


def load_mmlu(
    path: str | os.PathLike[str] | None = None, per_category: int = 10, seed: int = 0
) -> Capability:
    """Items of MMLU (Hendrycks et al., arXiv 2009.03300), recast as A/B.

    On the Hub, a question comes with three wrong choices, of which one is taken by seed. Which
    items are chosen depends on the seed and the items alone; each category's have as many correct
    answers (A) as (B), as far as its items allow.

    Args:
        path: a JSON or JSONL file of records `{"prompt", "correct", "incorrect"}`, whose prompt
            holds the choices lettered (A) and (B), and a "category" if there is one, as in the
            paper's repository; without one, `cais/mmlu` on the Hugging Face Hub.
        per_category: items of each category, at most.
        seed: chooses them.

    Returns:
        The chosen items, each a pair whose matching answer is the correct one, and how many there
        were to choose from.

    Raises:
        BehaviorError: the data can't be read, a record of the file is of another shape, or none
            has two choices; or `per_category` is below 1.

    Examples:
        >>> mmlu = load_mmlu("mmlu.json", per_category=2)
        >>> mmlu.items[0].category, len(mmlu.items)
        ('abstract_algebra', 2)
    """
    return _load("MMLU", "--mmlu", path, MMLU, _mmlu_question, per_category, seed)


def load_truthful_qa(
    path: str | os.PathLike[str] | None = None, per_category: int = 10, seed: int = 0
) -> Capability:
    """Items of TruthfulQA (Lin et al., arXiv 2109.07958), recast as A/B.

    On the Hub, a question comes with its best answer and several wrong ones, of which one is
    taken by seed.

    Args:
        path, per_category, seed: see `load_mmlu`; on the Hub, the data are
            `truthfulqa/truthful_qa`.

    Returns:
        As `load_mmlu`.

    Raises:
        BehaviorError: as `load_mmlu`.

    Examples:
        >>> load_truthful_qa("truthful_qa.json", per_category=2).name
        'TruthfulQA'
    """
    return _load(
        "TruthfulQA", "--truthful-qa", path, TRUTHFUL_QA, _truthful_qa_question, per_category, seed
    )


def _load(
    name: str,
    option: str,
    path: str | os.PathLike[str] | None,
    dataset: HubDataset,
    read: Callable[[Mapping, str], _Question],
    per_category: int,
    seed: int,
) -> Capability:
    if per_category < 1:
        raise BehaviorError(f"per_category has to be at least 1 item, but it is {per_category}.")
    if path is not None:
        source = str(path)
        records = read_source(path, name)
        good, problems = _recast_already(records)
    else:
        source = str(dataset)
        records = _from_hub(dataset, name, option)
        good, problems = _recast(records, read, seed)
    if not good:
        raise BehaviorError(f"No record of {source} is a question with two choices: {problems[0]}")
    kept = {pair.id for pair in drop_duplicates([pair for pair, _ in good])}
    by_category: dict[str, list[ContrastPair]] = {}
    for pair, category in good:
        if pair.id in kept:
            kept.remove(pair.id)
            by_category.setdefault(category, []).append(pair)
    items = tuple(
        CapabilityItem(pair, category)
        for category, pairs in by_category.items()
        for pair in pick_balanced(pairs, min(per_category, len(pairs)), seed, "capability")
    )
    available = sum(map(len, by_category.values()))
    return Capability(name, items, available, len(records) - available, source)


def _recast_already(
    records: Sequence[Record],
) -> tuple[list[tuple[ContrastPair, str]], list[str]]:
    """Read records whose prompt holds the two choices; what is no pair is gathered, not refused.

    Published files have a few: a wrong answer that is empty, or "(A) and (C)".
    """
    good, problems = [], []
    for where, record in records:
        if not isinstance(record, Mapping):
            raise BehaviorError(
                f"{where}: an item is an object with the keys prompt, correct and incorrect, but "
                f"this is a {type(record).__name__}."
            )
        prompt, correct, incorrect = record_texts(record, ("prompt", "correct", "incorrect"), where)
        try:
            pair = ContrastPair(prompt, correct.strip(), incorrect.strip())
        except BehaviorError as error:
            problems.append(f"{where}: {error}")
            continue
        good.append((pair, str(record.get("category") or NO_CATEGORY)))
    return good, problems


def _recast(
    records: Sequence[Record], read: Callable[[Mapping, str], _Question], seed: int
) -> tuple[list[tuple[ContrastPair, str]], list[str]]:
    """Give each question its correct and one wrong answer, by seed, under balanced letters."""
    laid_out, categories = [], {}
    for where, row in records:
        question, correct, wrong, category = read(row, where)
        others = [text for text in wrong if text.strip() and folded(text) != folded(correct)]
        chosen = min(others, key=lambda text: _rank(question, text, seed), default="")
        record = {"question": question, "positive": correct, "negative": chosen}
        laid_out.append((where, record))
        categories[where] = category
    good, bad = pairs_from_records(laid_out)
    return [(pair, categories[where]) for where, pair in good], [problem for _, problem in bad]


def _rank(question: str, answer: str, seed: int) -> str:
    """Order a question's answers by seed, whatever their order in the data."""
    content = f"{seed}\x1f{question}\x1f{answer}"
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def _mmlu_question(row: Mapping, where: str) -> _Question:
    choices, answer = list(row["choices"]), int(row["answer"])
    if not 0 <= answer < len(choices):
        raise BehaviorError(
            f"{where}: the answer is number {answer} of {len(choices)} choices, counted from 0."
        )
    wrong = [text for number, text in enumerate(choices) if number != answer]
    return row["question"], choices[answer], wrong, row["subject"]


def _truthful_qa_question(row: Mapping, where: str) -> _Question:
    return row["question"], row["best_answer"], list(row["incorrect_answers"]), row["category"]


def _from_hub(dataset: HubDataset, name: str, option: str) -> list[Record]:
    try:
        return read_source(dataset, name)
    except BehaviorError as error:
        # What follows the semicolon is advice for a behavior's own data.
        why = str(error).partition("; ")[0].rstrip(".")
        raise BehaviorError(
            f"There are no items of {name}: {why[0].lower()}{why[1:]}; connect once, or give a "
            f"file of items with two choices ({option} FILE)."
        ) from error
