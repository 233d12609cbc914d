"""`caa`: the commands put together, and errors turned into one sentence and exit code 2."""

from __future__ import annotations

import os
import sys
import warnings

import typer

from caa_nnsight.cli import behaviors, pieces, play, push, remote, run, study, vectors
from caa_nnsight.cli.printing import printable_lines
from caa_nnsight.errors import CAAError

app = typer.Typer(
    name="caa",
    help="Contrastive Activation Addition: steer a language model, and know whether it worked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("experiment")(study.experiment)
app.command("reproduce")(study.reproduce)
app.command("extract")(pieces.extract)
app.command("score")(pieces.score)
app.command("generate")(pieces.generate)
app.command("report")(pieces.report)
app.command("compare")(pieces.compare)
app.command("play")(play.play)
app.add_typer(behaviors.app, name="behaviors")
app.add_typer(vectors.app, name="vectors")
app.add_typer(remote.app, name="remote")
app.add_typer(push.app, name="push")


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"caa_nnsight {version('caa_nnsight')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
    verbose: bool = typer.Option(
        False, "--verbose", "-v", help="Log which path was chosen, and why."
    ),
) -> None:
    if verbose:
        import logging

        logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
        logging.getLogger("caa_nnsight").setLevel(logging.INFO)
    # Other libraries' own bars and advice would drown ours.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    warnings.showwarning = _show_warning


def _show_warning(message, category, *_: object, **__: object) -> None:
    """A warning as one line, without the source line that raised it."""
    if issubclass(category, UserWarning) and not issubclass(category, DeprecationWarning):
        print(f"Warning: {printable_lines(str(message))}", file=sys.stderr)


def main() -> None:
    """Run `caa`; a mistake gets one sentence on standard error and exit code 2."""
    if hasattr(sys.stdout, "reconfigure"):
        # A console that lacks a character of a model's text shows a "?", and doesn't fail.
        sys.stdout.reconfigure(errors="replace")
    try:
        app(prog_name="caa")
    except CAAError as error:
        print(f"Error: {printable_lines(str(error))}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        # A full disk, or a file that may not be read: not ours to foresee, but no bug either.
        where = f" ({error.filename})" if error.filename else ""
        print(printable_lines(f"Error: {error.strerror or error}{where}."), file=sys.stderr)
        sys.exit(2)
