"""Data of others that can take the place of a behavior's own, such as the paper's files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from caa_nnsight.errors import BehaviorError
from caa_nnsight.free_pairs import read_question
from caa_nnsight.pairs import ContrastPair, pairs_from_records
from caa_nnsight.sources import HubDataset, Record, read_source
from caa_nnsight.splits import drop_duplicates, leaks, question_key

Paths = str | tuple[str, ...]
"""A file's path inside a folder or data set; of several, the first that is there."""


@dataclass(frozen=True, slots=True)
class DataSource:
    """Lettered pairs made by others, in a folder of the user's or on the Hugging Face Hub.

    Attributes:
        pairs: The file of the pairs, inside the folder or data set.
        held_out: The file of the pairs that only test, if there is one.
        open_ended: The file of the prompts to generate from, if there is one.
        repo: The data set on the Hub that holds these files, if there is one.
        opposite: Whether their matching answers show the opposite of our polarity.
        license: The data's license, as an SPDX name.
        about: Where the data can be had, as the end of a sentence.

    Examples:
        >>> DataSource(pairs="refusal.json", about="a colleague has them").pairs
        'refusal.json'
    """

    pairs: Paths
    held_out: Paths | None = None
    open_ended: Paths | None = None
    repo: str | None = None
    opposite: bool = False
    license: str | None = None
    about: str | None = None

    def read(
        self,
        name: str,
        behavior: str,
        path: str | os.PathLike[str] | None,
        revision: str | None,
    ) -> SourceData:
        """Read the data, leaving out what can't be used; see `Behavior.with_source`.

        Args:
            name: What the behavior calls the source, for errors and provenance.
            behavior: The behavior's name, for errors.
            path: The folder that holds the files; None for the Hub.
            revision: The commit on the Hub; None for a folder.

        Returns:
            Pairs, held-out pairs and prompts, in our polarity, and a description of where they are
            from and what was left out.

        Raises:
            BehaviorError: If there is neither a path nor a revision, or the data can't be read.
        """
        if path is not None and revision is not None:
            raise BehaviorError(
                f"The source {name!r} is asked for in a folder and at a commit: give one of them."
            )
        if path is None and (self.repo is None or revision is None):
            raise BehaviorError(self._what_is_needed(name, behavior))
        place = str(path) if path is not None else f"{self.repo}@{str(revision)[:8]}"
        records = self._records(self.pairs, path, revision, where=name)
        if records is None:
            raise BehaviorError(
                f"The source {name!r} of behavior {behavior!r} has no file "
                f"{' or '.join(_all(self.pairs))} in {place}."
            )
        test_records = self._records(self.held_out, path, revision, where=name) or []
        (pairs, unusable), (tests, bad_tests) = self._pairs(records), self._pairs(test_records)
        for what, found, read in (("", pairs, records), ("held-out ", tests, test_records)):
            if read and not found:
                raise BehaviorError(
                    f"None of the {len(read)} {what}records of the source {name!r} in {place} is a "
                    "question with two lettered choices."
                )
        unique, different_tests = drop_duplicates(pairs), drop_duplicates(tests)
        leaked = {question_key(pair) for pair in leaks(unique, different_tests)}
        kept = [pair for pair in unique if question_key(pair) not in leaked]
        if not kept:
            raise BehaviorError(
                f"All pairs of the source {name!r} in {place} are held out as well, so none is "
                "left to make a vector from."
            )
        prompts = [
            read_question(record, where)
            for where, record in self._records(self.open_ended, path, revision, where=name) or []
        ]
        counts = {
            "no pair of two choices": unusable + bad_tests,
            "repeated": len(pairs) + len(tests) - len(unique) - len(different_tests),
            "also held out": len(unique) - len(kept),
        }
        left_out = ", ".join(f"{count} {why}" for why, count in counts.items() if count)
        shown = f"{name} ({place}; {len(kept)} pairs"
        shown += f", {len(different_tests)} held out" if tests else ""
        shown += f"; left out: {left_out}" if left_out else ""
        shown += "; polarity turned round)" if self.opposite else ")"
        return SourceData(kept, different_tests, prompts, shown)

    def _pairs(self, records: Sequence[Record]) -> tuple[list[ContrastPair], int]:
        good, bad = pairs_from_records(records)
        pairs = [pair for _, pair in good]
        return [pair.opposite() for pair in pairs] if self.opposite else pairs, len(bad)

    def _records(
        self,
        files: Paths | None,
        path: str | os.PathLike[str] | None,
        revision: str | None,
        *,
        where: str,
    ) -> list[Record] | None:
        if files is None:
            return None
        if path is None:
            return read_source(HubDataset(str(self.repo), str(revision), _all(files)[0]), where)
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise BehaviorError(
                f"The source {where!r} is asked for in {folder}, which is no folder: give the "
                f"folder that holds {_all(files)[0]}."
            )
        found = [folder / file for file in _all(files) if (folder / file).is_file()]
        return read_source(found[0], where) if found else None

    def _what_is_needed(self, name: str, behavior: str) -> str:
        about = f" ({self.about})" if self.about else ""
        if self.repo is None:
            return (
                f"The source {name!r} of behavior {behavior!r} needs a local copy{about}: name "
                f"its folder, as in {name}=PATH."
            )
        return (
            f"The source {name!r} of behavior {behavior!r} is the data set {self.repo} on the "
            f"Hugging Face Hub{about}: name one of its commits, as in {name}@HASH, or the folder "
            f"of a local copy, as in {name}=PATH."
        )


@dataclass(frozen=True, slots=True)
class SourceData:
    """What was read from a `DataSource`.

    Attributes:
        pairs: The usable pairs, none of which repeats another or a held-out question.
        held_out: Those that only test; an empty list where the source has none.
        open_ended: The prompts to generate from; an empty list where the source has none.
        shown: The source with its place and what was left out, for manifests.
    """

    pairs: list[ContrastPair]
    held_out: list[ContrastPair]
    open_ended: list[str]
    shown: str


def parse_source(text: str) -> tuple[str, str | None, str | None]:
    """Split "NAME", "NAME=PATH" or "NAME@COMMIT" into name, path and revision.

    Raises:
        BehaviorError: If the name, the path or the commit is empty.

    Examples:
        >>> parse_source("paper=~/CAA")
        ('paper', '~/CAA', None)
    """
    for sign in "=@":
        name, found, rest = text.partition(sign)
        if found:
            if not name or not rest:
                raise BehaviorError(
                    f"The source {text!r} is incomplete: write NAME=PATH or NAME@COMMIT."
                )
            return (name, rest, None) if sign == "=" else (name, None, rest)
    return text, None, None


def _all(files: Paths) -> tuple[str, ...]:
    return (files,) if isinstance(files, str) else files
