"""The card of a behavior: what it is, what its files hold, and how to use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caa_nnsight.hub.behavior_files import DECLARATION, FILES
from caa_nnsight.hub.card import Markup, license_fields, metadata, render
from caa_nnsight.models.cache import without_home
from caa_nnsight.pairs import ContrastPair

if TYPE_CHECKING:
    from caa_nnsight.behavior import Behavior

TAGS = ["caa_nnsight", "steering-vectors", "contrast-pairs", "contrastive-activation-addition"]
# Pairs make vectors; the others only test.
SPLITS = {"pairs": "train", "held_out": "test", "open_ended": "test"}
FORMS = {
    "choices": "questions with two lettered choices",
    "free_form": "prompts with two free answers",
    "system_prompts": "questions, each asked under two system prompts",
}


def behavior_card(behavior: Behavior, repo: str) -> str:
    """Write the card of a behavior in Markdown; `datasets` reads its data by the metadata."""
    counts = {
        "pairs": len(behavior.load_pairs()),
        "held_out": len(behavior.load_held_out() or []),
        "open_ended": len(behavior.load_open_ended()),
    }
    there = [key for key, count in counts.items() if count]
    what = {
        "pairs": f"{counts['pairs']} pairs to make a vector from",
        "held_out": f"{counts['held_out']} held-out pairs, which only test",
        "open_ended": f"{counts['open_ended']} open-ended prompts to generate from",
    }
    configs = [
        {
            "config_name": key,
            "data_files": [{"split": SPLITS[key], "path": FILES[key]}],
            **({"default": True} if key == "pairs" else {}),
        }
        for key in there
    ]
    head = {
        "pretty_name": behavior.name,
        **license_fields(behavior.license),
        "tags": TAGS,
        "configs": configs,
    }
    pair = behavior.load_pairs()[0]
    example, note = pair.question, f"The answer {pair.positive} shows the behavior."
    if not isinstance(pair, ContrastPair):
        example = f"{pair.question}\n\npositive: {pair.positive}\nnegative: {pair.negative}"
        note = "The positive side shows the behavior."
    return render(
        "behavior_card.md.j2",
        metadata=metadata(head),
        behavior=behavior,
        # It may stand in code, where no character is markup.
        repo=Markup(repo),
        counts=", ".join(what[key] for key in there),
        facts=_facts(behavior),
        files=[
            (Markup(DECLARATION), "what the behavior declares"),
            *((Markup(FILES[key]), what[key]) for key in there),
        ],
        example=example,
        example_note=note,
    )


def _facts(behavior: Behavior) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in (
            ("what positive means", behavior.polarity),
            ("pairs", FORMS[behavior.form]),
            ("vector read at", behavior.where_read()),
            ("positive system prompt", behavior.positive_system_prompt),
            ("negative system prompt", behavior.negative_system_prompt),
            # The path of data that the user gave would tell who that is.
            ("source", without_home(behavior.source or "unknown")),
            ("license", behavior.license or "unknown"),
            ("SHA-256 of the data", behavior.data_hash()),
        )
        if value
    ]
