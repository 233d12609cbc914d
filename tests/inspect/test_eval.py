"""Inspect itself runs a task steered, in this process and by its command line."""

import json
import subprocess
import sys
from pathlib import Path
from shutil import copy

import pytest

import caa_nnsight as caa

pytestmark = pytest.mark.slow

TASK = Path(__file__).with_name("truthful_task.py")


@pytest.fixture
def questions(inspect_ai):
    """A task of three questions."""
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate

    samples = [Sample(input=f"the sky at {hour}", target="second") for hour in ("1", "2", "3")]
    return Task(dataset=samples, solver=generate(), scorer=includes())


def test_inspect_finds_the_provider_by_its_entry_point_and_runs_a_task_steered(
    questions, tiny_folder, vectors, vector_file, tmp_path
):
    from inspect_ai import eval

    (log,) = eval(
        questions,
        model=f"caa/{tiny_folder}",
        model_args={"vectors": str(vector_file), "layers": 1, "multiplier": 3},
        max_tokens=6,
        log_dir=str(tmp_path),
        display="none",
    )
    assert log.status == "success", log.error
    model = caa.load(tiny_folder)
    asked = [sample.input for sample in log.samples]
    expected = caa.generate(model, asked, vectors, layers=[1], multipliers=[3], max_new_tokens=6)
    assert [sample.output.completion for sample in log.samples] == list(expected["text"])
    assert log.eval.model_args["multiplier"] == 3
    (usage,) = log.stats.model_usage.values()
    assert usage.input_tokens > 0
    scores = [sample.scores["includes"].value for sample in log.samples]
    assert scores == ["C" if "second" in text else "I" for text in expected["text"]]


def completion(question: str, folder, log_dir, vectors: Path, multiplier: float, **settings) -> str:
    """What Inspect's `eval` has a steered model answer."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample

    (log,) = eval(
        Task(dataset=[Sample(input=question)]),
        model=f"caa/{folder}",
        model_args={"vectors": str(vectors), "layers": 1, "multiplier": multiplier},
        max_tokens=6,
        log_dir=str(log_dir),
        display="none",
        **settings,
    )
    assert log.status == "success", log.error
    assert log.eval.model_base_url is None
    return log.samples[0].output.completion


def test_inspects_cache_tells_multipliers_and_vectors_apart(
    inspect_ai, tiny_folder, vectors, tmp_path, monkeypatch
):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    path = vectors.save(tmp_path / "v.safetensors")

    def answers(**settings) -> list[str]:
        return [
            completion("the sky at 1", tiny_folder, tmp_path, path, multiplier, **settings)
            for multiplier in (-5, 0, 5)
        ]

    fresh = answers()
    assert len(set(fresh)) == 3
    assert answers(cache=True) == fresh
    (-vectors).save(path)
    assert answers(cache=True) == fresh[::-1]
    kept = sum(each.is_file() for each in (tmp_path / "cache").rglob("*"))
    assert answers(cache=True) == fresh[::-1]
    assert sum(each.is_file() for each in (tmp_path / "cache").rglob("*")) == kept


def test_vectors_whose_file_was_replaced_are_read_again(inspect_ai, tiny_folder, vectors, tmp_path):
    """Inspect keeps models by their arguments, and the file's name is still the same."""
    path = vectors.save(tmp_path / "v.safetensors")
    first = completion("the sky at 1", tiny_folder, tmp_path, path, 5)
    (-vectors).save(path)
    second = completion("the sky at 1", tiny_folder, tmp_path, path, 5)
    assert second != first
    assert second == completion("the sky at 1", tiny_folder, tmp_path, path, 5)
    vectors.save(path)
    assert completion("the sky at 1", tiny_folder, tmp_path, path, 5) == first


def inspect_eval(folder: Path, name: str, *words: str) -> tuple[str, dict | None]:
    """What `inspect eval` of the task in `tasks/` says, and its log if there is one."""
    (folder / "tasks").mkdir(exist_ok=True)
    copy(TASK, folder / "tasks")
    command = [sys.executable, "-m", "inspect_ai", "eval", f"tasks/{TASK.name}", *words]
    command += ["--display", "plain", "--log-dir", name, "--log-format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    logs = [json.loads(path.read_text("utf-8")) for path in (folder / name).glob("*.json")]
    return " ".join((done.stdout + done.stderr).split()), logs[0] if logs else None


def test_on_the_command_line_a_wrong_argument_is_one_sentence(inspect_ai, tiny_folder, tmp_path):
    said, log = inspect_eval(tmp_path, "logs", "--model", f"caa/{tiny_folder}", "-M", "layer=1")
    assert log is None
    assert "no argument 'layer'" in said
    assert "Traceback" not in said


@pytest.mark.weights
def test_on_the_command_line_a_real_model_is_steered_and_unsteered_it_is_that_of_inspect(
    inspect_ai, tmp_path
):
    """Inspect's own multiple-choice solver and scorer, a real model, `caa/` beside `hf/`."""
    model = caa.load("smollm2-135m", device="cpu", dtype="float32")
    refusal = caa.get_behavior("refusal").split(seed=0, generation=8, held_out=2)
    vectors = caa.extract(model, refusal.generation, layers=[14])
    vectors.save(tmp_path / "refusal.safetensors")
    # Seen from where the command is given, not from where the task is.
    steered = ("-M", "vectors=refusal.safetensors", "-M", "layers=14")
    runs = {
        "plain": ("caa/smollm2-135m", "-M", "dtype=float32"),
        "zero": ("caa/smollm2-135m", "-M", "dtype=float32", *steered, "-M", "multiplier=0"),
        "steered": ("caa/smollm2-135m", "-M", "dtype=float32", *steered, "-M", "multiplier=8"),
        "hf": (f"hf/{model.module.name_or_path}", "-M", "dtype=float32", "-M", "do_sample=false"),
    }
    found = {}
    for name, (which, *arguments) in runs.items():
        said, log = inspect_eval(tmp_path, name, "--model", which, *arguments, "--max-tokens", "12")
        assert log, said
        assert log["status"] == "success", said
        texts = [sample["output"]["choices"][0]["message"]["content"] for sample in log["samples"]]
        (score,) = log["results"]["scores"]
        found[name] = texts, score["metrics"]["accuracy"]["value"]
    assert found["plain"] == found["zero"] == found["hf"]
    assert found["steered"][0] != found["plain"][0]
