"""Vectors go to a repository in one commit, and come back the same."""

import json

import pandas as pd
import pytest
import torch

from caa_nnsight.analysis import damage, effect, example_scores, load_run
from caa_nnsight.errors import CAAError, HubError, VectorError
from caa_nnsight.hub.vectors_card import vectors_card
from caa_nnsight.vectors import SteeringVectors
from tests.analysis.fake_run import LAYER
from tests.core.examples import tiny
from tests.hub.made_up import REPO, run_of, vectors


def card_of(hub, repo=REPO):
    return hub.files("models", repo)["README.md"].decode()


def test_what_is_pushed_is_what_is_read(hub, tmp_path):
    made = vectors()
    pushed = made.push_to_hub(REPO)
    files = hub.files("models", REPO)
    assert sorted(files) == ["README.md", "vectors.safetensors"]
    read = SteeringVectors.from_pretrained(REPO)
    (cached,) = (tmp_path / "hub").rglob("snapshots/*/vectors.safetensors")
    assert cached.read_bytes() == files["vectors.safetensors"]
    assert read.meta == made.meta
    assert all(read[layer].equal(made[layer]) for layer in made.layers)
    assert pushed.repo == REPO
    assert pushed.url == f"{hub.address}/{REPO}/commit/{pushed.commit}"


def all_in_one_commit(hub) -> None:
    commits = hub.repositories["models", REPO].branches["main"]
    assert [sorted(commit.files) for commit in commits] == [
        [".gitattributes"],
        [".gitattributes", "README.md", "results.json", "vectors.safetensors"],
    ]


@pytest.mark.parametrize("place", [REPO, f"hf:{REPO}"])
def test_a_commit_names_the_same_vectors_for_good(hub, place):
    first = vectors(seed=1).push_to_hub(REPO)
    vectors(seed=2).push_to_hub(REPO)
    pinned = SteeringVectors.from_pretrained(place, revision=first.commit)
    assert pinned[LAYER].equal(vectors(seed=1)[LAYER])
    latest = SteeringVectors.from_pretrained(place)
    assert latest[LAYER].equal(vectors(seed=2)[LAYER])
    hub.requests.clear()
    again = SteeringVectors.load(first.address)
    assert again[LAYER].equal(pinned[LAYER])
    assert hub.requests == []


def test_a_push_to_a_branch_leaves_the_main_one_alone(hub):
    vectors(seed=1).push_to_hub(REPO)
    vectors(seed=2).push_to_hub(REPO, revision="trial/two")
    assert SteeringVectors.load(f"hf:{REPO}")[LAYER].equal(vectors(seed=1)[LAYER])
    assert SteeringVectors.load(f"hf:{REPO}@trial/two")[LAYER].equal(vectors(seed=2)[LAYER])


def test_results_of_an_earlier_push_do_not_stay_beside_other_vectors(hub):
    old = {"vectors.safetensors": b"0", "results.json": b"{}", "notes.md": b"the owner's"}
    hub.make("models", REPO, old)
    vectors(seed=5).push_to_hub(REPO)
    assert sorted(hub.files("models", REPO)) == ["README.md", "notes.md", "vectors.safetensors"]
    assert "Not measured" in card_of(hub)


def test_a_private_repository_is_made_private(hub):
    vectors().push_to_hub(REPO, private=True)
    assert hub.repositories["models", REPO].private


def test_a_copy_of_the_repository_is_read_without_the_hub(hub, tmp_path):
    vectors().push_to_hub(REPO)
    folder = tmp_path / "copy"
    folder.mkdir()
    for name, content in hub.files("models", REPO).items():
        (folder / name).write_bytes(content)
    hub.requests.clear()
    assert SteeringVectors.from_pretrained(folder)[LAYER].equal(vectors()[LAYER])
    assert hub.requests == []


def test_a_folder_comes_before_a_repository_of_its_name(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vectors(seed=1).push_to_hub(REPO)
    folder = tmp_path / REPO
    folder.mkdir(parents=True)
    vectors(seed=2).save(folder / "vectors.safetensors")
    assert SteeringVectors.from_pretrained(REPO)[LAYER].equal(vectors(seed=2)[LAYER])
    assert SteeringVectors.from_pretrained(f"hf:{REPO}")[LAYER].equal(vectors(seed=1)[LAYER])
    with pytest.raises(HubError, match="only repositories have revisions"):
        SteeringVectors.from_pretrained(REPO, revision="main")


def test_the_card_tells_what_a_run_measured(hub, tmp_path):
    run = run_of(tmp_path / "run", vectors())
    vectors().push_to_hub(REPO, results=run)
    all_in_one_commit(hub)
    told = json.loads(hub.files("models", REPO)["results.json"])
    scores = load_run(run).scores
    own = scores[(scores["split"] == "held_out") & (scores["layer"] == LAYER)]
    expected = effect(own).set_index("vector")
    rows = {row["vector"]: row for row in told["effect"]["rows"]}
    assert set(rows) == {"behavior", "random"}
    for vector, row in rows.items():
        for name in ("change", "change_low", "change_high", "n_items", "n_vectors"):
            assert row[name] == expected.loc[vector, name]
    card = card_of(hub)
    for row in rows.values():
        assert f"| {row['change']:+.3f} | {row['change_low']:+.3f} to " in card
    assert f"layers=[{LAYER}],\n" in card
    assert "Damage to other text\n\nNot measured." in card


def test_the_card_tells_what_a_score_frame_says(hub):
    scores = example_scores(
        layers=[LAYER], behavior="refusal", n_random=0, splits=["held_out"], n_items=4
    )
    vectors().push_to_hub(REPO, results=scores)
    assert "how much any push would do is not measured" in card_of(hub)


def with_effect(*rows):
    """A card of figures as `caa_nnsight.card_figures.figures` gives them: vector, layer, items."""
    nothing = dict.fromkeys(("change", "change_low", "change_high", "share_up"))
    told = [
        {"vector": vector, "layer": layer, "n_items": n_items, "n_vectors": 1} | nothing
        for vector, layer, n_items in rows
    ]
    words = {"split": "held-out", "unit": "logits", "headline": "", "points": []}
    effect = words | {"low": -1.0, "high": 1.0, "rows": told}
    return vectors_card(vectors(), REPO, figures={"layer": None, "effect": effect})


@pytest.mark.parametrize(
    ("other", "is_control"),
    [(("random", LAYER, 4), True), (("random", LAYER, 0), False), (("sycophancy", 14, 4), False)],
)
def test_rows_that_are_no_control_or_were_not_scored_do_not_pass_for_one(other, is_control):
    card = with_effect(("behavior", LAYER, 4), other)
    assert ("No random vectors of the same length were scored" not in card) == is_control


def test_of_several_layers_the_code_takes_one_that_was_measured():
    card = with_effect(("behavior", LAYER - 1, 4), ("behavior", LAYER + 1, 4))
    assert f"layers=[{LAYER + 1}],  # several were measured: see above\n" in card


def test_the_card_tells_damage_where_it_was_measured(hub):
    texts = pd.DataFrame(
        {
            "behavior": "refusal",
            "text_index": [0, 1, 0, 1],
            "vector": "behavior",
            "layer": LAYER,
            "multiplier": [0.0, 0.0, 2.0, 2.0],
            "n_tokens": 10,
            "logprob": [-20.0, -22.0, -24.0, -26.0],
        }
    )
    vectors().push_to_hub(REPO, damage=damage(texts))
    card = card_of(hub)
    assert f"| {LAYER} | +2 | 1.49 | 1.49 to 1.49 | not measured | not measured |" in card
    assert "Measured effect\n\nNot measured" in card


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (lambda tmp: run_of(tmp / "r", vectors(seed=9)), "measured other vectors than these"),
        (lambda tmp: example_scores(layers=[LAYER]), "are of example, but the vectors of refusal"),
        (
            lambda tmp: example_scores(layers=[3], behavior="refusal"),
            "of layer 3, for which there is no vector here",
        ),
        (
            lambda tmp: example_scores(layers=[LAYER], behavior="refusal", splits=["validation"]),
            "no rows of the vector on held-out items",
        ),
        (lambda tmp: tmp / "nothing", "does not exist: give the folder that"),
    ],
)
def test_results_of_something_else_are_refused_before_anything_is_pushed(
    hub, tmp_path, given, sentence
):
    with pytest.raises(CAAError, match=sentence):
        vectors().push_to_hub(REPO, results=given(tmp_path))
    assert hub.requests == []


def test_vectors_that_do_not_fit_the_model_are_refused(hub):
    vectors().push_to_hub(REPO)
    with pytest.raises(VectorError, match="hidden size 8"):
        SteeringVectors.from_pretrained(REPO, model=tiny())


def test_a_damaged_file_is_told_by_its_repository(hub):
    hub.make("models", REPO, {"vectors.safetensors": b"\0" * 40})
    with pytest.raises(VectorError) as caught:
        SteeringVectors.from_pretrained(REPO)
    assert str(caught.value).startswith(f"vectors.safetensors of hf:{REPO} is no safetensors file")


def test_a_file_of_another_tool_is_told_by_its_repository(hub):
    from safetensors.torch import save

    hub.make("models", REPO, {"vectors.safetensors": save({"direction.1": torch.ones(2)})})
    with pytest.raises(VectorError, match="holds no steering vectors of caa_nnsight"):
        SteeringVectors.from_pretrained(REPO)
