"""Ratings on disk, so that no judge is asked the same twice."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from caa_nnsight.errors import CAAError
from caa_nnsight.files import write_atomically

from .protocol import Judge, JudgeQuestion, Rating
from .wording import ask


class RatingCache:
    """One small JSON file per rating, named by a hash of the judge's identity and the question.

    A file holds the judge's name, its reply and the score, but neither rubric, prompt nor answer.
    Files are put in place in one step, and two processes may share a folder. Ratings that failed
    are not kept, and neither are those of judges without an identity.

    Args:
        folder: by default `judges` in the folder that CAA_CACHE names, or else in the user's cache.
            It is made when the first rating is kept.

    >>> from caa_nnsight.analysis.judges import FunctionJudge
    >>> judge = FunctionJudge(lambda prompt, answer: 5, "even")
    >>> RatingCache("ratings").get(judge, JudgeQuestion("Is it even?", "2?", "Yes."))  # None
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = Path(folder).expanduser() if folder else _default_folder()

    def get(self, judge: Judge, question: JudgeQuestion) -> Rating | None:
        """The `judge`'s rating that is kept for this question; None for none or a damaged one."""
        if judge.identity is None:
            return None
        try:
            record = json.loads(self._path(judge.identity, question).read_text(encoding="utf-8"))
            rating = Rating(**record["rating"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError, CAAError):
            return None
        return None if rating.problem == "failed" else rating

    def put(self, judge: Judge, question: JudgeQuestion, rating: Rating) -> None:
        """Keep a `judge`'s rating of a `question`, unless it failed or the judge has no identity.

        Raises:
            CAAError: the folder can't be written.
        """
        if judge.identity is None or rating.problem == "failed":
            return
        path = self._path(judge.identity, question)
        # In ASCII, because a reply may hold half a character, which UTF-8 can't write.
        text = json.dumps({"judge": judge.name, "rating": asdict(rating)})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise CAAError(
                f"Ratings can't be kept in {self.folder} ({error.strerror}): free some space "
                "there, or name another folder with CAA_CACHE."
            ) from error

    def _path(self, identity: str, question: JudgeQuestion) -> Path:
        # Prompt and answer are hashed apart from the message too, for judges that don't send it.
        parts = [identity, ask(question), question.rubric, question.prompt, question.answer]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.json"


def _default_folder() -> Path:
    root = os.environ.get("CAA_CACHE")
    if not root:
        from platformdirs import user_cache_dir

        root = user_cache_dir("caa_nnsight")
    return Path(root).expanduser() / "judges"
