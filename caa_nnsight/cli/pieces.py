"""`caa extract`, `score`, `generate`, `report` and `compare`: pieces of runs, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from caa_nnsight.cli import options as opt
from caa_nnsight.errors import BehaviorError, RunError, SteeringError
from caa_nnsight.settings import load_in_step

VectorsArgument = Annotated[
    Path, typer.Argument(help="A vector file that `caa extract` wrote, or hf:OWNER/NAME.")
]
# The same split for `extract` and `score`, so that nothing is tested on what made the vector.
HeldOutOption = Annotated[
    int | None, typer.Option(help="Number of held-out items, all by default.")
]


def extract(
    behavior: opt.BehaviorArgument,
    out: opt.OutOption = None,
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    layers: opt.LayersOption = None,
    limit: Annotated[int | None, typer.Option(help="Use at most this many pairs.")] = None,
    method: Annotated[
        str, typer.Option(help="mean_difference, pca_difference or logistic_regression.")
    ] = "mean_difference",
    balance: Annotated[
        str, typer.Option(help="Answer letters: stratify, both_orders or none.")
    ] = "stratify",
    system_prompt: Annotated[str | None, typer.Option(help="Put before every question.")] = None,
    source: opt.SourceOption = None,
    pairs: opt.PairsOption = None,
    held_out: HeldOutOption = None,
    held_out_pairs: opt.HeldOutPairsOption = None,
    seed: opt.SeedOption = 0,
    device: opt.DeviceOption = "auto",
    dtype: opt.DtypeOption = "auto",
    revision: opt.RevisionOption = None,
    layers_path: opt.LayersPathOption = None,
    device_map: opt.DeviceMapOption = None,
    memory_budget: opt.MemoryBudgetOption = None,
    remote: opt.RemoteOption = False,
    host: opt.HostOption = None,
    api_key_file: opt.ApiKeyFileOption = None,
    remote_timeout: opt.RemoteTimeoutOption = None,
    quiet: opt.QuietOption = False,
) -> None:
    """Extract a behavior's steering vectors into a safetensors file."""
    from caa_nnsight.run_pairs import behavior_over, split_at_most

    chosen = opt.parse_layers(layers)
    found = behavior_over(behavior, source=source, pairs=pairs, held_out=held_out_pairs)
    if limit is not None and limit < 1:
        raise SteeringError(f"--limit must be at least 1, but is {limit}.")
    if system_prompt and any(part.form == "system_prompts" for _, part in found.load_parts()):
        raise SteeringError(
            f"{found.name} has system-prompt pairs, which bring their own: leave --system-prompt "
            "out."
        )
    used = split_at_most(found, seed=seed, limit=limit, held_out=held_out).generation
    path = out or Path(f"{found.name}.safetensors")
    _refuse_unwritable(path)
    from caa_nnsight.extraction import extract as extract_vectors
    from caa_nnsight.progress import progress_steps

    with progress_steps(quiet) as steps:
        loaded = load_in_step(
            steps,
            model,
            device=device,
            dtype=dtype,
            revision=revision,
            layers_path=layers_path,
            device_map=device_map,
            memory_budget=memory_budget,
            remote=remote,
            host=host,
            api_key_file=api_key_file,
            remote_timeout=remote_timeout,
        )
        with steps.step("extract the vectors") as progress:
            vectors = extract_vectors(
                loaded,
                used,
                layers=chosen,
                method=method,
                balance=balance,
                system_prompt=system_prompt,
                seed=seed,
                behavior=found,
                progress=progress,
            )
        vectors.save(path)
    print(vectors)
    _print_traffic(loaded)
    print(f"Vectors: {path.resolve()}")


def score(
    vectors: VectorsArgument,
    behavior: opt.BehaviorArgument,
    layers: opt.LayersOption = None,
    multipliers: opt.MultipliersOption = "-1,0,1",
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    held_out: HeldOutOption = None,
    controls: Annotated[int, typer.Option(help="Number of random control vectors.")] = 0,
    system_prompt: Annotated[str | None, typer.Option(help="Put before every question.")] = None,
    source: opt.SourceOption = None,
    pairs: opt.PairsOption = None,
    held_out_pairs: opt.HeldOutPairsOption = None,
    out: opt.OutOption = None,
    seed: opt.SeedOption = 0,
    device: opt.DeviceOption = "auto",
    dtype: opt.DtypeOption = "auto",
    revision: opt.RevisionOption = None,
    layers_path: opt.LayersPathOption = None,
    device_map: opt.DeviceMapOption = None,
    memory_budget: opt.MemoryBudgetOption = None,
    remote: opt.RemoteOption = False,
    host: opt.HostOption = None,
    api_key_file: opt.ApiKeyFileOption = None,
    remote_timeout: opt.RemoteTimeoutOption = None,
    quiet: opt.QuietOption = False,
) -> None:
    """Score a behavior's held-out items; --out writes every row, as parquet or csv."""
    chosen, strengths = opt.parse_layers(layers), opt.parse_multipliers(multipliers)
    write = _frame_writer(out)
    from caa_nnsight.run_pairs import behavior_over
    from caa_nnsight.vectors import SteeringVectors, random_controls

    loaded_vectors = SteeringVectors.load(vectors)
    found = behavior_over(behavior, source=source, pairs=pairs, held_out=held_out_pairs)
    items = found.split(seed=seed, held_out=held_out).held_out
    if not items:
        raise BehaviorError(
            f"{found.name} has no held-out items to score: declare `held_out` pairs in it, or "
            "give --held-out-pairs."
        )
    from caa_nnsight.progress import progress_steps
    from caa_nnsight.sweep import score as score_items

    with progress_steps(quiet) as steps:
        loaded = load_in_step(
            steps,
            model,
            device=device,
            dtype=dtype,
            revision=revision,
            layers_path=layers_path,
            device_map=device_map,
            memory_budget=memory_budget,
            remote=remote,
            host=host,
            api_key_file=api_key_file,
            remote_timeout=remote_timeout,
        )
        named = {"behavior": loaded_vectors} | random_controls(loaded_vectors, controls, seed)
        with steps.step("score the held-out items") as progress:
            frame = score_items(
                loaded,
                items,
                named,
                layers=chosen,
                multipliers=strengths,
                system_prompt=system_prompt,
                condition="system prompt" if system_prompt else "none",
                progress=progress,
            )
    write(frame)
    from caa_nnsight.cli.tables import print_scores

    print_scores(frame)
    _print_traffic(loaded)


def generate(
    vectors: VectorsArgument,
    prompt: Annotated[list[str], typer.Argument(help="One or more prompts.")],
    layers: Annotated[str, typer.Option(help="Layer to steer, such as 13.")],
    multipliers: opt.MultipliersOption = "-1,0,1",
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    max_new_tokens: Annotated[int, typer.Option(help="Length of each answer.")] = 100,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Nucleus for sampling.")] = 1.0,
    system_prompt: Annotated[str | None, typer.Option(help="Put before every prompt.")] = None,
    out: opt.OutOption = None,
    seed: opt.SeedOption = 0,
    batch_size: Annotated[int, typer.Option(help="Answers written at once, at most.")] = 128,
    device: opt.DeviceOption = "auto",
    dtype: opt.DtypeOption = "auto",
    revision: opt.RevisionOption = None,
    layers_path: opt.LayersPathOption = None,
    device_map: opt.DeviceMapOption = None,
    memory_budget: opt.MemoryBudgetOption = None,
    remote: opt.RemoteOption = False,
    host: opt.HostOption = None,
    api_key_file: opt.ApiKeyFileOption = None,
    remote_timeout: opt.RemoteTimeoutOption = None,
    quiet: opt.QuietOption = False,
) -> None:
    """Answer prompts at several multipliers, side by side."""
    chosen, strengths = opt.parse_layers(layers), opt.parse_multipliers(multipliers)
    write = _frame_writer(out)
    if any(not text.strip() for text in prompt):
        raise SteeringError("A prompt is empty: give at least one word.")
    from caa_nnsight.generation import generate as generate_texts
    from caa_nnsight.progress import progress_steps
    from caa_nnsight.vectors import SteeringVectors

    loaded_vectors = SteeringVectors.load(vectors)
    with progress_steps(quiet) as steps:
        loaded = load_in_step(
            steps,
            model,
            device=device,
            dtype=dtype,
            revision=revision,
            layers_path=layers_path,
            device_map=device_map,
            memory_budget=memory_budget,
            remote=remote,
            host=host,
            api_key_file=api_key_file,
            remote_timeout=remote_timeout,
        )
        with steps.step("generate") as progress:
            frame = generate_texts(
                loaded,
                prompt,
                loaded_vectors,
                layers=chosen,
                multipliers=strengths,
                system_prompt=system_prompt,
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                top_p=top_p,
                seed=seed,
                batch_size=batch_size,
                progress=progress,
            )
    write(frame)
    from caa_nnsight.cli.tables import print_frame

    print_frame("Answers", frame[["prompt", "layer", "multiplier", "text"]])
    _print_traffic(loaded)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs or studies.")],
    out: opt.OutOption = None,
) -> None:
    """Compare runs: what steering changes in each, and the differences with their intervals.

    --out ends in .html for a page, or in .parquet or .csv for the rows.
    """
    page = out is not None and out.suffix == ".html"
    write = _frame_writer(None if page else out)
    if page:
        _refuse_unwritable(out)
    from caa_nnsight.analysis import compare_runs, load_run, write_comparison
    from caa_nnsight.cli.tables import print_comparison

    found = [load_run(run) for run in runs]
    frame = compare_runs(found)
    write(frame)
    print_comparison(frame)
    if page:
        print(f"Report: {Path(write_comparison(found, out)).resolve()}")


def report(run: Annotated[Path, typer.Argument(help="The folder of a finished run.")]) -> None:
    """Draw a finished run's figures and write its report again."""
    from caa_nnsight.analysis import write_report
    from caa_nnsight.runs import read_manifest

    manifest = read_manifest(run)
    if manifest["status"] != "done":
        raise RunError(f"The run in {run} hasn't ended: give `{manifest['command']}` again.")
    print(f"Report: {Path(write_report(run)).resolve()}")


def _print_traffic(loaded) -> None:
    if loaded.remote:
        print(f"Remote work: {loaded.remote.jobs.traffic}")


def _frame_writer(out: Path | None):
    """How to write a frame to `--out`; refuses before the work what can't be written after."""
    if out is None:
        return lambda frame: None
    if out.suffix not in (".parquet", ".csv"):
        raise RunError(f"--out {out} must end in .parquet or .csv.")
    _refuse_unwritable(out)
    from caa_nnsight.files import write_atomically

    def write(frame) -> None:
        method = frame.to_csv if out.suffix == ".csv" else frame.to_parquet
        write_atomically(out, lambda temporary: method(temporary, index=False))
        print(f"Rows: {out.resolve()}")

    return write


def _refuse_unwritable(path: Path) -> None:
    if not path.parent.is_dir():
        raise RunError(f"--out {path} lies in a folder that doesn't exist: create {path.parent}.")
    if path.is_dir():
        raise RunError(f"--out {path} is a folder: give the name of a file in it.")
