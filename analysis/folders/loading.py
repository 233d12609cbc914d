"""`load_run`: what a finished run or study left on disk, as data frames."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from caa_nnsight.errors import CAAError, RunError

from ..scores.findings import conclude
from .folder import kind_of
from .run_folder import read_run
from .study_folder import read_study

# The experiments of a study whose frames say what a run's scores and generations say.
_VALIDATION, _HELD_OUT = "layer-sweep/scores", "multiplier-curve/scores"
_ANSWERS = "open-ended/answers"


@dataclass(frozen=True, slots=True)
class Run:
    """A finished folder of `caa run`, `caa experiment` or `caa reproduce`.

    Attributes:
        path: the folder.
        manifest: settings, model, behaviors, split, versions, timings and command.
        kind: "run" or "study".
        frames: every frame by its name: "scores" and "generations" of a run, and
            "EXPERIMENT/FRAME" of a study, such as "layer-sweep/scores".
    """

    path: Path
    manifest: dict
    kind: str
    frames: dict[str, pd.DataFrame]

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.manifest["model"].get("name", ""))

    @property
    def picked_layers(self) -> dict[str, int]:
        """The layer that was picked for each behavior, on its validation items."""
        if self.kind == "run":
            return {self.manifest["behavior"]["name"]: self.manifest["picked_layer"]}
        return dict(self.manifest.get("picked_layers", {}))

    @property
    def scores(self) -> pd.DataFrame:
        """A score frame: validation items at every layer, held-out items at the picked one.

        Of a study, the rows that its layer sweep and its multiplier curve left.

        Raises:
            RunError: a study ran neither of the two.
        """
        names = ["scores"] if self.kind == "run" else [_VALIDATION, _HELD_OUT]
        found = [self.frames[name] for name in names if name in self.frames]
        if not found:
            raise RunError(
                f"{self.path} has no scores of every layer or multiplier, because neither "
                "layer-sweep nor multiplier-curve was run: run one of them, or take another of "
                f"its frames ({', '.join(self.frames)})."
            )
        return pd.concat(found, ignore_index=True)

    @property
    def generations(self) -> pd.DataFrame:
        """A generation frame; of a study, the answers of its experiment open-ended.

        Raises:
            RunError: a study didn't run that.
        """
        name = "generations" if self.kind == "run" else _ANSWERS
        if name not in self.frames:
            raise RunError(
                f"{self.path} has no open-ended answers, because open-ended was not run: run it, "
                f"or take another of its frames ({', '.join(self.frames)})."
            )
        return self.frames[name]

    def _repr_html_(self) -> str:
        rows = [
            (f"<code>{escape(name)}</code>", f"{len(frame)} rows", escape(", ".join(frame.columns)))
            for name, frame in self.frames.items()
        ]
        cells = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{text}</td>" for text in row) + "</tr>"
            for row in rows
        )
        layers = ", ".join(
            f"{behavior} (layer {layer})" for behavior, layer in self.picked_layers.items()
        )
        return (
            f"<p><strong>{self.kind.capitalize()}</strong> of {escape(layers)} on "
            f"{escape(self.model)}: {escape(str(self.path))}</p>{self._finding()}"
            f"<table><caption>Frames</caption>{cells}</table>"
        )

    def _finding(self) -> str:
        """What a run found, in one sentence; nothing of a study, which finds many things."""
        if self.kind != "run":
            return ""
        try:
            finding = conclude(self.scores, self.manifest["picked_layer"])
        except CAAError:
            return ""
        return f"<p>{escape(finding.headline)}</p>"


def load_run(path: str | Path) -> Run:
    """Read a finished run or study.

    Args:
        path: the folder.

    Raises:
        RunError: the folder or one of its files is missing, damaged, incomplete, or written by
            another version of the format; the sentence names the file and what to do.

    >>> run = load_run("runs/small")
    >>> run.kind, run.picked_layers, list(run.frames)
    ('run', {'refusal': 14}, ['scores', 'generations'])
    """
    kind = kind_of(path)
    if kind == "run":
        run = read_run(path)
        frames = {"scores": run.scores, "generations": run.generations}
        return Run(run.path, run.manifest, kind, frames)
    study = read_study(path)
    frames = {
        f"{experiment}/{name}": frame
        for experiment, own in study.frames.items()
        for name, frame in own.items()
    }
    return Run(study.path, study.manifest, kind, frames)
