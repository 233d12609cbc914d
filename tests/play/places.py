"""Models and vectors for the page, in a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from caa_nnsight import SteeringVectors, VectorMeta
from tests.tiny_models import EOS, HIDDEN, LAYERS, tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

HOSTILE = (
    "<script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    "</p></textarea><svg onload=document.title='hacked'>",
    "{{7*7}}${7*7}`",
    "&lt;b&gt;",
)
WINDOW = 8192


def vectors_of_length(length: float, seed: int = 0) -> SteeringVectors:
    """Random vectors at every layer of the tiny models."""
    drawn = torch.randn(LAYERS, HIDDEN, generator=torch.Generator().manual_seed(seed))
    drawn *= length / drawn.norm(dim=1, keepdim=True)
    meta = VectorMeta(behavior="made-up", polarity="Positive means <b>more</b>.", model="tiny")
    return SteeringVectors(dict(enumerate(drawn)), meta)


def save_endless(folder: Path) -> Path:
    """A model that never ends an answer, and takes long ones."""
    module = tiny_model("llama")
    with torch.no_grad():
        # The largest of random logits lies above 0.
        module.get_output_embeddings().weight[EOS] = 0.0
    module.config.max_position_embeddings = WINDOW
    module.save_pretrained(folder)
    tiny_tokenizer("joined", "system").save_pretrained(folder)
    return folder


def save_hostile(folder: Path) -> Path:
    """A model whose every word is an attack on the page."""
    ids = {"<pad>": 0, "<eos>": EOS} | {text: 2 + place for place, text in enumerate(HOSTILE)}
    module = tiny_model("llama", vocab_size=len(ids))
    with torch.no_grad():
        module.get_output_embeddings().weight[:2] = 0.0
    module.save_pretrained(folder)
    inner = Tokenizer(models.WordLevel(ids, unk_token=HOSTILE[0]))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>"
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}go"
    tokenizer.save_pretrained(folder)
    return folder
