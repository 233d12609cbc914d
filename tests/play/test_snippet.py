"""The code that the page shows does what the page does."""

from __future__ import annotations

from threading import Event

import pytest

import caa_nnsight as caa
from caa_nnsight.play.asking import Ask
from caa_nnsight.play.choices import find_choices
from caa_nnsight.play.snippet import snippet
from caa_nnsight.play.workbench import Workbench
from caa_nnsight.settings import ModelSettings
from tests.cli.places import save_model
from tests.play.places import vectors_of_length


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("play")
    save_model(folder / "model")
    vectors_of_length(6.0).save(folder / "it's mine.safetensors")
    return folder


@pytest.mark.parametrize("word", ["refusal", "it's mine.safetensors"])
def test_the_code_prints_both_answers_of_the_page(word, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CAA_CACHE", str(folder / "cache"))
    settings = ModelSettings(model="model", device="cpu")
    ask = Ask(
        prompt='"Hills"\nor {sea}?',
        layer=1,
        multiplier=-1.25,
        system_prompt="Be brief.",
        max_new_tokens=8,
        temperature=0.5,
        seed=3,
    )
    (choice,) = find_choices([word])
    bench = Workbench(caa.load("model", device="cpu"), settings, [choice], limit=8)
    written = bench.write(choice, ask, show=lambda answers: None, stopped=Event())
    code = bench.code(choice, ask)
    assert "device='cpu'" in code
    exec(compile(code, "snippet", "exec"), {})
    plain, steered = (bench.text(ids) for ids in written.answers)
    assert capsys.readouterr().out == f"Multiplier 0: {plain}\nMultiplier -1.25: {steered}\n"


def test_the_code_asks_for_no_more_pairs_than_there_are():
    (choice,) = find_choices(["refusal"])
    ask = Ask(prompt="Hi", layer=1, multiplier=1.0)
    assert "generation=100)" in snippet(ModelSettings(), choice, ask, 100)
    assert "split(seed=0)." in snippet(ModelSettings(), choice, ask, 100_000)
