"""Whether a user means a folder or a repository on the Hub."""

from __future__ import annotations

import os
from pathlib import Path

from caa_nnsight.errors import HubError
from caa_nnsight.hub.address import is_address


def local_folder(place: str | os.PathLike[str], revision: str | None = None) -> Path | None:
    """Return the folder that is meant, or None where a repository is.

    A folder that is there comes before a repository of that name; `hf:` means the repository.

    Raises:
        HubError: If it is written like a path and isn't there, is a file, or has a revision.
    """
    text = os.fspath(place)
    if is_address(text):
        return None
    folder = Path(text).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise HubError(
                f"The revision {revision!r} was given with the folder {folder}, but only "
                f"repositories have revisions: leave it out, or write hf:{text}."
            )
        return folder
    if folder.exists():
        raise HubError(f"{folder} is a file: give the folder that holds it.")
    if isinstance(place, os.PathLike) or text.startswith((".", "/", "~")):
        raise HubError(
            f"There is no folder {folder}: give one that was downloaded from the Hugging Face "
            "Hub, or OWNER/NAME."
        )
    return None
