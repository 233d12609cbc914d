"""A behavior as files without code: what it declares as JSON, its pairs and prompts as JSONL."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from caa_nnsight.behavior import Behavior
from caa_nnsight.declaration import ATTRIBUTES, OPTIONAL_TEXTS, REQUIRED_TEXTS, SOURCES
from caa_nnsight.errors import BehaviorError
from caa_nnsight.forms import Pair
from caa_nnsight.free_pairs import SystemPromptPair
from caa_nnsight.hub.repositories import MAX_DECLARATION_BYTES
from caa_nnsight.versions import other_schema

DECLARATION = "behavior.json"
FORMAT = "caa_nnsight.behavior"
SCHEMA_VERSION = "1"
FILES = {key: f"{key}.jsonl" for key in SOURCES}
# What a class declares besides its data, and no file or other behavior is needed for.
CARRIED = (*REQUIRED_TEXTS, "form", "held_out_form", "read_at", *OPTIONAL_TEXTS)


def write_behavior(behavior: Behavior) -> dict[str, bytes]:
    """Return the files of a behavior by their names.

    Raises:
        BehaviorError: It is made from others, has methods of its own, or its data are unusable or
            would read otherwise from files.
    """
    _refuse_code(behavior)
    records = {
        "pairs": [_record(pair) for pair in behavior.load_pairs()],
        "held_out": [_record(pair) for pair in behavior.load_held_out() or []],
        "open_ended": [{"question": prompt} for prompt in behavior.load_open_ended()],
    }
    declared = {key: getattr(behavior, key) for key in CARRIED}
    content = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "attributes": {key: value for key, value in declared.items() if value is not None},
        "records": {key: len(own) for key, own in records.items() if own},
        "data_hash": behavior.data_hash(),
    }
    files = {DECLARATION: (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()}
    files |= {FILES[key]: _lines(own) for key, own in records.items() if own}
    _check_round_trip(behavior, files)
    return files


def read_behavior(folder: Path, shown: str) -> Behavior:
    """Build a behavior from the files in a folder, and read its data; nothing there is executed.

    Args:
        folder: Where the files are.
        shown: How errors name the place.

    Raises:
        BehaviorError: A file is missing or unusable, was written by a newer version, or doesn't
            belong to the others.
    """
    behavior, declared = _behavior(folder, shown)
    if _data_hash(behavior, folder, shown) != declared:
        raise BehaviorError(
            f"The data of {shown} are not those that its {DECLARATION} was written for: push the "
            "behavior again."
        )
    return behavior


def _behavior(folder: Path, shown: str) -> tuple[Behavior, object]:
    """Return the behavior, and the hash that its data should have."""
    content = _declaration(folder / DECLARATION, f"{DECLARATION} of {shown}")
    attributes, records = content["attributes"], content["records"]
    missing = [FILES[key] for key in records if not (folder / FILES[key]).is_file()]
    if missing:
        raise BehaviorError(
            f"{shown} has no {' and no '.join(missing)}, which {DECLARATION} counts on: download "
            "it again, or push it again."
        )
    unknown = sorted({*attributes} - {*CARRIED})
    if unknown:
        raise BehaviorError(
            f"{DECLARATION} of {shown} declares {unknown[0]!r}, which this version of caa_nnsight "
            "doesn't know: upgrade caa_nnsight."
        )
    try:
        behavior = Behavior(**attributes, **{key: folder / FILES[key] for key in records})
    except (BehaviorError, TypeError) as error:
        raise BehaviorError(f"{DECLARATION} of {shown} is unusable: {error}") from error
    return behavior, content.get("data_hash")


def _data_hash(behavior: Behavior, folder: Path, shown: str) -> str:
    """Return the hash of what the files hold; errors name the place as the user knows it."""
    try:
        return behavior.data_hash()
    except BehaviorError as error:
        if shown == str(folder):
            raise
        told = str(error)
        for name in FILES.values():
            told = re.sub(rf"{re.escape(str(folder / name))}(:\d+)?", rf"{name}\1 of {shown}", told)
        raise BehaviorError(told) from error


def _declaration(file: Path, shown: str) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_DECLARATION_BYTES:
            raise BehaviorError(f"{shown} is larger than 1 MiB, so it is no behavior of ours.")
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BehaviorError(f"There is no {shown}: it holds no behavior.") from None
    except (OSError, ValueError, RecursionError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BehaviorError(f"{shown} can't be read as JSON ({cause}).") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BehaviorError(f"{shown} is no behavior of caa_nnsight.")
    if content.get("schema_version") != SCHEMA_VERSION:
        raise BehaviorError(other_schema(shown, content.get("schema_version"), SCHEMA_VERSION))
    for key in ("attributes", "records"):
        if not isinstance(content.get(key), dict):
            raise BehaviorError(f"{shown} has no object {key!r}: push the behavior again.")
    if not set(content["records"]) <= set(SOURCES):
        raise BehaviorError(
            f"{shown} counts on other data than {', '.join(SOURCES)}: upgrade caa_nnsight."
        )
    return content


def _refuse_code(behavior: Behavior) -> None:
    title = f"Behavior {behavior.name!r}"
    if behavior.opposite_of is not None:
        raise BehaviorError(
            f"{title} is the opposite of {behavior.opposite_of.name!r} and has no data of its own: "
            "push that one, and turn round what is loaded, as in -behavior."
        )
    if behavior.parts:
        raise BehaviorError(
            f"{title} is made from others and has no pairs of its own: push those, and add up what "
            "is loaded."
        )
    base = {
        name: value
        for name, value in vars(Behavior).items()
        if name not in ATTRIBUTES and (callable(value) or isinstance(value, property))
    }
    # Looked up as a call would, in the object and then in its class.
    methods = sorted(
        name
        for name, value in base.items()
        if name in vars(behavior) or inspect.getattr_static(type(behavior), name) is not value
    )
    if methods:
        raise BehaviorError(
            f"{title} has a `{methods[0]}` of its own, and a repository holds data alone: publish "
            "it as a package (`caa behaviors new --package`), or push a `Behavior(...)` over its "
            "data."
        )


def _record(pair: Pair) -> dict[str, str]:
    # Both system prompts are the behavior's, so a pair is its question.
    if isinstance(pair, SystemPromptPair):
        return {"question": pair.question}
    return pair.to_record()


def _lines(records: Sequence[dict[str, str]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def _check_round_trip(behavior: Behavior, files: dict[str, bytes]) -> None:
    """Refuse what would read otherwise, such as pairs made in code with spaces around a text."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        if _behavior(folder, "the copy")[0].data_hash() != behavior.data_hash():
            raise BehaviorError(
                f"The pairs of behavior {behavior.name!r} would read otherwise from files: make "
                "them from records, without spaces around a text and without system prompts of "
                "their own."
            )
