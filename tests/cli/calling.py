"""Calling `caa` as a user does: in this process, which is fast, or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from caa_nnsight.cli import main

PROGRAM = (sys.executable, "-c", "from caa_nnsight.cli import main; main()")


@dataclass(frozen=True)
class Outcome:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The error that was told last, without the word before it."""
        return self.err.strip().splitlines()[-1].removeprefix("Error: ") if self.err else ""


def caa(*words: str | Path, folder: Path | None = None) -> Outcome:
    """Run a command in this process, in `folder`."""
    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["caa", *map(str, words)]
    try:
        with (
            contextlib.chdir(folder or Path.cwd()),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
        ):
            code = _code_of(main)
    finally:
        sys.argv = argv
    return Outcome(code, out.getvalue(), err.getvalue())


def _code_of(function) -> int:
    try:
        function()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def start(*words: str | Path, folder: Path, **environment: str) -> subprocess.Popen:
    """Start a command in a process of its own, in `folder`."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def finish(process: subprocess.Popen) -> Outcome:
    """Wait for a command that was started."""
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, out, err)
