"""What a judge is: it rates answers to prompts by a rubric, or says why it didn't."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from caa_nnsight.errors import CAAError

Problem = Literal["", "unparsable", "refused", "failed"]
PROBLEMS = get_args(Problem)[1:]
"""Why a rating is missing, in the order of tables."""

LOWEST, HIGHEST = 0, 10


@dataclass(frozen=True, slots=True)
class JudgeQuestion:
    """One answer to be rated.

    Attributes:
        rubric: what the numbers from 0 to 10 mean, such as `Behavior.judge_rubric`.
        prompt: what was asked, without a chat template.
        answer: what was answered.

    >>> JudgeQuestion("10 if it is polite.", "Where is it?", "Over there, please.").answer
    'Over there, please.'
    """

    rubric: str
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Rating:
    """What became of one question.

    Attributes:
        score: from 0 to 10; None where it is missing, for one of three reasons.
        raw: what the judge replied, or why it failed.
        problem: empty where there is a score; else "unparsable" (the reply is no clear number from
            0 to 10), "refused" (the judge declined to rate) or "failed" (no reply came).
        tokens_in, tokens_out: what the question cost, where the judge counts.

    Raises:
        CAAError: a score outside of 0 to 10, or one beside a problem, or neither.

    >>> Rating(7, "7").score, Rating(None, "It depends.", "unparsable").score
    (7, None)
    """

    score: float | None
    raw: str
    problem: Problem = ""
    tokens_in: int = 0
    tokens_out: int = 0

    def __post_init__(self) -> None:
        rated = self.score is not None
        if self.problem not in get_args(Problem) or rated == bool(self.problem):
            raise CAAError(
                f"A rating has the score {self.score!r} and the problem {self.problem!r}: give a "
                f"score, or None and one of {', '.join(PROBLEMS)}."
            )
        if rated and not LOWEST <= self.score <= HIGHEST:
            raise CAAError(
                f"A judge gave the score {self.score!r}, which lies outside of {LOWEST} to "
                f'{HIGHEST}: call such a rating "unparsable", with the score None.'
            )


class Judge(ABC):
    """Rates answers from 0 to 10 by a rubric.

    Attributes:
        name: what frames and figures call it, such as "openai:gpt-4.1-mini"; unlike that of any
            other judge in the same frame.

    >>> class Brief(Judge):
    ...     name = "brief"
    ...
    ...     def rate(self, questions):
    ...         return [Rating(max(0, 10 - len(q.answer)), "") for q in questions]
    >>> Brief().rate([JudgeQuestion("Is it brief?", "How are you?", "Fine.")])[0].score
    5
    """

    name: str

    @property
    def identity(self) -> str | None:
        """All that its ratings depend on, beside the question; None for what can't be told.

        Ratings of a judge without one are not kept between runs.
        """
        return self.name

    @abstractmethod
    def rate(self, questions: Sequence[JudgeQuestion]) -> list[Rating]:
        """Rate all `questions`, in their order.

        Raises:
            CAAError: the judge can't work at all, whatever the question.
        """
