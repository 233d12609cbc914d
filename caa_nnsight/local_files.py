"""Behaviors in a Python file or folder that the user names, and in no other."""

import hashlib
import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType

from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import BehaviorError
from caa_nnsight.suggest import did_you_mean


def load_behaviors(path: str | Path) -> list[Behavior]:
    """Load every behavior in a .py file, a package, or a folder of .py files.

    The code is executed. Classes whose name starts with an underscore, and imported ones, are
    left out. In a folder of several files, one that fails gives a warning and is skipped.

    Args:
        path: Relative paths start at the working directory.

    Raises:
        BehaviorError: If nothing is there, nothing can be loaded, there is no behavior in it, or
            two have the same name.

    Example:
        >>> [behavior.name for behavior in load_behaviors("tea.py")]
        ['tea']
    """
    target = Path(path).expanduser().resolve()
    if not target.exists():
        near = did_you_mean(target.name, _names_beside(target))
        raise BehaviorError(f"There is no file or folder {target} to load behaviors from.{near}")
    if target.is_dir() and not (target / "__init__.py").is_file():
        behaviors = _from_folder(target)
    elif target.is_dir() or target.suffix == ".py":
        behaviors = _from_module(target)
    else:
        raise BehaviorError(
            f"{target} is no behavior: a behavior is a .py file, or a folder with one (`caa "
            "behaviors new` begins one; a behavior that there is takes a data file by `with_data`)."
        )
    if not behaviors:
        raise BehaviorError(
            f"{target} defines no behavior; write a class that derives from "
            "`caa_nnsight.Behavior`, its name without a leading underscore."
        )
    seen: dict[str, Behavior] = {}
    for behavior in behaviors:
        other = seen.setdefault(behavior.name, behavior)
        if other is not behavior:
            raise BehaviorError(
                f"{target} defines two behaviors named {behavior.name!r}: "
                f"{_origin(other)} and {_origin(behavior)}; rename one."
            )
    return behaviors


def load_behavior(address: str) -> Behavior:
    """Load the one behavior at "PATH", or the one of that name at "PATH:NAME".

    Raises:
        BehaviorError: As `load_behaviors`, and if the address leaves open which one is meant.
    """
    path, colon, name = address.rpartition(":")
    if not colon or Path(address).exists() or not Path(path).expanduser().exists():
        path, name = address, ""
    behaviors = load_behaviors(path)
    names = [behavior.name for behavior in behaviors]
    if name:
        if name not in names:
            raise BehaviorError(
                f"{path} has no behavior {name!r}; it has {', '.join(sorted(names))}."
                f"{did_you_mean(name, names)}"
            )
        return behaviors[names.index(name)]
    if len(behaviors) > 1:
        raise BehaviorError(
            f"{path} has {len(behaviors)} behaviors ({', '.join(sorted(names))}); say which one, "
            f"as in {path}:{names[0]}."
        )
    return behaviors[0]


def _from_folder(folder: Path) -> list[Behavior]:
    parts = sorted(
        part
        for part in folder.iterdir()
        if not part.name.startswith(("_", "."))
        and (part.suffix == ".py" or (part / "__init__.py").is_file())
    )
    behaviors: list[Behavior] = []
    problems: list[str] = []
    for part in parts:
        try:
            behaviors += _from_module(part)
        except BehaviorError as error:
            problems.append(str(error))
    if problems and not behaviors:
        raise BehaviorError(problems[0])
    for problem in problems:
        warnings.warn(f"A behavior was skipped: {problem}", stacklevel=4)
    return behaviors


def _from_module(path: Path) -> list[Behavior]:
    module = _execute(path)
    # By identity, as one class may stand in the module under several names.
    found = {
        id(value): value
        for value in vars(module).values()
        if isinstance(value, Behavior) or _is_defined_in(value, module)
    }
    try:
        return [value() if isinstance(value, type) else value for value in found.values()]
    except Exception as error:
        cause = str(error).rstrip(".") if isinstance(error, BehaviorError) else cause_of(error)
        raise BehaviorError(f"{path} can't be loaded: {cause}.") from error


def _execute(path: Path) -> ModuleType:
    """Run a file, or a package's `__init__.py`, under a module name that is the path's own."""
    is_package = path.is_dir()
    file = path / "__init__.py" if is_package else path
    digest = hashlib.sha256(str(path).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    name = f"caa_nnsight_local_{path.stem.replace('.', '_')}_{digest}"
    for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
        del sys.modules[loaded]
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=[str(path)] if is_package else None
    )
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs, as imports inside the package and paths beside it need it.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BehaviorError(f"{file} can't be loaded: {cause_of(error)}.") from error
    return module


def cause_of(error: BaseException) -> str:
    """Return an error's type and first line, as a part of a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _is_defined_in(value: object, module: ModuleType) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, Behavior)
        and not value.__name__.startswith("_")
        and f"{value.__module__}.".startswith(f"{module.__name__}.")
    )


def _origin(behavior: Behavior) -> str:
    cls = type(behavior)
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return f"{cls.__qualname__} ({file})" if file else cls.__qualname__


def _names_beside(target: Path) -> list[str]:
    if not target.parent.is_dir():
        return []
    return [other.name for other in target.parent.iterdir()]
