"""What a public name is, and what its docstring says: sections, entries, errors it may raise."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from caa_nnsight import errors

OURS = "caa_nnsight."
PACKAGES = (
    "caa_nnsight",
    "caa_nnsight.analysis",
    "caa_nnsight.analysis.experiments",
    "caa_nnsight.analysis.judges",
)
ERRORS = {
    name
    for name, value in vars(errors).items()
    if inspect.isclass(value) and name.endswith("Error")
}
# A section's title in its own line, and what is indented below it.
_SECTION = r"^(?P<indent> *){title}:\n(?P<body>(?:(?P=indent) +.*\n|\n)+)"


@dataclass(frozen=True)
class Documented:
    """A public function or class, or a public method or property of such a class.

    `inherited` are the docstrings of base classes, which a class goes on from.
    """

    name: str
    value: object
    inherited: str = ""

    @property
    def is_class(self) -> bool:
        return inspect.isclass(self.value)

    @property
    def is_member(self) -> bool:
        return self.name.rpartition(".")[0] not in PACKAGES

    @property
    def text(self) -> str:
        return (inspect.getdoc(self.value) or "") + "\n"

    def section(self, title: str) -> str:
        """What stands under a title, in this docstring and those that it goes on from."""
        return _section(f"{self.text}\n{self.inherited}\n", title)

    def entries(self, *titles: str) -> set[str]:
        """The names before the colons; an entry may have several."""
        return _names("\n".join(map(self.section, titles)))

    def own_entries(self, title: str) -> set[str]:
        """Of this docstring alone."""
        return _names(_section(self.text, title))

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """Names of the parameters; none of what isn't called, or is raised."""
        raised = self.is_class and issubclass(self.value, Exception)
        if raised or not callable(self.value):
            return []
        return [
            parameter
            for parameter in inspect.signature(self.value).parameters.values()
            if parameter.name not in ("self", "cls")
        ]

    @property
    def names(self) -> list[str]:
        """Of the parameters, but for `**any`: what stands for many is explained as many."""
        return [each.name for each in self.parameters if each.kind != each.VAR_KEYWORD]

    @property
    def raises(self) -> set[str]:
        """Errors of ours that its source raises, also through functions of the same module."""
        functions = [self.value]
        if self.is_class:
            own = vars(self.value)
            functions = [own.get(name) for name in ("__init__", "__post_init__")]
        elif isinstance(self.value, property):
            functions = [self.value.fget]
        # What `dataclass` writes has no source, and raises nothing.
        written = [each for each in functions if _file_of(each)]
        return {name for function in written for name in _raised(function)}


def public() -> list[Documented]:
    """Every function and class of `__all__`, and their public methods and properties."""
    return [each for package in PACKAGES for each in _public(package)]


def _public(package: str) -> Iterator[Documented]:
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isroutine(value):
            yield Documented(f"{package}.{name}", value)
        elif inspect.isclass(value):
            bases = [base for base in value.__mro__[1:] if base.__module__.startswith(OURS)]
            inherited = "\n\n".join(inspect.getdoc(base) or "" for base in bases)
            yield Documented(f"{package}.{name}", value, inherited)
            for member, each in vars(value).items():
                bound = each if isinstance(each, property) else getattr(value, member)
                if not member.startswith("_") and (
                    inspect.isroutine(bound) or isinstance(bound, property)
                ):
                    yield Documented(f"{package}.{name}.{member}", bound)


def _section(text: str, title: str) -> str:
    found = re.finditer(_SECTION.format(title=title), text, re.MULTILINE)
    return "\n".join(textwrap.dedent(match["body"]) for match in found)


def _names(section: str) -> set[str]:
    heads = (re.match(r"([*\w][*\w, ]*):", line) for line in section.splitlines())
    return {name.strip(" *") for head in heads if head for name in head[1].split(",")}


def _file_of(function: object) -> str | None:
    function = inspect.unwrap(getattr(function, "__func__", function)) if function else None
    code = getattr(function, "__code__", None)
    return code.co_filename if code and code.co_filename.endswith(".py") else None


def _raised(function: object) -> set[str]:
    """Names of our errors in a function and in what it calls by name in its own module."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    module = sys.modules[function.__module__]
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found, seen, open_ = set(), set(), [tree]
    while open_:
        for node in ast.walk(open_.pop()):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                found |= {getattr(node.exc.func, "id", "")} & ERRORS
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called = _functions(module).get(node.func.id)
                if called is not None and node.func.id not in seen:
                    seen.add(node.func.id)
                    open_.append(called)
    return found


@cache
def _functions(module: object) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
