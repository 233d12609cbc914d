"""`caa push`: vectors and behaviors to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caa_nnsight.cli import options as opt

if TYPE_CHECKING:
    from caa_nnsight.hub.repositories import Pushed

app = typer.Typer(
    help="Share vectors and behaviors on the Hugging Face Hub.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RepositoryArgument = Annotated[str, typer.Argument(metavar="REPO", help="OWNER/NAME on the Hub.")]
PrivateOption = Annotated[
    bool, typer.Option("--private", help="Make the repository private, if it is new.")
]
BranchOption = Annotated[str | None, typer.Option("--revision", help="A branch; main by default.")]
MessageOption = Annotated[str | None, typer.Option("--message", help="The commit's message.")]


@app.command("vectors")
def vectors(
    file: Annotated[Path, typer.Argument(help="A vector file that `caa extract` wrote.")],
    repository: RepositoryArgument,
    results: Annotated[
        Path | None, typer.Option(help="The folder of the `caa run` that measured them.")
    ] = None,
    private: PrivateOption = False,
    revision: BranchOption = None,
    license: Annotated[
        str | None, typer.Option(help="Of the vectors, such as apache-2.0; left out by default.")
    ] = None,
    message: MessageOption = None,
) -> None:
    """Push a vector file with a card; with --results, the card tells the measured effect."""
    from caa_nnsight.vectors import SteeringVectors

    pushed = SteeringVectors.load(file).push_to_hub(
        repository,
        private=private or None,
        revision=revision,
        commit_message=message,
        license=license,
        results=results,
    )
    _print(pushed)


@app.command("behavior")
def behavior(
    behavior: opt.BehaviorArgument,
    repository: RepositoryArgument,
    private: PrivateOption = False,
    revision: BranchOption = None,
    message: MessageOption = None,
) -> None:
    """Push a behavior's data with a card; code stays here."""
    from caa_nnsight.registry import get_behavior

    found = get_behavior(behavior)
    pushed = found.push_to_hub(
        repository, private=private or None, revision=revision, commit_message=message
    )
    _print(pushed)
    if found.sources:
        typer.echo(f"Left out: where to find data of others ({', '.join(found.sources)}).")


def _print(pushed: Pushed) -> None:
    typer.echo(f"Pushed: {pushed.url}\nLoad it by: {pushed.address}")
