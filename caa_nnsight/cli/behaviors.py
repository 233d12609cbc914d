"""`caa behaviors`: list, show and check."""

from __future__ import annotations

from typing import Annotated

import typer

from caa_nnsight.cli import options as opt

app = typer.Typer(
    help="The behaviors that are installed here.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_behaviors() -> None:
    """List the behaviors with their counts and polarity."""
    import pandas as pd

    from caa_nnsight.cli.tables import print_frame
    from caa_nnsight.registry import behavior_names

    print_frame(
        "Behaviors",
        pd.DataFrame(
            [(name, *_counts(name), _package(name)) for name in behavior_names()],
            columns=["name", "description", "pairs", "held out", "open-ended", "origin"],
        ),
    )


@app.command("show")
def show(behavior: opt.BehaviorArgument) -> None:
    """Show one behavior: what positive means, and a first pair."""
    from caa_nnsight.registry import get_behavior

    found = get_behavior(behavior)
    pair = found.load_pairs()[0]
    for label, value in (
        ("name", found.name),
        ("description", found.description),
        ("polarity", found.polarity),
        ("source", found.source),
        ("license", found.license),
        ("positive system prompt", found.positive_system_prompt),
        ("negative system prompt", found.negative_system_prompt),
        ("data hash", found.data_hash()),
    ):
        if value:
            typer.echo(f"{label}: {value}")
    typer.echo(f"first pair, answer {pair.positive} shows the behavior:\n{pair.question}")


@app.command("check")
def check(
    behaviors: Annotated[
        list[str] | None, typer.Argument(help="Names, files or folders; all by default.")
    ] = None,
) -> None:
    """Check the data of behaviors; exit code 1 where there is an error."""
    from caa_nnsight.registry import behavior_names, get_behavior

    failed = False
    for name in behaviors or behavior_names():
        issues = get_behavior(name).check()
        errors = [issue for issue in issues if issue.level == "error"]
        failed |= bool(errors)
        warned = len(issues) - len(errors)
        typer.echo(f"{name}: {len(errors)} errors, {warned} warnings")
        for issue in issues:
            typer.echo(f"  {issue.level}: {issue.where}: {issue.message}")
    if failed:
        raise typer.Exit(1)


def _package(name: str) -> str:
    """Package or file that a behavior comes from, without the place inside it."""
    from caa_nnsight.registry import behavior_origin

    return behavior_origin(name).split(" (")[0]


def _counts(name: str) -> tuple[str, int | str, int | str, int | str]:
    """Description and sizes of a behavior, or what is wrong with it."""
    from caa_nnsight.errors import CAAError
    from caa_nnsight.registry import get_behavior

    try:
        found = get_behavior(name)
        held_out = found.load_held_out()
        return (
            found.description,
            len(found.load_pairs()),
            "by seed" if held_out is None else len(held_out),
            len(found.load_open_ended()),
        )
    except CAAError as error:
        return f"broken: {error}", "", "", ""
