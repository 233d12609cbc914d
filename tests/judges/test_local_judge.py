"""A judge in this process: what its model writes is read as any other reply is."""

from __future__ import annotations

import pytest

from caa_nnsight import CAAError, load, text_prompt
from caa_nnsight.analysis.judges import JudgeQuestion, LocalJudge
from caa_nnsight.analysis.judges.wording import ask
from tests.cli.places import save_model
from tests.core.examples import tiny
from tests.judges.saying import saying
from tests.judges.test_wording import HOSTILE

QUESTIONS = [JudgeQuestion("Rate it.", "Hi", f"Answer {number}.") for number in range(3)]


@pytest.mark.parametrize(
    ("words", "score", "problem"),
    [
        (("7",), 7, ""),
        (("Score:", "7/10"), 7, ""),
        (("Maybe",), None, "unparsable"),
        (("I'm", "sorry"), None, "refused"),
    ],
)
def test_the_models_words_are_the_rating(words, score, problem):
    ratings = LocalJudge(saying(*words)).rate(QUESTIONS)
    assert [(rating.score, rating.problem) for rating in ratings] == [(score, problem)] * 3
    assert ratings[0].raw == " ".join(words)


def test_a_reply_that_does_not_end_is_not_read_at_its_end():
    (rating,) = LocalJudge(saying("7", ends=False), max_new_tokens=4).rate(QUESTIONS[:1])
    assert (rating.problem, rating.tokens_out) == ("unparsable", 4)


@pytest.mark.parametrize(
    ("words", "score"), [(("7",), None), (("3", "</think>", "5"), 5), (("3", "</think>"), None)]
)
def test_a_thought_that_the_chat_template_opened_is_not_read(words, score):
    model = saying("<think>", *words)
    model.tokenizer.chat_template += " <think>"
    (rating,) = LocalJudge(model).rate(QUESTIONS[:1])
    assert (rating.raw, rating.score) == (" ".join(words), score)
    assert rating.problem == ("unparsable" if score is None else "")


def test_tokens_are_those_of_the_question_and_the_reply():
    model = saying("7")
    (rating,) = LocalJudge(model).rate(QUESTIONS[:1])
    length = len(text_prompt(model.tokenizer, ask(QUESTIONS[0])).ids)
    assert (rating.tokens_in, rating.tokens_out) == (length, 1)


def test_a_question_too_long_for_the_model_has_failed_and_the_others_have_not():
    model = saying("7", window=400)
    long = JudgeQuestion("Rate it.", "Hi", "word " * 400)
    ratings = LocalJudge(model).rate([QUESTIONS[0], long, QUESTIONS[1]])
    assert [rating.problem for rating in ratings] == ["", "failed", ""]
    assert "too many for it" in ratings[1].raw
    assert LocalJudge(model).rate([long])[0].problem == "failed"
    assert LocalJudge(model).rate([]) == []


def test_a_real_family_writes_greedily_and_in_batches_alike():
    model = tiny("qwen2")
    model.module.config.max_position_embeddings = 4096
    question = [JudgeQuestion("Rate it.", "Hi", answer) for answer in HOSTILE]
    prompts = [text_prompt(model.tokenizer, ask(each)) for each in question]
    expected = [text for (text,) in model.tracer.generate(prompts, max_new_tokens=5)]
    for size in (1, 8):
        ratings = LocalJudge(model, max_new_tokens=5, batch_size=size).rate(question)
        assert [rating.raw for rating in ratings] == expected


def test_a_model_is_loaded_by_name_when_it_is_first_asked(tmp_path):
    save_model(tmp_path / "model")
    judge = LocalJudge(str(tmp_path / "model"), dtype="float32")
    assert judge.name == f"local:{tmp_path / 'model'}"
    assert len(judge.rate(QUESTIONS)) == 3


def test_a_model_that_is_not_there_is_an_error_when_it_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("CAA_CACHE", str(tmp_path))
    judge = LocalJudge("./no-such-folder")
    with pytest.raises(CAAError, match="no-such-folder"):
        judge.rate(QUESTIONS)


def test_what_may_change_under_its_name_has_no_identity(tmp_path):
    assert LocalJudge(saying("7")).identity is None
    assert LocalJudge(str(tmp_path)).identity is None
    named = LocalJudge("smollm2-135m")
    assert named.identity
    assert named.identity != LocalJudge("smollm2-135m", max_new_tokens=8).identity


@pytest.mark.slow
@pytest.mark.weights
def test_a_small_real_model_gives_ratings_or_says_why_not():
    judge = LocalJudge(load("smollm2-135m"), max_new_tokens=16)
    rubric = "Rate from 0 to 10 how polite the answer is. Answer with the number only."
    questions = [
        JudgeQuestion(rubric, "How are you?", answer)
        for answer in ("Very well, thank you for asking!", "Go away.")
    ]
    ratings = judge.rate(questions)
    assert ratings == judge.rate(questions)
    assert all((rating.score is None) == bool(rating.problem) for rating in ratings)
    assert any(rating.score is not None for rating in ratings)
