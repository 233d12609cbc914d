"""The model provider itself: what Inspect makes for `--model caa/...` and asks for answers."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from inspect_ai.model import (
    ChatMessage,
    GenerateConfig,
    ModelAPI,
    ModelCall,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from caa_nnsight.errors import CAAError, ModelError
from caa_nnsight.inspect_provider.answers import choice_of, until_stop
from caa_nnsight.inspect_provider.arguments import Arguments, read_arguments
from caa_nnsight.inspect_provider.batches import Request, written
from caa_nnsight.inspect_provider.in_force import SteeringInForce
from caa_nnsight.inspect_provider.messages import conversation_prompt
from caa_nnsight.inspect_provider.wishes import MAX_TOKENS, read_config

if TYPE_CHECKING:
    from caa_nnsight.models import Model
    from caa_nnsight.prompts import TextPrompt
    from caa_nnsight.steering import Steering

# The key with which Inspect makes a model only to ask for its name.
NAME_ONLY = "__model_info_lookup__"

_loaded: WeakValueDictionary[tuple, Model] = WeakValueDictionary()
_loading = Lock()


class SteeredModel(ModelAPI):
    """A model of `caa_nnsight.load` under steering vectors, or unsteered where none are given.

    Args:
        model_name: what stands behind `caa/`: an alias, a Hub id, a folder or a GGUF file.
        base_url: the address of an NDIF server, the same as the argument `host`.
        api_key: none is taken; a server's key comes from NDIF_API_KEY or a file.
        config: Inspect's settings for all requests.
        model_args: see `Arguments`.

    Raises:
        PrerequisiteError: of Inspect, with the sentence of the `CAAError` that stands behind it;
            Inspect prints it without a traceback.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  # it is never changed
        **model_args: Any,
    ) -> None:
        self._model: Model | None = None
        # Of models in roles, Inspect notes `base_url` and gives it back to a retry.
        host = (base_url or "").partition("#")[0] or None
        super().__init__(model_name=model_name, base_url=host, config=config)
        if api_key == NAME_ONLY:
            return
        try:
            self._arguments = _read(host, api_key, model_args)
            model = _model(model_name, self._arguments)
            self._in_force = SteeringInForce(self._arguments, model)
            self._model = model
        except CAAError as error:
            raise _without_traceback(error) from error

    @property
    def base_url(self) -> str | None:
        """The server's address if there is one, `#`, and a digest of the model and its steering.

        Inspect keeps answers under this, the model's name and what is asked, and not under the
        model's arguments: without the digest, answers at one multiplier would be given at all.

        Raises:
            CAAError: If the vectors' file was replaced, and can't be read.
        """
        if self._model is None:
            return self._host
        self._in_force.refresh(self._model)
        return f"{self._host or ''}#{self._in_force.digest}"

    @base_url.setter
    def base_url(self, host: str | None) -> None:
        self._host = host

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> tuple[ModelOutput, ModelCall]:
        """Answer one conversation.

        Args:
            input: The messages.
            tools: Must be empty.
            tool_choice: Has no meaning without tools.
            config: How to write; see `read_config`.

        Returns:
            The answers, and for Inspect's log the prompt as the model got it, with the steering.

        Raises:
            ModelError: If the task gives tools, or the model is closed.
            PromptError: If the messages are no conversation in text.
            SteeringError: If a setting can't be kept.
            VectorError: If the vectors' file was replaced, and can't be read.
        """
        if tools:
            names = ", ".join(tool.name for tool in tools)
            raise ModelError(
                f"caa models answer in text, and this task gives them tools ({names}): choose a "
                "task without tools."
            )
        if self._model is None:
            raise ModelError(f"The model {self.model_name} is closed: get it anew.")
        wishes = read_config(config)
        self._in_force.refresh(self._model)
        steering = self._in_force.steering
        tokenizer = self._model.tokenizer
        prompt = conversation_prompt(tokenizer, input)
        room = wishes.max_tokens
        if window := self._model.window:
            room = min(room, window - prompt.prompt_length)
        if room < 1:
            return self._too_long(prompt, steering)
        started = time.monotonic()
        request = Request(
            self._model.tracer,
            prompt,
            steering,
            max_new_tokens=room,
            temperature=wishes.temperature,
            top_p=wishes.top_p,
            seed=wishes.seed,
            count=wishes.choices,
            top_logprobs=wishes.top_logprobs,
            batch_size=self._arguments.batch_size,
        )
        answers = await written(request)
        name = f"caa/{self.model_name}"
        choices = [choice_of(tokenizer, each, wishes, room, name) for each in answers]
        count = sum(until_stop(tokenizer, each.ids, wishes.stops)[1] for each in answers)
        usage = ModelUsage(
            input_tokens=prompt.prompt_length,
            output_tokens=count,
            total_tokens=prompt.prompt_length + count,
        )
        seconds = time.monotonic() - started
        output = ModelOutput(model=name, choices=choices, usage=usage, time=seconds)
        texts = [each.message.text for each in choices]
        return output, _call(prompt, steering, texts, seconds)

    def max_tokens(self) -> int:
        """Tokens of an answer where nothing else is set; the same as of Inspect's `hf` models."""
        return MAX_TOKENS

    def max_connections(self) -> int:
        """Requests at a time: as many as pass through the model together."""
        return self._arguments.batch_size

    def collapse_user_messages(self) -> bool:
        """Chat templates want user and assistant by turns."""
        return True

    def collapse_assistant_messages(self) -> bool:
        """Chat templates want user and assistant by turns."""
        return True

    async def tokenize(self, text: str) -> list[int]:
        """Token ids of a text, by the model's own tokenizer."""
        if self._model is None:
            raise ModelError(f"The model {self.model_name} is closed: get it anew.")
        return self._model.tokenizer(text, add_special_tokens=False)["input_ids"]

    async def count_text_tokens(self, text: str) -> int:
        """Number of tokens of a text, by the model's own tokenizer."""
        return len(await self.tokenize(text))

    def close(self) -> None:
        """Let go of the model; its memory is free when no other provider uses it."""
        self._model = None

    def _too_long(self, prompt: TextPrompt, steering: Steering) -> tuple[ModelOutput, ModelCall]:
        length = prompt.prompt_length
        output = ModelOutput.from_content(
            f"caa/{self.model_name}",
            "",
            stop_reason="model_length",
            error=f"The prompt has {length} tokens, more than this model can read.",
        )
        output.usage = ModelUsage(input_tokens=length, total_tokens=length)
        return output, _call(prompt, steering, [], 0.0)


def _call(prompt: TextPrompt, steering: Steering, texts: list[str], seconds: float) -> ModelCall:
    edits = [
        {"layer": edit.layer, "multiplier": edit.multiplier, "norm": float(edit.vector.norm())}
        for edit in steering.edits
    ]
    request = {"prompt": prompt.text, "steering": edits, "start": steering.start}
    return ModelCall.create(request=request, response={"texts": texts}, time=seconds)


def _read(base_url: str | None, api_key: str | None, given: dict[str, Any]) -> Arguments:
    if api_key:
        raise ModelError(
            "caa models take no key as an argument, for arguments are written into logs: set "
            "NDIF_API_KEY, or name a file with -M api_key_file=FILE."
        )
    return read_arguments(given | ({"host": base_url} if base_url else {}))


def _model(name: str, arguments: Arguments) -> Model:
    """Load a model, or take the one that another provider of this process has loaded so."""
    from caa_nnsight.models import load

    key = (name, tuple(sorted(arguments.loading.items())))
    with _loading:
        model = _loaded.get(key)
        if model is None:
            model = _loaded[key] = load(name, **arguments.loading)
        return model


def _without_traceback(error: CAAError) -> Exception:
    from inspect_ai._util.error import PrerequisiteError
    from rich.markup import escape

    return PrerequisiteError(escape(str(error)))
