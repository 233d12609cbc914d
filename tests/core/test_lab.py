"""A lab makes what experiments begin with once, and keeps it under names that don't collide."""

import pandas as pd
import pytest
import torch

from caa_nnsight import Lab, LabSettings
from caa_nnsight.errors import SteeringError
from caa_nnsight.lab import _file_name
from tests.behaviors.made_up import choices
from tests.core.examples import tiny


def lab(*names: str, folder=None, **settings) -> Lab:
    behaviors = [choices(name, first=60 * index) for index, name in enumerate(names)]
    chosen = LabSettings(**{"limit": 8, "held_out": 4, "layers": (1, 2), "controls": 1} | settings)
    return Lab(tiny("llama"), behaviors, chosen, folder=folder)


def test_the_three_parts_share_no_item():
    parts = lab("tea").pairs("tea").ids()
    sets = [set(ids) for ids in parts.values()]
    assert all(sets)
    assert sum(map(len, sets)) == len(set.union(*sets))


def test_vectors_of_several_behaviors_have_one_norm_per_layer_unless_told_otherwise():
    both = lab("tea", "rain")
    for layer in (1, 2):
        found = {both.vectors(name).norms()[layer] for name in both.behaviors}
        raw = [both.raw_vectors(name).norms()[layer] for name in both.behaviors]
        assert max(found) - min(found) < 1e-5
        assert found.pop() == pytest.approx(sum(raw) / 2, rel=1e-5)
    assert both.vectors("tea").meta.normalized == "tea, rain"
    apart = lab("tea", "rain", normalize=False)
    assert torch.equal(apart.vectors("tea")[1], apart.raw_vectors("tea")[1])


def test_what_is_kept_in_a_folder_is_not_made_again(tmp_path, monkeypatch):
    first = lab("tea", folder=tmp_path)
    scores, vectors = first.held_out_scores("tea"), first.vectors("tea")
    monkeypatch.setattr("caa_nnsight.sweep.score", lambda *_, **__: 1 / 0)
    monkeypatch.setattr("caa_nnsight.extraction.extract", lambda *_, **__: 1 / 0)
    again = lab("tea", folder=tmp_path)
    pd.testing.assert_frame_equal(again.held_out_scores("tea"), scores)
    assert torch.equal(again.vectors("tea")[2], vectors[2])


def test_labels_that_differ_have_files_that_differ():
    labels = ["x/a", "x˺", "x a", "x%2fa", "x.a", "x-a"]
    assert len({_file_name(label) for label in labels}) == len(labels)


@pytest.mark.parametrize(("names", "said"), [(("tea", "Tea"), "one name"), ((), "at least one")])
def test_behaviors_are_told_apart_by_their_names(names, said):
    with pytest.raises(SteeringError, match=said):
        lab(*names)


@pytest.mark.parametrize("ask", ["pairs", "vectors", "raw_vectors", "layer", "validation_scores"])
def test_an_unknown_behavior_is_one_sentence(ask):
    with pytest.raises(SteeringError) as caught:
        getattr(lab("tea", "rain"), ask)("tee")
    assert str(caught.value) == (
        "This lab has no behavior 'tee'. Did you mean 'tea'? It has tea, rain."
    )


def test_answers_keep_the_number_of_their_prompt(tmp_path):
    prompts = [f"Say {word}." for word in ("tea", "rain", "snow")]
    kept = lab("tea", folder=tmp_path, max_new_tokens=2)
    frame = kept.generate("answers", "tea", kept.vectors("tea"), prompts, layers=[1])
    assert frame.groupby("prompt_index")["prompt"].first().tolist() == prompts
    assert kept.generate("none", "tea", kept.vectors("tea"), []).empty
