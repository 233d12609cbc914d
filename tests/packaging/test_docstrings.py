"""Docstrings of public names say what is needed to use them without the source."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable

from caa_nnsight import errors
from tests.packaging.docstrings import Documented, public
from tests.packaging.project import modules_on_disk

NAMES = public()
TOP = [each for each in NAMES if not each.is_member]
# What only comes out of a call is shown where that call is.
SHOWN_BY = {
    "caa_nnsight.VectorMeta": "caa_nnsight.SteeringVectors",
    "caa_nnsight.RunResult": "caa_nnsight.run",
    "caa_nnsight.StudyResult": "caa_nnsight.study",
    "caa_nnsight.analysis.Finding": "caa_nnsight.analysis.conclude",
    "caa_nnsight.analysis.Run": "caa_nnsight.analysis.load_run",
    "caa_nnsight.analysis.experiments.Experiment": (
        "caa_nnsight.analysis.experiments.get_experiment"
    ),
    "caa_nnsight.analysis.judges.Usage": "caa_nnsight.analysis.judges.OpenAIJudge",
}


def missing(entries: Iterable[tuple[Documented, Iterable[str]]]) -> dict[str, list[str]]:
    return {each.name: sorted(lacking) for each, lacking in entries if lacking}


def test_every_public_name_and_member_has_a_docstring_that_begins_with_a_sentence():
    wrong = [
        each.name
        for each in NAMES
        # A dataclass without a docstring gets its signature for one.
        if not re.match(rf"(?!{each.name.rpartition('.')[2]}\()(.+\n)*.*[.:?]", each.text.strip())
    ]
    assert wrong == []


def test_every_parameter_of_a_public_name_is_explained():
    lacking = ((each, set(each.names) - each.entries("Args", "Attributes")) for each in TOP)
    assert missing(lacking) == {}


def test_every_parameter_of_a_method_is_named():
    lacking = (
        (each, [name for name in each.names if not re.search(rf"\b{name}\b", each.text)])
        for each in NAMES
        if each.is_member
    )
    assert missing(lacking) == {}


def test_no_parameter_is_explained_that_a_call_does_not_take():
    functions = [each for each in NAMES if callable(each.value)]
    surplus = (
        (each, each.own_entries("Args") - {parameter.name for parameter in each.parameters})
        for each in functions
    )
    assert missing(surplus) == {}


def test_every_error_that_is_raised_is_told():
    lacking = (
        (
            each,
            [
                name
                for name in each.raises
                if not each.entries("Raises") & {k.__name__ for k in getattr(errors, name).__mro__}
            ],
        )
        for each in NAMES
    )
    assert missing(lacking) == {}


def test_every_public_name_has_an_example():
    text = {each.name: each.text for each in TOP}
    without = [name for name in text if ">>>" not in text[SHOWN_BY.get(name, name)]]
    assert without == []


# Not for users: protocols of Python's own, what a subclass has to write, what is caught where it
# is called.
OTHER_RAISES = {
    ("caa_nnsight", "AttributeError"),
    ("caa_nnsight.analysis", "AttributeError"),
    ("caa_nnsight.analysis.experiments", "AttributeError"),
    ("caa_nnsight.analysis.judges", "AttributeError"),
    ("caa_nnsight.free_pairs", "NotImplementedError"),
    ("caa_nnsight.play.server", "KeyboardInterrupt"),
    ("caa_nnsight.remote.keys", "TypeError"),
    ("caa_nnsight.remote.ledger", "ValueError"),
    ("caa_nnsight.tracer.prefixes", "RuntimeError"),
}


def test_errors_that_are_raised_on_purpose_are_ours():
    assert {
        (module, name)
        for module, path in modules_on_disk().items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Raise) and node.exc
        if hasattr(builtins, name := getattr(getattr(node.exc, "func", node.exc), "id", ""))
    } == OTHER_RAISES
