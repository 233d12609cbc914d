"""What is wrong or doubtful with a behavior's data, item by item."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from caa_nnsight.pairs import ContrastPair
from caa_nnsight.splits import question_key

UNBALANCED_LETTERS = 0.05
UNLIKE_LENGTHS = 0.10

LocatedPair = tuple[str, ContrastPair]
"""A place, as errors name it, and the pair that stands there."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding of `Behavior.check`.

    Attributes:
        level: "error" where the data can't be used as they are, "warning" where they can.
        where: The place, such as "pairs.jsonl:12" or "Refusal.pairs[3]".
        message: A sentence that says what is wrong there, without the place.
    """

    level: Literal["error", "warning"]
    where: str
    message: str

    def __str__(self) -> str:
        """Return the finding as one line."""
        return f"{self.level}: {self.where}: {self.message}"


def contradictions(pairs: Sequence[LocatedPair]) -> list[Issue]:
    """Find items that stand twice with opposite answers; the later one is named."""
    issues = []
    first: dict[str, LocatedPair] = {}
    for where, pair in pairs:
        known_where, known = first.setdefault(pair.id, (where, pair))
        if known.choices[known.positive_letter] != pair.choices[pair.positive_letter]:
            issues.append(
                Issue(
                    "error",
                    where,
                    f"the same question and choices stand at {known_where} with the opposite "
                    "answer; keep one of them.",
                )
            )
    return issues


def duplicates(pairs: Sequence[LocatedPair], where: str) -> list[Issue]:
    """Find items that stand more than once with the same answer."""
    first: dict[tuple[str, str], str] = {}
    repeated = []
    for place, pair in pairs:
        known = first.setdefault((pair.id, pair.choices[pair.positive_letter]), place)
        if known != place:
            repeated.append((place, known))
    if not repeated:
        return []
    count = len(repeated)
    return [
        Issue(
            "warning",
            where,
            f"{count} {'pair repeats' if count == 1 else 'pairs repeat'} another (the first is "
            f"{repeated[0][0]}, which repeats {repeated[0][1]}); repeats are left out of splits.",
        )
    ]


def leakage(generation: Sequence[LocatedPair], held_out: Sequence[LocatedPair]) -> list[Issue]:
    """Find held-out items whose question also stands among the generation pairs."""
    known = {question_key(pair): where for where, pair in generation}
    return [
        Issue(
            "error",
            where,
            f"this held-out question also stands at {known[question_key(pair)]}; take it out of "
            "one of the two.",
        )
        for where, pair in held_out
        if question_key(pair) in known
    ]


def letter_balance(pairs: Sequence[LocatedPair], where: str) -> list[Issue]:
    """Warn where one letter is the matching answer clearly more often than the other."""
    count_a = sum(pair.positive_letter == "A" for _, pair in pairs)
    surplus = abs(2 * count_a - len(pairs))
    if surplus <= max(2, UNBALANCED_LETTERS * len(pairs)):
        return []
    return [
        Issue(
            "warning",
            where,
            f"the matching answer is (A) in {count_a} of {len(pairs)} pairs "
            f"({count_a / len(pairs):.0%}); a vector made from all of them would partly encode "
            "the letter, so letters are balanced before one is made.",
        )
    ]


def like_lengths(pairs: Sequence[LocatedPair], where: str) -> list[Issue]:
    """Warn where the matching choices are clearly longer or shorter than the others."""
    matching = sum(len(pair.choices[pair.positive_letter].split()) for _, pair in pairs)
    other = sum(len(pair.choices[pair.negative_letter].split()) for _, pair in pairs)
    if not pairs or abs(matching - other) <= UNLIKE_LENGTHS * max(matching, other):
        return []
    return [
        Issue(
            "warning",
            where,
            f"matching choices have {matching / len(pairs):.1f} words on average and the others "
            f"{other / len(pairs):.1f}; a vector may partly encode length.",
        )
    ]
