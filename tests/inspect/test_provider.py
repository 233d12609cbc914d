"""The provider on a tiny model: what it answers, together and alone, and what it refuses."""

import asyncio
import json

import numpy as np
import pytest

import caa_nnsight as caa
from caa_nnsight.errors import ModelError, SteeringError, VectorError
from caa_nnsight.prompts import text_prompt
from tests.oracle import Oracle
from tests.tiny_models import FAMILIES

QUESTIONS = ["the sky", "Think of the sea, the hills and the summer.", "Is it blue at noon?", "A"]
STEERED = {"layers": 1, "multiplier": 3}
TOKENS = 8
# Inspect alone takes seconds to import; one test of it is enough for every day.
slow = pytest.mark.slow


@pytest.fixture
def steered(provider, vector_file):
    return provider(vectors=str(vector_file), **STEERED)


@pytest.fixture(scope="session")
def model(tiny_folder):
    return caa.load(tiny_folder)


def texts(outputs) -> list[list[str]]:
    return [[choice.message.text for choice in output.choices] for output in outputs]


@pytest.mark.parametrize(
    "multiplier", [pytest.param(-3, marks=slow), pytest.param(0, marks=slow), 3]
)
def test_answers_are_those_of_caa_generate(provider, ask, model, vectors, vector_file, multiplier):
    steered = provider(vectors=str(vector_file), layers=1, multiplier=multiplier)
    expected = caa.generate(
        model,
        QUESTIONS,
        vectors,
        layers=[1],
        multipliers=[multiplier],
        max_new_tokens=TOKENS,
    )
    found = ask(steered, *QUESTIONS, max_tokens=TOKENS)
    assert texts(found) == [[text] for text in expected["text"]]


@slow
def test_steering_changes_the_answers_and_none_given_is_zero(provider, ask, steered, vector_file):
    plain = texts(ask(provider(), *QUESTIONS, max_tokens=TOKENS))
    zero = provider(vectors=str(vector_file), layers=1, multiplier=0)
    assert texts(ask(zero, *QUESTIONS, max_tokens=TOKENS)) == plain
    assert texts(ask(steered, *QUESTIONS, max_tokens=TOKENS)) != plain


@slow
def test_what_comes_together_passes_together_and_is_answered_as_if_alone(steered, ask, monkeypatch):
    from inspect_ai.model import GenerateConfig

    configs = [
        GenerateConfig(max_tokens=TOKENS),
        GenerateConfig(max_tokens=TOKENS),
        GenerateConfig(max_tokens=TOKENS, temperature=1.0, seed=3),
        GenerateConfig(max_tokens=TOKENS, temperature=1.0, seed=3, num_choices=3),
    ]
    asked = [QUESTIONS[0], QUESTIONS[1], QUESTIONS[2], QUESTIONS[2]]
    alone = [
        texts(ask(steered, question, configs=[config]))[0]
        for question, config in zip(asked, configs, strict=True)
    ]
    tracer, calls = steered._model.tracer, []
    generate_ids = tracer.generate_ids

    def noted(prompts, *rest, **settings):
        calls.append(len(prompts))
        return generate_ids(prompts, *rest, **settings)

    monkeypatch.setattr(tracer, "generate_ids", noted)
    assert texts(ask(steered, *asked, configs=configs)) == alone
    # The greedy ones in one call; of the sampled ones, the answers that both ask for only once.
    assert sorted(calls) == [2, 3]
    assert alone[2][0] == alone[3][0]
    assert len(set(alone[3])) > 1


@slow
def test_steerings_asked_at_the_same_time_do_not_mix(provider, ask, vector_file):
    """Requests of several providers wait in one line; only those of one steering pass together."""
    from inspect_ai.model import ChatMessageUser, GenerateConfig

    providers = [
        provider(vectors=str(vector_file), layers=1, multiplier=strength) for strength in (-5, 0, 5)
    ]
    pairs = [(one, question) for one in providers for question in QUESTIONS[:2]]

    async def all_at_once():
        config = GenerateConfig(max_tokens=TOKENS)
        return await asyncio.gather(
            *(
                one.generate([ChatMessageUser(content=text)], [], "auto", config)
                for one, text in pairs
            )
        )

    together = texts([output for output, _ in asyncio.run(all_at_once())])
    alone = [texts(ask(one, text, max_tokens=TOKENS))[0] for one, text in pairs]
    assert together == alone
    assert len({text for (text,) in alone[::2]}) == 3


@slow
def test_the_cache_key_is_no_servers_address(provider, vector_file):
    steered = provider(vectors=str(vector_file), **STEERED)
    assert steered.base_url.startswith("#")
    assert (
        provider().base_url == provider(vectors=str(vector_file), layers=1, multiplier=0).base_url
    )
    assert provider(dtype="bfloat16").base_url != provider().base_url
    # As Inspect gives it back when an evaluation with roles is tried again.
    again = provider(vectors=str(vector_file), base_url=steered.base_url, **STEERED)
    assert again.base_url == steered.base_url


@slow
def test_a_file_of_the_same_name_in_the_folder_of_a_task_is_another(
    provider, ask, vectors, tmp_path, monkeypatch
):
    for name, saved in (("here", vectors), ("there", -vectors)):
        (tmp_path / name).mkdir()
        saved.save(tmp_path / name / "v.safetensors")
    monkeypatch.chdir(tmp_path / "here")
    steered = provider(vectors="v.safetensors", **STEERED)
    before = texts(ask(steered, QUESTIONS[0], max_tokens=4))
    monkeypatch.chdir(tmp_path / "there")
    assert texts(ask(steered, QUESTIONS[0], max_tokens=4)) == before


@slow
def test_a_replaced_file_that_cannot_be_read_is_no_leave_to_go_on(provider, ask, vectors, tmp_path):
    path = vectors.save(tmp_path / "v.safetensors")
    steered = provider(vectors=str(path), **STEERED)
    before = texts(ask(steered, QUESTIONS[0], max_tokens=4))
    path.unlink()
    assert texts(ask(steered, QUESTIONS[0], max_tokens=4)) == before
    path.write_bytes(b"damaged")
    for _ in range(2):
        with pytest.raises(VectorError, match="is no safetensors file"):
            ask(steered, QUESTIONS[0], max_tokens=4)


@slow
def test_without_a_seed_each_request_is_drawn_for_itself(steered, ask):
    drawn = texts(ask(steered, *[QUESTIONS[0]] * 4, max_tokens=TOKENS, temperature=2.0))
    assert len({text for (text,) in drawn}) > 1


@slow
def test_an_answer_ends_at_a_stop_sequence_and_counts_its_tokens(steered, ask):
    (whole,) = ask(steered, QUESTIONS[0], max_tokens=TOKENS)
    assert whole.stop_reason == "max_tokens"
    assert whole.usage.output_tokens == TOKENS
    text = whole.choices[0].message.text
    stop = text[len(text) // 2 :][:2]
    (cut,) = ask(steered, QUESTIONS[0], max_tokens=TOKENS, stop_seqs=["never there", stop])
    assert cut.choices[0].message.text == text[: text.index(stop)]
    assert cut.stop_reason == "stop"
    assert 0 < cut.usage.output_tokens <= TOKENS
    assert cut.usage.total_tokens == cut.usage.input_tokens + cut.usage.output_tokens


@slow
def test_log_probabilities_are_those_of_the_steered_model(steered, ask, model, vectors):
    (output,) = ask(
        steered, QUESTIONS[0], max_tokens=TOKENS, temperature=1.0, seed=5, logprobs=True,
        top_logprobs=3,
    )  # fmt: skip
    content = output.choices[0].logprobs.content
    prompt = text_prompt(model.tokenizer, QUESTIONS[0])
    steering = vectors.steering(3.0, layers=1)
    ((ids,),) = model.tracer.generate_ids(
        [prompt], [steering], max_new_tokens=TOKENS, temperature=1.0, seed=5
    )
    oracle = Oracle(model.module, FAMILIES["llama"].layers_path)
    logits = oracle.forward([*prompt.ids, *ids], steering, prompt.prompt_length).logits
    expected = logits[prompt.prompt_length - 1 : -1].log_softmax(-1)
    assert len(content) == len(ids)
    written = [float(row[token]) for row, token in zip(expected, ids, strict=True)]
    np.testing.assert_allclose([each.logprob for each in content], written, atol=1e-4)
    likeliest = expected.topk(3).values
    found = [[top.logprob for top in each.top_logprobs] for each in content]
    np.testing.assert_allclose(found, likeliest, atol=1e-4)


@slow
@pytest.mark.parametrize("top", [None, 0, 2])
def test_of_the_vocabulary_only_what_is_asked_for_leaves_the_writing(model, vectors, top):
    from caa_nnsight.inspect_provider.batches import Request, write_together

    prompt = text_prompt(model.tokenizer, QUESTIONS[0])
    steering = vectors.steering(3.0, layers=1)
    request = Request(model.tracer, prompt, steering, max_new_tokens=3, top_logprobs=top)
    write_together([request])
    (written,) = request.answers.result()
    if top is None:
        assert written.logprobs is None
        return
    assert len(written.logprobs) == len(written.ids)
    for token, here in zip(written.ids, written.logprobs, strict=True):
        assert len(here.likeliest) == top
        # Greedy: what was written is the likeliest.
        assert not top or here.likeliest[0] == (token, here.written)


@slow
def test_the_log_says_what_the_model_got(steered):
    from inspect_ai.model import ChatMessageUser, GenerateConfig

    messages = [ChatMessageUser(content=QUESTIONS[0])]
    config = GenerateConfig(max_tokens=2)
    _, call = asyncio.run(steered.generate(messages, [], "auto", config))
    assert call.request["prompt"] == text_prompt(steered._model.tokenizer, QUESTIONS[0]).text
    (edit,) = call.request["steering"]
    assert (edit["layer"], edit["multiplier"]) == (1, 3.0)
    json.dumps(call.request)


@slow
def test_a_prompt_and_an_answer_must_fit_the_model(steered, ask):
    (full, long) = ask(steered, "sky " * 50, "sky " * 400, max_tokens=2000)
    assert full.stop_reason in ("model_length", "stop")
    assert full.usage.total_tokens <= 256
    assert long.stop_reason == "model_length"
    assert "more than this model can read" in long.error


@slow
def test_providers_on_one_model_share_it(provider, vector_file):
    one = provider(vectors=str(vector_file), **STEERED)
    other = provider()
    assert one._model is other._model
    assert provider(dtype="bfloat16")._model is not one._model


@slow
def test_tools_are_refused_by_name(steered):
    from inspect_ai.model import ChatMessageUser, GenerateConfig
    from inspect_ai.tool import ToolInfo

    tools = [ToolInfo(name="bash", description="runs commands")]
    messages = [ChatMessageUser(content="list the files")]
    with pytest.raises(ModelError, match=r"gives them tools \(bash\)"):
        asyncio.run(steered.generate(messages, tools, "auto", GenerateConfig()))


@slow
@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"top_k": 5}, "sets top_k, which caa models don't have"),
        ({"frequency_penalty": 0.5, "presence_penalty": 1.0}, "frequency_penalty and presence"),
        ({"temperature": -1.0}, "a temperature of at least 0"),
        ({"num_choices": 0}, "num_choices of at least 1"),
        ({"prompt_logprobs": 1}, "sets prompt_logprobs, which caa models don't have"),
        ({"extra_body": {"min_p": 0.1}}, "sets extra_body, which caa models don't have"),
        ({"stop_seqs": ["x", ""]}, "stop sequence that is empty"),
    ],
)
def test_settings_that_cannot_be_kept_are_refused(steered, ask, config, sentence):
    with pytest.raises(SteeringError, match=sentence):
        ask(steered, "the sky", **config)


@slow
def test_what_is_wrong_with_the_arguments_comes_without_a_traceback(
    provider, vector_file, tmp_path
):
    from inspect_ai._util.error import PrerequisiteError

    path = str(vector_file)
    for arguments, sentence in [
        ({"vectors": path}, "holds vectors of 2 layers"),
        ({"vectors": path, "layers": 3}, "no vector for layer 3"),
        ({"vectors": path, "layers": 3, "multiplier": 0}, "no vector for layer 3"),
        ({"vectors": str(tmp_path / "none.safetensors")}, "There is no vector file"),
        ({"api_key": "secret"}, "take no key as an argument"),
        ({"base_url": "http://127.0.0.1:9"}, "pass remote=True"),
    ]:
        with pytest.raises(PrerequisiteError) as caught:
            provider(**arguments)
        assert sentence in caught.value.message
        assert "secret" not in caught.value.message


@slow
def test_a_task_that_is_canceled_does_not_stop_the_others(steered, ask):
    from inspect_ai.model import ChatMessageUser, GenerateConfig

    async def one_canceled():
        def asked(text):
            config = GenerateConfig(max_tokens=TOKENS)
            return steered.generate([ChatMessageUser(content=text)], [], "auto", config)

        canceled = asyncio.create_task(asked("the sea"))
        await asyncio.sleep(0)
        canceled.cancel()
        output, _ = await asked(QUESTIONS[0])
        return output

    assert texts([asyncio.run(one_canceled())]) == texts(
        ask(steered, QUESTIONS[0], max_tokens=TOKENS)
    )


@slow
def test_a_failed_batch_fails_its_requests_and_the_next_is_answered(steered, ask, monkeypatch):
    tracer = steered._model.tracer

    def broken(*_, **__):
        raise ModelError("no.")

    with monkeypatch.context() as patch:
        patch.setattr(tracer, "generate_ids", broken)
        with pytest.raises(ModelError, match=r"no\."):
            ask(steered, *QUESTIONS[:2], max_tokens=2)
    assert len(ask(steered, *QUESTIONS[:2], max_tokens=2)) == 2
