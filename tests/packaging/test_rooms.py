"""The rules of docs/architecture.md: who may import whom."""

from __future__ import annotations

from graphlib import TopologicalSorter

import caa_nnsight
from tests.packaging.project import imports, modules_on_disk

MODULES = modules_on_disk()
OUTER = ("caa_nnsight.behaviors", "caa_nnsight.analysis")
# These sit on top of all rooms.
ON_TOP = (
    "caa_nnsight.card_figures",
    "caa_nnsight.cli",
    "caa_nnsight.experiment",
    "caa_nnsight.lab",
    "caa_nnsight.play",
    "caa_nnsight.studies",
)
# What the outer rooms may use of the core, beside the names that `caa_nnsight` itself exports.
OPEN_TO_OUTER = {
    "caa_nnsight.behaviors": (),
    "caa_nnsight.analysis": tuple(
        f"caa_nnsight.{name}" for name in ("errors", "files", "frames", "runs")
    ),
}


def is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_the_core_imports_neither_behaviors_nor_analysis():
    found = [
        f"{module} imports {name}"
        for module, file in MODULES.items()
        if not is_in(module, OUTER) and not is_in(module, ON_TOP)
        for name, _ in imports(module, file)
        if is_in(name, OUTER)
    ]
    assert found == []


def test_what_sits_on_top_imports_the_outer_rooms_only_when_it_needs_them():
    found = [
        f"{module} imports {name}"
        for module, file in MODULES.items()
        if is_in(module, ON_TOP)
        for name, at_once in imports(module, file)
        if at_once and is_in(name, OUTER)
    ]
    assert found == []


def test_behaviors_and_analysis_use_only_what_the_core_offers_them():
    found = []
    for module, file in MODULES.items():
        for room, open_modules in OPEN_TO_OUTER.items():
            if not is_in(module, (room,)):
                continue
            for name, _ in imports(module, file):
                exported = name.removeprefix("caa_nnsight.") in caa_nnsight.__all__
                allowed = is_in(name, (room, *open_modules)) or exported
                if is_in(name, ("caa_nnsight",)) and not allowed:
                    found.append(f"{module} imports {name}")
    assert found == []


def test_only_the_tracer_speaks_nnsight():
    found = [
        f"{module} imports {name}"
        for module, file in MODULES.items()
        if not is_in(module, ("caa_nnsight.tracer",))
        for name, _ in imports(module, file)
        if is_in(name, ("nnsight",))
    ]
    assert found == []


def test_only_the_core_loads_torch_and_transformers():
    found = [
        f"{module} imports {name}"
        for module, file in MODULES.items()
        if is_in(module, OUTER)
        for name, _ in imports(module, file)
        if is_in(name, ("torch", "transformers", "safetensors", "datasets"))
    ]
    assert found == []


def test_modules_import_one_another_in_one_direction():
    graph = {}
    for module, file in MODULES.items():
        used = (_module_of(name) for name, at_once in imports(module, file) if at_once)
        # A package's __init__ gathers what is below it.
        graph[module] = {name for name in used if name and name != module}
    TopologicalSorter(graph).prepare()


def _module_of(name: str) -> str | None:
    if name in MODULES:
        return name
    parent = name.rpartition(".")[0]
    return parent if parent in MODULES else None
