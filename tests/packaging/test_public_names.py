"""Every public name is there, and the examples in docstrings are true."""

from __future__ import annotations

import doctest
import functools
from importlib import import_module
from importlib.metadata import version

import pytest

import caa_nnsight
from tests.analysis.fake_run import run_scores, write_run
from tests.experiments.labs import planted_pairs
from tests.experiments.test_capability import write_items
from tests.packaging.docstrings import PACKAGES
from tests.packaging.project import modules_on_disk

# What examples have in them that take seconds.
SLOW = ("smollm2-135m", "runs/small")
# What examples may be skipped for.
ELSEWHERE = ("push_to_hub(", "from_pretrained(", "remote=True")
SOURCES = {name: file.read_text("utf-8") for name, file in modules_on_disk().items()}
WITH_EXAMPLES = {name: text for name, text in SOURCES.items() if ">>> " in text}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
TEA = """
from caa_nnsight import Behavior

class Tea(Behavior):
    name = "tea"
    description = polarity = "Positive means tea."
    pairs = [{"question": "What will you have?", "positive": "Tea.", "negative": "Coffee."}]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what examples name: finished runs, files of items, a behavior."""
    folder = tmp_path_factory.mktemp("examples")
    for name, slope in (("small", 0.2), ("large", 0.4)):
        write_run(folder / "runs" / name, run_scores(slope, layers=[14]), model={"name": name})
    for name in ("mmlu", "truthful_qa"):
        write_items(folder / f"{name}.json", planted_pairs(4), ["abstract_algebra"] * 4)
    (folder / "tea.py").write_text(TEA, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _in_place(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("MPLBACKEND", "Agg")


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_resolve(package):
    module = import_module(package)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_dir_lists_the_public_names():
    assert set(caa_nnsight.__all__) <= set(dir(caa_nnsight))


def test_the_version_is_that_of_the_installed_distribution():
    assert caa_nnsight.__version__ == version("caa_nnsight")


def examples(name: str, *, slow: bool = False) -> list[doctest.DocTest]:
    """The examples of a module's docstrings, those that take seconds or the others."""
    module = import_module(name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module, module.__name__)
    return [each for each in found if each.examples and is_slow(source(each)) == slow]


def is_slow(text: str) -> bool:
    return any(part in text for part in SLOW)


def source(each: doctest.DocTest) -> str:
    return "".join(line.source for line in each.examples)


def run(found: list[doctest.DocTest]) -> None:
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    report: list[str] = []
    for each in found:
        runner.run(each, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_in_docstrings_are_true(name):
    run(examples(name))


@pytest.mark.slow
@pytest.mark.weights
def test_the_examples_that_take_seconds_are_true(monkeypatch):
    names = [name for name, text in WITH_EXAMPLES.items() if is_slow(text)]
    found = [each for name in names for each in examples(name, slow=True)]
    assert found
    # One model for all, for none of them changes it.
    once = functools.cache(caa_nnsight.load)
    for module in (caa_nnsight, *map(import_module, names)):
        if vars(module).get("load") is caa_nnsight.load:
            monkeypatch.setattr(module, "load", once)
    run(found)


def test_examples_are_skipped_only_for_the_hub_and_for_servers_and_are_python():
    names = [name for name, text in WITH_EXAMPLES.items() if "doctest: +SKIP" in text]
    skipped = [
        each
        for name in names
        for each in [*examples(name), *examples(name, slow=True)]
        if any(doctest.SKIP in line.options for line in each.examples)
    ]
    for each in skipped:
        compile(source(each), each.name, "exec")
    assert [each.name for each in skipped if not any(p in source(each) for p in ELSEWHERE)] == []
