"""A transformers model with steering baked into its weights, for wherever transformers models run.

The last linear layer of a block's MLP writes straight into the residual stream, so that a bias of
that layer is a vector added to the block's output. Where an architecture has no such bias, another
that has one may compute the same: Llama's, for some.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caa_nnsight.errors import ModelError, SteeringError, VectorError
from caa_nnsight.hooks import in_this_process, steered
from caa_nnsight.models.complaints import first_line, loading_alone, quiet_transformers
from caa_nnsight.models.layers import hidden_size
from caa_nnsight.steering import Steering, check_fits
from caa_nnsight.versions import library_versions

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from caa_nnsight.models import Model
    from caa_nnsight.vectors import SteeringVectors

PROVENANCE = "caa_nnsight.json"
# Of the vectors' provenance, what the README says too.
SHOWN = ("behavior", "polarity")
# How far the logits may be from those of the same steering by hooks, as a share of the largest. In
# half precision, a bias is rounded before it reaches the residual stream.
TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
# Nearer than this, float32 can't tell; beyond it, the baked model has to be this many times nearer
# to the steered one than the plain model is.
LEAST_TOLERANCE, NEARER = 1e-4, 3
TRIED_TOKENS = (2, 16)


def bake(
    model: PreTrainedModel | Model,
    vectors: SteeringVectors,
    folder: str | Path,
    multiplier: float = 1.0,
    *,
    layers: int | Iterable[int] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Path:
    """Write a copy of a model that is steered by itself, as a bias in its weights.

    `AutoModelForCausalLM.from_pretrained(folder)` loads it with nothing of this package installed,
    and so does whatever else reads transformers' folders. **It steers every token, the prompt's
    too**: what `caa.steered(..., start="all")` does, and not the default, which begins at the last
    token of the prompt. Measure it again at the multiplier that you bake.

    A block's output must be the residual stream plus a linear layer that may have a bias. So it is
    in GPT-2, GPT-Neo, GPT-NeoX, Falcon, OPT and Phi, and in Llama; Qwen2, and Mistral without a
    sliding window, are written as the Llama architecture, which computes the same. Others are
    refused, such as Gemma 2 and 3, where a norm follows, and Qwen3 and Phi-3, which have no place
    for a bias. Before anything is written, the logits are compared with those of the same steering
    by hooks.

    Args:
        model: a model of transformers on one device, not quantized, or a `Model` in this process.
            It isn't changed.
        vectors: what to steer with.
        folder: a new or an empty folder, and not the one that the process works in. Beside the
            model, it gets a README and `caa_nnsight.json`, which say what was done.
        multiplier: strength, no unit.
        layers: one layer or several; all that have a vector by default.
        tokenizer: written along; that of a `Model` by default, none for a model of transformers.

    Returns:
        the folder.

    Raises:
        ModelError: a family that can't be baked, a model on a server, on several devices or
            quantized, logits that come out otherwise, or a dtype too coarse for so weak a steering.
        SteeringError: a layer that the model doesn't have, another hidden size, or a multiplier
            that is no finite number.
        VectorError: a layer without a vector, or a folder that isn't empty or can't be written.

    Example:
        >>> import tempfile, torch, transformers
        >>> import caa_nnsight as caa
        >>> config = transformers.GPT2Config(n_embd=8, n_layer=2, n_head=2, vocab_size=32)
        >>> model = transformers.GPT2LMHeadModel(config)
        >>> vectors = caa.SteeringVectors({1: torch.ones(8)})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = caa.bake(model, vectors, folder, multiplier=2.0)
        ...     baked = transformers.AutoModelForCausalLM.from_pretrained(folder)
        >>> before, after = (each.transformer.h[1].mlp.c_proj.bias for each in (model, baked))
        >>> float((after - before).mean().detach())
        2.0
    """
    module, layers_path = in_this_process(model, "caa.bake")
    try:
        multiplier = float(multiplier)  # and not NumPy's, which JSON doesn't know
    except (TypeError, ValueError) as error:
        raise SteeringError(f"A multiplier is one number, but got {multiplier!r}.") from error
    steering = vectors.steering(multiplier, layers=layers, start="all")
    check_fits([steering], len(module.get_submodule(layers_path)), hidden_size(module))
    folder = Path(folder)
    require_new(folder)
    baked = _with_biases(module, layers_path, steering)
    chosen = vectors.select(steering.layers)
    difference, effect = _differences(module, baked, chosen, multiplier)
    dtype = str(module.dtype).removeprefix("torch.")
    if not difference <= TOLERANCE.get(dtype, LEAST_TOLERANCE):
        raise ModelError(
            f"{type(module).__name__} with a bias gives other logits than steered, by "
            f"{difference:.1e} of the largest: it can't be baked, use caa.steered."
        )
    if not difference <= max(LEAST_TOLERANCE, effect / NEARER):
        raise ModelError(
            f"At this strength, {dtype} can't hold the steering as a bias: it moves the logits by "
            f"{effect:.1e} of the largest, and rounding by {difference:.1e}; load the model in "
            "float32, give a larger multiplier, or use caa.steered."
        )
    facts = {
        "steers": "every token, the prompt's too",
        "base_model": _name(model, module),
        "architecture": [type(module).__name__, type(baked).__name__],
        "dtype": dtype,
        "multiplier": multiplier,
        "layers": list(steering.layers),
        "norms": {str(layer): norm for layer, norm in chosen.norms().items()},
        "difference": difference,
        "vectors": asdict(vectors.meta),
        "versions": library_versions(),
    }
    own = getattr(model, "tokenizer", None) if model is not module else None
    _write(folder, baked, tokenizer or own, facts)
    return folder


# -- families ------------------------------------------------------------------------------


def _as_it_is(config: PreTrainedConfig) -> PreTrainedConfig:
    return deepcopy(config)


def _setting(**settings: Any) -> Callable[[PreTrainedConfig], PreTrainedConfig]:
    def change(config: PreTrainedConfig) -> PreTrainedConfig:
        changed = deepcopy(config)
        for name, value in settings.items():
            setattr(changed, name, value)
        return changed

    return change


_SHARED_WITH_LLAMA = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "use_cache",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "tie_word_embeddings",
    "rope_parameters",
    "attention_dropout",
)


def _as_llama(config: PreTrainedConfig) -> PreTrainedConfig:
    """The Llama config that computes what a Qwen2 or Mistral does."""
    from transformers import LlamaConfig

    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if (window and window < config.max_position_embeddings) or kinds != {"full_attention"}:
        raise ModelError(
            f"This {config.model_type} model attends to the last {window} tokens only, and the "
            "Llama architecture, which has the bias, can't: use caa.steered."
        )
    shared = {
        name: deepcopy(getattr(config, name))
        for name in _SHARED_WITH_LLAMA
        if hasattr(config, name)
    }
    return LlamaConfig(**shared, mlp_bias=True, attention_bias=config.model_type == "qwen2")


def _opt(config: PreTrainedConfig) -> PreTrainedConfig:
    if not config.do_layer_norm_before:
        raise ModelError(
            "This OPT model has a norm behind its MLP, so that a bias isn't what reaches the "
            "residual stream: use caa.steered."
        )
    return _setting(enable_bias=True)(config)


@dataclass(frozen=True)
class _Family:
    """Where a block's last linear layer is, and the config with which it has a bias."""

    linear: str
    config: Callable[[PreTrainedConfig], PreTrainedConfig] = _as_it_is
    written_as: str = ""


FAMILIES = {
    "FalconForCausalLM": _Family("mlp.dense_4h_to_h", _setting(bias=True)),
    "GPT2LMHeadModel": _Family("mlp.c_proj"),
    "GPTNeoForCausalLM": _Family("mlp.c_proj"),
    "GPTNeoXForCausalLM": _Family("mlp.dense_4h_to_h"),
    "LlamaForCausalLM": _Family("mlp.down_proj", _setting(mlp_bias=True)),
    "MistralForCausalLM": _Family("mlp.down_proj", _as_llama, "LlamaForCausalLM"),
    "OPTForCausalLM": _Family("fc2", _opt),
    "PhiForCausalLM": _Family("mlp.fc2"),
    "Qwen2ForCausalLM": _Family("mlp.down_proj", _as_llama, "LlamaForCausalLM"),
}
# What stands in the way, where it is known.
_OBSTACLES = {
    "gemma2": "a norm follows its MLP",
    "gemma3": "a norm follows its MLP",
    "gemma3_text": "a norm follows its MLP",
    "phi3": "its MLP has no bias",
    "qwen3": "its MLP has no bias",
}


def require_new(folder: Path) -> None:
    """Refuse a folder that a baked model can't be put in the place of.

    Raises:
        VectorError: it holds something, is a file, or is the working folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise VectorError(f"{folder} isn't empty: give a new folder for the baked model.")
    if folder.resolve() == Path.cwd():
        raise VectorError(f"{folder} is the working folder: give a new one for the baked model.")


def _with_biases(module: PreTrainedModel, layers_path: str, steering: Steering) -> PreTrainedModel:
    """A model that shares all tensors with `module`, but for its biases."""
    import torch
    import transformers

    kind = type(module).__name__
    family = FAMILIES.get(kind)
    if family is None:
        model_type = getattr(getattr(module, "config", None), "model_type", "")
        obstacle = _OBSTACLES.get(model_type, "this family isn't known to have a place for a bias")
        raise ModelError(
            f"{kind} can't be baked, {obstacle}: use caa.steered, or a model of one of these: "
            f"{', '.join(FAMILIES)}."
        )
    state = module.state_dict()
    devices = {tensor.device for tensor in state.values()}
    if len(devices) > 1 or torch.device("meta") in devices:
        raise ModelError(f"{kind} is on several devices or not in memory: load it on one device.")
    if getattr(module, "hf_quantizer", None) is not None:
        raise ModelError(f"{kind} is quantized: load it without quantization to bake it.")
    config = family.config(module.config)
    # Without weights, which are taken over. A device is this thread's own, unlike what accelerate
    # does to all modules; but what transformers changes while it loads is everybody's.
    with loading_alone(), torch.device("meta"):
        baked = getattr(transformers, family.written_as or kind)(config)
    # Computed from the config, and not among the weights.
    computed = dict(module.named_buffers())
    for name in [name for name, _ in baked.named_buffers() if name not in state]:
        owner, _, own_name = name.rpartition(".")
        baked.get_submodule(owner).register_buffer(
            own_name, computed[name].clone(), persistent=False
        )
    for name, parameter in baked.named_parameters():
        if name not in state and name.endswith(".bias"):
            state[name] = torch.zeros(parameter.shape, dtype=module.dtype, device=module.device)
    for edit in steering.edits:
        name = f"{layers_path}.{edit.layer}.{family.linear}.bias"
        bias = state[name]
        added = bias.float() + (edit.multiplier * edit.vector).to(bias.device)
        state[name] = added.to(bias.dtype)
    baked.load_state_dict(state, assign=True)
    with loading_alone():
        baked.tie_weights()
    baked.generation_config = deepcopy(module.generation_config)
    return baked.to(module.device).requires_grad_(False).eval()


def _differences(
    module: PreTrainedModel, baked: PreTrainedModel, vectors: SteeringVectors, multiplier: float
) -> tuple[float, float]:
    """Largest differences of a logit from that of steering by hooks, as shares of the largest.

    Returns:
        of the baked model, and of the plain one.
    """
    import torch

    made_up = torch.Generator().manual_seed(0)
    size = module.get_input_embeddings().weight.shape[0]
    ids = torch.randint(size, TRIED_TOKENS, generator=made_up).to(module.device)
    asked = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}
    training = module.training
    try:
        module.eval()
        with torch.no_grad(), steered(module, vectors, multiplier, start="all"):
            expected = module(**asked).logits.float()
        with torch.no_grad():
            plain = module(**asked).logits.float()
    finally:
        module.train(training)
    with torch.no_grad():
        found = baked(**asked).logits.float()
    difference, effect = ((each - expected).abs().max() for each in (found, plain))
    return float(difference / expected.abs().max()), float(effect / expected.abs().max())


# -- the folder ----------------------------------------------------------------------------


def _name(model: PreTrainedModel | Model, module: PreTrainedModel) -> str:
    """The model's name or Hub id; of a folder, its last part alone."""
    name = str(getattr(model, "name", "") or module.config.name_or_path or type(module).__name__)
    return Path(name).name if Path(name).exists() else name


def _write(
    folder: Path,
    baked: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    facts: dict[str, Any],
) -> None:
    target = folder.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        with quiet_transformers():
            baked.save_pretrained(temporary)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)
        content = json.dumps(facts, indent=2, ensure_ascii=False)
        (temporary / PROVENANCE).write_text(f"{content}\n", "utf-8")
        (temporary / "README.md").write_text(_readme(facts), "utf-8")
        # What safetensors writes, only its owner may read.
        for path in temporary.iterdir():
            if path.is_file():
                path.chmod((temporary / PROVENANCE).stat().st_mode)
        if target.exists():
            target.rmdir()
        os.replace(temporary, target)
    # On a full disk, safetensors and tokenizers raise errors of their own.
    except Exception as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise VectorError(
            f"The baked model can't be written to {folder} ({reason}): "
            "give a new folder on a disk with room for the whole model."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _readme(facts: dict[str, Any]) -> str:
    base, layers = facts["base_model"], facts["layers"]
    # Texts out of a file that anybody may have written: one line each.
    behavior, polarity = (" ".join(facts["vectors"][name].split()) for name in SHOWN)
    behavior = behavior or "a vector without a name"
    steering = f"{behavior} × {facts['multiplier']:g}"
    blocks = f"block{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}"
    lines = [
        f"# {base}, steered: {steering}",
        "",
        f"The weights of {base} with a steering vector baked in, as a bias on the last linear",
        f"layer of the MLP in {blocks}, counted from 0.",
        "",
        f"- Steering: {steering}.",
        *([f"- The positive direction: {polarity}"] if polarity else []),
        "- Every token is steered, the prompt's too.",
        "- It loads as any model of transformers does, with `AutoModelForCausalLM.from_pretrained`",
        "  and this folder; no other package is needed.",
        f"- The license of {base} holds for these weights too.",
        "",
        f"`{PROVENANCE}` says where the vector comes from, and which versions wrote this.",
    ]
    return "\n".join(lines) + "\n"
