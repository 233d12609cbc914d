"""Contrast pairs: a question with two lettered choices, one of which shows the behavior."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from caa_nnsight.errors import BehaviorError
from caa_nnsight.suggest import did_you_mean

QUESTION_KEY = "question"
POSITIVE_KEY = "answer_matching_behavior"
NEGATIVE_KEY = "answer_not_matching_behavior"

LetterBalance = Literal["stratify", "both_orders", "none"]

_MARKER = re.compile(r"^[ \t]*\(([A-Z])\)", re.MULTILINE)
_ANSWER = re.compile(r"\(([A-Z])\)")
_CHOICES_HEADING = re.compile(r"(?:^|\n)[ \t]*choices:\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ContrastPair:
    r"""One question whose two completions differ in the answer letter alone.

    Choice lines start with a letter in parentheses; a choice's text may run over several
    lines. The choices are lettered (A) and (B), in this order.

    Attributes:
        question: The whole question text with its lettered choices, as it stands in the data.
        positive: The answer that shows the behavior, for example "(A)".
        negative: The answer that does not, for example "(B)".

    Raises:
        BehaviorError: If the pair is unusable, saying why.

    Examples:
        >>> pair = ContrastPair("Tea?\n\nChoices:\n (A) Yes\n (B) No", "(A)", "(B)")
        >>> pair.stem, pair.choices
        ('Tea?', {'A': 'Yes', 'B': 'No'})
        >>> pair.swapped()
        ContrastPair(question='Tea?\n\nChoices:\n (A) No\n (B) Yes', positive='(B)', negative='(A)')
    """

    question: str
    positive: str
    negative: str

    def __post_init__(self) -> None:
        """Refuse a pair that no later step could use."""
        for value in (self.question, self.positive, self.negative):
            if not isinstance(value, str):
                raise BehaviorError(
                    "A contrast pair is made of three texts, but one of them is "
                    f"{_shown(value)} ({type(value).__name__})."
                )
        problem = _problem(self.question, self.positive, self.negative)
        if problem:
            raise BehaviorError(f"This contrast pair is unusable: {problem}.")

    @classmethod
    def from_record(cls, record: Mapping[str, object], where: str) -> "ContrastPair":
        """Read a record with the field's keys.

        Args:
            record: Has `question`, `answer_matching_behavior` and `answer_not_matching_behavior`;
                values such as `" (A)"` are stripped of spaces; other keys are ignored.
            where: The place named in errors, such as `"pairs.jsonl:12"`.

        Raises:
            BehaviorError: If a key is missing, or the record is no usable pair.
        """
        question, positive, negative = record_texts(
            record, (QUESTION_KEY, POSITIVE_KEY, NEGATIVE_KEY), where
        )
        positive, negative = positive.strip(), negative.strip()
        problem = _problem(question, positive, negative)
        if problem:
            raise BehaviorError(f"{where}: {problem}.")
        return cls(question, positive, negative)

    @property
    def id(self) -> str:
        """Twelve hex digits that name the item, the same for both orders of its choices."""
        content = "\x1f".join([self.stem, *sorted(self.choices.values())])
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def stem(self) -> str:
        """The question without its choices, and without a heading line `Choices:`."""
        before = self.question[: _choice_markers(self.question)[0].start()]
        return _CHOICES_HEADING.sub("", before).strip()

    @property
    def choices(self) -> dict[str, str]:
        """The choice texts by letter."""
        return {
            letter: self.question[start:end]
            for letter, (start, end) in _choice_spans(self.question).items()
        }

    @property
    def positive_letter(self) -> str:
        """The letter of the answer that shows the behavior."""
        return self.positive[1]

    @property
    def negative_letter(self) -> str:
        """The letter of the answer that does not."""
        return self.negative[1]

    @property
    def positive_text(self) -> str:
        """The text of the choice that shows the behavior."""
        return self.choices[self.positive_letter]

    @property
    def negative_text(self) -> str:
        """The text of the choice that does not."""
        return self.choices[self.negative_letter]

    def opposite(self) -> "ContrastPair":
        """Return the pair of the opposite behavior: the same choices, the other one matching."""
        return ContrastPair(self.question, positive=self.negative, negative=self.positive)

    def swapped(self) -> "ContrastPair":
        """Return the same item with its choice texts exchanged under their letters.

        Every other byte of the question stays, so that swapping twice gives the original.
        """
        spans = _choice_spans(self.question)
        (start_a, end_a), (start_b, end_b) = spans["A"], spans["B"]
        question = "".join(
            [
                self.question[:start_a],
                self.question[start_b:end_b],
                self.question[end_a:start_b],
                self.question[start_a:end_a],
                self.question[end_b:],
            ]
        )
        return ContrastPair(question, positive=self.negative, negative=self.positive)

    def to_record(self) -> dict[str, str]:
        """Return the pair under the field's keys."""
        return {
            QUESTION_KEY: self.question,
            POSITIVE_KEY: self.positive,
            NEGATIVE_KEY: self.negative,
        }


def pairs_from_records(
    records: Sequence[tuple[str, object]],
) -> tuple[list[tuple[str, ContrastPair]], list[tuple[str, str]]]:
    r"""Read records in either of the two forms, and gather what is wrong instead of stopping.

    A record has the field's keys (see `ContrastPair.from_record`), or the author's form
    `{"question": stem, "positive": text, "negative": text}`, which is laid out as
    `"stem\n\nChoices:\n (A) text\n (B) text"`. Which letter the positive text gets does not
    depend on the order of the records: the records in the author's form are ranked by a hash of
    their content, and the letters alternate along the rank, so that they are exactly balanced.

    Args:
        records: Pairs of a place, such as `"pairs.jsonl:12"`, and a record or `ContrastPair`.

    Returns:
        The usable pairs and the problems, both as (place, value) in the order of the records.

    Examples:
        >>> good, bad = pairs_from_records([("here", {"question": "Tea?", "positive": "Yes"})])
        >>> bad
        [('here', 'here: the key "negative" is missing.')]
    """
    letters = _author_letters(records)
    good: list[tuple[str, ContrastPair]] = []
    bad: list[tuple[str, str]] = []
    for index, (where, record) in enumerate(records):
        try:
            good.append((where, _read_pair(record, where, letters.get(index, "A"))))
        except BehaviorError as error:
            bad.append((where, str(error)))
    return good, bad


def balance_letters(
    pairs: Sequence[ContrastPair], how: LetterBalance = "stratify", seed: int = 0
) -> list[ContrastPair]:
    """Make the positive answer (A) as often as (B), so that a vector can't encode the letter.

    Args:
        pairs: The pairs; their order is kept, and those without letters stay as they are.
        how: "stratify" drops the surplus of the commoner letter, chosen by seed; "both_orders"
            gives each pair followed by itself with its choices exchanged; "none" changes nothing.
        seed: Chooses what "stratify" drops.

    Raises:
        BehaviorError: If `how` is unknown, or one letter is absent under "stratify".

    Example:
        >>> question = "Tea?\\n\\nChoices:\\n (A) Yes\\n (B) No"
        >>> pairs = [ContrastPair(question, "(A)", "(B)")]
        >>> [pair.positive_letter for pair in balance_letters(pairs, "both_orders")]
        ['A', 'B']
    """
    if how not in ("stratify", "both_orders", "none"):
        raise BehaviorError(
            f"Letters can't be balanced by {how!r}: use 'stratify', 'both_orders' or 'none'."
            + did_you_mean(str(how), ["stratify", "both_orders", "none"])
        )
    if how == "none":
        return list(pairs)
    if how == "both_orders":
        return [
            order
            for pair in pairs
            for order in ((pair, pair.swapped()) if isinstance(pair, ContrastPair) else (pair,))
        ]
    by_letter = {
        letter: [index for index, pair in enumerate(pairs) if letter_of(pair) == letter]
        for letter in ("A", "B")
    }
    lettered = sum(map(len, by_letter.values()))
    smaller = min(map(len, by_letter.values()))
    if lettered and smaller == 0:
        present = "A" if by_letter["A"] else "B"
        raise BehaviorError(
            f"All {lettered} pairs have the matching answer ({present}), so letters can't be "
            "balanced by dropping pairs: use 'both_orders', which shows each pair both ways."
        )
    dropped = {
        index
        for group in by_letter.values()
        for index in sorted(group, key=lambda index: seeded_rank(pairs[index], seed))[smaller:]
    }
    return [pair for index, pair in enumerate(pairs) if index not in dropped]


def seeded_rank(pair: ContrastPair, seed: int, purpose: str = "balance") -> str:
    """Return a sort key that shuffles pairs by seed, whatever order their file has.

    A hash, and not the `random` module, so that a seed picks the same items in every version
    of Python, and a smaller pick is always part of a larger one.
    """
    content = f"{purpose}\x1f{seed}\x1f{pair.id}\x1f{pair.positive}"
    return hashlib.sha256(content.encode()).hexdigest()


def letter_of(pair: object) -> str | None:
    """The letter of the answer that shows the behavior; None for a pair without letters."""
    return pair.positive_letter if isinstance(pair, ContrastPair) else None


def is_unicode(text: str) -> bool:
    """Tell whether a text can be written as UTF-8, which lone surrogates can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_pair(record: object, where: str, letter: str) -> ContrastPair:
    if isinstance(record, ContrastPair):
        return record
    if not isinstance(record, Mapping):
        raise BehaviorError(
            f"{where}: a pair is an object with the keys question, {POSITIVE_KEY} and "
            f"{NEGATIVE_KEY}, but this is a {type(record).__name__}."
        )
    if not _is_author_form(record):
        return ContrastPair.from_record(record, where)
    stem, positive, negative = (
        text.strip() for text in record_texts(record, (QUESTION_KEY, "positive", "negative"), where)
    )
    for name, text in (("question", stem), ("positive", positive), ("negative", negative)):
        if not text:
            raise BehaviorError(f'{where}: "{name}" is empty.')
        if _MARKER.search(text):
            raise BehaviorError(
                f'{where}: "{name}" has a line that starts with a lettered choice such as (A); '
                'with the keys "positive" and "negative" the letters are added for you.'
            )
    first, second = (positive, negative) if letter == "A" else (negative, positive)
    built = {
        QUESTION_KEY: f"{stem}\n\nChoices:\n (A) {first}\n (B) {second}",
        POSITIVE_KEY: f"({letter})",
        NEGATIVE_KEY: "(B)" if letter == "A" else "(A)",
    }
    return ContrastPair.from_record(built, where)


def _is_author_form(record: Mapping[str, object]) -> bool:
    has_field_keys = POSITIVE_KEY in record or NEGATIVE_KEY in record
    return not has_field_keys and ("positive" in record or "negative" in record)


def _author_letters(records: Sequence[tuple[str, object]]) -> dict[int, str]:
    ranked = sorted(
        (hashlib.sha256(_author_content(record)).hexdigest(), index)
        for index, (_, record) in enumerate(records)
        if isinstance(record, Mapping) and _is_author_form(record)
    )
    return {index: "AB"[rank % 2] for rank, (_, index) in enumerate(ranked)}


def _author_content(record: Mapping[str, object]) -> bytes:
    parts = (str(record.get(key, "")).strip() for key in (QUESTION_KEY, "positive", "negative"))
    return "\x1f".join(parts).encode("utf-8", "surrogatepass")


def record_texts(record: Mapping[str, object], keys: Sequence[str], where: str) -> list[str]:
    """Return a record's texts under these keys.

    Raises:
        BehaviorError: If a key is missing, or what stands there is no text.
    """
    texts = []
    for key in keys:
        if key not in record:
            others = [name for name in record if isinstance(name, str) and name not in keys]
            hint = did_you_mean(key, others)
            hint = hint.replace(" Did you mean", ", though there is").rstrip("?") if hint else ""
            raise BehaviorError(f'{where}: the key "{key}" is missing{hint}.')
        value = record[key]
        if not isinstance(value, str):
            raise BehaviorError(
                f'{where}: "{key}" has to be a text, but it is {_shown(value)} '
                f"({type(value).__name__})."
            )
        texts.append(value)
    return texts


def _problem(question: str, positive: str, negative: str) -> str | None:
    """Say what makes a pair unusable, as the rest of a sentence, or None."""
    if not question.strip():
        return f'"{QUESTION_KEY}" is empty'
    if not is_unicode(question):
        return (
            f'"{QUESTION_KEY}" holds half of a character (a lone surrogate), which no file can keep'
        )
    letters = [marker[1] for marker in _choice_markers(question)]
    if not letters:
        return (
            "the question has no lettered choices; write each on its own line, such as "
            "' (A) Yes' and ' (B) No'"
        )
    if len(letters) == 1:
        return f"the question has a single choice, ({letters[0]}); two are needed"
    for key, answer in ((POSITIVE_KEY, positive), (NEGATIVE_KEY, negative)):
        if not answer:
            return f'"{key}" is empty'
        if not _ANSWER.fullmatch(answer):
            return f'"{key}" is {_shown(answer)}; it has to be a letter in parentheses, as in (A)'
        if answer[1] not in letters:
            return (
                f'"{key}" is {answer}, which is not among the choices '
                f"({', '.join(dict.fromkeys(letters))}) of the question"
            )
    if positive == negative:
        return f"both answers are {positive}; the matching and the other answer have to differ"
    if len(letters) > 2:
        return (
            f"the question has {len(letters)} choices ({', '.join(letters)}); a contrast pair "
            "has exactly two, (A) and (B)"
        )
    if letters != ["A", "B"]:
        return f"the choices are lettered {', '.join(letters)}; they have to be (A) and then (B)"
    texts = {letter: question[slice(*span)] for letter, span in _choice_spans(question).items()}
    for letter, text in texts.items():
        if not text:
            return f"choice ({letter}) has no text"
        if _MARKER.match(text):
            return f"the text of choice ({letter}) starts with another letter, {_shown(text)}"
    if folded(texts["A"]) == folded(texts["B"]):
        return f"both choices say the same, {_shown(texts['A'])}"
    if not _CHOICES_HEADING.sub("", question[: _choice_markers(question)[0].start()]).strip():
        return "there is no question before the choices"
    return None


def _choice_markers(question: str) -> list[re.Match[str]]:
    """Find the markers of the choices: from the last line that starts with (A) to the end."""
    markers = list(_MARKER.finditer(question))
    last_a = max((i for i, marker in enumerate(markers) if marker[1] == "A"), default=0)
    return markers[last_a:]


def _choice_spans(question: str) -> dict[str, tuple[int, int]]:
    """Return where each choice's text starts and ends, surrounding white space left out."""
    markers = _choice_markers(question)
    ends = [marker.start() for marker in markers[1:]] + [len(question)]
    spans = {}
    for marker, end in zip(markers, ends, strict=True):
        text = question[marker.end() : end]
        start = marker.end() + len(text) - len(text.lstrip())
        spans[marker[1]] = (start, max(start, marker.end() + len(text.rstrip())))
    return spans


def folded(text: str) -> str:
    """A text without what doesn't make it another: case and spacing."""
    return " ".join(text.split()).casefold()


def _shown(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
