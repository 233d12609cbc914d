"""`Lab`: one model and some behaviors, with what every experiment on them begins with.

Splits, vectors, the picked layer and the controls are each made once, when they are first asked
for, and kept in a folder, so that what was stopped goes on. This module sits on top of the core:
it asks `analysis` for the choice of the layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import SteeringError
from caa_nnsight.notebook import facts_table
from caa_nnsight.progress import Progress, Steps
from caa_nnsight.registry import get_behavior
from caa_nnsight.run_pairs import RunPairs
from caa_nnsight.settings import LabSettings, SteeringSettings
from caa_nnsight.shards import Shards
from caa_nnsight.suggest import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from caa_nnsight.forms import ScorablePair
    from caa_nnsight.models import Model
    from caa_nnsight.vectors import SteeringVectors

# The layer is picked by what it does between these two on validation items.
PICKING_MULTIPLIERS = (-1.0, 0.0, 1.0)
# Prompts answered between two checkpoints: what a killed run may lose.
PROMPTS_PER_SHARD = 20


class Lab:
    """A model and behaviors to experiment with.

    Args:
        model: a loaded model.
        behaviors: behaviors, or names and paths that `get_behavior` takes.
        settings: see `LabSettings`; for what takes no single experiment, `SteeringSettings` do.
        folder: where finished pieces of work are kept; without one, in memory only. What is there
            must be of the same model, behaviors and settings: runs and studies see to that.
        steps: where a command shows progress; leave it out.

    Attributes:
        model, settings: as given.
        behaviors: the behaviors by name, in the order given.

    Raises:
        SteeringError: no behavior, or two of one name.
        BehaviorError: one can't be found.

    Example:
        >>> import caa_nnsight as caa
        >>> settings = caa.LabSettings(limit=8, held_out=2, layers=(11, 12), controls=1)
        >>> lab = caa.Lab(caa.load("smollm2-135m"), ["refusal"], settings)
        >>> lab.layer("refusal") in lab.vectors("refusal").layers
        True
    """

    def __init__(
        self,
        model: Model,
        behaviors: Sequence[str | Behavior],
        settings: SteeringSettings | None = None,
        *,
        folder: str | Path | None = None,
        steps: Steps | None = None,
    ) -> None:
        self.model = model
        self.settings = settings or LabSettings()
        self.behaviors = by_name(
            [each if isinstance(each, Behavior) else get_behavior(each) for each in behaviors]
        )
        self._folder = Path(folder) if folder else None
        self._steps = steps
        self._kept: dict[tuple[str, ...], Any] = {}

    def _repr_html_(self) -> str:
        """What it is of, and the layers picked so far: looking computes nothing."""
        changed = [
            f"{spec.name}={getattr(self.settings, spec.name)}"
            for spec in fields(self.settings)
            if getattr(self.settings, spec.name) != spec.default
        ]
        picked = [
            f"{name}: {self._kept['layer', name]}"
            for name in self.behaviors
            if ("layer", name) in self._kept
        ]
        facts = [
            ("model", repr(self.model)),
            ("behaviors", ", ".join(self.behaviors)),
            ("settings", ", ".join(changed) or "as they are by default"),
            ("picked layers", ", ".join(picked) or "none so far"),
            ("folder", self._folder or "none: kept in memory"),
        ]
        return facts_table("Lab", facts)

    # -- what a behavior begins with -------------------------------------------------------

    @property
    def layers(self) -> list[int]:
        """Candidates among which a layer is picked.

        Raises:
            SteeringError: the settings name a layer that the model doesn't have.
        """
        return self.settings.candidates(self.model)

    def pairs(self, behavior: str) -> RunPairs:
        """Generation pairs, validation items and held-out items of a behavior.

        Raises:
            SteeringError: the lab has no behavior of this name.
        """
        found = self._behavior(behavior)
        return self._once(("pairs", behavior), lambda: self.settings.divide(found))

    def vectors(self, behavior: str) -> SteeringVectors:
        """A behavior's vectors at all candidate layers, normalized if the settings say so."""
        self._behavior(behavior)
        if len(self.behaviors) == 1 or not getattr(self.settings, "normalize", True):
            return self.raw_vectors(behavior)
        from caa_nnsight.vectors import normalize_across

        every = {name: self.raw_vectors(name) for name in self.behaviors}
        return self._once(("normalized",), lambda: normalize_across(every))[behavior]

    def raw_vectors(self, behavior: str) -> SteeringVectors:
        """A behavior's vectors as they were extracted, at all candidate layers."""
        from caa_nnsight.vectors import SteeringVectors

        path = self._folder / "vectors" / f"{behavior}.safetensors" if self._folder else None

        def make() -> SteeringVectors:
            if path and path.exists():
                return SteeringVectors.load(path, model=self.model)
            vectors = self._extract(behavior)
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                vectors.save(path)
            return vectors

        return self._once(("vectors", behavior), make)

    def validation_scores(self, behavior: str) -> pd.DataFrame:
        """Scores of a behavior's validation items at every candidate layer, at -1, 0 and 1."""
        return self.score(
            f"validation-{behavior}",
            behavior,
            self.vectors(behavior),
            pairs=self.pairs(behavior).validation,
            split="validation",
            multipliers=PICKING_MULTIPLIERS,
            title=f"pick the layer of {behavior}",
        )

    def layer(self, behavior: str) -> int:
        """The layer that moves a behavior's validation items most."""
        from caa_nnsight.analysis import pick_layer

        return self._once(("layer", behavior), lambda: pick_layer(self.validation_scores(behavior)))

    def held_out_scores(self, behavior: str) -> pd.DataFrame:
        """Scores of the held-out items at the picked layer: the behavior's vector and controls."""
        layer = self.layer(behavior)
        return self.score(
            f"held-out-{behavior}",
            behavior,
            {"behavior": self.vectors(behavior)} | self.controls(behavior),
            layers=[layer],
            title=f"score layer {layer} of {behavior} on held-out items",
        )

    def controls(
        self, behavior: str, vectors: SteeringVectors | None = None, name: str = "random"
    ) -> dict[str, SteeringVectors]:
        """Random vectors of the norms of a behavior's, by name: "random-0", "random-1", …

        Behaviors share their directions, so that what one does by chance shows in all of them.

        Args:
            behavior: whose.
            vectors: whose norms are taken, the behavior's own by default.
            name: what their names begin with.
        """
        from caa_nnsight.vectors import random_controls

        like = self.vectors(behavior) if vectors is None else vectors
        return random_controls(like, self.settings.controls, self.settings.seed, name)

    # -- work that is kept -----------------------------------------------------------------

    def score(
        self,
        label: str,
        behavior: str,
        vectors: SteeringVectors | Mapping[str, SteeringVectors],
        *,
        pairs: Sequence[ScorablePair] | None = None,
        title: str | None = None,
        **settings: Any,
    ) -> pd.DataFrame:
        """`score`, kept under a label.

        Args:
            label: names the piece of work; no other may have it.
            behavior: whose items are scored; its name goes into the frame.
            vectors: see `score`.
            pairs: the items, the behavior's held-out ones by default.
            title: what is shown while it runs.
            settings: further arguments of `score`; the multipliers are the lab's by default.

        Returns:
            a frame with the columns of `score`.
        """
        from caa_nnsight.sweep import score

        items = self.pairs(behavior).held_out if pairs is None else pairs
        settings = {"multipliers": self.settings.multipliers} | settings

        def make() -> pd.DataFrame:
            with self.step(title or f"score {label}") as progress:
                return score(
                    self.model,
                    items,
                    vectors,
                    behavior=behavior,
                    shards=self._shards(label),
                    progress=progress,
                    **settings,
                )

        return self.frame(label, make)

    def generate(
        self,
        label: str,
        behavior: str,
        vectors: SteeringVectors,
        prompts: Sequence[str],
        *,
        title: str | None = None,
        **settings: Any,
    ) -> pd.DataFrame:
        """`generate`, kept under a label.

        Args:
            label, behavior, title: as `score`.
            vectors: what to steer with.
            prompts: to answer.
            settings: further arguments of `generate`; multipliers, seed and sizes are the lab's
                by default.

        Returns:
            a frame with the columns of `generate`, without rows where there are no prompts.
        """
        import pandas as pd

        from caa_nnsight.frames import GENERATION_COLUMNS
        from caa_nnsight.generation import generate

        own = self.settings
        settings = {
            "multipliers": own.multipliers,
            "max_new_tokens": own.max_new_tokens,
            "batch_size": own.batch_size,
            "seed": own.seed,
        } | settings

        def answer(first: int, end: int) -> pd.DataFrame:
            frame = generate(self.model, prompts[first:end], vectors, behavior=behavior, **settings)
            frame["prompt_index"] += first
            return frame

        def make() -> pd.DataFrame:
            shards, frames = self._shards(label), []
            size = self.model.tracer.piece_size(len(prompts), PROMPTS_PER_SHARD)
            with self.step(title or f"generate {label}") as progress:
                for first in range(0, len(prompts), size):
                    end = min(first + size, len(prompts))
                    # Both ends, so that pieces of another size are never taken for these.
                    name = f"generate-{first:05d}-{end:05d}"
                    frames.append(
                        shards.frame(name, lambda first=first, end=end: answer(first, end))
                        if shards
                        else answer(first, end)
                    )
                    progress(end, len(prompts))
            if not frames:
                return pd.DataFrame(columns=list(GENERATION_COLUMNS))
            return pd.concat(frames, ignore_index=True)

        return self.frame(label, make)

    def frame(self, label: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The frame of this label; `make` is called now if it isn't there."""
        shards = self._shards("frames")
        keep = (lambda: shards.frame(_file_name(label), make)) if shards else make
        return self._once(("frame", label), keep)

    @contextmanager
    def step(self, title: str) -> Iterator[Progress]:
        """Show a step of this title while the block runs.

        Yields:
            what the block calls with (done, total).
        """
        if self._steps is None:
            yield lambda done, total: None
            return
        with self._steps.step(title) as progress:
            yield progress

    # -- helpers ---------------------------------------------------------------------------

    def _behavior(self, name: str) -> Behavior:
        if name not in self.behaviors:
            raise SteeringError(
                f"This lab has no behavior {name!r}.{did_you_mean(name, self.behaviors)} "
                f"It has {', '.join(self.behaviors)}."
            )
        return self.behaviors[name]

    def _extract(self, behavior: str) -> SteeringVectors:
        from caa_nnsight.extraction import extract

        with self.step(f"extract the vectors of {behavior}") as progress:
            return extract(
                self.model,
                self.pairs(behavior).generation,
                layers=self.layers,
                method=self.settings.method,
                balance=self.settings.balance,
                seed=self.settings.seed,
                behavior=self._behavior(behavior),
                shards=self._shards(f"extract-{behavior}"),
                progress=progress,
            )

    def _shards(self, label: str) -> Shards | None:
        if self._folder is None:
            return None
        return Shards(self._folder / _file_name(label))

    def _once(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def by_name(behaviors: Sequence[Behavior]) -> dict[str, Behavior]:
    """Behaviors by their names.

    Raises:
        SteeringError: there is none, or two have one name.
    """
    if not behaviors:
        raise SteeringError("There is no behavior to experiment with: give at least one.")
    # Some disks take names that differ in their capitals alone for one.
    if len({behavior.name.casefold() for behavior in behaviors}) < len(behaviors):
        raise SteeringError("Two of the behaviors have one name: give each once.")
    return {behavior.name: behavior for behavior in behaviors}


def _file_name(label: str) -> str:
    """A label as the name of a file; labels that differ have names that differ."""
    return re.sub(r"[^\w.=+-]", lambda found: f"%{ord(found[0]):06x}", label)
