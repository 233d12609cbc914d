"""A judge that is a plain function, for what needs no language model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real

from caa_nnsight.errors import CAAError

from .protocol import HIGHEST, LOWEST, Judge, JudgeQuestion, Rating


class FunctionJudge(Judge):
    """Rates by a function of the prompt and the answer; the rubric is for readers only.

    Args:
        function: gives a number from 0 to 10, or None to give no rating. Other numbers, NaN among
            them, are missing ratings. What it raises is not caught.
        name: see `Judge`; the function's own by default.

    >>> judge = FunctionJudge(lambda prompt, answer: 10 * answer.endswith("!"), "loud")
    >>> judge.rate([JudgeQuestion("Is it loud?", "Hello", "Hello!")])[0].score
    10.0
    """

    def __init__(
        self, function: Callable[[str, str], float | None], name: str | None = None
    ) -> None:
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self._function = function

    @property
    def identity(self) -> None:
        """None, because the code of a function can change."""
        return None

    def rate(self, questions: Sequence[JudgeQuestion]) -> list[Rating]:
        """Call the function for each of the `questions`.

        Raises:
            CAAError: the function gave something that is no number, such as True.
        """
        return [self._rate(question) for question in questions]

    def _rate(self, question: JudgeQuestion) -> Rating:
        value = self._function(question.prompt, question.answer)
        if value is None:
            return Rating(None, "None", "refused")
        # True and False count as 1 and 0 in Python, but would be a yes and a no here.
        if not isinstance(value, Real) or isinstance(value, bool):
            raise CAAError(
                f"The judge {self.name} returned {value!r:.60}, which is no number: let the "
                f"function return a number from {LOWEST} to {HIGHEST}, or None."
            )
        score = float(value)
        if math.isnan(score) or not LOWEST <= score <= HIGHEST:
            return Rating(None, repr(value), "unparsable")
        return Rating(score, repr(value))
