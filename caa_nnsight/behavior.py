"""What a behavior is: a small declarative class over contrast pairs, validated when it is used."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from caa_nnsight import checks, composition
from caa_nnsight.checks import Issue
from caa_nnsight.data_sources import DataSource
from caa_nnsight.declaration import (
    ATTRIBUTES,
    SOURCES,
    check_declaration,
    misspelled_attributes,
    shown_parts,
)
from caa_nnsight.errors import BehaviorError
from caa_nnsight.forms import READ_AT, Form, LocatedPair, Pair, ReadAt, ScorablePair, read_form
from caa_nnsight.free_pairs import FreeFormPair, read_question
from caa_nnsight.notebook import facts_table
from caa_nnsight.pairs import ContrastPair
from caa_nnsight.sources import HubDataset, Record, Source, read_source
from caa_nnsight.splits import PairSplit, split_pairs
from caa_nnsight.suggest import did_you_mean

if TYPE_CHECKING:
    from caa_nnsight.hub.repositories import Pushed

T = TypeVar("T")

PairSource = (
    Sequence[str | Mapping[str, object] | ContrastPair | FreeFormPair]
    | str
    | os.PathLike[str]
    | HubDataset
)
PromptSource = Sequence[str | Mapping[str, object]] | str | os.PathLike[str] | HubDataset


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
        held_out: Pairs that only test; without them, `split` sets some of `pairs` aside.
        open_ended: Prompts to generate from: texts, or a file with a `question` in each record.
        form: What the pairs are: "choices" (a question with two lettered choices, the default),
            "free_form" (a prompt with two free answers) or "system_prompts" (questions, each
            asked under the two system prompts).
        held_out_form: The form of `held_out`, "choices" or "free_form"; by default that of the
            pairs, and "choices" where those are system-prompt pairs, which can't be scored.
        read_at: Where the vector is read: "mean" over the answer's tokens or its "last" token
            for free-form pairs; the "last" token of the prompt, or the "mean" over the tokens
            that both prompts share at their end, for system-prompt pairs; always the "answer"
            letter for choices. The first named is the default.
        parts: Other behaviors to combine, with their weights, in place of `pairs`: names, paths
            or behaviors, as in `{"refusal": 1.0, "sycophancy": -0.5}`. The vector is the weighted
            sum of theirs; a negative weight takes the opposite of a behavior.
        opposite_of: The behavior that this one is the opposite of; `-behavior` sets it.
        sources: Data of others that can take the place of its own, by name; see `with_source`.
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
    form: Form = "choices"
    held_out_form: Form | None = None
    read_at: ReadAt | None = None
    parts: Mapping[str | Behavior, float] | None = None
    opposite_of: Behavior | None = None
    sources: Mapping[str, DataSource] | None = None
    positive_system_prompt: str | None = None
    negative_system_prompt: str | None = None
    judge_rubric: str | None = None
    source: str | None = None
    license: str | None = None

    def __init__(self, **attributes: object) -> None:
        """Set attributes over those of the class, and check that all of them are usable."""
        for key, value in attributes.items():
            if key not in ATTRIBUTES:
                raise BehaviorError(
                    f"{type(self).__name__}(...) got {key!r}, which is no attribute of a "
                    f"behavior.{did_you_mean(key, ATTRIBUTES)}"
                )
            if key in SOURCES and isinstance(value, str | os.PathLike):
                value = _absolute(value, Path.cwd())
            setattr(self, key, value)
        self._cache: dict[str, object] = {}
        check_declaration(self)

    def load_pairs(self) -> list[Pair]:
        """Read and validate the generation pairs, repeated items included.

        Raises:
            BehaviorError: If they can't be read, or an item is unusable: the first is named, and
                the number of the others. `check` lists all of them.
        """
        if self.opposite_of is not None:
            return [pair.opposite() for pair in self.opposite_of.load_pairs()]
        if self.parts:
            return [pair for _, part in self.load_parts() for pair in part.load_pairs()]
        return [pair for _, pair in self._cached("pairs", lambda: self._good_pairs("pairs"))]

    def load_held_out(self) -> list[ScorablePair] | None:
        """Read and validate the declared held-out pairs; None where none are declared.

        A behavior made from others has theirs, unless it declares its own.

        Raises:
            BehaviorError: As `load_pairs`.
        """
        if self.opposite_of is not None:
            pairs = self.opposite_of.load_held_out()
            return pairs and [pair.opposite() for pair in pairs]
        if self.held_out is None:
            return composition.held_out_of(self) if self.parts else None
        return [pair for _, pair in self._cached("held_out", lambda: self._good_pairs("held_out"))]

    def load_open_ended(self) -> list[str]:
        """Read and validate the open-ended prompts; an empty list where there are none.

        Raises:
            BehaviorError: If they can't be read, or a prompt is empty or no text.
        """
        if self.opposite_of is not None:
            return self.opposite_of.load_open_ended()
        if self.parts and self.open_ended is None:
            return composition.open_ended_of(self)
        return list(self._cached("open_ended", self._read_open_ended))

    def load_parts(self) -> list[tuple[float, Behavior]]:
        """Return the behaviors that this one is made from, with their weights, all above 0.

        Itself with the weight 1, where it is not made from others.

        Raises:
            BehaviorError: If a part can't be found or loaded, or a behavior is made from itself.
        """
        if not self.parts:
            return [(1.0, self)]
        return [
            (weight * inner, deeper)
            for weight, part in self.direct_parts()
            for inner, deeper in part.load_parts()
        ]

    def direct_parts(self) -> list[tuple[float, Behavior]]:
        """Return what `parts` names, with their weights, those made from others left whole."""
        # Parts that are named are looked up when they are needed; the registry needs this class.
        from caa_nnsight.registry import get_behavior

        return self._cached("parts", lambda: composition.direct_parts(self, get_behavior))

    def where_read(self) -> ReadAt:
        """Return where this behavior's vector is read, by `read_at` or the form's default."""
        return self.read_at or READ_AT[self.form][0]  # type: ignore[return-value]

    def split(
        self, *, seed: int = 0, generation: int | None = None, held_out: int | None = None
    ) -> PairSplit:
        """Choose generation and held-out pairs by seed; no question is in both.

        A behavior made from others gives up to `generation` pairs of each.

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
        if self.opposite_of is not None:
            # The same pairs as the other behavior's, turned round.
            split = self.opposite_of.split(seed=seed, generation=generation, held_out=held_out)
            return PairSplit(
                [pair.opposite() for pair in split.generation],
                [pair.opposite() for pair in split.held_out],
                split.duplicates_dropped,
            )
        if self.parts:
            return composition.split_parts(
                self, seed=seed, generation=generation, held_out=held_out
            )
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
    ) -> Behavior:
        """Return the same behavior over other data.

        Relative paths start at the working directory. New `pairs` without `held_out` are split
        by seed: the behavior's own held-out pairs are not mixed with other people's. The copy
        names the data as its source, and its license is unknown.

        Examples:
            >>> from caa_nnsight.registry import get_behavior
            >>> get_behavior("refusal").with_data(pairs=[{"question": "Tea?"}])
            <Refusal 'refusal': pairs=1 in the code, open_ended=open_ended.jsonl>
        """
        if self.opposite_of is not None:
            # The data have the polarity of the behavior that this is the opposite of.
            return -self.opposite_of.with_data(
                pairs=pairs, held_out=held_out, open_ended=open_ended
            )
        given = {
            key: value
            for key, value in (("pairs", pairs), ("held_out", held_out), ("open_ended", open_ended))
            if value is not None
        }
        shown = ", ".join(f"{key}: {_shown_source(value)}" for key, value in given.items())
        changed: dict[str, object] = {}
        if pairs is not None:
            changed = {"source": f"given by the user ({shown})", "license": None}
            changed |= {"held_out": None, "parts": None}
        elif given:
            changed["source"] = f"{self.source or 'unknown'}; given by the user ({shown})"
        return self._replaced(**(changed | given))

    def with_source(
        self,
        source: str,
        path: str | os.PathLike[str] | None = None,
        *,
        revision: str | None = None,
    ) -> Behavior:
        """Return the same behavior over one of its `sources`: data of others, read now.

        Items that are no usable pairs, repeat another or stand on both sides are left out, and
        the copy's `source` says how many. Where the source has no held-out pairs, some of its
        pairs are set aside by seed; where it has no open-ended prompts, the behavior's own stay.

        Args:
            source: A name in `sources`, such as "paper".
            path: The folder with a local copy of the data.
            revision: The full commit hash of the data set on the Hub, where there is no `path`.

        Raises:
            BehaviorError: If the behavior has no such source, or the data can't be read.
        """
        if self.opposite_of is not None:
            return -self.opposite_of.with_source(source, path, revision=revision)
        known = self.sources or {}
        if source not in known:
            has = f"it has {', '.join(known)}" if known else "it has none but its own"
            raise BehaviorError(
                f"Behavior {self.name!r} has no source {source!r}; {has}."
                f"{did_you_mean(source, known)}"
            )
        data = known[source].read(source, self.name, path, revision)
        # Without prompts of the source, the class's own stay, whose path starts at its file.
        prompts = {"open_ended": data.open_ended} if data.open_ended else {}
        return self._replaced(
            **prompts,
            pairs=data.pairs,
            held_out=data.held_out or None,
            form="choices",
            held_out_form=None,
            read_at=None,
            parts=None,
            source=data.shown,
            license=known[source].license,
        )

    def _replaced(self, **attributes: object) -> Behavior:
        own = {key: value for key, value in vars(self).items() if key in ATTRIBUTES}
        return type(self)(**(own | attributes))

    def provenance(self) -> dict[str, Any]:
        """Return where the vector of this behavior comes from, ready for JSON.

        Examples:
            >>> from caa_nnsight import get_behavior
            >>> refusal = get_behavior("refusal")
            >>> (-refusal).provenance()["opposite_of"]["name"]
            'refusal'
        """
        own = {
            "name": self.name,
            "description": self.description,
            "polarity": self.polarity,
            "source": self.source,
            "license": self.license,
            "data_hash": self.data_hash(),
        }
        if self.opposite_of is not None:
            own["opposite_of"] = self.opposite_of.provenance()
        if not self.parts:
            own |= {"form": self.form, "read_at": self.where_read()}
        else:
            own["parts"] = [
                {"weight": weight} | part.provenance() for weight, part in self.load_parts()
            ]
        return own

    def __neg__(self) -> Behavior:
        """Return the opposite behavior: every pair, and the system prompts, exchanged."""
        if self.opposite_of is not None:
            return self.opposite_of
        return Behavior(**composition.opposite_attributes(self))

    def __mul__(self, weight: float) -> Behavior:
        """Return a behavior whose vector is `weight` times this one's."""
        return self._sum([(self, weight)])

    __rmul__ = __mul__

    def __add__(self, other: Behavior) -> Behavior:
        """Return a behavior whose vector is the sum of both."""
        if not isinstance(other, Behavior):
            return NotImplemented
        return self._sum([(self, 1.0), (other, 1.0)])

    def __sub__(self, other: Behavior) -> Behavior:
        """Return a behavior whose vector is this one's less the other's."""
        if not isinstance(other, Behavior):
            return NotImplemented
        return self._sum([(self, 1.0), (other, -1.0)])

    @staticmethod
    def _sum(terms: Sequence[tuple[Behavior, float]]) -> Behavior:
        parts = composition.collect(terms)
        if list(parts.values()) in ([1.0], [-1.0]):
            ((part, weight),) = parts.items()
            return part if weight > 0 else -part
        return Behavior(**composition.sum_attributes(parts))

    def check(self) -> list[Issue]:
        """Look at every item and say what is wrong or doubtful; an empty list is all well."""
        if self.opposite_of is not None:
            return self.opposite_of.check()
        if self.parts:
            try:
                issues = composition.issues_of_parts(self)
            except BehaviorError as error:
                return [Issue("error", self._where("parts"), str(error))]
            try:
                self.load_held_out()
            except BehaviorError as error:
                issues.append(Issue("error", self._where("held_out"), str(error)))
            pairs: list[LocatedPair] = []
        else:
            issues, pairs = self._issues_of("pairs")
            where = self._where("pairs")
            # Only of what vectors are made from: held-out items are scored in both orders.
            issues += checks.few_pairs(pairs, where) + checks.letter_balance(pairs, where)
            issues += checks.giveaways(pairs, where) + self._doubts(pairs, where)
            if self.form == "system_prompts" and self.held_out is None:
                message = "system-prompt pairs can't be scored; declare `held_out` pairs that can."
                issues.append(Issue("warning", where, message))
        held_out: list[LocatedPair] = []
        if self.held_out is not None:
            more, held_out = self._issues_of("held_out")
            where = self._where("held_out")
            issues += more + checks.leakage(pairs, held_out) + self._doubts(held_out, where)
            if pairs:
                issues += checks.near_duplicates(held_out, where, others=pairs)
        try:
            asked = self.load_open_ended()
            known = [*pairs, *held_out]
            issues += checks.asked_twice(asked, known, self._where("open_ended"))
        except BehaviorError as error:
            where = self._where("open_ended")
            issues.append(Issue("error", where, str(error).removeprefix(f"{where}: ")))
        return issues + misspelled_attributes(type(self), Behavior)

    @staticmethod
    def _doubts(pairs: Sequence[LocatedPair], where: str) -> list[Issue]:
        return [
            *checks.like_lengths(pairs, where),
            *checks.near_duplicates(pairs, where),
            *checks.misread_text(pairs, where),
        ]

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

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        token: str | None = None,
    ) -> Pushed:
        """Push this behavior's data to a data set repository on the Hub, in one commit.

        What it declares, its pairs, held-out pairs and open-ended prompts go along, with a card
        that is written anew; code and `sources` stay here.

        Args:
            repo_id: `OWNER/NAME`; made where there is none.
            private: Whether a new repository is private; the owner's default by default.
            revision: A branch, made where there is none; `main` by default.
            commit_message: One line.
            token: With which to write; HF_TOKEN, or that of `hf auth login`, by default.

        Returns:
            What was pushed: `repo`, `commit`, `url`, and the `address` to load it by.

        Raises:
            BehaviorError: It is made from others, has methods of its own, or unusable data.
            HubError: The repository holds something else or can't be written to, or the Hub can't
                be reached.

        Examples:
            >>> from caa_nnsight import get_behavior
            >>> get_behavior("refusal").push_to_hub("you/refusal")  # doctest: +SKIP
        """
        from caa_nnsight.hub.behavior_repo import push_behavior

        return push_behavior(
            self,
            repo_id,
            private=private,
            revision=revision,
            commit_message=commit_message,
            token=token,
        )

    @staticmethod
    def from_pretrained(
        repo_id_or_folder: str | os.PathLike[str],
        *,
        revision: str | None = None,
        token: str | None = None,
    ) -> Behavior:
        """Build a behavior from data that `push_to_hub` pushed; no code of others runs.

        Where the Hub can't be reached, what its cache has is taken.

        Args:
            repo_id_or_folder: `OWNER/NAME`, `hf:OWNER/NAME@REVISION`, or a folder, which comes
                before a repository of that name.
            revision: A commit, branch or tag; `main` by default.
            token: With which to read; HF_TOKEN, or that of `hf auth login`, by default.

        Raises:
            HubError: No such repository or revision, it holds something else, or it can't be read.
            BehaviorError: What it declares is unusable, or a file is missing.

        Examples:
            >>> Behavior.from_pretrained("you/refusal")  # doctest: +SKIP
        """
        from caa_nnsight.hub.behavior_repo import load_from

        return load_from(repo_id_or_folder, revision=revision, token=token)

    def __repr__(self) -> str:
        """Return the name and where the data are, without reading them."""
        data = ", ".join(
            f"{key}={_shown_source(getattr(self, key))}"
            for key in (*SOURCES, "parts", "opposite_of")
            if getattr(self, key, None) is not None
        )
        return f"<{type(self).__name__} {self.name!r}: {data}>"

    def _repr_html_(self) -> str:
        rows = [
            ("description", self.description),
            ("polarity", self.polarity),
            *(
                (key, _shown_source(getattr(self, key)))
                for key in (*SOURCES, "parts", "opposite_of")
                if getattr(self, key, None)
            ),
            *((key, getattr(self, key)) for key in ("source", "license") if getattr(self, key)),
        ]
        return facts_table(self.name, rows)

    def _cached(self, key: str, read: Callable[[], T]) -> T:
        if key not in self._cache:
            self._cache[key] = read()
        return self._cache[key]  # type: ignore[return-value]

    def _records(self, key: str) -> list[Record]:
        value: Source = getattr(self, key)
        if isinstance(value, str | os.PathLike):
            value = _absolute(value, self._folder_of(key))
        return read_source(value, self._where(key))

    def _read_form(self, key: str) -> tuple[list[LocatedPair], list[tuple[str, str]]]:
        """Return the usable pairs of one source, and what is wrong with the others."""
        form = self.form
        if key == "held_out":
            form = self.held_out_form or ("choices" if form == "system_prompts" else form)
        return read_form(
            self._records(key), form, self.positive_system_prompt, self.negative_system_prompt
        )

    def _good_pairs(self, key: str) -> list[LocatedPair]:
        good, bad = self._read_form(key)
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
            good, bad = self._read_form(key)
        except BehaviorError as error:
            return [Issue("error", where, str(error).removeprefix(f"{where}: "))], []
        issues = [
            Issue("error", place, message.removeprefix(f"{place}: ")) for place, message in bad
        ]
        issues += checks.contradictions(good)
        return issues + checks.duplicates(good, where), good

    def _read_open_ended(self) -> list[str]:
        if self.open_ended is None:
            return []
        return [read_question(record, where) for where, record in self._records("open_ended")]

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
    if isinstance(value, Mapping):
        return shown_parts(value)
    if isinstance(value, Behavior):
        return value.name
    if isinstance(value, str | os.PathLike | HubDataset):
        return str(value)
    return f"{len(value)} in the code"
