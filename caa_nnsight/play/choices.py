"""What the page offers to steer with: behaviors, vectors, and folders of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caa_nnsight.errors import HubError, SteeringError
from caa_nnsight.hub.address import is_address
from caa_nnsight.models.complaints import as_phrase
from caa_nnsight.registry import behavior_names, get_behavior

if TYPE_CHECKING:
    from caa_nnsight.vectors import SteeringVectors


@dataclass(frozen=True)
class Choice:
    """Something to steer with.

    Attributes:
        name: what the page calls it.
        address: a behavior's name or path, or the path of a vector file; either may be a
            repository on the Hub.
        is_file: whether `address` is of vectors; a behavior's vectors are extracted.
        picked: the layer that a run picked on its validation items, None where there was no run.
    """

    name: str
    address: str
    is_file: bool = False
    picked: int | None = None

    def load(self) -> SteeringVectors:
        """The vectors of a file.

        Raises:
            VectorError: it can't be read.
        """
        from caa_nnsight.vectors import SteeringVectors

        return SteeringVectors.load(self.address)

    def polarity(self) -> str:
        """What the positive direction means, in a sentence; empty where a file doesn't say.

        Raises:
            CAAError: the file or the behavior can't be loaded.
        """
        return self.load().meta.polarity if self.is_file else get_behavior(self.address).polarity


def find_choices(addresses: Sequence[str]) -> list[Choice]:
    """What is meant by the words of a command line; every behavior where there are none.

    Args:
        addresses: behaviors by name or path, vector files, repositories on the Hub with either of
            them, and folders of runs and studies.

    Raises:
        CAAError: one of them leads to nothing that steers.
    """
    if not addresses:
        return [Choice(name, name) for name in behavior_names()]
    found = [choice for address in addresses for choice in _choices_at(address)]
    names = [choice.name for choice in found]
    for name in names:
        if names.count(name) > 1:
            raise SteeringError(f"{name} is given twice: give each behavior, file or folder once.")
    return found


def _choices_at(address: str) -> list[Choice]:
    if address in behavior_names():
        # As everywhere: a folder of that name is meant where a slash says so.
        return [Choice(address, address)]
    path = Path(address).expanduser()
    if path.is_dir() and (path / "manifest.json").is_file():
        return _of_folder(path)
    if path.suffix == ".safetensors" or (path.is_file() and path.suffix != ".py"):
        choice = Choice(f"{path.stem} ({path})", str(path), is_file=True)
        choice.load()
        return [choice]
    if is_address(address):
        return [_on_hub(address)]
    return [Choice(get_behavior(address).name, address)]


def _on_hub(address: str) -> Choice:
    """A behavior, as everywhere; else vectors: the address doesn't say which it is."""
    try:
        return Choice(get_behavior(address).name, address)
    except HubError as error:
        no_behavior = error
    choice = Choice(address, address, is_file=True)
    try:
        choice.load()
    except HubError as error:
        raise HubError(
            f"There is no behavior at {address}, because {as_phrase(no_behavior)}; and there are "
            f"no vectors, because {as_phrase(error)}."
        ) from error
    return choice


def _of_folder(path: Path) -> list[Choice]:
    from caa_nnsight.analysis import load_run

    run = load_run(path)
    # By the behaviors' names, under which their vectors are saved; settings have their addresses.
    files = {
        name: path / "vectors.safetensors"
        if run.kind == "run"
        else path / "vectors" / f"{name}.safetensors"
        for name in run.picked_layers
    }
    found = [
        Choice(f"{name} ({path})", str(file), True, run.picked_layers[name])
        for name, file in files.items()
        if file.is_file()
    ]
    if not found:
        raise SteeringError(f"{path} holds no vectors to steer with: give a run's folder.")
    return found
