"""Print each mistake and its sentence as a table: `python -m tests.cli.bad_input_table`."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path


def main() -> None:
    """Write the table to standard output, in Markdown."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from tests.cli.bad_inputs import CASES, lay_out_mistakes
    from tests.cli.calling import caa

    print("| case | command | sentence |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = lay_out_mistakes(Path(name).resolve())
        os.environ["CAA_CACHE"] = str(folder / "cache")
        for case in CASES:
            sentence = caa(*case.words, folder=folder).sentence.replace(str(folder), "/there")
            command = shlex.join(["caa", *case.words]).encode("ascii", "backslashreplace").decode()
            cells = (case.what, f"`{command}`", sentence)
            print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")


if __name__ == "__main__":
    main()
