"""The model, what can be steered with on it, and the work that a page asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock
from typing import TYPE_CHECKING

from caa_nnsight.errors import SteeringError
from caa_nnsight.play.asking import Ask, checked_prompt
from caa_nnsight.play.choices import Choice
from caa_nnsight.play.kept_vectors import kept_vectors
from caa_nnsight.play.snippet import snippet
from caa_nnsight.play.stopping import StoppedError, leaving_jobs
from caa_nnsight.play.token_numbers import TokenNumbers, read_tokens
from caa_nnsight.play.writing import Answers, Show, write
from caa_nnsight.registry import get_behavior
from caa_nnsight.settings import ModelSettings

if TYPE_CHECKING:
    from caa_nnsight.models import Model
    from caa_nnsight.prompts import TextPrompt
    from caa_nnsight.vectors import SteeringVectors

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Written:
    """Two answers, and what they answer.

    Attributes:
        choice, ask, prompt: what was asked.
        answers: token ids.
    """

    choice: Choice
    ask: Ask
    prompt: TextPrompt
    answers: Answers


class Workbench:
    """One model, and choices of what to steer it with.

    Nothing here is shown to anyone, and nothing but the vectors is kept.

    Args:
        model: a loaded model.
        settings: what it was loaded by.
        choices: what is offered.
        layers: layers that may be steered, all by default.
        limit: pairs that a behavior's vectors are made from, at most.

    Raises:
        VectorError: a file's vectors don't fit the model.
        SteeringError: no layer is left to steer.
    """

    def __init__(
        self,
        model: Model,
        settings: ModelSettings,
        choices: Sequence[Choice],
        layers: Sequence[int] | None = None,
        limit: int = 100,
    ) -> None:
        self.model = model
        self.settings = settings
        self.choices = {choice.name: choice for choice in choices}
        self._limit = limit
        self._vectors: dict[str, SteeringVectors] = {}
        self._extracting = Lock()
        for choice in choices:
            if choice.is_file:
                vectors = choice.load()
                vectors.check_model(model)
                self._vectors[choice.name] = vectors
        self._layers = {choice.name: self._offered(choice, layers) for choice in choices}

    def _offered(self, choice: Choice, layers: Sequence[int] | None) -> list[int]:
        known = self._vectors.get(choice.name)
        there = known.layers if known else list(range(self.model.num_layers))
        offered = [layer for layer in there if layers is None or layer in layers]
        if not offered:
            raise SteeringError(
                f"None of the layers of --layers can be steered with {choice.name}, which has "
                f"{there[0]} to {there[-1]}."
            )
        return offered

    def layers_of(self, choice: Choice) -> list[int]:
        """The layers that can be steered, ascending."""
        return self._layers[choice.name]

    def first_layer(self, choice: Choice) -> tuple[int, str]:
        """The layer that the page begins with, and why."""
        layers = self.layers_of(choice)
        if choice.picked in layers:
            return choice.picked, "picked by the run on its validation items"
        middle = min(layers, key=lambda layer: abs(layer - self.model.num_layers // 2))
        return middle, f"near the middle of {self.model.num_layers}; no run has picked one"

    def has_vectors(self, choice: Choice) -> bool:
        """Whether they are in memory."""
        return choice.name in self._vectors

    def vectors(self, choice: Choice, progress: Progress | None = None) -> SteeringVectors:
        """The vectors of a choice, read or extracted when they are first asked for.

        Raises:
            CAAError: see `kept_vectors`.
        """
        with self._extracting:
            if choice.name not in self._vectors:
                behavior = get_behavior(choice.address)
                self._vectors[choice.name] = kept_vectors(
                    self.model, behavior, self._limit, progress
                )
            return self._vectors[choice.name]

    def write(
        self,
        choice: Choice,
        ask: Ask,
        *,
        show: Show,
        stopped: Event,
        progress: Progress | None = None,
        said: Callable[[str], None] | None = None,
    ) -> Written:
        """Answer plainly and steered.

        Args:
            choice, ask: what is asked.
            show: called with both answers whenever they have grown.
            stopped: ends the work when it is set.
            progress: called with (pairs done, pairs in all), where vectors are extracted first.
            said: called with what happens to jobs on a server, in sentences.

        Raises:
            StoppedError: it was stopped before the first token.
            CAAError: the prompt, the vectors or the server are no good.
        """
        prompt = checked_prompt(self.model, ask)

        def go_on(done: int, total: int) -> None:
            if stopped.is_set():
                raise StoppedError
            if progress:
                progress(done, total)

        with leaving_jobs(self.model, stopped, said):
            vectors = self.vectors(choice, go_on)
            if stopped.is_set():
                raise StoppedError
            answers = write(self.model, vectors, ask, prompt, show, stopped)
        return Written(choice, ask, prompt, answers)

    def read(self, written: Written, *, stopped: Event) -> list[TokenNumbers]:
        """The numbers of every token of the prompt and of both answers; see `read_tokens`.

        Args:
            written: the answers.
            stopped: ends the work after the pass under way when it is set.

        Raises:
            StoppedError: it was stopped.
            CAAError: the server is no good.
        """

        def look() -> None:
            if stopped.is_set():
                raise StoppedError

        vectors = self.vectors(written.choice)
        layer, prompt = written.ask.layer, written.prompt
        with leaving_jobs(self.model, stopped):
            return read_tokens(self.model, vectors, layer, prompt, written.answers, look)

    def code(self, choice: Choice, ask: Ask) -> str:
        """Code that does the same as the page; see `snippet`."""
        return snippet(self.settings, choice, ask, self._limit)

    def text(self, ids: Sequence[int], *, whole: bool = True) -> str:
        """An answer as text; of one that isn't whole, a character's first half is left out."""
        text = self.model.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text if whole else text.rstrip("\N{REPLACEMENT CHARACTER}")
