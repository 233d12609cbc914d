"""Print what came of each fault as a table: `python -m tests.ndif.fault_table`."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Write the table to standard output, in Markdown."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from tests.ndif.faults import FAULTS, bench_on_a_new_server
    from tests.ndif.install import InstallError, install

    try:
        install()
    except InstallError as error:
        sys.exit(str(error))
    print("| fault | the user saw | tried again | nothing was lost | seconds |")
    print("|---|---|---|---|---:|")
    with (
        tempfile.TemporaryDirectory() as folder,
        bench_on_a_new_server(Path(folder).resolve()) as bench,
    ):
        for fault in FAULTS:
            began = time.monotonic()
            outcome = fault.produce(bench)
            seconds = f"{time.monotonic() - began:.0f}"
            saw = "<br>".join(outcome.saw) or "nothing out of order"
            _print_row(outcome.fault, saw, outcome.retried, outcome.kept, seconds)


def _print_row(*cells: str) -> None:
    # Ports are others every time.
    shown = (re.sub(r"//127\.0\.0\.1:\d+", "//127.0.0.1:…", cell) for cell in cells)
    print("| " + " | ".join(cell.replace("|", "\\|") for cell in shown) + " |", flush=True)


if __name__ == "__main__":
    main()
