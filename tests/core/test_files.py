"""Files in one step, shards, and bars: nothing is left half-written, nothing is made twice."""

import io
import os

import pandas as pd
import pytest
import torch

from caa_nnsight import progress
from caa_nnsight.files import write_atomically, write_tensors
from caa_nnsight.progress import Steps, progress_steps
from caa_nnsight.shards import Shards


def names(folder) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


# -- write_atomically ----------------------------------------------------------------------------


def test_who_is_reading_the_old_file_reads_it_to_its_end(tmp_path):
    """The file is exchanged as a whole, never overwritten: a reader sees one or the other."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with path.open() as reader:
        write_atomically(path, lambda temporary: temporary.write_text("new"))
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_what_was_written_is_put_in_place_and_nothing_beside_it(tmp_path):
    path = write_atomically(tmp_path / "a.txt", lambda temporary: temporary.write_text("new"))
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("ne")
        assert path.read_text() == "old"
        temporary.write_text("new")

    write_atomically(path, write)
    assert path.read_text() == "new"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("half")
        raise failure

    with pytest.raises(type(failure)):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_temporary_file_keeps_the_ending_that_writers_go_by(tmp_path):
    seen = []
    frame = pd.DataFrame({"a": [1]})
    write_atomically(tmp_path / "a.csv", lambda t: (seen.append(t), frame.to_csv(t, index=False)))
    assert seen[0].suffix == ".csv"
    assert seen[0].parent == tmp_path


def test_tensors_that_can_t_be_written_are_an_os_error(tmp_path):
    with pytest.raises(OSError, match="none"):
        write_tensors(tmp_path / "none" / "a.safetensors", {"a": torch.ones(2)})
    assert names(tmp_path) == []


# -- shards --------------------------------------------------------------------------------------


def test_a_tensor_is_made_once_and_read_back_to_the_bit(tmp_path):
    value = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Shards(tmp_path / "s").tensor("sum", lambda: value.T), value.T)
    assert torch.equal(Shards(tmp_path / "s").tensor("sum", pytest.fail), value.T)
    assert names(tmp_path / "s") == ["sum.safetensors"]


def test_a_frame_is_made_once_and_read_back_with_its_types(tmp_path):
    frame = pd.DataFrame(
        {"text": ["é", "", "\n"], "layer": [1, 2, 3], "value": [0.1 + 0.2, -0.0, 1e-300]}
    )
    first = Shards(tmp_path).frame("rows", lambda: frame)
    again = Shards(tmp_path).frame("rows", pytest.fail)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    pd.testing.assert_frame_equal(first, frame, check_exact=True)


def test_a_piece_that_failed_leaves_no_shard_and_is_made_again(tmp_path):
    def fail():
        raise RuntimeError("out of memory")

    for make in (Shards(tmp_path).tensor, Shards(tmp_path).frame):
        with pytest.raises(RuntimeError):
            make("piece", fail)
    assert names(tmp_path) == []
    assert Shards(tmp_path).tensor("piece", lambda: torch.ones(1)).item() == 1


# -- progress ------------------------------------------------------------------------------------


def test_off_a_terminal_each_step_is_one_line_on_standard_error(capsys):
    with progress_steps() as steps:
        with steps.step("first") as report:
            report(1, 2)
        with steps.step("second"):
            pass
    captured = capsys.readouterr()
    assert captured.err == "first ...\nsecond ...\n"
    assert captured.out == ""


def test_how_long_each_step_took_is_kept(monkeypatch):
    clock = iter([10.0, 12.5, 20.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    steps = Steps()
    for label in ("slow", "fast"):
        with steps.step(label):
            pass
    assert steps.seconds == {"slow": 2.5, "fast": 0.0}


def test_a_step_that_fails_passes_its_error_on_and_counts_no_time():
    steps = Steps()
    with pytest.raises(ValueError, match="no"), steps.step("bad"):
        raise ValueError("no")
    assert steps.seconds == {}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_counts_to_its_end(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setitem(os.environ, "COLUMNS", "100")
    monkeypatch.setitem(os.environ, "TERM", "xterm")
    with progress_steps() as steps, steps.step("read pairs") as report:
        report(3, 12)
        report(12, 12)
    shown = terminal.getvalue()
    assert "read pairs" in shown
    assert "12/12" in shown


def test_quiet_draws_no_bar_even_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress_steps(quiet=True) as steps, steps.step("read pairs") as report:
        report(3, 12)
    assert "/12" not in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()
