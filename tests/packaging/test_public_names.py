"""Every public name is there, says what it is, and its examples are true."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

import caa_nnsight
import caa_nnsight.analysis
from tests.packaging.project import modules_on_disk

PUBLIC = [(caa_nnsight, name) for name in caa_nnsight.__all__]
PUBLIC += [(caa_nnsight.analysis, name) for name in caa_nnsight.analysis.__all__]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda value: str(value))
def test_public_names_resolve_and_are_documented(module, name):
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        documentation = (value.__doc__ or "").strip()
        assert documentation, f"{name} has no docstring"
        # What `dataclass` writes where nobody wrote one.
        assert not documentation.startswith(f"{name}("), f"{name} has no docstring of its own"


def test_dir_lists_the_public_names():
    assert set(caa_nnsight.__all__) <= set(dir(caa_nnsight))


def test_the_version_is_that_of_the_installed_distribution():
    from importlib.metadata import version

    assert caa_nnsight.__version__ == version("caa_nnsight")


@pytest.mark.parametrize("name", modules_on_disk())
def test_the_examples_in_docstrings_are_true(name):
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    report: list[str] = []
    for example in finder.find(module, module.__name__):
        runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)
