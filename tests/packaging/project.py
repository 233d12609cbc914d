"""What the tests of packaging and docs know of the checkout: its folders, modules and imports."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

# Where each room stands in a checkout, and what it is called once installed.
ROOMS = {
    "caa_nnsight": "caa_nnsight",
    "behaviors": "caa_nnsight.behaviors",
    "analysis": "caa_nnsight.analysis",
}


def packages_on_disk() -> dict[str, Path]:
    """Installed name -> folder, for every folder with an `__init__.py`."""
    found = {}
    for folder, name in ROOMS.items():
        for init in sorted((ROOT / folder).rglob("__init__.py")):
            inside = init.parent.relative_to(ROOT / folder).parts
            found[".".join((name, *inside))] = init.parent
    return found


def modules_on_disk() -> dict[str, Path]:
    """Installed name -> file, for every module."""
    modules = {}
    for package, folder in packages_on_disk().items():
        for file in sorted(folder.glob("*.py")):
            name = package if file.stem == "__init__" else f"{package}.{file.stem}"
            modules[name] = file
    return modules


def imports(module: str, file: Path) -> Iterator[tuple[str, bool]]:
    """Absolute names that a module imports, and whether that happens when it is imported.

    `from a import b` gives `a.b`; names for type checkers only are left out.
    """
    tree = ast.parse(file.read_text("utf-8"))
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    yield from _imports(tree.body, package, at_once=True)


def _imports(body: list[ast.stmt], package: str, at_once: bool) -> Iterator[tuple[str, bool]]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            yield from ((f"{source}.{alias.name}", at_once) for alias in node.names)
        else:
            inside = at_once and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from _imports(getattr(node, field, []), package, inside)
