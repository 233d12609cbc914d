"""Scripts of the folder `inside/`, run by another environment's interpreter."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np

from tests.packaging.project import ROOT

INSIDE = Path(__file__).with_name("inside")


def call(python: Path, script: str, folder: Path, **request: object) -> dict[str, np.ndarray]:
    """Run a script in `folder` and return the arrays that it leaves in `answer.npz`.

    Args:
        python: the interpreter.
        script: a file of `inside/`.
        folder: where it runs.
        request: what it finds as JSON in its only argument.
    """
    answer = folder / "answer.npz"
    answer.unlink(missing_ok=True)
    environment = {
        **os.environ,
        # The checkout, for scripts that use this package too.
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [str(python), str(INSIDE / script), json.dumps(request)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(answer) as arrays:
        return dict(arrays)
