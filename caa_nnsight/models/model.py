"""A loaded model with what the other rooms ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from caa_nnsight.errors import ModelError
from caa_nnsight.models.cache import without_home
from caa_nnsight.models.device import check_budget
from caa_nnsight.models.layers import find_layers, hidden_size
from caa_nnsight.notebook import facts_table

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from caa_nnsight.remote import RemoteJobs
    from caa_nnsight.tracer import Tracer


@dataclass(frozen=True, eq=False)
class RemoteModel:
    """What stands behind a `Model` whose weights are on an NDIF server.

    Attributes:
        lm: the nnsight model, without weights.
        jobs: sends requests to the server; its ledger and its report may be set.
        host: the server's address.
    """

    lm: Any
    jobs: RemoteJobs
    host: str


class Model:
    """A causal language model, its tokenizer, and where its decoder layers are.

    Attributes:
        name: what was asked for, such as an alias or a Hub id.
        source: what that resolved to: `hub:`, `packages:`, `folder:`, `gguf:`, `object:` or
            `ndif:` and a place.
        revision: the commit on the Hub, where the weights come from there.
        digest: the SHA-256 of the GGUF file that the weights come from, where they do.
        module: the transformers model, in evaluation mode, its parameters without gradients; of a
            model on an NDIF server, its structure without weights.
        tokenizer: its tokenizer; a padding token is set.
        layers_path: the dotted path of the list of decoder layers, such as `model.layers`.
        num_layers: how many there are.
        hidden_size: the width of the residual stream.
        memory_budget: GiB that one pass may take besides the weights, None for a share of what is
            free.
        remote: what stands behind a model on an NDIF server, None for a model in this process.

    Raises:
        ModelError: no decoder layers were found, the tokenizer doesn't fit the model, or the budget
            is no number of GiB above 0.

    Example:
        >>> from caa_nnsight import load
        >>> model = load("smollm2-135m")
        >>> model.layers_path, model.num_layers
        ('model.layers', 30)
    """

    def __init__(
        self,
        module: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        source: str,
        revision: str | None = None,
        digest: str | None = None,
        layers_path: str | None = None,
        memory_budget: float | None = None,
        remote: RemoteModel | None = None,
    ) -> None:
        """Take a loaded module; `load` and `Model.wrap` are the ways in."""
        self.name = name
        self.source = source
        self.revision = revision
        self.digest = digest
        self.memory_budget = check_budget(memory_budget)
        self.remote = remote
        self.layers_path = find_layers(module, layers_path)
        self.num_layers = len(module.get_submodule(self.layers_path))
        self.hidden_size = hidden_size(module)
        self.module = module.eval().requires_grad_(False)
        self.tokenizer = _with_padding(tokenizer)
        _check_vocabulary(module, tokenizer, name)

    @classmethod
    def wrap(
        cls,
        module: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str | None = None,
        layers_path: str | None = None,
        memory_budget: float | None = None,
    ) -> Model:
        """Use a transformers model that you have already built or loaded.

        The module itself is taken, not a copy: it is put into evaluation mode and its parameters
        lose their gradients; the tokenizer gets a padding token if it has none.

        Args:
            module: a causal language model of transformers, on its device and in its dtype.
            tokenizer: the model's.
            name: what frames and errors call it; its class by default.
            layers_path, memory_budget: see `load`.

        Raises:
            ModelError: no decoder layers were found, the tokenizer does not fit the model, or the
                budget is no number of GiB above 0.
        """
        from transformers import PreTrainedModel, PreTrainedTokenizerBase

        if not isinstance(module, PreTrainedModel):
            raise ModelError(
                f"Model.wrap takes a transformers model, and was given {type(module).__name__}."
            )
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            raise ModelError(
                f"Model.wrap takes the model's tokenizer, and was given {type(tokenizer).__name__}."
            )
        kind = type(module).__name__
        return cls(
            module,
            tokenizer,
            name=name or kind,
            source=f"object:{kind}",
            layers_path=layers_path,
            memory_budget=memory_budget,
        )

    @property
    def window(self) -> int | None:
        """Tokens that the model can hold, prompt and answer; None where its config is silent."""
        window = getattr(self.module.config.get_text_config(), "max_position_embeddings", None)
        return window if isinstance(window, int) and window > 0 else None

    @property
    def device(self) -> torch.device:
        """Where token ids must be: the device of the input embedding."""
        embedding = self.module.get_input_embeddings()
        # Where weights are fetched from disk as they are needed, the hook knows where to.
        hook = getattr(embedding, "_hf_hook", None)
        fetched_to = getattr(hook, "execution_device", None)
        if fetched_to is None:
            return embedding.weight.device
        import torch

        return torch.device(fetched_to)

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the weights; of a remote model, of what its blocks give out there.

        Raises:
            RemoteError: the server can't be asked.
        """
        return self.tracer.dtype if self.remote else self.module.dtype

    @cached_property
    def tracer(self) -> Tracer:
        """What captures activations, steers, scores and generates, built on first use."""
        from caa_nnsight.tracer import Tracer

        return Tracer(self)

    @property
    def layers(self):
        """The decoder layers as nnsight sees them: `model.layers[i].output` inside a trace."""
        return self.tracer.layers

    def describe(self) -> dict[str, str]:
        """The facts that a manifest needs, as strings; what is not known is left out."""
        facts = self._facts() | {
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": "remote" if self.remote else self.device,
        }
        return {key: str(value) for key, value in facts.items() if value is not None}

    def _facts(self) -> dict[str, str | int | None]:
        """What is known of the model without asking a server."""
        return {
            "name": without_home(self.name),
            "source": self.source,
            "revision": self.revision,
            "sha256": self.digest,
            "architecture": type(self.module).__name__,
            "layers_path": self.layers_path,
            "num_layers": self.num_layers,
            "hidden_size": self.hidden_size,
        }

    def _repr_html_(self) -> str:
        """The same facts as a table."""
        facts = {key: value for key, value in self._facts().items() if value is not None}
        name = facts.pop("name")
        if not self.remote:
            facts |= {"dtype": str(self.dtype).removeprefix("torch."), "device": self.device}
        return facts_table(f"Model {name}", facts.items())

    def __repr__(self) -> str:
        """The facts in one line; of a remote model, without the dtype, which its server tells."""
        facts = self._facts()
        place = ""
        if not self.remote:
            place = f", {str(self.dtype).removeprefix('torch.')} on {self.device}"
        return (
            f"Model({facts['name']!r}: {facts['architecture']}, {facts['num_layers']} layers at "
            f"{facts['layers_path']}, hidden size {facts['hidden_size']}{place}, "
            f"from {facts['source']})"
        )


def _with_padding(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Give the tokenizer a padding token if it has none; padding is masked, so any token serves."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def _check_vocabulary(
    module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str
) -> None:
    rows = module.get_input_embeddings().weight.shape[0]
    # Tokens added on top may exceed the embeddings: Gemma 3 has an image token text never uses.
    if tokenizer.vocab_size > rows:
        raise ModelError(
            f"The tokenizer of {name!r} does not fit the model: it has {tokenizer.vocab_size} "
            f"tokens, and the model has {rows} input embeddings."
        )
