"""The Hub that a server and its clients ask: serves ROOT/<organization>/<name>/ folders.

`python -m tests.ndif.hub ROOT PORT`. nnsight names a model by its repository on the Hub, so both
sides ask the Hub for it before anything runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.models.fake_hub import FakeHub


def serve(root: Path, port: int) -> None:
    """Answer until killed. Folders that appear later are served too."""

    def folder_of(repo: str) -> Path | None:
        folder = root / repo
        return folder if repo.count("/") == 1 and folder.is_dir() else None

    FakeHub(folder_of, port).server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
