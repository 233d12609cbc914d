"""Finding the decoder layers of a model, whatever its family calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caa_nnsight.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

KNOWN_PATHS = (
    "model.layers",  # Llama, Mistral, Qwen, Gemma, Phi, OLMo, ...
    "transformer.h",  # GPT-2, GPT-J, Falcon, BLOOM
    "gpt_neox.layers",  # GPT-NeoX, Pythia
    "model.language_model.layers",  # multimodal Gemma 3, Qwen-VL, Llava, ...
    "model.decoder.layers",  # OPT
    "transformer.blocks",  # MPT
    "backbone.layers",  # Mamba, Nemotron-H
)


def find_layers(module: nn.Module, layers_path: str | None = None) -> str:
    """The dotted path of the list of decoder layers in `module`.

    Without `layers_path`, the paths that known families use come first, then the one list in the
    model that is as long as its config says (`num_hidden_layers`).

    Raises:
        ModelError: `layers_path` names no list of layers, or none or several were found; the
            message lists what could be passed.
    """
    lists = dict(_outer_lists(module))
    if layers_path is not None:
        if not _is_layer_list(module, layers_path):
            raise ModelError(
                f"The layers_path {layers_path!r} names no list of layers in "
                f"{type(module).__name__}: {_choices(lists)}."
            )
        return layers_path

    expected = _layer_count(module)
    for path in KNOWN_PATHS:
        found = lists.get(path)
        if found is not None and expected in (None, len(found)):
            return path
    matching = [path for path, found in lists.items() if len(found) == expected]
    if len(matching) == 1:
        return matching[0]
    problem = (
        f"{len(matching)} lists of {expected} layers were found in {type(module).__name__}"
        if matching
        else f"No decoder layers were found in {type(module).__name__}"
    )
    raise ModelError(f"{problem}: {_choices(lists)}.")


def hidden_size(module: nn.Module) -> int:
    """The width of the residual stream, from the config, else from the input embedding."""
    size = getattr(_text_config(module), "hidden_size", None)
    if isinstance(size, int):
        return size
    return module.get_input_embeddings().weight.shape[-1]


def _text_config(module: nn.Module):
    config = getattr(module, "config", None)
    # A multimodal config nests the language model's own.
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def _layer_count(module: nn.Module) -> int | None:
    count = getattr(_text_config(module), "num_hidden_layers", None)
    return count if isinstance(count, int) else None


def _is_layer_list(module: nn.Module, path: str) -> bool:
    from torch import nn

    try:
        found = module.get_submodule(path)
    except AttributeError:
        return False
    return isinstance(found, nn.ModuleList | nn.Sequential) and len(found) > 0


def _outer_lists(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.ModuleList]]:
    """Every ModuleList that is not inside another one (experts sit inside the layers)."""
    from torch import nn

    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, nn.ModuleList):
            if len(child):
                yield path, child
        else:
            yield from _outer_lists(child, f"{path}.")


def _choices(lists: dict[str, nn.ModuleList]) -> str:
    if not lists:
        return "it has no list of modules, so its layers can't be steered"
    named = "; ".join(
        f"{path} ({len(found)} × {type(found[0]).__name__})" for path, found in lists.items()
    )
    return f"pass layers_path (--layers-path on the command line), one of: {named}"
