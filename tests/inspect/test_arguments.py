"""Model arguments as Inspect's command line hands them on."""

import pytest

from caa_nnsight.errors import ModelError, SteeringError
from caa_nnsight.inspect_provider.arguments import Arguments, read_arguments

VECTORS = {"vectors": "refusal.safetensors"}


def test_nothing_given_is_the_unsteered_model():
    assert read_arguments({}) == Arguments()


@pytest.mark.parametrize(
    ("given", "layers"),
    # YAML makes a number of 14 and a text of 10-12, Inspect a list of 8,12.
    [
        (14, (14,)),
        ("10-12", (10, 11, 12)),
        (["8", "12"], (8, 12)),
        ([3, "1-2"], (1, 2, 3)),
        ("7", (7,)),
    ],
)
def test_layers_are_read_as_on_our_own_command_line(given, layers):
    assert read_arguments(VECTORS | {"layers": given}).layers == layers


@pytest.mark.parametrize("given", [-1, "1-", "5-3", "a", 1.5, None, [""], "99999", True])
def test_what_is_no_layer_is_refused(given):
    if given is None:
        assert read_arguments(VECTORS | {"layers": given}).layers is None
        return
    with pytest.raises(SteeringError, match="can't be read: write layers like 14"):
        read_arguments(VECTORS | {"layers": given})


def test_a_multiplier_that_yaml_takes_for_a_text_is_a_number():
    assert read_arguments(VECTORS | {"multiplier": "1e-1"}).multiplier == 0.1


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"vector": "x"}, ModelError, "no argument 'vector'.* Did you mean 'vectors'"),
        ({"multiplier": 1}, SteeringError, "multiplier is given without vectors"),
        ({"layers": 1, "start": "all"}, SteeringError, "layers and start are given without"),
        (VECTORS | {"multiplier": "much"}, SteeringError, "must be a finite number"),
        (VECTORS | {"multiplier": True}, SteeringError, "must be a finite number"),
        (VECTORS | {"multiplier": float("inf")}, SteeringError, "must be a finite number"),
        (VECTORS | {"start": "first"}, SteeringError, "Unknown start of steering 'first'"),
        (VECTORS | {"start": 1.5}, SteeringError, "Unknown start of steering 1.5"),
        ({"remote": "http://127.0.0.1"}, ModelError, "true or false.* give a server's address as"),
        ({"batch_size": 0}, ModelError, "number of rows, at least 1"),
        ({"device": 0}, ModelError, "device has to be a text"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(given, error, sentence):
    with pytest.raises(error, match=sentence):
        read_arguments(given)


def test_only_what_was_given_goes_to_load():
    assert read_arguments({}).loading == {}
    given = {"remote": True, "host": "http://127.0.0.1:8001", "dtype": "float32", "start": -2}
    loading = {"remote": True, "host": "http://127.0.0.1:8001", "dtype": "float32"}
    assert read_arguments(given | VECTORS).loading == loading
