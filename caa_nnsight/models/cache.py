"""The folder in which converted models are kept, so that a second run fetches nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caa_nnsight.errors import ModelError
from caa_nnsight.progress import say

RECORD_NAME = "caa_model.json"


def shown(path: str | os.PathLike[str]) -> str:
    """A path as it may appear in messages and manifests: the home directory is written `~`.

    >>> shown(Path.home() / "models" / "tiny")
    '~/models/tiny'
    """
    path = Path(path).absolute()
    try:
        return (Path("~") / path.relative_to(Path.home())).as_posix()
    except (ValueError, RuntimeError):
        return path.as_posix()


def without_home(text: str) -> str:
    """A text in which a path may stand, without telling whose it is.

    >>> without_home(f"given by the user ({Path.home()}/pairs.jsonl)")
    'given by the user (~/pairs.jsonl)'
    """
    return text.replace(str(Path.home()), "~")


@contextmanager
def explained_disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk or a folder that can't be written into a ModelError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(folder) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise ModelError(
                f"The cache folder {shown(folder)} can't be written ({error.strerror}): name "
                "another with CAA_CACHE or cache_dir."
            ) from error
        raise
    except Exception as error:
        # safetensors reports a failed write as an exception of its own with the code in the text.
        if f"os error {errno.ENOSPC}" in str(error):
            raise _disk_full(folder) from error
        raise


def _disk_full(folder: Path) -> ModelError:
    return ModelError(
        f"The disk that holds the cache folder {shown(folder)} is full: free some space, or name "
        "another folder with CAA_CACHE or cache_dir."
    )


class ModelCache:
    """The cache folder: finished models under `models/`, downloads in progress under `downloads/`.

    A finished model is an ordinary transformers folder plus a record of where it came from. It is
    made under a temporary name and renamed at the end, so a killed process leaves nothing that
    looks finished.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        """Use `folder`, else the environment's CAA_CACHE, else the user's cache directory."""
        chosen = folder or os.environ.get("CAA_CACHE")
        if not chosen:
            from platformdirs import user_cache_dir

            chosen = user_cache_dir("caa_nnsight")
        self.root = Path(chosen).expanduser()

    def folder(self, key: str) -> Path:
        """Where the finished model `key` is, or will be."""
        return self.root / "models" / key

    def downloads(self, key: str) -> Path:
        """Where the files for `key` are gathered before conversion; removed afterwards."""
        return self.root / "downloads" / key

    def record(self, key: str) -> dict | None:
        """The record of a finished model, or None where it is absent or a file of it is damaged."""
        folder = self.folder(key)
        try:
            record = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
            sizes = {name: (folder / name).stat().st_size for name in record["files"]}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if sizes == record["files"] else None

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold the right to make `key`; wait for another process that is at it."""
        from filelock import FileLock, Timeout

        folder = self.root / "locks"
        with explained_disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{key}.lock")
            try:
                lock.acquire(timeout=1)
            except Timeout:
                say(f"Waiting for another process that is preparing {key}")
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def making(self, key: str, **facts: str) -> Iterator[Path]:
        """Yield an empty temporary folder; when the block ends well, it becomes `folder(key)`.

        Call it while holding `locked(key)`: what an earlier, killed process left is removed.
        `facts` go into the record.
        """
        models = self.root / "models"
        prefix = f".making-{key}-"
        with explained_disk_errors(self.root):
            models.mkdir(parents=True, exist_ok=True)
            for left_behind in models.glob(f"{prefix}*"):
                shutil.rmtree(left_behind, ignore_errors=True)
            temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=models))
            try:
                yield temporary
                files = {path.name: path.stat().st_size for path in sorted(temporary.iterdir())}
                record = {**facts, "files": files}
                (temporary / RECORD_NAME).write_text(
                    json.dumps(record, indent=2) + "\n", encoding="utf-8"
                )
                final = self.folder(key)
                if final.exists():
                    shutil.rmtree(final)
                temporary.chmod(0o755)
                temporary.rename(final)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def require_space(self, needed: int, what: str) -> None:
        """Raise ModelError now if the disk can't hold `needed` bytes, not after a long download."""
        with explained_disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise ModelError(
                f"{what} needs about {needed / 1e9:.1f} GB in the cache folder {shown(self.root)}, "
                f"whose disk has {free / 1e9:.1f} GB free: free some space, or name another folder "
                "with CAA_CACHE or cache_dir."
            )
