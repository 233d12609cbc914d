"""`SteeringVectors`: one vector per layer, with where it came from."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caa_nnsight.errors import VectorError
from caa_nnsight.files import write_tensors
from caa_nnsight.hub.address import is_address
from caa_nnsight.pairs import is_unicode
from caa_nnsight.steering import Edit, Operator, Start, Steering
from caa_nnsight.versions import other_schema

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from caa_nnsight.experiment import RunResult
    from caa_nnsight.hub.repositories import Pushed
    from caa_nnsight.models import Model

SCHEMA_VERSION = "1"
_LAYER = re.compile(r"layers\.(0|[1-9][0-9]{0,5})")
# As the opposite of a behavior says it.
_OPPOSITE = "The opposite of this. "


@dataclass(frozen=True)
class VectorMeta:
    """Where steering vectors came from; every field is written into the file as a string.

    Attributes:
        behavior: name of the behavior, or an expression of names after arithmetic.
        polarity: what the positive direction means.
        model, revision: the model that the activations were read from.
        hidden_size: size of each vector.
        site: what was read and is to be edited.
        position: token at which the activations were read; empty where nothing was read.
        parts: of a weighted sum of behaviors, its terms as JSON; empty where there is no sum.
        source: who made the pairs, with the place and what was left out of data of others.
        method: how activations became a vector; empty where that isn't known.
        balance: how the answer letters were balanced.
        n_pairs: number of contrast pairs.
        pair_ids: the pairs' ids, separated by spaces, so that nothing is tested on them.
        normalized: the behaviors over which norms were made equal, see `normalize_across`; empty
            where they weren't.
        system_prompt: in force while reading, empty for none.
        data_hash: SHA-256 of the pairs.
        template_hash: SHA-256 of the prompt template.
        versions: library versions, `name==version` separated by spaces.
        created: date and time, ISO 8601, UTC.
    """

    behavior: str = ""
    polarity: str = ""
    model: str = ""
    revision: str = ""
    hidden_size: int = 0
    site: str = "decoder block output (residual stream)"
    position: str = ""
    method: str = ""
    balance: str = ""
    n_pairs: int = 0
    pair_ids: str = ""
    parts: str = ""
    source: str = ""
    normalized: str = ""
    system_prompt: str = ""
    data_hash: str = ""
    template_hash: str = ""
    versions: str = ""
    created: str = ""


@dataclass(frozen=True, eq=False)
class SteeringVectors:
    """One steering vector per layer.

    Args:
        vectors: layer -> float32 `[hidden]`, in units of the residual stream.
        meta: provenance.

    Raises:
        VectorError: no vectors, shapes that differ, or numbers that are not finite.

    Example:
        >>> import torch
        >>> v = SteeringVectors({13: torch.tensor([3.0, 4.0])}, VectorMeta(behavior="refusal"))
        >>> v.norms()
        {13: 5.0}
        >>> (-v).meta.behavior
        '-(refusal)'
        >>> (-SteeringVectors(v.vectors, VectorMeta(polarity="Refuses."))).meta.polarity
        'The opposite of this. Refuses.'
        >>> v.steering(2.0).layers
        (13,)
    """

    vectors: Mapping[int, torch.Tensor]
    meta: VectorMeta = field(default_factory=VectorMeta)

    def __post_init__(self) -> None:
        import torch

        if not self.vectors:
            raise VectorError("Steering vectors need at least one layer, but none was given.")
        clean: dict[int, torch.Tensor] = {}
        for layer in sorted(self.vectors):
            vector = torch.as_tensor(self.vectors[layer]).detach().to("cpu", torch.float32)
            if vector.ndim != 1:
                raise VectorError(
                    f"The vector of layer {layer} must have the shape [hidden], but has "
                    f"{list(vector.shape)}."
                )
            if not torch.isfinite(vector).all():
                raise VectorError(
                    f"The vector of layer {layer} holds numbers that are not finite: "
                    "extract it again, in float32 or bfloat16."
                )
            clean[int(layer)] = vector.contiguous()
        sizes = {vector.shape[0] for vector in clean.values()}
        if len(sizes) > 1:
            raise VectorError(
                f"All layers need vectors of one size, but these differ: {sorted(sizes)}."
            )
        object.__setattr__(self, "vectors", clean)
        object.__setattr__(self, "meta", replace(self.meta, hidden_size=sizes.pop()))

    # -- looking ---------------------------------------------------------------------------

    @property
    def layers(self) -> list[int]:
        """Layers that have a vector, ascending."""
        return list(self.vectors)

    @property
    def hidden_size(self) -> int:
        """Size of each vector."""
        return self.meta.hidden_size

    def __getitem__(self, layer: int) -> torch.Tensor:
        """The vector of one layer, float32 `[hidden]`.

        Raises:
            VectorError: there is none.
        """
        if layer not in self.vectors:
            raise VectorError(
                f"There is no vector for layer {layer}: these vectors hold the layers "
                f"{_ranges(self.layers)}."
            )
        return self.vectors[layer]

    def __len__(self) -> int:
        return len(self.vectors)

    def norms(self) -> dict[int, float]:
        """Layer -> Euclidean norm."""
        return {layer: float(vector.norm()) for layer, vector in self.vectors.items()}

    def cosine(self, other: SteeringVectors) -> dict[int, float]:
        """Layer -> cosine similarity to `other` vectors, from -1 to 1, at the layers both have."""
        import torch

        self._check_size(other)
        return {
            layer: float(torch.nn.functional.cosine_similarity(self[layer], other[layer], dim=0))
            for layer in self.layers
            if layer in other.vectors
        }

    def __repr__(self) -> str:
        meta = self.meta
        return (
            f"SteeringVectors({meta.behavior or 'unnamed'}, layers {_ranges(self.layers)}, "
            f"hidden {self.hidden_size}, {meta.method or 'unknown method'}, {meta.n_pairs} pairs, "
            f"model {meta.model or 'unknown'})"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{layer}</td><td>{norm:.3f}</td></tr>" for layer, norm in self.norms().items()
        )
        head = "<tr><th>layer</th><th>norm</th></tr>"
        return f"<p>{escape(repr(self))}</p><table>{head}{rows}</table>"

    # -- arithmetic ------------------------------------------------------------------------

    def __neg__(self) -> SteeringVectors:
        return self._map(lambda vector: -vector, f"-({self.meta.behavior})", turned=True)

    def __mul__(self, factor: float) -> SteeringVectors:
        name = f"{factor:g} * ({self.meta.behavior})"
        return self._map(lambda vector: vector * factor, name, turned=factor < 0)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> SteeringVectors:
        name = f"({self.meta.behavior}) / {divisor:g}"
        return self._map(lambda vector: vector / divisor, name, turned=divisor < 0)

    def __add__(self, other: SteeringVectors) -> SteeringVectors:
        return self._combine(other, 1.0, "+")

    def __sub__(self, other: SteeringVectors) -> SteeringVectors:
        return self._combine(other, -1.0, "-")

    def normalized(self) -> SteeringVectors:
        """Every layer's vector at norm 1."""
        import torch

        return self._map(
            lambda vector: torch.nn.functional.normalize(vector, dim=0),
            f"normalized({self.meta.behavior})",
        )

    def select(self, layers: Iterable[int]) -> SteeringVectors:
        """Only these layers.

        Raises:
            VectorError: one of them has no vector.
        """
        return SteeringVectors({layer: self[layer] for layer in layers}, self.meta)

    def _map(self, function, name: str, *, turned: bool = False) -> SteeringVectors:
        changed = {layer: function(vector) for layer, vector in self.vectors.items()}
        polarity = _turned(self.meta.polarity) if turned else self.meta.polarity
        # The weights of a sum are no longer true; its new name says what was done to it.
        meta = replace(self.meta, behavior=name, polarity=polarity, parts="")
        return SteeringVectors(changed, meta)

    def _combine(self, other: SteeringVectors, sign: float, symbol: str) -> SteeringVectors:
        self._check_size(other)
        if self.layers != other.layers:
            raise VectorError(
                f"Vectors of the layers {_ranges(self.layers)} and {_ranges(other.layers)} can't "
                "be combined: select the layers that both have first."
            )
        combined = {layer: self[layer] + sign * other[layer] for layer in self.layers}
        ours, theirs = self.meta, other.meta
        # What the two don't share is true of neither, so it is not claimed.
        shared = {
            name: value for name, value in asdict(ours).items() if value == getattr(theirs, name)
        }
        added = theirs.polarity if sign > 0 else _turned(theirs.polarity)
        summed = {
            "polarity": ours.polarity if ours.polarity == added else "",
            "behavior": f"({ours.behavior}) {symbol} ({theirs.behavior})",
            "n_pairs": ours.n_pairs + theirs.n_pairs,
            "pair_ids": " ".join(dict.fromkeys([*ours.pair_ids.split(), *theirs.pair_ids.split()])),
            # The name of the sum says what it is made of.
            "parts": "",
        }
        return SteeringVectors(combined, VectorMeta(**({"site": ""} | shared | summed)))

    def _check_size(self, other: SteeringVectors) -> None:
        if self.hidden_size != other.hidden_size:
            raise VectorError(
                f"Vectors of the hidden sizes {self.hidden_size} and {other.hidden_size} can't be "
                "combined: they come from different models."
            )

    # -- steering --------------------------------------------------------------------------

    def steering(
        self,
        multiplier: float = 1.0,
        *,
        layers: int | Iterable[int] | None = None,
        operator: Operator = "add",
        start: Start = "last_prompt_token",
    ) -> Steering:
        """These vectors as something to steer with.

        Args:
            multiplier: strength, the same at every layer.
            layers: one layer or several; all that have a vector by default.
            operator, start: see `Edit` and `Steering`.

        Raises:
            VectorError: a layer without a vector.
        """
        chosen = self.layers if layers is None else layers
        # Layers out of a data frame are numpy's integers.
        chosen = [chosen] if hasattr(chosen, "__index__") else dict.fromkeys(chosen)
        edits = tuple(Edit(layer, self[layer], multiplier, operator) for layer in chosen)
        return Steering(edits, start)

    def check_model(self, model: Model) -> None:
        """Refuse a model that these vectors can't steer.

        Raises:
            VectorError: another hidden size, or a layer that the model doesn't have.
        """
        if self.hidden_size != model.hidden_size:
            raise VectorError(
                f"These vectors have hidden size {self.hidden_size} (from "
                f"{self.meta.model or 'an unknown model'}), but {model.name} has "
                f"{model.hidden_size}: extract them on this model."
            )
        if self.layers[-1] >= model.num_layers:
            raise VectorError(
                f"These vectors reach layer {self.layers[-1]}, but {model.name} has the layers 0 "
                f"to {model.num_layers - 1}."
            )

    # -- files -----------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file: tensors `layers.<index>`, provenance as string metadata.

        Args:
            path: of the file, in a folder that exists; what is there is replaced.

        Returns:
            the path.

        Raises:
            VectorError: the folder doesn't exist or can't be written to, or a text of the
                provenance is no Unicode.
        """
        path = Path(path)
        if not path.parent.is_dir():
            raise VectorError(
                f"Vectors can't be written to {path}: there is no folder {path.parent}."
            )
        metadata = {name: str(value) for name, value in asdict(self.meta).items()}
        for name, value in metadata.items():
            if not is_unicode(value):
                raise VectorError(
                    f"The `{name}` of these vectors holds half of a character (a lone surrogate), "
                    "which no file can keep: write that text again."
                )
        metadata |= {
            "format": "caa_nnsight.steering_vectors",
            "schema_version": SCHEMA_VERSION,
            "layers": json.dumps(self.layers),
            "norms": json.dumps({str(layer): norm for layer, norm in self.norms().items()}),
        }
        tensors = {f"layers.{layer}": vector for layer, vector in self.vectors.items()}
        try:
            write_tensors(path, tensors, metadata)
        except OSError as error:
            raise VectorError(
                f"Vectors can't be written to {path} ({error.strerror or error}): "
                "give the path of a file in a writable folder."
            ) from error
        return path

    @classmethod
    def load(cls, path: str | Path, *, model: Model | None = None) -> SteeringVectors:
        """Read a file that `save` wrote.

        Args:
            path: a safetensors file; or `hf:OWNER/NAME@REVISION`, see `from_pretrained`.
            model: refuse vectors that don't fit this model.

        Raises:
            VectorError: no such file, no safetensors, not ours, a newer schema, or a model
                of another hidden size.
            HubError: of `hf:OWNER/NAME`, no such repository, or it can't be read.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        if not path.is_file():
            if is_address(path):
                return cls.from_pretrained(str(path), model=model)
            raise VectorError(f"There is no vector file {path}: give one that `caa extract` wrote.")
        try:
            with safe_open(path, framework="pt") as file:
                metadata: dict[str, Any] = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise VectorError(f"{path} is no safetensors file, or is damaged ({error}).") from error
        if metadata.get("format") != "caa_nnsight.steering_vectors":
            raise VectorError(
                f"{path} holds no steering vectors of caa_nnsight (its metadata say "
                f"{str(metadata.get('format', 'nothing'))[:40]!r})."
            )
        if metadata.get("schema_version") != SCHEMA_VERSION:
            raise VectorError(other_schema(path, metadata.get("schema_version"), SCHEMA_VERSION))
        known = {spec.name: spec.type for spec in fields(VectorMeta)}
        try:
            meta = {
                name: int(metadata[name]) if kind == "int" else metadata[name]
                for name, kind in known.items()
                if name in metadata
            }
        except ValueError as error:
            raise VectorError(f"{path} has damaged metadata ({str(error)[:80]}).") from error
        by_layer = {}
        for name, value in tensors.items():
            if not _LAYER.fullmatch(name):
                raise VectorError(f"{path} holds {name[:40]!r}, which is no vector of a layer.")
            by_layer[int(name.removeprefix("layers."))] = value
        loaded = cls(by_layer, VectorMeta(**meta))
        if model is not None:
            loaded.check_model(model)
        return loaded

    # -- the Hugging Face Hub --------------------------------------------------------------

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        license: str | None = None,
        results: str | Path | RunResult | pd.DataFrame | None = None,
        damage: pd.DataFrame | None = None,
        token: str | None = None,
    ) -> Pushed:
        """Push these vectors to a model repository on the Hub, with a card, in one commit.

        The card is written anew with every push. What it doesn't get, it says is not measured.

        Args:
            repo_id: `OWNER/NAME`; made where there is none.
            private: whether a new repository is private; the owner's default by default.
            revision: a branch, made where there is none; `main` by default.
            commit_message: one line.
            license: of the vectors, as an SPDX name; left out by default.
            results: what was measured with these vectors: the folder of a finished run, a
                `RunResult`, or a score frame.
            damage: a frame of `caa_nnsight.analysis.damage`.
            token: with which to write; HF_TOKEN, or that of `hf auth login`, by default.

        Returns:
            What was pushed: `repo`, `commit`, `url`, and the `address` to load it by.

        Raises:
            HubError: the repository holds something else or can't be written to, or the Hub can't
                be reached.
            VectorError: the results are of other vectors.

        Example:
            >>> vectors = SteeringVectors.load("refusal.safetensors")  # doctest: +SKIP
            >>> pushed = vectors.push_to_hub("you/refusal-vectors")  # doctest: +SKIP
            >>> SteeringVectors.from_pretrained(pushed.address)  # doctest: +SKIP
        """
        from caa_nnsight.hub.vectors_repo import push_vectors

        return push_vectors(
            self,
            repo_id,
            private=private,
            revision=revision,
            commit_message=commit_message,
            license=license,
            results=results,
            damage=damage,
            token=token,
        )

    @staticmethod
    def from_pretrained(
        repo_id_or_folder: str | os.PathLike[str],
        *,
        revision: str | None = None,
        model: Model | None = None,
        token: str | None = None,
    ) -> SteeringVectors:
        """Read vectors that `push_to_hub` pushed, from the Hub or from a copy of the repository.

        Where the Hub can't be reached, what its cache has is taken.

        Args:
            repo_id_or_folder: `OWNER/NAME`, `hf:OWNER/NAME@REVISION`, or a folder, which comes
                before a repository of that name.
            revision: a commit, branch or tag; `main` by default.
            model: refuse vectors that don't fit this model.
            token: with which to read; HF_TOKEN, or that of `hf auth login`, by default.

        Raises:
            HubError: no such repository or revision, it holds something else, or it can't be read.
            VectorError: the file is no vector file of ours, or doesn't fit the model.

        Example:
            >>> SteeringVectors.from_pretrained("you/refusal-vectors")  # doctest: +SKIP
        """
        from caa_nnsight.hub.vectors_repo import read_vectors

        return read_vectors(repo_id_or_folder, revision=revision, model=model, token=token)


def normalize_across(behaviors: Mapping[str, SteeringVectors]) -> dict[str, SteeringVectors]:
    """Rescale, per layer, every behavior's vector to the mean norm over the behaviors.

    A multiplier then means the same for each behavior; layers keep their own scale
    (section 3 of arXiv 2312.06681).

    Args:
        behaviors: vectors by the behavior's name, all at the same layers.

    Returns:
        vectors of the same directions, by the same names.

    Raises:
        VectorError: no behaviors, or they differ in layers or hidden size.

    Example:
        >>> import torch
        >>> one = SteeringVectors({3: torch.tensor([3.0, 4.0])})
        >>> both = normalize_across({"tea": one, "milk": -3.0 * one})
        >>> both["tea"].norms(), both["milk"].norms()
        ({3: 10.0}, {3: 10.0})
    """
    if not behaviors:
        raise VectorError("There are no vectors to normalize: give at least one behavior.")
    sets = list(behaviors.values())
    for other in sets[1:]:
        sets[0]._check_size(other)
        if other.layers != sets[0].layers:
            raise VectorError(
                f"Vectors of the layers {_ranges(sets[0].layers)} and {_ranges(other.layers)} "
                "can't be normalized together: select the layers that all have first."
            )
    norms = [vectors.norms() for vectors in sets]
    mean = {layer: sum(each[layer] for each in norms) / len(norms) for layer in sets[0].layers}
    return {
        name: SteeringVectors(
            {
                layer: vector * (mean[layer] / norm if (norm := float(vector.norm())) else 1.0)
                for layer, vector in vectors.vectors.items()
            },
            replace(vectors.meta, normalized=", ".join(behaviors)),
        )
        for name, vectors in behaviors.items()
    }


def random_like(vectors: SteeringVectors, seed: int) -> SteeringVectors:
    """Random directions with the norms of `vectors`: the control for a steering effect.

    Args:
        vectors: whose norms are taken, layer by layer.
        seed: the same seed gives the same directions, whichever layers are asked for.

    Returns:
        float32 vectors at the same layers.

    Example:
        >>> import torch
        >>> vectors = SteeringVectors({3: torch.tensor([3.0, 4.0])})
        >>> round(random_like(vectors, seed=0).norms()[3], 4)
        5.0
    """
    import torch

    random = {}
    for layer, vector in vectors.vectors.items():
        generator = torch.Generator().manual_seed(seed * 100_003 + layer)
        direction = torch.randn(vector.shape, generator=generator)
        random[layer] = direction * (vector.norm() / direction.norm())
    meta = VectorMeta(
        behavior=f"random-{seed}",
        model=vectors.meta.model,
        revision=vectors.meta.revision,
        method="random, norm-matched",
    )
    return SteeringVectors(random, meta)


def random_controls(
    vectors: SteeringVectors, count: int, seed: int, name: str = "random"
) -> dict[str, SteeringVectors]:
    """`random_like` several times, by name: "random-0", "random-1", …"""
    return {f"{name}-{index}": random_like(vectors, seed * 1000 + index) for index in range(count)}


def _turned(polarity: str) -> str:
    """What the positive direction means after a change of sign."""
    if not polarity or polarity.startswith(_OPPOSITE):
        return polarity.removeprefix(_OPPOSITE)
    return _OPPOSITE + polarity


def _ranges(layers: Iterable[int]) -> str:
    """Write `[3, 4, 5, 9]` as `3-5, 9`."""
    parts: list[list[int]] = []
    for layer in layers:
        if parts and layer == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], layer]
        else:
            parts.append([layer])
    return ", ".join("-".join(map(str, part)) for part in parts)
