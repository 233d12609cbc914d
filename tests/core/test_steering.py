"""`Edit` and `Steering`: what they refuse, and where steering starts."""

import numpy as np
import pytest
import torch

from caa_nnsight.errors import SteeringError
from caa_nnsight.steering import NO_STEERING, Edit, Steering, check_fits

VECTOR = torch.ones(4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"operator": "substract"}, "substract"),
        ({"layer": -1}, "-1"),
        ({"layer": 1.5}, "1.5"),
        ({"layer": True}, "True"),
        ({"layer": "13"}, "'13'"),
        ({"multiplier": float("nan")}, "nan"),
        ({"multiplier": float("inf")}, "inf"),
        ({"vector": torch.ones(2, 3)}, r"\[2, 3\]"),
        ({"vector": torch.tensor(1.0)}, r"\[hidden\]"),
        ({"vector": [1.0, 2.0]}, r"\[hidden\]"),
    ],
)
def test_an_edit_refuses_what_it_can_t_apply_and_names_it(arguments, said):
    with pytest.raises(SteeringError, match=said):
        Edit(**({"layer": 3, "vector": VECTOR} | arguments))


def test_a_layer_from_a_data_frame_or_array_is_taken_as_a_plain_index():
    edit = Edit(np.int64(3), VECTOR)
    assert edit.layer == 3
    assert type(edit.layer) is int


@pytest.mark.parametrize("start", ["first", "", None, 1.5, True])
def test_an_unknown_start_of_steering_is_refused_by_name(start):
    with pytest.raises(SteeringError, match=repr(start)):
        Steering((Edit(0, VECTOR),), start=start)


@pytest.mark.parametrize(
    ("start", "length", "first"),
    [
        ("last_prompt_token", 7, 6),
        ("last_prompt_token", 1, 0),
        ("all", 7, 0),
        (0, 7, 0),
        (6, 7, 6),
        (-1, 7, 6),
        (-7, 7, 0),
    ],
)
def test_the_first_steered_token_is_counted_in_the_prompt_s_own_tokens(start, length, first):
    assert Steering((Edit(0, VECTOR),), start=start).first_steered(length) == first


@pytest.mark.parametrize("start", [7, -8, 100])
def test_a_start_outside_the_prompt_is_refused_with_both_figures(start):
    with pytest.raises(SteeringError, match=rf"{start}.*7 tokens"):
        Steering((Edit(0, VECTOR),), start=start).first_steered(7)


def test_the_steered_layers_are_named_once_and_ascending():
    steering = Steering([Edit(5, VECTOR), Edit(2, VECTOR), Edit(5, VECTOR, -1.0)])
    assert steering.layers == (2, 5)
    assert isinstance(steering.edits, tuple)
    assert NO_STEERING.layers == ()


def test_steering_that_fits_is_let_through():
    check_fits([NO_STEERING, Steering((Edit(3, VECTOR),))], num_layers=4, hidden_size=4)


def test_a_layer_beyond_the_model_is_refused_with_the_model_s_range():
    with pytest.raises(SteeringError, match=r"Layer 4 .*0 to 3"):
        check_fits([Steering((Edit(4, VECTOR),))], num_layers=4, hidden_size=4)


def test_a_vector_of_another_hidden_size_is_refused_with_both_sizes():
    with pytest.raises(SteeringError, match=r"size 4 .* size 8"):
        check_fits([Steering((Edit(0, VECTOR),))], num_layers=4, hidden_size=8)
