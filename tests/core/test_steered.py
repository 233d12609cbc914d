"""`caa.steered` on plain transformers models: the same tokens steered as the oracle steers."""

import threading
from contextlib import ExitStack, contextmanager
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from transformers import TextIteratorStreamer
from transformers.generation.streamers import BaseStreamer

import caa_nnsight as caa
from caa_nnsight.errors import ModelError, SteeringError, VectorError
from caa_nnsight.models.model import Model, RemoteModel
from tests.oracle import Oracle
from tests.parity.cases import STEERINGS, random_ids, random_vector
from tests.tiny_models import EOS, FAMILIES, LAYERS, PAD, tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

NEW_TOKENS = 5
PROMPTS = [random_ids(length, seed) for seed, length in enumerate((12, 3, 29))]
ADDING = [name for name, each in STEERINGS.items() if {e.operator for e in each.edits} == {"add"}]
VECTORS = caa.SteeringVectors({1: random_vector(0), 2: random_vector(3)})
# Window, tuples, positions that are learned or rotary, blocks in parallel.
SOME = ("llama-tuple-blocks", "gemma3-window-6", "gpt2", "gpt-neox", "opt")
IN_EVERY_FAMILY = [
    family if family in SOME else pytest.param(family, marks=pytest.mark.slow)
    for family in FAMILIES
]
# Ways in which `generate` writes; the last passes hold several tokens, some of which are undone.
DECODING = {
    "without a cache": {"use_cache": False},
    "prompt in pieces": {"prefill_chunk_size": 5},
    "static cache": {"cache_implementation": "static"},
    "guessed tokens": {"prompt_lookup_num_tokens": 3},
}


@contextmanager
def under(module, steering, **settings):
    """A steering of the oracle as contexts inside one another, one for each edit."""
    with ExitStack() as stack:
        for edit in steering.edits:
            vectors = caa.SteeringVectors({edit.layer: edit.vector})
            stack.enter_context(
                caa.steered(module, vectors, edit.multiplier, start=steering.start, **settings)
            )
        yield


def written(module, rows, **settings):
    """New tokens of each row of a left-padded batch, decoded greedily, without the end."""
    width = max(map(len, rows))
    ids = torch.tensor([[PAD] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    settings = {"do_sample": False, "max_new_tokens": NEW_TOKENS} | settings
    found = module.generate(ids, attention_mask=mask, **settings)[:, width:].tolist()
    return [row[: row.index(EOS)] if EOS in row else row for row in found]


@pytest.fixture(scope="module")
def llama():
    return tiny_model("llama")


def expected(module, steering, rows=PROMPTS, path="model.layers"):
    return [_expected(module, steering, tuple(row), path) for row in rows]


@cache
def _expected(module, steering, row, path):
    return Oracle(module, path).generate(row, steering, NEW_TOKENS, eos=EOS).ids


def hooks(module) -> list[str]:
    """All hooks in a model, and a `generate` of its own."""
    found = [name for name in vars(module) if name == "generate"]
    for each in module.modules():
        for kept in (each._forward_hooks, each._forward_pre_hooks):
            # Those by which transformers collects outputs come with the first pass, and stay.
            found += [repr(hook) for hook in kept.values() if "caa_nnsight" in repr(hook)]
    return found


# -- generate ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", IN_EVERY_FAMILY)
def test_generate_writes_what_the_oracle_writes_in_every_family(family):
    module, steering = tiny_model(family), STEERINGS["two layers"]
    want = expected(module, steering, path=FAMILIES[family].layers_path)
    plain = written(module, PROMPTS)
    with under(module, steering):
        assert written(module, PROMPTS) == want
    assert written(module, PROMPTS) == plain != want
    assert hooks(module) == []


@pytest.mark.parametrize("name", ADDING)
def test_generate_steers_from_where_it_is_to_start_in_padded_batches(llama, name):
    want = expected(llama, STEERINGS[name])
    with under(llama, STEERINGS[name]):
        assert written(llama, PROMPTS) == want


@pytest.mark.parametrize("family", SOME)
def test_logits_while_generating_are_the_oracle_s(family):
    module, steering = tiny_model(family), STEERINGS["add"]
    prompt = torch.tensor([PROMPTS[0]])
    settings = {"output_logits": True, "return_dict_in_generate": True, "max_new_tokens": 5}
    with under(module, steering):
        out = module.generate(prompt, do_sample=False, **settings)
    oracle = Oracle(module, FAMILIES[family].layers_path)
    row = out.sequences[0].tolist()
    want = oracle.forward(row, steering, len(PROMPTS[0])).logits[len(PROMPTS[0]) - 1 : -1]
    torch.testing.assert_close(torch.cat(out.logits), want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("way", DECODING)
@pytest.mark.parametrize("name", ["add", "from token 1"])
def test_however_generate_decodes_it_writes_the_same(llama, way, name):
    rows = PROMPTS[:1] if way == "guessed tokens" else PROMPTS
    want = expected(llama, STEERINGS[name], rows)
    with under(llama, STEERINGS[name]):
        assert written(llama, rows, **DECODING[way]) == want


def test_an_assistant_of_the_same_weights_or_of_others_changes_nothing(llama):
    steering = STEERINGS["add"]
    want = expected(llama, steering, PROMPTS[:1])
    with under(llama, steering):
        for assistant in (tiny_model("llama", seed=1), llama):
            assert written(llama, PROMPTS[:1], assistant_model=assistant) == want


def test_a_caa_model_is_steered_as_its_own_tracer_steers_it(llama):
    model = caa.Model.wrap(llama, tiny_tokenizer("joined"))
    prompts = [caa.text_prompt(model.tokenizer, text) for text in ("Hello", "Is it blue?")]
    steering = VECTORS.steering(1.5, layers=1)
    want = model.tracer.generate_ids(prompts, [steering], max_new_tokens=NEW_TOKENS)
    with caa.steered(model, VECTORS, 1.5, layers=1) as module:
        assert module is llama
        found = written(module, [list(prompt.ids) for prompt in prompts])
    assert found == [row[0] for row in want]


@pytest.mark.parametrize("family", IN_EVERY_FAMILY)
def test_a_model_that_was_traced_before_is_steered_all_the_same(family):
    module, steering = tiny_model(family), STEERINGS["two layers"]
    want = expected(module, steering, path=FAMILIES[family].layers_path)
    # nnsight leaves wrappers on what it has traced.
    loaded = Model.wrap(module, tiny_tokenizer("apart"))
    loaded.tracer.capture([PROMPTS[0]], [0], [[-1]])
    with under(loaded, steering):
        assert written(module, PROMPTS) == want


def test_a_second_turn_on_the_same_cache_is_a_new_prompt(llama):
    steering, cache = STEERINGS["add"], transformers.DynamicCache()
    with under(llama, steering):
        first = written(llama, PROMPTS[:1], past_key_values=cache, max_new_tokens=3)[0]
        talk = PROMPTS[0] + first + PROMPTS[1]
        second = written(llama, [talk], past_key_values=cache)[0]
    # Steered are the last token of the first prompt up to what was written, and then again from
    # the last token of the second.
    begin, between, end = len(PROMPTS[0]) - 1, len(PROMPTS[0] + first) - 1, len(talk) - 1
    steered = [*range(begin, between), *range(end, len(talk) + NEW_TOKENS)]
    row = list(talk)
    for _ in range(len(second)):
        row.append(int(_steered_at(llama, row, steered).argmax()))
    assert row[len(talk) :] == second


def _steered_at(module, row, places):
    """Logits behind a row whose tokens at these places are steered."""
    vector, at = random_vector(0), [place for place in places if place < len(row)]

    def hook(_module, _args, output):
        output = output.clone()
        output[:, at] += vector
        return output

    handle = module.model.layers[1].register_forward_hook(hook)
    try:
        return module(torch.tensor([row]), use_cache=False).logits[0, -1]
    finally:
        handle.remove()


# -- multipliers ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_every_row_of_a_batch_has_its_own_multiplier(llama, kind):
    multipliers = (1.5, 0.0, -2.0)
    want = [
        expected(llama, VECTORS.steering(each, layers=1), [row])[0]
        for each, row in zip(multipliers, PROMPTS, strict=True)
    ]
    with caa.steered(llama, VECTORS, kind(multipliers), layers=1):
        assert written(llama, PROMPTS) == want
        assert written(llama, PROMPTS, use_cache=False) == want


@pytest.mark.parametrize("layers", [[1, 1], [np.int64(1), 1]])
def test_a_layer_that_is_named_twice_is_steered_once(llama, layers):
    with caa.steered(llama, VECTORS, layers=1):
        want = llama(torch.tensor([PROMPTS[0]])).logits
    with caa.steered(llama, VECTORS, layers=layers):
        assert torch.equal(llama(torch.tensor([PROMPTS[0]])).logits, want)


def test_a_row_at_multiplier_0_is_the_plain_row_to_the_last_bit(llama):
    ids = torch.tensor([PROMPTS[0]] * 2)
    plain = llama(ids).logits
    with caa.steered(llama, VECTORS, [0.0, 1.0]):
        found = llama(ids).logits
    assert torch.equal(found[0], plain[0])
    assert not torch.equal(found[1, -1], plain[1, -1])


def test_answers_and_beams_to_one_prompt_share_its_multiplier(llama):
    rows, multipliers = [PROMPTS[0], PROMPTS[1]], (1.5, -2.0)
    settings = {"num_beams": 3, "num_return_sequences": 3}
    alone = []
    for row, multiplier in zip(rows, multipliers, strict=True):
        with caa.steered(llama, VECTORS, multiplier, layers=1):
            alone += written(llama, [row], **settings)
    with caa.steered(llama, VECTORS, multipliers, layers=1):
        assert written(llama, rows, **settings) == alone
        assert len(written(llama, rows, do_sample=True, num_return_sequences=4)) == 8


def test_sampling_draws_from_the_steered_distribution(llama):
    steering, steps = STEERINGS["add"], 3
    settings = {"do_sample": True, "top_k": 0, "max_new_tokens": steps}
    with under(llama, steering):
        torch.manual_seed(0)
        found = llama.generate(torch.tensor([PROMPTS[0]]), **settings)[0].tolist()
    torch.manual_seed(0)
    row, oracle = list(PROMPTS[0]), Oracle(llama, "model.layers")
    while len(row) < len(found):
        logits = oracle.forward(row, steering, len(PROMPTS[0])).logits[-1]
        row.append(int(torch.multinomial(logits.softmax(-1), 1)))
    assert row == found


# -- one's own loop ------------------------------------------------------------------------


def own_loop(module, ids, steps=NEW_TOKENS):
    """Greedy decoding with a cache, as somebody would write it."""
    out, found = module(ids), []
    for _ in range(steps):
        found.append(out.logits[:, -1:].argmax(-1))
        out = module(found[-1], past_key_values=out.past_key_values)
    return torch.cat(found, 1)[0].tolist()


def cut(row):
    return row[: row.index(EOS)] if EOS in row else row


@pytest.mark.parametrize("family", SOME)
def test_a_loop_with_a_cache_is_steered_prompt_after_prompt(family):
    module, steering = tiny_model(family), STEERINGS["two layers"]
    want = expected(module, steering, path=FAMILIES[family].layers_path)
    with under(module, steering):
        assert [cut(own_loop(module, torch.tensor([row]))) for row in PROMPTS] == want


def test_two_loops_side_by_side_are_kept_apart_by_their_caches(llama):
    steering, found = STEERINGS["add"], [[], []]
    want = expected(llama, steering, PROMPTS[1:])
    with under(llama, steering):
        outs = [llama(torch.tensor([row])) for row in PROMPTS[1:]]
        for _ in range(NEW_TOKENS):
            for index, out in enumerate(outs):
                found[index].append(int(out.logits[0, -1].argmax()))
                token = torch.tensor([[found[index][-1]]])
                outs[index] = llama(token, past_key_values=out.past_key_values)
    assert [cut(row) for row in found] == want


def test_a_loop_without_a_cache_needs_the_prompt_s_length(llama):
    steering, row = STEERINGS["add"], list(PROMPTS[0])
    want = expected(llama, steering, [row])[0]
    with under(llama, steering, prompt_length=len(row)):
        for _ in want:
            row.append(int(llama(torch.tensor([row])).logits[0, -1].argmax()))
    assert row[len(PROMPTS[0]) :] == want
    with under(llama, steering):
        llama(torch.tensor([PROMPTS[0]]))
        with pytest.raises(SteeringError, match=r"repeats the last one's tokens.*prompt_length="):
            llama(torch.tensor([[*PROMPTS[0], 5]]))


def test_a_prompt_with_its_answer_in_one_pass_needs_the_prompt_s_length(llama):
    steering, row = STEERINGS["add"], PROMPTS[0] + PROMPTS[1]
    want = Oracle(llama, "model.layers").forward(row, steering, len(PROMPTS[0])).logits
    with under(llama, steering, prompt_length=len(PROMPTS[0])):
        found = llama(torch.tensor([row])).logits[0]
    torch.testing.assert_close(found, want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["add", "from token 1", "from token -2"])
def test_rows_padded_on_either_side_are_steered_at_their_own_tokens(llama, side, name):
    oracle, width = Oracle(llama, "model.layers"), max(map(len, PROMPTS))
    ids, mask, spans = [], [], []
    for row in PROMPTS:
        gap = width - len(row)
        before, after = (gap, 0) if side == "left" else (0, gap)
        ids.append([PAD] * before + row + [PAD] * after)
        mask.append([0] * before + [1] * len(row) + [0] * after)
        spans.append(slice(before, before + len(row)))
    with under(llama, STEERINGS[name]):
        found = llama(torch.tensor(ids), attention_mask=torch.tensor(mask)).logits
    for row, logits, span in zip(PROMPTS, found, spans, strict=True):
        want = oracle.forward(row, STEERINGS[name]).logits
        torch.testing.assert_close(logits[span], want, atol=1e-4, rtol=1e-4)


def test_hidden_states_that_are_asked_for_are_the_steered_ones(llama):
    llama(torch.tensor([PROMPTS[0]]), output_hidden_states=True)  # now transformers' hooks are in
    want = Oracle(llama, "model.layers").forward(PROMPTS[0], STEERINGS["add"]).blocks
    with under(llama, STEERINGS["add"]):
        found = llama(torch.tensor([PROMPTS[0]]), output_hidden_states=True).hidden_states
    torch.testing.assert_close(found[2][0], want[1], atol=1e-4, rtol=1e-4)


def test_gradients_run_through_a_steered_model(llama):
    embeddings = torch.randn(1, 5, llama.config.hidden_size, requires_grad=True)
    with caa.steered(llama, VECTORS):
        llama(inputs_embeds=embeddings).logits.sum().backward()
    assert embeddings.grad.abs().sum() > 0


def test_half_precision_keeps_its_dtype_and_adds_what_the_tracer_adds():
    module = tiny_model("llama").to(torch.bfloat16)
    model = caa.Model.wrap(module, tiny_tokenizer("joined"))
    want = model.tracer.logits([PROMPTS[0]], VECTORS.steering(0.3))[0]
    with caa.steered(module, VECTORS, 0.3):
        found = module(torch.tensor([PROMPTS[0]])).logits
    assert found.dtype == torch.bfloat16
    assert torch.equal(found[0].float(), want.float())


def test_recurrent_layers_are_steered_from_the_prompt_s_end_too():
    config = transformers.MambaConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=2, state_size=4, pad_token_id=0
    )
    module = transformers.MambaForCausalLM(config).eval()
    vectors = caa.SteeringVectors({0: torch.ones(16)})
    oracle = Oracle(module, "backbone.layers")
    want = oracle.generate([5, 6, 7, 8], vectors.steering(2.0), NEW_TOKENS).ids
    with caa.steered(module, vectors, 2.0):
        settings = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "eos_token_id": None}
        found = module.generate(torch.tensor([[5, 6, 7, 8]]), **settings)
        assert own_loop_of_mamba(module, torch.tensor([[5, 6, 7, 8]])) == want
        cache = module(torch.tensor([[9, 9]]), use_cache=True).cache_params
        cache.reset()
        assert own_loop_of_mamba(module, torch.tensor([[5, 6, 7, 8]]), cache) == want
    assert found[0, 4:].tolist() == want


def own_loop_of_mamba(module, ids, cache=None):
    out, found = module(ids, cache_params=cache, use_cache=True), []
    for _ in range(NEW_TOKENS):
        found.append(int(out.logits[0, -1].argmax()))
        out = module(torch.tensor([found[-1:]]), cache_params=out.cache_params)
    return found


# -- streams, nesting, leaving -------------------------------------------------------------


class Kept(BaseStreamer):
    """Keeps what comes, piece by piece."""

    def __init__(self):
        self.pieces = []

    def put(self, value):
        self.pieces.append(value.tolist())

    def end(self):
        self.pieces.append("end")


def test_tokens_stream_as_they_are_written(llama):
    want, kept = expected(llama, STEERINGS["add"], PROMPTS[:1])[0], Kept()
    with under(llama, STEERINGS["add"]):
        written(llama, PROMPTS[:1], streamer=kept)
    assert kept.pieces[0] == [PROMPTS[0]]
    assert cut([token for (token,) in kept.pieces[1:-1]]) == want


def test_a_thread_that_generates_is_steered_and_streams_text(llama):
    tokenizer = tiny_tokenizer("joined")
    want = expected(llama, STEERINGS["add"], PROMPTS[:1])[0]
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=30)
    ids = torch.tensor([PROMPTS[0]])
    settings = {"do_sample": False, "max_new_tokens": len(want), "streamer": streamer}
    with under(llama, STEERINGS["add"]):
        thread = threading.Thread(target=llama.generate, args=(ids,), kwargs=settings)
        thread.start()
        text = "".join(streamer)
        thread.join()
    assert text == tokenizer.decode(want)


def test_threads_that_generate_at_once_under_one_context_keep_their_own_prompts(llama):
    want, found = expected(llama, STEERINGS["add"]), {}
    barrier = threading.Barrier(len(PROMPTS))

    def work(index):
        barrier.wait()
        found[index] = written(llama, [PROMPTS[index]], use_cache=False)[0]

    with under(llama, STEERINGS["add"]):
        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(PROMPTS))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [found[index] for index in range(len(PROMPTS))] == want


def test_contexts_left_in_any_order_leave_nothing_behind(llama):
    contexts = [caa.steered(llama, VECTORS, each, layers=1) for each in (1.0, 0.5)]
    plain = written(llama, PROMPTS[:1])
    for context in contexts:
        context.__enter__()
    both = written(llama, PROMPTS[:1])
    contexts[0].__exit__(None, None, None)
    half = written(llama, PROMPTS[:1])
    contexts[1].__exit__(None, None, None)
    assert both == expected(llama, VECTORS.steering(1.5, layers=1), PROMPTS[:1])
    assert half == expected(llama, VECTORS.steering(0.5, layers=1), PROMPTS[:1])
    assert written(llama, PROMPTS[:1]) == plain
    assert hooks(llama) == []


def test_an_exception_takes_everything_away_and_the_next_context_starts_anew(llama):
    class StopError(Exception):
        pass

    class Stopping(BaseStreamer):
        def put(self, value):
            raise StopError

    with pytest.raises(StopError), caa.steered(llama, VECTORS):
        written(llama, PROMPTS[:1], streamer=Stopping())
    assert hooks(llama) == []
    want = expected(llama, STEERINGS["add"])
    with under(llama, STEERINGS["add"]):
        with pytest.raises(IndexError):
            llama(torch.tensor([[10**6]]))
        assert written(llama, PROMPTS) == want


def test_nothing_runs_compiled_while_any_context_is_open(llama):
    added = torch.compile(lambda x: x + 1, backend="eager")
    other, found = tiny_model("gpt2"), []
    with torch.compiler.set_stance("fail_on_recompile"):
        contexts = [caa.steered(each, VECTORS) for each in (llama, other, llama)]
        for context in contexts:
            context.__enter__()
        for context in contexts:
            thread = threading.Thread(target=lambda: found.append(float(added(torch.ones(())))))
            thread.start()
            thread.join()
            context.__exit__(None, None, None)
        with pytest.raises(RuntimeError, match="fail_on_recompile"):
            added(torch.ones(()))
    assert found == [2.0] * 3


@pytest.mark.slow
def test_compiled_models_are_steered_as_plain_ones():
    steering, ids = STEERINGS["two layers"], torch.tensor([PROMPTS[0]])
    oracle = Oracle(tiny_model("llama"), "model.layers")
    for module in (tiny_model("llama"), torch.compile(tiny_model("llama"), backend="eager")):
        if not hasattr(module, "_orig_mod"):
            module.compile(backend="eager")
        plain = module(ids).logits
        for factor in (1.0, -1.0):
            with under(module, _times(steering, factor)):
                found = module(ids).logits[0]
            want = oracle.forward(PROMPTS[0], _times(steering, factor)).logits
            torch.testing.assert_close(found, want, atol=1e-4, rtol=1e-4)
        assert torch.equal(module(ids).logits, plain)


def _times(steering, factor):
    edits = [caa.Edit(each.layer, each.vector, factor * each.multiplier) for each in steering.edits]
    return caa.Steering(tuple(edits), steering.start)


@pytest.mark.slow
@pytest.mark.parametrize("compiled_first", [True, False])
def test_a_static_cache_that_compiles_by_itself_is_steered_in_every_token(compiled_first):
    module, steering = tiny_model("llama"), STEERINGS["add"]
    # As on a GPU, where transformers compiles what uses such a cache.
    config = transformers.CompileConfig(backend="eager", mode=None)
    config._compile_all_devices = True
    settings = {"cache_implementation": "static", "compile_config": config}
    plain = expected(module, caa.NO_STEERING, PROMPTS[:1])
    want = expected(module, steering, PROMPTS[:1])
    if compiled_first:
        assert written(module, PROMPTS[:1], **settings) == plain
    with under(module, steering):
        assert written(module, PROMPTS[:1], **settings) == want != plain
    assert written(module, PROMPTS[:1], **settings) == plain


def test_a_generate_of_the_model_s_own_comes_back():
    def own(*_args, **_kwargs):
        return "own"

    module = tiny_model("gpt2")
    module.generate = own
    with caa.steered(module, VECTORS):
        assert module.generate() == "own"
    assert module.generate is own


# -- errors --------------------------------------------------------------------------------


def entering(model, vectors=VECTORS, *args, **settings):
    with caa.steered(model, vectors, *args, **settings):
        pass


def test_models_that_hooks_can_not_reach_are_refused(llama):
    remote = Model(
        llama,
        tiny_tokenizer("joined"),
        name="far",
        source="ndif:x",
        remote=RemoteModel(lm=None, jobs=None, host="x"),
    )
    with pytest.raises(ModelError, match=r"far is on an NDIF server.*caa\.generate"):
        entering(remote)
    with pytest.raises(ModelError, match=r"a transformers model.*got str"):
        entering("smollm2-135m")
    with pytest.raises(ModelError, match="No decoder layers were found in Linear"):
        entering(nn.Linear(2, 2))
    sizes = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 9}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    with pytest.raises(ModelError, match=r"BartForCond\w+ is an encoder-decoder, and caa\.steered"):
        entering(
            transformers.BartForConditionalGeneration(transformers.BartConfig(**sizes, **heads))
        )
    two = nn.Module()
    two.left, two.right = nn.ModuleList([nn.Identity()]), nn.ModuleList([nn.Identity()])
    with pytest.raises(ModelError, match=r"left \(1.*caa\.Model\.wrap\(model, tokenizer, layers"):
        entering(two)


def test_vectors_that_do_not_fit_are_refused(llama):
    with pytest.raises(SteeringError, match="size 5 can't steer a model of hidden size 32"):
        entering(llama, caa.SteeringVectors({1: torch.ones(5)}))
    with pytest.raises(SteeringError, match=f"Layer {LAYERS} is to be steered.*0 to {LAYERS - 1}"):
        entering(llama, caa.SteeringVectors({LAYERS: random_vector(0)}))
    with pytest.raises(VectorError, match="no vector for layer 3"):
        entering(llama, layers=3)
    assert hooks(llama) == []


@pytest.mark.parametrize("multiplier", ["strong", None, [], [[1.0]], float("nan"), [1, np.inf]])
def test_multipliers_that_are_none_are_refused(llama, multiplier):
    with pytest.raises(SteeringError, match="multiplier"):
        entering(llama, VECTORS, multiplier)


def test_starts_and_lengths_that_are_none_are_refused(llama):
    with pytest.raises(SteeringError, match="Unknown start"):
        entering(llama, start="end")
    with pytest.raises(SteeringError, match=r"prompt_length.*got 0"):
        entering(llama, prompt_length=0)
    with (
        pytest.raises(SteeringError, match=r"start at token 5.*only 3"),
        caa.steered(llama, VECTORS, start=5),
    ):
        written(llama, PROMPTS[1:2])


def test_as_many_multipliers_as_rows_or_an_error(llama):
    with caa.steered(llama, VECTORS, [1.0, 2.0]):
        with pytest.raises(SteeringError, match="2 multipliers, but the batch has 3 rows"):
            written(llama, PROMPTS)
        with pytest.raises(SteeringError, match="2 multipliers, but the batch has 1 rows"):
            written(llama, PROMPTS[:1], do_sample=True, num_return_sequences=2)
        with pytest.raises(SteeringError, match="2 multipliers, but the batch has 4 rows"):
            llama(torch.tensor([PROMPTS[0]] * 4))


def test_passes_whose_positions_can_not_be_told_are_refused(llama):
    row = torch.tensor([PROMPTS[0]])
    with caa.steered(llama, VECTORS):
        with pytest.raises(SteeringError, match=r"a mask of its own making.*prompt_length="):
            llama(row, attention_mask=torch.ones(1, 1, 12, 12, dtype=torch.bool))
        with pytest.raises(SteeringError, match="several sequences"):
            llama(row, cu_seq_lens_q=torch.tensor([0, 5, 12]))
        for lengths in ([5, 7], [1, 11]):
            packed = torch.cat([torch.arange(length) for length in lengths])[None]
            with pytest.raises(SteeringError, match="several sequences"):
                llama(row, position_ids=packed, use_cache=False)
            llama(row, position_ids=packed, attention_mask=torch.ones_like(row))
        llama(row, position_ids=torch.arange(12)[None])
        with pytest.raises(ModelError, match="tuple doesn't say how many tokens it holds"):
            llama(row, past_key_values=(1,))
    gpt2 = tiny_model("gpt2")
    with (
        pytest.raises(SteeringError, match="outside of the model's own forward pass"),
        caa.steered(gpt2, VECTORS),
    ):
        gpt2.transformer.h[1](torch.zeros(1, 2, 32))
    ids, mask = torch.tensor(PROMPTS[:1] * 2), torch.ones(2, 12, dtype=torch.long)
    mask[0, :3] = 0
    with caa.steered(llama, VECTORS):
        cache = llama(ids, attention_mask=mask).past_key_values
        cache.batch_select_indices(torch.tensor([0]))
        with pytest.raises(SteeringError, match="1 rows, but the prompts were 2"):
            llama(torch.tensor([[5]]), past_key_values=cache)


def test_the_tracer_refuses_a_model_that_hooks_steer_and_is_as_before_when_they_are_gone():
    module = tiny_model("llama")
    model, same = (caa.Model.wrap(module, tiny_tokenizer("joined")) for _ in range(2))
    pairs = [
        caa.ContrastPair(f"{it}?\n\nChoices:\n (A) Yes\n (B) No", "(A)", "(B)") for it in "xyz"
    ]
    works = [
        lambda: caa.generate(model, ["Hello"], VECTORS, layers=[1], max_new_tokens=2),
        lambda: caa.score(model, pairs, VECTORS, layers=[1]),
        lambda: caa.extract(model, pairs, layers=[1], balance="both_orders"),
        lambda: model.tracer.capture([PROMPTS[0]], [1], [[-1]]),
    ]
    with caa.steered(module, VECTORS):
        for work in works:
            with pytest.raises(SteeringError, match=r"steered by caa\.steered: leave it before"):
                work()
    works[0]()
    assert model.tracer.way == same.tracer.way != "plain"
