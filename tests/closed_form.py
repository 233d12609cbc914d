"""A Llama of hand-set weights on which Contrastive Activation Addition has exact answers.

Width 16, four blocks, one attention head, no MLP. Every token has its own axis of the
residual stream and stands there with the length 4, so that the normalisation leaves an
unsteered token as it is.

A question offers, under each letter, a word that agrees or refuses. What the blocks do:

- block 0: nothing.
- block 1 ("match"): an answer letter looks at the word offered under it, and adds `+2` on
  the axis `DIRECTION` if that word agrees, `-2` if it refuses. Every other token looks at
  the first token of the text, which holds nothing.
- block 2 ("choose"): a token that carries `DIRECTION` looks at the agreeing word (at the
  refusing one, where the sign is negative) and writes the letter of the word that it sees.
- block 3: nothing.

So the CAA vector of letter-balanced pairs is 0 after block 0 and exactly `4` on
`DIRECTION` from block 1 on; adding it to blocks 0 or 1 at the token that chooses makes the
model answer with the agreeing letter, and adding it later does nothing. Rotary positions turn
by at most 1e-16 on the axes in use, so that positions play no part and only masks do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WIDTH = 16
LAYERS = 4
DIRECTION = 10  # axis of the planted behavior
SAYS_A, SAYS_B = 11, 12  # axes that write the answer letters
SAYS_EOS, SAYS_WELL = 14, 15  # axes that nothing but steering ever reaches
PLANTED = 4.0  # length of the vector that extraction must find on DIRECTION
LOUDNESS = 8.0  # what block 2 writes for a letter that has its whole attention
GAIN = 3.0  # logit per unit of the normalised letter axis
SHARPNESS = 2.0  # attention score of a word, per unit of normalised direction and word

WORDS = ["agree_a", "agree_b", "refuse_a", "refuse_b"]
# Axis of each token; fillers share axis 3.
AXES = {"<s>": 13, "A": 0, "B": 1, "(": 2, ")": 3, "go": 3, "well": 3}
AXES |= {word: 6 + i for i, word in enumerate(WORDS)}
VOCABULARY = ["<pad>", "<eos>", *AXES]
IDS = {token: i for i, token in enumerate(VOCABULARY)}


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per word or punctuation mark; the template is `<s> question go`."""
    inner = Tokenizer(models.WordLevel(IDS, unk_token="well"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", bos_token="<s>"
    )
    made.chat_template = "<s>{% for m in messages %} {{ m['content'] }}{% endfor %} go "
    return made


@torch.no_grad()
def model() -> LlamaForCausalLM:
    """The model; float32, whose weights are whole numbers and powers of two."""
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        intermediate_size=4,
        num_hidden_layers=LAYERS,
        num_attention_heads=1,
        rms_norm_eps=1e-30,
        rope_parameters={"rope_type": "default", "rope_theta": 1e30},
        tie_word_embeddings=False,
        pad_token_id=IDS["<pad>"],
        bos_token_id=IDS["<s>"],
        eos_token_id=IDS["<eos>"],
        dtype=torch.float32,
    )
    module = LlamaForCausalLM(config).eval()
    for name, weight in module.named_parameters():
        weight.fill_(1.0 if "norm" in name else 0.0)

    for token, axis in AXES.items():
        module.model.embed_tokens.weight[IDS[token], axis] = 4.0

    # Head channels 5, 6 and 7 turn by 1e30 ** -(5/8) and less per position: not at all.
    channel = {"a": 5, "b": 6}
    match = module.model.layers[1].self_attn
    for token, axis in AXES.items():
        if token in ("A", "B"):
            match.q_proj.weight[channel[token.lower()], axis] = 16.0
            match.q_proj.weight[7, axis] = 8.0
        else:
            match.q_proj.weight[7, axis] = 16.0
    match.k_proj.weight[7, AXES["<s>"]] = 16.0
    for word in WORDS:
        match.k_proj.weight[channel[word[-1]], AXES[word]] = 16.0
        match.v_proj.weight[0, AXES[word]] = 0.25 if word.startswith("agree") else -0.25
    match.o_proj.weight[DIRECTION, 0] = 2.0

    choose = module.model.layers[2].self_attn
    choose.q_proj.weight[7, DIRECTION] = 1.0
    for word in WORDS:
        # A word's length, 4, and the square root of the head's width, 4, cancel in the score.
        choose.k_proj.weight[7, AXES[word]] = SHARPNESS if word.startswith("agree") else -SHARPNESS
        choose.v_proj.weight[1 if word.endswith("a") else 2, AXES[word]] = 0.25
    choose.o_proj.weight[SAYS_A, 1] = LOUDNESS
    choose.o_proj.weight[SAYS_B, 2] = LOUDNESS

    says = {"A": SAYS_A, "B": SAYS_B, "<eos>": SAYS_EOS, "well": SAYS_WELL}
    for token, axis in says.items():
        module.lm_head.weight[IDS[token], axis] = GAIN
    module.requires_grad_(False)
    return module


@dataclass(frozen=True)
class Question:
    """A question of this model's language; `agrees` is the letter whose word agrees."""

    agrees: str
    padding: int = 0  # filler words in front, so that lengths differ

    @property
    def text(self) -> str:
        word = {"A": "refuse_a", "B": "refuse_b"} | {self.agrees: f"agree_{self.agrees.lower()}"}
        return "well " * self.padding + f"well\n (A) {word['A']}\n (B) {word['B']}"

    @property
    def ids(self) -> list[int]:
        """`<s> well* well ( A ) word ( B ) word go (`: up to where the letter is chosen."""
        text = self.text.replace("(", "( ").replace(")", " )")
        return [IDS[token] for token in ["<s>", *text.split(), "go", "("]]

    @property
    def prompt_length(self) -> int:
        return len(self.ids) - 1

    @property
    def word_positions(self) -> dict[str, int]:
        """Where the words stand, by whether they agree."""
        at_a = self.ids.index(IDS["A"]) + 2
        agree, refuse = (at_a, at_a + 4) if self.agrees == "A" else (at_a + 4, at_a)
        return {"agree": agree, "refuse": refuse}


def planted_vector(layer: int) -> torch.Tensor:
    """The CAA vector of balanced pairs after this block."""
    vector = torch.zeros(WIDTH)
    vector[DIRECTION] = PLANTED if layer >= 1 else 0.0
    return vector


def axis_vector(axis: int) -> torch.Tensor:
    """A unit vector along one axis."""
    return torch.eye(WIDTH)[axis]


def letter_output(question: Question, letter: str, layer: int) -> np.ndarray:
    """Block output at an answer letter that follows the question's last id."""
    out = np.zeros(WIDTH)
    out[AXES[letter]] = 4.0
    sign = 1.0 if letter == question.agrees else -1.0
    if layer >= 1:
        out[DIRECTION] = 2.0 * sign
    if layer >= 2:
        # The letter carries DIRECTION itself, so it looks at the word of its own sign.
        unit = sign * 2.0 / np.sqrt((16 + 4) / WIDTH)
        out += _chosen(question, len(question.ids) + 1, unit, {"agree": 1.0, "refuse": 1.0})
    return out


def choice_output(question: Question, layer: int) -> np.ndarray:
    """Unsteered block output at the last id, the `(` at which the letter is chosen."""
    out = np.zeros(WIDTH)
    out[AXES["("]] = 4.0
    if layer >= 2:
        out += _chosen(question, len(question.ids), 0.0, {"agree": 1.0, "refuse": 1.0})
    return out


def choice_logits(
    question: Question, multiplier: float, layer: int, start: int | None = None
) -> np.ndarray:
    """Next-token logits when `multiplier` times the planted vector is added.

    Args:
        question: the question.
        multiplier: strength.
        layer: steered block.
        start: first steered token; the prompt's last by default.
    """
    start = question.prompt_length - 1 if start is None else start
    added = PLANTED * multiplier
    # A token of length 4 that gets `added` on a new axis is shortened by this when normalised.
    shortened = 1 / np.sqrt((16 + added**2) / WIDTH)
    scale = {
        word: shortened if position >= start and layer <= 1 else 1.0
        for word, position in question.word_positions.items()
    }
    direction = added * shortened if layer <= 1 else 0.0
    out = np.zeros(WIDTH)
    out[AXES["("]] = 4.0
    out[DIRECTION] = added
    out += _chosen(question, len(question.ids), direction, scale)
    normed = out / np.sqrt((out**2).mean())
    logits = np.zeros(len(VOCABULARY))
    logits[IDS["A"]] = GAIN * normed[SAYS_A]
    logits[IDS["B"]] = GAIN * normed[SAYS_B]
    return logits


def _chosen(
    question: Question, visible: int, direction: float, scale: dict[str, float]
) -> np.ndarray:
    """What block 2 writes at a token that sees `visible` tokens, itself included.

    The agreeing word scores `+SHARPNESS * direction` for each unit of the normalised word (4
    units unsteered, over the square root of the head's width, 4), the refusing word the
    negative, every other token 0; a pad that leaked into the mask would change `visible`.
    """
    weight = {
        "agree": np.exp(SHARPNESS * direction * scale["agree"]),
        "refuse": np.exp(-SHARPNESS * direction * scale["refuse"]),
    }
    total = sum(weight.values()) + visible - 2
    letters = {"agree": question.agrees, "refuse": "B" if question.agrees == "A" else "A"}
    out = np.zeros(WIDTH)
    for word, letter in letters.items():
        axis = SAYS_A if letter == "A" else SAYS_B
        out[axis] += LOUDNESS * scale[word] * weight[word] / total
    return out
