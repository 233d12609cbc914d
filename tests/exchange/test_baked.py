"""`caa.bake`: plain transformers folders, whose logits are the oracle's that steers all tokens."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

import caa_nnsight as caa
from caa_nnsight.errors import ModelError, SteeringError, VectorError
from caa_nnsight.exchange import baked
from caa_nnsight.models import complaints
from caa_nnsight.models.model import Model, RemoteModel
from tests.cli.calling import caa as command
from tests.cli.places import save_model
from tests.oracle import Oracle
from tests.parity.cases import random_ids, random_vector, vector_difference
from tests.tiny_models import FAMILIES, HIDDEN, tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

VECTORS = caa.SteeringVectors(
    {1: random_vector(0), 2: random_vector(3)},
    caa.VectorMeta(behavior="tea", polarity="likes\ntea"),
)
ROW = random_ids(29, 29)
WRITTEN_AS = {
    "llama": "LlamaForCausalLM",
    "qwen2": "LlamaForCausalLM",
    "mistral": "LlamaForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt-neo-window-6": "GPTNeoForCausalLM",
    "gpt-neox": "GPTNeoXForCausalLM",
    "phi": "PhiForCausalLM",
    "opt": "OPTForCausalLM",
    "falcon": "FalconForCausalLM",
}
REFUSED = {
    "gemma2": "a norm follows its MLP",
    "gemma3": "a norm follows its MLP",
    "qwen3": "its MLP has no bias",
    "phi3": "its MLP has no bias",
    "mistral-window-6": "attends to the last 6 tokens only",
}
# Loads a folder where neither this package nor nnsight can be imported, and prints logits.
ELSEWHERE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("caa_nnsight", "nnsight"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import torch, transformers
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
ids = tokenizer("the sea and the hills", return_tensors="pt").input_ids
torch.save((ids, model(ids).logits.detach()), sys.argv[2])
"""


def family(name):
    module = tiny_model(name)
    if name == "mistral":
        module.config.sliding_window = None  # as in its later versions
    return module


@pytest.mark.parametrize("name", WRITTEN_AS)
def test_the_saved_model_is_the_oracle_that_steers_every_token(name, tmp_path):
    module = family(name)
    assert caa.bake(module, VECTORS, tmp_path / "baked", -1.5) == tmp_path / "baked"
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "baked")
    assert type(loaded).__name__ == WRITTEN_AS[name]
    oracle = Oracle(module, FAMILIES[name].layers_path)
    want = oracle.forward(ROW, VECTORS.steering(-1.5, start="all")).logits
    with torch.no_grad():
        assert vector_difference(loaded(torch.tensor([ROW])).logits[0], want) < 1e-5
    assert vector_difference(oracle.forward(ROW).logits, want) > 0.1


def test_it_generates_what_the_model_generates_under_hooks_from_the_first_token_on(tmp_path):
    module, ids = tiny_model("qwen2"), torch.tensor([ROW])
    caa.bake(module, VECTORS, tmp_path / "baked", layers=1)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "baked")
    settings = {"do_sample": False, "max_new_tokens": 6}
    with caa.steered(module, VECTORS, layers=1, start="all"):
        want = module.generate(ids, **settings)
    assert loaded.generate(ids, **settings).tolist() == want.tolist()


@pytest.mark.parametrize("tied", [False, True])
def test_half_precision_and_tied_embeddings_stay_as_they_are(tied, tmp_path):
    module = tiny_model("llama")
    if tied:
        module.config.tie_word_embeddings = True
        module.tie_weights()
    module = module.to(torch.bfloat16)
    caa.bake(module, VECTORS, tmp_path / "baked", 0.5)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "baked")
    assert {each.dtype for each in loaded.parameters()} == {torch.bfloat16}
    embedding, head = loaded.get_input_embeddings().weight, loaded.get_output_embeddings().weight
    assert (embedding.data_ptr() == head.data_ptr()) == tied
    facts = json.loads((tmp_path / "baked" / baked.PROVENANCE).read_text("utf-8"))
    assert facts["dtype"] == "bfloat16"
    assert 0 < facts["difference"] < baked.TOLERANCE["bfloat16"]


def test_the_model_that_was_given_is_left_as_it_was(tmp_path):
    module = tiny_model("gpt2").train().requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    caa.bake(module, VECTORS, tmp_path / "baked")
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert module.training
    assert all(each.requires_grad for each in module.parameters())
    assert "generate" not in vars(module)


def test_other_threads_make_modules_with_weights_meanwhile_but_load_no_model(tmp_path, monkeypatch):
    found = []

    def other_thread():
        held = not complaints._loading.acquire(blocking=False)
        if not held:
            complaints._loading.release()
        found.append((nn.Linear(2, 2).weight.is_meta, held))

    def built(config, kind=LlamaForCausalLM):
        model = kind(config)
        thread = Thread(target=other_thread)
        thread.start()
        thread.join()
        return model

    module = tiny_model("llama")
    monkeypatch.setattr("transformers.LlamaForCausalLM", built)
    caa.bake(module, VECTORS, tmp_path / "baked")
    assert found == [(False, True)]


@pytest.mark.parametrize("kind", [np.int64, np.float32, torch.tensor])
def test_multipliers_of_other_libraries_are_numbers_too(kind, tmp_path):
    caa.bake(tiny_model("llama"), VECTORS, tmp_path / "baked", kind(2))
    facts = json.loads((tmp_path / "baked" / baked.PROVENANCE).read_text("utf-8"))
    assert facts["multiplier"] == 2.0


def test_folders_of_the_tokenizer_s_can_be_opened(tmp_path):
    tokenizer = tiny_tokenizer("joined")
    tokenizer.chat_template = dict.fromkeys(("default", "tool_use"), tokenizer.chat_template)
    caa.bake(tiny_model("llama"), VECTORS, tmp_path / "baked", tokenizer=tokenizer)
    (templates,) = (path for path in (tmp_path / "baked").iterdir() if path.is_dir())
    assert templates.stat().st_mode == tmp_path.stat().st_mode | 0o55
    assert AutoTokenizer.from_pretrained(tmp_path / "baked").chat_template.keys() == {
        "default",
        "tool_use",
    }


def test_the_folder_has_the_tokenizer_and_says_what_was_done(tmp_path):
    model = caa.Model.wrap(tiny_model("llama"), tiny_tokenizer("joined"), name="tiny")
    caa.bake(model, VECTORS, tmp_path / "deep" / "baked", 1.5, layers=2)
    folder = tmp_path / "deep" / "baked"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer("the sea").input_ids == model.tokenizer("the sea").input_ids
    assert tokenizer.chat_template == model.tokenizer.chat_template
    facts = json.loads((folder / baked.PROVENANCE).read_text("utf-8"))
    assert (facts["base_model"], facts["layers"], facts["multiplier"]) == ("tiny", [2], 1.5)
    assert facts["vectors"]["behavior"] == "tea"
    readme = (folder / "README.md").read_text("utf-8")
    for text in ("# tiny, steered: tea × 1.5", "block 2", "likes tea\n", "Every token is steered"):
        assert text in readme
    modes = {file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert modes == {(folder / "README.md").stat().st_mode & 0o777}
    assert caa.load(str(folder)).num_layers == model.num_layers


def test_the_command_bakes_a_vector_file_into_a_model(tmp_path):
    save_model(tmp_path / "model")
    VECTORS.save(tmp_path / "tea.safetensors")
    words = ("vectors", "bake", "tea.safetensors", "baked", "--layers=1")
    here = (*words, "--model=model")
    outcome = command(*here, "--layers-path=layers", folder=tmp_path)
    assert outcome.code == 2
    assert "'layers' names no list of layers" in outcome.err
    outcome = command(*here, "--layers-path=model.layers", "--multiplier=-2", folder=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"Baked model: {tmp_path / 'baked'}\n"
    facts = json.loads((tmp_path / "baked" / baked.PROVENANCE).read_text("utf-8"))
    assert (facts["base_model"], facts["layers"], facts["multiplier"]) == ("model", [1], -2.0)
    # Before a model is looked for.
    outcome = command(*words, "--model=nowhere/there", folder=tmp_path)
    assert outcome.code == 2
    assert "baked isn't empty" in outcome.err


@pytest.mark.slow
def test_it_loads_where_this_package_is_not(tmp_path):
    model = caa.Model.wrap(tiny_model("qwen2"), tiny_tokenizer("joined"))
    caa.bake(model, VECTORS, tmp_path / "baked")
    told = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "baked"), str(tmp_path / "logits.pt")]
    subprocess.run(told, check=True, cwd=tmp_path, capture_output=True)
    ids, found = torch.load(tmp_path / "logits.pt", weights_only=True)
    oracle = Oracle(model.module, "model.layers")
    want = oracle.forward(ids[0].tolist(), VECTORS.steering(start="all")).logits
    assert vector_difference(found[0], want) < 1e-5


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_real_model_baked_gives_the_logits_of_the_model_steered(dtype, tmp_path, capsys):
    model = caa.load("smollm2-135m", dtype=dtype)
    made_up = torch.Generator().manual_seed(0)
    vectors = caa.SteeringVectors({14: torch.randn(model.hidden_size, generator=made_up)})
    caa.bake(model, vectors, tmp_path / "baked", 2.0)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "baked")
    prompt = caa.text_prompt(model.tokenizer, "What is the sea made of, and why is it salty?")
    ids = torch.tensor([prompt.ids])
    with torch.no_grad():
        plain = model.module(ids).logits.float()
        with caa.steered(model, vectors, 2.0, start="all") as module:
            want = module(ids).logits.float()
        found = loaded(ids).logits.float()
    largest = want.abs().max()
    difference, effect = (found - want).abs().max() / largest, (plain - want).abs().max() / largest
    with capsys.disabled():
        print(f"\n{dtype}: baked from steered {difference:.1e}, plain from steered {effect:.1e}")
    assert difference < {"float32": 1e-5, "bfloat16": 5e-2}[dtype]
    assert difference < effect / 3


# -- errors --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
def test_families_that_can_not_be_baked_are_refused_and_nothing_is_written(name, tmp_path):
    with pytest.raises(ModelError, match=REFUSED[name]) as error:
        caa.bake(tiny_model(name), VECTORS, tmp_path / "baked")
    assert "use caa.steered" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_opt_whose_norm_comes_last_is_refused(tmp_path):
    settings = {"hidden_size": HIDDEN, "ffn_dim": 48, "num_hidden_layers": 4, "vocab_size": 64}
    config = OPTConfig(
        **settings, num_attention_heads=4, word_embed_proj_dim=HIDDEN, do_layer_norm_before=False
    )
    with pytest.raises(ModelError, match="a norm behind its MLP"):
        caa.bake(OPTForCausalLM(config), VECTORS, tmp_path / "baked")


def test_a_model_that_computes_something_else_than_its_family_is_refused(tmp_path):
    module = tiny_model("llama")
    module.model.layers[2].mlp.register_forward_hook(lambda _module, _args, output: 2 * output)
    with pytest.raises(ModelError, match="other logits than steered"):
        caa.bake(module, VECTORS, tmp_path / "baked")
    assert list(tmp_path.iterdir()) == []


def test_half_precision_has_to_hold_the_steering(tmp_path, monkeypatch):
    module, way = tiny_model("llama").to(torch.bfloat16), baked._with_biases
    with pytest.raises(ModelError, match="At this strength, bfloat16 can't hold the steering"):
        caa.bake(module, VECTORS, tmp_path / "baked", 0.01, layers=1)
    caa.bake(module, VECTORS, tmp_path / "right", 0.1, layers=1)

    def unsteered(module, path, steering):
        return way(module, path, VECTORS.steering(0.0, layers=steering.layers))

    monkeypatch.setattr(baked, "_with_biases", unsteered)
    # As near as this dtype is trusted, were it not for how little the steering does.
    plain = unsteered(module, "model.layers", VECTORS.steering(layers=1))
    assert baked._differences(module, plain, VECTORS.select([1]), 0.05)[0] < 0.1
    with pytest.raises(ModelError, match="At this strength"):
        caa.bake(module, VECTORS, tmp_path / "baked", 0.05, layers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["right"]


def test_models_elsewhere_and_vectors_that_do_not_fit_are_refused(tmp_path):
    module = tiny_model("llama")
    remote = RemoteModel(lm=None, jobs=None, host="x")
    far = Model(module, tiny_tokenizer("joined"), name="far", source="ndif:x", remote=remote)
    with pytest.raises(ModelError, match=r"far is on an NDIF server, and caa\.bake"):
        caa.bake(far, VECTORS, tmp_path / "baked")
    with pytest.raises(SteeringError, match="can't steer a model of hidden size"):
        caa.bake(module, caa.SteeringVectors({1: torch.ones(5)}), tmp_path / "baked")
    with pytest.raises(SteeringError, match="finite"):
        caa.bake(module, VECTORS, tmp_path / "baked", float("inf"))
    with pytest.raises(SteeringError, match=r"one number, but got \[1\.0, 2\.0\]"):
        caa.bake(module, VECTORS, tmp_path / "baked", [1.0, 2.0])
    with pytest.raises(ModelError, match="not in memory"):
        caa.bake(tiny_model("llama").to("meta"), VECTORS, tmp_path / "baked")


def test_folders_that_hold_something_or_can_not_be_written_are_refused(tmp_path):
    module = tiny_model("llama")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for folder in (tmp_path / "full", tmp_path / "full" / "file"):
        with pytest.raises(VectorError, match="isn't empty"):
            caa.bake(module, VECTORS, folder)
    with pytest.raises(VectorError, match="can't be written"):
        caa.bake(module, VECTORS, tmp_path / "full" / "file" / "baked")
    (tmp_path / "empty").mkdir()
    caa.bake(module, VECTORS, tmp_path / "empty")
    assert (tmp_path / "empty" / "config.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]


@pytest.mark.parametrize("folder", [".", "", "new/.."])
def test_the_working_folder_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VectorError, match="is the working folder"):
        caa.bake(tiny_model("llama"), VECTORS, folder)
    assert Path.cwd() == tmp_path
    caa.bake(tiny_model("llama"), VECTORS, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_disk_that_is_full_is_said_in_one_sentence_and_nothing_stays(tmp_path):
    module, before = tiny_model("llama"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(VectorError, match=r"can't be written to .*baked \(.*File too large"):
            caa.bake(module, VECTORS, tmp_path / "baked")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
