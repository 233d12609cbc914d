"""A behavior in a repository on the Hub, or in a folder that is a copy of one."""

from __future__ import annotations

import os

from caa_nnsight.behavior import Behavior
from caa_nnsight.hub.address import parse_address
from caa_nnsight.hub.behavior_files import read_behavior, write_behavior
from caa_nnsight.hub.places import local_folder
from caa_nnsight.hub.repositories import BEHAVIOR, CARD, Pushed, fetch_files, push_files


def push_behavior(
    behavior: Behavior,
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    token: str | None = None,
) -> Pushed:
    """Push a behavior's data with their card; see `Behavior.push_to_hub`."""
    from caa_nnsight.hub.behavior_card import behavior_card

    address = parse_address(repo_id, revision)
    files = write_behavior(behavior)
    files[CARD] = behavior_card(behavior, address.repo).encode()
    return push_files(
        address, BEHAVIOR, files, private=private, commit_message=commit_message, token=token
    )


def load_from(
    place: str | os.PathLike[str], *, revision: str | None = None, token: str | None = None
) -> Behavior:
    """Build a behavior from a repository or a folder; see `Behavior.from_pretrained`."""
    folder = local_folder(place, revision)
    shown = str(folder)
    if folder is None:
        address = parse_address(os.fspath(place), revision)
        folder = fetch_files(address, BEHAVIOR, token=token)
        shown = str(address)
    return read_behavior(folder, shown)
