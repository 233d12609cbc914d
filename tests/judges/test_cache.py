"""Ratings on disk: found again, never wrong, never half-written."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from caa_nnsight import CAAError
from caa_nnsight.analysis.judges import FunctionJudge, Judge, JudgeQuestion, Rating, RatingCache
from tests.packaging.project import ROOT

QUESTION = JudgeQuestion("Rate it.", "Hi", "Hello.")
SEVEN = Rating(7.5, "7.5", tokens_in=10, tokens_out=1)


class Named(Judge):
    def __init__(self, name: str) -> None:
        self.name = name

    def rate(self, questions):
        raise AssertionError("not asked")


JUDGE = Named("openai:m")


@pytest.mark.parametrize(
    "rating", [SEVEN, Rating(None, "?\n\"'日本", "unparsable"), Rating(None, "no", "refused")]
)
def test_what_is_put_in_comes_out(rating, tmp_path):
    RatingCache(tmp_path).put(JUDGE, QUESTION, rating)
    assert RatingCache(tmp_path).get(JUDGE, QUESTION) == rating


@pytest.mark.parametrize(
    "other",
    [
        (Named("openai:n"), QUESTION),
        (JUDGE, JudgeQuestion("Rate it!", "Hi", "Hello.")),
        (JUDGE, JudgeQuestion("Rate it.", "Hi.", "Hello.")),
        (JUDGE, JudgeQuestion("Rate it.", "Hi", "Hello")),
        (JUDGE, JudgeQuestion("Rate it.", "HiHello.", "")),
    ],
)
def test_another_judge_or_question_is_another_rating(other, tmp_path):
    cache = RatingCache(tmp_path)
    cache.put(JUDGE, QUESTION, SEVEN)
    assert cache.get(*other) is None


def test_failures_are_not_kept(tmp_path):
    cache = RatingCache(tmp_path)
    cache.put(JUDGE, QUESTION, Rating(None, "HTTP 500", "failed"))
    assert list(tmp_path.iterdir()) == []


def test_ratings_of_a_function_are_not_kept(tmp_path):
    cache, judge = RatingCache(tmp_path), FunctionJudge(lambda prompt, answer: 7, "f")
    cache.put(judge, QUESTION, SEVEN)
    assert list(tmp_path.iterdir()) == []
    assert cache.get(judge, QUESTION) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "7",
        '{"rating": {}}',
        '{"rating": {"score": 11, "raw": ""}}',
        '{"rating": {"score": NaN, "raw": ""}}',
        '{"rating": {"score": "7", "raw": ""}}',
        '{"rating": {"score": null, "raw": ""}}',
        '{"rating": {"score": null, "raw": "", "problem": "failed"}}',
        '{"rating": {"score": 7, "raw": "", "problem": "refused"}}',
        "[" * 100_000,
        "\x00",
    ],
)
def test_a_damaged_file_is_as_good_as_none_and_is_replaced(content, tmp_path):
    cache = RatingCache(tmp_path)
    cache.put(JUDGE, QUESTION, SEVEN)
    (file,) = tmp_path.rglob("*.json")
    file.write_text(content)
    assert cache.get(JUDGE, QUESTION) is None
    cache.put(JUDGE, QUESTION, SEVEN)
    assert cache.get(JUDGE, QUESTION) == SEVEN


def test_a_file_says_whose_rating_it_is_and_not_what_was_rated(tmp_path):
    RatingCache(tmp_path).put(JUDGE, JudgeQuestion("Rate it.", "Hi", "A secret."), SEVEN)
    (file,) = tmp_path.rglob("*.json")
    record = json.loads(file.read_text())
    assert (record["judge"], record["rating"]["score"]) == ("openai:m", 7.5)
    assert "secret" not in file.read_text()


def test_a_half_character_has_a_place_too(tmp_path):
    cache, question = RatingCache(tmp_path), JudgeQuestion("Rate it.", "Hi", "\ud83d")
    cache.put(JUDGE, question, SEVEN)
    assert cache.get(JUDGE, question) == SEVEN
    assert cache.get(JUDGE, JudgeQuestion("Rate it.", "Hi", "?")) is None


def test_a_reply_with_half_a_character_is_kept(tmp_path):
    cache, rating = RatingCache(tmp_path), Rating(None, "half \ud83d, whole 😃", "unparsable")
    cache.put(JUDGE, QUESTION, rating)
    assert cache.get(JUDGE, QUESTION) == rating


def test_a_file_in_utf8_is_read_as_before(tmp_path):
    cache, rating = RatingCache(tmp_path), Rating(None, "日本", "unparsable")
    cache.put(JUDGE, QUESTION, rating)
    (file,) = tmp_path.rglob("*.json")
    file.write_text(json.dumps(json.loads(file.read_text()), ensure_ascii=False), "utf-8")
    assert "日本" in file.read_text("utf-8")
    assert cache.get(JUDGE, QUESTION) == rating


def test_the_folder_is_that_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CAA_CACHE", str(tmp_path))
    assert RatingCache().folder == tmp_path / "judges"
    monkeypatch.delenv("CAA_CACHE")
    assert RatingCache().folder.name == "judges"


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(CAAError, match="Ratings can't be kept in"):
        RatingCache(blocked).put(JUDGE, QUESTION, SEVEN)


WRITER = """
import sys
from caa_nnsight.analysis.judges import JudgeQuestion, Rating, RatingCache
from tests.judges.test_cache import JUDGE
cache = RatingCache(sys.argv[1])
for turn in range(60):
    for number in range(5):
        question = JudgeQuestion("Rate it.", "Hi", str(number))
        found = cache.get(JUDGE, question)
        assert found is None or found.score == number, found
        cache.put(JUDGE, question, Rating(number, "x" * 1000))
"""


@pytest.mark.slow
def test_two_processes_may_share_a_folder(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert len(list(tmp_path.rglob("*.json"))) == 5
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".json"]
    for number in range(5):
        question = JudgeQuestion("Rate it.", "Hi", str(number))
        assert RatingCache(tmp_path).get(JUDGE, question).score == number
