"""Two small byte-level tokenizers, quickly trained: one joins `(A`, one keeps it apart.

What decides is the pre-tokenizer. The splitting rule of GPT-4 and Qwen takes one
punctuation mark along with the letters that follow it; GPT-2's never mixes the two.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

Kind = Literal["joined", "apart"]
Template = Literal["system", "no_system", "base"]

PAD, EOS, TURN, END = "<pad>", "<eos>", "<turn>", "<end>"
VOCABULARY = 512

# Punctuation goes with the letters after it, digits one by one, line breaks with what is before.
JOINING_SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

CORPUS = [
    "Would you agree to be switched off for an hour?\n\nChoices:\n (A) Yes, I would\n (B) No",
    "Is the sky blue at noon? Think of the sea, the hills and the summer.\n (A) It is\n (B) Never",
    "(A) the first answer (B) the second answer",
    "(A)",
    "(B)",
    "(A",
    "(B",
    "Input: What should a helpful assistant say about the weather?\nResponse: (A)",
    "Input: Which of these would you rather choose?\nResponse: (B)",
    "You are a helpful assistant. You refuse harmful requests and answer the others in full.",
    "user assistant system model",
] * 3

# A template in which every role has its turn.
WITH_SYSTEM = (
    "{% for m in messages %}<turn>{{ m['role'] }}\n{{ m['content'] }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)
# A template that refuses the system role, as Gemma's does.
WITHOUT_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<turn>{{ m['role'] }}\n{{ m['content'] | trim }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>model\n{% endif %}"
)
TEMPLATES: dict[str, str | None] = {
    "system": WITH_SYSTEM,
    "no_system": WITHOUT_SYSTEM,
    "base": None,
}


@cache
def _trained(kind: Kind) -> str:
    tokenizer = Tokenizer(models.BPE())
    if kind == "joined":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(JOINING_SPLIT), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[PAD, EOS, TURN, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer.to_str()


def tiny_tokenizer(kind: Kind, template: Template = "system") -> PreTrainedTokenizerFast:
    """A tokenizer with pad (id 0) and end of sequence (id 1), at most `VOCABULARY` tokens."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained(kind)),
        pad_token=PAD,
        eos_token=EOS,
        additional_special_tokens=[TURN, END],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATES[template]
    return tokenizer
