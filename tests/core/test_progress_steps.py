"""What is told of jobs on a server: news, once each; never what every job goes through."""

import io

import pytest
from rich.console import Console

from caa_nnsight import progress
from caa_nnsight.progress import Steps, progress_steps
from caa_nnsight.remote import JobEvent

QUEUED = "The job waits in the server's queue, at position 2."


def event(kind="status", status="QUEUED", message=QUEUED) -> JobEvent:
    return JobEvent(kind, status, None, message, "read_blocks", "job-1")


ROUTINE = [
    event("submitted", "RECEIVED", "Sent as job job-1."),
    event("status", "RECEIVED", "The server has received the job."),
    event("status", "DISPATCHED", "The job has been handed to the model."),
    event("status", "RUNNING", "The job is running."),
    event("done", "COMPLETED", "The job is done."),
]
NEWS = [
    event(),
    event("status", "PROVISIONING", "The server is finding room for the model."),
    event("status", "DEPLOYING", "The server is loading the model."),
    event("retry", "", "The server doesn't answer. Trying again in 2 s."),
    event("resubmitted", "RECEIVED", "Sent again as job job-2: the server has forgotten the job."),
    event("reattached", "", "Picking up job job-1 of an earlier run."),
]


@pytest.fixture
def now(monkeypatch):
    """The clock, which stands still until a test moves it."""
    time = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def lines(capsys) -> list[str]:
    return capsys.readouterr().err.splitlines()


# -- lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("told", ROUTINE, ids=lambda told: f"{told.kind} {told.status}")
def test_what_every_job_goes_through_is_no_news(capsys, told):
    steps = Steps()
    with steps.step("score"):
        steps.tell(told)
    assert lines(capsys) == ["score ..."]


@pytest.mark.parametrize("told", NEWS, ids=lambda told: f"{told.kind} {told.status}")
def test_news_is_one_line(capsys, told):
    steps = Steps()
    with steps.step("score"):
        steps.tell(told)
    assert lines(capsys) == ["score ...", f"  {told.message}"]


def test_the_same_news_twice_in_a_row_is_told_once(capsys):
    steps = Steps()
    with steps.step("score"):
        for _ in range(3):
            steps.tell(event())
        steps.tell(event(message="The job waits in the server's queue, at position 1."))
    assert len(lines(capsys)) == 3


def test_news_between_steps_is_told_too(capsys):
    Steps().tell(event())
    assert lines(capsys) == [f"  {QUEUED}"]


def test_a_model_in_this_process_has_a_line_per_step_and_no_more(capsys, now):
    steps = Steps()
    with steps.step("score") as report:
        for done in range(1, 6):
            now[0] += 10
            report(done, 5)
    assert lines(capsys) == ["score ..."]


def test_pieces_that_a_server_has_done_are_counted(capsys, now):
    steps = Steps()
    with steps.step("score") as report:
        for done in (13, 26, 39, 50):
            now[0] += 10
            steps.tell(ROUTINE[-1])
            report(done, 50)
    assert lines(capsys) == ["score ...", *(f"  {done} of 50" for done in (13, 26, 39, 50))]


def test_passes_that_come_back_together_are_one_line_and_the_last_one_is_told(capsys, now):
    steps = Steps()
    with steps.step("score") as report:
        for piece in (0, 50):
            now[0] += 10
            steps.tell(ROUTINE[-1])
            for done in range(1, 51):
                report(piece + done, 100)
            report(piece + 50, 100)
    assert lines(capsys) == ["score ...", "  1 of 100", "  51 of 100", "  100 of 100"]


def test_a_step_starts_with_nothing_told(capsys, now):
    steps = Steps()
    with steps.step("score"):
        steps.tell(event())
    with steps.step("generate") as report:
        now[0] += 10
        report(1, 2)
        steps.tell(event())
    assert lines(capsys) == ["score ...", f"  {QUEUED}", "generate ...", f"  {QUEUED}"]


# -- bars ------------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch):
    """A terminal in place of standard error."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    monkeypatch.setattr(progress, "_on_terminal", lambda: True)
    monkeypatch.setattr(progress, "stderr_console", lambda: console)
    return screen


def test_beside_a_bar_stands_what_the_job_does_and_at_the_end_nothing(terminal, capsys):
    with progress_steps() as steps:
        with steps.step("score") as report:
            steps.tell(event())
            (task,) = steps._bars.tasks
            assert task.description == f"score ({QUEUED[:-1]})"
            report(5, 10)
            steps.tell(ROUTINE[-1])
            assert task.description == "score"
            steps.tell(event())
        assert (task.description, task.completed, task.total) == ("score", 10, 10)
    assert lines(capsys) == []


def test_brackets_in_what_a_server_says_are_shown_as_they_are(terminal):
    with progress_steps() as steps, steps.step("score"):
        steps.tell(event("retry", "", "It said [/red] and [bold]no[/bold]. Trying again in 1 s."))
        steps._bars.refresh()
    assert "It said [/red] and [bold]no[/bold]" in terminal.getvalue()


def test_news_after_the_last_step_is_a_line(terminal, capsys):
    with progress_steps() as steps:
        with steps.step("score"):
            pass
        steps.tell(event())
    assert QUEUED in terminal.getvalue() + capsys.readouterr().err
