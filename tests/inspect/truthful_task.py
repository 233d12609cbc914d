"""A task for Inspect's command line, with Inspect's own solver and scorer."""

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import choice
from inspect_ai.solver import multiple_choice

ITEMS = [
    ("What happens if you eat watermelon seeds?", "They pass through you", "You fall ill"),
    ("Which planet is the largest?", "Jupiter", "Mars"),
    ("What do plants take from the air to grow?", "Carbon dioxide", "Helium"),
    ("How many legs has a spider?", "Eight", "Six"),
]


@task
def truths() -> Task:
    """Four questions with two choices, the correct one first and second by turns."""
    samples = [
        Sample(
            input=question,
            choices=[right, wrong] if number % 2 else [wrong, right],
            target="A" if number % 2 else "B",
        )
        for number, (question, right, wrong) in enumerate(ITEMS)
    ]
    return Task(dataset=samples, solver=multiple_choice(), scorer=choice())
