"""What the words of the command line offer to steer with, and vectors that are kept."""

from __future__ import annotations

import asyncio
import time
from threading import Event
from types import SimpleNamespace

import pytest

import caa_nnsight as caa
import caa_nnsight.analysis
from caa_nnsight.analysis.folders.loading import Run
from caa_nnsight.errors import CAAError, HubError, SteeringError, VectorError
from caa_nnsight.play.asking import Ask
from caa_nnsight.play.choices import find_choices
from caa_nnsight.play.complaints import sentence
from caa_nnsight.play.desk import Desk
from caa_nnsight.play.kept_vectors import kept_vectors
from caa_nnsight.play.server import bind
from caa_nnsight.play.stopping import StoppedError, leaving_jobs
from caa_nnsight.play.workbench import Workbench
from caa_nnsight.remote import RemoteJobs, RemoteSettings
from caa_nnsight.settings import ModelSettings
from tests.cli.places import save_model
from tests.play.places import vectors_of_length
from tests.tiny_models import HIDDEN, LAYERS, tiny_model
from tests.tiny_tokenizers import tiny_tokenizer


@pytest.fixture(scope="module")
def model():
    return caa.Model.wrap(tiny_model("llama"), tiny_tokenizer("joined"))


def test_without_a_word_every_behavior_is_offered():
    assert [choice.name for choice in find_choices([])] == caa.behavior_names()


def test_behaviors_and_files_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vectors_of_length(1.0).save("mine.safetensors")
    (tmp_path / "refusal").mkdir()
    (tmp_path / "refusal" / "manifest.json").write_text("{}")
    found = find_choices(["refusal", "mine.safetensors"])
    assert [choice.is_file for choice in found] == [False, True]
    assert found[1].name == "mine (mine.safetensors)"
    assert found[1].polarity() == "Positive means <b>more</b>."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["refusall"], "Did you mean 'refusal'?"),
        (["none.safetensors"], "There is no vector file none.safetensors"),
        (["refusal", "refusal"], "refusal is given twice"),
        (["./nowhere"], "There is no file or folder"),
    ],
)
def test_what_leads_to_nothing_is_refused(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CAAError, match=said.replace("?", r"\?")):
        find_choices(words)


def test_a_repository_of_the_hub_may_hold_a_behavior_or_vectors(monkeypatch):
    loaded, kept = vectors_of_length(1.0), {"behavior": "hf:a/tea", "vectors": "hf:a/tea-vectors"}

    def from_hub(what, there):
        def read(address, **_):
            if kept[what] == address:
                return there
            raise HubError(f"The Hub has no {what} {address}.")

        return read

    monkeypatch.setattr(
        caa.Behavior, "from_pretrained", from_hub("behavior", caa.get_behavior("refusal"))
    )
    monkeypatch.setattr(caa.SteeringVectors, "from_pretrained", from_hub("vectors", loaded))
    behavior, vectors = find_choices(["hf:a/tea", "hf:a/tea-vectors"])
    assert (behavior.name, behavior.is_file) == ("refusal", False)
    assert (vectors.name, vectors.is_file) == ("hf:a/tea-vectors", True)
    assert vectors.load() is loaded
    with pytest.raises(HubError) as caught:
        find_choices(["hf:a/milk"])
    assert str(caught.value) == (
        "There is no behavior at hf:a/milk, because the Hub has no behavior hf:a/milk; and there "
        "are no vectors, because the Hub has no vectors hf:a/milk."
    )


@pytest.mark.parametrize("address", ["tea", "./tea.py", "plugins.py:tea"])
def test_the_folder_of_a_study_offers_what_it_saved_by_whatever_address(
    address, tmp_path, monkeypatch
):
    manifest = {
        "settings": {"behaviors": [address, "milk"]},
        "picked_layers": {"tea": 2, "milk": 1},
    }
    (tmp_path / "manifest.json").write_text("{}")
    run = Run(tmp_path, manifest, "study", {})
    monkeypatch.setattr(caa.analysis, "load_run", lambda path: run)
    with pytest.raises(SteeringError, match="holds no vectors to steer with"):
        find_choices([str(tmp_path)])
    (tmp_path / "vectors").mkdir()
    for name in ("tea", "milk"):
        vectors_of_length(1.0).save(tmp_path / "vectors" / f"{name}.safetensors")
    tea, milk = find_choices([str(tmp_path)])
    assert (tea.name, tea.picked, milk.picked) == (f"tea ({tmp_path})", 2, 1)
    assert tea.load().layers == list(range(LAYERS))


def test_the_folder_of_a_run_offers_its_vectors(tmp_path, monkeypatch):
    manifest = {
        "settings": {"behavior": "./tea.py"},
        "behavior": {"name": "tea"},
        "picked_layer": 2,
    }
    (tmp_path / "manifest.json").write_text("{}")
    run = Run(tmp_path, manifest, "run", {})
    monkeypatch.setattr(caa.analysis, "load_run", lambda path: run)
    vectors_of_length(1.0).save(tmp_path / "vectors.safetensors")
    (choice,) = find_choices([str(tmp_path)])
    assert (choice.name, choice.is_file, choice.picked) == (f"tea ({tmp_path})", True, 2)


def test_the_page_begins_at_the_layer_that_a_run_picked_else_in_the_middle(model, tmp_path):
    path = vectors_of_length(1.0).save(tmp_path / "mine.safetensors")
    (choice,) = find_choices([str(path)])
    bench = Workbench(model, ModelSettings(), [choice])
    assert bench.first_layer(choice)[0] == LAYERS // 2
    picked = type(choice)(choice.name, choice.address, True, picked=3)
    assert bench.first_layer(picked) == (3, "picked by the run on its validation items")
    narrow = Workbench(model, ModelSettings(), [choice], layers=[0, 1])
    assert narrow.layers_of(choice) == [0, 1]
    assert narrow.first_layer(choice)[0] == 1


def test_vectors_and_layers_that_do_not_fit_are_refused_at_the_start(model, tmp_path):
    import torch

    path = caa.SteeringVectors({0: torch.ones(HIDDEN + 1)}).save(tmp_path / "wide.safetensors")
    with pytest.raises(VectorError, match="hidden size 33"):
        Workbench(model, ModelSettings(), find_choices([str(path)]))
    with pytest.raises(SteeringError, match="None of the layers of --layers"):
        Workbench(model, ModelSettings(), find_choices(["refusal"]), layers=[99])


def test_vectors_are_extracted_once_and_anew_for_other_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("CAA_CACHE", str(tmp_path / "cache"))
    folder = save_model(tmp_path / "model")
    calls = []

    def kept():
        calls.clear()
        loaded = caa.load(str(folder), device="cpu")
        return kept_vectors(loaded, behavior, 8, lambda done, total: calls.append(total))

    behavior = caa.get_behavior("refusal")
    first = kept().norms()
    assert calls[-1] == 8
    assert kept().norms() == first
    assert calls == []
    (file,) = (tmp_path / "cache" / "vectors").iterdir()
    file.write_bytes(b"damaged")
    assert kept().norms() == first
    assert calls[-1] == 8
    save_model(folder, seed=1)
    assert kept().norms() != first


def test_tabs_are_served_one_at_a_time_in_the_order_of_their_coming():
    async def visits():
        desk, told, served, inside = Desk(), [], [], []

        async def visit(name):
            async with desk.turn(lambda ahead: told.append((name, ahead)), Event()):
                inside.append(name)
                assert len(inside) == 1
                await asyncio.sleep(0.001)
                inside.remove(name)
                served.append(name)

        tasks = [asyncio.create_task(visit(name)) for name in "abcd"]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return told, served

    told, served = asyncio.run(visits())
    assert served == ["a", "b", "d"]
    assert told[:3] == [("b", 1), ("c", 2), ("d", 3)]
    assert ("d", 1) in told


def test_who_waits_and_is_stopped_leaves_at_once_and_the_next_moves_up():
    async def visits():
        desk, told, end = Desk(), [], asyncio.Event()
        stops = {name: Event() for name in "abc"}

        async def visit(name):
            async with desk.turn(lambda ahead: told.append((name, ahead)), stops[name]):
                await end.wait()

        tasks = {name: asyncio.create_task(visit(name)) for name in "abc"}
        await asyncio.sleep(0)
        stops["b"].set()
        await desk.look_up()
        with pytest.raises(StoppedError):
            await asyncio.wait_for(tasks["b"], 5)
        assert not tasks["a"].done()
        await asyncio.sleep(0)
        assert told[-1] == ("c", 1)
        end.set()
        await asyncio.gather(tasks["a"], tasks["c"])

    asyncio.run(visits())


def test_reading_tokens_ends_when_it_is_stopped(model, tmp_path):
    path = vectors_of_length(1.0).save(tmp_path / "mine.safetensors")
    (choice,) = find_choices([str(path)])
    bench = Workbench(model, ModelSettings(), [choice])
    ask = Ask(prompt="hills", layer=1, multiplier=1.0, max_new_tokens=2)
    written = bench.write(choice, ask, show=len, stopped=Event())
    assert len(bench.read(written, stopped=Event())) == 3
    stopped = Event()
    stopped.set()
    with pytest.raises(StoppedError):
        bench.read(written, stopped=stopped)


def test_a_server_that_is_away_is_not_waited_for_once_stopped():
    with bind(0) as sock:
        port = sock.getsockname()[1]
    settings = RemoteSettings(f"http://127.0.0.1:{port}", patience=600)
    jobs, stopped, told = RemoteJobs(settings), Event(), []
    model = SimpleNamespace(remote=SimpleNamespace(jobs=jobs))

    def tell(sentence):
        told.append(sentence)
        stopped.set()

    with pytest.raises(StoppedError), leaving_jobs(model, stopped, tell):
        jobs.run(b"", "key", fingerprint="0")
    assert "Trying again in" in told[0]
    assert jobs.sleep is time.sleep
    assert jobs.report is None


def test_what_goes_wrong_is_one_sentence(caplog):
    assert sentence(VectorError("No vector.")) == "No vector."
    assert sentence(MemoryError()).startswith("Memory ran out: ")
    assert sentence(RuntimeError("CUDA out of memory")).startswith("Memory ran out: ")
    assert "ZeroDivisionError" in sentence(ZeroDivisionError())
    assert "ZeroDivisionError" in caplog.text
