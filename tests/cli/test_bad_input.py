"""Each mistake gets one sentence that names it, exit code 2, and no traceback."""

import pytest

from tests.cli.bad_inputs import CASES, lay_out_mistakes
from tests.cli.calling import caa


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    return lay_out_mistakes(tmp_path_factory.mktemp("mistakes"))


@pytest.fixture(autouse=True)
def _without_the_hub(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("CAA_CACHE", str(tmp_path / "cache"))


def test_every_case_has_a_name_of_its_own():
    assert len({case.what for case in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_mistake_gets_a_sentence(case, mistakes):
    before = listing(mistakes)
    outcome = caa(*case.words, folder=mistakes)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert "Traceback" not in outcome.err

    lines = outcome.err.strip().splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == lines[-1:]
    if case.usage:
        assert lines[0].startswith("Usage: caa") or len(lines) == 1
    else:
        # Before the error there are steps at most.
        steps = [line for line in lines if line.endswith(" ...") or line.startswith("Unpacking")]
        assert lines == [*steps, lines[-1]]
        assert outcome.sentence.endswith((".", "?"))
    for words in case.said:
        assert words in outcome.sentence
    # What is refused at once leaves nothing behind.
    assert listing(mistakes) == before


def listing(folder) -> set[str]:
    # Python may keep the bytecode of a behavior's file beside it.
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"}
