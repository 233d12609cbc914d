"""Local folders load as they were saved, and broken ones are refused in one sentence."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from caa_nnsight.errors import ModelError
from caa_nnsight.models import load
from tests.models.folders import edit_config, tiny_folder
from tests.tiny_models import FAMILIES, tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

ON_CPU = {"device": "cpu", "dtype": "float32"}
PLAIN_FAMILIES = [name for name, family in FAMILIES.items() if family.change is None]


@pytest.mark.parametrize("family", PLAIN_FAMILIES)
def test_a_saved_model_loads_with_the_same_logits_and_tokens(tmp_path, family):
    module, tokenizer = tiny_folder(tmp_path, family)
    model = load(tmp_path, **ON_CPU)
    ids = torch.tensor([tokenizer("Would you (A) agree?").input_ids])
    torch.testing.assert_close(model.module(ids).logits, module(ids).logits)
    assert model.tokenizer("Would you (A) agree?").input_ids == ids[0].tolist()
    assert model.tokenizer.chat_template == tokenizer.chat_template
    assert model.layers_path == FAMILIES[family].layers_path


def test_threads_that_load_at_once_leave_transformers_as_it_was(tmp_path, monkeypatch):
    tiny_folder(tmp_path)
    tie_weights = transformers.PreTrainedModel.tie_weights
    load_one, inside, most = transformers.AutoModelForCausalLM.from_pretrained, [], []

    def slow(*args, **kwargs):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        try:
            return load_one(*args, **kwargs)
        finally:
            inside.pop()

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", slow)
    with ThreadPoolExecutor(3) as pool:
        loaded = list(pool.map(lambda _: load(tmp_path, **ON_CPU), range(3)))
    assert len(loaded) == 3
    assert max(most) == 1
    assert transformers.PreTrainedModel.tie_weights is tie_weights


def test_the_source_of_a_folder_hides_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tiny_folder(tmp_path / "models" / "tiny")
    model = load(str(tmp_path / "models" / "tiny"), **ON_CPU)
    assert model.source == "folder:~/models/tiny"
    assert model.describe()["name"] == "~/models/tiny"
    assert load("~/models/tiny", **ON_CPU).source == model.source


def test_a_model_that_also_sees_images_loads_as_the_language_model_it_contains(tmp_path):
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    text = LlamaConfig(**small, vocab_size=512, num_hidden_layers=3)
    vision = CLIPVisionConfig(**small, num_hidden_layers=3, image_size=16, patch_size=8)
    module = LlavaForConditionalGeneration(LlavaConfig(text_config=text, vision_config=vision))
    module.save_pretrained(tmp_path)
    tiny_tokenizer("joined").save_pretrained(tmp_path)
    model = load(tmp_path, **ON_CPU)
    assert (model.layers_path, model.num_layers) == ("model.language_model.layers", 3)
    ids = torch.tensor([[3, 4, 5]])
    torch.testing.assert_close(model.module(ids).logits, module.eval()(ids).logits)


def test_a_dtype_other_than_the_saved_one_is_converted(tmp_path):
    tiny_folder(tmp_path)
    assert load(tmp_path, device="cpu", dtype="bfloat16").dtype == torch.bfloat16


def test_weights_in_several_files_load(tmp_path):
    module, _ = tiny_folder(tmp_path, max_shard_size="30KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    ids = torch.tensor([[3, 4, 5]])
    torch.testing.assert_close(load(tmp_path, **ON_CPU).module(ids).logits, module(ids).logits)


def test_a_tokenizer_without_chat_template_is_fine(tmp_path):
    tiny_model("gpt2").save_pretrained(tmp_path)
    tiny_tokenizer("apart", "base").save_pretrained(tmp_path)
    assert load(tmp_path, **ON_CPU).tokenizer.chat_template is None


def test_the_attention_implementation_is_passed_on(tmp_path):
    tiny_folder(tmp_path)
    model = load(tmp_path, attn_implementation="eager", **ON_CPU)
    assert model.module.config._attn_implementation == "eager"


def test_loading_leaves_the_progress_bars_of_transformers_as_they_were(tmp_path, capfd):
    from transformers.utils import logging

    tiny_folder(tmp_path)
    before = logging.is_progress_bar_enabled()
    capfd.readouterr()
    load(tmp_path, **ON_CPU)
    assert logging.is_progress_bar_enabled() == before
    assert capfd.readouterr() == ("", "")


def _empty(folder):
    for path in folder.iterdir():
        path.unlink()


def _only_gguf(folder):
    _empty(folder)
    (folder / "tiny.gguf").write_bytes(b"GGUF")


def _adapter(folder):
    _empty(folder)
    (folder / "adapter_config.json").write_text("{}")


def _no_weights(folder):
    (folder / "model.safetensors").unlink()


def _lost_shard(folder):
    _empty(folder)
    tiny_folder(folder, max_shard_size="30KB")
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


def _bad_index(folder):
    _no_weights(folder)
    (folder / "model.safetensors.index.json").write_text("{}")


def _no_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()


def _broken_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{}")


def _truncated_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _headless(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["lm_head.weight"]
    save_file(weights, path, metadata={"format": "pt"})


def _wrong_shapes(folder):
    edit_config(folder, intermediate_size=40)


def _broken_json(folder):
    (folder / "config.json").write_text("{")


def _no_model_type(folder):
    edit_config(folder, model_type=None)


def _unknown_type(folder):
    edit_config(folder, model_type="llamba")


def _own_code(folder):
    edit_config(
        folder,
        model_type="llamba",
        auto_map={"AutoConfig": "c.C", "AutoModelForCausalLM": "m.M"},
    )


def _encoder(folder):
    (folder / "model.safetensors").unlink()
    config = BertConfig(vocab_size=512, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    BertForMaskedLM(config).save_pretrained(folder)


def _encoder_decoder(folder):
    (folder / "model.safetensors").unlink()
    config = T5Config(vocab_size=512, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(folder)


def _vision(folder):
    edit_config(folder, model_type="vit")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            _empty,
            "The folder {folder} has no config.json: pass a folder that model.save_pretrained and "
            "tokenizer.save_pretrained wrote.",
        ),
        (
            _only_gguf,
            "The folder {folder} has no config.json: to load the GGUF file in it, pass "
            "{folder}/tiny.gguf.",
        ),
        (
            _adapter,
            "The folder {folder} has no config.json: it holds an adapter, so merge that into its "
            "base model and save the result.",
        ),
        (
            _no_weights,
            "The model folder {folder} has a config.json but no weights (model.safetensors): save "
            "them there with model.save_pretrained.",
        ),
        (
            _lost_shard,
            "The model folder {folder} lacks 1 of its {shards} weight files, such as "
            "model-00002-of-{shards:05d}.safetensors: get those too.",
        ),
        (
            _bad_index,
            "{folder}/model.safetensors.index.json can't be read as an index of weight files: get "
            "it again.",
        ),
        (
            _no_tokenizer,
            "The model folder {folder} has no tokenizer (such as tokenizer.json): save one there "
            "with tokenizer.save_pretrained.",
        ),
        (_broken_tokenizer, "The tokenizer in {folder} can't be loaded ("),
        (_truncated_weights, "The weights in {folder} can't be read ("),
        (
            _headless,
            "The weights in {folder} lack 1 of the model's tensors, such as lm_head.weight: they "
            "are incomplete, or were saved without the language-model head.",
        ),
        (
            _wrong_shapes,
            "The weights in {folder} do not have the sizes that its config.json gives: the two are "
            "not of the same model.",
        ),
        (_broken_json, "{folder}/config.json can't be read as JSON ("),
        (
            _no_model_type,
            "{folder}/config.json names no model_type: it is not the config of a transformers "
            "model.",
        ),
        (
            _unknown_type,
            "The architecture of the model in {folder} is unknown to transformers "
            f"{transformers.__version__}: upgrade transformers.",
        ),
        (
            _own_code,
            "The model in {folder} brings Python code of its own: read it, and if you trust it, "
            "pass trust_remote_code=True.",
        ),
        (
            _encoder,
            "The model in {folder} is an encoder (bert), and steering needs a causal language "
            "model (decoder only).",
        ),
        (
            _encoder_decoder,
            "The model in {folder} is an encoder-decoder (t5), and steering needs a causal "
            "language model (decoder only).",
        ),
        (
            _vision,
            "The model in {folder} (vit) generates no text, and steering needs a causal language "
            "model (decoder only).",
        ),
    ],
)
def test_a_broken_folder_is_refused_in_one_sentence(tmp_path, spoil, message):
    tiny_folder(tmp_path)
    spoil(tmp_path)
    shards = 0
    if (index := tmp_path / "model.safetensors.index.json").exists():
        shards = len(set(json.loads(index.read_text()).get("weight_map", {}).values()))
    with pytest.raises(ModelError) as caught:
        load(tmp_path, **ON_CPU)
    text = str(caught.value)
    assert text.startswith(message.format(folder=tmp_path, shards=shards))
    assert text.endswith(".")
    assert "\n" not in text


def test_an_unusable_attention_implementation_is_refused(tmp_path):
    tiny_folder(tmp_path)
    with pytest.raises(ModelError, match=r"The attn_implementation is not usable .* eager or sdpa"):
        load(tmp_path, attn_implementation="flash", **ON_CPU)


def test_running_out_of_gpu_memory_says_what_to_pass(tmp_path, monkeypatch):
    tiny_folder(tmp_path)

    def no_room(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", no_room)
    with pytest.raises(ModelError) as caught:
        load(tmp_path, **ON_CPU)
    assert str(caught.value) == (
        f"The model in {tmp_path} does not fit into the memory of cpu: pass a smaller dtype "
        "(dtype='bfloat16') or device='cpu'."
    )
