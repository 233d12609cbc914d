"""From a question to token ids and the positions that matter; pure functions, row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caa_nnsight.errors import PromptError
from caa_nnsight.pairs import is_unicode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from caa_nnsight.pairs import ContrastPair

# The paper's format for models without a chat template.
BASE_FORMAT = "Input: {question}\nResponse:"

Example = tuple[str, str]
"""A few-shot example: a question, and the answer that was given to it."""


@dataclass(frozen=True)
class TextPrompt:
    """A prompt to continue freely.

    Attributes:
        text: the rendered prompt.
        ids: its token ids; the last one is the end of the instruction.
    """

    text: str
    ids: tuple[int, ...]

    @property
    def prompt_length(self) -> int:
        """Number of tokens of the prompt itself."""
        return len(self.ids)


@dataclass(frozen=True)
class ChoicePrompt:
    """A two-choice question, up to the token that decides between its letters.

    Attributes:
        text: the rendered prompt, without the answer.
        ids: token ids up to where the answer is predicted. Where the tokeniser keeps `(`
            and `A` apart, the last id is `(`; where it joins them, the end of the prompt.
        prompt_length: number of tokens of the prompt itself; its last token, where
            steering starts by default, is `prompt_length - 1`.
        answers: letter -> the token that gives this answer, such as `A` or `(A`.
    """

    text: str
    ids: tuple[int, ...]
    prompt_length: int
    answers: dict[str, int]

    def completed(self, letter: str) -> tuple[int, ...]:
        """Token ids ending with the answer token of `letter`, where vectors are read."""
        return (*self.ids, self.answers[letter])


@dataclass(frozen=True)
class AnsweredPrompt:
    """A prompt and a free answer to it.

    Attributes:
        text: the rendered prompt, without the answer.
        ids: token ids of the prompt and the answer.
        prompt_length: number of tokens of the prompt itself; the answer's first token is
            `ids[prompt_length]`.
    """

    text: str
    ids: tuple[int, ...]
    prompt_length: int

    @property
    def answer_length(self) -> int:
        """Number of tokens of the answer."""
        return len(self.ids) - self.prompt_length


def render(
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    system_prompt: str | None = None,
    examples: Sequence[Example] = (),
) -> str:
    """One user turn in the model's chat template, or the paper's base format.

    Few-shot examples come before it as turns of their own. A template without a system role gets
    the system prompt at the head of the first user turn.

    Args:
        tokenizer: the model's.
        question: the user's turn.
        system_prompt: put before everything.
        examples: questions and the answers that the assistant gave to them.

    Raises:
        PromptError: the template can't render such turns.
    """
    if not getattr(tokenizer, "chat_template", None):
        head = f"{system_prompt}\n\n" if system_prompt else ""
        shown = "".join(f"{BASE_FORMAT.format(question=q)} {a}\n\n" for q, a in examples)
        return head + shown + BASE_FORMAT.format(question=question)
    turns = []
    for asked, answered in examples:
        turns += [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": answered},
        ]
    turns.append({"role": "user", "content": question})
    if system_prompt:
        text = _apply_template(
            tokenizer, [{"role": "system", "content": system_prompt}, *turns], quiet=True
        )
        # Some templates raise on a system role, others drop it without a word.
        if text is not None and system_prompt.strip() in text:
            return text
        turns[0] = {"role": "user", "content": f"{system_prompt}\n\n{turns[0]['content']}"}
    text = _apply_template(tokenizer, turns)
    assert text is not None
    return text


def _apply_template(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], quiet: bool = False
) -> str | None:
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # jinja templates raise whatever their authors chose
        if quiet:
            return None
        what = "a single user turn" if len(messages) == 1 else "turns of user and assistant"
        raise PromptError(
            f"The tokenizer's chat template can't render {what} ({error}): "
            "set tokenizer.chat_template to one that can, or to None for the base format."
        ) from error


def encode(
    tokenizer: PreTrainedTokenizerBase, text: str, *, plain: bool = False
) -> tuple[int, ...]:
    """Token ids of a rendered prompt; a template has written its own special tokens already.

    Args:
        tokenizer: the model's.
        text: to encode.
        plain: the text stands by itself, whether or not the tokenizer has a template.

    Raises:
        PromptError: the text is no Unicode.
    """
    if not is_unicode(text):
        raise PromptError(
            "A prompt holds half of a character (a lone surrogate), which no tokenizer reads: "
            "give it as UTF-8 text."
        )
    templated = not plain and bool(getattr(tokenizer, "chat_template", None))
    ids = tokenizer(text, add_special_tokens=not templated)["input_ids"]
    # Base prompts keep the tokenizer's beginning-of-sequence token but not a closing one.
    eos = tokenizer.eos_token_id
    if not templated and ids and ids[-1] == eos and not text.endswith(str(tokenizer.eos_token)):
        ids = ids[:-1]
    return tuple(ids)


def text_prompt(
    tokenizer: PreTrainedTokenizerBase, question: str, system_prompt: str | None = None
) -> TextPrompt:
    """A question to be answered freely, as the model is asked it.

    Args:
        tokenizer: the model's; its chat template is used where it has one, else a plain format.
        question: in plain words.
        system_prompt: put before it.

    Returns:
        the rendered text, and its token ids.

    Raises:
        PromptError: nothing is left of the question after tokenizing, or the chat template can't
            render it.

    Example:
        >>> import caa_nnsight as caa
        >>> prompt = text_prompt(caa.load("smollm2-135m").tokenizer, "Name a fruit.")
        >>> prompt.text.endswith("assistant\\n"), len(prompt.ids)
        (True, 34)
    """
    text = render(tokenizer, question, system_prompt)
    ids = encode(tokenizer, text)
    if not ids:
        raise PromptError("A prompt has no tokens: give a question that is not empty.")
    return TextPrompt(text, ids)


def choice_prompt(
    tokenizer: PreTrainedTokenizerBase,
    pair: ContrastPair,
    system_prompt: str | None = None,
    examples: Sequence[Example] = (),
) -> ChoicePrompt:
    """A contrast pair's question, cut at the token that decides between its two letters.

    The prompt is tokenised together with `(A)` and with `(B)`, and the answer tokens are the
    first two that differ: forcing `(` and `A` apart where the model would write `(A` as one
    token leaves almost no probability on either.

    Raises:
        PromptError: the tokeniser gives both answers the same tokens.
    """
    text = render(tokenizer, pair.question, system_prompt, examples)
    # A template ends its own line; the base format ends with a colon and wants a space.
    space = "" if getattr(tokenizer, "chat_template", None) else " "
    letters = sorted((pair.positive_letter, pair.negative_letter))
    prompt = encode(tokenizer, text)
    first, second = (encode(tokenizer, f"{text}{space}({letter})") for letter in letters)
    common = _common_prefix(first, second)
    if common >= min(len(first), len(second)):
        raise PromptError(
            f"This tokenizer gives ({letters[0]}) and ({letters[1]}) the same tokens, so the "
            "two answers can't be told apart."
        )
    # Where the tokeniser merges the prompt's end with the answer, that merged token is the
    # last one which still holds a part of the prompt.
    prompt_length = min(len(prompt), _common_prefix(prompt, first) + 1, common)
    answers = {letters[0]: first[common], letters[1]: second[common]}
    return ChoicePrompt(text, first[:common], prompt_length, answers)


def answered_prompt(
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    answer: str,
    system_prompt: str | None = None,
    examples: Sequence[Example] = (),
) -> AnsweredPrompt:
    """A question and a free answer, tokenised together as the model would write them.

    Raises:
        PromptError: the answer has no tokens of its own.
    """
    text = render(tokenizer, question, system_prompt, examples)
    space = "" if getattr(tokenizer, "chat_template", None) else " "
    prompt = encode(tokenizer, text)
    ids = encode(tokenizer, f"{text}{space}{answer}")
    prompt_length = min(len(prompt), _common_prefix(prompt, ids))
    if not 0 < prompt_length < len(ids):
        raise PromptError(f"The answer {answer[:60]!r} has no tokens: give one that is not empty.")
    return AnsweredPrompt(text, ids, prompt_length)


def _common_prefix(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def template_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of the chat template, or of the base format: vectors depend on it."""
    template = getattr(tokenizer, "chat_template", None) or BASE_FORMAT
    return hashlib.sha256(str(template).encode("utf-8")).hexdigest()
