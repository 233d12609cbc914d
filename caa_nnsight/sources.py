"""Where records come from: lists in the code, JSONL and JSON files, and the Hugging Face Hub."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from caa_nnsight.errors import BehaviorError

MAX_FILE_BYTES = 64 * 2**20

_COMMIT = re.compile(r"[0-9a-f]{40}")

Record = tuple[str, object]
"""A place, as errors name it, and what stands there."""


@dataclass(frozen=True, slots=True)
class HubDataset:
    """Records in a data set on the Hugging Face Hub, pinned to one commit.

    The data are read with `datasets.load_dataset`, which keeps them in its cache.

    Args:
        repo: Such as "Anthropic/model-written-evals", or a local folder that `datasets` can load.
        revision: The full commit hash, so that the data can't change under the behavior.
        path: A file in the repository, where not the whole data set is meant.
        config: The data set's configuration, where it has several.
        split: The data set's split.
        columns: The data set's column for each of our keys, where they differ, such as
            `{"question": "prompt"}`.

    Raises:
        BehaviorError: If `revision` is no commit hash.

    Example:
        >>> str(HubDataset("org/pairs", revision="0123456789" * 4, path="tea.jsonl"))
        'org/pairs@01234567/tea.jsonl'
    """

    repo: str
    revision: str
    path: str | None = None
    config: str | None = None
    split: str = "train"
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a revision that can move, such as a branch."""
        if not isinstance(self.revision, str) or not _COMMIT.fullmatch(self.revision):
            raise BehaviorError(
                f"Data set {self.repo!r} is asked for at revision {self.revision!r}, which can "
                "move; give the full hash of a commit (40 hex digits, listed under 'Files', "
                "'History' on the data set's page)."
            )

    def __str__(self) -> str:
        """Return `repo@revision`, with the file where one is named."""
        return f"{self.repo}@{self.revision[:8]}" + (f"/{self.path}" if self.path else "")


Source = Sequence[object] | str | os.PathLike[str] | HubDataset


def read_source(source: Source, where: str) -> list[Record]:
    """Read records from whichever kind of source it is.

    Args:
        source: A list of records, an absolute path or one relative to the working directory, or
            a `HubDataset`.
        where: Names an inline list in errors, such as `"Refusal.pairs"`.

    Raises:
        BehaviorError: If the source can't be read or holds no records; a file's error names the
            file and its line or item.
    """
    if isinstance(source, HubDataset):
        records = _read_hub(source)
    elif isinstance(source, str | os.PathLike):
        records = read_records(Path(source))
    else:
        records = [(f"{where}[{index}]", record) for index, record in enumerate(source)]
    if not records:
        shown = source if isinstance(source, str | os.PathLike | HubDataset) else where
        raise BehaviorError(f"{shown}: there are no records in it.")
    return records


def read_records(path: Path) -> list[Record]:
    """Read a JSONL file, or one with a JSON array, as UTF-8 with or without a byte order mark.

    Which of the two it is shows in its first character, whatever the file is called.

    Returns:
        (place, record) pairs, the place being `"file:line"` or `"file: item N"`, from 1.

    Raises:
        BehaviorError: If the file is missing, not a regular file, over 64 MiB, not UTF-8, or not
            JSON.
    """
    text = _read_text(path)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    if text.lstrip().startswith("["):
        return [
            (f"{shown}: item {number}", record)
            for number, record in enumerate(_parse(text, str(shown)), start=1)
        ]
    # Not `splitlines`, which also breaks at characters that may stand inside a JSON string.
    lines = enumerate(text.split("\n"), start=1)
    return [
        (f"{shown}:{number}", _parse(line, f"{shown}:{number}", hint=number == 1))
        for number, line in lines
        if line.strip()
    ]


def _read_text(path: Path) -> str:
    try:
        if path.is_dir():
            raise BehaviorError(f"{path} is a folder; a JSONL or JSON file is needed here.")
        if not path.exists():
            raise BehaviorError(f"There is no file {path.absolute()}.")
        if not path.is_file():
            raise BehaviorError(f"{path} is not a regular file; a JSONL or JSON file is needed.")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise BehaviorError(
                f"{path} has {size / 2**20:.0f} MiB, and files over "
                f"{MAX_FILE_BYTES // 2**20} MiB are not read; keep the records that are needed "
                "in a smaller file."
            )
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or _first_line(error)
        raise BehaviorError(f"{str(path)[:200]} can't be read: {cause}.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BehaviorError(
            f"{path} is not UTF-8 text (byte {error.start} can't be decoded); save it as UTF-8 "
            "JSONL or JSON."
        ) from error


def _parse(text: str, where: str, hint: bool = False) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if "\n" in text else None
        place = place or f"column {error.colno}"
        advice = (
            "; a file holds one JSON object on each line, or one JSON array of objects"
            if hint
            else ""
        )
        raise BehaviorError(f"{where}: not JSON ({error.msg} at {place}){advice}.") from error
    except (RecursionError, ValueError) as error:
        raise BehaviorError(f"{where}: not usable JSON ({_first_line(error)}).") from error


def _read_hub(source: HubDataset) -> list[Record]:
    # Imported here: it takes a second, and only behaviors that read the Hub need it.
    import datasets

    try:
        rows = datasets.load_dataset(
            source.repo,
            source.config,
            data_files=source.path,
            revision=source.revision,
            split=source.split,
        )
    except Exception as error:
        if _is_offline(error):
            raise BehaviorError(
                f"Data set {source} can't be fetched, because the Hugging Face Hub can't be "
                "reached from here and no copy is in the cache; connect once, or use files of "
                "your own with `with_data`."
            ) from error
        raise BehaviorError(
            f"Data set {source} (split {source.split!r}) can't be loaded: {_first_line(error)}."
        ) from error
    for ours, theirs in source.columns.items():
        if theirs not in rows.column_names:
            raise BehaviorError(
                f"Data set {source} has no column {theirs!r} to read {ours!r} from; its columns "
                f"are {', '.join(rows.column_names)}."
            )
    return [
        (
            f"{source} row {number}",
            row | {ours: row[their] for ours, their in source.columns.items()},
        )
        for number, row in enumerate(rows, start=1)
    ]


def _is_offline(error: BaseException | None) -> bool:
    """Tell whether an error, or one that led to it, speaks of the connection."""
    names = {"OfflineModeIsEnabled", "LocalEntryNotFoundError", "ConnectError", "ConnectTimeout"}
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError) or type(error).__name__ in names:
            return True
        error = error.__cause__ or error.__context__
    return False


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = (lines[0] if lines else type(error).__name__).rstrip(".")
    return text if len(text) <= 160 else text[:159] + "…"
