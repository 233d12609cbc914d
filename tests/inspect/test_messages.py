"""Conversations of Inspect as prompts."""

import pytest

from caa_nnsight.errors import PromptError
from caa_nnsight.prompts import text_prompt
from tests.tiny_tokenizers import tiny_tokenizer

pytestmark = pytest.mark.slow

SYSTEM = ("system", "You are a helpful assistant.")
TURNS = [("user", "the sky"), ("assistant", "is blue"), ("user", "at noon?")]


@pytest.fixture
def prompt(inspect_ai):
    from inspect_ai.model import (
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageTool,
        ChatMessageUser,
    )

    from caa_nnsight.inspect_provider.messages import conversation_prompt

    kinds = {
        "system": ChatMessageSystem,
        "user": ChatMessageUser,
        "assistant": ChatMessageAssistant,
        "tool": ChatMessageTool,
    }

    def render(tokenizer, *turns):
        return conversation_prompt(tokenizer, [kinds[role](content=text) for role, text in turns])

    return render


@pytest.mark.parametrize("template", ["system", "no_system", "base"])
@pytest.mark.parametrize("system", [None, SYSTEM])
def test_one_question_is_the_prompt_of_caa_generate(prompt, template, system):
    tokenizer = tiny_tokenizer("joined", template)
    turns = [system, TURNS[0]] if system else [TURNS[0]]
    expected = text_prompt(tokenizer, "the sky", system and system[1])
    assert prompt(tokenizer, *turns) == expected


def test_several_turns_are_those_of_the_chat_template(prompt):
    tokenizer = tiny_tokenizer("joined")
    turns = [SYSTEM, *TURNS]
    messages = [{"role": role, "content": text} for role, text in turns]
    expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    found = prompt(tokenizer, *turns)
    assert found.text == expected
    assert list(found.ids) == tokenizer(expected)["input_ids"]


def test_several_system_messages_are_one(prompt):
    tokenizer = tiny_tokenizer("joined")
    both = prompt(tokenizer, ("system", "one"), ("system", "two"), TURNS[0])
    assert both == text_prompt(tokenizer, "the sky", "one\n\ntwo")


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [SYSTEM],
        TURNS[:2],
        [TURNS[0], TURNS[2]],
        [TURNS[1], TURNS[0]],
        [TURNS[0], SYSTEM, TURNS[2]],
        [TURNS[0], TURNS[1], ("tool", "42"), TURNS[2]],
    ],
)
def test_another_order_is_refused(prompt, turns):
    with pytest.raises(PromptError, match="let the task ask in that order"):
        prompt(tiny_tokenizer("joined"), *turns)


def test_thoughts_are_passed_over_and_pictures_refused(prompt):
    from inspect_ai.model import ContentImage, ContentReasoning, ContentText

    tokenizer = tiny_tokenizer("joined")
    thought = [ContentReasoning(reasoning="hm"), ContentText(text="is blue")]
    assert prompt(tokenizer, TURNS[0], ("assistant", thought), TURNS[2]) == prompt(
        tokenizer, *TURNS
    )
    picture = [ContentText(text="what is it?"), ContentImage(image="data:image/png;base64,AAAA")]
    with pytest.raises(PromptError, match="holds image, and caa models read text only"):
        prompt(tokenizer, ("user", picture))
