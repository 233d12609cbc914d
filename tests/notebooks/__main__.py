"""Execute a notebook and keep its outputs: `python -m tests.notebooks method` or `ndif`.

The second one starts an NDIF server on this machine, as the tests do.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.notebooks.executing import execute, read, write


def main(name: str) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if name == "ndif":
            from tests.notebooks.ndif_server import server_that_checks_keys

            stack.enter_context(server_that_checks_keys())
        write(name, execute(read(name), folder))


if __name__ == "__main__":
    main(sys.argv[1])
