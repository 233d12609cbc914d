"""The main job: extract, pick a layer, score with controls, generate, and write it all down.

This module and the command line sit on top of the core: only they reach into `analysis`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from caa_nnsight.lab import Lab
from caa_nnsight.notebook import facts_table
from caa_nnsight.pairs import balance_letters
from caa_nnsight.progress import Steps, progress_steps
from caa_nnsight.run_pairs import behavior_over
from caa_nnsight.runs import RunFolder, default_folder
from caa_nnsight.settings import ModelSettings, SteeringSettings, command_line
from caa_nnsight.versions import versions_here


@dataclass(frozen=True, kw_only=True)
class RunSettings(SteeringSettings, ModelSettings):
    """Every setting that a run's results depend on; see the two that it is made of.

    Attributes:
        behavior: name, or path of a file or folder that holds one.
        source: data of others in place of the behavior's own: "NAME", "NAME=PATH" or
            "NAME@COMMIT"; see `Behavior.with_source`.
        pairs, held_out_pairs, open_ended_prompts: files that take the place of the
            behavior's own data.

    Raises:
        SteeringError: a setting is out of range.

    Example:
        >>> RunSettings(behavior="refusal", layers=(13, 14), controls=4).command()
        'caa run refusal --layers=13,14 --controls=4'
    """

    behavior: str
    source: str | None = None
    pairs: str | None = None
    held_out_pairs: str | None = None
    open_ended_prompts: str | None = None

    def command(self) -> str:
        """The command line that runs this again."""
        return command_line(["caa", "run", self.behavior], self, {"behavior"})


@dataclass(frozen=True)
class RunResult:
    """Where a finished run is and what it found.

    Attributes:
        folder: the run folder.
        report: the self-contained HTML page.
        picked_layer: the layer that was picked on the validation items.
    """

    folder: Path
    report: Path
    picked_layer: int

    def _repr_html_(self) -> str:
        layer = ("picked layer", self.picked_layer)
        return facts_table("Run", [("folder", self.folder), ("report", self.report), layer])


def run(
    settings: RunSettings,
    out: str | Path | None = None,
    *,
    memory_budget: float | None = None,
    api_key_file: str | Path | None = None,
    remote_timeout: float | None = None,
    quiet: bool = False,
) -> RunResult:
    """Steer a model with a behavior and write a run folder that shows whether it worked.

    A run that was killed goes on where it was when it is started again with the same
    settings, and ends with the same results.

    Args:
        settings: what to do.
        out: the run folder; by default named after the behavior, the model and the settings.
        memory_budget, api_key_file, remote_timeout: see `load`; no result depends on them, so a
            run may go on with others.
        quiet: no progress bars.

    Returns:
        the folder, its report, and the layer that was picked.

    Raises:
        CAAError: anything about the settings, the data, the model or the folder is unusable.

    Example:
        >>> import caa_nnsight as caa
        >>> settings = caa.RunSettings(
        ...     behavior="refusal", model="smollm2-135m", layers=(12,), limit=8, held_out=2,
        ...     controls=1, open_ended=1, max_new_tokens=3,
        ... )
        >>> result = caa.run(settings, "runs/example", quiet=True)
        >>> result.picked_layer, result.report.name
        (12, 'report.html')
    """
    behavior = behavior_over(
        settings.behavior,
        source=settings.source,
        pairs=settings.pairs,
        held_out=settings.held_out_pairs,
        open_ended=settings.open_ended_prompts,
    )
    with progress_steps(quiet) as steps:
        parts = settings.divide(behavior)
        # Letters that can't be balanced are refused before the model is loaded.
        balance_letters(parts.generation, settings.balance, settings.seed)
        model = settings.load(
            steps,
            memory_budget=memory_budget,
            api_key_file=api_key_file,
            remote_timeout=remote_timeout,
        )
        settings.candidates(model)
        identity = {
            "settings": asdict(settings),
            "model": model.describe(),
            "behavior": behavior.provenance() | parts.counts(),
        }
        path = Path(out) if out else default_folder(behavior.name, settings.model, identity)
        folder = RunFolder(path, identity, settings.command())
        lab = Lab(model, [behavior], settings, folder=folder.shards.folder, steps=steps)
        if not folder.done:
            folder.update(split=parts.ids(), versions=versions_here())
            with folder.remote_work(model):
                _compute(folder, lab, behavior.name, steps)
            folder.finish()
        with steps.step("write the report"):
            from caa_nnsight.analysis import write_report

            report = write_report(folder.path)
    return RunResult(folder.path, Path(report), folder.manifest["picked_layer"])


def _compute(folder: RunFolder, lab: Lab, name: str, steps: Steps) -> None:
    import pandas as pd

    behavior, vectors = lab.behaviors[name], lab.vectors(name)
    vectors.save(folder.path / "vectors.safetensors")
    picked = lab.layer(name)
    held_out = lab.held_out_scores(name)
    multipliers = lab.settings.multipliers
    generations = lab.generate(
        "examples",
        name,
        vectors,
        behavior.load_open_ended()[: lab.settings.open_ended],
        layers=[picked],
        multipliers=sorted({multipliers[0], 0.0, multipliers[-1]}),
        title="generate examples",
    )
    results = pd.concat([lab.validation_scores(name), held_out], ignore_index=True)
    folder.write_frame("results", results, csv=True)
    folder.write_frame("generations", generations)
    folder.update(
        picked_layer=picked,
        norms={str(layer): norm for layer, norm in vectors.norms().items()},
        way=lab.model.tracer.way,
        timings_seconds=steps.seconds,
        # Those of the data; the report works out its own from the scores.
        warnings=[issue.message for issue in behavior.check() if issue.level == "warning"],
    )
