"""A judge that is a language model in this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .parsing import opens_thought, parse_reply
from .protocol import Judge, JudgeQuestion, Rating
from .wording import ask

if TYPE_CHECKING:
    from caa_nnsight import Model


class LocalJudge(Judge):
    """Asks a transformers model, greedily.

    Small models are poor judges: look at the replies, and at the agreement with another judge.

    Args:
        model: a loaded model, or what `caa_nnsight.load` takes; loaded when it is first asked.
        max_new_tokens: of a reply. One that is longer is cut, and its last line not read.
        batch_size: questions per pass.
        settings: further arguments of `caa_nnsight.load`.

    Raises:
        CAAError: on first use, where the model can't be loaded.

    >>> judge = LocalJudge("smollm2-135m")
    >>> judge.name
    'local:smollm2-135m'
    """

    def __init__(
        self,
        model: str | Model,
        *,
        max_new_tokens: int = 64,
        batch_size: int = 8,
        **settings: Any,
    ) -> None:
        self._given = model
        self._settings = settings
        self._max_new_tokens = max_new_tokens
        self._batch_size = batch_size
        self.name = f"local:{model if isinstance(model, str) else model.name}"

    @property
    def identity(self) -> str | None:
        """Name and settings; None for a folder or a loaded model, whose weights may change."""
        if not isinstance(self._given, str) or Path(self._given).expanduser().exists():
            return None
        return f"{self.name} {self._max_new_tokens} {sorted(self._settings.items())}"

    def rate(self, questions: Sequence[JudgeQuestion]) -> list[Rating]:
        """Ask the model each of the `questions`; one that is too long for it has failed."""
        from caa_nnsight import text_prompt

        model = self._model
        prompts = [text_prompt(model.tokenizer, ask(question)) for question in questions]
        fitting = [index for index, prompt in enumerate(prompts) if self._fits(len(prompt.ids))]
        replies = (
            model.tracer.generate_ids(
                [prompts[index] for index in fitting],
                max_new_tokens=self._max_new_tokens,
                batch_size=self._batch_size,
            )
            if fitting
            else []
        )
        ratings = [
            Rating(None, f"the question has {len(prompt.ids)} tokens, too many for it", "failed")
            for prompt in prompts
        ]
        for index, (ids,) in zip(fitting, replies, strict=True):
            ratings[index] = parse_reply(
                model.tokenizer.decode(ids, skip_special_tokens=True),
                cut=len(ids) >= self._max_new_tokens,
                thinking=opens_thought(prompts[index].text),
                tokens_in=len(prompts[index].ids),
                tokens_out=len(ids),
            )
        return ratings

    @cached_property
    def _model(self) -> Model:
        if not isinstance(self._given, str):
            return self._given
        from caa_nnsight import load

        return load(self._given, **self._settings)

    def _fits(self, length: int) -> bool:
        window = getattr(self._model.module.config, "max_position_embeddings", None)
        return not window or length + self._max_new_tokens <= window
