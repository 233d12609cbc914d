"""llama.cpp for the tests: its own loader of control vectors and its own model, in one program.

Neither is within reach of Python: the bindings on PyPI leave the loader out, and come as source
that takes long to build. So a small program of ours (`inside/llama_cpp_logits.cpp`) is linked with
the libraries that node-llama-cpp has built, and compiled with the headers of the same release of
llama.cpp, which the bindings' source brings along.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.tools.environments import InstallError, kept, run, say

VERSION = "0.5.0"
LIBRARIES = "@node-llama-cpp/linux-x64@3.22.1"
HEADERS = "llama-cpp-python==0.3.36"
SOURCE = Path(__file__).with_name("inside") / "llama_cpp_logits.cpp"
# The code with which it refuses a control vector.
REFUSED = 3


def program() -> Path:
    """The program, which is made where it is missing or out of date.

    Raises:
        InstallError: it can't be had here.
    """
    missing = [name for name in ("g++", "npm") if not shutil.which(name)]
    if not sys.platform.startswith("linux") or missing:
        raise InstallError(
            "llama.cpp for the tests needs Linux, g++ and npm: install "
            f"{' and '.join(missing) or 'these'} with your system's package manager."
        )
    wanted = f"{LIBRARIES} {HEADERS} {SOURCE.read_text('utf-8')}"
    return kept("llama-cpp", wanted, 0.5e9, _make) / "logits"


def logits(model: Path, vector: Path, strength: float, ids: Sequence[int]) -> np.ndarray | None:
    """`[tokens, vocabulary]`, float32, of a row; None where the loader refuses the vector."""
    answer = model.with_name("logits.bin")
    words = [model, vector, strength, answer, *ids]
    done = subprocess.run([program(), *map(str, words)], capture_output=True, text=True)
    if done.returncode == REFUSED:
        return None
    assert done.returncode == 0, done.stderr[-3000:]
    return np.fromfile(answer, np.float32).reshape(len(ids), -1)


def _make(folder: Path) -> None:
    say(f"Getting llama.cpp {VERSION} into {folder} ...")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(["npm", "pack", "--silent", LIBRARIES], f"npm could not get {LIBRARIES}", folder)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-input"]
    pip += ["--disable-pip-version-check", "--no-binary", "llama-cpp-python", HEADERS]
    run(pip, f"pip could not get {HEADERS}", folder)
    for archive in (*folder.glob("*.tgz"), *folder.glob("*.tar.gz")):
        with tarfile.open(archive) as packed:
            wanted = [each for each in packed if _is_needed(each.name)]
            packed.extractall(folder, wanted, filter="data")
        archive.unlink()
    (llama,) = folder.glob("*/vendor/llama.cpp")
    (binaries,) = folder.glob("package/bins/*")
    names = ("llama-common", f"llama.v{VERSION}", f"ggml.v{VERSION}", "ggml-base")
    command = ["g++", "-std=c++17", f'-DBACKENDS="{binaries}"', str(SOURCE)]
    command += [f"-I{llama / 'include'}", f"-I{llama / 'ggml/include'}"]
    command += [str(binaries / f"lib{name}.so") for name in names]
    command += [f"-Wl,-rpath,{binaries}", "-o", str(folder / "logits")]
    run(command, "g++ could not build the program that runs llama.cpp")


def _is_needed(name: str) -> bool:
    return (
        name.startswith("package/bins/")
        or "/vendor/llama.cpp/include/" in name
        or ("/vendor/llama.cpp/ggml/include/" in name)
    )
