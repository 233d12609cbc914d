"""The notebook on the method does what it shows: its checks by hand hold, and nothing raises."""

from __future__ import annotations

import pytest

from tests.notebooks.executing import execute, read, shape

pytestmark = [pytest.mark.slow, pytest.mark.weights]


def test_the_method_runs_again_and_shows_the_same_kinds_of_output(tmp_path):
    committed = read("method")
    executed = execute(committed, tmp_path)
    assert shape(executed) == shape(committed)
    assert (tmp_path / "formality.safetensors").exists()
