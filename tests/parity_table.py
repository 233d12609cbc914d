"""How far the package is from the oracle, by family: `python -m tests.parity_table`."""

from __future__ import annotations

import torch

from tests.parity import cases
from tests.tiny_models import FAMILIES

HEADS = ("family", "activation", "logits", "choice score", "packed choice score", "generation")


def table_row(family: str) -> list[str]:
    """Largest relative differences of one family; tokens that differ, for generation."""
    of = cases.case(family)
    logits = max(cases.logit_difference(of, steering) for steering in cases.STEERINGS.values())
    packed = cases.choice_difference(of, "packed") if of.tracer.packs else None
    found, expected = cases.generated(of), cases.ids_of(cases.oracle_generations(family))
    texts = [pair for row in zip(found, expected, strict=True) for pair in zip(*row, strict=True)]
    return [
        family,
        f"{cases.activation_difference(of):.1e}",
        f"{logits:.1e}",
        f"{cases.choice_difference(of, 'plain'):.1e}",
        "not packed" if packed is None else f"{packed:.1e}",
        f"{sum(a == b for a, b in texts)} of {len(texts)} the same",
    ]


def main() -> None:
    """Print the table as Markdown."""
    torch.set_num_threads(1)
    print("| " + " | ".join(HEADS) + " |")
    print("|" + "---|" * len(HEADS))
    for family in FAMILIES:
        print("| " + " | ".join(table_row(family)) + " |", flush=True)


if __name__ == "__main__":
    main()
