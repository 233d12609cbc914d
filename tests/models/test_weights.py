"""The real small model, by its alias; downloaded once into the user's own cache."""

import pytest
import torch
from huggingface_hub import constants

from caa_nnsight.models import ALIASES, load

pytestmark = pytest.mark.weights

ALIAS = ALIASES["smollm2-135m"]


def test_the_alias_loads_wherever_it_comes_from_and_then_offline(monkeypatch):
    model = load(ALIAS.name, device="cpu", dtype="float32")
    assert (model.num_layers, model.hidden_size) == (30, 576)
    assert model.source in (f"hub:{ALIAS.hub_id}", ALIAS.packages_source)
    assert model.tokenizer.chat_template

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    again = load(ALIAS.name, device="cpu", dtype="float32")
    assert again.describe() == model.describe()


def test_it_answers_a_greeting_and_stops():
    model = load(ALIAS.name, device="cpu", dtype="float32")
    prompt = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello!"}], add_generation_prompt=True, return_tensors="pt"
    )
    with torch.no_grad():
        output = model.module.generate(**prompt, max_new_tokens=40, do_sample=False)
    answer = output[0, prompt["input_ids"].shape[1] :]
    assert answer[-1] == model.tokenizer.eos_token_id
    assert "help" in model.tokenizer.decode(answer).lower()
