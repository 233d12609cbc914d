"""Vectors in a repository on the Hub, or in a folder that is a copy of one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from caa_nnsight.errors import VectorError
from caa_nnsight.hub.address import Address, parse_address
from caa_nnsight.hub.places import local_folder
from caa_nnsight.hub.repositories import CARD, VECTORS, Pushed, fetch_files, push_files

if TYPE_CHECKING:
    from caa_nnsight.models import Model
    from caa_nnsight.vectors import SteeringVectors


def push_vectors(
    vectors: SteeringVectors,
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    license: str | None = None,
    results: Any = None,
    damage: Any = None,
    token: str | None = None,
) -> Pushed:
    """Push vectors with their card; see `SteeringVectors.push_to_hub`."""
    from caa_nnsight.hub.vectors_card import vectors_card

    address = parse_address(repo_id, revision)
    figures = None
    if results is not None or damage is not None:
        # Statistics lie in a room above this one, and are asked for only when they are needed.
        from caa_nnsight.card_figures import figures as work_out

        figures = work_out(vectors, results, damage)
    with TemporaryDirectory() as folder:
        content = vectors.save(Path(folder) / VECTORS.main).read_bytes()
    files = {
        VECTORS.main: content,
        CARD: vectors_card(vectors, address.repo, license=license, figures=figures).encode(),
    }
    if figures:
        files["results.json"] = (json.dumps(figures, indent=2, ensure_ascii=False) + "\n").encode()
    return push_files(
        address, VECTORS, files, private=private, commit_message=commit_message, token=token
    )


def read_vectors(
    place: str | os.PathLike[str],
    *,
    revision: str | None = None,
    model: Model | None = None,
    token: str | None = None,
) -> SteeringVectors:
    """Read vectors from a repository or a folder; see `SteeringVectors.from_pretrained`."""
    from caa_nnsight.vectors import SteeringVectors

    folder = local_folder(place, revision)
    address: Address | None = None
    if folder is None:
        address = parse_address(os.fspath(place), revision)
        folder = fetch_files(address, VECTORS, token=token)
    file = folder / VECTORS.main
    try:
        return SteeringVectors.load(file, model=model)
    except VectorError as error:
        if address is None:
            raise
        # The user named a repository, and knows nothing of a folder in the cache.
        shown = f"{VECTORS.main} of {address}"
        raise VectorError(str(error).replace(str(file), shown)) from error
