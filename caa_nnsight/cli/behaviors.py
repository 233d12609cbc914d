"""`caa behaviors`: list, show and check, and start a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from caa_nnsight.cli import options as opt
from caa_nnsight.cli.new_behavior import new
from caa_nnsight.cli.printing import printable, printable_lines

if TYPE_CHECKING:
    from caa_nnsight.behavior import Behavior
    from caa_nnsight.checks import Issue

app = typer.Typer(
    help="The behaviors that are installed here.", no_args_is_help=True, rich_markup_mode=None
)
app.command("new")(new)


@app.command("list")
def list_behaviors() -> None:
    """List the behaviors: counts, what `check` says, package, polarity and source."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from caa_nnsight.registry import list_behaviors as listings

    console = Console()
    for row in listings():
        origin = row.origin.split(" (")[0]
        line = Text(row.name, style="bold")
        if row.behavior is None:
            console.print(line.append(f"  {origin}  broken", style="not bold"))
            console.print(Padding(Text(printable(str(row.problem))), (0, 0, 0, 4)))
            continue
        issues = _issues(row.behavior)
        details = f"  {_counts(row.behavior)}  check: {_state(issues)}  {origin}"
        console.print(line.append(details, style="not bold"))
        errors = [issue for issue in issues if issue.level == "error"]
        shown = f"{row.behavior.polarity} Source: {row.behavior.source or 'unknown'}."
        if errors:
            shown = f"{errors[0].where}: {errors[0].message}"
        console.print(Padding(Text(printable(shown)), (0, 0, 0, 4)))


@app.command("show")
def show(behavior: opt.BehaviorArgument) -> None:
    """Show one behavior: what positive means, and a first pair."""
    from caa_nnsight.declaration import shown_parts
    from caa_nnsight.pairs import letter_of
    from caa_nnsight.registry import get_behavior

    found = get_behavior(behavior)
    pair = found.load_pairs()[0]
    for label, value in (
        ("name", found.name),
        ("description", found.description),
        ("polarity", found.polarity),
        ("form", found.form if not found.parts else None),
        ("read at", found.where_read() if not found.parts else None),
        ("parts", shown_parts(found.parts) if found.parts else None),
        ("sources", ", ".join(found.sources or {})),
        ("source", found.source),
        ("license", found.license),
        ("positive system prompt", found.positive_system_prompt),
        ("negative system prompt", found.negative_system_prompt),
        ("data hash", found.data_hash()),
    ):
        if value:
            typer.echo(printable(f"{label}: {value}"))
    if letter_of(pair):
        shown = f"first pair, answer {pair.positive} shows the behavior:\n{pair.question}"
    else:
        shown = f"first pair: {pair.question}\n"
        shown += f"  positive: {pair.positive}\n  negative: {pair.negative}"
    typer.echo(printable_lines(shown))


@app.command("check")
def check(
    behaviors: Annotated[
        list[str] | None, typer.Argument(help="Names, files or folders; all by default.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Check everything that is installed.")
    ] = False,
    strict: Annotated[bool, typer.Option(help="Warnings fail the check too.")] = False,
    source: opt.SourceOption = None,
) -> None:
    """Check the data of behaviors; exit code 1 where there is an error.

    The table: pairs + held-out pairs + open-ended prompts; the share whose matching
    answer is (A); mean words of matching and other texts; the share with the longer text on the
    matching side; near-duplicate questions; words that alone tell the sides apart.
    """
    import pandas as pd

    from caa_nnsight.check_figures import figures
    from caa_nnsight.checks import Issue
    from caa_nnsight.cli.tables import print_frame
    from caa_nnsight.errors import BehaviorError
    from caa_nnsight.registry import behavior_names
    from caa_nnsight.run_pairs import behavior_over

    failed = False
    rows: dict[str, dict[str, str]] = {}
    installed = behavior_names() if everything or not behaviors else []
    for name in dict.fromkeys([*(behaviors or []), *installed]):
        try:
            behavior = behavior_over(name, source=source)
            issues = _issues(behavior)
        except BehaviorError as error:
            if name in (behaviors or []):
                raise
            # One broken plugin doesn't keep the others from being checked.
            issues = [Issue("error", name, str(error))]
        errors = [issue for issue in issues if issue.level == "error"]
        failed |= bool(issues if strict else errors)
        if not errors:
            rows[name] = _shown_figures(figures(behavior))
        typer.echo(f"{name}: {_state(issues)}")
        for issue in issues:
            typer.echo(printable(f"  {issue.level}: {issue.where}: {issue.message}"))
    if rows:
        print_frame("Figures", pd.DataFrame.from_dict(rows, orient="index").reset_index(names=""))
    if failed:
        raise typer.Exit(1)


def _issues(behavior: Behavior) -> list[Issue]:
    """What its check says; where a plugin's own code fails, that is the finding."""
    from caa_nnsight.checks import Issue
    from caa_nnsight.local_files import cause_of

    try:
        return behavior.check()
    except Exception as error:
        return [Issue("error", behavior.name, f"its check failed: {cause_of(error)}.")]


def _state(issues: Sequence[Issue]) -> str:
    """How many errors and warnings, or that there are none."""
    counts = [
        f"{number} {level}{'s' * (number > 1)}"
        for level in ("error", "warning")
        if (number := sum(issue.level == level for issue in issues))
    ]
    return ", ".join(counts) or "ok"


def _counts(behavior: Behavior) -> str:
    """Sizes of a behavior's data, or that they can't be read; `check` says why."""
    try:
        pairs, held_out = len(behavior.load_pairs()), behavior.load_held_out()
        return (
            f"{pairs} pairs, {'by seed' if held_out is None else len(held_out)} held out, "
            f"{len(behavior.load_open_ended())} open-ended"
        )
    except Exception:
        return "unreadable"


def _shown_figures(figures: dict[str, int | float | None]) -> dict[str, str]:
    def number(key: str, form: str) -> str:
        return "–" if figures[key] is None else f"{figures[key]:{form}}"

    return {
        "items": "+".join(number(key, "d") for key in ("pairs", "held_out", "open_ended")),
        "(A)": number("letter_a", ".1%"),
        "words": f"{number('words', '.1f')}/{number('other_words', '.1f')}",
        "longer": number("longer", ".0%"),
        "near": number("near_duplicates", "d"),
        "telling": number("telling_words", "d"),
    }
