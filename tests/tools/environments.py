"""Other tools, each installed into an environment of its own: `python_of("lm-eval")`.

They ask for releases that this package can't have beside it, so their code runs in another
process, with the interpreter that `python_of` returns. An environment is made on first use, in
`home()`, and kept. `python -m tests.tools.environments` makes them all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
# A file in an environment's folder that says what was installed there, once it all was.
STAMP = "installed"


class InstallError(Exception):
    """A tool can't be installed here; the message is one sentence that says why."""


@dataclass(frozen=True)
class Environment:
    """What goes into one environment.

    Attributes:
        packages: what pip is given.
        size: bytes that it takes on disk, with torch for CPUs.
    """

    packages: tuple[str, ...]
    size: float


ENVIRONMENTS = {
    # repeng reads `config.torch_dtype` and blocks that return tuples: transformers before 5.
    "steering-libraries": Environment(
        ("repeng==0.4.0", "steering-vectors==0.12.2", "transformers==4.57.6", "numpy<2", "torch"),
        1.6e9,
    ),
    "lm-eval": Environment(("lm_eval[hf]==0.4.13", "torch"), 2.0e9),
}


def home() -> Path:
    """Where the environments are kept: CAA_TOOLS_HOME, else the user's cache folder."""
    return Path(os.environ.get("CAA_TOOLS_HOME") or Path(user_cache_dir("caa_nnsight"), "tools"))


def python_of(name: str) -> Path:
    """The interpreter of an environment, which is made where it is missing or out of date.

    Args:
        name: a key of `ENVIRONMENTS`.

    Raises:
        InstallError: it can't be had here.
    """
    wanted = ENVIRONMENTS[name]
    text = f"{wanted.packages} {sys.version_info[:2]} {CONSTRAINTS.read_text()}"
    folder = kept(name, text, wanted.size, lambda folder: _install(name, wanted, folder))
    return folder / "bin/python"


def kept(name: str, wanted: str, size: float, make: Callable[[Path], None]) -> Path:
    """A folder in `home()`, made whole or not at all where it is missing or out of date.

    Args:
        name: of the folder.
        wanted: what decides whether it is up to date.
        size: bytes that it takes.
        make: fills the folder, which may hold an older state.

    Raises:
        InstallError: it can't be had here.
    """
    folder = home() / name
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    if not _is_made(folder, digest):
        home().mkdir(parents=True, exist_ok=True)
        # One lock for all: side by side, each would be slower, and the disk might not do.
        with FileLock(home() / "install.lock"):
            if not _is_made(folder, digest):
                _check_space(name, size)
                try:
                    make(folder)
                    (folder / STAMP).write_text(digest)
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
    return folder


def _is_made(folder: Path, digest: str) -> bool:
    stamp = folder / STAMP
    return stamp.exists() and stamp.read_text() == digest


def _check_space(name: str, size: float) -> None:
    free = shutil.disk_usage(home()).free
    if free < size:
        raise InstallError(
            f"{name} needs {size / 1e9:.1f} GB in {home()}, whose disk has {free / 1e9:.1f} GB "
            "free: name another folder with CAA_TOOLS_HOME."
        )


def _install(name: str, wanted: Environment, folder: Path) -> None:
    say(f"Installing {', '.join(wanted.packages)} into {folder} ...")
    venv.create(folder, clear=True, with_pip=True)
    command = [str(folder / "bin/python"), "-m", "pip", "install", "-q", "--no-input"]
    command += ["--disable-pip-version-check", "-c", str(CONSTRAINTS), *wanted.packages]
    run(command, f"pip could not install the environment {name}")


def run(command: Sequence[str], complaint: str, folder: Path | None = None) -> str:
    """Run a step of an installation, and return what it printed.

    Raises:
        InstallError: it failed: the complaint with the reason in brackets.
    """
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR") or "error:" in line]
        raise InstallError(f"{complaint} ({(errors or lines or ['no reason given'])[-1]}).")
    return done.stdout


def say(sentence: str) -> None:
    """Tell how an installation goes on."""
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        for tool in sys.argv[1:] or ENVIRONMENTS:
            say(f"{tool}: {python_of(tool)}")
    except InstallError as error:
        sys.exit(str(error))
