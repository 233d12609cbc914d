"""A model that is laid out over several places gives what it gives in one place."""

import pytest
import torch

from caa_nnsight import Edit, Steering, load
from caa_nnsight.errors import ModelError
from caa_nnsight.prompts import ChoicePrompt, TextPrompt
from tests.cli.places import save_model

SEQUENCES = [[5, 6, 7, 8, 9], [4, 5, 6]]
# Accelerate fetches what lies on disk when it is needed, as it moves layers between GPUs.
PARTLY_ON_DISK = {
    "model.embed_tokens": "cpu",
    "model.rotary_emb": "cpu",
    "model.norm": "cpu",
    "lm_head": "cpu",
    "model.layers.0": "cpu",
    "model.layers.1": "disk",
    "model.layers.2": "disk",
    "model.layers.3": "cpu",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def whole(folder):
    return load(folder, device="cpu", dtype="float32")


@pytest.mark.parametrize("device_map", ["auto", PARTLY_ON_DISK])
def test_captures_scores_and_texts_are_those_of_the_model_in_one_place(folder, whole, device_map):
    spread = load(folder, dtype="float32", device_map=device_map)
    steering = Steering((Edit(1, torch.ones(whole.hidden_size)),))
    choices = [ChoicePrompt("", tuple(ids), len(ids) - 1, {"A": 3, "B": 4}) for ids in SEQUENCES]
    found, expected = (
        (
            model.tracer.capture(SEQUENCES, [0, 2, 3], [[-1], [0]]),
            torch.from_numpy(model.tracer.score_choices(choices, [steering]).logprob),
            model.tracer.generate_ids([TextPrompt("", (4, 5, 6))], [steering], max_new_tokens=6),
        )
        for model in (spread, whole)
    )
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-5, atol=1e-6)
    assert found[2] == expected[2]


def test_a_device_beside_a_device_map_is_refused(folder):
    with pytest.raises(ModelError, match="leave one of them out"):
        load(folder, device="cpu", device_map="auto")
