"""Behaviors by name: installed plugins, classes registered in this session, and local files."""

import inspect
import os
import warnings
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import BehaviorError
from caa_nnsight.hub.address import is_address
from caa_nnsight.local_files import cause_of, load_behavior, load_behaviors
from caa_nnsight.suggest import did_you_mean

ENTRY_POINT_GROUP = "caa_nnsight.behaviors"

__all__ = [
    "BehaviorListing",
    "behavior_names",
    "behavior_origin",
    "get_behavior",
    "installed_behaviors",
    "list_behaviors",
    "load_behaviors",
    "register",
]

_registered: dict[str, list[type[Behavior]]] = {}


@dataclass(frozen=True, slots=True)
class BehaviorListing:
    """A row of what is installed.

    Attributes:
        name: The name that `get_behavior` takes.
        origin: Where it comes from: distribution, version and object, or the registered class.
        behavior: The behavior, or None where it can't be loaded.
        problem: Why it can't be loaded, or None.
    """

    name: str
    origin: str
    behavior: Behavior | None
    problem: str | None


def register(cls: type[Behavior]) -> type[Behavior]:
    """Make a behavior class known by its name for the rest of the session.

    Running a notebook's cell again replaces the class.

    Raises:
        BehaviorError: If the class is no complete behavior.

    Examples:
        >>> @register
        ... class Tea(Behavior):
        ...     name = "tea"
        ...     description = "Whether the assistant prefers tea."
        ...     polarity = "Positive means that it prefers tea."
        ...     pairs = [{"question": "A drink?", "positive": "Tea", "negative": "Coffee"}]
        >>> get_behavior("tea").polarity
        'Positive means that it prefers tea.'
    """
    if not (isinstance(cls, type) and issubclass(cls, Behavior)):
        raise BehaviorError(
            f"@register is for classes that derive from `caa_nnsight.Behavior`, and "
            f"{getattr(cls, '__name__', cls)!r} does not."
        )
    name = cls().name
    place = (cls.__module__, cls.__qualname__)
    others = [
        other
        for other in _registered.get(name, [])
        if (other.__module__, other.__qualname__) != place
    ]
    _registered[name] = [*others, cls]
    return cls


def behavior_names() -> list[str]:
    """Return the names of all plugins and registered classes, sorted; nothing is imported.

    Example:
        >>> "refusal" in behavior_names()
        True
    """
    return sorted({*_entry_points(), *_registered})


def behavior_origin(name: str) -> str:
    """Return where a behavior comes from, without importing it.

    Raises:
        BehaviorError: If the name is unknown; a clash is described, not raised.
    """
    origins = [origin for origin, _ in _candidates(name)]
    if not origins:
        raise _unknown(name)
    return " and ".join(origins)


def get_behavior(name_or_path: str | os.PathLike[str] | Behavior | type[Behavior]) -> Behavior:
    """Return a behavior by name, or load it from a file, a folder or the Hugging Face Hub.

    Args:
        name_or_path: The name of a plugin or registered class; or a path, which is told by a
            slash, a leading "." or "~", or the ending ".py"; "PATH:NAME" picks one of several;
            or "hf:OWNER/NAME@REVISION", see `Behavior.from_pretrained`. A behavior, or a class
            of one, is taken as it is.

    Raises:
        HubError: If a repository on the Hub can't be read.
        BehaviorError: If nothing has that name, two plugins have it, it can't be loaded, or the
            path leads to no behavior.

    Example:
        >>> get_behavior("refusal").polarity
        'Positive means...'
    """
    if isinstance(name_or_path, Behavior):
        return name_or_path
    if isinstance(name_or_path, type) and issubclass(name_or_path, Behavior):
        return name_or_path()
    address = os.fspath(name_or_path)
    if is_address(address):
        return Behavior.from_pretrained(address)
    if isinstance(name_or_path, os.PathLike) or _is_path(address):
        return load_behavior(address)
    candidates = _candidates(address)
    if not candidates:
        raise _unknown(address)
    if len(candidates) > 1:
        origins = [origin for origin, _ in candidates]
        raise BehaviorError(
            f"{len(candidates)} behaviors are named {address!r}: {' and '.join(origins)}; "
            "uninstall or rename one, or name a file by its path."
        )
    return _load(address, *candidates[0])


def list_behaviors() -> list[BehaviorListing]:
    """Load every plugin and registered class; those that can't be loaded carry the problem."""
    rows = []
    for name in behavior_names():
        origin = behavior_origin(name)
        try:
            rows.append(BehaviorListing(name, origin, get_behavior(name), None))
        except BehaviorError as error:
            rows.append(BehaviorListing(name, origin, None, str(error)))
    return rows


def installed_behaviors() -> list[Behavior]:
    """Load every plugin and registered class; one that can't be loaded warns and is skipped."""
    behaviors = []
    for row in list_behaviors():
        if row.behavior is None:
            warnings.warn(f"A behavior was skipped: {row.problem}", stacklevel=2)
        else:
            behaviors.append(row.behavior)
    return behaviors


def _entry_points() -> dict[str, dict[str, EntryPoint]]:
    """Return the plugins by name and object; the same object declared twice is one plugin."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(point.name, {}).setdefault(point.value, point)
    return found


def _candidates(name: str) -> list[tuple[str, EntryPoint | type[Behavior]]]:
    """Return everything of a name, each with its origin."""
    found: list[tuple[str, EntryPoint | type[Behavior]]] = []
    for point in _entry_points().get(name, {}).values():
        dist = f"{point.dist.name} {point.dist.version}" if point.dist else "a plugin"
        found.append((f"{dist} ({point.value})", point))
    for cls in _registered.get(name, []):
        found.append((f"registered class {cls.__module__}.{cls.__qualname__}", cls))
    return found


def _load(name: str, origin: str, candidate: EntryPoint | type[Behavior]) -> Behavior:
    try:
        target = candidate.load() if isinstance(candidate, EntryPoint) else candidate
        behavior = target() if inspect.isclass(target) else target
    except (Exception, SystemExit) as error:
        cause = str(error).rstrip(".") if isinstance(error, BehaviorError) else cause_of(error)
        raise BehaviorError(f"Behavior {name!r} from {origin} can't be loaded: {cause}.") from error
    if not isinstance(behavior, Behavior):
        raise BehaviorError(
            f"Behavior {name!r} from {origin} can't be used: it is a "
            f"{type(behavior).__name__}, and not a class that derives from `caa_nnsight.Behavior`."
        )
    if behavior.name != name:
        raise BehaviorError(
            f"Behavior {name!r} from {origin} can't be used: it calls itself {behavior.name!r}; "
            "the name of the entry point has to be the same."
        )
    return behavior


def _unknown(name: str) -> BehaviorError:
    names = behavior_names()
    message = f"There is no behavior {name!r}.{did_you_mean(name, names)}"
    if os.path.isdir(name):
        message += f" To load the folder of that name, write .{os.sep}{name}"
    elif os.path.exists(name):
        message += " To make a behavior around a file of pairs, begin with `caa behaviors new`."
    elif "Did you mean" not in message:
        message += f" There are: {', '.join(names) or 'none'}."
    return BehaviorError(message)


def _is_path(address: str) -> bool:
    separators = [separator for separator in (os.sep, os.altsep, "/") if separator]
    return (
        any(separator in address for separator in separators)
        or address.startswith((".", "~"))
        or address.endswith(".py")
        or ".py:" in address
    )
