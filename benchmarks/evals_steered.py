"""Evaluations of Inspect AI and lm-evaluation-harness under our vectors, beside their own models.

    python -m benchmarks.evals_steered data FOLDER --truthful-qa FILE --advanced-ai-risk FILE
    python -m benchmarks.evals_steered inspect inspect_evals/truthfulqa VECTORS --layer 14
    python -m benchmarks.evals_steered lm-eval truthfulqa_mc1 VECTORS --layer 14

The last two run a task once at each multiplier and once with the tool's own model on the same
weights, by the tool's own command line, and print a table in markdown. At multiplier 0 and for the
tool's own model, every answer (Inspect) or log-probability (lm-eval) is compared too.

Tasks get their data from the Hugging Face Hub. `data` is for machines without it: from two files of
the paper's repository (nrimsky/CAA: datasets/truthfulqa and datasets/test/myopic-reward) it makes
folders that are named as the data sets are, and that `datasets` takes before the Hub where `--data`
names the folder they are in.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import caa_nnsight as caa
from benchmarks.tables import table

LETTERS = "\n\nChoices:"
ASKED = "Please help me answer the following question.\n"


@dataclass(frozen=True)
class Run:
    """What one run of a tool gave.

    Attributes:
        scores: metric -> value.
        items: item -> what was written, or the log-probabilities of its choices.
    """

    scores: dict[str, float]
    items: dict[str, Any]


def main() -> None:
    options = parse()
    if options.command == "data":
        make_data(options)
        return
    if Path(options.model).exists():  # the commands run elsewhere
        options.model = str(Path(options.model).resolve())
    model = caa.load(options.model, device="cpu", dtype="float32")
    folder, layers_path = model.module.name_or_path, model.layers_path
    vectors = caa.SteeringVectors.load(options.vectors, model=model)
    del model
    options.logs.mkdir(parents=True, exist_ok=True)
    if options.command == "inspect":
        runs = inspect_runs(options, folder)
    else:
        runs = lm_eval_runs(options, folder, vectors, layers_path)
    print(f"\n{report(options, vectors, runs)}", flush=True)


# -- Inspect -----------------------------------------------------------------------------------


def inspect_runs(options: argparse.Namespace, folder: str) -> dict[str, Run]:
    def run(name: str, *words: str) -> Run:
        logs = options.logs / name
        shutil.rmtree(logs, ignore_errors=True)
        command = [*shlex.split(options.program or "inspect"), "eval", options.task, *words]
        command += ["--limit", str(options.limit), "--max-tokens", str(options.max_tokens)]
        command += ["--log-dir", str(logs.resolve()), "--log-format", "json", "--display", "plain"]
        call(command, options)
        return inspect_log(logs)

    steered = ["-M", f"vectors={options.vectors.resolve()}", "-M", f"layers={options.layer}"]
    found = {
        f"{multiplier:+g}": run(
            f"{multiplier:+g}",
            *("--model", f"caa/{options.model}", "-M", "dtype=float32", *steered),
            *("-M", f"multiplier={multiplier:g}"),
        )
        for multiplier in options.multipliers
    }
    found["hf"] = run(
        "hf", "--model", f"hf/{folder}", "-M", "dtype=float32", "-M", "do_sample=false"
    )
    return found


def inspect_log(logs: Path) -> Run:
    """Besides the task's own metrics, the share of answers that its scorer could read."""
    (log,) = [json.loads(path.read_text()) for path in logs.glob("*.json")]
    if log["status"] != "success":
        sys.exit(f"{logs}: {log['status']} ({log.get('error')})")
    own = {
        metric: value["value"]
        for score in log["results"]["scores"]
        for metric, value in score["metrics"].items()
    }
    read = mean(
        any(score.get("answer") for score in sample["scores"].values()) for sample in log["samples"]
    )
    items = {
        str(sample["id"]): [choice["message"]["content"] for choice in sample["output"]["choices"]]
        for sample in log["samples"]
    }
    return Run(own | {"answers read": read}, items)


# -- lm-evaluation-harness ---------------------------------------------------------------------


def lm_eval_runs(
    options: argparse.Namespace, folder: str, vectors: caa.SteeringVectors, layers_path: str
) -> dict[str, Run]:
    def run(name: str, kind: str, further: str = "") -> Run:
        logs = options.logs / name
        shutil.rmtree(logs, ignore_errors=True)
        command = [*shlex.split(options.program or "lm-eval"), "run", "--model", kind]
        command += ["--tasks", options.task]
        command += ["--model_args", f"pretrained={folder},dtype=float32{further}"]
        command += ["--limit", str(options.limit), "--batch_size", "8", "--device", "cpu"]
        command += ["--output_path", str(logs.resolve()), "--log_samples"]
        call(command, options)
        return lm_eval_log(logs, options.task)

    found = {}
    for multiplier in options.multipliers:
        path = options.logs / f"{multiplier:+g}.pt"
        caa.export_vectors(
            vectors,
            path,
            "lm-eval",
            layers=options.layer,
            multiplier=multiplier,
            layers_path=layers_path,
        )
        name = f"{multiplier:+g}"
        found[name] = run(name, "steered", f",steer_path={path.resolve()}")
    found["hf"] = run("hf", "hf")
    return found


def lm_eval_log(logs: Path, task: str) -> Run:
    """Besides the task's own metrics, the margin of the right choice before the next, in nats."""
    (results,) = logs.rglob("results_*.json")
    (samples,) = logs.rglob("samples_*.jsonl")
    scores = json.loads(results.read_text())["results"][task]
    logprobs, margins = {}, []
    for item in map(json.loads, samples.read_text().splitlines()):
        values = [float(pair[0]) for pair in item["filtered_resps"]]
        logprobs[str(item["doc_id"])] = values
        right = int(item["target"])
        margins.append(values[right] - max(values[:right] + values[right + 1 :]))
    own = {
        key.removesuffix(",none"): value for key, value in scores.items() if key.endswith(",none")
    }
    return Run(own | {"mean margin": mean(margins)}, logprobs)


# -- both --------------------------------------------------------------------------------------


def call(command: Sequence[str], options: argparse.Namespace) -> None:
    """Run a command; where it fails, stop with what it said."""
    print(f"$ {' '.join(command)}", file=sys.stderr, flush=True)
    done = subprocess.run(
        command,
        cwd=options.data,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-4000:]}")


def report(options: argparse.Namespace, vectors: caa.SteeringVectors, runs: dict[str, Run]) -> str:
    metrics = list(dict.fromkeys(metric for run in runs.values() for metric in run.scores))
    metrics = [each for each in metrics if isinstance(runs["hf"].scores.get(each), float | int)]
    rows = []
    for name, run in runs.items():
        values = [f"{run.scores[metric]:.3f}" for metric in metrics]
        changed = sum(run.items[item] != answer for item, answer in runs["hf"].items.items())
        label = "the tool's own `hf`" if name == "hf" else name
        rows.append([label, *values, f"{changed} of {len(run.items)}"])
    heading = ["multiplier", *metrics, "items unlike `hf`"]
    meta = vectors.meta
    about = (
        f"`{options.task}`, {len(runs['hf'].items)} items, {meta.behavior} "
        f"({meta.n_pairs} pairs) at layer {options.layer} of {meta.model}"
    )
    lines = [about, "", table(heading, rows)]
    if options.command == "lm-eval" and (zero := runs.get("+0")):
        worst = max(
            abs(ours - theirs)
            for item, values in runs["hf"].items.items()
            for ours, theirs in zip(zero.items[item], values, strict=True)
        )
        lines += ["", f"Largest difference of a log-probability at 0: {worst:.1e}"]
    return "\n".join(lines)


def make_data(options: argparse.Namespace) -> None:
    if options.truthful_qa:
        write_dataset(
            options.folder / "truthfulqa/truthful_qa",
            "multiple_choice",
            options.truthful_qa,
            _truthful_qa,
        )
    if options.advanced_ai_risk:
        write_dataset(
            options.folder / "EleutherAI/advanced_ai_risk",
            "human-myopic-reward",
            options.advanced_ai_risk,
            lambda record: record,
        )


def write_dataset(
    folder: Path, config: str, source: Path, convert: Callable[[dict], dict | None]
) -> None:
    """A folder that `datasets` reads under the name of a data set on the Hub."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for record in json.loads(source.read_text()) if (row := convert(record))]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "validation.jsonl").write_text(lines)
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- config_name: {config}\n  data_files:\n  - split: validation\n"
        "    path: validation.jsonl\n---\n"
    )
    print(f"{folder}: {len(rows)} items", file=sys.stderr)


def _truthful_qa(record: dict) -> dict | None:
    """A question without letters, and its two choices, the correct one first as on the Hub."""
    choices = [record["correct_full_text"].strip(), record["incorrect_full_text"].strip()]
    if not all(choices):
        return None
    question = record["prompt"].split(LETTERS)[0].removeprefix(ASKED).strip()
    targets = {"choices": choices, "labels": [1, 0]}
    return {"question": question, "mc1_targets": targets, "mc2_targets": targets}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="data for machines without the Hub")
    data.add_argument("folder", type=Path)
    data.add_argument("--truthful-qa", type=Path)
    data.add_argument("--advanced-ai-risk", type=Path)
    for name in ("inspect", "lm-eval"):
        tool = commands.add_parser(name, help=f"a task of {name}")
        tool.add_argument("task")
        tool.add_argument("vectors", type=Path)
        tool.add_argument("--layer", type=int, required=True)
        tool.add_argument("--model", default="qwen2.5-coder-0.5b")
        tool.add_argument(
            "--multipliers",
            type=lambda text: [float(part) for part in text.split(",")],
            default=[-1.0, 0.0, 1.0],
        )
        tool.add_argument("--limit", type=int, default=50, help="items")
        tool.add_argument("--max-tokens", type=int, default=16, help="of an answer (Inspect)")
        tool.add_argument("--program", help=f"the tool's command, {name} by default")
        tool.add_argument("--data", type=Path, help="a folder that `data` made")
        tool.add_argument("--logs", type=Path, default=Path("runs/evals"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
