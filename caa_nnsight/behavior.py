"""What a behavior is: a small declarative class over contrast pairs, validated when it is used."""

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TypeVar

from caa_nnsight import checks
from caa_nnsight.checks import Issue, LocatedPair
from caa_nnsight.errors import BehaviorError
from caa_nnsight.pairs import ContrastPair, is_unicode, pairs_from_records
from caa_nnsight.sources import HubDataset, Record, Source, read_source
from caa_nnsight.splits import PairSplit, split_pairs
from caa_nnsight.suggest import did_you_mean

T = TypeVar("T")

PairSource = Sequence[Mapping[str, object] | ContrastPair] | str | os.PathLike[str] | HubDataset
PromptSource = Sequence[str | Mapping[str, object]] | str | os.PathLike[str] | HubDataset

_REQUIRED_TEXTS = ("name", "description", "polarity")
_OPTIONAL_TEXTS = (
    "positive_system_prompt",
    "negative_system_prompt",
    "judge_rubric",
    "source",
    "license",
)
_SOURCES = ("pairs", "held_out", "open_ended")
_ATTRIBUTES = (*_REQUIRED_TEXTS, *_SOURCES, *_OPTIONAL_TEXTS)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Behavior:
    r"""A behavior to steer: what it is, which way is positive, and the data that show it.

    Write a subclass with class attributes (a plugin), or pass the attributes to `Behavior`
    itself (a notebook). Nothing is read before it is needed, and what is read is kept.

    Attributes:
        name: Letters, digits, "-" and "_"; the name on the command line and in run folders.
        description: One line.
        polarity: A sentence that says what *positive* means.
        pairs: Contrast pairs that a vector is made from: records in the code, a JSONL or JSON
            file, or a `HubDataset`. A relative path in a class starts at the file of that class,
            one that is passed to `Behavior(...)` at the working directory. For the two forms of
            a record, see `caa_nnsight.pairs.pairs_from_records`.
        held_out: Pairs that only test, in the same forms; without them, `split` sets some of
            `pairs` aside.
        open_ended: Prompts to generate from: texts, or a file with a `question` in each record.
        positive_system_prompt: Asks for the behavior in words, to compare steering with.
        negative_system_prompt: Asks for its opposite.
        judge_rubric: Tells a judge how to rate the behavior in a text, from 0 to 10.
        source: Who made the data.
        license: The data's license, as an SPDX name.

    Raises:
        BehaviorError: If an attribute is missing, unknown or of the wrong type.

    Examples:
        >>> tea = Behavior(
        ...     name="tea",
        ...     description="Whether the assistant prefers tea.",
        ...     polarity="Positive means that it prefers tea.",
        ...     pairs=[
        ...         {"question": "What will you have?", "positive": "Tea", "negative": "Coffee"},
        ...         {"question": "Milk with what?", "positive": "With tea", "negative": "Coffee"},
        ...     ],
        ... )
        >>> print(tea.load_pairs()[0].question)
        What will you have?
        <BLANKLINE>
        Choices:
         (A) Coffee
         (B) Tea
    """

    name: str
    description: str
    polarity: str
    pairs: PairSource
    held_out: PairSource | None = None
    open_ended: PromptSource | None = None
    positive_system_prompt: str | None = None
    negative_system_prompt: str | None = None
    judge_rubric: str | None = None
    source: str | None = None
    license: str | None = None

    def __init__(self, **attributes: object) -> None:
        """Set attributes over those of the class, and check that all of them are usable."""
        for key, value in attributes.items():
            if key not in _ATTRIBUTES:
                raise BehaviorError(
                    f"{type(self).__name__}(...) got {key!r}, which is no attribute of a "
                    f"behavior.{did_you_mean(key, _ATTRIBUTES)}"
                )
            if key in _SOURCES and isinstance(value, str | os.PathLike):
                value = _absolute(value, Path.cwd())
            setattr(self, key, value)
        self._cache: dict[str, object] = {}
        self._check_attributes()

    def load_pairs(self) -> list[ContrastPair]:
        """Read and validate the generation pairs, repeated items included.

        Raises:
            BehaviorError: If they can't be read, or an item is unusable: the first is named, and
                the number of the others. `check` lists all of them.
        """
        return [pair for _, pair in self._cached("pairs", lambda: self._good_pairs("pairs"))]

    def load_held_out(self) -> list[ContrastPair] | None:
        """Read and validate the declared held-out pairs; None where none are declared.

        Raises:
            BehaviorError: As `load_pairs`.
        """
        if self.held_out is None:
            return None
        return [pair for _, pair in self._cached("held_out", lambda: self._good_pairs("held_out"))]

    def load_open_ended(self) -> list[str]:
        """Read and validate the open-ended prompts; an empty list where there are none.

        Raises:
            BehaviorError: If they can't be read, or a prompt is empty or no text.
        """
        return list(self._cached("open_ended", self._read_open_ended))

    def split(
        self, *, seed: int = 0, generation: int | None = None, held_out: int | None = None
    ) -> PairSplit:
        """Choose generation and held-out pairs by seed; no question is in both.

        What is chosen depends on the seed and the items, not on the order of their file, and a
        smaller choice is part of a larger one. Each choice has as many matching answers (A) as
        (B), as far as the pairs allow. Repeated items are left out.

        Args:
            seed: Another seed chooses others.
            generation: How many pairs to make vectors from; None takes all that are left.
            held_out: How many pairs to hold out; None takes all declared ones, or 50 of `pairs`
                where none are declared.

        Raises:
            BehaviorError: If there are too few, with both figures, or if a declared held-out
                question stands among the generation pairs.
        """
        return split_pairs(
            self.load_pairs(),
            self.load_held_out(),
            seed=seed,
            generation=generation,
            held_out=held_out,
            name=self.name,
        )

    def with_data(
        self,
        *,
        pairs: PairSource | None = None,
        held_out: PairSource | None = None,
        open_ended: PromptSource | None = None,
    ) -> "Behavior":
        """Return the same behavior over other data.

        Relative paths start at the working directory. New `pairs` without `held_out` are split
        by seed: the behavior's own held-out pairs are not mixed with other people's. The copy
        names the data as its source, and its license is unknown.

        Examples:
            >>> from caa_nnsight.registry import get_behavior
            >>> get_behavior("refusal").with_data(pairs=[{"question": "Tea?"}])
            <Refusal 'refusal': pairs=1 in the code, open_ended=open_ended.jsonl>
        """
        given = {
            key: value
            for key, value in (("pairs", pairs), ("held_out", held_out), ("open_ended", open_ended))
            if value is not None
        }
        own = {key: value for key, value in vars(self).items() if key in _ATTRIBUTES}
        shown = ", ".join(f"{key}: {_shown_source(value)}" for key, value in given.items())
        if pairs is not None:
            own |= {"held_out": None, "source": f"given by the user ({shown})", "license": None}
        elif given:
            own["source"] = f"{self.source or 'unknown'}; given by the user ({shown})"
        return type(self)(**(own | given))

    def check(self) -> list[Issue]:
        """Look at every item and say what is wrong or doubtful; an empty list is all well."""
        issues, pairs = self._issues_of("pairs")
        # Only of what vectors are made from: held-out items are scored in both orders.
        issues += checks.letter_balance(pairs, self._where("pairs"))
        issues += checks.like_lengths(pairs, self._where("pairs"))
        if self.held_out is not None:
            more, held_out = self._issues_of("held_out")
            issues += more + checks.leakage(pairs, held_out)
        try:
            self.load_open_ended()
        except BehaviorError as error:
            issues.append(Issue("error", self._where("open_ended"), str(error)))
        return issues + self._unknown_attributes()

    def data_hash(self) -> str:
        """Return the SHA-256 of all records in use, in a canonical form, as 64 hex digits."""
        held_out = self.load_held_out()
        content = {
            "pairs": [pair.to_record() for pair in self.load_pairs()],
            "held_out": held_out and [pair.to_record() for pair in held_out],
            "open_ended": self.load_open_ended(),
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def __repr__(self) -> str:
        """Return the name and where the data are, without reading them."""
        data = ", ".join(
            f"{key}={_shown_source(getattr(self, key))}"
            for key in _SOURCES
            if getattr(self, key) is not None
        )
        return f"<{type(self).__name__} {self.name!r}: {data}>"

    def _repr_html_(self) -> str:
        rows = [
            ("description", self.description),
            ("polarity", self.polarity),
            *((key, _shown_source(getattr(self, key))) for key in _SOURCES if getattr(self, key)),
            *((key, getattr(self, key)) for key in ("source", "license") if getattr(self, key)),
        ]
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(key)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for key, value in rows
        )
        return f"<table><caption>{escape(self.name)}</caption>{cells}</table>"

    def _check_attributes(self) -> None:
        title = type(self).__name__
        for key in (*_REQUIRED_TEXTS, "pairs"):
            if getattr(self, key, None) is None:
                example = "[...]" if key == "pairs" else '"..."'
                raise BehaviorError(
                    f"Behavior {title} has no `{key}`: write {key} = {example} in the class, or "
                    f"pass {key}= to it."
                )
        for key in (*_REQUIRED_TEXTS, *_OPTIONAL_TEXTS):
            value = getattr(self, key)
            if value is None and key in _OPTIONAL_TEXTS:
                continue
            if not isinstance(value, str):
                raise BehaviorError(
                    f"`{key}` of behavior {title} has to be a text, but it is of type "
                    f"{type(value).__name__}."
                )
            if not value.strip():
                raise BehaviorError(f"`{key}` of behavior {title} is empty; write a text.")
        if not _NAME.fullmatch(self.name):
            raise BehaviorError(
                f"`name` of behavior {title} is {self.name[:80]!r}; it has to be up to 64 letters, "
                "digits, '-' and '_', as it names folders."
            )
        for key in _SOURCES:
            value = getattr(self, key)
            allowed = str | os.PathLike | HubDataset | list | tuple
            if not (isinstance(value, allowed) or (value is None and key != "pairs")):
                raise BehaviorError(
                    f"`{key}` of behavior {title} has to be a list, a path or a HubDataset, but "
                    f"it is of type {type(value).__name__}."
                )

    def _unknown_attributes(self) -> list[Issue]:
        """Warn of class attributes that look like a misspelled one, and so would do nothing."""
        written = [
            key
            for owner in type(self).__mro__
            if owner not in (Behavior, object)
            for key, value in vars(owner).items()
            if not key.startswith("_") and key not in _ATTRIBUTES and not callable(value)
        ]
        return [
            Issue(
                "warning",
                f"{type(self).__name__}.{key}",
                f"behaviors have no attribute {key!r}, so it does nothing.{hint}",
            )
            for key in written
            if (hint := did_you_mean(key, _ATTRIBUTES))
        ]

    def _cached(self, key: str, read: Callable[[], T]) -> T:
        if key not in self._cache:
            self._cache[key] = read()
        return self._cache[key]  # type: ignore[return-value]

    def _records(self, key: str) -> list[Record]:
        value: Source = getattr(self, key)
        if isinstance(value, str | os.PathLike):
            value = _absolute(value, self._folder_of(key))
        return read_source(value, self._where(key))

    def _good_pairs(self, key: str) -> list[LocatedPair]:
        good, bad = pairs_from_records(self._records(key))
        problems = [message for _, message in bad] or [
            f"{issue.where}: {issue.message}" for issue in checks.contradictions(good)
        ]
        if problems:
            others = len(problems) - 1
            more = f" ({others} more {'is' if others == 1 else 'are'} bad; `check` lists them.)"
            raise BehaviorError(problems[0] + (more if others else ""))
        return good

    def _issues_of(self, key: str) -> tuple[list[Issue], list[LocatedPair]]:
        """Return what is wrong with one source of pairs, and its usable pairs."""
        where = self._where(key)
        try:
            good, bad = pairs_from_records(self._records(key))
        except BehaviorError as error:
            return [Issue("error", where, str(error))], []
        issues = [
            Issue("error", place, message.removeprefix(f"{place}: ")) for place, message in bad
        ]
        issues += checks.contradictions(good)
        return issues + checks.duplicates(good, where), good

    def _read_open_ended(self) -> list[str]:
        if self.open_ended is None:
            return []
        prompts = []
        for where, record in self._records("open_ended"):
            prompt = record.get("question") if isinstance(record, Mapping) else record
            if not isinstance(prompt, str):
                raise BehaviorError(
                    f"{where}: an open-ended prompt is a text, or an object that holds one under "
                    'the key "question".'
                )
            if not prompt.strip():
                raise BehaviorError(f"{where}: the prompt is empty.")
            if not is_unicode(prompt):
                raise BehaviorError(f"{where}: the prompt holds half of a character.")
            prompts.append(prompt)
        return prompts

    def _where(self, key: str) -> str:
        return f"{type(self).__name__}.{key}"

    def _folder_of(self, key: str) -> Path:
        """Return the folder in which an attribute's relative path starts."""
        if key in vars(self):
            return Path.cwd()
        owner = next(cls for cls in type(self).__mro__ if key in vars(cls))
        file = getattr(sys.modules.get(owner.__module__), "__file__", None)
        return Path(file).parent if file else Path.cwd()


def _absolute(path: str | os.PathLike[str], folder: Path) -> Path:
    return folder / Path(path).expanduser()


def _shown_source(value: object) -> str:
    if isinstance(value, str | os.PathLike | HubDataset):
        return str(value)
    return f"{len(value)} in the code"
