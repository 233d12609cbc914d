"""Both answers of the page are those of `caa.generate`, token by token."""

from __future__ import annotations

from itertools import pairwise
from threading import Event

import pytest

import caa_nnsight as caa
from caa_nnsight.errors import PromptError
from caa_nnsight.play import writing
from caa_nnsight.play.asking import Ask, checked_prompt
from caa_nnsight.play.stopping import JobLeftError
from tests.play.places import vectors_of_length
from tests.tiny_models import tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

VECTORS = vectors_of_length(6.0)
PROMPT = "What of the hills and the sea?"


@pytest.fixture(scope="module")
def model():
    """A model whose windows are narrower than the prompt; one of its answers ends early."""
    return caa.Model.wrap(tiny_model("gemma3-window-6"), tiny_tokenizer("joined"))


def ask(**settings) -> Ask:
    return Ask(**{"prompt": PROMPT, "layer": 2, "multiplier": 1.5, "max_new_tokens": 14} | settings)


def generated(model, asked: Ask) -> list[str]:
    frame = caa.generate(
        model,
        [asked.prompt],
        VECTORS,
        layers=[asked.layer],
        multipliers=[0, asked.multiplier],
        max_new_tokens=asked.max_new_tokens,
        temperature=asked.temperature,
        seed=asked.seed,
    )
    return frame["text"].tolist()


def texts(model, answers) -> list[str]:
    return [model.tokenizer.decode(ids, skip_special_tokens=True) for ids in answers]


@pytest.mark.parametrize("asked", [ask(), ask(temperature=0.8, seed=5), ask(multiplier=-2.0)])
def test_both_answers_are_those_of_generate(model, asked):
    seen = []
    prompt = checked_prompt(model, asked)
    answers = writing.write(model, VECTORS, asked, prompt, seen.append, Event())
    assert texts(model, answers) == generated(model, asked)
    assert seen[-1] == answers
    for before, after in pairwise(seen):
        assert [after[row][: len(before[row])] for row in (0, 1)] == before
        assert max(len(after[row]) - len(before[row]) for row in (0, 1)) <= 1


def test_a_text_written_in_pieces_is_the_whole_text(model, monkeypatch):
    """As behind NDIF, where each request continues what the last one has written."""
    monkeypatch.setattr(writing, "REMOTE_TOKENS", 4)
    asked, seen = ask(), []
    prompt = checked_prompt(model, asked)
    answers = writing._write_behind_ndif(model, VECTORS, asked, prompt, seen.append, Event())
    assert texts(model, answers) == generated(model, asked)
    assert len(seen) > 1
    assert {len(each[0]) for each in seen} <= {len(answers[0]), 0, 4, 8, 12}


def test_a_prompts_logits_are_computed_at_its_last_token_only(model):
    shapes = []
    head = model.module.get_output_embeddings()
    handle = head.register_forward_hook(lambda _module, _given, out: shapes.append(out.shape[:2]))
    asked = ask(max_new_tokens=2)
    writing.write(model, VECTORS, asked, checked_prompt(model, asked), len, Event())
    handle.remove()
    assert shapes
    assert set(shapes) == {(2, 1)}


def test_a_prompt_that_memory_cannot_hold_is_refused():
    from caa_nnsight.tracer.free_memory import GIB
    from caa_nnsight.tracer.memory import OVERHEAD_BYTES

    # Room for a word, and not for a hundred.
    budget = (OVERHEAD_BYTES + 3e5) / GIB
    small = caa.Model.wrap(tiny_model("llama"), tiny_tokenizer("joined"), memory_budget=budget)
    checked_prompt(small, ask(prompt="hill", max_new_tokens=2))
    with pytest.raises(PromptError, match="more memory than there is for it: shorten the prompt"):
        checked_prompt(small, ask(prompt="hill " * 100))


def test_what_a_server_has_written_stays_when_the_next_job_is_left(model, monkeypatch):
    monkeypatch.setattr(writing, "REMOTE_TOKENS", 4)
    write_ids, calls = model.tracer.generate_ids, []

    def left(*given, **settings):
        calls.append(given)
        if len(calls) > 1:
            raise JobLeftError("Left.")
        return write_ids(*given, **settings)

    monkeypatch.setattr(model.tracer, "generate_ids", left)
    asked = ask()
    prompt = checked_prompt(model, asked)
    answers = writing._write_behind_ndif(model, VECTORS, asked, prompt, len, Event())
    assert max(map(len, answers)) == 4
    with pytest.raises(JobLeftError):
        writing._write_behind_ndif(model, VECTORS, asked, prompt, len, Event())


def test_a_stop_ends_the_writing_after_the_token_under_way(model):
    stopped, seen = Event(), []

    def show(answers) -> None:
        seen.append(answers)
        if len(seen) == 3:
            stopped.set()

    asked = ask(max_new_tokens=200)
    answers = writing.write(model, VECTORS, asked, checked_prompt(model, asked), show, stopped)
    assert len(seen) == 3
    assert max(map(len, answers)) <= 3


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prompt": ""}, "The prompt is empty: type at least one word."),
        ({"prompt": " \n\t"}, "The prompt is empty: type at least one word."),
        ({"prompt": "hill " * 300}, "is more than the 256 that Gemma3ForCausalLM can hold"),
        ({"max_new_tokens": 250}, "shorten the prompt or the answer."),
        ({"prompt": "\ud800"}, "half of a character"),
    ],
)
def test_a_bad_prompt_is_refused_in_a_sentence(model, settings, said):
    with pytest.raises(PromptError) as refused:
        checked_prompt(model, ask(**settings))
    assert said in str(refused.value)
