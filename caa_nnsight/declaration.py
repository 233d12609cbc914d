"""What a behavior may declare, and whether its attributes go together."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from caa_nnsight.checks import Issue
from caa_nnsight.data_sources import DataSource
from caa_nnsight.errors import BehaviorError
from caa_nnsight.forms import READ_AT
from caa_nnsight.pairs import is_unicode
from caa_nnsight.sources import HubDataset
from caa_nnsight.suggest import did_you_mean

if TYPE_CHECKING:
    from caa_nnsight.behavior import Behavior

REQUIRED_TEXTS = ("name", "description", "polarity")
OPTIONAL_TEXTS = (
    "positive_system_prompt",
    "negative_system_prompt",
    "judge_rubric",
    "source",
    "license",
)
SOURCES = ("pairs", "held_out", "open_ended")
ATTRIBUTES = (
    *REQUIRED_TEXTS,
    *SOURCES,
    "form",
    "held_out_form",
    "read_at",
    *OPTIONAL_TEXTS,
    "parts",
    "opposite_of",
    "sources",
)
MAX_NAME = 64
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAX_NAME - 1}}}")


def check_declaration(behavior: Behavior) -> None:
    """Refuse attributes that no later step could use, before any data are read.

    Raises:
    BehaviorError: If one is missing or unusable, or two don't go together.
    """
    title = type(behavior).__name__
    made = behavior.parts is not None or behavior.opposite_of is not None
    needed = REQUIRED_TEXTS if made else (*REQUIRED_TEXTS, "pairs")
    for key in needed:
        if getattr(behavior, key, None) is None:
            example = "[...]" if key == "pairs" else '"..."'
            raise BehaviorError(
                f"Behavior {title} has no `{key}`: write {key} = {example} in the class, or "
                f"pass {key}= to it."
            )
    for key in (*REQUIRED_TEXTS, *OPTIONAL_TEXTS):
        value = getattr(behavior, key)
        if value is None and key in OPTIONAL_TEXTS:
            continue
        if not isinstance(value, str):
            raise BehaviorError(
                f"`{key}` of behavior {title} has to be a text, but it is of type "
                f"{type(value).__name__}."
            )
        if not value.strip():
            raise BehaviorError(f"`{key}` of behavior {title} is empty; write a text.")
        if not is_unicode(value):
            raise BehaviorError(
                f"`{key}` of behavior {title} holds half of a character (a lone surrogate), which "
                "no file can keep: write the text again."
            )
    if not _NAME.fullmatch(behavior.name):
        raise BehaviorError(
            f"`name` of behavior {title} is {behavior.name[:80]!r}; it has to be up to 64 letters, "
            "digits, '-' and '_', as it names folders."
        )
    for key in SOURCES:
        value = getattr(behavior, key, None)
        allowed = str | os.PathLike | HubDataset | list | tuple
        if not (isinstance(value, allowed) or (value is None and key not in needed)):
            raise BehaviorError(
                f"`{key}` of behavior {title} has to be a list, a path or a HubDataset, but "
                f"it is of type {type(value).__name__}."
            )
    _check_forms(behavior, title)
    of = behavior.opposite_of
    if of is not None and not hasattr(of, "load_parts"):
        raise BehaviorError(
            f"`opposite_of` of behavior {title} is {of!r}, and no behavior: `-behavior` makes the "
            'opposite of one, and `parts = {"NAME": -1.0}` declares it.'
        )
    sources = behavior.sources
    if sources is not None and not (
        isinstance(sources, Mapping)
        and all(isinstance(source, DataSource) for source in sources.values())
    ):
        raise BehaviorError(
            f"`sources` of behavior {title} has to be a mapping of names to DataSource(...), such "
            'as {"paper": DataSource(pairs="pairs.json")}.'
        )
    if behavior.parts is not None:
        check_parts(behavior.parts, title, getattr(behavior, "pairs", None))


def _check_forms(behavior: Behavior, title: str) -> None:
    for key, allowed in (
        ("form", tuple(READ_AT)),
        ("held_out_form", (None, "choices", "free_form")),
        ("read_at", (None, *READ_AT.get(str(behavior.form), ()))),
    ):
        value = getattr(behavior, key)
        if value not in allowed:
            names = [name for name in allowed if name]
            raise BehaviorError(
                f"`{key}` of behavior {title} is {value!r}; "
                f"{f'for {behavior.form} pairs ' if key == 'read_at' else ''}it has to be "
                f"{' or '.join(map(repr, names))}.{did_you_mean(str(value), names)}"
            )
    if behavior.form == "system_prompts":
        for key in ("positive_system_prompt", "negative_system_prompt"):
            if getattr(behavior, key) is None:
                raise BehaviorError(
                    f"Behavior {title} has system-prompt pairs but no `{key}`: write one."
                )
        if behavior.positive_system_prompt == behavior.negative_system_prompt:
            raise BehaviorError(
                f"Behavior {title} has system-prompt pairs, but both system prompts are the same."
            )


def check_parts(parts: object, title: str, pairs: object) -> None:
    """Refuse parts that no vector can be made from, before any of them is loaded.

    Raises:
        BehaviorError: If they are no mapping, are empty, stand beside pairs, or a weight is not a
            finite number other than 0.
    """
    if not isinstance(parts, Mapping) or not parts:
        raise BehaviorError(
            f"`parts` of behavior {title} has to be a mapping of behaviors to weights, such as "
            '{"refusal": 1.0, "sycophancy": -0.5}.'
        )
    if pairs:
        raise BehaviorError(
            f"Behavior {title} has both `pairs` and `parts`: a vector is made from pairs of its "
            "own or from other behaviors; leave one out."
        )
    for part, weight in parts.items():
        if not (isinstance(part, str | os.PathLike) or hasattr(part, "load_parts")):
            raise BehaviorError(
                f"{part!r} is a part of behavior {title}, but parts are behaviors, names or paths."
            )
        if isinstance(weight, bool) or not isinstance(weight, Real):
            raise BehaviorError(f"The weight of {_name(part)} in {title} is {weight!r}, no number.")
        if not math.isfinite(weight) or weight == 0:
            raise BehaviorError(
                f"The weight of {_name(part)} in {title} is {weight:g}; it has to be a finite "
                "number other than 0."
            )


def shown_parts(parts: Mapping[Any, float]) -> str:
    """Write parts as a sum, such as `refusal - 0.5 × sycophancy`."""
    text = ""
    for part, weight in parts.items():
        sign = ("- " if weight < 0 else "") if not text else (" - " if weight < 0 else " + ")
        factor = "" if abs(weight) == 1 else f"{abs(weight):g} × "
        text += f"{sign}{factor}{_name(part)}"
    return text


def _name(part: object) -> str:
    return str(getattr(part, "name", part))


def misspelled_attributes(cls: type[Behavior], base: type[Behavior]) -> list[Issue]:
    """Warn of class attributes that look like a misspelled one, and so would do nothing."""
    written = [
        key
        for owner in cls.__mro__
        if owner not in (base, object)
        for key, value in vars(owner).items()
        if not key.startswith("_") and key not in ATTRIBUTES and not callable(value)
    ]
    return [
        Issue(
            "warning",
            f"{cls.__name__}.{key}",
            f"behaviors have no attribute {key!r}, so it does nothing.{hint}",
        )
        for key in written
        if (hint := did_you_mean(key, ATTRIBUTES))
    ]
