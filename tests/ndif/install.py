"""Install what the NDIF server of the tests needs: `python -m tests.ndif.install`.

A virtual environment in `home()`, and Redis and PostgreSQL from Debian's packages where they are
missing and this is root. What is there is not installed twice.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
NDIF = "ndif==0.1.2"
# Program: the Debian package that has it.
PROGRAMS = {"redis-server": "redis-server", "postgres": "postgresql"}
# With torch for CPUs; for CUDA it takes several times as much.
INSTALLED_SIZE = 1.8e9


class InstallError(Exception):
    """The server can't be installed here; the message is one sentence that says why."""


def home() -> Path:
    """Where the server's environment is kept: CAA_NDIF_HOME, else the user's cache folder."""
    return Path(os.environ.get("CAA_NDIF_HOME") or Path(user_cache_dir("caa_nnsight"), "ndif"))


def environment_folder() -> Path:
    return home() / "venv"


def find_program(name: str) -> str | None:
    """Find a program on the path, or where Debian keeps those of PostgreSQL."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name)
    )
    # A wrapper on the path may hide the real one: the newest of Debian's comes first.
    places = [*map(str, reversed(folders)), os.environ.get("PATH", os.defpath)]
    return shutil.which(name, path=os.pathsep.join(places))


def install() -> Path:
    """Make the environment and return its folder; quick where it is up to date.

    Raises InstallError where something can't be had.
    """
    if not sys.platform.startswith("linux"):
        raise InstallError("The NDIF server of the tests runs on Linux only.")
    home().mkdir(parents=True, exist_ok=True)
    with FileLock(home() / "install.lock"):
        _install_programs()
        _install_environment()
    return environment_folder()


def _install_programs() -> None:
    packages = [package for name, package in PROGRAMS.items() if not find_program(name)]
    if not packages:
        return
    wanted = " and ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise InstallError(
            f"The NDIF server of the tests needs {wanted}: install them with your system's package "
            "manager (on Debian and Ubuntu: apt install redis-server postgresql)."
        )
    _say(f"Installing {wanted} with apt-get ...")
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], f"apt-get could not look for {wanted}", quietly)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    _run(command, f"apt-get could not install {wanted}", quietly)


def _install_environment() -> None:
    folder = environment_folder()
    stamp = folder / "installed"
    wanted = hashlib.sha256(
        REQUIREMENTS.read_bytes() + f"{NDIF} {sys.version_info[:2]}".encode()
    ).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    free = shutil.disk_usage(home()).free
    if free < INSTALLED_SIZE:
        raise InstallError(
            f"The NDIF server of the tests needs {INSTALLED_SIZE / 1e9:.1f} GB in {home()}, whose "
            f"disk has {free / 1e9:.1f} GB free: name another folder with CAA_NDIF_HOME."
        )
    _say(f"Installing the NDIF server of the tests into {folder}: about 2 GB, some minutes ...")
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "-q", "--no-input"]
    pip += ["--disable-pip-version-check"]
    complaint = "pip could not install the NDIF server of the tests"
    _run([*pip, "-r", str(REQUIREMENTS)], complaint)
    # It asks for Python 3.12 and runs on 3.11. What it depends on is pinned above: given for all
    # of them, the flag would let pip take releases that really need 3.12.
    _run([*pip, "--no-deps", "--ignore-requires-python", NDIF], complaint)
    stamp.write_text(wanted)
    _say("Installed.")


def _run(command: list[str], complaint: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or ["no reason given"]
        errors = [line for line in lines if line.startswith(("ERROR", "E:"))]
        raise InstallError(f"{complaint} ({(errors or lines)[-1].strip()}).")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        _say(f"The NDIF server of the tests is in {install()}.")
    except InstallError as error:
        sys.exit(str(error))
