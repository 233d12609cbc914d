"""`caa vectors`: look at a vector file, and files of other tools written and read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caa_nnsight.cli import options as opt
from caa_nnsight.cli.printing import printable

if TYPE_CHECKING:
    from caa_nnsight.vectors import SteeringVectors

app = typer.Typer(
    help="Vector files: what is in them, and files of other tools.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FormatName = Annotated[str, typer.Option("--format", help="gguf or lm-eval.")]


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(help="A vector file, ours or another tool's.")],
) -> None:
    """Show where vectors come from, and the norm of each layer's."""
    import pandas as pd

    from caa_nnsight.cli.tables import print_frame

    vectors = _read(file)
    for name, value in asdict(vectors.meta).items():
        # One pair's id says little, and there may be hundreds.
        if value and name != "pair_ids":
            typer.echo(f"{name.replace('_', ' ')}: {printable(str(value))}")
    norms = vectors.norms()
    print_frame("Norms", pd.DataFrame({"layer": list(norms), "norm": list(norms.values())}))


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="A vector file that `caa extract` wrote.")],
    out: Annotated[Path, typer.Argument(help="The file to write, .gguf, or .pt for lm-eval.")],
    format: FormatName,
    layers: opt.LayersOption = None,
    multiplier: Annotated[float, typer.Option(help="Multiplied into the vectors.")] = 1.0,
    model_type: Annotated[
        str, typer.Option(help="For gguf: the model's family as transformers names it.")
    ] = "",
    layers_path: Annotated[
        str, typer.Option(help="For lm-eval: where the decoder blocks are.")
    ] = "model.layers",
) -> None:
    """Write a file that another tool steers with."""
    from caa_nnsight.exchange import export_vectors
    from caa_nnsight.vectors import SteeringVectors

    written = export_vectors(
        SteeringVectors.load(file),
        out,
        format,
        layers=opt.parse_layers(layers),
        multiplier=multiplier,
        model_type=model_type,
        layers_path=layers_path,
    )
    typer.echo(f"Vectors for {format}: {written.resolve()}")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A file of another tool.")],
    out: Annotated[Path, typer.Argument(help="The vector file to write, .safetensors.")],
    format: Annotated[
        str | None, typer.Option("--format", help="gguf or lm-eval; else seen from the content.")
    ] = None,
    behavior: Annotated[str, typer.Option(help="Name of the behavior.")] = "",
    model: Annotated[str, typer.Option(help="The model that the vectors were made on.")] = "",
) -> None:
    """Read vectors from a file of another tool."""
    from caa_nnsight.exchange import import_vectors

    vectors = import_vectors(file, format, behavior=behavior, model=model)
    path = vectors.save(out)
    typer.echo(printable(repr(vectors)))
    typer.echo(f"Vectors: {path.resolve()}")


@app.command("bake")
def bake(
    file: Annotated[Path, typer.Argument(help="A vector file, ours or another tool's.")],
    out: Annotated[Path, typer.Argument(help="A new folder for the baked model.")],
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    layers: opt.LayersOption = None,
    multiplier: Annotated[float, typer.Option(help="Strength of the steering.")] = 1.0,
    device: opt.DeviceOption = "auto",
    dtype: opt.DtypeOption = "auto",
    revision: opt.RevisionOption = None,
    layers_path: opt.LayersPathOption = None,
) -> None:
    """Write a transformers model that steers itself, at every token, by a bias in its weights."""
    from caa_nnsight.exchange.baked import bake as write_baked
    from caa_nnsight.exchange.baked import require_new
    from caa_nnsight.models import load

    vectors, chosen = _read(file), opt.parse_layers(layers)
    require_new(out)
    loaded = load(model, device=device, dtype=dtype, revision=revision, layers_path=layers_path)
    folder = write_baked(loaded, vectors, out, multiplier, layers=chosen)
    typer.echo(f"Baked model: {folder.resolve()}")


def _read(file: Path) -> SteeringVectors:
    """Vectors from a file of ours or of another tool, by its content."""
    from caa_nnsight.exchange import import_vectors
    from caa_nnsight.exchange.formats import guess_format
    from caa_nnsight.vectors import SteeringVectors

    if file.is_file() and guess_format(file):
        return import_vectors(file)
    return SteeringVectors.load(file)
