"""Studies: experiments on one model and some behaviors, kept in a folder with one report.

As `experiment`, this module sits on top of the core and reaches into `analysis`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caa_nnsight.errors import CAAError, RemoteError, RunError
from caa_nnsight.lab import Lab, by_name
from caa_nnsight.pairs import balance_letters
from caa_nnsight.progress import Steps, progress_steps
from caa_nnsight.run_pairs import behavior_over
from caa_nnsight.runs import RunFolder, default_folder
from caa_nnsight.settings import LabSettings, ModelSettings, command_line
from caa_nnsight.suggest import did_you_mean
from caa_nnsight.versions import versions_here

if TYPE_CHECKING:
    from caa_nnsight.behavior import Behavior
    from caa_nnsight.run_pairs import RunPairs

# Those of the paper, which ship.
PAPER_BEHAVIORS = (
    "coordination",
    "corrigibility",
    "hallucination",
    "myopic-reward",
    "survival-instinct",
    "sycophancy",
    "refusal",
)


def experiment_names() -> tuple[str, ...]:
    """The experiments that there are, in the order of a report.

    Example:
        >>> experiment_names()[0]
        'layer-sweep'
    """
    from caa_nnsight.analysis.experiments import NAMES

    return NAMES


@dataclass(frozen=True, kw_only=True)
class StudySettings(LabSettings, ModelSettings):
    """Every setting that a study's results depend on; see the two that it is made of.

    Attributes:
        behaviors: names, or paths of files or folders that hold one each; those of the paper by
            default.
        experiments: names of experiments; all by default.
        source: data of others in place of the behaviors' own; see `Behavior.with_source`.

    Raises:
        RunError: no such experiment, or no behavior.
        SteeringError: another setting is out of range.

    Example:
        >>> StudySettings(behaviors=("refusal",), experiments=("damage",), seed=1).command()
        'caa experiment damage refusal --seed=1'
    """

    behaviors: tuple[str, ...] = PAPER_BEHAVIORS
    experiments: tuple[str, ...] = ()
    source: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.behaviors:
            raise RunError("A study needs a behavior: give at least one.")
        known = experiment_names()
        object.__setattr__(self, "experiments", tuple(self.experiments) or known)
        for name in self.experiments:
            if name not in known:
                raise RunError(
                    f"There is no experiment {name!r}: use {', '.join(known)}."
                    + did_you_mean(name, known)
                )

    def command(self) -> str:
        """The command line that runs this again."""
        without = {"behaviors", "experiments"}
        if self.experiments == experiment_names():
            return command_line(["caa", "reproduce", *self.behaviors], self, without)
        names = ",".join(self.experiments)
        return command_line(["caa", "experiment", names, *self.behaviors], self, without)


@dataclass(frozen=True)
class StudyResult:
    """Where a finished study is and what it found.

    Attributes:
        folder: the study's folder; `load_run` reads its frames.
        report: the self-contained HTML page.
        skipped: experiments that could not be run, by name, with the reason.
    """

    folder: Path
    report: Path
    skipped: dict[str, str]


def study(
    settings: StudySettings,
    out: str | Path | None = None,
    *,
    memory_budget: float | None = None,
    api_key_file: str | Path | None = None,
    remote_timeout: float | None = None,
    quiet: bool = False,
) -> StudyResult:
    """Run experiments on a model and behaviors, and write a folder with their frames and a report.

    A study that was killed goes on where it was when it is started again with the same settings.
    Of several experiments, one that lacks something, such as a judge, is left out, and the report
    says why.

    Args:
        settings: what to do.
        out: the folder; by default named after the experiments, the model and the settings.
        memory_budget, api_key_file, remote_timeout: see `load`; no result depends on them.
        quiet: no progress bars.

    Returns:
        the folder, its report, and what was left out.

    Raises:
        CAAError: anything about the settings, the data, the model or the folder is unusable, or
            the only experiment lacks something.

    Example:
        >>> import caa_nnsight as caa
        >>> settings = caa.StudySettings(
        ...     behaviors=("refusal",), experiments=("layer-sweep",), model="smollm2-135m",
        ...     layers=(12,), limit=8, held_out=2, controls=1,
        ... )
        >>> caa.study(settings, "runs/sweep", quiet=True).report.name
        'report.html'
    """
    named = by_name([behavior_over(name, source=settings.source) for name in settings.behaviors])
    behaviors = list(named.values())
    parts = {name: settings.divide(behavior) for name, behavior in named.items()}
    for own in parts.values():
        # Data that can't be used are refused before the model is loaded.
        balance_letters(own.generation, settings.balance, settings.seed)
    with progress_steps(quiet) as steps:
        model = settings.load(
            steps,
            memory_budget=memory_budget,
            api_key_file=api_key_file,
            remote_timeout=remote_timeout,
        )
        settings.candidates(model)
        identity = {
            "settings": asdict(settings) | {"file_hashes": _file_hashes(settings)},
            "model": model.describe(),
            "behavior": {name: _record(named[name], own) for name, own in parts.items()},
        }
        experiments = settings.experiments
        label = experiments[0] if len(experiments) == 1 else "study"
        path = Path(out) if out else default_folder(label, settings.model, identity)
        if not (path / "manifest.json").exists():
            _refuse_if_none_can_run(Lab(model, behaviors, settings))
        folder = RunFolder(path, identity, settings.command())
        if not folder.done:
            lab = Lab(model, behaviors, settings, folder=folder.shards.folder, steps=steps)
            folder.update(kind="study", versions=versions_here())
            with folder.remote_work(model):
                _compute(folder, lab, steps)
            folder.finish()
        with steps.step("write the report"):
            from caa_nnsight.analysis import write_report

            report = write_report(folder.path)
    return StudyResult(folder.path, Path(report), folder.manifest["skipped"])


def _record(behavior: Behavior, parts: RunPairs) -> dict:
    """What results on a behavior depend on."""
    texts = (
        behavior.positive_system_prompt,
        behavior.negative_system_prompt,
        behavior.judge_rubric,
    )
    own = {"prompts_hash": hashlib.sha256(repr(texts).encode("utf-8", "replace")).hexdigest()}
    return behavior.provenance() | parts.counts() | own


def _file_hashes(settings: StudySettings) -> dict[str, str]:
    """SHA-256 of the files that settings name.

    Raises:
        RunError: one can't be read.
    """
    hashes = {}
    for name in ("mmlu", "truthful_qa", "texts"):
        path = getattr(settings, name)
        if path is None:
            continue
        try:
            hashes[name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            raise RunError(
                f"--{name.replace('_', '-')} {path} can't be read ({error.strerror}): give the "
                "path of a file."
            ) from error
    return hashes


def _refuse_if_none_can_run(lab: Lab) -> None:
    """Before there is a folder: every experiment lacks something.

    Raises:
        CAAError: what the first of them lacks.
    """
    from caa_nnsight.analysis.experiments import get_experiment

    missing = []
    for name in lab.settings.experiments:
        missing.append(get_experiment(name).lacks(lab))
        if not missing[-1]:
            return
    raise RunError(missing[0])


def _compute(folder: RunFolder, lab: Lab, steps: Steps) -> None:
    from caa_nnsight.analysis.experiments import get_experiment

    names = lab.settings.experiments
    done, skipped = [], {}
    for name in names:
        experiment = get_experiment(name)
        try:
            missing = experiment.lacks(lab)
            if missing:
                raise RunError(missing)
            frames = experiment.run(lab)
        except RemoteError:
            raise
        except CAAError as error:
            if len(names) == 1:
                raise
            skipped[name] = str(error)
            continue
        for key, frame in frames.items():
            folder.write_frame(f"{name}/{key}", frame)
        done.append(name)
    if not done:
        raise RunError(f"None of the experiments could be run: {next(iter(skipped.values()))}")
    (folder.path / "vectors").mkdir(exist_ok=True)
    for name in lab.behaviors:
        lab.vectors(name).save(folder.path / "vectors" / f"{name}.safetensors")
    folder.update(
        experiments=done,
        skipped=skipped,
        picked_layers={name: lab.layer(name) for name in lab.behaviors},
        split={name: lab.pairs(name).ids() for name in lab.behaviors},
        norms={
            name: {str(layer): norm for layer, norm in lab.vectors(name).norms().items()}
            for name in lab.behaviors
        },
        way=lab.model.tracer.way,
        timings_seconds=steps.seconds,
        warnings=[
            f"{behavior.name}: {issue.message}"
            for behavior in lab.behaviors.values()
            for issue in behavior.check()
            if issue.level == "warning"
        ],
    )
